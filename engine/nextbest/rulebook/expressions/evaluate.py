"""CEL's functions on constants, exactly: what folding and tabulation compute with."""

import importlib
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

from nextbest.rulebook.expressions.evaluate_time import TIME_FUNCTIONS
from nextbest.rulebook.expressions.values import (
    INT_MAX,
    INT_MIN,
    UINT_MAX,
    Failure,
    Function,
    Uint,
    Value,
    format_double,
    truncated,
)

Number: TypeAlias = int | float | Uint


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


def _int_divide(a: int, b: int) -> Value:
    return _int(truncated(a, b)) if b else Failure("division by zero")


def _int_modulo(a: int, b: int) -> Value:
    if not b:
        return Failure("modulus by zero")
    # The quotient overflows, so Google's implementations report an error, although 0 would be exact.
    return Failure("integer overflow") if (a, b) == (INT_MIN, -1) else a - b * truncated(a, b)


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


def _not_equal(a: Value, b: Value) -> bool:
    return not _equal(a, b)


def _greater(a: Value, b: Value) -> bool:
    return _less(b, a)


def _greater_equal(a: Value, b: Value) -> bool:
    return _less_equal(b, a)


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
    arrow: Any = importlib.import_module("pyarrow")
    compute: Any = importlib.import_module("pyarrow.compute")
    try:
        found = compute.match_substring_regex(arrow.array([text]), pattern=pattern)
    except arrow.ArrowInvalid:
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


def _string_of_bool(truth: bool) -> str:  # noqa: FBT001  (its argument is a value, not a switch)
    return "true" if truth else "false"


def _ints(function: Callable[[int, int], Value]) -> Function:
    return function


def _uints(function: Callable[[int, int], Value]) -> Function:
    def of_uints(a: Uint, b: Uint) -> Value:
        return function(a.number, b.number)

    return of_uints


def _doubles(function: Callable[[float, float], Value]) -> Function:
    return function


def _texts(function: Callable[[str, str], Value]) -> Function:
    return function


def _of_int(function: Callable[[int], Value]) -> Function:
    return function


def _of_uint(function: Callable[[int], Value]) -> Function:
    def of_uint(a: Uint) -> Value:
        return function(a.number)

    return of_uint


def _of_double(function: Callable[[float], Value]) -> Function:
    return function


def _joined(a: tuple[Value, ...], b: tuple[Value, ...]) -> Value:
    return a + b


def _same(a: Value) -> Value:
    return a


FUNCTIONS: Mapping[str, Function] = {
    **TIME_FUNCTIONS,
    "equal": _equal,
    "not_equal": _not_equal,
    "less": _less,
    "less_equal": _less_equal,
    "greater": _greater,
    "greater_equal": _greater_equal,
    "in_list": _contains_item,
    "index": _index,
    "add_int": _ints(lambda a, b: _int(a + b)),
    "subtract_int": _ints(lambda a, b: _int(a - b)),
    "multiply_int": _ints(lambda a, b: _int(a * b)),
    "divide_int": _ints(_int_divide),
    "modulo_int": _ints(_int_modulo),
    "negate_int": _of_int(lambda a: _int(-a)),
    "add_uint": _uints(lambda a, b: _uint(a + b)),
    "subtract_uint": _uints(lambda a, b: _uint(a - b)),
    "multiply_uint": _uints(lambda a, b: _uint(a * b)),
    "divide_uint": _uints(lambda a, b: Uint(a // b) if b else Failure("division by zero")),
    "modulo_uint": _uints(lambda a, b: Uint(a % b) if b else Failure("modulus by zero")),
    "add_double": _doubles(lambda a, b: a + b),
    "subtract_double": _doubles(lambda a, b: a - b),
    "multiply_double": _doubles(lambda a, b: a * b),
    "divide_double": _divide,
    "negate_double": _of_double(lambda a: -a),
    "add_string": _texts(lambda a, b: a + b),
    "add_list": _joined,
    "absolute_int": _of_int(lambda a: _int(abs(a))),
    "absolute_uint": _same,
    "absolute_double": _of_double(abs),
    "round": _round,
    "minimum": _minimum,
    "maximum": _maximum,
    "size_string": len,
    "size_list": len,
    "starts_with": _texts(lambda a, b: a.startswith(b)),
    "ends_with": _texts(lambda a, b: a.endswith(b)),
    "contains": _texts(lambda a, b: b in a),
    "matches": _matches,
    "int_of_double": _int_of_double,
    "int_of_uint": _of_uint(_int),
    "int_of_string": _int_of_string,
    "uint_of_int": _uint,
    "uint_of_double": _uint_of_double,
    "uint_of_string": _uint_of_string,
    "double_of_int": float,
    "double_of_uint": _of_uint(float),
    "double_of_string": _double_of_string,
    "bool_of_string": _bool_of_string,
    "string_of_bool": _string_of_bool,
    "string_of_int": str,
    "string_of_uint": _of_uint(str),
    "string_of_double": format_double,
}
"""Every strict function by the name of its overload; arguments are of the types the checker matched."""
