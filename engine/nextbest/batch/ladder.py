"""How many customers stand on each step of the ladder, and what of it may be shown.

Steps add up to the bands of the position grid, so the two are hidden together: a count of one to nine
must not follow from anything else on the page.

Source: domain model, sections 3 and 12.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from nextbest.behaviour.index import LOWEST_LEVEL, level_counts
from nextbest.model import F64, I64, Bools
from nextbest.potential.position import Band
from nextbest.potential.tables import PRIVACY_FLOOR

BAND_OF_STEP: Final = (
    *[Band.REPAIR] * 3,
    Band.ACQUIRE,
    *[Band.DEVELOP] * 2,
    *[Band.INTEGRATE] * 2,
)
"""Band of each step, from level -3 to level 4."""
_BANDS: Final = np.array(BAND_OF_STEP)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the ladder."""

    level: int
    name: str
    band: Band
    customers: int | None
    """None = not to be shown."""
    few: bool
    """One to nine customers; the other hidden steps are so that these cannot be computed."""

    @property
    def signed_level(self) -> str:
        """The level for people: the middle has no sign."""
        return f"{self.level:+d}" if self.level else "0"

    @property
    def text(self) -> str:
        """The count for people."""
        if self.customers is not None:
            return f"{self.customers:,}"
        return f"<{PRIVACY_FLOOR}" if self.few else "hidden"

    def document(self) -> Mapping[str, object]:
        """Plain JSON; null = not shown."""
        band = self.band.name.lower()
        return {
            "level": self.level,
            "name": self.name,
            "band": band,
            "customers": self.customers,
            "shown": self.text,
        }


def steps_of(levels: F64) -> tuple[Step, ...]:
    """The eight steps, lowest first.

    Args:
        levels: (n,) ladder levels; a missing index is level 0, so NaN counts as 0.
    """
    counts = level_counts(np.nan_to_num(levels).astype(np.int64))
    customers = np.array(list(counts.values()), np.int64)
    hidden = hidden_steps(customers)
    return tuple(
        Step(LOWEST_LEVEL + k, name, BAND_OF_STEP[k], None if hidden[k] else n, 0 < n < PRIVACY_FLOOR)
        for k, (name, n) in enumerate(counts.items())
    )


def too_small(customers: I64) -> Bools:
    """Where one to nine customers are; where that is one place only, the next smallest one too.

    Otherwise the number in all less those shown would give the hidden one away.
    """
    small = (customers > 0) & (customers < PRIVACY_FLOOR)
    others = (customers > 0) & ~small
    if small.sum() == 1 and others.any():
        small |= others & (customers == customers[others].min())
    return small


def hidden_steps(customers: I64) -> Bools:
    """(8,) steps not to be shown: never one alone of a band, and all of a band whose sum is hidden.

    Args:
        customers: (8,) customers on each step.
    """
    totals = np.array([customers[band == _BANDS].sum() for band in Band])
    bands, hidden = too_small(totals), np.zeros(len(customers), bool)
    for band in Band:
        inside = band == _BANDS
        mine = customers[inside]
        hidden[inside] = mine > 0 if bands[band] else too_small(mine)
    return hidden


def hidden_cells(customers: I64) -> Bools:
    """(4, 6) cells of the position grid not to be shown, given that the ladder's steps tell sums of bands.

    Args:
        customers: (4, 6) customers by ladder band and LTV quintile.
    """
    hidden = np.array([too_small(row) for row in customers])
    for band in np.flatnonzero(too_small(customers.sum(axis=1))):
        row = customers[band]
        if not hidden[band].any():
            hidden[band] = (row > 0) & (row == row[row > 0].min())
    return hidden
