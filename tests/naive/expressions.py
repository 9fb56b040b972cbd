"""A slow, obvious evaluator of expressions: walks the syntax tree with Python values, three-valued.

Written from the domain model (section 1) and CEL's definition, without the checker, the folding or the
kernel. Strings are strings, sets are Python sets, times are fractions of a second, and UNKNOWN stands
for a missing fact and for an error alike.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from nextbest.rulebook.expressions.syntax import (
    Binary,
    Call,
    Conditional,
    Index,
    ListOf,
    Literal,
    Logical,
    Select,
    Unary,
)
from nextbest.rulebook.expressions.values import Uint

EXACT = 2**53
"""Computed integers that are not below are errors here: the subset's declared limit."""


class Unknown:
    """Missing, or an error; the one instance is UNKNOWN."""

    def __repr__(self):
        return "UNKNOWN"


UNKNOWN = Unknown()


@dataclass(frozen=True)
class Instant:
    """A timestamp in exact seconds since 1970."""

    seconds: Fraction


@dataclass(frozen=True)
class Span:
    """A duration in exact seconds."""

    seconds: Fraction


@dataclass(frozen=True)
class Situation:
    """What one customer's evaluation reads; an absent name is missing."""

    customer: Mapping[str, object]
    context: Mapping[str, object]
    trigger: Mapping[str, object]
    """Truth of each trigger, already false while in its cool-down."""
    now: Fraction
    windows: Mapping[str, object]
    """Values of history calls by their source text."""


class Error(Exception):
    """An evaluation error; becomes UNKNOWN where logic absorbs it."""


def evaluate(node, source: str, at: Situation):
    """Value of a parsed expression, or UNKNOWN."""
    try:
        return _value(node, source, at)
    except Error:
        return UNKNOWN


def _value(node, source, at):
    match node:
        case Literal():
            return node.value
        case Select():
            return _name(node, at)
        case Unary():
            return _unary(node.operator, _value(node.operand, source, at))
        case Logical():
            return _logical(node, source, at)
        case Conditional():
            condition = _value(node.condition, source, at)
            return _value(node.when_true if condition else node.when_false, source, at)
        case Binary():
            return _binary(node.operator, _value(node.left, source, at), _value(node.right, source, at))
        case ListOf():
            return [_value(item, source, at) for item in node.items]
        case Index():
            return _value(node.operand, source, at)[_value(node.place, source, at)]
        case Call():
            return _call(node, source, at)
        case _:
            raise NotImplementedError(node)


def _name(node, at):
    root = {"customer": at.customer, "context": at.context, "trigger": at.trigger}[node.operand.name]
    if node.field not in root or root[node.field] is UNKNOWN:
        raise Error
    return root[node.field]


def _logical(node, source, at):
    """One deciding operand decides, whatever the others are; otherwise an error is an error."""
    deciding = node.operator == "||"
    failed = False
    for operand in node.operands:
        try:
            if _value(operand, source, at) is deciding:
                return deciding
        except Error:
            failed = True
    if failed:
        raise Error
    return not deciding


def _is_int(x):
    return isinstance(x, int) and not isinstance(x, bool)


def _checked_int(x):
    if abs(x) >= EXACT:
        raise Error
    return x


def _checked_uint(x):
    if not 0 <= x < EXACT:
        raise Error
    return Uint(x)


def _unary(operator, x):
    if operator == "!":
        return not x
    return _checked_int(-x) if _is_int(x) else -x


def _comparable(a, b):
    """Numbers of different kinds compare by value."""
    a = a.number if isinstance(a, Uint) else a
    b = b.number if isinstance(b, Uint) else b
    if isinstance(a, Instant | Span):
        return a.seconds, b.seconds
    return a, b


def _binary(operator, a, b):
    if operator == "in":
        return _in(a, b)
    if operator in ("==", "!=", "<", "<=", ">", ">="):
        return _compare(operator, *_comparable(a, b))
    if isinstance(a, Uint):
        return _checked_uint(_integer(operator, a.number, b.number))
    if _is_int(a):
        return _checked_int(_integer(operator, a, b))
    if isinstance(a, Instant | Span):
        return _time(operator, a, b)
    return _double(operator, a, b)


def _compare(operator, a, b):
    return {
        "==": a == b,
        "!=": a != b,
        "<": operator == "<" and a < b,
        "<=": operator == "<=" and a <= b,
        ">": operator == ">" and a > b,
        ">=": operator == ">=" and a >= b,
    }[operator]


def _in(a, b):
    if isinstance(b, frozenset):
        return a in b
    return any(_compare("==", *_comparable(a, x)) for x in b)


def _integer(operator, a, b):
    if operator in "/%" and b == 0:
        raise Error
    if operator == "/":
        return int(Fraction(a, b))
    if operator == "%":
        return a - b * int(Fraction(a, b))
    return {"+": a + b, "-": a - b, "*": a * b}[operator]


def _double(operator, a, b):
    if operator == "+":
        return a + b
    if operator == "-":
        return a - b
    if operator == "*":
        return a * b
    try:
        return a / b
    except ZeroDivisionError:
        if a == 0 or math.isnan(a):
            return math.nan
        return math.copysign(math.inf, a) * math.copysign(1, b)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = Fraction(-62135596800)
_LAST = Fraction(253402300800)


def _instant(seconds):
    if not _FIRST <= seconds < _LAST:
        raise Error
    return Instant(seconds)


