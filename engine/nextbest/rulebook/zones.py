"""Time zones from the pinned database, and as tables of transitions, so that kernels need none."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

_FIRST = datetime(1900, 1, 1, tzinfo=UTC)
_LAST = datetime(2100, 1, 1, tzinfo=UTC)
_STEP = timedelta(days=7)


@cache
def zone_names() -> frozenset[str]:
    """Names of all zones of the `tzdata` package."""
    return frozenset((resources.files("tzdata") / "zones").read_text(encoding="utf-8").split())


@lru_cache(maxsize=1024)
def zone_named(name: str) -> tzinfo | None:
    """The zone from the `tzdata` package, whatever the machine has; None if it knows no such name."""
    if name == "UTC":
        return UTC
    if name not in zone_names():
        return None
    with (resources.files("tzdata") / "zoneinfo").joinpath(*name.split("/")).open("rb") as stream:
        return ZoneInfo.from_file(stream, key=name)


@lru_cache(maxsize=1024)
def transitions(zone: tzinfo) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Epoch seconds from which each UTC offset holds, and the offsets in seconds.

    Looked for from 1900 to 2100; the first and last offsets hold before and after. Two changes
    within a week that cancel out are not seen; the database has none.
    """
    starts, offsets = [float("-inf")], [_offset(zone, _FIRST)]
    at = _FIRST
    while not isinstance(zone, timezone) and at < _LAST:
        following = at + _STEP
        if _offset(zone, following) != offsets[-1]:
            change = _first_change(zone, at, following)
            starts.append(change.timestamp())
            offsets.append(_offset(zone, following))
        at = following
    return tuple(starts), tuple(offsets)


def _offset(zone: tzinfo, at: datetime) -> float:
    offset = at.astimezone(zone).utcoffset()
    return offset.total_seconds() if offset is not None else 0.0


def _first_change(zone: tzinfo, before: datetime, after: datetime) -> datetime:
    """The second at which the offset changes, by bisection."""
    old = _offset(zone, before)
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if _offset(zone, middle) == old:
            before = middle
        else:
            after = middle
    return after
