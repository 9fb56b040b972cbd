"""Days of the rule files → instants, in a time zone from the pinned database."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from importlib import resources
from zoneinfo import ZoneInfo

from nextbest.rulebook.compile.report import At, Report
from nextbest.rulebook.suggest import did_you_mean


def load_time_zone(name: str, at: At, report: Report) -> tzinfo:
    """The named zone from the `tzdata` package, whatever the machine has; UTC where it is unknown."""
    if name == "UTC":
        return UTC
    root = resources.files("tzdata")
    names = (root / "zones").read_text(encoding="utf-8").split()
    if name not in names:
        report.error(at, "unknown-time-zone", f"unknown time zone `{name}`", did_you_mean(name, names))
        return UTC
    with (root / "zoneinfo").joinpath(*name.split("/")).open("rb") as stream:
        return ZoneInfo.from_file(stream, key=name)


def day_start(day: date, zone: tzinfo) -> float:
    """Epoch seconds at which a day begins in a zone."""
    return datetime.combine(day, time(), zone).timestamp()


def day_end(day: date, zone: tzinfo) -> float:
    """Epoch seconds at which the next day begins in a zone; infinite after the calendar's last day."""
    return day_start(day + timedelta(days=1), zone) if day < date.max else float("inf")
