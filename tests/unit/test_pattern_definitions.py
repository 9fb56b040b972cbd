"""What the library is given: only what it can be trusted with, whatever authors and customers write."""

import copy
import json
import random
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from tests.builders.patterns import KINDS, RandomPatterns, patterns_of, read_patterns

from nextbest.behaviour.patterns import CompiledPatterns, Event, Window, compile_patterns
from nextbest.behaviour.patterns.chains import count_chains
from nextbest.behaviour.patterns.definitions import Ruleset
from nextbest.behaviour.patterns.encoding import WindowView, candidates_of, messages_of, replays
from nextbest.behaviour.patterns.limits import MAX_CHAINS
from nextbest.rulebook.patterns import (
    Absence,
    Comparator,
    Count,
    EventTest,
    Join,
    OwnComparison,
    Pattern,
    Sequence,
    Step,
)

DOCS = Path(__file__).parents[2] / "docs" / "patterns.md"
TAUTOLOGY = {"w": {"s0": "w"}}
HOUR = 3_600_000_000
JOINED = EventTest("buy", joins=(Join("amount", Comparator.GT, 0, "amount"),))


def test_yaml_becomes_patterns(tmp_path: Path) -> None:
    """Every key of the language says what it says, constants on either side."""
    text = """
patterns:
  - id: returns
    sequence:
      - {event: visit, as: first, where: 50 < amount && first.channel != 'pos'}
      - {event: visit, where: "first.amount >= amount && gift == false", within: 36h}
      - {event: buy, as: third}
    within: 3d
    then_no: {event: fret, where: item == third.item && severity > -1.5, within: 1w}
  - id: many
    count: {event: fret, as: last, at_least: 3, same: [item, item], where: last.severity >= 2, within: 90min}
    then_no: {event: buy, where: amount > last.severity, within: 1s}
"""
    patterns, found, shown = read_patterns(tmp_path, text)
    assert not found, shown
    first = EventTest(
        "visit",
        (OwnComparison("amount", Comparator.GT, 50), OwnComparison("channel", Comparator.NE, "pos")),
    )
    second = EventTest(
        "visit",
        (OwnComparison("gift", Comparator.EQ, False),),
        (Join("amount", Comparator.LE, 0, "amount"),),
    )
    no_fret = EventTest(
        "fret",
        (OwnComparison("severity", Comparator.GT, -1.5),),
        (Join("item", Comparator.EQ, 2, "item"),),
    )
    steps = (Step(first, "first"), Step(second, "event_2", 36 * HOUR), Step(EventTest("buy"), "third"))
    severe = EventTest("fret", (OwnComparison("severity", Comparator.GE, 2),))
    no_buy = EventTest("buy", joins=(Join("amount", Comparator.GT, 0, "severity"),))
    many = Pattern("many", Count(severe, "last", 3, 3 * HOUR // 2, ("item",)), Absence(no_buy, 1_000_000))
    assert patterns == (many, Pattern("returns", Sequence(steps, 72 * HOUR), Absence(no_fret, 168 * HOUR)))
    assert [pattern.span_us for pattern in patterns] == [3 * HOUR // 2 + 1_000_000, 240 * HOUR]


def test_documented_patterns_compile(tmp_path: Path) -> None:
    """The rule file in docs/patterns.md compiles as it stands there."""
    text = DOCS.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    patterns, found, shown = read_patterns(tmp_path, text, ("return_goods", "purchase", "complaint"))
    assert not found, shown
    assert [p.id for p in patterns] == ["complaints_about_one_product", "growing_returns_then_silence"]


def test_span_is_bounded_by_steps_or_whole() -> None:
    """A sequence lasts no longer than its steps together, nor than the whole may."""
    step = Step(EventTest("buy"), "a", 10)
    first = Step(EventTest("buy"), "b")
    assert Pattern("p", Sequence((first, step, step))).span_us == 20
    assert Pattern("p", Sequence((first, step, step), 15)).span_us == 15
    assert Pattern("p", Sequence((first, step, step), 50)).span_us == 20
    assert Pattern("p", Sequence((first, first, step), 50)).span_us == 50
    assert (
        compile_patterns([Pattern("p", Sequence((first,)), Absence(EventTest("buy"), 7))]).lookback_s == 7e-6
    )


def names_in(definition: Any) -> Iterator[str]:
    """Every key and every text of a definition."""
    if isinstance(definition, dict):
        for key, value in definition.items():
            yield key
            yield from names_in(value)
    elif isinstance(definition, list):
        for value in definition:
            yield from names_in(value)
    elif isinstance(definition, str):
        yield definition


def conditions_in(ruleset: Ruleset) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Name and parts of every condition of every rule."""
    for rule in ruleset.definition.values():
        for named in rule["all"]:
            for name, condition in named.items():
                yield name, condition["$and"]


@pytest.fixture(scope="module")
def random_compiled(tmp_path_factory: pytest.TempPathFactory) -> CompiledPatterns:
    """Two hundred random patterns."""
    return compile_patterns(patterns_of(tmp_path_factory.mktemp("rules"), RandomPatterns(7).entries(200)))


def test_only_safe_operators_are_used(random_compiled: CompiledPatterns) -> None:
    """No `$or`, `$not`, `$nex`, `$ex`, `$in`, regular expressions or nested rules are ever written."""
    known = {"$and", "$gt", "$gte", "$lt", "$lte", "$neq", "$add", "$l", "$r"}
    for ruleset in random_compiled.rulesets:
        names = set(names_in(ruleset.definition))
        assert {name for name in names if "$" in name} <= known
        settings = {key for rule in ruleset.definition.values() for key in rule}
        assert settings == {"all", "cap"}


def test_conditions_begin_with_the_marker_and_end_with_a_tautology(random_compiled: CompiledPatterns) -> None:
    """The engine's own messages are kept out, and no condition ends with a join that can be false."""
    joins = 0
    for ruleset in random_compiled.rulesets:
        for name, parts in conditions_in(ruleset):
            assert parts[0] == {"k": 1}
            assert list(parts[1].values()) == [1]
            if name == "s0":
                assert len(parts) == 2, "the first event joins nothing"
            else:
                assert parts[-1] == TAUTOLOGY
                joins += len(parts) - 3
    assert joins > 500


def test_rules_stay_within_what_the_library_bears(random_compiled: CompiledPatterns) -> None:
    """At most 6 patterns a rule, 250 conditions and 60 siblings a ruleset, 31 expressions a condition."""
    assert len(random_compiled.rulesets) > 10
    for ruleset in random_compiled.rulesets:
        conditions = list(conditions_in(ruleset))
        assert len(conditions) <= 250
        assert max(len(rule["all"]) for rule in ruleset.definition.values()) <= 6
        markers = [next(iter(parts[1])) for _, parts in conditions]
        # All markers may match one message; of one of them the joins lie on the stack as well.
        assert len(set(markers)) + max(markers.count(marker) for marker in markers) <= 60
        assert max(len(parts) for _, parts in conditions) <= 29
        assert len(ruleset.attributes) <= 60


def test_limits_hold_for_the_worst_patterns() -> None:
    """A thousand equal, a thousand different, and the largest patterns are spread, none is lost."""
    equal = [Pattern(f"e{i}", Sequence((Step(EventTest("buy"), "a"),))) for i in range(1000)]
    different = [
        Pattern(
            f"d{i}", Sequence((Step(EventTest("buy", (OwnComparison("amount", Comparator.GT, i),)), "a"),))
        )
        for i in range(1000)
    ]
    wide = tuple(Join(f"own{i}", Comparator.GT, 0, f"other{i}") for i in range(12))
    largest = [
        Pattern(
            f"l{i}",
            Sequence(
                (
                    Step(EventTest("buy"), "a"),
                    *(Step(EventTest("buy", joins=wide), "b", 5) for _ in range(4)),
                ),
                9,
            ),
            Absence(EventTest("buy", joins=wide), 5),
        )
        for i in range(30)
    ]
    for patterns in (equal, different, largest):
        compiled = compile_patterns(patterns)
        assert sorted(p.id for p in compiled.patterns) == sorted(p.id for p in patterns)
        planned = [p.pattern.id for ruleset in compiled.rulesets for p in ruleset.patterns]
        assert sorted(planned) == sorted(p.id for p in patterns)
        for ruleset in compiled.rulesets:
            markers = {marker for p in ruleset.patterns for marker in p.markers}
            assert len(markers) <= 50
            assert len(list(conditions_in(ruleset))) <= 250
            assert max(len(parts) for _, parts in conditions_in(ruleset)) <= 29
            assert len(ruleset.attributes) <= 60


def test_nothing_that_authors_write_reaches_the_library(tmp_path: Path) -> None:
    """Ids, kinds, attributes, names and constants stay outside; only our own names and numbers go in."""
    entries = [
        {
            "id": "sid",
            "sequence": [
                {"event": "buy", "as": "id", "where": "wname == '$nex' && w > 1e-300"},
                {"event": "buy", "as": "s0", "within": "1d", "where": "sid == id.s && s0.mid != id.count"},
            ],
        }
    ]
    (ruleset,) = compile_patterns(patterns_of(tmp_path, entries)).rulesets
    expected = {
        "r0",
        "all",
        "cap",
        "s0",
        "s1",
        "$and",
        "$gt",
        "$lt",
        "$neq",
        "$add",
        "$l",
        "$r",
        "k",
        "t",
        "w",
    }
    assert set(names_in(ruleset.definition)) == expected | {"x0", "x1", "a0", "a1", "a2", "a3"}


def fnv(name: str) -> int:
    """The library's hash of a property's name."""
    value = 2166136261
    for octet in name.encode():
        value = ((value ^ octet) * 16777619) & 0xFFFFFFFF
    return value


def test_property_names_have_different_hashes() -> None:
    """The library tells properties apart by a 32-bit hash alone; none of ours share one."""
    names = [
        "id",
        "sid",
        "k",
        "t",
        "w",
        "$s",
        "n",
        *(f"{letter}{i}" for letter in "xoas" for i in range(300)),
    ]
    assert len({fnv(name) for name in names}) == len(names)


def test_definitions_are_data_of_their_own(random_compiled: CompiledPatterns) -> None:
    """A definition is plain JSON, equal each time it is compiled."""
    for ruleset in random_compiled.rulesets:
        assert json.loads(json.dumps(ruleset.definition)) == ruleset.definition
    again = compile_patterns(copy.deepcopy(random_compiled.patterns))
    assert again == random_compiled
    assert compile_patterns(reversed(random_compiled.patterns)) == random_compiled


def test_messages_hold_whole_numbers_only(tmp_path: Path, random_compiled: CompiledPatterns) -> None:
    """Whatever events carry, a message has small whole numbers, few properties, and one session."""
    generator = RandomPatterns(8)
    seen = 0
    for number in range(200):
        window, _ = generator.window(f"c{number}")
        view = WindowView(window)
        for ruleset in random_compiled.rulesets:
            candidates = [found for p in ruleset.patterns if (found := candidates_of(p, view))]
            for message in messages_of(candidates, view, ruleset, window=number):
                assert (message["sid"], message["w"], message["k"]) == ("w", number, 1)
                assert int(message["id"]) == int(str(message["id"]))
                values = [value for name, value in message.items() if name not in ("id", "sid")]
                assert all(type(value) is int and abs(value) < 2**62 for value in values)
                assert len(message) <= 140
                seen += 1
    assert seen > 1000


def test_numbers_keep_their_order_and_kinds_their_difference() -> None:
    """Codes order numbers exactly, and tell `5`, `"5"` and `true` apart, but not `5` from `5.0`."""
    values = [True, 1, 1.0, "1", "true", 2**53 + 1, float(2**53), -0.0, 0, 1e-320, float("inf"), -1e300]
    event_test = EventTest("buy", joins=(Join("v", Comparator.EQ, 0, "v"),))
    steps = (Step(EventTest("buy"), "a"), Step(event_test, "b", 10**15))
    (ruleset,) = compile_patterns([Pattern("p", Sequence(steps))]).rulesets
    events = tuple(Event(f"e{i}", "buy", float(i), {"v": value}) for i, value in enumerate(values))
    view = WindowView(Window("c", events, now=1e6))
    (found,) = [candidates_of(p, view) for p in ruleset.patterns]
    codes = [message["a0"] for message in messages_of([found], view, ruleset, window=1)]
    for (left, one), (right, other) in combinations(zip(codes, values, strict=True), 2):
        same_kind = isinstance(one, str) == isinstance(other, str) and isinstance(one, bool) == isinstance(
            other, bool
        )
        assert (left == right) is (same_kind and one == other)
        if same_kind and not isinstance(one, str | bool):
            assert (left < right) is (one < other)


def test_replays_have_at_most_64_messages() -> None:
    """Patterns that together would need more messages are replayed apart, each with all its events."""
    step = Step(EventTest("buy"), "a", 5_000_000)
    many = [
        Pattern(f"p{kind}", Sequence((Step(EventTest(kind), "a"), Step(EventTest(kind), "b", 5_000_000))))
        for kind in KINDS
    ]
    mixed = Pattern("all", Sequence((step, Step(EventTest("visit"), "b", 5_000_000))))
    (ruleset,) = compile_patterns([*many, mixed]).rulesets
    events = tuple(Event(f"{kind}{i}", kind, float(i)) for kind in KINDS for i in range(40))
    view = WindowView(Window("c", events, now=100.0))
    found = [each for p in ruleset.patterns if (each := candidates_of(p, view))]
    groups = list(replays(found))
    assert sorted(each.planned.pattern.id for group in groups for each in group) == [
        "all",
        "pbuy",
        "pfret",
        "pvisit",
    ]
    assert len(groups) == 4
    for group in groups:
        assert len(messages_of(group, view, ruleset, window=1)) <= 64
    kept = {each.planned.pattern.id: each for each in found}
    assert {name: each.is_truncated for name, each in kept.items()} == {
        "all": True,
        "pbuy": False,
        "pfret": False,
        "pvisit": False,
    }
    assert len(kept["all"].events) == 64


def brute_chains(
    pattern: Pattern, places: list[list[int]], follow: list[int], times: list[int]
) -> tuple[int, int]:
    """Whole matches, and all that are at least begun, one by one."""
    if isinstance(pattern.form, Count):
        whole = [(e,) for e in places[1]] if len(places[0]) >= pattern.form.at_least else []
        total = len(places[0]) + len(places[1])
    else:
        whole = [(event,) for event in places[0]]
        total = len(whole)
        for i, place in enumerate(places[1:], start=1):
            bounds = [b for b in (pattern.form.steps[i].within_us, pattern.form.within_us) if b is not None]
            whole = [(*c, e) for c in whole for e in place if 0 < times[e] - times[c[-1]] < min(bounds)]
            total += len(whole)
    if pattern.then_no is None:
        return len(whole), total
    within = pattern.then_no.within_us
    broken = sum(0 < times[f] - times[c[-1]] < within for c in whole for f in follow)
    return len(whole), 2 * total + broken


@pytest.mark.parametrize("seed", range(40))
def test_chains_are_counted_right(seed: int) -> None:
    """The number of combinations is that of trying them all."""
    pick = random.Random(seed)
    times = sorted(pick.choices(range(30), k=14))
    steps = tuple(
        Step(EventTest("buy"), "a", pick.choice((None, 3, 9))) for _ in range(pick.choice((1, 2, 4)))
    )
    count = Count(EventTest("buy"), "a", 3, 9)
    for form in (Sequence(steps, 12), count):
        then_no = Absence(EventTest("buy"), 6) if pick.random() < 0.5 else None
        pattern = Pattern("p", form, then_no)
        n = 2 if form is count else len(steps)
        places = [sorted(pick.sample(range(14), pick.choice((1, 5, 14)))) for _ in range(n)]
        follow = sorted(pick.sample(range(14), 6)) if then_no else []
        assert count_chains(pattern, places, follow, times) == brute_chains(pattern, places, follow, times)


def test_dense_windows_are_cut_to_what_is_borne() -> None:
    """Where too many combinations are possible, the oldest events are left out, and that is said."""
    steps = (Step(EventTest("buy"), "a"), *(Step(EventTest("buy"), "b", 10**9) for _ in range(4)))
    (ruleset,) = compile_patterns([Pattern("p", Sequence(steps))]).rulesets
    events = tuple(Event(f"e{i}", "buy", float(i)) for i in range(60))
    view = WindowView(Window("c", events, now=100.0))
    found = candidates_of(ruleset.patterns[0], view)
    assert found is not None
    assert found.is_truncated
    pattern = found.planned.pattern
    assert count_chains(pattern, found.places, [], view.times).all <= MAX_CHAINS
    assert max(found.events) == 59, "the newest are kept"
    assert sorted(found.events) == list(range(min(found.events), 60))
    one_more = [list(range(min(found.events) - 1, 60))] * 5
    assert count_chains(pattern, one_more, [], view.times).all > MAX_CHAINS, "no more than needed is cut"
