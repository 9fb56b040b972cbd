"""Constant values as CEL has them, with exact times."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

NANOS = 1_000_000_000
INT_MIN, INT_MAX = -(2**63), 2**63 - 1
UINT_MAX = 2**64 - 1
TIMESTAMP_MIN = -62_135_596_800 * NANOS
"""0001-01-01T00:00:00Z, the earliest timestamp of CEL."""
TIMESTAMP_MAX = 253_402_300_800 * NANOS - 1
"""The last nanosecond of the year 9999."""
DURATION_MAX = 315_576_000_000 * NANOS
"""Ten thousand years either way, the longest duration of CEL."""


@dataclass(frozen=True, slots=True, order=True)
class Uint:
    """An unsigned 64-bit integer."""

    number: int


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """An instant in nanoseconds since 1970 UTC."""

    nanos: int

    @property
    def seconds(self) -> float:
        """Epoch seconds, rounded to a float64."""
        return self.nanos / NANOS


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A length of time in nanoseconds."""

    nanos: int

    @property
    def seconds(self) -> float:
        """Seconds, rounded to a float64."""
        return self.nanos / NANOS


@dataclass(frozen=True, slots=True)
class TypeValue:
    """A type as a value, as `type(1)` gives it."""

    name: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A runtime error that is already known; in `&&` and `||` it behaves as UNKNOWN."""

    message: str


Value: TypeAlias = (
    "bool | int | float | str | Uint | Timestamp | Duration | TypeValue | tuple[Value, ...] | Failure | None"
)
"""A constant; None is CEL's null, a tuple a list."""


Function: TypeAlias = Callable[..., Value]
"""A strict function on constants; what it takes is known to the checker only."""


def truncated(dividend: int, divisor: int) -> int:
    """Quotient of integers rounded towards zero."""
    quotient = abs(dividend) // abs(divisor)
    return quotient if (dividend < 0) == (divisor < 0) else -quotient


_TIMESTAMP = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[Tt](?P<time>\d{2}:\d{2}:\d{2})(?:\.(?P<fraction>\d{1,9}))?"
    r"(?:(?P<utc>[Zz])|(?P<sign>[+-])(?P<hours>[01]\d|2[0-3]):(?P<minutes>[0-5]\d))",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_timestamp(text: str) -> Timestamp | Failure:
    """Read an RFC 3339 timestamp, to the nanosecond."""
    match = _TIMESTAMP.fullmatch(text)
    if not match:
        return Failure(f"`{text}` is no timestamp such as `2026-01-31T00:00:00Z`")
    try:
        instant = datetime.fromisoformat(f"{match['date']}T{match['time']}+00:00")
    except ValueError:
        return Failure(f"timestamp `{text}` is out of range")
    nanos = round((instant - _EPOCH) / timedelta(seconds=1)) * NANOS - _offset_nanos(match)
    fraction = match["fraction"] or ""
    return bounded_timestamp(nanos + int(fraction.ljust(9, "0")))


def _offset_nanos(match: re.Match[str]) -> int:
    if match["utc"]:
        return 0
    seconds = int(match["hours"]) * 3600 + int(match["minutes"]) * 60
    return (-seconds if match["sign"] == "-" else seconds) * NANOS


def bounded_timestamp(nanos: int) -> Timestamp | Failure:
    """The timestamp, if it is within the years 1 to 9999."""
    if TIMESTAMP_MIN <= nanos <= TIMESTAMP_MAX:
        return Timestamp(nanos)
    return Failure("timestamp out of range")


def bounded_duration(nanos: int) -> Duration | Failure:
    """The duration, if it is within ten thousand years either way."""
    if abs(nanos) <= DURATION_MAX:
        return Duration(nanos)
    return Failure("duration out of range")


_UNITS = {"h": 3600 * NANOS, "m": 60 * NANOS, "s": NANOS, "ms": 1_000_000, "us": 1000, "µs": 1000, "ns": 1}
_PART = re.compile(r"(?P<whole>\d*)(?:\.(?P<fraction>\d*))?(?P<unit>ms|us|µs|ns|h|m|s)", re.ASCII)


def parse_duration(text: str) -> Duration | Failure:
    """Read a duration such as `1h30m` or `-1.5s`; its units are h, m, s, ms, us and ns."""
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return Duration(0)
    total, at = 0, 0
    while rest and (part := _PART.match(rest, at)) and (part["whole"] or part["fraction"]):
        total += _part_nanos(part)
        at = part.end()
    if not rest or at != len(rest):
        return Failure(f"`{text}` is no duration such as `36h` or `1h30m`")
    return bounded_duration(sign * total)


def _part_nanos(part: re.Match[str]) -> int:
    unit = _UNITS[part["unit"]]
    digits = (part["fraction"] or "")[:18]
    return int(part["whole"] or "0") * unit + int(digits or "0") * unit // 10 ** len(digits)


def format_timestamp(value: Timestamp) -> str:
    """RFC 3339 in UTC with as many of 0, 3, 6 or 9 decimals as are needed."""
    seconds, nanos = divmod(value.nanos, NANOS)
    instant = _EPOCH + timedelta(seconds=seconds)
    return f"{instant:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + _fraction(nanos) + "Z"


def _fraction(nanos: int) -> str:
    digits = f"{nanos:09d}"
    for kept in (0, 3, 6):
        if not digits[kept:].strip("0"):
            return f".{digits[:kept]}" if kept else ""
    return f".{digits}"


def format_duration(value: Duration) -> str:
    """Seconds with as many of 0, 3, 6 or 9 decimals as are needed, such as `1.500s`."""
    sign = "-" if value.nanos < 0 else ""
    seconds, nanos = divmod(abs(value.nanos), NANOS)
    return f"{sign}{seconds}{_fraction(nanos)}s"


def format_double(value: float) -> str:
    """The shortest text that reads back as the same double, without a trailing `.0`."""
    text = repr(value)
    return text[:-2] if text.endswith(".0") else text
