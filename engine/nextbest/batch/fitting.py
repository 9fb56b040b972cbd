"""Fit what decisions are made with from a population of snapshots, batch by batch.

A failed fit raises and leaves whatever is in use untouched: nothing here stores anything.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from nextbest.assembly import LTV_FACTS, OUTCOMES, FittedGrid
from nextbest.errors import FitError
from nextbest.model import F64, Bools, Rows, Stage
from nextbest.potential.grid import PeerGrid
from nextbest.potential.ltv_fit import fit_ltv
from nextbest.potential.ltv_parameters import LtvParameters
from nextbest.potential.selection import BackOffChoice, choose_m
from nextbest.rulebook.rulebook import Rulebook
from nextbest.valuation import take_columns, valuation, worth_tables

Progress = Callable[[int], None]
"""Called with the number of customers done since the last call."""

MERGE_EVERY = 32
"""Batches counted before their grids are added up."""
SELECTION_ROWS = 200_000
"""Customers on which m is chosen; more do not change the choice."""


@dataclass(frozen=True, slots=True)
class GridFit:
    """A peer grid, and what the choice of its back-off rests on."""

    fitted: FittedGrid
    choice: BackOffChoice | None
    """None when there were too few customers to hold any out."""
    customers: int


def fit_ltv_parameters(rulebook: Rulebook, batches: Iterable[Rows], progress: Progress) -> LtvParameters:
    """Fit lifetime value on every buyer of a population.

    Prospects, who have no purchase history, are left out.

    Raises:
        InvalidInput: impossible purchase histories, listed by row.
        FitError: nobody to fit on, or no convergence.
    """
    columns = np.array([rulebook.catalogue.column(name) for name in LTV_FACTS[:4]], np.int64)
    parts: list[F64] = []
    for rows in batches:
        purchases = take_columns(rows.numbers, columns)
        parts.append(purchases[~np.isnan(purchases[:, 0])])
        progress(len(rows))
    x, t_x, observed, zbar = np.concatenate([np.empty((0, 4)), *parts]).T.copy()
    strategy = rulebook.strategy
    return fit_ltv(
        x,
        t_x,
        observed,
        zbar,
        margin=rulebook.value.default_margin_rate,
        yearly_discount=strategy.ltv_discount_rate,
        step_weeks=float(strategy.ltv_step_weeks),
        steps=strategy.ltv_steps,
    )


def fit_peer_grid(
    rulebook: Rulebook, batches: Iterable[Rows], progress: Progress, *, m: float | None = None
) -> GridFit:
    """Count a population into the peer grid; without `m` it is chosen by held-out pinball loss.

    Raises:
        FitError: the strategy names no peer dimension, or no customer has a figure to count.
    """
    if not rulebook.strategy.peer_dimensions:
        raise FitError("the strategy names no peer dimensions: there is nobody to compare with")
    counter = _Counter(rulebook)
    for rows in batches:
        counter.add(rows)
        progress(len(rows))
    if counter.customers == 0:
        raise FitError("no customer has a full year and a figure to count: there is no grid to fit")
    choice = None if m is not None else counter.choose()
    weight = m if m is not None else choice.m if choice is not None else None
    grid = counter.grid() if weight is None else counter.grid().with_m(weight)
    return GridFit(FittedGrid(grid, counter.latest), choice, counter.customers)


class _Counter:
    """Counts batches, and keeps the first customers to choose m on."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._worth = worth_tables(rulebook)
        self._dimensions = rulebook.strategy.peer_dimensions
        column = rulebook.catalogue.column
        self._columns = np.array([column(name) for name in self._dimensions], np.int64)
        self._tau = float(rulebook.strategy.stretch[Stage.HEAR_ME])
        self._kept: list[tuple[F64, F64, Bools]] = []
        self._parts: list[PeerGrid] = []
        self.customers = 0
        self.latest = -np.inf

    def add(self, rows: Rows) -> None:
        """Count one batch."""
        worth = valuation(self._worth, rows)
        values = np.column_stack([worth.value, worth.profit])
        codes, full = take_columns(rows.numbers, self._columns), worth.exposure >= 1.0
        self._parts.append(self._count(codes, values, full))
        if len(self._parts) >= MERGE_EVERY:
            self._parts = [PeerGrid.merge(self._parts)]
        counted = full & np.isfinite(values).any(axis=1)
        self.customers += int(counted.sum())
        if counted.any():
            self.latest = max(self.latest, float(rows.as_of[counted].max()))
        if sum(len(k[0]) for k in self._kept) < SELECTION_ROWS:
            self._kept.append((codes, values, full))

    def grid(self) -> PeerGrid:
        """The grid of all batches; adding parts is exact in any order."""
        return PeerGrid.merge(self._parts)

    def choose(self) -> BackOffChoice | None:
        """The best m, or None when there are too few customers to hold any out."""
        codes, values, full = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        try:
            return choose_m(codes, values, tau=self._tau, full=full)
        except FitError:
            return None

    def _count(self, codes: F64, values: F64, full: Bools) -> PeerGrid:
        return PeerGrid.build(codes, values, dimensions=self._dimensions, outcomes=OUTCOMES, full=full)
