"""What the gap to peers does not predict: a household's later growth.

Potential is a benchmark of what similar households reach, not a forecast. Whoever has spent little
grows on average, and the gap is large where spend is low, so the gap is judged given own spend; and
given whether demographics are known, because those who are described are the shops' regulars.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeAlias

import numpy as np
import polars as pl

from nextbest.demo.history import PanelHistory
from nextbest.demo.households import household_facts
from nextbest.learning.threads import one_thread
from nextbest.learning.validation import Interval, Replicates, partial_correlation
from nextbest.model import F64

PeerGap: TypeAlias = Callable[[pl.DataFrame], F64]
"""Gives the yearly gap to peers of each row of `household_facts`, money ≥ 0, NaN = unknown."""
FUTURE_DAYS = 182
"""Growth is measured over 26 weeks."""
TREND_DAYS = 56
"""Own trend compares the last 8 weeks with the whole window."""
MEANING = "potential is a benchmark of what similar households reach, not a forecast"
"""What a screen says beside potential and gap."""


@dataclass(frozen=True, slots=True)
class GapForecast:
    """Partial correlations with later growth, given own spend and whether demographics are known."""

    households: int
    gap: Interval
    trend: Interval

    def to_dict(self) -> dict[str, object]:
        """The figures for JSON."""
        return {
            "households": self.households,
            "gap_partial_correlation": self.gap.to_dict(),
            "own_trend_partial_correlation": self.trend.to_dict(),
            "given": ["own spend (log, squared, cubed)", "demographics known"],
            "meaning": MEANING,
        }


def gap_forecast(
    history: PanelHistory, as_of: date, peer_gap: PeerGap, *, replicates: int, seed: int
) -> GapForecast:
    """Correlate gap and own trend as of a day with growth over the following 26 weeks.

    Growth and trend are differences of log(1 + money a week). Own spend enters as a cubic in that
    logarithm, since the gap is a bent function of it. Households without spend in the window, or
    with an unknown gap, are left out.
    """
    facts = household_facts(history, as_of).filter(pl.col("spend_per_week") > 0)
    facts = facts.with_columns(gap=pl.Series(peer_gap(facts), dtype=pl.Float64).fill_nan(None))
    facts = facts.filter(pl.col("gap").is_not_null())
    own = np.log1p(facts["spend_per_week"].to_numpy())
    growth = np.log1p(_weekly(history, facts, as_of, as_of + timedelta(days=FUTURE_DAYS))) - own
    trend = np.log1p(_weekly(history, facts, as_of - timedelta(days=TREND_DAYS), as_of)) - own
    described = facts["household_id"].is_in(history.demographics["household_id"].to_list()).to_numpy()
    controls = np.column_stack([own, own**2, own**3, described])
    draws = Replicates.of_households(facts["household_id"].to_numpy(), replicates=replicates, seed=seed)

    def given_own_spend(x: F64) -> Interval:
        with one_thread():
            figures = partial_correlation(x, growth, controls, draws)
        return draws.interval(figures)

    return GapForecast(facts.height, given_own_spend(facts["gap"].to_numpy()), given_own_spend(trend))


def _weekly(history: PanelHistory, facts: pl.DataFrame, first: date, until: date) -> F64:
    """Spend a week in [first, until) of each household of `facts`."""
    spent = (
        history.baskets.filter(pl.col("day").is_between(first, until, closed="left"))
        .group_by("household_id")
        .agg(net=pl.sum("net") / 100)
    )
    joined = facts.select("household_id").join(spent, on="household_id", how="left", maintain_order="left")
    return joined["net"].fill_null(0.0).to_numpy() / ((until - first).days / 7)


def simple_peer_gap(facts: pl.DataFrame) -> F64:
    """Give the gap in yearly spend to the .8 quantile of peers, as a plain stand-in for the peer grid.

    Peers are households of one peer segment, then also of one composition; each quantile is averaged
    with that of the wider group (30 households' weight), and under 10 households the wider group counts.
    """
    spend = facts["revenue_net"].to_numpy()
    potential = np.full(len(spend), np.quantile(spend, 0.8))
    for dimensions in (["peer_segment"], ["peer_segment", "household"]):
        cells = facts.select(pl.concat_str(dimensions, separator="|")).to_series()
        own = potential.copy()
        for cell in cells.drop_nulls().unique(maintain_order=True):
            members = (cells == cell).fill_null(value=False).to_numpy()
            n = int(members.sum())
            if n >= 10:
                own[members] = (n * np.quantile(spend[members], 0.8) + 30 * potential[members]) / (n + 30)
        potential = own
    return np.maximum(potential - spend, 0.0)
