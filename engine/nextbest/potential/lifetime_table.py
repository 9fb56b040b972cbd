"""Lifetime purchases of buyers by table: for fitted parameters they depend on two numbers only.

Of a customer who is alive, the discounted purchases over the horizon and those of the next year
depend on x and on start = α+T alone. For each whole x both are smooth in ln(start): the nearest
singularity lies half a turn off the real line. So they are computed once by `bgnbd.expected_at` at
Chebyshev nodes of segments that double start, and read by Clenshaw's recurrence: two dozen
multiplications instead of 40 series. Segments that do not reproduce the series between the nodes
are marked and go on using it, and so does all that the table does not cover.

Source: domain model, section 4. Oracle: `tests.naive.ltv.discounted_purchases`.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from nextbest.kernels import kernel, lean_kernel
from nextbest.model import F64
from nextbest.potential.bgnbd import expected_at
from nextbest.potential.ltv import ltv_horizons

MOST_PURCHASES = 192
"""Repeat purchases up to which there is a table; a customer beyond it costs as much as before."""
SEGMENTS = 7
"""Each doubles start: from 2.4 weeks to six years at the default horizon."""
NODES = 22
LONGEST_RATIO = 64.0
"""The table begins where the horizon is so many times start; nearer to 0 series are long and rare."""
TOLERANCE = 2e-13
"""Relative deviation between the nodes beyond which a segment is not used."""
_BETWEEN = (-0.97, -0.31, 0.23, 0.88)


class LifetimeTable(NamedTuple):
    """Chebyshev coefficients of (discounted, next year's) purchases if alive."""

    first: float
    """ln(start) at which the first segment begins."""
    coefficients: F64
    """(x, segments, nodes, 2); NaN = not to be used."""


def lifetime_table(parameters: F64) -> LifetimeTable:
    """The table of parameters as `LtvParameters.to_array` gives them; the same array for the same numbers.

    Cost: some 50 ms and 0.5 MB, once for each fit.
    """
    return _table(tuple(float(p) for p in parameters))


@lru_cache(maxsize=8)
def _table(parameters: tuple[float, ...]) -> LifetimeTable:
    r, alpha, a, b = parameters[:4]
    horizons, weights, year = ltv_horizons(parameters[7], parameters[8], int(parameters[9]))
    start = max(alpha, float(horizons[-1]) / LONGEST_RATIO)
    place = (np.arange(NODES) + 0.5) * math.pi / NODES
    nodes = np.concatenate([np.cos(place), _BETWEEN])
    transform = np.cos(np.outer(np.arange(NODES), place)) * (2.0 / NODES)
    transform[0] *= 0.5
    coefficients = np.full((MOST_PURCHASES + 1, SEGMENTS, NODES, 2), np.nan)
    first = math.log(start)
    fill_table(r, a, b, first, horizons, weights, year, nodes, transform, coefficients)
    coefficients.setflags(write=False)
    return LifetimeTable(first, coefficients)


@lean_kernel
def clenshaw(coefficients: F64, u: float) -> tuple[float, float]:
    """Both sums Σ c_k·T_k(u) of (nodes, 2) coefficients, u in [-1, 1]."""
    twice = 2.0 * u
    one, one_before, other, other_before = 0.0, 0.0, 0.0, 0.0
    for k in range(len(coefficients) - 1, 0, -1):
        one, one_before = twice * one - one_before + coefficients[k, 0], one
        other, other_before = twice * other - other_before + coefficients[k, 1], other
    return u * one - one_before + coefficients[0, 0], u * other - other_before + coefficients[0, 1]


@lean_kernel
def purchases_by_table(x: float, start: float, first: float, coefficients: F64) -> tuple[float, float]:
    """Discounted and next year's purchases if alive; NaN where the table does not say.

    Args:
        x: repeat buying occasions.
        start: α+T, weeks, positive.
        first: with `coefficients` a `LifetimeTable`.
        coefficients: (x, segments, nodes, 2).
    """
    if not 0.0 <= x < len(coefficients) or x != math.floor(x):
        return math.nan, math.nan
    place = (math.log(start) - first) / math.log(2.0)
    segment = math.floor(place)
    if not 0.0 <= segment < coefficients.shape[1]:
        return math.nan, math.nan
    return clenshaw(coefficients[int(x), int(segment)], 2.0 * (place - segment) - 1.0)


@kernel
def fill_table(
    r: float,
    a: float,
    b: float,
    first: float,
    horizons: F64,
    weights: F64,
    year: int,
    nodes: F64,
    transform: F64,
    coefficients: F64,
) -> None:
    """Fill the coefficients of every x and segment.

    Args:
        r: BG/NBD's, as are a and b.
        a: see r.
        b: see r.
        first: ln(start) of the first segment.
        horizons: (m,) with `weights` and `year` what `ltv_horizons` gives.
        weights: (m,).
        year: Place of one year among the horizons.
        nodes: (nodes + checks,) in [-1, 1]: the Chebyshev nodes, then the points to check at.
        transform: (nodes, nodes) from values at the nodes to coefficients.
        coefficients: (x, segments, nodes, 2) is written; NaN where a check fails.
    """
    n = len(transform)
    expected, scratch = np.empty(len(horizons)), np.empty((3, len(horizons)))
    values = np.empty((len(nodes), 2))
    for x in range(len(coefficients)):
        for segment in range(coefficients.shape[1]):
            for i in range(len(nodes)):
                start = math.exp(first + (segment + 0.5 * (nodes[i] + 1.0)) * math.log(2.0))
                expected_at(float(x), start, horizons, r, a, b, expected, scratch)
                values[i, 0] = np.sum(weights * expected)
                values[i, 1] = expected[year]
            found = coefficients[x, segment]
            for k in range(n):
                for column in range(2):
                    found[k, column] = np.sum(transform[k] * values[:n, column])
            for i in range(n, len(nodes)):
                one, other = clenshaw(found, nodes[i])
                off = max(abs(one / values[i, 0] - 1.0), abs(other / values[i, 1] - 1.0))
                if not off <= TOLERANCE:
                    found[:] = math.nan
                    break
