"""Decision tables: what they compile to, against a walk over the rows; overlaps and gaps, by all values."""

import random
import re
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.rulebooks import write
from tests.builders.worlds import World, action, customer, documents
from tests.naive.decision_tables import row_holds, rows_that_count

from nextbest.facts import Figure
from nextbest.id_check import id_checks_of
from nextbest.model import Contexts
from nextbest.rows import RowCodec
from nextbest.rulebook.boxes import covered_by_earlier, uncovered_point
from nextbest.rulebook.compile import check_source, examine_source
from nextbest.rulebook.matching import holds, inputs_of, match, no_history, no_suppression
from nextbest.rulebook.source import load_source
from nextbest.rulebook.verify import verify_source

NAMES = ("stars", "rate", "vip", "tier", "drinks")
TIERS = ("gold", "silver", "none")
DRINKS = ("tea", "coffee", "cake")
FACTS = [
    {"name": "stars", "type": "int", "group": "profile", "minimum": 0, "maximum": 5, "description": "x"},
    {"name": "rate", "type": "double", "group": "profile", "description": "x"},
    {"name": "vip", "type": "bool", "group": "profile", "description": "x"},
    {"name": "tier", "type": "enum", "group": "profile", "values": list(TIERS), "description": "x"},
    {"name": "drinks", "type": "set", "group": "profile", "values": list(DRINKS), "description": "x"},
]
CELLS = {
    "stars": [
        "-",
        "< 2",
        ">= 2",
        3,
        "1..3",
        "(1..4)",
        "0, 5",
        "not 3",
        "!= 2",
        "> 4, < 1",
        "known",
        "unknown",
    ],
    "rate": [
        "-",
        "< 0.5",
        ">= 0.5",
        "0.5",
        "[0..0.5)",
        "0.5..1",
        "not 0.5..1",
        "> 1, < 0",
        "known",
        "unknown",
    ],
    "vip": ["-", "true", "false", True, "not true", "known", "unknown"],
    "tier": ["-", "gold", "silver, none", "not gold", "not gold, silver", "known", "unknown"],
    "drinks": ["-", "tea", "tea, coffee", "not tea", "not cake, coffee", "known", "unknown"],
}
ONE_ACTION = (action(),)
VALUES = {
    "stars": [0, 1, 2, 3, 4, 5, None],
    "rate": [-0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5, None],
    "vip": [True, False, None],
    "tier": [*TIERS, None],
    "drinks": [frozenset(), frozenset({"tea"}), frozenset({"cake", "coffee"}), frozenset(DRINKS), None],
}
SUBSETS = [frozenset(c) for size in range(4) for c in combinations(DRINKS, size)]


def draw_table(rng, name, hit, rows=6, columns=4):
    """A random table; each row chooses a segment of its own."""
    columns = rng.sample(NAMES, rng.randint(1, columns))
    return {
        "id": name,
        "hit": hit,
        "columns": [f"customer.{column}" for column in columns],
        "rows": [
            {"when": [rng.choice(CELLS[c]) for c in columns], "segments": [f"{name}_{i}"]}
            for i in range(rng.randint(1, rows))
        ],
    }


def load(directory: Path, *tables, actions=ONE_ACTION, **parts):
    """What the compiler makes of a rulebook with these tables."""
    files = documents(*actions, **parts) | {"tables/t.yaml": {"tables": list(tables)}}
    files["facts.yaml"] = files["facts.yaml"] | {"facts": FACTS}
    write(files, directory)
    return load_source(directory)


