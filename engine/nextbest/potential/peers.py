"""What peers have and the customer lacks: penetration, lift, and whether the lift can be trusted.

Source: domain model, section 3; Wilson, JASA 22(158), 1927. Oracle: tests/naive/peers.py.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self, cast

import numpy as np
from numpy.typing import NDArray

from nextbest.errors import ArtifactError, FitError
from nextbest.kernels import kernel
from nextbest.model import F64, I32, I64, U64, Bools
from nextbest.potential.tables import PRIVACY_FLOOR

Z: Final = 1.959964
"""Normal quantile of the 95 % interval."""


class PeerFigure(IntEnum):
    """Columns of `PeerRates.figures`."""

    PENETRATION = 0
    """P(j|cell): share of the peers who own it; NaN where too few are known to show a figure."""
    LIFT = 1
    """P(j|cell)/P(j|parent); NaN at the root, and where nobody in the parent owns it."""
    LOW = 2
    """Lower Wilson bound of the penetration."""
    OFFER = 3
    """1 if the lower bound is above P(j|parent): the peers' habit is no accident."""


@kernel
def wilson_low(have: float, n: float, z: float) -> float:
    """Return the lower Wilson bound of a share, NaN for nobody (scalar kernel).

    Args:
        have: customers who have it.
        n: customers of whom it is known.
        z: normal quantile.

    Oracle: tests/naive/peers.py `wilson_low`.
    """
    if n <= 0:
        return np.nan
    share = have / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4.0 * n * n))
    # the product of the two bounds is share²/(1 + z²/n): dividing does not cancel
    return share * share / (centre + spread)


@kernel
def _count_owned(cells: I32, owned: U64, known: Bools, have: I64) -> I64:
    """Count owners in their own cells; return how many customers' sets are known."""
    n = np.zeros(have.shape[0], np.int64)
    for i in range(cells.size):
        if known[i]:
            n[cells[i]] += 1
            for j in range(have.shape[1]):
                have[cells[i], j] += np.int64((owned[i] >> np.uint64(j)) & np.uint64(1))
    return n


@kernel
def _roll_up(parent: I32, have: I64, n: I64) -> None:
    """Add each cell to its parent; cells come after their parents, so the last goes first."""
    for cell in range(parent.size - 1, 0, -1):
        n[parent[cell]] += n[cell]
        have[parent[cell]] += have[cell]


@kernel
def _figures(have: I64, n: I64, parent: I32, z: float) -> F64:
    figures = np.full((have.shape[0], have.shape[1], 4), np.nan)
    for cell in range(have.shape[0]):
        up = parent[cell]
        if n[cell] < PRIVACY_FLOOR:
            if cell > 0:
                figures[cell] = figures[up]
            continue
        for j in range(have.shape[1]):
            share, low = have[cell, j] / n[cell], wilson_low(have[cell, j], n[cell], z)
            base = have[up, j] / n[up] if cell > 0 else 0.0
            figures[cell, j, 0] = share
            figures[cell, j, 1] = share / base if base > 0 else np.nan
            figures[cell, j, 2] = low
            figures[cell, j, 3] = 1.0 if base > 0 and low > base else 0.0
    return figures


