"""Days of the rule files → instants, in a time zone from the pinned database."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo

from nextbest.rulebook.compile.report import At, Report
from nextbest.rulebook.suggest import did_you_mean
from nextbest.rulebook.zones import zone_named, zone_names


def load_time_zone(name: str, at: At, report: Report) -> tzinfo:
    """The named zone; UTC where it is unknown, which is reported."""
    zone = zone_named(name)
    if zone is None:
        report.error(at, "unknown-time-zone", f"unknown time zone `{name}`", did_you_mean(name, zone_names()))
    return zone or UTC


def day_start(day: date, zone: tzinfo) -> float:
    """Epoch seconds at which a day begins in a zone."""
    return datetime.combine(day, time(), zone).timestamp()


def day_end(day: date, zone: tzinfo) -> float:
    """Epoch seconds at which the next day begins in a zone; infinite after the calendar's last day."""
    return day_start(day + timedelta(days=1), zone) if day < date.max else float("inf")
