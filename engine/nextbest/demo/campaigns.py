"""Who redeems a coupon of a mailed campaign: rows to learn from, and the models fitted on them.

Redemption is called redemption: the mailing was not randomised, so nothing here is an uplift.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from nextbest.demo.history import SHARES, PanelHistory
from nextbest.demo.households import household_facts
from nextbest.demo.panel import FIRST_DAY
from nextbest.learning.propensity import PropensityModel
from nextbest.learning.propensity_fit import fit_propensity
from nextbest.model import F64, I64

MIN_PAST_DAYS = 28
"""Campaigns that start with less of the panel behind them teach nothing: no habits are known yet."""
TYPES = ("a", "b", "c")
TYPE_FACTS = ("campaign_type_a", "campaign_type_b")
"""1 or 0, c being neither; the same for all who get a mailing, so a model in use has them bound."""
RFM_FACTS = ("gap_weeks", "visits_per_week", "spend_per_week")
COUPON_FACTS = (
    "coupon_baskets_per_week",
    "coupon_redemptions_per_week",
    "campaigns_received",
    "campaign_response",
)
RESPONSE_FACTS = (
    *RFM_FACTS,
    *COUPON_FACTS,
    "discount_share",
    *(f"share_{name}" for name in SHARES if name != "other"),
)
"""Recency, frequency, spend, coupon history, discount share, category shares (which sum to 1: one is
left out). Whether demographics are known is a selection flag and is not among them."""
LOG_FACTS = (*RFM_FACTS, "coupon_baskets_per_week", "coupon_redemptions_per_week", "campaigns_received")
"""Skew facts, which enter by their logarithm."""


@dataclass(frozen=True, slots=True)
class CampaignRows:
    """One row a mailing, facts as of the campaign's first day."""

    frame: pl.DataFrame
    """campaign_id, household_id, type, start, end, redeemed (first day or null), `TYPE_FACTS` and the
    facts of `household_facts`, null = unknown; in order of start, campaign and household."""

    def ended_before(self, day: date) -> "CampaignRows":
        """Keep campaigns whose outcome was known when `day` began."""
        return CampaignRows(self.frame.filter(pl.col("end") < day))

    def started(self, first: date, until: date) -> "CampaignRows":
        """Keep campaigns that started in [first, until)."""
        return CampaignRows(self.frame.filter(pl.col("start").is_between(first, until, closed="left")))

    def facts(self, names: Sequence[str]) -> F64:
        """Give (n, k) facts, NaN = unknown."""
        columns = [pl.col(name).cast(pl.Float64).fill_null(float("nan")) for name in names]
        return self.frame.select(columns).to_numpy()

    def accepted(self, before: date | None = None) -> F64:
        """Give (n,) 1.0 where a coupon was redeemed, by default ever, else before a day."""
        redeemed = pl.col("redeemed")
        known = redeemed.is_not_null() if before is None else (redeemed < before).fill_null(value=False)
        return self.frame.select(known.cast(pl.Float64)).to_series().to_numpy()

    @property
    def campaigns(self) -> I64:
        """(n,) campaign of each row."""
        return self.frame["campaign_id"].to_numpy()

    @property
    def households(self) -> I64:
        """(n,) household of each row."""
        return self.frame["household_id"].to_numpy()


def campaign_rows(history: PanelHistory, *, until: date) -> CampaignRows:
    """Join every mailing that started in [first usable day, until) with facts as of its first day.

    Cost: about 0.1 s a distinct first day, facts being computed once for each.
    """
    usable = FIRST_DAY + timedelta(days=MIN_PAST_DAYS)
    mailings = history.mailings.filter(pl.col("start").is_between(usable, until, closed="left"))
    parts = [
        mailed.join(household_facts(history, day), on="household_id", how="left", maintain_order="left")
        for (day,), mailed in mailings.group_by("start", maintain_order=True)
        if isinstance(day, date)
    ]
    kinds = zip(TYPES, TYPE_FACTS, strict=False)
    types = [(pl.col("type") == kind).cast(pl.Float64).alias(name) for kind, name in kinds]
    return CampaignRows(pl.concat(parts).with_columns(types))


def fit_response(
    rows: CampaignRows, day: date, facts: Sequence[str] = RESPONSE_FACTS, *, model_id: str = "response"
) -> PropensityModel:
    """Fit redemption on the campaigns that ended before `day`, with what was known then.

    Raises:
        FitError: too few of them, or too few redemptions.
    """
    known = rows.ended_before(day)
    names = (*facts, *TYPE_FACTS)
    return fit_propensity(
        model_id,
        names,
        known.facts(names),
        known.accepted(before=day),
        groups=known.campaigns,
        log_facts=[name for name in names if name in LOG_FACTS],
        trained_on={"what": "coupon redemption after a mailing, not randomised", "before": day.isoformat()},
    )


def base_rates(rows: CampaignRows, day: date) -> dict[str, float]:
    """Give the share of mailings redeemed, by type, in campaigns that ended before `day`.

    A type without such a campaign gets the share over all types.
    """
    known = rows.ended_before(day)
    outcomes = known.frame.select("type", accepted=known.accepted(before=day))
    rates = dict(outcomes.group_by("type").agg(pl.mean("accepted")).iter_rows())
    overall = float(known.accepted(before=day).mean())
    return {kind: float(rates.get(kind, overall)) for kind in TYPES}


def campaign_models(rows: CampaignRows, day: date) -> dict[str, PropensityModel]:
    """Fit one model and bind it to each campaign type: `campaign_a`, `campaign_b`, `campaign_c`.

    Each reads customer facts only, so that a rule file can name it as an action's propensity.
    """
    model = fit_response(rows, day)
    bound: dict[str, PropensityModel] = {}
    for kind in TYPES:
        values = {name: float(name.endswith(f"_{kind}")) for name in TYPE_FACTS}
        bound[f"campaign_{kind}"] = model.bind(f"campaign_{kind}", values)
    return bound
