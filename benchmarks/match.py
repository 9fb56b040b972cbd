"""Matching: 1,000 rules of 5 predicates, 1,500 distinct predicates over 40 facts, 1 % missing.

The peer is polars with the same rules as expressions over the same data in its own types. Both run
in this process on the same threads, in turn, after both gave the same answers.
"""

import operator
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import polars as pl

import rule_files
from nextbest.facts import Catalogue, Fact, FactGroup, FactType, Figure
from nextbest.model import Contexts
from nextbest.rulebook.builder import ProgramBuilder
from nextbest.rulebook.expressions import Scope, compile_condition
from nextbest.rulebook.matching import Inputs, match, n_blocks
from nextbest.rulebook.program import Matches, Program

SEED = 20260131
RULES = 1_000
PREDICATES_A_RULE = 5
PREDICATES = 1_500
MISSING = 0.01
CUSTOMERS = 1_000_000
CUSTOMERS_QUICK = 100_000
THREADS = 2
ROUNDS = 7
ROUNDS_QUICK = 3
LETTERS = tuple("abcdefgh")


@dataclass(frozen=True)
class Predicate:
    """One condition as both engines write it."""

    ours: str
    theirs: pl.Expr


def facts() -> tuple[Fact, ...]:
    """40 facts: 24 doubles, 8 ints, 6 enums, 2 bools."""

    def many(prefix: str, kind: FactType, count: int, values: tuple[str, ...] = ()) -> list[Fact]:
        return [
            Fact(name=f"{prefix}{i}", type=kind, group=FactGroup.TRANSACTION, values=values)
            for i in range(count)
        ]

    return (
        *many("d", FactType.DOUBLE, 24),
        *many("i", FactType.INT, 8),
        *many("e", FactType.ENUM, 6, LETTERS),
        *many("b", FactType.BOOL, 2),
    )


def predicate(rng: random.Random, fact: Fact) -> Predicate:
    """A random condition on a fact."""
    name, column = f"customer.{fact.name}", pl.col(fact.name)
    if fact.type is FactType.BOOL:
        return rng.choice((Predicate(name, column), Predicate(f"!{name}", ~column)))
    if fact.type is FactType.ENUM:
        chosen = sorted(rng.sample(range(len(LETTERS)), rng.randint(1, 4)))
        letters = ", ".join(f'"{LETTERS[i]}"' for i in chosen)
        return Predicate(f"{name} in [{letters}]", column.is_in(pl.Series(chosen, dtype=pl.UInt8).implode()))
    sign = rng.choice(("<", "<=", ">", ">="))
    number = round(rng.uniform(0, 100), 2) if fact.type is FactType.DOUBLE else rng.randint(0, 100)
    peer = {"<": column < number, "<=": column <= number, ">": column > number, ">=": column >= number}
    return Predicate(f"{name} {sign} {number}", peer[sign])


def rules(rng: random.Random) -> list[list[Predicate]]:
    """Rules over a pool of distinct predicates, every one of which is used."""
    pool: dict[str, Predicate] = {}
    everything = facts()
    while len(pool) < PREDICATES:
        drawn = predicate(rng, rng.choice(everything))
        pool.setdefault(drawn.ours, drawn)
    predicates = list(pool.values())
    draws = [i % PREDICATES for i in range(RULES * PREDICATES_A_RULE)]
    rng.shuffle(draws)
    rows = [draws[r * PREDICATES_A_RULE : (r + 1) * PREDICATES_A_RULE] for r in range(RULES)]
    return [[predicates[i] for i in row] for row in rows]


def program(drawn: Sequence[Sequence[Predicate]]) -> Program:
    """The rules as our tables."""
    scope = Scope(Catalogue(facts()))
    builder = ProgramBuilder()
    for rule in drawn:
        builder.add_condition(compile_condition(_condition(rule), scope))
    return builder.build()


def _condition(rule: Sequence[Predicate]) -> str:
    return " && ".join(p.ours for p in rule)


def customers(n: int) -> tuple[Inputs, pl.DataFrame]:
    """The same n customers for both engines, each in its own types."""
    rng = np.random.default_rng(SEED)
    catalogue = Catalogue(facts())
    numbers = np.empty((n, catalogue.n_numbers))
    words = np.zeros((n, catalogue.n_words), np.uint64)
    known = np.zeros((n, catalogue.n_known_words), np.uint64)
    series: list[pl.Series] = []
    for fact in catalogue.facts:
        missing = rng.random(n) < MISSING
        values = _values(rng, fact, n)
        series.append(_series(fact, values, missing))
        if fact.type is FactType.BOOL:
            place = catalogue.bits[fact.name]
            words[:, place.word] |= values.astype(np.uint64) << np.uint64(place.shift)
            known[:, place.known_word] |= (~missing).astype(np.uint64) << np.uint64(place.known_bit)
        else:
            numbers[:, catalogue.columns[fact.name]] = np.where(missing, np.nan, values)
    return _inputs(numbers, words, known), pl.DataFrame(series)


def _values(rng: np.random.Generator, fact: Fact, n: int) -> np.ndarray:
    if fact.type is FactType.DOUBLE:
        return rng.uniform(0, 100, n)
    return rng.integers(0, {FactType.INT: 100, FactType.ENUM: len(LETTERS), FactType.BOOL: 2}[fact.type], n)


