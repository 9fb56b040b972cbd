"""The gap between what a customer gives or gets and what their peers reach.

A gap is what can be obtained, so it is never negative; a potential that is reached turns the goal
to keeping. It is a benchmark against similar customers, not a forecast.

Source: domain model, section 3. Oracle: tests/naive/gap.py.
"""

from enum import IntEnum
from typing import Final

import numpy as np

from nextbest.kernels import kernel, lean_kernel
from nextbest.model import F64, I32, I64, Bools
from nextbest.potential.tables import potential_of

REACHED_SHARE: Final = 0.95
"""Share of a positive potential from which on it counts as reached."""

DEFAULT_CAP: Final = 5.0
"""κ: a gap is at most so many times the cell's median."""

DEFAULT_FLOOR: Final = 100.0
"""Least median that the cap is taken of, in major units."""


class GapFigure(IntEnum):
    """Columns of `peer_gaps`."""

    POTENTIAL = 0
    GAP = 1
    REACHED = 2


@lean_kernel
def is_reached(actual: float, potential: float) -> bool:
    """Say whether the potential is reached; a missing figure is not (scalar kernel)."""
    if potential > 0:
        return bool(actual >= REACHED_SHARE * potential)
    return bool(actual >= potential)


@lean_kernel
def gap_of(actual: float, potential: float, median: float, cap: float, floor: float) -> float:
    """Return one customer's gap, NaN if a figure is missing (scalar kernel)."""
    if np.isnan(actual) or np.isnan(potential):
        return np.nan
    if is_reached(actual, potential):
        return 0.0
    # a missing median leaves the floor: fmax takes the number
    return min(max(potential - actual, 0.0), cap * np.fmax(median, floor))


@kernel
def gaps(actual: F64, potential: F64, median: F64, cap: float, floor: float) -> F64:
    """Return the gaps of many customers.

    Args:
        actual: (n,) actual value or profit, money a year; NaN = missing.
        potential: (n,) what peers reach; NaN = missing.
        median: (n,) Q_c(.5) of each customer's cell.
        cap: κ.
        floor: least median that the cap is taken of.

    Returns:
        (n,) gaps ≥ 0, NaN where a figure is missing: such a gap counts 0 in scores.

    Oracle: tests/naive/gap.py `gap`.
    """
    found = np.empty(actual.size)
    for i in range(actual.size):
        found[i] = gap_of(actual[i], potential[i], median[i], cap, floor)
    return found


@kernel
def reached(actual: F64, potential: F64) -> F64:
    """Return 1 where the potential is reached, 0 where not, NaN where a figure is missing.

    Args:
        actual: (n,) actual value or profit, money a year; NaN = missing.
        potential: (n,) what peers reach; NaN = missing.

    Oracle: tests/naive/gap.py `reached`.
    """
    found = np.empty(actual.size)
    for i in range(actual.size):
        known = not (np.isnan(actual[i]) or np.isnan(potential[i]))
        found[i] = (1.0 if is_reached(actual[i], potential[i]) else 0.0) if known else np.nan
    return found


@kernel
def peer_gaps(
    quantiles: F64,
    cells: I32,
    tau_index: I64,
    median: int,
    own: F64,
    in_fit: Bools,
    cap: float,
    floor: float,
) -> F64:
    """Return potential, gap and reached of one outcome in a single pass.

    Args:
        quantiles: (C, T, 4) `PotentialTables.quantiles` of the outcome.
        cells: (n,) cells of the customers.
        tau_index: (n,) places of their τ in `PotentialTables.taus`.
        median: `PotentialTables.median`.
        own: (n,) their own amounts, money a year; NaN = missing.
        in_fit: (n,) customers that the grid counted, in the very cell.
        cap: κ.
        floor: least median that the cap is taken of.

    Returns:
        (n, 3) columns of `GapFigure`, equal to `potential`, `gaps` and `reached` of the same customers.

    Cost: about 15 ns a customer; 2 µs for one, mostly the call.
    """
    found = np.empty((cells.size, 3))
    for i in range(cells.size):
        potential = potential_of(quantiles[cells[i], tau_index[i]], own[i], in_fit[i])
        gap = gap_of(own[i], potential, quantiles[cells[i], median, 0], cap, floor)
        found[i, 0] = potential
        found[i, 1] = gap
        found[i, 2] = gap if np.isnan(gap) else (1.0 if is_reached(own[i], potential) else 0.0)
    return found
