"""Lifetime value beside `lifetimes`, in one process, on the same customers.

Both are called serially on one core. Before timing, the answers must agree to 1e-6. The rounds
alternate and the medians are compared, so that a busy machine slows both.
"""

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from nextbest.potential.bgnbd import expected_purchases_rows
from nextbest.potential.ltv import LtvColumn, ltv_rows

SEED = 20_050_415
BGNBD = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
SPEND = {"p": 6.25, "q": 3.74, "v": 15.44}
HORIZON_WEEKS = 39.0
STEPS = 39
STEP_WEEKS = 4.345
"""The length of a step in `lifetimes` when time is in weeks; it cannot be chosen there."""
YEARLY_DISCOUNT = 0.1
TOLERANCE = 1e-6


def customers(n: int) -> tuple[np.ndarray, ...]:
    """x, t_x, T and zbar of n customers who behave as the models say."""
    rng = np.random.default_rng(SEED)
    T = rng.uniform(4, 78, n)
    rate = rng.gamma(BGNBD["r"], 1 / BGNBD["alpha"], n)
    stays = np.floor(rng.exponential(1 / rng.beta(BGNBD["a"], BGNBD["b"], n)))
    x = np.minimum(rng.poisson(rate * T), stays)
    t_x = np.where(x > 0, T * rng.uniform(0.05, 1, n) ** (1 / (x + 1)), 0.0)
    zbar = np.where(x > 0, rng.gamma(6, 5, n), 0.0)
    return x, t_x, T, zbar


def peer_models() -> tuple[Any, Any]:
    """Two models of `lifetimes` with the parameters set, not fitted."""
    from lifetimes import BetaGeoFitter, GammaGammaFitter  # noqa: PLC0415  (warns: imported when muted)
    from pandas import Series  # noqa: PLC0415  (only the peer needs it)

    purchases, spend = BetaGeoFitter(), GammaGammaFitter()
    purchases.params_, spend.params_ = Series(BGNBD), Series(SPEND)
    purchases.predict = purchases.conditional_expected_number_of_purchases_up_to_time
    return purchases, spend


def seconds(ours: Callable[[], object], peers: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median seconds of both, in alternating rounds."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for call, times in zip((ours, peers), taken, strict=True):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return statistics.median(taken[0]), statistics.median(taken[1])


def compare(
    ours: Callable[[], np.ndarray], peers: Callable[[], np.ndarray], rounds: int
) -> tuple[float, float]:
    """Check that both give the same answers, then time them; also warms up."""
    np.testing.assert_allclose(ours(), peers(), rtol=TOLERANCE)
    return seconds(ours, peers, rounds)


def run(*, quick: bool) -> dict[str, float]:
    """Measure E[Y(39 weeks)] and the LTV over 39 steps; `quick` takes a tenth of the customers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _run(100_000 if quick else 1_000_000, 3_000 if quick else 30_000, 3 if quick else 7)


def _run(n_expected: int, n_ltv: int, rounds: int) -> dict[str, float]:
    purchases, spend = peer_models()
    bgnbd = np.array(list(BGNBD.values()))
    x, t_x, T, _ = customers(n_expected)
    ours, peers = compare(
        lambda: expected_purchases_rows(x, t_x, T, HORIZON_WEEKS, bgnbd),
        lambda: purchases.predict(HORIZON_WEEKS, x, t_x, T),
        rounds,
    )
    result = {
        "ltv.values_per_s": n_expected / ours,
        "ltv.peer_values_per_s": n_expected / peers,
        "ltv.values_ratio_to_lifetimes": peers / ours,
    }
    ours, peers = compare(*ltv_calls(purchases, spend, n_ltv), rounds)
    return result | {
        "ltv.customers_per_s": n_ltv / ours,
        "ltv.peer_customers_per_s": n_ltv / peers,
        "ltv.ratio_to_lifetimes": peers / ours,
    }


def ltv_calls(
    purchases: Any, spend: Any, n: int
) -> tuple[Callable[[], np.ndarray], Callable[[], np.ndarray]]:
    """Both ways to the lifetime value of n customers, spend included."""
    from pandas import Series  # noqa: PLC0415  (only the peer needs it)

    columns = customers(n)
    margin = np.ones(n)
    parameters = np.array([*BGNBD.values(), *SPEND.values(), YEARLY_DISCOUNT, STEP_WEEKS, STEPS])
    discount = (1 + YEARLY_DISCOUNT) ** (STEP_WEEKS / 52) - 1
    series = [Series(column) for column in columns]

    def ours() -> np.ndarray:
        return ltv_rows(*columns, margin, parameters)[:, LtvColumn.LTV]

    def peers() -> np.ndarray:
        value = spend.customer_lifetime_value(
            purchases, *series, time=STEPS, discount_rate=discount, freq="W"
        )
        return value.to_numpy()

    return ours, peers


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    print(json.dumps(run(quick=parser.parse_args().quick), indent=2))
