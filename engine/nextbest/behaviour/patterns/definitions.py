"""Checked patterns → rulesets of the library, each within what it can be trusted with.

What an event is by itself (kind, comparisons with constants, attributes that must be there) is decided
before the library sees it: a message says by markers which places the event can take. The library joins:
times, attributes of different events, ordinals. It is given whole numbers only, and names of our own, so
that nothing an author or a customer writes ever reaches it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from nextbest.behaviour.patterns.limits import MAX_ATTRIBUTES, MAX_CONDITIONS, MAX_MARKERS
from nextbest.rulebook.patterns import Absence, Comparator, Count, EventTest, Join, Pattern, Sequence

Condition: TypeAlias = dict[str, Any]
"""A condition in the library's own JSON form."""

ALL_RESULTS = 65_535
"""`cap` of a rule: every match it has is handed over at once."""
WITHOUT = "n"
"""What the library calls an event that must not follow."""
_OPERATORS = {
    Comparator.NE: "$neq",
    Comparator.LT: "$lt",
    Comparator.LE: "$lte",
    Comparator.GT: "$gt",
    Comparator.GE: "$gte",
}


@dataclass(frozen=True, slots=True)
class Need:
    """An attribute that an event must have to take a place, because a join reads it."""

    attribute: str
    is_number: bool
    """Whether it must be a number."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a pattern, and which events can take it."""

    marker: str
    """Property of a message whose event can take the place."""
    test: EventTest
    needs: tuple[Need, ...]


@dataclass(frozen=True, slots=True)
class PlannedPattern:
    """A pattern in its ruleset."""

    pattern: Pattern
    rule: str
    """Rule that gives its matches, as if nothing could follow."""
    blocked: str
    """Rule that gives the matches that what must not follow has followed."""
    places: tuple[Place, ...]
    """One for each step; a count has two, for its first and its last event."""
    blockable: tuple[Place, ...]
    """The same, for events that also have what the comparisons of `then_no` read; empty without it."""
    without: Place | None
    """What must not follow."""
    ordinal: str
    """Property that numbers the events of a count among their equals."""

    @property
    def markers(self) -> frozenset[str]:
        """Markers of all its places."""
        places = (*self.places, *self.blockable, *([self.without] if self.without else []))
        return frozenset(place.marker for place in places)


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Patterns that the library evaluates together."""

    name: str
    definition: Mapping[str, Any]
    """Rules in the library's JSON form."""
    patterns: tuple[PlannedPattern, ...]
    attributes: Mapping[str, str]
    """Property that holds the code of an attribute's value, by attribute."""


