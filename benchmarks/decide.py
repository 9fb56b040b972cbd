"""Deciding for a population: 200 actions, 1,000 conditions, 20 history entries each, all gates, the best 3.

Ours is the whole of `decide`: figures with lifetime value and peers, cool-downs, windows, matching, gates,
scores and ranking, in parts shared over two threads, into memory of the round before, as a run over batches
may do (after the peer the system takes long to find new memory). The peer is polars with the same rules and
ranking; its figures are handed to it. Both must give the same answers, every gate must stop somebody, and at
least 20 actions a customer must reach the score, or there is no figure.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from decide_frames import frames
from decide_polars import Peer
from decide_workload import Population, compiled, model_of, population, script, state
from nextbest.assembly import Model
from nextbest.batch.population import decide_in_threads
from nextbest.decide import decide, explain
from nextbest.figures import figures_of
from nextbest.model import GATE_OF, Decisions, Gate, Reason, Term

CUSTOMERS, CUSTOMERS_QUICK = 100_000, 20_000
TRACED = 5_000
"""Customers whose traces are counted."""
SINGLES = 200
THREADS = 2
ROUNDS, ROUNDS_QUICK = 7, 3
SURVIVORS = 20
NOT_BUILT = {Gate.STAGE_BUDGET, Gate.EXPERIMENT}
"""Gates whose place is kept free."""
TOLERANCE = 1e-9


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Taken(NamedTuple):
    """What one call took."""

    wall_s: float
    processor_s: float
    """Of all threads; other work on the machine adds little to it."""


def taken(work: Callable[[], object]) -> Taken:
    """Time one call."""
    processor = time.process_time()
    wall_s = seconds(work)
    return Taken(wall_s, time.process_time() - processor)


def decided(model: Model, people: Population, out: Decisions | None = None) -> Decisions:
    """Decisions for all of them, as a population run makes them, in memory that it already has."""
    return decide_in_threads(
        model,
        people.rows,
        people.histories,
        people.contexts,
        state(),
        people.now,
        people.seed,
        threads=THREADS,
        out=out,
    )


def survivors(model: Model, people: Population) -> float:
    """Actions a customer that reach the score, on average.

    Raises:
        AssertionError: they are too few, or a gate stops nobody.
    """
    _, trace = explain(
        model, people.rows, people.histories, people.contexts, state(), people.now, people.seed
    )
    idle = set(Gate) - NOT_BUILT - {GATE_OF[Reason(int(r))] for r in np.unique(trace.reason)}
    assert not idle, f"gates that stop nobody: {sorted(gate.name for gate in idle)}"
    mean = float((~np.isnan(trace.terms[..., Term.SCORE])).sum() / len(people))
    assert mean >= SURVIVORS, f"{mean:.1f} survivors a customer, {SURVIVORS} are promised"
    return mean


def check_same(ours: Decisions, theirs: pl.DataFrame) -> None:
    """Same actions at the same ranks with the same scores.

    Raises:
        AssertionError: an answer differs by more than rounding.
    """
    n, k = ours.action.shape
    customer = theirs["customer"].to_numpy()
    count = np.bincount(customer, minlength=n)
    assert np.array_equal(ours.count, count), f"{(ours.count != count).sum()} counts differ"
    place = np.arange(len(customer)) - np.repeat(np.cumsum(count) - count, count)
    action, score = np.full((n, k), -1), np.full((n, k), np.nan)
    action[customer, place], score[customer, place] = theirs["action"].to_numpy(), theirs["score"].to_numpy()
    mine = ours.terms[..., Term.SCORE]
    assert np.allclose(mine, score, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    # where actions differ their scores do not, so that only rounding ranked them
    tied = (action != ours.action).any(axis=1)
    assert tied.sum() <= n // 10_000, f"{tied.sum()} customers get other actions"


def single_us(model: Model, people: Population) -> float:
    """Median microseconds for one customer, over many different ones."""
    ones = [people.part(i, i + 1) for i in range(SINGLES)]
    learnt = state()
    calls = [
        lambda o=one: decide(model, o.rows, o.histories, o.contexts, learnt, o.now, o.seed) for one in ones
    ]
    for call in calls:
        call()
    return 1e6 * statistics.median(seconds(call) for _ in range(20) for call in calls)


def run(*, quick: bool) -> dict[str, float]:
    """Measure a population beside polars, and one customer.

    Returns:
        decide.customers_per_s, decide.ratio_to_polars, decide.single_us; processor time a customer of all
        threads and its ratio, which hold on a busy machine too; and what the work was: decide.survivors,
        decide.conditions.
    """
    n = CUSTOMERS_QUICK if quick else CUSTOMERS
    rules = script()
    with tempfile.TemporaryDirectory() as directory:
        rulebook = compiled(rules, Path(directory))
    people = population(rulebook, n)
    model = model_of(rulebook, people.rows)
    reached = survivors(model, people.part(0, min(n, TRACED)))
    peer = Peer(rules, rulebook)
    customers, entries = frames(rulebook, people, figures_of(model, people.rows, people.now))
    room = decided(model, people)
    check_same(room, peer.run(customers, entries))
    ours: list[Taken] = []
    theirs: list[Taken] = []
    for _ in range(ROUNDS_QUICK if quick else ROUNDS):
        theirs.append(taken(lambda: peer.run(customers, entries)))
        ours.append(taken(lambda: decided(model, people, room)))
    # Paired, because what else the machine does changes over the rounds.
    pairs = list(zip(ours, theirs, strict=True))
    return {
        "decide.customers_per_s": n / statistics.median(one.wall_s for one in ours),
        "decide.ratio_to_polars": statistics.median(t.wall_s / o.wall_s for o, t in pairs),
        "decide.processor_us": 1e6 * statistics.median(one.processor_s for one in ours) / n,
        "decide.processor_ratio_to_polars": statistics.median(
            t.processor_s / o.processor_s for o, t in pairs
        ),
        "decide.single_us": single_us(model, people),
        "decide.survivors": reached,
        "decide.conditions": rulebook.program.n_conditions,
    }


if __name__ == "__main__":
    import sys

    for key, value in run(quick="--quick" in sys.argv).items():
        print(f"{key} {value:,.3f}")
