"""The matcher: each predicate once, two planes, and the edges that generated cases meet rarely."""

import json
import pickle
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.naive import generated_expressions as gen

from nextbest.facts import Catalogue, Fact, FactGroup, FactType, Figure
from nextbest.model import Contexts
from nextbest.rulebook.builder import ProgramBuilder
from nextbest.rulebook.expressions import Scope, compile_condition, compile_number
from nextbest.rulebook.matching import Inputs, holds, match, n_blocks, no_history, no_suppression
from nextbest.rulebook.program import Op, Program

VECTORS = {v["name"]: v for v in json.loads((Path(__file__).parents[1] / "vectors.json").read_text())}
NOW = 1_770_000_000.0
TOWNS = tuple(f"town {i}" for i in range(300))


def fact(name, kind, *values):
    """A fact of the test catalogue."""
    return Fact(name=name, type=kind, group=FactGroup.MASTER, values=values)


CATALOGUE = Catalogue(
    (
        fact("a", FactType.DOUBLE),
        fact("n", FactType.INT),
        fact("vip", FactType.BOOL),
        fact("town", FactType.ENUM, *TOWNS),
        fact("letter", FactType.ENUM, *[chr(i) for i in range(33, 97)]),
        fact("needs", FactType.SET, *[f"m{i}" for i in range(64)]),
        fact("at", FactType.TIMESTAMP),
    )
)
SCOPE = Scope(
    CATALOGUE,
    triggers=("first", "second"),
    channels=("pos", "email"),
    placements=("top", "end"),
    roles=("agent", "till"),
)


def program(*conditions, values=()):
    """A program of conditions and numbers."""
    builder = ProgramBuilder()
    for source in conditions:
        builder.add_condition(compile_condition(source, SCOPE))
    for source in values:
        builder.add_value(compile_number(source, SCOPE))
    return builder.build()


def rows(tables, *customers, **context):
    """Customers given as facts by name, all in one situation."""
    n = len(customers)
    codes = {
        name: np.full(n, context.get(name, -1), np.int32)
        for name in ("channel", "direction", "phase", "role")
    }
    inputs = Inputs(
        np.full((n, CATALOGUE.n_numbers), np.nan),
        np.zeros((n, CATALOGUE.n_words), np.uint64),
        np.zeros((n, CATALOGUE.n_known_words), np.uint64),
        np.full((n, len(Figure)), np.nan),
        Contexts(
            **codes,
            placements=np.full(n, context.get("placements", 0), np.uint64),
            preference=np.empty((n, 0), np.int32),
            numbers=np.zeros((n, 0)),
        ),
        no_history(n, tables),
        np.full(n, NOW),
        no_suppression(2, n),
    )
    for i, customer in enumerate(customers):
        for name, value in customer.items():
            gen.store(inputs, CATALOGUE, i, name, value)
    return inputs


def truth(source, *customers, **context):
    """True, False or None (UNKNOWN) for each customer."""
    tables = program(source)
    matches = match(tables, rows(tables, *customers, **context))
    n = len(customers)
    pairs = zip(holds(matches.true, 0, n), holds(matches.false, 0, n), strict=True)
    return [True if t else False if f else None for t, f in pairs]


def test_three_values_give_the_vector():
    """A comparison with a missing fact is unknown, and stays so unless the rest decides (`three_valued`)."""
    vector = VECTORS["three_valued"]
    found = [truth(source.replace("missing", "customer.a"), {"vip": True})[0] for source in vector["in"]]
    assert found == [None if value == "UNKNOWN" else value for value in vector["out"]]


def test_equal_predicates_are_stored_once():
    """However rules write them, equal predicates and their negations are one predicate."""
    tables = program(
        "customer.a > 3.0 && customer.vip",
        "customer.vip && !(customer.a <= 3.0)",
        "3 < customer.a && customer.n == 2",
        "customer.n != 2 || customer.a <= 3.0",
        "customer.town in ['town 1'] || customer.town == 'town 1'",
    )
    assert tables.n_predicates == 4
    assert tables.condition_planes[0] == tables.condition_planes[1]
    assert tables.condition_planes[2] == tables.condition_planes[3] ^ 1


