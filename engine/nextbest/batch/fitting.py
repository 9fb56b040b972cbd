"""Fit what decisions are made with from a population of snapshots, batch by batch.

A failed fit raises and leaves whatever is in use untouched: nothing here stores anything.
"""

from collections.abc import Callable, Iterable

import numpy as np
import polars as pl

from nextbest.assembly import LTV_FACTS
from nextbest.batch.grid_fit import GridCounter, GridFit
from nextbest.model import F64, Rows
from nextbest.potential.ltv_fit import by_row, fit_ltv
from nextbest.potential.ltv_parameters import LtvParameters
from nextbest.rulebook.rulebook import Rulebook
from nextbest.valuation import take_columns

__all__ = ["GridFit", "Progress", "fit_ltv_parameters", "fit_peer_grid", "fit_purchases", "purchases_of"]

Progress = Callable[[int], None]
"""Called with the number of customers done since the last call."""


CONTRACT = "contract_state"


def purchases_of(rulebook: Rulebook, rows: Rows) -> F64:
    """(n, 4) repeat purchases x, recency t_x, observed weeks T and mean repeat value; NaN = missing.

    Whoever has, or had, a contract is no buyer: what they are worth follows from its renewals.
    """
    columns = np.array([rulebook.catalogue.column(name) for name in (*LTV_FACTS[:4], CONTRACT)], np.int64)
    taken = take_columns(rows.numbers, columns)
    purchases = np.ascontiguousarray(taken[:, :4])
    purchases[taken[:, 4] > 0.0] = np.nan
    return purchases


def fit_ltv_parameters(rulebook: Rulebook, batches: Iterable[Rows], progress: Progress) -> LtvParameters:
    """Fit lifetime value on every buyer of a population; see `fit_purchases`."""
    parts: list[F64] = []
    for rows in batches:
        parts.append(purchases_of(rulebook, rows))
        progress(len(rows))
    return fit_purchases(rulebook, np.concatenate([np.empty((0, 4)), *parts]))


def fit_purchases(rulebook: Rulebook, purchases: F64, customers: pl.Series | None = None) -> LtvParameters:
    """Fit lifetime value on (n, 4) `purchases_of`; `customers` are their ids, for errors.

    Prospects, who have no purchase history, are left out.

    Raises:
        InvalidInput: impossible purchase histories, listed by customer.
        FitError: nobody to fit on, or no convergence.
    """
    buyers = np.flatnonzero(~np.isnan(purchases[:, 0]))
    x, t_x, observed, zbar = purchases[buyers].T.copy()
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
        name=by_row if customers is None else lambda row: f"customer `{customers[int(buyers[row])]}`",
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
