"""CEL's functions of times on constants, exactly."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from nextbest.rulebook.expressions.values import (
    INT_MAX,
    INT_MIN,
    NANOS,
    Duration,
    Failure,
    Function,
    Timestamp,
    Value,
    bounded_duration,
    bounded_timestamp,
    format_duration,
    format_timestamp,
    parse_duration,
    parse_timestamp,
    truncated,
)
from nextbest.rulebook.zones import zone_named

_OFFSET = re.compile(r"([+-]?)(\d{1,2}):(\d{2})", re.ASCII)


def zone(name: str) -> tzinfo | None:
    """The time zone CEL means by an IANA name or a fixed offset such as `-02:30`; None if unknown."""
    if offset := _OFFSET.fullmatch(name):
        minutes = int(offset[2]) * 60 + int(offset[3])
        if minutes >= 24 * 60:
            return None
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    return zone_named(name)


def _local(at: Timestamp, zone_name: str) -> datetime | Failure:
    where = zone(zone_name)
    if where is None:
        return Failure(f"`{zone_name}` is no time zone")
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at.nanos // NANOS)
    try:
        return instant.astimezone(where)
    except OverflowError:
        return Failure("timestamp out of range in that time zone")


def _field(read: Callable[[datetime], int]) -> Function:
    def field(at: Timestamp, zone_name: str = "UTC") -> Value:
        local = _local(at, zone_name)
        return local if isinstance(local, Failure) else read(local)

    return field


def _milliseconds(at: Timestamp, zone_name: str = "UTC") -> Value:
    local = _local(at, zone_name)
    return local if isinstance(local, Failure) else at.nanos % NANOS // 1_000_000


def _span(unit: int) -> Function:
    def span(length: Duration) -> Value:
        return truncated(length.nanos, unit)

    return span


def _span_milliseconds(length: Duration) -> int:
    return truncated(length.nanos - truncated(length.nanos, NANOS) * NANOS, 1_000_000)


def _difference(a: Timestamp, b: Timestamp) -> Value:
    # CEL keeps the difference of two timestamps in 64-bit nanoseconds: about 292 years.
    nanos = a.nanos - b.nanos
    return Duration(nanos) if INT_MIN <= nanos <= INT_MAX else Failure("duration out of range")


def _later(a: Timestamp, b: Duration) -> Value:
    return bounded_timestamp(a.nanos + b.nanos)


def _after(a: Duration, b: Timestamp) -> Value:
    return bounded_timestamp(a.nanos + b.nanos)


def _earlier(a: Timestamp, b: Duration) -> Value:
    return bounded_timestamp(a.nanos - b.nanos)


def _longer(a: Duration, b: Duration) -> Value:
    return bounded_duration(a.nanos + b.nanos)


def _shorter(a: Duration, b: Duration) -> Value:
    return bounded_duration(a.nanos - b.nanos)


def _of_seconds(seconds: int) -> Value:
    return bounded_timestamp(seconds * NANOS)


def _to_seconds(at: Timestamp) -> Value:
    return at.nanos // NANOS


def _days(length: Duration) -> Value:
    return length.nanos / (86400 * NANOS)


TIME_FUNCTIONS: Mapping[str, Function] = {
    "add_timestamp_duration": _later,
    "add_duration_timestamp": _after,
    "add_duration": _longer,
    "subtract_timestamp_duration": _earlier,
    "subtract_duration": _shorter,
    "subtract_timestamp": _difference,
    "int_of_timestamp": _to_seconds,
    "string_of_timestamp": format_timestamp,
    "string_of_duration": format_duration,
    "timestamp_of_string": parse_timestamp,
    "timestamp_of_int": _of_seconds,
    "duration_of_string": parse_duration,
    "full_year": _field(lambda at: at.year),
    "month": _field(lambda at: at.month - 1),
    "date": _field(lambda at: at.day),
    "day_of_month": _field(lambda at: at.day - 1),
    "day_of_week": _field(lambda at: at.isoweekday() % 7),
    "day_of_year": _field(lambda at: at.timetuple().tm_yday - 1),
    "hours": _field(lambda at: at.hour),
    "minutes": _field(lambda at: at.minute),
    "seconds": _field(lambda at: at.second),
    "milliseconds": _milliseconds,
    "span_hours": _span(3600 * NANOS),
    "span_minutes": _span(60 * NANOS),
    "span_seconds": _span(NANOS),
    "span_milliseconds": _span_milliseconds,
    "days_of_duration": _days,
}
"""Functions of timestamps and durations by the name of their overload."""
