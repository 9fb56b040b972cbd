"""A window → what the library is shown of it: markers, whole numbers, nothing of the customer's own."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from nextbest.behaviour.patterns.chains import count_chains
from nextbest.behaviour.patterns.comparing import Key, is_number, is_there, key_of, passes
from nextbest.behaviour.patterns.definitions import Place, PlannedPattern, Ruleset
from nextbest.behaviour.patterns.events import Event, Window, microseconds
from nextbest.behaviour.patterns.limits import MAX_CHAINS, MAX_EVENTS
from nextbest.rulebook.patterns import Constant, Count

Message: TypeAlias = dict[str, int | str]

SID = "w"
"""The one session that a ruleset ever has."""


class WindowView:
    """A window's events up to now, by time; an event is known by its index."""

    def __init__(self, window: Window) -> None:
        self.now = microseconds(window.now)
        self.since = -math.inf if window.since == -math.inf else microseconds(window.since)
        known: dict[str, tuple[int, Event]] = {}
        for event in window.events:
            known.setdefault(event.key, (microseconds(event.time), event))
        placed = sorted((pair for pair in known.values() if pair[0] <= self.now), key=lambda pair: pair[0])
        self.times = [time for time, _ in placed]
        self.events = [event for _, event in placed]
        self._of_kind: dict[str, list[int]] = {}
        for i, event in enumerate(self.events):
            self._of_kind.setdefault(event.kind, []).append(i)

    def taking(self, place: Place) -> list[int]:
        """Events that can take a place, times aside."""
        return [i for i in self._of_kind.get(place.test.kind, ()) if _can_take(self.events[i], place)]

    def also_taking(self, events: Iterable[int], place: Place) -> list[int]:
        """Those of the events that can take a place, times aside."""
        return [i for i in events if _can_take(self.events[i], place)]

    def completing(self, events: Iterable[int], wait_us: int) -> list[int]:
        """Those of the events after which a pattern fires within the window's bounds."""
        return [i for i in events if self.since < self.times[i] + wait_us <= self.now]


def _can_take(event: Event, place: Place) -> bool:
    attributes = event.attributes
    return passes(place.test, attributes) and all(
        is_number(attributes.get(need.attribute))
        if need.is_number
        else is_there(attributes.get(need.attribute))
        for need in place.needs
    )


@dataclass(frozen=True, slots=True)
class Candidates:
    """Which events can take which place of a pattern; events by index, by time."""

    planned: PlannedPattern
    places: tuple[list[int], ...]
    """For each of the pattern's places."""
    follow: list[int]
    """Those that must not follow."""
    is_truncated: bool = False
    """Whether older events were left out."""
    can_fire: bool = True
    """Whether times allow a whole match."""

    @property
    def events(self) -> set[int]:
        """All of them."""
        return {*self.follow, *(event for place in self.places for event in place)}

    def since(self, first: int) -> "Candidates":
        """Without the events before one."""
        places = tuple([event for event in place if event >= first] for place in self.places)
        follow = [event for event in self.follow if event >= first]
        return Candidates(self.planned, places, follow, is_truncated=True)


def candidates_of(planned: PlannedPattern, view: WindowView) -> Candidates | None:
    """Which events matter to a pattern: the newest, as many as it can bear; None if none do."""
    places = [view.taking(place) for place in planned.places]
    places[-1] = view.completing(places[-1], planned.pattern.wait_us)
    if not all(places):
        return None
    follow = view.taking(planned.without) if planned.without else []
    return _newest(Candidates(planned, tuple(places), follow), view)


def _newest(candidates: Candidates, view: WindowView) -> Candidates:
    pattern = candidates.planned.pattern
    events = sorted(candidates.events)
    first = max(0, len(events) - MAX_EVENTS)
    kept = candidates.since(events[first]) if first else candidates
    while (chains := count_chains(pattern, kept.places, kept.follow, view.times)).all > MAX_CHAINS:
        first += 1
        kept = candidates.since(events[first])
    return replace(kept, can_fire=chains.whole > 0)


def replays(candidates: Iterable[Candidates]) -> Iterator[list[Candidates]]:
    """Group patterns so that no group needs more messages than the library is trusted with."""
    group: list[Candidates] = []
    events: set[int] = set()
    for each in candidates:
        if group and len(events | each.events) > MAX_EVENTS:
            yield group
            group, events = [], set()
        group.append(each)
        events |= each.events
    if group:
        yield group


def messages_of(
    group: Iterable[Candidates], view: WindowView, ruleset: Ruleset, *, window: int
) -> list[Message]:
    """The messages of one replay, by time.

    Args:
        group: patterns and their candidates.
        view: the window.
        ruleset: of the patterns.
        window: number of the replay, so that what an earlier one left behind can never join.
    """
    messages: dict[int, Message] = {}
    for candidates in group:
        for place, events in _marked(candidates, view):
            for event in events:
                messages.setdefault(event, _message(event, view, window))[place.marker] = 1
        _add_ordinals(candidates, view, messages)
    _add_codes(messages, view, ruleset.attributes)
    return [messages[event] for event in sorted(messages)]


def _marked(candidates: Candidates, view: WindowView) -> Iterator[tuple[Place, list[int]]]:
    planned = candidates.planned
    yield from zip(planned.places, candidates.places, strict=True)
    if planned.without:
        yield planned.without, candidates.follow
        for place, events in zip(planned.blockable, candidates.places, strict=True):
            yield place, view.also_taking(events, place)


def _message(event: int, view: WindowView, window: int) -> Message:
    return {"id": str(event), "sid": SID, "k": 1, "w": window, "t": view.times[event]}


def _add_ordinals(candidates: Candidates, view: WindowView, messages: Mapping[int, Message]) -> None:
    """Number the events of a count among their equals, so that two events joined stand for n."""
    form = candidates.planned.pattern.form
    if not isinstance(form, Count):
        return
    counted: dict[tuple[Key, ...], int] = {}
    for event in candidates.places[0]:
        equals = equals_of(view.events[event], form.same)
        counted[equals] = counted.get(equals, 0) + 1
        messages[event][candidates.planned.ordinal] = counted[equals]


def equals_of(event: Event, same: Iterable[str]) -> tuple[Key, ...]:
    """What two events of one count have in common."""
    return tuple(key_of(event.attributes[attribute]) for attribute in same)


def _add_codes(messages: Mapping[int, Message], view: WindowView, attributes: Mapping[str, str]) -> None:
    """Put codes for values: equal for equal values, ordered for numbers."""
    found = [
        (message, code, value)
        for event, message in messages.items()
        for attribute, code in attributes.items()
        if (value := view.events[event].attributes.get(attribute)) is not None and is_there(value)
    ]
    codes = _codes(value for _, _, value in found)
    for message, code, value in found:
        message[code] = codes[key_of(value)]


def _codes(values: Iterable[Constant]) -> dict[Key, int]:
    """INVARIANT: numbers get their rank; joins that order read numbers only, so words may have any code."""
    keys = {key_of(value) for value in values}
    return {key: code for code, key in enumerate(sorted(keys))}
