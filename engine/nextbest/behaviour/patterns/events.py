"""Events of one customer, and what patterns found in them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from nextbest.errors import InvalidInput, Violation
from nextbest.rulebook.patterns import Constant

LATEST_S = 1e11
"""Largest time either way, epoch seconds: its microseconds are exact in 64 bits."""
_MICROSECONDS = 1_000_000


def microseconds(time: float) -> int:
    """Epoch seconds as the whole microseconds that patterns compare; infinite times are clipped."""
    return round(max(-LATEST_S, min(time, LATEST_S)) * _MICROSECONDS)


def seconds(microseconds: int) -> float:
    """Whole microseconds as epoch seconds."""
    return microseconds / _MICROSECONDS


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a customer did, or that happened to a customer."""

    key: str
    """Identity among the customer's events: of two with the same key the first one counts."""
    kind: str
    """As the rulebook names it."""
    time: float
    """When it happened, epoch seconds."""
    attributes: Mapping[str, Constant] = field(default_factory=dict[str, Constant])
    """Values that conditions compare. NaN, and whatever is no number, word or bool, is as if not there."""

    def __post_init__(self) -> None:
        if not abs(self.time) <= LATEST_S:
            raise InvalidInput([Violation("time", f"`{self.time}` is no time of an event")])


@dataclass(frozen=True, slots=True)
class Window:
    """What is known of one customer at one moment."""

    customer_id: str
    events: tuple[Event, ...]
    """In any order; events of the same time keep theirs."""
    now: float
    """Epoch seconds. Later events are ignored."""
    since: float = -math.inf
    """Epoch seconds. Only what fires later than this is reported, and not later than `now`."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """An event that is part of a match."""

    name: str
    """What the pattern calls it."""
    event: str
    """Key of the event."""


@dataclass(frozen=True, slots=True)
class PatternMatch:
    """A pattern that fired: its latest match."""

    pattern: str
    """Id of the pattern."""
    fired_at: float
    """Time of the last event, or the end of the wait for what did not follow; epoch seconds."""
    evidence: tuple[Evidence, ...]
    """The events of the match, in the order of their times."""


@dataclass(frozen=True, slots=True)
class WindowResult:
    """What patterns found in a window."""

    customer_id: str
    matches: tuple[PatternMatch, ...] = ()
    """By pattern id."""
    truncated: tuple[str, ...] = ()
    """Ids of patterns that could not look at all events: they may have missed older matches."""
    quarantined: str = ""
    """Why the window could not be evaluated, so that nothing is known; empty if it was."""