def truths(rulebook, people, condition):
    """Whether a condition of the program is true, for customers given as dictionaries of facts."""
    codec = RowCodec(rulebook.catalogue)
    ids = [f"c{i}".encode() for i in range(len(people))]
    known = [{k: v for k, v in person.items() if v is not None} for person in people]
    rows = codec.decode_batch(
        [codec.encode(i, 1e9, facts) for i, facts in zip(ids, known, strict=True)], id_checks_of(ids)
    ).rows
    n = len(people)
    one, none = np.zeros(n, np.int32), np.empty((n, 0), np.int32)
    contexts = Contexts(one, one, np.zeros(n, np.uint64), none, one, one, np.full((n, 2), np.nan))
    inputs = inputs_of(
        rows,
        np.full((n, len(Figure)), np.nan),
        contexts,
        np.full(n, 1e9),
        history=no_history(n, rulebook.program),
        suppressed=no_suppression(len(rulebook.triggers), n),
    )
    return holds(match(rulebook.program, inputs).true, condition, n).tolist()


def draw_people(rng, n):
    """Customers who miss a fact now and then."""
    return [{name: rng.choice(values) for name, values in VALUES.items()} for _ in range(n)]


def values_of(table, person):
    """The values of a table's columns."""
    return [person[column.removeprefix("customer.")] for column in table["columns"]]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_rows_count_as_in_a_walk_over_the_table(tmp_path_factory, seed) -> None:
    """With `first` the first row that holds counts, with `collect` every one; what is missing never holds."""
    rng = random.Random(seed)
    tables = [draw_table(rng, "t", "first"), draw_table(rng, "u", "collect")]
    parts, diagnostics = examine_source(load(tmp_path_factory.mktemp("t"), *tables))
    assert parts is not None, diagnostics
    people = draw_people(rng, 70)
    conditions = {segment.id: segment.condition for segment in parts.rulebook.segments}
    for table in tables:
        counted = [rows_that_count(table, values_of(table, person)) for person in people]
        for i in range(len(table["rows"])):
            found = truths(parts.rulebook, people, conditions[f"{table['id']}_{i}"])
            assert found == [i in rows for rows in counted], table


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_overlaps_and_gaps_are_those_of_all_values(tmp_path_factory, seed) -> None:
    """A `unique` table is refused exactly if two rows can hold at once; gaps are found if there are any."""
    rng = random.Random(seed)
    table = draw_table(rng, "t", "unique", rows=4)
    everyone = [dict(zip(NAMES, v, strict=True)) for v in product(*(VALUES[n] for n in NAMES))]
    asked = [column.removeprefix("customer.") for column in table["columns"]]
    unknowns = {
        c for k, c in enumerate(asked) if any(r["when"][k] in ("known", "unknown") for r in table["rows"])
    }
    people = [p for p in everyone if all(p[name] is not None or name in unknowns for name in NAMES)]
    counts = [sum(row_holds(row, values_of(table, p)) for row in table["rows"]) for p in people]
    source = load(tmp_path_factory.mktemp("t"), table)
    codes = {d.code for d in check_source(source)}
    assert codes == ({"table-overlap"} if max(counts) > 1 else set()), table
    if not codes:
        (compiled,) = examine_source(source)[0].choices.tables
        point = uncovered_point(compiled.everything, [row.box for row in compiled.rows])
        assert (point is not None) == (min(counts) == 0), table
        if point is not None:
            values = [column.values[at] for column, at in zip(compiled.columns, point, strict=True)]
            assert not any(row_holds(row, values) for row in table["rows"])


@settings(max_examples=100)
@given(st.lists(st.tuples(*[st.integers(0, 7)] * 3), max_size=6), st.tuples(*[st.integers(0, 7)] * 3))
def test_boxes_are_covered_as_their_points_are(covers, box) -> None:
    """A box is covered exactly if each of its points is in some cover."""

    def points(one):
        return set(product(*([p for p in range(3) if mask >> p & 1] for mask in one)))

    left = points(box) - set().union(*map(points, covers))
    found = uncovered_point(box, covers)
    assert (found in left) if left else (found is None)
    assert (len(covers) in covered_by_earlier([*covers, box])) == (bool(points(box)) and not left)


