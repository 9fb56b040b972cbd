"""Value and profit of section 2 of the domain model, one customer at a time, None for missing."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

Number = float | None


def known(value: float) -> Number:
    """None for NaN."""
    return None if math.isnan(value) else value


def complete(
    money: Mapping[str, Number], counts: Sequence[Sequence[Number]], default_margin: float
) -> tuple[dict[str, Number], list[list[float]], set[str]]:
    """Apply the defaults of sections 1 and 2; return what was filled in and the names of the flags."""
    filled, flags = dict(money), set[str]()
    if filled["revenue_net"] is None:
        flags.add("REVENUE_MISSING")
    if filled["cogs"] is None:
        if filled["margin_rate"] is None:
            filled["margin_rate"] = default_margin
            flags.add("MARGIN_DEFAULTED")
        if filled["revenue_net"] is not None:
            filled["cogs"] = filled["revenue_net"] * (1 - filled["margin_rate"])
    for name in ("points_earned", "immediate_rewards", "saved_rewards"):
        if filled[name] is None:
            filled[name] = 0.0
            flags.add("REWARDS_PARTIAL")
    for name in ("minutes", "complaints"):
        if filled[name] is None:
            filled[name] = 0.0
            flags.add("ACTIVITY_PARTIAL")
    if filled["satisfaction"] is None:
        filled["satisfaction"] = 50.0
        flags.add("SATISFACTION_MISSING")
    if any(count is None for row in counts for count in row):
        flags.add("ACTIVITY_PARTIAL")
    return filled, [[count or 0.0 for count in row] for row in counts], flags


def cost_to_serve(counts: Sequence[float], rates: Sequence[float]) -> Fraction:
    """Σ n·c, exactly."""
    return sum((Fraction(n) * Fraction(c) for n, c in zip(counts, rates, strict=True)), Fraction(0))


def profit_terms(money: Mapping[str, Number], cost: float, face: float, probability: float) -> list[float]:
    """Revenue, goods, cost to serve, points, each with its sign."""
    revenue, cogs, points = money["revenue_net"], money["cogs"], money["points_earned"]
    assert points is not None
    return [
        math.nan if revenue is None else revenue,
        math.nan if cogs is None else -cogs,
        -cost,
        -points * face * probability,
    ]


def value_terms(
    money: Mapping[str, Number],
    benefits: Sequence[float],
    worths: Sequence[float],
    rates: Mapping[str, float],
) -> list[float]:
    """Immediate, saved, emotional, quality, effort, each with its sign."""
    numbers = {name: math.nan if value is None else value for name, value in money.items()}
    quality = 0.0
    if numbers["satisfaction"] != 50:
        quality = rates["quality"] * (numbers["satisfaction"] - 50) / 100 * numbers["revenue_net"]
    return [
        numbers["immediate_rewards"],
        numbers["saved_rewards"] * rates["redemption_probability"],
        math.fsum(n * w for n, w in zip(benefits, worths, strict=True)),
        quality,
        -(numbers["minutes"] * rates["minute"] + numbers["complaints"] * rates["complaint"]),
    ]


def annual_rate(amount: float, exposure: float, mean: float, k: float) -> float:
    """The credibility formula."""
    if math.isnan(exposure):
        return math.nan
    if exposure >= 1:
        return amount
    return (amount + k * mean) / (max(exposure, 0) + k)


def mutual_segment(
    value: Number, profit: Number, value_bounds: Sequence[float], profit_bounds: Sequence[float]
) -> int:
    """Three terciles by three; −1 if a figure is missing."""
    if value is None or profit is None:
        return -1
    rank = [
        sum(figure > b for b in bounds) for figure, bounds in ((value, value_bounds), (profit, profit_bounds))
    ]
    return 3 * rank[0] + rank[1]
