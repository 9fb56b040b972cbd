"""Which instruction computes which function of numbers and times, and within which bounds."""

import math
from collections.abc import Mapping

from nextbest.rulebook.expressions.values import DURATION_MAX, INT_MAX, NANOS, TIMESTAMP_MAX, TIMESTAMP_MIN
from nextbest.rulebook.program import Op

EXACT = 2.0**53
"""Integers up to here are exact in a float64."""

BINARY: Mapping[str, Op] = {
    "add_int": Op.INT_ADD,
    "add_uint": Op.INT_ADD,
    "subtract_int": Op.INT_SUBTRACT,
    "multiply_int": Op.INT_MULTIPLY,
    "multiply_uint": Op.INT_MULTIPLY,
    "divide_int": Op.INT_DIVIDE,
    "divide_uint": Op.INT_DIVIDE,
    "modulo_int": Op.INT_MODULO,
    "modulo_uint": Op.INT_MODULO,
    "add_double": Op.ADD,
    "subtract_double": Op.SUBTRACT,
    "multiply_double": Op.MULTIPLY,
    "divide_double": Op.DIVIDE,
    "minimum": Op.MINIMUM,
    "maximum": Op.MAXIMUM,
    "days_between": Op.DAYS_BETWEEN,
    "months_between": Op.MONTHS_BETWEEN,
}
"""Functions of two slots that are one instruction."""
UNARY: Mapping[str, Op] = {
    "negate_double": Op.NEGATE,
    "absolute_int": Op.ABSOLUTE,
    "absolute_double": Op.ABSOLUTE,
    "round": Op.ROUND,
    "int_of_double": Op.TRUNCATE,
    "int_of_timestamp": Op.FLOOR,
}
"""Functions of one slot that are one instruction."""
SAME = frozenset({"int_of_uint", "double_of_int", "double_of_uint", "absolute_uint"})
"""Functions that leave the float64 as it is."""
UINT_BOUNDS = (0.0, EXACT)
TIMESTAMP_BOUNDS = (TIMESTAMP_MIN / NANOS, math.nextafter((TIMESTAMP_MAX + 1) / NANOS, 0.0))
DURATION_BOUNDS = (-DURATION_MAX / NANOS, DURATION_MAX / NANOS)
DIFFERENCE_BOUNDS = (-INT_MAX / NANOS, INT_MAX / NANOS)
BOUNDED: Mapping[str, tuple[Op, tuple[float, float]]] = {
    "subtract_uint": (Op.INT_SUBTRACT, UINT_BOUNDS),
    "add_timestamp_duration": (Op.ADD, TIMESTAMP_BOUNDS),
    "add_duration_timestamp": (Op.ADD, TIMESTAMP_BOUNDS),
    "subtract_timestamp_duration": (Op.SUBTRACT, TIMESTAMP_BOUNDS),
    "add_duration": (Op.ADD, DURATION_BOUNDS),
    "subtract_duration": (Op.SUBTRACT, DURATION_BOUNDS),
    "subtract_timestamp": (Op.SUBTRACT, DIFFERENCE_BOUNDS),
}
"""Functions that are an instruction and then a check of its result."""
