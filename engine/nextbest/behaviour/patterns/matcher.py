"""Finds patterns in windows by replaying events into one scratch session of the library per ruleset.

Runs in a process that may die (`worker`). Of the library it uses facts and joins only: no events, timers,
states, callbacks or actions in Python, and a single session that is empty between windows.
"""

import importlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias, cast

from nextbest.behaviour.patterns.definitions import WITHOUT, CompiledPatterns, PlannedPattern, Ruleset
from nextbest.behaviour.patterns.encoding import (
    SID,
    Candidates,
    WindowView,
    candidates_of,
    equals_of,
    messages_of,
    replays,
)
from nextbest.behaviour.patterns.events import Evidence, PatternMatch, Window, WindowResult, seconds
from nextbest.errors import NextBestError
from nextbest.rulebook.patterns import Count
from nextbest.rulebook.patterns import Sequence as SequenceForm

Message: TypeAlias = dict[str, Any]
Binding: TypeAlias = tuple[int, ...]
"""Events by index, in the order of a pattern's places."""

HANDLED = 0
"""The library's code for a message that some rule looks at."""


class Library(Protocol):
    """The few calls of `durable_rules_engine` that are made."""

    def create_ruleset(self, name: str, definition: str, /) -> int:
        """Compile rules and return their handle."""
        ...

    def assert_fact(self, handle: int, fact: str, /) -> tuple[int, int]:
        """Add a fact; returns a code and the session."""
        ...

    def retract_fact(self, handle: int, fact: str, /) -> tuple[int, int]:
        """Remove a fact; returns a code and the session."""
        ...

    def start_action_for_state(self, handle: int, session: int, /) -> tuple[str, str] | None:
        """The session's state and the first rule's matches; None if there are none."""
        ...

    def complete_and_start_action(self, handle: int, session: int, /) -> str | None:
        """The next rule's matches; None if there are no more."""
        ...


def load_library() -> Library:
    """The library's own extension module; importing it is the worker's business alone."""
    return cast("Library", importlib.import_module("durable_rules_engine"))


class LibraryError(NextBestError):
    """The library did not do what it was asked; its session can no longer be trusted."""


class Session:
    """One ruleset in the library, and the one session it ever has."""

    def __init__(self, library: Library, ruleset: Ruleset) -> None:
        self._library = library
        self._handle = library.create_ruleset(ruleset.name, json.dumps(ruleset.definition))

    def replay(self, messages: Sequence[Message]) -> dict[str, list[dict[str, Message]]]:
        """The matches of every rule over some messages; the session is empty before and after.

        Matches are fetched after the last message and before the first retraction: only then does the
        library reuse none of its records.

        Raises:
            LibraryError: a message got lost; start over in a new process.
        """
        session = 0
        for message in messages:
            code, session = self._library.assert_fact(self._handle, json.dumps(message))
            if code != HANDLED:
                raise LibraryError(f"the library answered {code} to a message")
        found: dict[str, list[dict[str, Message]]] = {}
        for rule, matches in self._matches(session):
            found.setdefault(rule, []).extend(matches)
        for message in messages:
            fact = json.dumps({"id": message["id"], "sid": message["sid"]})
            code, _ = self._library.retract_fact(self._handle, fact)
            if code != HANDLED:
                raise LibraryError(f"the library answered {code} to a retraction")
        return found

    def _matches(self, session: int) -> Iterator[tuple[str, list[dict[str, Message]]]]:
        started = self._library.start_action_for_state(self._handle, session)
        text = started[1] if started else None
        while text:
            yield from json.loads(text).items()
            text = self._library.complete_and_start_action(self._handle, session)


class Matcher:
    """Finds every pattern's latest match in a window."""

    def __init__(self, compiled: CompiledPatterns, library: Library) -> None:
        self._sessions = [(ruleset, Session(library, ruleset)) for ruleset in compiled.rulesets]
        self._replays = 0

    def probe(self) -> None:
        """Show each ruleset messages that can take every place at once: the worst it will be asked.

        Raises:
            LibraryError: the library does not bear the ruleset. Or the process dies, or never returns.
        """
        for ruleset, session in self._sessions:
            self._replays += 1
            session.replay([_probe(ruleset, i, self._replays) for i in range(6)])

    def match(self, window: Window) -> WindowResult:
        """Evaluate a window.

        Cost: of a dozen events, 0.15 ms with 24 patterns, 2 ms with 250; memory stays flat.

        Raises:
            LibraryError: the process is to be given up.
        """
        view = WindowView(window)
        matches: list[PatternMatch] = []
        truncated: list[str] = []
        for ruleset, session in self._sessions:
            candidates = [found for p in ruleset.patterns if (found := candidates_of(p, view))]
            truncated += [found.planned.pattern.id for found in candidates if found.is_truncated]
            for group in replays(found for found in candidates if found.can_fire):
                matches += self._replay(group, view, ruleset, session)
        return WindowResult(
            window.customer_id,
            tuple(sorted(matches, key=lambda match: match.pattern)),
            tuple(sorted(truncated)),
        )

    def _replay(
        self, group: list[Candidates], view: WindowView, ruleset: Ruleset, session: Session
    ) -> Iterator[PatternMatch]:
        self._replays += 1
        found = session.replay(messages_of(group, view, ruleset, window=self._replays))
        for candidates in group:
            planned = candidates.planned
            bindings = set(self._bindings(found.get(planned.rule, ()), planned))
            if planned.without:
                bindings -= set(self._bindings(found.get(planned.blocked, ()), planned))
            if bindings:
                yield _latest(bindings, candidates, view)

    def _bindings(self, found: Iterable[dict[str, Message]], planned: PlannedPattern) -> Iterator[Binding]:
        for match in found:
            if any(message["w"] != self._replays or message["sid"] != SID for message in match.values()):
                raise LibraryError("the library joined an event of another window")
            if len(match) - (WITHOUT in match) != len(planned.places):
                raise LibraryError("the library returned a match with events missing")
            yield tuple(int(match[f"s{i}"]["id"]) for i in range(len(planned.places)))


def _latest(bindings: Iterable[Binding], candidates: Candidates, view: WindowView) -> PatternMatch:
    """The match that ends last; of several, the one whose event before is the latest, and so on."""
    latest = max(bindings, key=lambda binding: binding[::-1])
    pattern = candidates.planned.pattern
    form = pattern.form
    if isinstance(form, SequenceForm):
        named = [(step.name, event) for step, event in zip(form.steps, latest, strict=True)]
    else:
        named = [(form.name, event) for event in _counted(form, latest, candidates.places[0], view)]
    evidence = tuple(Evidence(name, view.events[event].key) for name, event in named)
    return PatternMatch(pattern.id, seconds(view.times[latest[-1]] + pattern.wait_us), evidence)


def _counted(form: Count, binding: Binding, counted: Sequence[int], view: WindowView) -> list[int]:
    """The events between the first and the last of a count that are equal to them."""
    first, last = binding
    equals = equals_of(view.events[first], form.same)
    return [e for e in counted if first <= e <= last and equals_of(view.events[e], form.same) == equals]


def _probe(ruleset: Ruleset, number: int, window: int) -> Message:
    """A message that can take every place of a ruleset."""
    message: Message = {"id": str(number), "sid": SID, "k": 1, "w": window, "t": number}
    for planned in ruleset.patterns:
        message |= dict.fromkeys(planned.markers, 1)
        if isinstance(planned.pattern.form, Count):
            message[planned.ordinal] = number
    return message | dict.fromkeys(ruleset.attributes.values(), number % 3)
