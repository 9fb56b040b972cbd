"""How much a cell leans on its parent: m chosen by the pinball loss on customers held out.

Source: domain model, section 3; Koenker & Bassett, Econometrica 46(1), 1978, for the loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from nextbest.errors import FitError
from nextbest.kernels import kernel
from nextbest.model import F64, I32, Bools
from nextbest.potential.cells import Codes
from nextbest.potential.grid import PeerGrid
from nextbest.potential.tables import PotentialTables

CANDIDATES: Final = (5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
"""Weights m that are tried."""


@kernel
def pinball(values: F64, quantiles: F64, tau: float) -> tuple[float, float, float]:
    """Judge quantiles by what came.

    Args:
        values: (n,) what came; NaN and ±inf are left out.
        quantiles: (n,) what was said to be the τ-quantile; NaN is left out.
        tau: the quantile.

    Returns:
        Sum of the pinball loss in the unit of the values, how many values were at or below their
        quantile, and how many were judged.

    Oracle: tests/naive/grid.py `pinball`.
    """
    loss, below, n = 0.0, 0.0, 0.0
    for i in range(values.size):
        miss = values[i] - quantiles[i]
        if np.isfinite(miss):
            loss += tau * miss if miss >= 0 else (tau - 1) * miss
            below += miss <= 0
            n += 1
    return loss, below, n


@dataclass(frozen=True, slots=True, eq=False)
class BackOffChoice:
    """The m with the least held-out loss, beside what the grid gains over its root and its cells."""

    m: float
    """The chosen weight of the parent, in customers."""

    candidates: tuple[float, ...]
    """Weights tried."""

    losses: F64
    """(candidates, O) mean held-out pinball loss after back-off."""

    coverage: F64
    """(candidates, O) share of the held-out values at or below their quantile; near τ if calibrated."""

    root: F64
    """(O,) loss of the root alone."""

    cell: F64
    """(O,) loss of the cells alone, m = 0; cells of fewer than ten customers have their parent's figure."""

    @property
    def idle(self) -> Bools:
        """(O,) outcomes of which the cells say nothing: everybody's figure is as good a guess, or better."""
        return self.losses[self.candidates.index(self.m)] >= self.root


def _judge(tables: PotentialTables, cells: I32, values: F64, tau: float) -> F64:
    """(O, 3) `pinball` of the tables' quantiles on customers they have not seen."""
    place = tables.tau_index(tau)
    return np.array(
        [
            pinball(values[:, o].copy(), tables.quantiles[o, cells, place, 0], tau)
            for o in range(values.shape[1])
        ]
    )


def _judge_fold(train: PeerGrid, codes: Codes, values: F64, tau: float, candidates: Sequence[float]) -> F64:
    """(2 + candidates, O, 3) of the root, of the cells alone, and of each m."""
    alone = train.with_m(0.0).tables([tau])
    cells = alone.locate(codes)
    weighted = (train.with_m(m).tables([tau]) for m in candidates)
    return np.stack(
        [
            _judge(alone, np.zeros_like(cells), values, tau),
            _judge(alone, cells, values, tau),
            *(_judge(tables, cells, values, tau) for tables in weighted),
        ]
    )


def choose_m(
    codes: Codes,
    values: F64,
    *,
    tau: float,
    full: Bools | None = None,
    candidates: Sequence[float] = CANDIDATES,
    folds: int = 5,
    seed: int = 0,
) -> BackOffChoice:
    """Choose how much a cell leans on its parent.

    Outcomes count alike: each one's loss is taken relative to the root's.

    Args:
        codes: (n, k) codes of the dimensions, as for `PeerGrid.build`.
        values: (n, O) outcomes a year.
        tau: the stretch quantile to be right about.
        full: (n,) customers with full exposure; None = all.
        candidates: weights to try.
        folds: parts that are held out in turn.
        seed: of the deal into parts, so that a fit can be repeated.

    Raises:
        FitError: there are fewer customers than folds.

    Cost: one build and (candidates + 1) tables a fold.
    """
    used = np.isfinite(values).any(axis=1) & (np.ones(len(values), np.bool_) if full is None else full)
    if used.sum() < folds:
        raise FitError(f"`{int(used.sum())}` customers are too few to choose m on {folds} folds")
    codes, values = codes[used], values[used]
    part = np.random.default_rng(seed).permutation(len(values)) % folds
    names = [str(d) for d in range(codes.shape[1])], [str(o) for o in range(values.shape[1])]
    judged = np.zeros((2 + len(candidates), values.shape[1], 3))
    for fold in range(folds):
        out = part == fold
        train = PeerGrid.build(codes[~out], values[~out], dimensions=names[0], outcomes=names[1])
        judged += _judge_fold(train, codes[out], values[out], tau, candidates)
    mean = judged[..., :2] / np.maximum(judged[..., 2:], 1)
    root, losses = mean[0, :, 0], mean[2:, :, 0]
    relative = (losses / np.where(root > 0, root, 1.0)).sum(axis=1)
    best = float(candidates[int(np.argmin(relative))])
    return BackOffChoice(best, tuple(candidates), losses, mean[2:, :, 1], root, mean[1, :, 0])
