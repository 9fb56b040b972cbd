"""The matcher's conversation with the library: which calls, in which order, and what it does not believe."""

import json
from typing import Any

import pytest

from nextbest.behaviour.patterns import Event, Window, WindowResult, compile_patterns
from nextbest.behaviour.patterns.events import LATEST_S, Evidence, PatternMatch, microseconds
from nextbest.behaviour.patterns.matcher import LibraryError, Matcher
from nextbest.behaviour.patterns.worker import decode_result, encode_result
from nextbest.errors import InvalidInput
from nextbest.rulebook.patterns import Absence, EventTest, Pattern, Sequence, Step

TWO = Sequence((Step(EventTest("buy"), "a"), Step(EventTest("buy"), "b", 10**9)))
PATTERN = Pattern("p", TWO, Absence(EventTest("fret"), 10**6))
EVENTS = (Event("one", "buy", 1.0), Event("two", "buy", 2.0), Event("three", "visit", 3.0))


class FakeLibrary:
    """Writes down what is asked of it, and answers as told."""

    def __init__(self, code: int = 0) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.code = code
        self.answers: list[dict[str, Any]] = []
        """Matches to return; the last message's `w` is filled in where there is none."""
        self.retract_code = 0

    def create_ruleset(self, name: str, definition: str) -> int:
        """Hand out handles from 7 on."""
        self.calls.append(("create", name, json.loads(definition)))
        return 6 + len(self.calls)

    def assert_fact(self, handle: int, fact: str) -> tuple[int, int]:
        """Take a fact."""
        self.calls.append(("assert", handle, json.loads(fact)))
        return self.code, 3

    def retract_fact(self, handle: int, fact: str) -> tuple[int, int]:
        """Take it away."""
        self.calls.append(("retract", handle, json.loads(fact)))
        return self.retract_code, 3

    def start_action_for_state(self, handle: int, session: int) -> tuple[str, str] | None:
        """The first answer."""
        self.calls.append(("start", handle, session))
        return ("{}", self._next()) if self.answers else None

    def complete_and_start_action(self, handle: int, session: int) -> str | None:
        """The next answer."""
        self.calls.append(("next", handle, session))
        return self._next() if self.answers else None

    def _next(self) -> str:
        return json.dumps(self.answers.pop(0))


def message(event: int, w: int = 1) -> dict[str, Any]:
    """A message as a match returns it."""
    return {"id": str(event), "sid": "w", "w": w}


def test_facts_go_in_matches_come_out_facts_go_away() -> None:
    """All facts, then all matches, then all retractions, in one session; nothing else is ever called."""
    library = FakeLibrary()
    library.answers = [{"r0": [{"s0": message(0), "s1": message(1)}]}, {"b0": []}]
    result = Matcher(compile_patterns([PATTERN]), library).match(Window("c", EVENTS, now=50.0))
    assert [call[0] for call in library.calls] == [
        "create", "assert", "assert", "start", "next", "next", "retract", "retract",
    ]  # fmt: skip
    facts = [call[2] for call in library.calls if call[0] in ("assert", "retract")]
    assert {fact["sid"] for fact in facts} == {"w"}
    assert [fact["id"] for fact in facts] == ["0", "1", "0", "1"]
    evidence = (Evidence("a", "one"), Evidence("b", "two"))
    assert result == WindowResult("c", (PatternMatch("p", 3.0, evidence),))


def test_nothing_is_asked_where_nothing_can_fire() -> None:
    """A window without candidates for every step never reaches the library."""
    library = FakeLibrary()
    matcher = Matcher(compile_patterns([PATTERN]), library)
    for events in ((), EVENTS[:1], EVENTS[2:]):
        assert matcher.match(Window("c", events, now=50.0)) == WindowResult("c")
    assert matcher.match(Window("c", EVENTS, now=2.5)) == WindowResult("c"), "the wait is not over"
    assert matcher.match(Window("c", EVENTS, now=50.0, since=3.0)) == WindowResult("c"), "fired before"
    assert [call[0] for call in library.calls] == ["create"]


def test_what_was_not_looked_at_is_said() -> None:
    """A pattern whose newest events cannot match says so when there were older ones."""
    library = FakeLibrary()
    pattern = Pattern("p", Sequence((Step(EventTest("buy"), "a"), Step(EventTest("buy"), "b", 2_000_000))))
    times = [0.0, 1.0, *(10.0 * i for i in range(1, 65))]
    events = tuple(Event(f"e{i}", "buy", time) for i, time in enumerate(times))
    matcher = Matcher(compile_patterns([pattern]), library)
    assert matcher.match(Window("c", events, now=1e4)) == WindowResult("c", truncated=("p",))
    assert matcher.match(Window("c", events[2:], now=1e4)) == WindowResult("c")
    assert [call[0] for call in library.calls] == ["create"]