@dataclass(frozen=True, slots=True)
class CompiledPatterns:
    """Patterns ready for a worker."""

    patterns: tuple[Pattern, ...]
    """By id."""
    rulesets: tuple[Ruleset, ...]

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of event that matter to any of them."""
        return frozenset(kind for pattern in self.patterns for kind in pattern.kinds)

    @property
    def lookback_s(self) -> float:
        """Events older than this cannot be part of anything that fires now."""
        return max((pattern.span_us for pattern in self.patterns), default=0) / 1e6


def compile_patterns(patterns: Iterable[Pattern]) -> CompiledPatterns:
    """Spread patterns over rulesets; those that read the same kinds of events come together."""
    ordered = sorted(patterns, key=lambda pattern: pattern.id)
    groups = _grouped(sorted(ordered, key=lambda pattern: sorted(pattern.kinds)))
    rulesets = tuple(_ruleset(f"p{number}", group) for number, group in enumerate(groups))
    return CompiledPatterns(tuple(ordered), rulesets)


def _grouped(patterns: Iterable[Pattern]) -> list[list[Pattern]]:
    groups: list[list[Pattern]] = []
    markers = conditions = 0
    attributes: set[str] = set()
    for pattern in patterns:
        own = attributes_of(pattern)
        places = _places_in(pattern)
        markers, conditions = markers + places, conditions + 2 * places
        attributes |= own
        is_full = markers > MAX_MARKERS or conditions > MAX_CONDITIONS or len(attributes) > MAX_ATTRIBUTES
        if is_full or not groups:
            groups.append([])
            markers, conditions, attributes = places, 2 * places, set(own)
        groups[-1].append(pattern)
    return groups


def _places_in(pattern: Pattern) -> int:
    places = 2 if isinstance(pattern.form, Count) else len(pattern.form.steps)
    if pattern.then_no is None:
        return places
    return places + len({join.step for join in pattern.then_no.test.joins}) + 1


def attributes_of(pattern: Pattern) -> set[str]:
    """Attributes that joins of a pattern read."""
    same = pattern.form.same if isinstance(pattern.form, Count) else ()
    joins = [join for test in pattern.tests for join in test.joins]
    return {*same, *(join.attribute for join in joins), *(join.other for join in joins)}


def _ruleset(name: str, patterns: list[Pattern]) -> Ruleset:
    read = sorted({attribute for pattern in patterns for attribute in attributes_of(pattern)})
    writer = _Writer({attribute: f"a{i}" for i, attribute in enumerate(read)})
    planned = tuple(writer.add(i, pattern) for i, pattern in enumerate(patterns))
    return Ruleset(name, writer.rules, planned, writer.attributes)


class _Writer:
    """Writes the rules of one ruleset."""

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self.attributes = attributes
        self.rules: dict[str, Any] = {}
        self._markers = 0

    def add(self, number: int, pattern: Pattern) -> PlannedPattern:
        """Write a pattern's rules: one for its matches, one for those that something has followed."""
        form, then_no = pattern.form, pattern.then_no
        rule, blocked, ordinal = f"r{number}", f"b{number}", f"o{number}"
        places = self._places(form)
        self.rules[rule] = _rule(self._conditions(form, places, ordinal))
        if then_no is None:
            return PlannedPattern(pattern, rule, blocked, places, (), None, ordinal)
        # A count's only step is its last event.
        first_read = 0 if isinstance(form, Sequence) else 1
        blockable = tuple(
            self._with(place, _needs_of(i - first_read, then_no.test.joins)) for i, place in enumerate(places)
        )
        without = self._place(then_no.test, _own_needs(then_no.test.joins))
        follows = self._follows(then_no, without, len(places) - 1, first_read)
        self.rules[blocked] = _rule(self._conditions(form, blockable, ordinal), {WITHOUT: follows})
        return PlannedPattern(pattern, rule, blocked, places, blockable, without, ordinal)

    def _conditions(self, form: Sequence | Count, places: tuple[Place, ...], ordinal: str) -> list[Condition]:
        if isinstance(form, Count):
            return self._count(form, places, ordinal)
        return [self._step(form, i, place) for i, place in enumerate(places)]

    def _places(self, form: Sequence | Count) -> tuple[Place, ...]:
        if isinstance(form, Count):
            same = [Need(attribute, is_number=False) for attribute in form.same]
            return self._place(form.test, same), self._place(form.test, same)
        tests = [step.test for step in form.steps]
        joins = [join for test in tests for join in test.joins]
        return tuple(
            self._place(test, [*_own_needs(test.joins), *_needs_of(i, joins)]) for i, test in enumerate(tests)
        )

    def _with(self, place: Place, needs: list[Need]) -> Place:
        """A place for events that have even more; itself if no more is needed."""
        return self._place(place.test, [*place.needs, *needs]) if needs else place

    def _place(self, test: EventTest, needs: Iterable[Need]) -> Place:
        self._markers += 1
        return Place(f"x{self._markers - 1}", test, tuple(dict.fromkeys(needs)))

    def _step(self, form: Sequence, i: int, place: Place) -> Condition:
        if i == 0:
            return _every(place.marker)
        within, whole = form.steps[i].within_us, form.within_us
        times = [_later(i - 1)]
        times += [_before(i - 1, within)] if within is not None else []
        times += [_before(0, whole)] if whole is not None else []
        return _every(place.marker, *times, *self._joins(place.test.joins, 0))

    def _count(self, form: Count, places: tuple[Place, ...], ordinal: str) -> list[Condition]:
        """Two events of which the second is the n-th of its equals, counted from the first."""
        equals = [{self.attributes[name]: {"s0": self.attributes[name]}} for name in form.same]
        nth = {ordinal: {"$add": {"$l": {"s0": ordinal}, "$r": form.at_least - 1}}}
        first, last = places
        return [_every(first.marker), _every(last.marker, nth, _before(0, form.within_us), *equals)]

    def _follows(self, then_no: Absence, place: Place, last: int, first_read: int) -> Condition:
        """An event that must not follow a match.

        Args:
            then_no: what must not follow.
            place: of such an event.
            last: position of the match's last event.
            first_read: position of the first event that comparisons can name.
        """
        times = [_later(last), _before(last, then_no.within_us)]
        return _every(place.marker, *times, *self._joins(then_no.test.joins, first_read))

    def _joins(self, joins: Iterable[Join], first: int) -> list[Condition]:
        return [self._join(join, f"s{first + join.step}") for join in joins]

    def _join(self, join: Join, earlier: str) -> Condition:
        compared = {self.attributes[join.attribute]: {earlier: self.attributes[join.other]}}
        return compared if join.comparator is Comparator.EQ else {_OPERATORS[join.comparator]: compared}


def _rule(conditions: Iterable[Condition], *more: Condition) -> dict[str, Any]:
    named = [{f"s{i}": condition} for i, condition in enumerate(conditions)]
    return {"all": [*named, *more], "cap": ALL_RESULTS}


def _own_needs(joins: Iterable[Join]) -> list[Need]:
    return [Need(join.attribute, join.comparator.is_ordering) for join in joins]


def _needs_of(step: int, joins: Iterable[Join]) -> list[Need]:
    """What later joins read from a step. The library fails on a join whose other side is not there."""
    return [Need(join.other, join.comparator.is_ordering) for join in joins if join.step == step]


def _every(marker: str, *joins: Condition) -> Condition:
    """A place's condition.

    INVARIANT: begins with the marker that the engine's own messages lack, and a condition with joins ends
    with one that always holds (library issue #381): events of one window, which also keeps windows apart.
    """
    if not joins:
        return {"$and": [{"k": 1}, {marker: 1}]}
    return {"$and": [{"k": 1}, {marker: 1}, *joins, {"w": {"s0": "w"}}]}


def _later(step: int) -> Condition:
    return {"$gt": {"t": {f"s{step}": "t"}}}


def _before(step: int, within_us: int) -> Condition:
    return {"$lt": {"t": {"$add": {"$l": {f"s{step}": "t"}, "$r": within_us}}}}
