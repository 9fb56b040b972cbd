"""Shares that a strategy can aim at: of the market, of the wallet, of life.

The estimated share of wallet is for display and objectives only: the stages read the known fact.

Source: domain model, section 12. Oracle: tests/naive/shares.py.
"""

from typing import Final

import numpy as np

from nextbest.kernels import kernel
from nextbest.model import F64, U64, Bools

WALLET_TAU: Final = 0.9
"""Quantile of the peers' revenue that stands for a whole wallet."""

CAPABILITY_AREAS: Final = 9
"""Areas of life that share of life counts."""


def share_of_market(revenue: float, market: float) -> float:
    """Return revenue over the market's size, NaN without a market."""
    return revenue / market if market > 0 else np.nan


@kernel
def estimated_share_of_wallet(revenue: F64, wallet: F64) -> F64:
    """Return min(1, revenue/wallet) for each customer.

    Args:
        revenue: (n,) revenue_net; NaN = missing.
        wallet: (n,) the peers' Q(.9) of revenue_net, a third outcome of the grid; NaN = missing.

    Returns:
        (n,) shares in [0, 1]; NaN where a figure is missing or the wallet is not above 0.
    """
    shares = np.full(revenue.size, np.nan)
    for i in range(revenue.size):
        if wallet[i] > 0 and not np.isnan(revenue[i]):
            shares[i] = min(1.0, max(0.0, revenue[i] / wallet[i]))
    return shares


@kernel
def share_of_life(used: U64, known: Bools) -> F64:
    """Return the share of the nine capability areas that each customer used in 12 months.

    Args:
        used: (n,) areas as bits 0 … 8.
        known: (n,) whether the set is known.

    Returns:
        (n,) shares in [0, 1], NaN where unknown.
    """
    shares = np.full(used.size, np.nan)
    for i in range(used.size):
        if known[i]:
            areas = 0
            for j in range(CAPABILITY_AREAS):
                areas += np.int64((used[i] >> np.uint64(j)) & np.uint64(1))
            shares[i] = areas / CAPABILITY_AREAS
    return shares