def test_equal_parts_are_stored_once():
    """A conjunction that several rules contain is computed once."""
    shared = "(customer.a > 1.0 && customer.vip)"
    tables = program(f"{shared} || customer.n > 1", f"{shared} || customer.n > 2", f"!{shared}")
    conjunctions = tables.code[tables.code[:, 0] == Op.AND]
    assert conjunctions[:, 3].sum() == 3


@pytest.mark.parametrize("size", range(1, 12))
def test_conjunctions_of_any_size(size):
    """However many conditions a rule has, one that is false or unknown decides."""
    source = " && ".join(f"customer.n != {i}" for i in range(size))
    assert truth(source, {"n": size}, {"n": 0}, {"n": size - 1}, {}) == [True, False, False, None]
    assert truth(f"({source}) || customer.vip", {"n": 0, "vip": True}, {"n": 0}) == [True, None]


def test_what_no_output_needs_is_left_out():
    """Constants that only predicates hold take no room among the numbers, nor do forgotten parts."""
    tables = program("customer.a > 1.0 && customer.n < 7", "true ? customer.vip : customer.a * 2.0 > 5.0")
    assert (tables.n_slots, tables.n_nodes, len(tables.constants)) == (2, 6, 0)


def test_conjunctions_run_together():
    """Rules that are plain conjunctions cost one instruction, however many there are."""
    tables = program(*(f"customer.a > {i}.0 && customer.n < {i}" for i in range(50)))
    assert len(tables.code) == 1
    assert tables.code[0, 0] == Op.AND


@pytest.mark.parametrize("n", [0, 1, 2, 63, 64, 65, 128, 130])
def test_any_number_of_customers(n):
    """Blocks are filled in part without inventing customers."""
    tables = program("customer.n > 2", "has(customer.n)", "true", values=("customer.n * 2",))
    inputs = rows(tables, *({"n": i % 5} for i in range(n)))
    matches = match(tables, inputs)
    expected = np.arange(n) % 5
    assert matches.true.shape == (n_blocks(n), 3)
    assert np.array_equal(holds(matches.true, 0, n), expected > 2)
    assert np.array_equal(holds(matches.false, 0, n), expected <= 2)
    assert np.array_equal(matches.values[:, 0], expected * 2)
    if n % 64:
        beyond = ~np.uint64((1 << n % 64) - 1)
        assert not ((matches.true[-1] | matches.false[-1]) & beyond).any()


def test_a_suppressed_trigger_reads_false():
    """A trigger in its cool-down is false where it is read, even if its own condition is not known."""
    builder = ProgramBuilder()
    builder.add_condition(compile_condition("customer.n > 2", SCOPE), trigger=0)
    builder.add_condition(compile_condition("trigger.first && customer.vip", SCOPE))
    builder.add_condition(compile_condition("!trigger.first", SCOPE))
    tables = builder.build()
    inputs = rows(tables, {"n": 3, "vip": True}, {"n": 3, "vip": True}, {"vip": True}, {"vip": True})
    inputs.suppressed[0, 0] = 0b1010
    matches = match(tables, inputs)
    assert holds(matches.true, 0, 4).tolist() == [True, True, False, False]
    assert holds(matches.true, 1, 4).tolist() == [True, False, False, False]
    assert holds(matches.false, 1, 4).tolist() == [False, True, False, True]
    assert holds(matches.true, 2, 4).tolist() == [False, True, False, True]
    assert holds(matches.false, 2, 4).tolist() == [True, False, False, False]


def test_the_situation_is_unknown_when_it_is_not_given():
    """A request that names no channel or placement is not a request in another channel."""
    assert truth("context.channel == 'email'", {}, channel=1) == [True]
    assert truth("context.channel == 'email'", {}, channel=0) == [False]
    assert truth("context.channel == 'email'", {}) == [None]
    assert truth("context.direction == 'outbound'", {}, direction=1) == [True]
    assert truth("context.phase == 'before_payment'", {}, phase=3) == [True]
    assert truth("context.role == 'till'", {}, role=1) == [True]
    assert truth("'end' in context.placement", {}, placements=0b11) == [True]
    assert truth("'end' in context.placement", {}, placements=0b01) == [False]
    assert truth("'end' in context.placement", {}) == [None]
    assert truth("has(context.placement) || has(context.channel)", {}) == [False]
    assert truth("size(context.placement) == 2", {}, placements=0b11) == [True]


