"""Numbers that break formulas, and batches of them: the one place that says what adversarial input is."""

import math

import numpy as np
import pytest

HOSTILE = {
    "missing": math.nan,
    "computed NaN": math.inf - math.inf,
    "inf": math.inf,
    "-inf": -math.inf,
    "zero": 0.0,
    "-zero": -0.0,
    "denormal": 5e-324,
    "-denormal": -5e-324,
    "tiny": 1e-300,
    "below one": 1.0 - 2**-53,
    "one": 1.0,
    "above one": 1.0 + 2**-52,
    "negative": -1.0,
    "b = 1e4": 1e4,
    "huge": 1e300,
    "largest": 1.7976931348623157e308,
    "-largest": -1.7976931348623157e308,
}
LENGTHS = (0, 1, 2, 63, 64, 65, 129)
"""Nobody, one customer, and around the blocks of 64 that kernels work in."""
BGNBD = {
    "CDNOW": (0.243, 4.414, 0.793, 2.426),
    "a = 1": (0.5, 5.0, 1.0, 2.5),
    "a just below 1": (0.5, 5.0, 1.0 - 1e-12, 2.5),
    "a just above 1": (0.5, 5.0, 1.0 + 1e-12, 2.5),
    "a + b = 1, so C = 0 at x = 0": (0.4, 5.0, 0.3, 0.7),
    "b = 1e4": (0.5, 6.0, 0.5, 1e4),
    "tiny b": (0.06, 0.5, 30.0, 0.001),
}
"""r, α, a, b at the edges that the formulas of §4 have."""


def batch(rng, n, ordinary, *edges, hostile=0.5):
    """(n,) numbers: hostile ones, the edges of the argument, and ordinary ones; now and then all equal.

    Args:
        rng: a numpy generator.
        n: how many.
        ordinary: lowest and highest of the numbers that are none of these.
        edges: further numbers where this argument's meaning changes.
        hostile: share of numbers that are hostile or edges.
    """
    pool = np.array([*HOSTILE.values(), *edges])
    drawn = np.where(rng.random(n) < hostile, rng.choice(pool, n), rng.uniform(*ordinary, n))
    return np.full(n, drawn[0]) if n and rng.random() < 0.1 else drawn


def numbers(n, *more):
    """A generator that gives the same numbers in every run, of its own for every length and case."""
    return np.random.default_rng([n, *map(int, more)])


def same(found, expected, *, rel=1e-12, tiny=1e-300):
    """Each number is the oracle's; NaN where the oracle has none."""
    expected = [math.nan if wanted is None else float(wanted) for wanted in expected]
    assert found.tolist() == pytest.approx(expected, rel=rel, abs=tiny, nan_ok=True)
