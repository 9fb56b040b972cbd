"""The peer grid beside polars' exact quantiles, in one process, on the same customers.

Ours counts 5 M customers × 2 outcomes into 1,000 cells and their 111 parents, which any other part of
the population can be merged into, and reads τ = .8 and .5 of every cell after back-off (m = 30). The
peer sorts the same customers into the same 1,000 cells and reads the same two quantiles exactly; it
has neither parents nor anything to merge. Before timing, each cell's quantile without back-off must
be the peer's within the sketch's 1 %. Both use every core; the rounds alternate and the medians are
compared, so that a busy machine slows both.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import polars as pl

from nextbest.potential.grid import PeerGrid
from nextbest.potential.sketch import ALPHA, ZERO

SEED = 20_070_812
CUSTOMERS, QUICK_CUSTOMERS = 5_000_000, 200_000
ROUNDS, QUICK_ROUNDS = 9, 3
WAYS = 10
"""Codes of each of three dimensions: 1,000 cells."""
DIMENSIONS = ("peer_segment", "household", "tenure_band")
OUTCOMES = ("actual_value", "actual_profit")
TAU, MEDIAN = 0.8, 0.5
M = 30.0


def customers(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Make (n, 3) codes and (n, 2) outcomes by column: skewed, differing by cell, some profits below 0."""
    rng = np.random.default_rng(SEED)
    codes = np.asfortranarray(rng.integers(0, WAYS, (n, len(DIMENSIONS)), dtype=np.int32))
    level = 5.5 + 0.1 * codes[:, 0] + 0.05 * codes[:, 1]
    spend = np.exp(rng.normal(level, 1.1))
    profit = 0.3 * spend - rng.gamma(2.0, 40.0, n)
    return codes, np.asfortranarray(np.column_stack([0.1 * spend, profit]))


def ours(codes: np.ndarray, values: np.ndarray, workers: int) -> object:
    """Build the grid and the tables that decisions read."""
    grid = PeerGrid.build(codes, values, dimensions=DIMENSIONS, outcomes=OUTCOMES, m=M, workers=workers)
    return grid.tables([TAU])


def peers(frame: pl.DataFrame) -> pl.DataFrame:
    """Read the same quantiles of the same cells exactly.

    Grouped by one number made of the codes, which takes two thirds of the time of grouping by all of them.
    """
    key = pl.sum_horizontal(pl.col(name) * WAYS**d for d, name in enumerate(DIMENSIONS)).alias("cell")
    quantiles = [
        pl.col(name).quantile(tau, "lower").alias(f"{name}_{tau}")
        for name in OUTCOMES
        for tau in (TAU, MEDIAN)
    ]
    return frame.lazy().with_columns(key).group_by("cell").agg(quantiles).collect()


def check(codes: np.ndarray, values: np.ndarray, frame: pl.DataFrame) -> None:
    """Hold each cell's quantile against the two neighbours that polars' definitions choose from.

    Raises:
        AssertionError: a quantile is further away than the sketch may be.
    """
    tables = PeerGrid.build(codes, values, dimensions=DIMENSIONS, outcomes=OUTCOMES).with_m(0.0).tables([TAU])
    for o, name in enumerate(OUTCOMES):
        for tau in (TAU, MEDIAN):
            column = pl.col(name)
            exact = frame.group_by(DIMENSIONS).agg(
                column.quantile(tau, "lower").alias("low"), column.quantile(tau, "higher").alias("high")
            )
            cells = tables.locate(exact.select(DIMENSIONS).to_numpy())
            found = tables.quantiles[o, cells, tables.tau_index(tau), 0]
            low, high = exact["low"].to_numpy(), exact["high"].to_numpy()
            slack = ZERO + 1e-9
            assert (found >= low - ALPHA * np.abs(low) - slack).all()
            assert (found <= high + ALPHA * np.abs(high) + slack).all()


def medians(calls: tuple[Callable[[], object], ...], rounds: int) -> list[float]:
    """Median seconds of each call, in alternating rounds."""
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, times in zip(calls, taken, strict=True):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return [statistics.median(times) for times in taken]


def run(*, quick: bool) -> dict[str, float]:
    """Measure both; seconds are for the whole population."""
    codes, values = customers(QUICK_CUSTOMERS if quick else CUSTOMERS)
    columns = {name: codes[:, d] for d, name in enumerate(DIMENSIONS)}
    frame = pl.DataFrame(columns | {name: values[:, o] for o, name in enumerate(OUTCOMES)})
    check(codes, values, frame)
    cores = os.cpu_count() or 1
    parts = [slice(0, len(codes) // 2), slice(len(codes) // 2, None)]
    halves = [
        PeerGrid.build(codes[part], values[part], dimensions=DIMENSIONS, outcomes=OUTCOMES) for part in parts
    ]
    mine, alone, merging, theirs = medians(
        (
            lambda: ours(codes, values, cores),
            lambda: ours(codes, values, 1),
            lambda: PeerGrid.merge(halves),
            lambda: peers(frame),
        ),
        QUICK_ROUNDS if quick else ROUNDS,
    )
    return {
        "grid.time_ratio_to_polars": mine / theirs,
        "grid.customers_per_s": len(codes) / mine,
        "grid.seconds": mine,
        "grid.one_thread_seconds": alone,
        "grid.merge_seconds": merging,
        "grid.polars_seconds": theirs,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small workload")
    print(json.dumps(run(quick=parser.parse_args().quick), indent=1))