def _series(fact: Fact, values: np.ndarray, missing: np.ndarray) -> pl.Series:
    types = {
        FactType.DOUBLE: pl.Float64,
        FactType.INT: pl.Int64,
        FactType.ENUM: pl.UInt8,
        FactType.BOOL: pl.Boolean,
    }
    series = pl.Series(fact.name, values).cast(types[fact.type])
    return series.to_frame().select(pl.when(pl.Series(~missing)).then(pl.col(fact.name)))[fact.name]


def _inputs(numbers: np.ndarray, words: np.ndarray, known: np.ndarray) -> Inputs:
    n = len(numbers)
    unset = np.full(n, -1, np.int32)
    contexts = Contexts(
        unset, unset, np.zeros(n, np.uint64), np.empty((n, 0), np.int32), unset, unset, np.empty((n, 0))
    )
    return Inputs(
        numbers,
        words,
        known,
        np.full((n, len(Figure)), np.nan),
        contexts,
        np.empty((n, 0)),
        np.zeros(n),
        np.zeros((0, n_blocks(n)), np.uint64),
    )


def theirs(frame: pl.DataFrame, drawn: Sequence[Sequence[Predicate]]) -> pl.LazyFrame:
    """The rules in polars: distinct predicates first, then their conjunctions.

    Of the ways to write it (conjunctions of predicates in one step, folded or by `all_horizontal`,
    with common parts found by the optimiser; these two steps, eager, lazy or streaming) the fastest.
    """
    distinct = {p.ours: p.theirs for rule in drawn for p in rule}
    names = {ours: f"p{i}" for i, ours in enumerate(distinct)}
    predicates = [expression.alias(names[ours]) for ours, expression in distinct.items()]
    columns = [[pl.col(names[p.ours]) for p in rule] for rule in drawn]
    conjunctions = [reduce(operator.and_, rule).alias(str(r)) for r, rule in enumerate(columns)]
    return frame.lazy().select(predicates).select(conjunctions)


def check_same(matches: Matches, frame: pl.DataFrame) -> None:
    """Both engines' answers, known-true and known-false, for every rule."""
    n = len(frame)
    for rule, column in enumerate(frame.iter_columns()):
        true = np.unpackbits(np.ascontiguousarray(matches.true[:, rule]).view(np.uint8), bitorder="little")
        false = np.unpackbits(np.ascontiguousarray(matches.false[:, rule]).view(np.uint8), bitorder="little")
        if not np.array_equal(true[:n].astype(bool), column.fill_null(value=False).to_numpy()):
            raise AssertionError(f"rule {rule}: known-true differs from polars")
        if not np.array_equal(false[:n].astype(bool), ~column.fill_null(value=True).to_numpy()):
            raise AssertionError(f"rule {rule}: known-false differs from polars")


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def single_us(tables: Program, inputs: Inputs) -> float:
    """Median microseconds for one customer, over many different ones."""
    ones = [_one(inputs, i) for i in range(200)]
    out = match(tables, ones[0])
    times = [seconds(lambda one=one: match(tables, one, out=out)) for _ in range(20) for one in ones]
    return 1e6 * statistics.median(times)


def _one(inputs: Inputs, i: int) -> Inputs:
    return _inputs(inputs.numbers[i : i + 1], inputs.words[i : i + 1], inputs.known[i : i + 1])


def run(*, quick: bool) -> dict[str, float]:
    """Measure matching beside polars.

    Returns:
        match.ratio_to_polars, match.rule_evals_per_s, match.single_us; match.compile_ms: the rules'
        expressions alone to tables; and the whole way of the same rules as files: match.yaml_ms (reading),
        match.typing_ms (validating), match.documents_to_tables_ms (all that is compiled).
    """
    n = CUSTOMERS_QUICK if quick else CUSTOMERS
    drawn = rules(random.Random(SEED))
    inputs, frame = customers(n)
    peer = theirs(frame, drawn)
    tables = program(drawn)
    if tables.n_predicates > PREDICATES:
        raise AssertionError("a predicate is stored twice")
    # As a population run does, the result's memory is used again; polars' allocator keeps its own.
    out = match(tables, inputs, threads=THREADS)
    check_same(out, peer.collect())
    ours_s: list[float] = []
    ratios: list[float] = []
    for _ in range(ROUNDS_QUICK if quick else ROUNDS):
        peer_s = seconds(peer.collect)
        ours_s.append(seconds(lambda: match(tables, inputs, threads=THREADS, out=out)))
        # Paired, because what else the machine does changes over the rounds.
        ratios.append(peer_s / ours_s[-1])
    return {
        "match.ratio_to_polars": statistics.median(ratios),
        "match.rule_evals_per_s": n * RULES / statistics.median(ours_s),
        "match.single_us": single_us(tables, inputs),
        "match.compile_ms": 1e3 * seconds(lambda: program(drawn)),
        **rule_files.measure(facts(), [_condition(rule) for rule in drawn], rounds=len(ratios)),
    }


if __name__ == "__main__":
    import sys

    for key, value in run(quick="--quick" in sys.argv).items():
        print(f"{key} {value:,.3f}")