@dataclass(frozen=True, slots=True, eq=False)
class PeerRates:
    """Who owns what in each cell of a peer grid; C cells, J ≤ 64 categories."""

    categories: tuple[str, ...]
    """Members of the set fact, in bit order."""

    parent: I32
    """(C,) parents of the cells of the grid."""

    have: I64
    """(C, J) customers in the cell, or below it, who own the category."""

    n: I64
    """(C,) customers whose owned categories are known."""

    @classmethod
    def build(cls, cells: I32, owned: U64, known: Bools, *, parent: I32, categories: Sequence[str]) -> Self:
        """Count owners.

        Args:
            cells: (n,) own cells, from `PotentialTables.locate`.
            owned: (n,) owned categories as bits.
            known: (n,) whether the set is known: unknown is not "owns nothing".
            parent: (C,) parents of the cells, which come before their children.
            categories: names of the bits.
        """
        have = np.zeros((parent.size, len(categories)), np.int64)
        n = _count_owned(cells, owned, known, have)
        _roll_up(parent, have, n)
        return cls(tuple(categories), parent, have, n)

    @classmethod
    def merge(cls, rates: Iterable[Self]) -> Self:
        """Add rates of disjoint groups of customers, counted on the same cells.

        Raises:
            FitError: there is nothing to add, or cells or categories differ.
        """
        parts = list(rates)
        if not parts:
            raise FitError("no peer rates to merge")
        first = parts[0]
        for part in parts[1:]:
            if part.categories != first.categories or not np.array_equal(part.parent, first.parent):
                raise FitError("peer rates on different cells or categories cannot be merged")
        have, n = np.zeros_like(first.have), np.zeros_like(first.n)
        for part in parts:
            have += part.have
            n += part.n
        return cls(first.categories, first.parent, have, n)

    def onto(self, places: I32, parent: I32) -> Self:
        """Return the same counts on the cells of a larger tree, so that they can be merged.

        Args:
            places: (C,) number of each cell in the larger tree.
            parent: (C',) parents of its cells.
        """
        have = np.zeros((parent.size, len(self.categories)), np.int64)
        n = np.zeros(parent.size, np.int64)
        have[places], n[places] = self.have, self.n
        return type(self)(self.categories, parent, have, n)

    def to_arrays(self) -> tuple[dict[str, object], dict[str, NDArray[np.generic]]]:
        """Return a JSON-able description and the arrays that `from_arrays` takes, without the cells."""
        return {"categories": list(self.categories)}, {"have": self.have, "n": self.n}

    @classmethod
    def from_arrays(
        cls, meta: Mapping[str, object], arrays: Mapping[str, NDArray[np.generic]], parent: I32
    ) -> Self:
        """Rebuild rates from `to_arrays` and the parents of the grid they belong to.

        Raises:
            ArtifactError: a part is missing, or the rates belong to other cells.
        """
        try:
            categories = tuple(cast("list[str]", meta["categories"]))
            have, n = np.asarray(arrays["have"], np.int64), np.asarray(arrays["n"], np.int64)
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"peer rates cannot be read: {error}") from error
        if have.shape != (parent.size, len(categories)) or n.shape != parent.shape or len(categories) > 64:
            raise ArtifactError("peer rates cannot be read: they belong to other cells or categories")
        return cls(categories, parent, have, n)

    def figures(self, z: float = Z) -> F64:
        """Return (C, J, 4) columns of `PeerFigure`; a cell of fewer than ten has its parent's."""
        return _figures(self.have, self.n, self.parent, z)


@kernel
def peer_offers(figures: F64, cells: I32, owned: U64, known: Bools, most: int) -> I32:
    """Return what each customer lacks and their peers have, by falling penetration.

    Args:
        figures: (C, J, 4) from `PeerRates.figures`.
        cells: (n,) own cells.
        owned: (n,) owned categories as bits.
        known: (n,) whether the set is known; unknown gives no offer.
        most: categories to return for each.

    Returns:
        (n, most) categories, −1 where there is none; ties go to the earlier one.

    Oracle: tests/naive/peers.py `offers`.
    """
    best = np.full((cells.size, most), -1, np.int32)
    for i in range(cells.size):
        if not known[i]:
            continue
        for j in range(figures.shape[1]):
            if (owned[i] >> np.uint64(j)) & np.uint64(1) or figures[cells[i], j, 3] != 1:
                continue
            place = most
            while place > 0 and (
                best[i, place - 1] < 0 or figures[cells[i], best[i, place - 1], 0] < figures[cells[i], j, 0]
            ):
                place -= 1
                if place + 1 < most:
                    best[i, place + 1] = best[i, place]
            if place < most:
                best[i, place] = j
    return best