def test_actions_wait_for_a_row_that_chooses_them() -> None:
    """An action that a table names is offered only where a row says so; others are not concerned."""
    table = {
        "id": "t",
        "hit": "first",
        "columns": ["customer.satisfaction", "customer.complaint_open"],
        "rows": [
            {"when": ["-", "true"]},
            {"when": [">= 50", "-"], "actions": ["a", "b"]},
            {"when": ["-", "-"], "actions": ["b"]},
        ],
    }
    files = documents(action("a", when="customer.revenue_net > 10.0"), action("b"), action("c"))
    world = World(files | {"tables/t.yaml": {"tables": [table]}})

    def offered(**facts):
        return set(world.ranking(customer(facts=facts)))

    happy = {"satisfaction": 90.0, "revenue_net": 100.0}
    assert offered(**happy) == {"a", "b", "c"}
    assert offered(**happy, complaint_open=False) == {"a", "b", "c"}
    assert offered(**happy, complaint_open=True) == {"c"}
    assert offered(**(happy | {"revenue_net": 5.0})) == {"b", "c"}
    assert offered(satisfaction=20.0, revenue_net=100.0) == {"b", "c"}
    assert offered(revenue_net=100.0) == {"b", "c"}
    reason, *_ = world.ends(customer(facts={"satisfaction": 20.0, "revenue_net": 100.0}), "a")
    assert reason == "CONDITION_FALSE"
    source = world.rulebook.actions[0].condition_source
    assert "customer.satisfaction >= 50" in source
    assert "!(customer.complaint_open)" in source


def test_an_action_in_two_tables_needs_both() -> None:
    """Every table that names an action must choose it."""

    def table(name, column, cell):
        return {
            "id": name,
            "hit": "collect",
            "columns": [column],
            "rows": [{"when": [cell], "actions": ["a"]}],
        }

    tables = [table("s", "customer.satisfaction", ">= 50"), table("r", "customer.revenue_net", "> 10")]
    world = World(documents(action("a")) | {"tables/t.yaml": {"tables": tables}})
    for satisfaction, revenue, expected in ((90.0, 100.0, ["a"]), (90.0, 5.0, []), (20.0, 100.0, [])):
        facts = {"satisfaction": satisfaction, "revenue_net": revenue}
        assert world.ranking(customer(facts=facts)) == expected


def test_levers_add_to_the_weight_of_the_situation() -> None:
    """Every row that counts adds its per cent to the action's context weight."""
    rows = [
        {"when": [">= 50"], "levers": {"a": 20}},
        {"when": [">= 80"], "levers": {"a": 30, "b": -50}},
    ]
    table = {"id": "t", "hit": "collect", "columns": ["customer.satisfaction"], "rows": rows}
    context = [{"when": "customer.revenue_net > 10.0", "weight": 10}]
    files = documents(action("a", context=context), action("b")) | {"tables/t.yaml": {"tables": [table]}}
    world = World(files)

    def weights(**facts):
        case = customer(facts={"revenue_net": 100.0} | facts)
        return tuple(world.terms(case, name)["context_weight"] for name in "ab")

    assert weights(satisfaction=90.0) == pytest.approx((1.6, 0.5))
    assert weights(satisfaction=60.0) == pytest.approx((1.3, 1.0))
    assert weights() == pytest.approx((1.1, 1.0))


def test_segments_of_tables_are_segments(tmp_path: Path) -> None:
    """Actions refer to a table's segments as to any other, and names are not used twice."""
    table = {"id": "t", "columns": ["customer.vip"], "rows": [{"when": [True], "segments": ["vips"]}]}
    parts, _ = examine_source(load(tmp_path, table, actions=[action(segments=["vips"])]))
    assert [s.id for s in parts.rulebook.segments] == ["vips"]
    taken = [{"id": "vips", "when": "customer.vip"}]
    codes = [d.code for d in check_source(load(tmp_path, table, actions=[action()], segments=taken))]
    assert codes == ["duplicate-id"]


