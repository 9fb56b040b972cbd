"""CEL's functions on constants, exactly: what folding and tabulation compute with."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TypeAlias, cast
from zoneinfo import ZoneInfo

from nextbest.rulebook.expressions.values import (
    INT_MAX,
    INT_MIN,
    NANOS,
    UINT_MAX,
    Duration,
    Failure,
    Timestamp,
    Uint,
    Value,
    bounded_duration,
    bounded_timestamp,
    format_double,
    format_duration,
    format_timestamp,
    parse_duration,
    parse_timestamp,
)

Number: TypeAlias = int | float | Uint
Function: TypeAlias = Callable[..., Value]


def evaluate(function: str, arguments: tuple[Value, ...]) -> Value:
    """Apply a function to constants; an argument that failed makes the call fail."""
    for argument in arguments:
        if isinstance(argument, Failure):
            return argument
    return FUNCTIONS[function](*arguments)


def _int(number: int) -> int | Failure:
    return number if INT_MIN <= number <= INT_MAX else Failure("integer overflow")


def _uint(number: int) -> Uint | Failure:
    return Uint(number) if 0 <= number <= UINT_MAX else Failure("unsigned integer overflow")


def _truncated(dividend: int, divisor: int) -> int:
    quotient = abs(dividend) // abs(divisor)
    return quotient if (dividend < 0) == (divisor < 0) else -quotient


def _int_divide(a: int, b: int) -> Value:
    return _int(_truncated(a, b)) if b else Failure("division by zero")


def _int_modulo(a: int, b: int) -> Value:
    return a - b * _truncated(a, b) if b else Failure("modulus by zero")


def _uint_divide(a: Uint, b: Uint) -> Value:
    return Uint(a.number // b.number) if b.number else Failure("division by zero")


def _uint_modulo(a: Uint, b: Uint) -> Value:
    return Uint(a.number % b.number) if b.number else Failure("modulus by zero")


def _divide(a: float, b: float) -> float:
    if b:
        return a / b
    if a == 0 or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


def _pair(a: Value, b: Value) -> tuple[Value, Value]:
    """Two numbers of different kinds made comparable, as CEL does: a double wins."""
    if isinstance(a, float) or isinstance(b, float):
        return _double(cast("Number", a)), _double(cast("Number", b))
    return (
        a.number if isinstance(a, Uint) else a,
        b.number if isinstance(b, Uint) else b,
    )


def _double(value: Number) -> float:
    return float(value.number if isinstance(value, Uint) else value)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float | Uint) and not isinstance(value, bool)


def _equal(a: Value, b: Value) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b, strict=True))
    if _is_number(a) and _is_number(b):
        a, b = _pair(a, b)
        return a == b
    return type(a) is type(b) and a == b


def _ordered(a: Value, b: Value) -> tuple[float, float]:
    """Both as Python values that compare; the cast stands for any ordered pair of one kind."""
    if _is_number(a) and _is_number(b):
        a, b = _pair(a, b)
    return cast("tuple[float, float]", (a, b))


def _less(a: Value, b: Value) -> bool:
    x, y = _ordered(a, b)
    return x < y


def _less_equal(a: Value, b: Value) -> bool:
    x, y = _ordered(a, b)
    return x <= y


def _contains_item(item: Value, items: tuple[Value, ...]) -> bool:
    return any(_equal(item, x) for x in items)


def _index(items: tuple[Value, ...], at: int) -> Value:
    return items[at] if 0 <= at < len(items) else Failure("index out of range")


def _round(x: float) -> float:
    if math.isnan(x) or math.isinf(x):
        return x
    whole = math.floor(abs(x))
    return math.copysign(whole + (abs(x) - whole >= 0.5), x)


def _minimum(a: Value, b: Value) -> Value:
    return b if _less(b, a) else a


def _maximum(a: Value, b: Value) -> Value:
    return b if _less(a, b) else a


def _matches(text: str, pattern: str) -> Value:
    # RE2, as CEL demands: linear time whatever the pattern. Imported late: few rulebooks use it.
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    try:
        found = pc.match_substring_regex(pa.array([text]), pattern=pattern)
    except pa.ArrowInvalid:
        return Failure(f"`{pattern}` is no regular expression that RE2 accepts")
    return bool(found[0].as_py())


_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_FLOAT = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf|infinity|nan)", re.IGNORECASE
)
_BOOLS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def _int_of_double(x: float) -> Value:
    # CEL excludes both ends: 2⁶³ is no int64, and -2⁶³ may be a rounded smaller number.
    return int(x) if -(2.0**63) < x < 2.0**63 else Failure("double out of range of int")


def _uint_of_double(x: float) -> Value:
    return Uint(int(x)) if 0 <= x < 2.0**64 else Failure("double out of range of uint")


def _int_of_string(text: str) -> Value:
    return _int(int(text)) if _INTEGER.fullmatch(text) else Failure(f"`{text}` is no int")


def _uint_of_string(text: str) -> Value:
    return _uint(int(text)) if _INTEGER.fullmatch(text) else Failure(f"`{text}` is no uint")


def _double_of_string(text: str) -> Value:
    return float(text) if _FLOAT.fullmatch(text) else Failure(f"`{text}` is no double")


def _bool_of_string(text: str) -> Value:
    return _BOOLS.get(text, Failure(f"`{text}` is no bool"))


_OFFSET = re.compile(r"([+-]?)(\d{1,2}):(\d{2})", re.ASCII)


def zone(name: str) -> tzinfo | None:
    """The time zone CEL means by an IANA name or a fixed offset such as `-02:30`; None if unknown."""
    if offset := _OFFSET.fullmatch(name):
        minutes = int(offset[2]) * 60 + int(offset[3])
        if minutes >= 24 * 60:
            return None
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    try:
        return ZoneInfo(name)
    except (ValueError, OSError):
        return None


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
    return lambda length: _truncated(length.nanos, unit)


def _span_milliseconds(length: Duration) -> int:
    return _truncated(length.nanos - _truncated(length.nanos, NANOS) * NANOS, 1_000_000)


FUNCTIONS: Mapping[str, Function] = {
    "equal": _equal,
    "not_equal": lambda a, b: not _equal(a, b),
    "less": _less,
    "less_equal": _less_equal,
    "greater": lambda a, b: _less(b, a),
    "greater_equal": lambda a, b: _less_equal(b, a),
    "in_list": _contains_item,
    "index": _index,
    "add_int": lambda a, b: _int(a + b),
    "subtract_int": lambda a, b: _int(a - b),
    "multiply_int": lambda a, b: _int(a * b),
    "divide_int": _int_divide,
    "modulo_int": _int_modulo,
    "negate_int": lambda a: _int(-a),
    "add_uint": lambda a, b: _uint(a.number + b.number),
    "subtract_uint": lambda a, b: _uint(a.number - b.number),
    "multiply_uint": lambda a, b: _uint(a.number * b.number),
    "divide_uint": _uint_divide,
    "modulo_uint": _uint_modulo,
    "add_double": lambda a, b: a + b,
    "subtract_double": lambda a, b: a - b,
    "multiply_double": lambda a, b: a * b,
    "divide_double": _divide,
    "negate_double": lambda a: -a,
    "add_string": lambda a, b: a + b,
    "add_list": lambda a, b: a + b,
    "add_timestamp_duration": lambda a, b: bounded_timestamp(a.nanos + b.nanos),
    "add_duration_timestamp": lambda a, b: bounded_timestamp(a.nanos + b.nanos),
    "add_duration": lambda a, b: bounded_duration(a.nanos + b.nanos),
    "subtract_timestamp_duration": lambda a, b: bounded_timestamp(a.nanos - b.nanos),
    "subtract_duration": lambda a, b: bounded_duration(a.nanos - b.nanos),
    "subtract_timestamp": lambda a, b: _difference(a, b),
    "absolute_int": lambda a: _int(abs(a)),
    "absolute_uint": lambda a: a,
    "absolute_double": abs,
    "round": _round,
    "minimum": _minimum,
    "maximum": _maximum,
    "size_string": len,
    "size_list": len,
    "starts_with": lambda a, b: a.startswith(b),
    "ends_with": lambda a, b: a.endswith(b),
    "contains": lambda a, b: b in a,
    "matches": _matches,
    "int_of_double": _int_of_double,
    "int_of_uint": lambda a: _int(a.number),
    "int_of_string": _int_of_string,
    "int_of_timestamp": lambda a: a.nanos // NANOS,
    "uint_of_int": _uint,
    "uint_of_double": _uint_of_double,
    "uint_of_string": _uint_of_string,
    "double_of_int": float,
    "double_of_uint": lambda a: float(a.number),
    "double_of_string": _double_of_string,
    "bool_of_string": _bool_of_string,
    "string_of_bool": lambda a: "true" if a else "false",
    "string_of_int": str,
    "string_of_uint": lambda a: str(a.number),
    "string_of_double": format_double,
    "string_of_timestamp": format_timestamp,
    "string_of_duration": format_duration,
    "timestamp_of_string": parse_timestamp,
    "timestamp_of_int": lambda a: bounded_timestamp(a * NANOS),
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
    "days_of_duration": lambda a: a.nanos / (86400 * NANOS),
}
"""Every strict function by the name of its overload; arguments are of the types the checker matched."""


def _difference(a: Timestamp, b: Timestamp) -> Value:
    # CEL keeps the difference of two timestamps in 64-bit nanoseconds: about 292 years.
    nanos = a.nanos - b.nanos
    return Duration(nanos) if INT_MIN <= nanos <= INT_MAX else Failure("duration out of range")
