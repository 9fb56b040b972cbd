"""Author's tests → cases: a customer, a history and a request as the decision takes them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from nextbest.fact_values import FactValue, UnfitValueError
from nextbest.facts import Fact, Figure, figure_fact
from nextbest.model import Direction, EntryKind, Outcome, PurchasePhase
from nextbest.rings import new_entries
from nextbest.rows import RowCodec
from nextbest.rulebook.case_values import column_value, fact_value, moment
from nextbest.rulebook.compile.parts import Parts
from nextbest.rulebook.compile.report import At, Report
from nextbest.rulebook.diagnostics import Diagnostic
from nextbest.rulebook.documents.author_tests import REASONS, AuthorTest, Background, Expectation, Happening
from nextbest.rulebook.rulebook import Rulebook
from nextbest.rulebook.suggest import did_you_mean

DO_NOTHING = "do_nothing"
"""Stands in expectations for an answer without actions."""
ABSENT = -1
"""Index of what is not given, or was reported."""
_FIGURES: Mapping[str, Fact] = {figure.name.lower(): figure_fact(figure) for figure in Figure}


@dataclass(frozen=True, slots=True)
class Case:
    """One test, ready to be decided."""

    entry: AuthorTest
    at: At
    now: float
    facts: Mapping[str, FactValue]
    """Known facts."""
    figures: Mapping[str, float]
    """Figures to assume, by name in lower case."""
    contacts: npt.NDArray[np.void]
    """(k,) of `HISTORY_ENTRY` by time: contacts and outcomes, with the rulebook's own codes."""
    events: npt.NDArray[np.void]
    """The same of business events."""
    channel: int
    direction: int
    placements: Sequence[int]
    """In order of preference; none = any."""
    phase: int
    role: int
    """-1 = none."""
    context: Sequence[float]
    """Declared context keys, NaN = not given."""


def read_cases(parts: Parts) -> tuple[list[Case], list[Diagnostic]]:
    """The author's tests of a rulebook without errors, in file order, and what is wrong with them."""
    report = Report()
    cases: list[Case] = []
    first: dict[str, str] = {}
    for read in parts.tests:
        for i, entry in enumerate(read.document.tests):
            if entry.name in first:
                message, hint = f"test `{entry.name}` is declared twice", f"first in `{first[entry.name]}`"
                report.error(read.at / "tests" / i / "name", "duplicate-id", message, hint)
            first.setdefault(entry.name, read.at.file.path)
        reader = _CaseReader(parts.rulebook, read.document.background, read.at / "background", report)
        cases += [reader.case(entry, read.at / "tests" / i) for i, entry in enumerate(read.document.tests)]
    return cases, report.diagnostics


Converted = TypeVar("Converted")
Placed: TypeAlias = tuple[str, object, At]
"""Name, value and place of something given."""


