"""Fact values as people and files write them, and as rows hold them; what does not fit is said."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TypeAlias, cast

import numpy as np

from nextbest.facts import Catalogue, Fact, FactType
from nextbest.model import F64, I64, Bools

FactValue: TypeAlias = bool | int | float | str | tuple[str, ...]
"""A fact as decoded: timestamps are epoch seconds, sets are tuples in code order."""

MAX_INT = 2**53 - 1
"""Whole numbers beyond this are not exact in a float64."""
FIRST_TIME_S, LAST_TIME_S = -62_135_596_800.0, 253_402_300_799.0
"""Years 1 to 9999. Milliseconds mistaken for seconds fall outside."""
PURCHASE_FACTS = ("repeat_purchases", "recency_weeks", "observed_weeks")
"""x, t_x and T, which must agree: 0 ≤ t_x ≤ T and x = 0 ⇔ t_x = 0 (domain model, section 1)."""
REPEAT_VALUE = "mean_repeat_value"
"""zbar, above 0 where x is: Gamma-Gamma knows no purchases that are worth nothing (section 4)."""


_LONGEST_NAME = 80


class UnfitValueError(ValueError):
    """A value does not fit its fact; the text is the violation's description."""


def number_of(fact: Fact, value: object) -> float:
    """The number that stands for a number's, enum's or timestamp's value.

    Raises:
        UnfitValueError: wrong type, not finite, or an unknown member. Bounds are `FactChecks`' matter.
    """
    if fact.type is FactType.ENUM:
        return float(_member_code(fact, value))
    if isinstance(value, datetime) and fact.type is FactType.TIMESTAMP:
        return _epoch_seconds(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UnfitValueError(f"`{value}` is not {_WANTED[fact.type]}")
    if not math.isfinite(value):
        raise UnfitValueError(f"`{value}` is not a finite number")
    if abs(value) > MAX_INT and isinstance(value, int):
        raise UnfitValueError(f"`{value}` is beyond ±(2^53 - 1), where whole numbers are no longer exact")
    return float(value) + 0.0  # -0.0 becomes 0.0, so that equal values have equal bytes


def bits_of(fact: Fact, value: object) -> int:
    """The bit mask that stands for a bool's or a set's value.

    Raises:
        UnfitValueError: wrong type, or an unknown member.
    """
    if fact.type is FactType.BOOL:
        if not isinstance(value, bool):
            raise UnfitValueError(f"`{value}` is not true or false")
        return int(value)
    if isinstance(value, str) or not isinstance(value, (Sequence, Set)):
        raise UnfitValueError(f"`{value}` is not a list of members")
    bits = 0
    for member in cast("Sequence[object] | Set[object]", value):
        bits |= 1 << _member_code(fact, member)
    return bits


def value_of_number(fact: Fact, number: float) -> FactValue:
    """What `number_of` was given; a code out of range, or no finite number, raises UnfitValueError."""
    if not math.isfinite(number):
        raise UnfitValueError(f"holds {number:g}, which is no finite number")
    if fact.type is FactType.ENUM:
        if not 0 <= number < len(fact.values):
            raise UnfitValueError(f"holds code {number:g} of {len(fact.values)} members")
        return fact.values[int(number)]
    return int(number) if fact.type is FactType.INT else number


def value_of_bits(fact: Fact, bits: int) -> FactValue:
    """What `bits_of` was given."""
    if fact.type is FactType.BOOL:
        return bool(bits & 1)
    return tuple(name for code, name in enumerate(fact.values) if bits >> code & 1)


def unknown_fact(name: str, catalogue: Catalogue) -> str:
    """The description of a violation: there is no such fact, with the nearest known name."""
    return "is not a fact of this catalogue" + _nearest(name, (f.name for f in catalogue.facts))


def _nearest(name: object, known: Iterable[str]) -> str:
    """A hint at the nearest known name; a text far too long for one is not looked up, which takes time."""
    if not isinstance(name, str) or len(name) > _LONGEST_NAME:
        return ""
    near = get_close_matches(name, list(known), n=1)
    return f": did you mean `{near[0]}`?" if near else ""


_WANTED: Mapping[FactType, str] = {
    FactType.INT: "a whole number",
    FactType.DOUBLE: "a number",
    FactType.TIMESTAMP: "a time (epoch seconds or a date-time with zone)",
}


def _member_code(fact: Fact, value: object) -> int:
    if isinstance(value, str) and value in fact.values:
        return fact.values.index(value)
    raise UnfitValueError(not_a_member(value, fact) + _nearest(value, fact.values))


def not_a_member(value: object, fact: Fact) -> str:
    """The description of a violation: the enum or set has no such member."""
    shown = ", ".join(f"`{v}`" for v in fact.values[:8])
    more = f" and {len(fact.values) - 8} more" if len(fact.values) > 8 else ""
    return f"`{value}` is not one of {shown}{more}" if fact.values else f"`{value}`: no members are declared"


def _epoch_seconds(value: datetime) -> float:
    if value.tzinfo is None:
        raise UnfitValueError(f"`{value}` has no time zone")
    return value.astimezone(UTC).timestamp()


def shown(number: float) -> str:
    """A number as people write it."""
    number = float(number)
    return str(int(number)) if number.is_integer() and abs(number) < 1e18 else repr(number)


@dataclass(frozen=True, slots=True)
class Misfit:
    """Values of one fact, in one or more rows, that break one rule."""

    fact: str
    rows: I64
    """Indices of the rows at fault, ascending."""
    describe: Callable[[int], str]
    """The violation's description for a row's index."""


class FactChecks:
    """The rules that numbers must keep beyond their type, checked a column at a time."""

    def __init__(self, catalogue: Catalogue) -> None:
        facts = [catalogue[name] for name in catalogue.columns]
        self._catalogue = catalogue
        self._names = [f.name for f in facts]
        self._low = np.array([_bound(f, f.minimum, FIRST_TIME_S, -np.inf) for f in facts])
        self._high = np.array([_bound(f, f.maximum, LAST_TIME_S, np.inf) for f in facts])
        self._because = [f"; {f.maximum_because}" if f.maximum_because else "" for f in facts]
        self._whole = np.array([f.type is FactType.INT for f in facts], np.bool_)

    def misfits(self, numbers: F64) -> list[Misfit]:
        """Everything wrong with a batch of numbers.

        Args:
            numbers: (n, catalogue.n_numbers), NaN = missing and never at fault.
        """
        infinite = np.isinf(numbers)
        found = list(self._reports(infinite, numbers, lambda _: "`{}` is not a finite number"))
        inside = ~infinite
        found += self._reports(
            (numbers < self._low) & inside, numbers, lambda c: f"`{{}}` is below {shown(self._low[c])}"
        )
        found += self._reports(
            (numbers > self._high) & inside,
            numbers,
            lambda c: f"`{{}}` is above {shown(self._high[c])}{self._because[c]}",
        )
        found += self._reports(
            self._whole & inside & (np.floor(numbers) != numbers) & ~np.isnan(numbers),
            numbers,
            lambda _: "`{}` is not a whole number",
        )
        found += self._reports(
            self._whole & inside & (np.abs(numbers) > MAX_INT),
            numbers,
            lambda _: "`{}` is beyond ±(2^53 - 1), where whole numbers are no longer exact",
        )
        return found + list(self._disagreements(numbers))

    def _reports(self, bad: Bools, numbers: F64, template: Callable[[int], str]) -> Iterator[Misfit]:
        if not bad.any():
            return
        for column in np.flatnonzero(bad.any(axis=0)).tolist():
            values, text = numbers[:, column], template(column)
            yield Misfit(self._names[column], np.flatnonzero(bad[:, column]), _describe(values, text))

    def _disagreements(self, numbers: F64) -> Iterator[Misfit]:
        columns = [self._catalogue.column(name) for name in (*PURCHASE_FACTS, REPEAT_VALUE)]
        x, t_x, observed, zbar = (numbers[:, c] if c >= 0 else np.full(len(numbers), np.nan) for c in columns)
        known = ~np.isnan(x) & ~np.isnan(t_x)
        rules = (
            (t_x < 0, "must not be negative"),
            (t_x > observed, "must not be later than `observed_weeks`"),
            (known & ((x == 0) != (t_x == 0)), "must be 0 exactly when `repeat_purchases` is 0"),
        )
        for broken, text in rules:
            if broken.any():
                yield Misfit(PURCHASE_FACTS[1], np.flatnonzero(broken), _describe(t_x, f"`{{}}` {text}"))
        worthless = (x > 0) & (zbar == 0)  # below 0 it is out of the fact's bounds
        if worthless.any():
            text = "`{}` must be above 0 where `repeat_purchases` is; leave it out if it is not known"
            yield Misfit(REPEAT_VALUE, np.flatnonzero(worthless), _describe(zbar, text))


def _bound(fact: Fact, declared: float | None, time: float, other: float) -> float:
    if declared is not None:
        return declared
    return time if fact.type is FactType.TIMESTAMP else other


def _describe(values: F64, template: str) -> Callable[[int], str]:
    return lambda row: template.format(shown(values[row]))