def _span(seconds, limit=Fraction(315_576_000_000)):
    if abs(seconds) > limit:
        raise Error
    return Span(seconds)


def _time(operator, a, b):
    seconds = a.seconds + b.seconds if operator == "+" else a.seconds - b.seconds
    kinds = (type(a), type(b))
    if kinds == (Instant, Instant):
        return _span(seconds, Fraction(2**63, 10**9))
    return _span(seconds) if kinds == (Span, Span) else _instant(seconds)


def _call(node, source, at):
    name = node.function
    if name in ("count", "sum", "last", "peers_have"):
        value = at.windows.get(source[node.start : node.end], UNKNOWN)
        if value is UNKNOWN:
            raise Error
        return value
    if name == "has":
        return _has(node.arguments[0], at)
    arguments = [_value(argument, source, at) for argument in node.arguments]
    if node.target is not None:
        return _METHODS[name](_value(node.target, source, at), *arguments)
    if name in _TIMES:
        return _TIMES[name](at.now, *arguments)
    return _FUNCTIONS[name](*arguments)


def _has(node, at):
    try:
        _name(node, at)
    except Error:
        return False
    return True


def _days_since(now, instant):
    return float((now - instant.seconds) / 86400)


def _months_since(now, instant):
    """Count up (or down) month by month until the clamped date passes now."""
    months = 0
    while _plus_months(instant, months + 1) <= now:
        months += 1
    while _plus_months(instant, months) > now:
        months -= 1
    return months


def _plus_months(instant, months):
    start = _EPOCH + timedelta(seconds=math.floor(instant.seconds))
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = start.day
    while True:
        try:
            moved = start.replace(year=year, month=month + 1, day=day)
        except ValueError:
            day -= 1
        else:
            break
    whole = Fraction(int(moved.timestamp()))
    return whole + instant.seconds - math.floor(instant.seconds)


def _within(now, instant, length):
    days = length.seconds / 86400 if isinstance(length, Span) else Fraction(_plain(length))
    return 0 <= now - instant.seconds < days * 86400


def _plain(x):
    return x.number if isinstance(x, Uint) else x


def _round(x):
    return math.copysign(math.floor(Fraction(abs(x)) + Fraction(1, 2)), x) if math.isfinite(x) else x


def _int(x):
    if isinstance(x, str):
        return int(x)
    if isinstance(x, Instant):
        return math.floor(x.seconds)
    if isinstance(x, float) and not abs(x) <= EXACT:
        raise Error
    return int(_plain(x))


def _uint(x):
    if isinstance(x, float) and not 0 <= x <= EXACT:
        raise Error
    return _checked_uint(int(_plain(x)))


def _timestamp(x):
    if isinstance(x, Instant):
        return x
    if isinstance(x, str):
        since_epoch = datetime.fromisoformat(x) - _EPOCH
        return _instant(Fraction(since_epoch / timedelta(microseconds=1)) / 10**6)
    return _instant(Fraction(x))


def _duration(x):
    """Only what the tests write: a whole number and one unit."""
    if isinstance(x, Span):
        return x
    unit = x.lstrip("+-0123456789")
    scale = {"h": Fraction(3600), "m": Fraction(60), "s": Fraction(1), "ms": Fraction(1, 1000)}[unit]
    return _span(Fraction(int(x[: -len(unit)])) * scale)


def _local(instant, zone="UTC"):
    return (_EPOCH + timedelta(seconds=math.floor(instant.seconds))).astimezone(ZoneInfo(zone))


def _milliseconds(x, *_zone):
    sign = -1 if x.seconds < 0 and isinstance(x, Span) else 1
    seconds = abs(x.seconds) if isinstance(x, Span) else x.seconds
    return sign * int((seconds - math.floor(seconds)) * 1000)


def _field(of_span, of_instant):
    def field(x, *zone):
        return int(x.seconds / of_span) if isinstance(x, Span) else of_instant(_local(x, *zone))

    return field


_TIMES = {
    "days_since": _days_since,
    "days_until": lambda now, instant: -_days_since(now, instant),
    "months_since": _months_since,
    "within": _within,
}
_FUNCTIONS = {
    "abs": abs,
    "min": lambda *xs: _fold(xs, lambda a, b: b if b < a else a),
    "max": lambda *xs: _fold(xs, lambda a, b: b if a < b else a),
    "round": _round,
    "size": len,
    "dyn": lambda x: x,
    "int": _int,
    "uint": _uint,
    "double": lambda x: float(_plain(x)),
    "string": lambda x: x if isinstance(x, str) else str(x).lower(),
    "bool": lambda x: {"true": True, "false": False}.get(x, x),
    "timestamp": _timestamp,
    "duration": _duration,
}
_METHODS = {
    "size": len,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": lambda text, part: part in text,
    "getFullYear": _field(1, lambda at: at.year),
    "getMonth": _field(1, lambda at: at.month - 1),
    "getDate": _field(1, lambda at: at.day),
    "getDayOfMonth": _field(1, lambda at: at.day - 1),
    "getDayOfWeek": _field(1, lambda at: at.isoweekday() % 7),
    "getDayOfYear": _field(1, lambda at: at.timetuple().tm_yday - 1),
    "getHours": _field(3600, lambda at: at.hour),
    "getMinutes": _field(60, lambda at: at.minute),
    "getSeconds": _field(1, lambda at: at.second),
    "getMilliseconds": _milliseconds,
}


def _fold(xs, step):
    result = xs[0]
    for x in xs[1:]:
        result = step(result, x)
    return result
