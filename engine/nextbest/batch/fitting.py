"""Fit what decisions are made with from a population of snapshots, batch by batch.

A failed fit raises and leaves whatever is in use untouched: nothing here stores anything.
"""

from collections.abc import Callable, Iterable

import numpy as np

from nextbest.batch.grid_fit import GridCounter, GridFit
from nextbest.model import F64, Rows
from nextbest.potential.ltv_fit import fit_ltv
from nextbest.potential.ltv_parameters import LtvParameters
from nextbest.rulebook.rulebook import Rulebook

__all__ = ["GridFit", "Progress", "fit_peer_grid", "fit_purchases"]

Progress = Callable[[int], None]
"""Called with the number of customers done since the last call."""


def fit_purchases(rulebook: Rulebook, purchases: F64) -> LtvParameters:
    """Fit lifetime value on (n, 4) x, t_x, T and zbar of buyers, NaN = unknown zbar.

    Raises:
        InvalidInput: impossible purchase histories, listed by row.
        FitError: nobody to fit on, or no convergence.
    """
    x, t_x, observed, zbar = (np.ascontiguousarray(column) for column in purchases.T)
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
        FitError: the strategy names no peer dimension, a dimension follows an outcome, or no
            customer has a figure to count.
    """
    counter = GridCounter(rulebook)
    for rows in batches:
        counter.add(rows)
        progress(len(rows))
    return counter.finish(m=m)