COLUMN_IS_KNOWN_WITHOUT_ALL_FACTS = {
    "customer.stars > 2 || customer.rate > 0.5": ("true", {"stars": 4}, [True, False]),
    "customer.stars > 2 && customer.rate > 0.5": ("false", {"stars": 1}, [True, False]),
    "customer.vip ? customer.stars : 0": (">= 0", {"vip": False}, [True, False]),
    "customer.vip || customer.stars > 2": ("true", {"stars": 1}, [False, True]),
    "10 / customer.stars": ("> 3", {"stars": 0}, [False, True]),
    "has(customer.vip) ? customer.stars : 7": ("7", {}, [True, False]),
    "customer.stars + count(history.contacts, 30)": ("> 3", {"stars": 1}, [False, False]),
    "customer.vip ? count(history.contacts, 30) : 5": ("> 3", {"vip": False}, [True, False]),
}


@pytest.mark.parametrize("column", COLUMN_IS_KNOWN_WITHOUT_ALL_FACTS)
def test_of_a_first_table_one_row_counts_whatever_is_missing(tmp_path: Path, column: str) -> None:
    """A row that holds although a fact it reads is missing holds later rows back; one that fails does not."""
    cell, person, expected = COLUMN_IS_KNOWN_WITHOUT_ALL_FACTS[column]
    rows = [{"when": [cell], "segments": ["one"]}, {"when": ["-"], "segments": ["rest"]}]
    table = {"id": "t", "hit": "first", "columns": [column], "rows": rows}
    parts, _ = examine_source(load(tmp_path, table))
    conditions = [segment.condition for segment in parts.rulebook.segments]
    assert [truths(parts.rulebook, [person], condition) for condition in conditions] == [
        [count] for count in expected
    ]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_a_row_that_is_said_to_be_idle_never_counts(tmp_path_factory, seed) -> None:
    """A row is called idle exactly if it counts for no customer, those who miss facts included."""
    rng = random.Random(seed)
    table = draw_table(rng, "t", "first", columns=2)
    table["rows"].append({"when": ["-"] * len(table["columns"]), "segments": ["rest"]})
    asked = [column.removeprefix("customer.") for column in table["columns"]]
    everyone = list(product(*((VALUES | {"drinks": [*SUBSETS, None]})[name] for name in asked)))
    counting = {i for values in everyone for i in rows_that_count(table, values)}
    said = {
        int(re.match(r"row (\d+) of", d.message)[1]) - 1
        for d in verify_source(load(tmp_path_factory.mktemp("t"), table))
        if d.code == "idle-table-row" and d.message.startswith("row ")
    }
    assert said == set(range(len(table["rows"]))) - counting, table


def test_windows_that_cannot_be_known_hold_later_rows_back(tmp_path: Path) -> None:
    """Where history was cut off nothing is guessed: rows below a row that asks for it do not count."""
    rows = [{"when": ["> 3"], "segments": ["many"]}, {"when": ["-"], "segments": ["few"]}]
    table = {"id": "t", "hit": "first", "columns": ["count(history.contacts, 30)"], "rows": rows}
    parts, _ = examine_source(load(tmp_path, table))
    conditions = [segment.condition for segment in parts.rulebook.segments]
    assert [truths(parts.rulebook, [{}], condition) for condition in conditions] == [[False], [False]]


def test_the_largest_table_compiles(tmp_path: Path) -> None:
    """Two hundred rows, most of which overlap, are read, and the last rows are still told apart."""
    entries = [{"when": [f"> {i}", "-"], "segments": [f"s{i % 50}"]} for i in range(199, 0, -1)]
    entries.append({"when": ["-", "gold"], "segments": ["rest"]})
    table = {"id": "t", "hit": "first", "columns": ["customer.rate", "customer.tier"], "rows": entries}
    parts, diagnostics = examine_source(load(tmp_path, table))
    assert diagnostics == []
    people = [{"rate": 1.5, "tier": "gold"}, {"rate": 0.5, "tier": "gold"}, {"rate": 0.5, "tier": "silver"}]
    conditions = {segment.id: segment.condition for segment in parts.rulebook.segments}
    assert truths(parts.rulebook, people, conditions["s1"]) == [True, False, False]
    assert truths(parts.rulebook, people, conditions["rest"]) == [False, True, False]
