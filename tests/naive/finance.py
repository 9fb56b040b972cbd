"""Finance of an action as domain.md §5 writes it, with None for absent."""

import math


def _over(numerator, denominator):
    return None if denominator == 0 or math.isinf(numerator / denominator) else numerator / denominator


def figures(gross_margin, cost, capital, revenue, contribution_margin, years, *, hurdle, wacc, tax):
    """ROI, ROMI, RI, NOPAT, EP, EVA and payback of one action."""
    profit = gross_margin - cost
    nopat = profit * (1 - tax)
    written_off = _over(cost, years)
    return {
        "ROI": _over(profit, cost),
        "ROMI": _over(revenue * contribution_margin - cost, cost),
        "RI": profit - hurdle * capital,
        "NOPAT": nopat,
        "EP": nopat - wacc * capital,
        "EVA": None
        if written_off is None
        else (gross_margin - written_off) * (1 - tax) - wacc * (capital + cost),
        "payback_months": _over(12 * cost, gross_margin) if gross_margin > 0 else None,
    }


def portfolio(actions, **rates):
    """Figures of all actions together: money summed, ratios of sums."""
    each = [figures(*action, **rates) for action in actions]
    margin, cost = math.fsum(a[0] for a in actions), math.fsum(a[1] for a in actions)
    contribution = math.fsum(a[3] * a[4] for a in actions)
    summed = {
        name: None if any(e[name] is None for e in each) else math.fsum(e[name] for e in each)
        for name in ("RI", "NOPAT", "EP", "EVA")
    }
    return summed | {
        "ROI": _over(margin - cost, cost),
        "ROMI": _over(contribution - cost, cost),
        "payback_months": _over(12 * cost, margin) if margin > 0 else None,
    }
