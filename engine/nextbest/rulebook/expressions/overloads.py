"""Which function an operator or a name means for arguments of given kinds."""

from collections.abc import Mapping
from typing import NamedTuple

from nextbest.rulebook.expressions.types import (
    BOOL,
    DOUBLE,
    DURATION,
    INT,
    STRING,
    TIMESTAMP,
    UINT,
    Kind,
    Type,
)


class Overload(NamedTuple):
    """A function of `evaluate.FUNCTIONS` and the type of what it gives."""

    function: str
    result: Type


_B, _I, _U, _D, _S, _T, _L = (
    Kind.BOOL,
    Kind.INT,
    Kind.UINT,
    Kind.DOUBLE,
    Kind.STRING,
    Kind.TIMESTAMP,
    Kind.DURATION,
)

ARITHMETIC: Mapping[tuple[str, Kind, Kind], Overload] = {
    **{
        (symbol, kind, kind): Overload(f"{name}_{kind}", result)
        for symbol, name in (("+", "add"), ("-", "subtract"), ("*", "multiply"), ("/", "divide"))
        for kind, result in ((_I, INT), (_U, UINT), (_D, DOUBLE))
    },
    ("%", _I, _I): Overload("modulo_int", INT),
    ("%", _U, _U): Overload("modulo_uint", UINT),
    ("+", _S, _S): Overload("add_string", STRING),
    ("+", _T, _L): Overload("add_timestamp_duration", TIMESTAMP),
    ("+", _L, _T): Overload("add_duration_timestamp", TIMESTAMP),
    ("+", _L, _L): Overload("add_duration", DURATION),
    ("-", _T, _L): Overload("subtract_timestamp_duration", TIMESTAMP),
    ("-", _L, _L): Overload("subtract_duration", DURATION),
    ("-", _T, _T): Overload("subtract_timestamp", DURATION),
}
"""Arithmetic by operator and the kinds on both sides; lists are the checker's business."""

NEGATION: Mapping[Kind, Overload] = {
    _I: Overload("negate_int", INT),
    _D: Overload("negate_double", DOUBLE),
}

COMPARISONS: Mapping[str, str] = {
    "==": "equal",
    "!=": "not_equal",
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
}

CONVERSIONS: Mapping[str, Mapping[Kind, str]] = {
    "int": {
        _I: "",
        _U: "int_of_uint",
        _D: "int_of_double",
        _S: "int_of_string",
        _T: "int_of_timestamp",
    },
    "uint": {_U: "", _I: "uint_of_int", _D: "uint_of_double", _S: "uint_of_string"},
    "double": {_D: "", _I: "double_of_int", _U: "double_of_uint", _S: "double_of_string"},
    "bool": {_B: "", _S: "bool_of_string"},
    "string": {
        _S: "",
        _B: "string_of_bool",
        _I: "string_of_int",
        _U: "string_of_uint",
        _D: "string_of_double",
        _T: "string_of_timestamp",
        _L: "string_of_duration",
    },
    "timestamp": {_T: "", _S: "timestamp_of_string", _I: "timestamp_of_int"},
    "duration": {_L: "", _S: "duration_of_string"},
}
"""Type conversions by target and the kind converted; an empty name leaves the value as it is."""

CONVERTED: Mapping[str, Type] = {
    "int": INT,
    "uint": UINT,
    "double": DOUBLE,
    "bool": BOOL,
    "string": STRING,
    "timestamp": TIMESTAMP,
    "duration": DURATION,
}

TEXT_TESTS: Mapping[str, str] = {
    "startsWith": "starts_with",
    "endsWith": "ends_with",
    "contains": "contains",
    "matches": "matches",
}
"""Methods of a string that take a string and give a bool."""

TIMESTAMP_FIELDS: Mapping[str, str] = {
    "getFullYear": "full_year",
    "getMonth": "month",
    "getDate": "date",
    "getDayOfMonth": "day_of_month",
    "getDayOfWeek": "day_of_week",
    "getDayOfYear": "day_of_year",
    "getHours": "hours",
    "getMinutes": "minutes",
    "getSeconds": "seconds",
    "getMilliseconds": "milliseconds",
}
"""Methods of a timestamp; each may be given a time zone."""

DURATION_FIELDS: Mapping[str, str] = {
    "getHours": "span_hours",
    "getMinutes": "span_minutes",
    "getSeconds": "span_seconds",
    "getMilliseconds": "span_milliseconds",
}
"""Methods of a duration."""

METHODS = frozenset({*TEXT_TESTS, *TIMESTAMP_FIELDS, "size"})
MACROS = frozenset({"all", "exists", "exists_one", "map", "filter"})
OWN = ("days_since", "days_until", "months_since", "within", "abs", "min", "max", "round")
WINDOWS = ("count", "sum", "last", "peers_have")
FUNCTIONS = frozenset({*CONVERSIONS, *OWN, *WINDOWS, "has", "size", "dyn", "type"})
"""Every function that is called by its bare name."""

TYPE_NAMES: Mapping[Kind, str] = {
    Kind.TIMESTAMP: "google.protobuf.Timestamp",
    Kind.DURATION: "google.protobuf.Duration",
    Kind.NULL: "null_type",
    Kind.SET: "list",
}
"""CEL's names of types where they differ from ours."""
DENOTATIONS = frozenset({"bool", "int", "uint", "double", "string", "list", "null_type", "type"})
"""Bare names that stand for a type."""
DOTTED_TYPES = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration"})
"""Dotted names that stand for a type."""
