"""triggers/*.yaml, `patterns` → checked event patterns. Pure: the library that runs them is not needed."""

from collections.abc import Iterable
from collections.abc import Sequence as AnySequence
from itertools import pairwise

from nextbest.rulebook.compile.pattern_conditions import Conditions, ConditionScope, read_conditions
from nextbest.rulebook.compile.reading import Read
from nextbest.rulebook.compile.report import At, Report
from nextbest.rulebook.documents.conditions import TriggersFile
from nextbest.rulebook.documents.patterns import AbsenceEntry, CountEntry, PatternEntry, StepEntry
from nextbest.rulebook.nodes import Mapping
from nextbest.rulebook.patterns import Absence, Count, EventTest, Pattern, Sequence, Step

PlacedPattern = tuple[PatternEntry, At]

MAX_PATTERNS = 1000
"""In a rulebook; the matcher spreads them over rulesets that the library can bear."""
MAX_STEPS = 5
"""In a sequence: with what must not follow, six patterns a rule in the library's terms."""
MAX_COUNT = 64
"""Most events that a count can ask for: as many as a pattern ever sees of a customer."""
MAX_SAME = 4
_MICROSECONDS = 1_000_000


def ordered_patterns(reads: Iterable[Read[TriggersFile]], report: Report) -> list[PlacedPattern]:
    """All patterns by id, each once, so that the order of files does not matter."""
    patterns: dict[str, PlacedPattern] = {}
    for read in reads:
        for i, entry in enumerate(read.document.patterns):
            at = read.at / "patterns" / i
            if entry.id in patterns:
                message = f"pattern `{entry.id}` is declared twice"
                first = patterns[entry.id][1].file.path
                report.error(at / "id", "duplicate-id", message, f"first in `{first}`")
            patterns.setdefault(entry.id, (entry, at))
    for name in sorted(patterns)[MAX_PATTERNS : MAX_PATTERNS + 1]:
        report.error(
            patterns[name][1] / "id",
            "pattern-limit",
            f"more than {MAX_PATTERNS} patterns in a rulebook",
            "leave some out",
        )
    return [patterns[name] for name in sorted(patterns)]


def compile_patterns(
    placed: Iterable[PlacedPattern], event_kinds: AnySequence[str], report: Report
) -> tuple[Pattern, ...]:
    """Check patterns, reporting everything that is wrong with them.

    Args:
        placed: entries and where they stand, each id once (`ordered_patterns`).
        event_kinds: kinds of event that the rulebook declares.
        report: receives the problems.

    Returns:
        The patterns that are right, in the order given.
    """
    found = [_Reader(entry, at, event_kinds, report).pattern() for entry, at in placed]
    return tuple(pattern for pattern in found if pattern is not None)