def test_enums_of_any_size():
    """An enum of 300 values, and the last of 64, are told apart like small ones."""
    towns = [{"town": "town 299"}, {"town": "town 63"}, {"town": "town 64"}, {}]
    assert truth("customer.town in ['town 299', 'town 64']", *towns) == [True, False, True, None]
    assert truth("customer.town.endsWith('9')", *towns) == [True, False, False, None]
    letters = [{"letter": "`"}, {"letter": "!"}, {}]
    assert truth("customer.letter in ['`', '#']", *letters) == [True, False, None]
    assert truth("customer.letter < 'A'", *letters) == [False, True, None]


def test_all_members_of_a_set():
    """The first and the 64th member of a set are bits like any other; an empty set is known."""
    sets = [{"needs": frozenset({"m0"})}, {"needs": frozenset({"m63"})}, {"needs": frozenset()}, {}]
    assert truth("'m63' in customer.needs", *sets) == [False, True, False, None]
    assert truth("size(customer.needs) == 0", *sets) == [False, False, True, None]
    assert truth("size(customer.needs) == 64", {"needs": frozenset(f"m{i}" for i in range(64))}) == [True]


def test_a_computed_nan_is_a_value():
    """0/0 is known: it equals nothing and differs from everything, as IEEE 754 and CEL have it."""
    zero = {"a": 0.0}
    assert truth("customer.a / customer.a == customer.a / customer.a", zero, {}) == [False, None]
    assert truth("customer.a / customer.a != 1.0", zero, {}) == [True, None]
    assert truth("!(customer.a / customer.a < 1.0)", zero, {}) == [True, None]
    assert truth("customer.a / customer.a >= 1.0", zero, {}) == [False, None]
    assert truth("0.0 / 0.0 > customer.a", zero, {}) == [False, None]
    assert truth("!(0.0 / 0.0 <= customer.a)", zero, {}) == [True, None]


def test_whole_numbers_have_declared_limits():
    """Beyond ±2^53, and by zero, whole numbers give no answer rather than a wrong one."""
    big = {"n": 2**53 - 1}
    assert truth("customer.n + 0 == 9007199254740991", big) == [True]
    assert truth("customer.n + 1 > 0", big) == [None]
    assert truth("customer.n + 2 > 0", big) == [None]
    assert truth("customer.n * customer.n > 0", big) == [None]
    assert truth("customer.n / 0 == 0 || customer.n > 0", big) == [True]
    assert truth("customer.n % 0 == 0", big) == [None]
    assert truth("customer.n / 9007199254740991 == 1", big) == [True]
    assert truth("(customer.n - 1) / 9007199254740991 == 0", big) == [True]
    assert truth("-customer.n < 0", big) == [True]
    assert truth("int(1e300 * double(customer.n)) > 0", big) == [None]


def test_a_zero_from_whole_numbers_has_no_sign():
    """Whole numbers know no negative zero, however they come about."""
    tables = program(values=("1.0 / double(0 * -customer.n)", "1.0 / double(-customer.n % customer.n)"))
    assert match(tables, rows(tables, {"n": 5})).values.tolist() == [[np.inf, np.inf]]


def test_time_windows_have_one_open_end():
    """Exactly d days ago is outside, now is inside, and the future is outside."""
    ages = [0.0, 30 * 86400.0 - 1.0, 30 * 86400.0, -1.0]
    times = [{"at": NOW - age} for age in ages]
    assert truth("within(customer.at, 30)", *times, {}) == [True, True, False, False, None]
    assert truth("within(customer.at, duration('720h'))", *times) == [True, True, False, False]
    assert truth("within(customer.at, customer.n)", {"at": NOW, "n": 1}, {"at": NOW}) == [True, None]


