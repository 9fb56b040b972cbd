"""Shares of section 12 of the domain model, one customer at a time."""

import math
from fractions import Fraction


def wallet_share(revenue: float, wallet: float) -> float:
    """min(1, revenue/wallet), never below 0."""
    if math.isnan(revenue) or math.isnan(wallet) or wallet <= 0:
        return math.nan
    if math.isinf(wallet):
        return math.nan if math.isinf(revenue) else 0.0
    if math.isinf(revenue):
        return 1.0 if revenue > 0 else 0.0
    return float(min(Fraction(1), max(Fraction(0), Fraction(revenue) / Fraction(wallet))))


def life_share(areas: set[int] | None) -> float:
    """Ninths."""
    return math.nan if areas is None else len(areas & set(range(9))) / 9