@dataclass(frozen=True)
class _CaseReader:
    """Reads the tests of one file."""

    rulebook: Rulebook
    background: Background
    at: At
    """Of the background."""
    report: Report

    def case(self, entry: AuthorTest, at: At) -> Case:
        """One test; what is wrong with it is reported and left out."""
        now = self._now(entry, at)
        request, place = entry.request, at / "request"
        placements = [
            self._index("placement", name, place / "placements" / i)
            for i, name in enumerate(request.placements)
        ]
        self._check_unknown(entry, at / "unknown")
        self._check_expectation(entry.expect, at / "expect")
        contacts = [i for i, happening in enumerate(entry.history) if happening.event is None]
        events = [i for i, happening in enumerate(entry.history) if happening.event is not None]
        return Case(
            entry=entry,
            at=at,
            now=now,
            facts=self._facts(entry, at, now),
            figures=self._figures(entry, at, now),
            contacts=self._history(entry.history, contacts, at / "history", now),
            events=self._history(entry.history, events, at / "history", now),
            channel=self._index("channel", request.channel, place / "channel"),
            direction=Direction[request.direction.upper()],
            placements=tuple(index for index in dict.fromkeys(placements) if index != ABSENT),
            phase=PurchasePhase[request.phase.upper()],
            role=self._index("role", request.role, place / "role"),
            context=self._context(request.keys, place / "keys", now),
        )

    def _now(self, entry: AuthorTest, at: At) -> float:
        given, place = (entry.now, at) if entry.now else (self.background.now, self.at)
        if given is None:
            hint = "give the test a `now`, or the file a `background` with one"
            self.report.key_error(at / "name", "missing-key", "missing `now`", hint)
            return 0.0
        try:
            return moment(given)
        except UnfitValueError as unfit:
            self.report.error(place / "now", "invalid-value", str(unfit))
            return 0.0

    @cached_property
    def _names(self) -> Mapping[str, dict[str, int]]:
        book = self.rulebook
        return {
            "channel": dict(book.channel_index),
            "placement": dict(book.placement_index),
            "role": dict(book.role_index),
            "action": dict(book.action_index),
            "trigger": dict(book.trigger_index),
            "event": {name: i for i, name in enumerate(book.event_kinds)},
        }

    def _index(self, noun: str, name: str | None, at: At) -> int:
        return ABSENT if name is None else self.report.index(at, noun, name, self._names[noun])

    def _check_expectation(self, expect: Expectation, at: At) -> None:
        answer = [expect.answer] if isinstance(expect.answer, str) else expect.answer or []
        for key, names in (("answer", answer), ("first", [expect.first]), ("includes", expect.includes)):
            for i, name in enumerate(names):
                place = at / key / i if isinstance(getattr(expect, key), list) else at / key
                if name is not None and name not in (DO_NOTHING, *self._names["action"]):
                    self.report.unknown(place, "action", name, (DO_NOTHING, *self._names["action"]))
        for i, name in enumerate(expect.excludes):
            listed = isinstance(expect.excludes, list)
            self._index("action", name, at / "excludes" / (i if listed else name))
        if isinstance(expect.excludes, dict):
            for name, reason in expect.excludes.items():
                if reason not in REASONS:
                    hint = did_you_mean(reason, REASONS) or f"one of {', '.join(f'`{r}`' for r in REASONS)}"
                    message = f"unknown reason `{reason}`"
                    self.report.error(at / "excludes" / name, "unknown-reason", message, hint)
        for key, names in (("fired", expect.fired), ("not_fired", expect.not_fired)):
            for i, name in enumerate(names):
                self._index("trigger", name, at / key / i)

    def _given(self, key: str, entry: AuthorTest, at: At) -> list[Placed]:
        """What the test gives under a key, and what the background gives besides."""
        own: Mapping[str, object] = getattr(entry, key)
        shared: Mapping[str, object] = getattr(self.background, key)
        kept = [name for name in shared if name not in own and name not in entry.unknown]
        placed = [(name, shared[name], self.at / key / name) for name in kept]
        return [*placed, *((name, value, at / key / name) for name, value in own.items())]

    def _check_unknown(self, entry: AuthorTest, at: At) -> None:
        shared = {*self.background.customer, *self.background.figures}
        for i, name in enumerate(entry.unknown):
            if name not in shared:
                message = f"the background does not give `{name}`"
                self.report.error(at / i, "unknown-fact", message, did_you_mean(name, shared))

    def _facts(self, entry: AuthorTest, at: At, now: float) -> dict[str, FactValue]:
        catalogue, facts = self.rulebook.catalogue, dict[str, FactValue]()
        given = self._given("customer", entry, at)
        for name, value, place in given:
            if name in _FIGURES:
                self.report.key_error(
                    place, "unknown-fact", f"`{name}` is computed", "assume it under `figures`"
                )
            elif name not in catalogue:
                self.report.unknown_key(place, "fact", name, (fact.name for fact in catalogue.facts))
            else:
                found = self._fitting(fact_value, catalogue[name], value, now, place)
                facts |= {} if found is None else {name: found}
        codec = RowCodec(catalogue)
        places = {name: place for name, _, place in given}
        for violation in codec.misfits(codec.fact_arrays(facts, [])[0]):
            place = places[violation.field.removeprefix("facts.")]
            self.report.error(place, "invalid-value", violation.description)
        return facts

    def _figures(self, entry: AuthorTest, at: At, now: float) -> dict[str, float]:
        figures: dict[str, float] = {}
        for name, value, place in self._given("figures", entry, at):
            if name not in _FIGURES:
                self.report.unknown_key(place, "figure", name, _FIGURES)
                continue
            found = self._fitting(column_value, _FIGURES[name], value, now, place)
            figures |= {} if found is None else {name: found}
        return figures

    def _context(self, keys: Mapping[str, object], at: At, now: float) -> list[float]:
        facts = {fact.name: fact for fact in self.rulebook.context_facts}
        for name in keys:
            if name not in facts:
                self.report.unknown_key(at / name, "context key", name, facts)
        given = {
            name: self._fitting(column_value, fact, keys[name], now, at / name)
            for name, fact in facts.items()
            if name in keys
        }
        return [nan if (value := given.get(name)) is None else value for name in facts]

    def _fitting(
        self,
        convert: Callable[[Fact, object, float], Converted],
        fact: Fact,
        value: object,
        now: float,
        at: At,
    ) -> Converted | None:
        """The value converted; None after reporting that it does not fit."""
        try:
            return convert(fact, value, now)
        except UnfitValueError as unfit:
            self.report.error(at, "invalid-value", str(unfit))
            return None

    def _history(
        self, history: Sequence[Happening], chosen: Sequence[int], at: At, now: float
    ) -> npt.NDArray[np.void]:
        """Entries of one ring, oldest first."""
        entries = new_entries(len(chosen))
        for entry, i in zip(entries, sorted(chosen, key=lambda i: -history[i].ago), strict=True):
            happening, place = history[i], at / i
            codes = {
                "channel": self._index("channel", happening.channel, place / "channel"),
                "placement": self._index("placement", happening.placement, place / "placement"),
                "action": self._index("action", happening.action, place / "action"),
                "trigger": self._index("trigger", happening.trigger, place / "trigger"),
                "event_kind": self._index("event", happening.event, place / "event"),
            }
            for name, code in codes.items():
                if code != ABSENT:
                    entry[name] = code
            entry["time"], entry["kind"] = now - happening.ago, _kind(happening)
            entry["direction"] = Direction[happening.direction.upper()]
            entry["outcome"] = Outcome[happening.outcome.upper()] if happening.outcome else Outcome.NONE
            entry["amount"] = nan if happening.amount is None else happening.amount
            entry["cost"] = nan if happening.cost is None else happening.cost
        return entries


def _kind(happening: Happening) -> EntryKind:
    if happening.event is not None:
        return EntryKind.EVENT
    return EntryKind.CONTACT if happening.outcome is None else EntryKind.OUTCOME
