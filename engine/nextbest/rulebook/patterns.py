"""Event patterns as the rule files state them, checked: what must happen, how close, and what must not.

Times are whole microseconds. A comparison holds only between values that are there; numbers compare with
numbers, words are equal or not, and values of different kinds are unequal (docs/patterns.md).
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TypeAlias

Constant: TypeAlias = bool | int | float | str
"""What an attribute may be compared with; also what an attribute can be."""


class Comparator(StrEnum):
    """How two values are compared."""

    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="

    @property
    def is_ordering(self) -> bool:
        """Whether both sides must be numbers."""
        return self not in (Comparator.EQ, Comparator.NE)

    @property
    def turned(self) -> "Comparator":
        """The comparator that says the same with the sides exchanged."""
        return _TURNED.get(self, self)


_TURNED = {
    Comparator.LT: Comparator.GT,
    Comparator.LE: Comparator.GE,
    Comparator.GT: Comparator.LT,
    Comparator.GE: Comparator.LE,
}


@dataclass(frozen=True, slots=True)
class OwnComparison:
    """An event's own attribute compared with a constant."""

    attribute: str
    comparator: Comparator
    constant: Constant


@dataclass(frozen=True, slots=True)
class Join:
    """An event's own attribute compared with an attribute of an earlier event."""

    attribute: str
    comparator: Comparator
    step: int
    """Index of the earlier event's step."""
    other: str
    """The earlier event's attribute."""


@dataclass(frozen=True, slots=True)
class EventTest:
    """Which events can take a place in a pattern."""

    kind: str
    own: tuple[OwnComparison, ...] = ()
    joins: tuple[Join, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a sequence."""

    test: EventTest
    name: str
    """As later conditions and the evidence call it."""
    within_us: int | None = None
    """Less than so long after the step before; None = bounded by the whole only."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """Events of which each is later than the one before."""

    steps: tuple[Step, ...]
    within_us: int | None = None
    """The last comes less than so long after the first; None = bounded by the steps only."""


@dataclass(frozen=True, slots=True)
class Count:
    """At least so many events that pass one test, all within a time, equal in some attributes."""

    test: EventTest
    """Without joins."""
    name: str
    at_least: int
    within_us: int
    same: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Absence:
    """No event that passes the test comes after the last event, and less than so long after it."""

    test: EventTest
    within_us: int


@dataclass(frozen=True)
class Pattern:
    """A sequence or a count of events, and what must not follow."""

    id: str
    form: Sequence | Count
    then_no: Absence | None = None

    @property
    def wait_us(self) -> int:
        """How long after its last event the pattern is decided."""
        return self.then_no.within_us if self.then_no else 0

    @cached_property
    def span_us(self) -> int:
        """Longest time from a match's first event to the moment it fires."""
        return _form_span(self.form) + self.wait_us

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of event that matter to it."""
        return frozenset(test.kind for test in self.tests)

    @property
    def tests(self) -> tuple[EventTest, ...]:
        """The tests of all its places, what must not follow last."""
        form = self.form
        tests = tuple(step.test for step in form.steps) if isinstance(form, Sequence) else (form.test,)
        return (*tests, self.then_no.test) if self.then_no else tests


def _form_span(form: Sequence | Count) -> int:
    if isinstance(form, Count):
        return form.within_us
    bounds = [step.within_us for step in form.steps[1:]]
    known = [bound for bound in bounds if bound is not None]
    if form.within_us is None:
        return sum(known)
    return min(form.within_us, sum(known)) if len(known) == len(bounds) else form.within_us