def test_a_message_that_gets_lost_is_an_error() -> None:
    """A fact that no rule looks at, or that is there already, or that will not go, ends the session."""
    for code, retract_code, found in (
        (1, 0, "1 to a message"),
        (2, 0, "2 to a message"),
        (0, 1, "1 to a retr"),
    ):
        library = FakeLibrary(code)
        library.retract_code = retract_code
        with pytest.raises(LibraryError, match=found):
            Matcher(compile_patterns([PATTERN]), library).match(Window("c", EVENTS, now=50.0))


def test_a_match_of_another_window_is_an_error() -> None:
    """No customer is ever shown another one's events."""
    library = FakeLibrary()
    library.answers = [{"r0": [{"s0": message(0, w=0), "s1": message(1)}]}]
    with pytest.raises(LibraryError, match="another window"):
        Matcher(compile_patterns([PATTERN]), library).match(Window("c", EVENTS, now=50.0))


def test_a_match_with_an_event_missing_is_an_error() -> None:
    """A match is whole or not believed."""
    library = FakeLibrary()
    library.answers = [{"r0": [{"s0": message(0)}]}]
    with pytest.raises(LibraryError, match="events missing"):
        Matcher(compile_patterns([PATTERN]), library).match(Window("c", EVENTS, now=50.0))


def test_blocked_matches_are_taken_away() -> None:
    """A match that what must not follow has followed does not count; another one does."""
    library = FakeLibrary()
    both = [{"s0": message(0), "s1": message(1)}, {"s0": message(1), "s1": message(2)}]
    blocked = {"s0": message(1), "s1": message(2), "n": message(3)}
    library.answers = [{"r0": both[:1]}, {"r0": both[1:]}, {"b0": [blocked, blocked]}]
    events = (
        Event("one", "buy", 1.0),
        Event("two", "buy", 2.0),
        Event("late", "buy", 9.0),
        Event("f", "fret", 9.5),
    )
    result = Matcher(compile_patterns([PATTERN]), library).match(Window("c", events, now=50.0))
    assert [(m.fired_at, [e.event for e in m.evidence]) for m in result.matches] == [(3.0, ["one", "two"])]


def test_probe_takes_every_place_at_once() -> None:
    """A new rulebook is shown messages that match all markers of a ruleset together."""
    library = FakeLibrary()
    compiled = compile_patterns([PATTERN, Pattern("q", TWO)])
    Matcher(compiled, library).probe()
    shown = [call[2] for call in library.calls if call[0] == "assert"]
    assert len(shown) == 6
    markers = {marker for p in compiled.rulesets[0].patterns for marker in p.markers}
    assert len(markers) == 5
    assert all(markers <= fact.keys() for fact in shown)


def test_results_survive_the_pipe() -> None:
    """A result comes out of the worker's message as it went in; nonsense is an error."""
    evidence = (Evidence("a", 'say "x" ø'), Evidence("b", ""))
    result = WindowResult("c", (PatternMatch("p", 1.25, evidence),), ("q",))
    assert decode_result(encode_result(result, 4), "c", 4) == result
    assert decode_result(b'{"failed": "why"}', "c", 4) == WindowResult("c", quarantined="why")
    with pytest.raises(ValueError, match="another window"):
        decode_result(encode_result(result, 3), "c", 4)
    halves = (b'{"window": 4, "matches": [[1]], "truncated": []}', b'{"window": 4, "matches": []}')
    for nonsense in (b"", b"\x00\xff", b"3", b"[]", b"null", b"{}", b'"ready"', b"[" * 99999, *halves):
        with pytest.raises(ValueError):
            decode_result(nonsense, "c", 4)


@pytest.mark.parametrize("time", [float("nan"), float("inf"), -float("inf"), 1.1e11])
def test_events_have_times(time: float) -> None:
    """An event whose time is none is refused where it is made."""
    with pytest.raises(InvalidInput, match="is no time of an event"):
        Event("k", "buy", time)
    assert microseconds(LATEST_S) == 10**17
    assert microseconds(-1e300) == -(10**17)