class _Reader:
    """Reads one entry; a part that is wrong is reported, and the rest is still read."""

    def __init__(self, entry: PatternEntry, at: At, event_kinds: AnySequence[str], report: Report) -> None:
        self._entry = entry
        self._at = at
        self._kinds = event_kinds
        self._report = report
        self._wrong = False

    def pattern(self) -> Pattern | None:
        """The pattern; None after something was reported."""
        form, names = self._form()
        then_no = self._then_no(self._entry.then_no, names) if self._entry.then_no else None
        if self._wrong or form is None:
            return None
        return Pattern(self._entry.id, form, then_no)

    def _error(self, at: At, code: str, message: str, hint: str = "") -> None:
        self._wrong = True
        self._report.error(at, code, message, hint)

    def _form(self) -> tuple[Sequence | Count | None, dict[str, int]]:
        entry, at = self._entry, self._at
        if entry.sequence is not None and entry.count is not None:
            hint = "write two patterns"
            self._error(
                at / "count", "pattern-form", "a pattern has a `sequence` or a `count`, not both", hint
            )
        if entry.count is not None:
            if entry.within is not None:
                hint = "write it under `count`"
                self._error(at / "within", "pattern-form", "`within` here is that of a `sequence`", hint)
            return self._count(entry.count, at / "count")
        if entry.sequence is not None:
            return self._sequence(entry.sequence, at / "sequence")
        self._wrong = True
        if not _is_given(at, "sequence", "count"):
            hint = "write `sequence` or `count`"
            self._error(at / "id", "pattern-form", f"pattern `{entry.id}` names no events", hint)
        return None, {}

    def _sequence(self, entries: list[StepEntry], at: At) -> tuple[Sequence | None, dict[str, int]]:
        if not 1 <= len(entries) <= MAX_STEPS:
            place = at / MAX_STEPS if entries else at
            self._error(place, "pattern-limit", f"a sequence has 1 to {MAX_STEPS} events, not {len(entries)}")
            return None, {}
        names = self._names(entries, at)
        self._require_bounds(entries, at)
        steps: list[Step] = []
        for i, entry in enumerate(entries):
            earlier = {name: step for name, step in names.items() if step < i}
            later = [name for name, step in names.items() if step > i]
            scope = ConditionScope(entry.name, earlier, later)
            test = self._test(entry.event, entry.where, at / i, scope)
            within = self._microseconds(entry.within, at / i / "within")
            steps.append(Step(test, entry.name or f"event_{i + 1}", within))
        whole = self._microseconds(self._entry.within, self._at / "within")
        return Sequence(tuple(steps), whole), names

    def _names(self, entries: list[StepEntry], at: At) -> dict[str, int]:
        names: dict[str, int] = {}
        for i, entry in enumerate(entries):
            if entry.name is None:
                continue
            if entry.name in names:
                self._error(at / i / "as", "duplicate-id", f"`{entry.name}` names two events", "rename one")
            names.setdefault(entry.name, i)
        return names

    def _require_bounds(self, entries: list[StepEntry], at: At) -> None:
        """Without an end to the wait every event ever would have to be kept."""
        if entries[0].within is not None:
            hint = "leave it out; the `within` of the pattern bounds the whole sequence"
            self._error(at / 0 / "within", "pattern-form", "nothing comes before the first event", hint)
        if self._entry.within is not None:
            return
        for i, (_, entry) in enumerate(pairwise(entries), start=1):
            if entry.within is None:
                hint = "add `within`, here or to the whole pattern"
                self._error(at / i, "pattern-form", "no limit to how long after the event before it", hint)

    def _count(self, entry: CountEntry, at: At) -> tuple[Count | None, dict[str, int]]:
        if not 2 <= entry.at_least <= MAX_COUNT:
            hint = "one event is a sequence of one" if entry.at_least < 2 else ""
            self._error(
                at / "at_least",
                "pattern-limit",
                f"expected a number from 2 to {MAX_COUNT}, found `{entry.at_least}`",
                hint,
            )
        if len(entry.same) > MAX_SAME:
            self._error(at / "same" / MAX_SAME, "pattern-limit", f"more than {MAX_SAME} attributes")
        test = self._test(entry.event, entry.where, at, ConditionScope(entry.name, {}))
        within = self._microseconds(entry.within, at / "within") or 1
        name = entry.name or "event"
        count = Count(test, name, entry.at_least, within, tuple(dict.fromkeys(entry.same)))
        return count, {entry.name: 0} if entry.name else {}

    def _then_no(self, entry: AbsenceEntry, names: dict[str, int]) -> Absence:
        at = self._at / "then_no"
        test = self._test(entry.event, entry.where, at, ConditionScope(None, names))
        return Absence(test, self._microseconds(entry.within, at / "within") or 1)

    def _test(self, kind: str, where: str | None, at: At, scope: ConditionScope) -> EventTest:
        if kind not in self._kinds:
            self._wrong = True
            self._report.unknown(at / "event", "event", kind, self._kinds)
        conditions = read_conditions(where, scope) if where is not None else Conditions((), (), ())
        for error in conditions.errors:
            self._wrong = True
            span = (error.start, error.end)
            self._report.within(at / "where", span, "pattern-condition", error.message, error.hint)
        return EventTest(kind, conditions.own, conditions.joins)

    def _microseconds(self, seconds: float | None, at: At) -> int | None:
        if seconds is None:
            return None
        microseconds = round(seconds * _MICROSECONDS)
        if microseconds <= 0:
            self._error(at, "pattern-form", "no event comes within no time", "write a duration above zero")
        return microseconds


def _is_given(at: At, *keys: str) -> bool:
    """Whether the file has one of the keys, though what it holds was reported and left out."""
    node = at.file.node(at.path)
    return isinstance(node, Mapping) and any(key in node.entries for key in keys)
