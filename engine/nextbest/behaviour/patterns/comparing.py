"""Values of events: what is there, of what kind, and how two compare."""

import math
import operator
from collections.abc import Callable, Mapping
from typing import TypeAlias

from nextbest.rulebook.patterns import Comparator, Constant, EventTest

Key: TypeAlias = tuple[bool, bool, Constant]
"""A value together with its kind, so that `1`, `true` and `"1"` are three values."""

_ORDERINGS: Mapping[Comparator, Callable[[float, float], bool]] = {
    Comparator.LT: operator.lt,
    Comparator.LE: operator.le,
    Comparator.GT: operator.gt,
    Comparator.GE: operator.ge,
}


def is_number(value: object) -> bool:
    """Whether a value is a number other than NaN; bools are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def is_there(value: object) -> bool:
    """Whether conditions see the value at all."""
    return isinstance(value, str | bool) or is_number(value)


def key_of(value: Constant) -> Key:
    """Equal for equal values of one kind; a whole number equals the same number with a point."""
    return isinstance(value, str), isinstance(value, bool), value


def passes(test: EventTest, attributes: Mapping[str, Constant]) -> bool:
    """Whether an event's own attributes pass; kind and joins are not looked at."""
    return all(_holds(attributes.get(c.attribute), c.comparator, c.constant) for c in test.own)


def _holds(value: Constant | None, comparator: Comparator, constant: Constant) -> bool:
    if value is None or not is_there(value):
        return False
    if comparator.is_ordering:
        return is_number(value) and _ORDERINGS[comparator](value, constant)  # pyright: ignore[reportArgumentType]  # both are numbers
    return (key_of(value) == key_of(constant)) is (comparator is Comparator.EQ)
