"""The position grid: ladder band × LTV quintile, for display, targets and budgets.

It says where customers stand, not whom they are compared with: that is the peer grid's work, and
the two are never mixed.

Source: domain model, section 3. Oracle: tests/naive/position.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

import numpy as np

from nextbest.kernels import kernel
from nextbest.model import F64, I32, I64
from nextbest.potential.sketch import Sketch


class Band(IntEnum):
    """Ladder levels that share a task."""

    REPAIR = 0
    """Levels −3 to −1."""
    ACQUIRE = 1
    """Level 0: new, or unknown."""
    DEVELOP = 2
    """Levels 1 and 2."""
    INTEGRATE = 3
    """Levels 3 and 4."""


TASKS: Final = ("repair", "acquire", "develop", "integrate and optimise")
"""What to do for the customers of each band."""

QUINTILES: Final = 5
"""LTV parts; a sixth column holds customers without an LTV, such as prospects."""


@kernel
def position(levels: F64, ltv: F64, bounds: F64) -> I32:
    """Return each customer's place, 6·band + LTV quintile, with 5 for a missing LTV.

    Args:
        levels: (n,) ladder levels −3 … 4; a missing index is level 0, so NaN counts as 0.
        ltv: (n,) lifetime values; NaN = missing.
        bounds: (4,) bounds of the quintiles, from `ltv_bounds`; NaN where no LTV is known.

    Oracle: tests/naive/position.py `place`.
    """
    places = np.empty(levels.size, np.int32)
    for i in range(levels.size):
        level = levels[i]
        band = 0 if level < 0 else 3 if level >= 3 else 2 if level >= 1 else 1
        column = 0
        for bound in bounds:
            column += ltv[i] > bound
        places[i] = 6 * band + (5 if np.isnan(ltv[i]) else column)
    return places


def ltv_bounds(ltv: Iterable[F64]) -> F64:
    """Return the (4,) bounds of the LTV quintiles of batches of lifetime values.

    Batches are sketched and merged, so a population need not be in memory at once.
    """
    return Sketch.merge(Sketch.of(batch) for batch in ltv).cuts(QUINTILES)


@kernel
def _add(places: I32, value: F64, gap: F64, count: I64, values: F64, gaps: F64) -> None:
    """Add customers to their places; missing money counts nothing."""
    for i in range(places.size):
        band, column = divmod(places[i], 6)
        count[band, column] += 1
        if not np.isnan(value[i]):
            values[band, column] += value[i]
        if not np.isnan(gap[i]):
            gaps[band, column] += gap[i]


@dataclass(frozen=True, slots=True, eq=False)
class PositionGrid:
    """Customers, value and gap of each band and LTV quintile; the sixth column has no LTV."""

    count: I64
    """(4, 6) customers."""

    value: F64
    """(4, 6) sum of the customers' value, money."""

    gap: F64
    """(4, 6) sum of the gaps, money a year: what could be obtained."""

    @classmethod
    def of(cls, places: I32, value: F64, gap: F64) -> Self:
        """Sum up customers.

        Args:
            places: (n,) from `position`.
            value: (n,) the value to show, such as LTV or actual profit; NaN = missing, adds nothing.
            gap: (n,) the gap to show; NaN = missing, adds nothing.
        """
        shape = (len(Band), QUINTILES + 1)
        grid = cls(np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape))
        _add(places, value, gap, grid.count, grid.value, grid.gap)
        return grid

    @classmethod
    def merge(cls, grids: Iterable[Self]) -> Self:
        """Add grids of disjoint groups of customers."""
        shape = (len(Band), QUINTILES + 1)
        count, value, gap = np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape)
        for grid in grids:
            count, value, gap = count + grid.count, value + grid.value, gap + grid.gap
        return cls(count, value, gap)

    def share(self) -> F64:
        """(4,) share of the customers in each band; NaN when there is nobody."""
        total = self.count.sum()
        return self.count.sum(axis=1) / total if total else np.full(len(Band), np.nan)
