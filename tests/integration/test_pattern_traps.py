"""The real library on everything it is known to get wrong: each trap is refused or walked around.

Traps that the rule language refuses are in the golden folders `pattern_conditions` and `pattern_forms`; what
is written for the library, and asked of it, is looked at in `unit/test_pattern_definitions.py` and
`unit/test_pattern_matcher.py`. Here the library itself must bear it: in a worker, for it may crash.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.builders.patterns import patterns_of, read_patterns
from tests.naive.patterns import Happened, latest_match

from nextbest.behaviour.patterns import (
    Event,
    PatternSupervisor,
    Window,
    WindowResult,
    compile_patterns,
)

DAY = 86400.0


def run(directory: Path, entries: list[dict[str, Any]], windows: Iterable[Window]) -> list[WindowResult]:
    """Results from one worker that never died."""
    with PatternSupervisor(compile_patterns(patterns_of(directory, entries))) as supervisor:
        results = list(supervisor.match(windows))
        assert (supervisor.restarts, supervisor.quarantined) == (0, 0)
    return results


def bought(*attributes: dict[str, Any], now: float = 100 * DAY) -> Window:
    """Purchases an hour apart."""
    return Window("c", tuple(Event(f"e{i}", "buy", 3600.0 * i, a) for i, a in enumerate(attributes)), now)


def fired(result: WindowResult) -> list[str]:
    """Ids of the patterns that fired."""
    return [match.pattern for match in result.matches]


def pair(name: str, where: str, **more: Any) -> dict[str, Any]:
    """Two purchases within a day, the second with a condition on the first."""
    steps = [{"event": "buy", "as": "first"}, {"event": "buy", "within": "1d", "where": where}]
    return {"id": name, "sequence": steps, **more}


def test_more_customers_than_the_library_has_sessions_for(tmp_path: Path) -> None:
    """Thousands of customers go through one session (it crashes at the 1,025th), without mixing."""
    windows = [
        Window(f"c{i}", tuple(Event(f"{i}-{j}", "buy", float(j), {"n": j}) for j in range(1 + i % 2)), DAY)
        for i in range(3000)
    ]
    results = run(tmp_path, [pair("two", "n > first.n")], windows)
    assert [fired(result) for result in results] == [["two"] if i % 2 else [] for i in range(3000)]
    keys = [[e.event for m in result.matches for e in m.evidence] for result in results]
    assert all(key.split("-")[0] == str(i) for i, found in enumerate(keys) for key in found)


def test_last_join_may_be_false_in_many_rules(tmp_path: Path) -> None:
    """Conditions whose last comparison is false, in several rules, do not crash (library issue #381)."""
    signs = ("<", ">", "==", "!=", "<=")
    entries = [pair(f"p{i}", f"n >= first.n && m {sign} first.m") for i, sign in enumerate(signs)]
    values = [{"n": n, "m": m} for n, m in ((0, 1), (1, 1), (0, 2), (2, 0), (2, 0), (1, 1))]
    windows = [bought(*values[i:j]) for j in range(2, 7) for i in range(j)] * 20
    results = run(tmp_path, entries, windows)
    for window, result in zip(windows, results, strict=True):
        happened = [Happened(e.key, e.kind, round(e.time * 1e6), e.attributes) for e in window.events]
        assert fired(result) == [e["id"] for e in entries if latest_match(e, happened, 10**15, -math.inf)]
    assert {name for result in results for name in fired(result)} == {f"p{i}" for i in range(5)}


def test_hundreds_of_rules_with_one_condition(tmp_path: Path) -> None:
    """Three hundred equal patterns all fire (256 rules on one condition crash it)."""
    entries = [pair(f"p{i}", "n > first.n") for i in range(300)]
    (result,) = run(tmp_path, entries, [bought({"n": 1}, {"n": 2})])
    assert len(fired(result)) == 300


def test_hundreds_of_first_conditions_that_all_match(tmp_path: Path) -> None:
    """Six hundred different first conditions that one event passes (it hangs at 513, fails at 64)."""
    entries = [{"id": f"p{i}", "sequence": [{"event": "buy", "where": f"n > {i}"}]} for i in range(600)]
    (result,) = run(tmp_path, entries, [bought({"n": 399.5})])
    assert len(fired(result)) == 400


def test_an_event_fires_every_pattern_that_it_completes(tmp_path: Path) -> None:
    """Patterns do not take events away from each other (an event of the library fires one rule only)."""
    count = {"id": "b", "count": {"event": "buy", "at_least": 2, "within": "1d"}}
    once = {"id": "c", "sequence": [{"event": "buy"}]}
    (result,) = run(tmp_path, [pair("a", "n == first.n"), count, once], [bought({"n": 1}, {"n": 1})])
    assert fired(result) == ["a", "b", "c"]
    assert {match.fired_at for match in result.matches} == {3600.0}


@pytest.mark.parametrize(
    ("one", "other", "signs"),
    [
        (5, "5", "!="),
        (5, 5.0, "== <= >="),
        (True, 1, "!="),
        (False, "false", "!="),
        (1e-300, 1e-299, "!= < <="),
        (1e300, 1e16, "!= > >="),
        (1.5e-7, 0.00000015, "== <= >="),
        (-0.0, 0, "== <= >="),
        (2**53 + 1, float(2**53), "!= > >="),
        (math.inf, 1e308, "!= > >="),
        ('a"b', 'a"b', "=="),
        ("a", "ab", "!="),
        ("ø" * 5000, "ø" * 5000, "=="),
        ("\x00", "\x00\x00", "!="),
        (math.nan, math.nan, ""),
        (None, None, ""),
    ],
)
def test_values_are_compared_as_they_are(tmp_path: Path, one: Any, other: Any, signs: str) -> None:
    """Floats of any size, numbers beside words, and missing values compare as the language says."""
    names = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
    entries = [pair(name, f"first.v {sign} v") for sign, name in names.items()]
    (result,) = run(tmp_path, entries, [bought({"v": one}, {"v": other})])
    assert fired(result) == sorted(names[sign] for sign in signs.split())


@pytest.mark.parametrize("text", ["1e-300", "-1.5e-7", "1e16", "123456789012345678", "0.1"])
def test_constants_of_any_size(tmp_path: Path, text: str) -> None:
    """Constants that print with an exponent are compared exactly."""
    entries = [
        {"id": name, "sequence": [{"event": "buy", "where": f"v {sign} {text}"}]}
        for name, sign in (("eq", "=="), ("ge", ">="), ("gt", ">"))
    ]
    (result,) = run(tmp_path, entries, [bought({"v": float(text)})])
    constant = int(text) if text.isdigit() else float(text)
    assert fired(result) == (["eq", "ge"] if float(text) == constant else ["ge", "gt"])


def test_a_missing_attribute_fails_its_own_comparison_only(tmp_path: Path) -> None:
    """An event without what a comparison reads does not keep others from matching (it fails the message)."""
    entries = [
        pair("joined", "n > first.n"),
        pair("plain", "n > 0"),
        pair("unbroken", "n > 0", then_no={"event": "buy", "within": "2h", "where": "n > first.m"}),
    ]
    (result,) = run(tmp_path, entries, [bought({}, {"n": 1}, {"m": 3}, {"n": 2}, {"n": 5})])
    found = {match.pattern: [e.event for e in match.evidence] for match in result.matches}
    assert found == {"joined": ["e3", "e4"], "plain": ["e3", "e4"], "unbroken": ["e3", "e4"]}


def test_an_event_sent_twice_is_one_event(tmp_path: Path) -> None:
    """Of events with one key the first counts (the library refuses the second)."""
    events = (Event("e", "buy", 0.0), Event("e", "buy", 60.0), Event("f", "fret", 90.0))
    count = {"id": "count", "count": {"event": "buy", "at_least": 2, "within": "1d"}}
    once = {"id": "once", "sequence": [{"event": "buy"}]}
    (result,) = run(tmp_path, [count, once], [Window("c", events, DAY)])
    assert [(m.pattern, m.fired_at) for m in result.matches] == [("once", 0.0)]


def test_names_that_mean_something_to_the_library(tmp_path: Path) -> None:
    """Attributes, words and keys that look like the library's own do no harm."""
    events = tuple(
        Event(key, "buy", 3600.0 * i, {"sid": "other", "id": "0", "k": 0, "w": -1, "t": 1e9, "x0": 0, "n": i})
        for i, key in enumerate(("$s", '{"id":"0"}', "\\", "0"))
    )
    where = " && ".join(f"{name} == first.{name}" for name in ("sid", "id", "k", "w", "t", "x0"))
    (result,) = run(tmp_path, [pair("and", f"{where} && n > first.n")], [Window("c", events, DAY)])
    assert [e.event for e in result.matches[0].evidence] == ["\\", "0"]


def test_waits_need_no_timers(tmp_path: Path) -> None:
    """An absence is decided by the time of asking, to the microsecond, and not before the wait is over."""
    silence = {"event": "buy", "within": "2d"}
    entry = {"id": "silence", "sequence": [{"event": "fret"}], "then_no": silence}
    fret, end, late = Event("f", "fret", 0.0), 2 * DAY, 9 * DAY
    asked = [(end - 1e-6, ()), (end, ()), (late, (end,)), (late, (end - 1e-6,)), (late, (0.0,))]
    windows = [Window("c", (fret, *(Event("b", "buy", t) for t in times)), now) for now, times in asked]
    results = run(tmp_path, [entry], windows)
    found = [[m.fired_at for m in result.matches] for result in results]
    assert found == [[], [end], [end], [], [end]]


def test_what_follows_a_count_is_compared_with_its_last_event(tmp_path: Path) -> None:
    """`then_no` after a count reads the event that completes it, not the first."""
    count = {"event": "buy", "as": "last", "at_least": 3, "within": "1d"}
    entries = [
        {
            "id": sign,
            "count": count,
            "then_no": {"event": "fret", "within": "1d", "where": f"n {text} last.n"},
        }
        for sign, text in (("above", ">"), ("equal", "=="), ("below", "<"))
    ]
    purchases = tuple(Event(f"b{i}", "buy", 3600.0 * i, {"n": n}) for i, n in enumerate((9, 1, 5)))
    for severity, expected in ((7, ["below", "equal"]), (5, ["above", "below"]), (3, ["above", "equal"])):
        fret = Event("f", "fret", 4 * 3600.0, {"n": severity})
        (result,) = run(tmp_path, entries, [Window("c", (*purchases, fret), 9 * DAY)])
        assert fired(result) == expected


def test_the_match_that_ends_last_is_reported(tmp_path: Path) -> None:
    """Of several matches the latest counts: by the last event, then by the one before it."""
    entry = pair("p", "m == first.m")
    marks = [{"m": 1}, {"m": 2}, {"m": 2}, {"m": 1}, {"m": 3}]
    (result,) = run(tmp_path, [entry], [bought(*marks)])
    assert [e.event for e in result.matches[0].evidence] == ["e0", "e3"]
    (result,) = run(tmp_path, [entry], [bought({"m": 1}, *marks)])
    assert [e.event for e in result.matches[0].evidence] == ["e1", "e4"]


def test_dense_windows_come_back(tmp_path: Path) -> None:
    """Windows whose combinations would explode are answered, right in what they say, and marked."""
    steps = [{"event": "buy"}, *({"event": "buy", "within": "30d", "where": "n > 0"} for _ in range(4))]
    waits = [{"event": "buy", "within": f"{i + 1}h"} for i in range(8)]
    entries = [{"id": f"p{i}", "sequence": steps, "then_no": wait} for i, wait in enumerate(waits)]
    (result,) = run(tmp_path, entries, [bought(*({"n": 1} for _ in range(500)))])
    assert result.truncated == tuple(f"p{i}" for i in range(8))
    assert [[e.event for e in m.evidence] for m in result.matches] == [[f"e{i}" for i in range(495, 500)]] * 8


def test_far_more_events_than_are_seen(tmp_path: Path) -> None:
    """The newest 64 events of a pattern count; a rare kind beside a frequent one is not pushed out."""
    frequent = tuple(Event(f"b{i}", "buy", 60.0 * i) for i in range(1000))
    rare = tuple(Event(f"f{i}", "fret", float(i)) for i in range(3))
    entries = [
        {"id": "many", "count": {"event": "buy", "at_least": 64, "within": "1d"}},
        {"id": "rare", "count": {"event": "fret", "at_least": 3, "within": "1d"}},
        {"id": "wide", "count": {"event": "buy", "at_least": 2, "within": "1min"}},
    ]
    (result,) = run(tmp_path, entries, [Window("c", frequent + rare, DAY)])
    assert fired(result) == ["many", "rare"]
    assert [e.event for e in result.matches[0].evidence] == [f"b{i}" for i in range(936, 1000)]
    assert result.truncated == ("many", "wide")


def test_long_conditions_and_deep_ones(tmp_path: Path) -> None:
    """Twelve joins in one condition are borne; one more, or deep brackets, are refused with a position."""
    attributes = [f"a{i}" for i in range(12)]
    where = " && ".join(f"{a} >= first.{a}" for a in attributes)
    grown = dict.fromkeys(attributes, 1)
    (result,) = run(tmp_path, [pair("long", where)], [bought(grown, grown)])
    assert fired(result) == ["long"]
    too_long = f"patterns: [{{id: p, sequence: [{{event: buy, where: '{' && '.join(['a == 1'] * 13)}'}}]}}]"
    _, found, _ = read_patterns(tmp_path, too_long)
    assert [(d.code, d.line) for d in found] == [("pattern-condition", 1)]
    deep = f"patterns: [{{id: p, sequence: [{{event: buy, where: '{'(' * 50}a == 1{')' * 50}'}}]}}]"
    _, found, _ = read_patterns(tmp_path, deep)
    assert [d.message for d in found] == ["the expression nests more than 40 levels deep"]