def test_read_only_arrays_are_accepted():
    """Rows straight from a store, which nobody may write to, match like any others."""
    tables = program("customer.n > 2")
    inputs = rows(tables, {"n": 3}, {"n": 1})
    for array in (inputs.numbers, inputs.words, inputs.known, inputs.now):
        array.flags.writeable = False
    assert holds(match(tables, inputs).true, 0, 2).tolist() == [True, False]


def test_short_inputs_are_refused():
    """An input with too few rows or columns is an error, not a read beyond its end."""
    builder = ProgramBuilder()
    builder.add_condition(compile_condition("customer.n > 2", SCOPE), trigger=0)
    for source in (
        "trigger.first",
        "'m1' in customer.needs",
        "customer.ltv > 0",
        "count(history.events, 3) > 1",
    ):
        builder.add_condition(compile_condition(source, SCOPE))
    tables = builder.build()
    good = rows(tables, {"n": 3}, {"n": 1})
    assert match(tables, good).true.shape == (1, 5)
    for name in ("numbers", "words", "known", "figures", "history"):
        with pytest.raises(ValueError, match=f"{name} has 0 columns"):
            match(tables, replace(good, **{name: np.ascontiguousarray(getattr(good, name)[:, :0])}))
        with pytest.raises(ValueError, match="inputs are of different lengths"):
            match(tables, replace(good, **{name: getattr(good, name)[:1]}))
    with pytest.raises(ValueError, match="suppressed has 0 columns"):
        match(tables, replace(good, suppressed=good.suppressed[:0]))


def test_threads_may_come_first_together():
    """A process whose first match is made by two threads at once compiles once and answers both."""
    source = (
        "import numpy as np\n"
        "from nextbest.facts import Figure\n"
        "from nextbest.model import Contexts\n"
        "from nextbest.rulebook.builder import ProgramBuilder\n"
        "from nextbest.rulebook.matching import Inputs, match\n"
        "n, words = 640, np.zeros((640, 0), np.uint64)\n"
        "codes, none = np.full(n, -1, np.int32), np.zeros((n, 0))\n"
        "contexts = Contexts(codes, codes, np.zeros(n, np.uint64), none.astype(np.int32),"
        " codes, codes, none)\n"
        "figures, now = np.zeros((n, len(Figure))), np.zeros(n)\n"
        "inputs = Inputs(none, words, words, figures, contexts, none, now, np.zeros((0, 10), np.uint64))\n"
        "print(match(ProgramBuilder().build(), inputs, threads=2).true.shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("(10, 0)", 0), done.stderr


def test_a_result_can_be_used_again():
    """A result passed in is overwritten and returned."""
    tables = program("customer.n > 2", values=("customer.n",))
    first = match(tables, rows(tables, {"n": 3}))
    again = match(tables, rows(tables, {"n": 1}), out=first)
    assert again is first
    assert holds(first.true, 0, 1).tolist() == [False]
    assert first.values.tolist() == [[1.0]]


def test_a_program_survives_publishing():
    """Tables turned into arrays and back, or pickled, are the same tables."""
    rng = random.Random(5)
    builder = ProgramBuilder()
    for _ in range(30):
        builder.add_condition(compile_condition(gen.Generator(rng, plain=True).boolean(), gen.SCOPE))
    builder.add_value(
        compile_number("count(history.contacts, 3, entry.channel in ['pos', 'email'])", gen.SCOPE)
    )
    tables = builder.build()
    for copy in (Program.from_arrays(tables.to_arrays()), pickle.loads(pickle.dumps(tables))):
        before, after = tables.to_arrays(), copy.to_arrays()
        assert all(np.array_equal(before[name], after[name], equal_nan=True) for name in before)
        assert copy.windows == tables.windows


def test_compiling_is_deterministic():
    """The same sources give the same tables, so that digests of tables can be compared."""
    sources = ["customer.a > 1.0 && (customer.vip || customer.n in [1, 2])", "days_since(customer.at) > 3"]
    first, second = program(*sources).to_arrays(), program(*sources).to_arrays()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_an_empty_program():
    """A rulebook without conditions matches nothing, for anyone."""
    tables = program()
    matches = match(tables, rows(tables, {}, {}))
    assert matches.true.shape == (1, 0)
    assert matches.values.shape == (2, 0)
