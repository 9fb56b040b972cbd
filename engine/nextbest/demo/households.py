"""Households of the panel as customers: their facts as of a date, from what lies before that date.

A *buying occasion* is a household-day: baskets of one household on one local day count once, so that a
forgotten litre of milk is no second decision to shop; a day without money spent is none.
First purchases are left-censored: the panel starts in January 2017, the households shopped before.
Yearly figures are those of the last 26 weeks scaled to 365 days; nobody was observed for a year.
"""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Protocol, cast

import numpy as np
import polars as pl
from sklearn.cluster import KMeans  # pyright: ignore[reportMissingTypeStubs]  # has none

from nextbest.demo.history import CATEGORIES, SHARES, PanelHistory, assumed_margins
from nextbest.demo.panel import FIRST_DAY, ZONE
from nextbest.errors import InvalidInput, Violation
from nextbest.learning.threads import one_thread
from nextbest.model import F64, I64
from nextbest.standard_facts import PERIODS

WINDOW_DAYS = 182
"""Window of the yearly figures and of the shares: 26 weeks, or less so early in the panel."""
YEAR_DAYS = 365.0
CENSOR_DAYS = 28
"""A household first seen this soon after the panel's start counts as fully exposed: it shopped before."""
MIN_OCCASIONS = 4
"""With fewer in the window, shares say nothing about behaviour: cluster and channel mix are unknown."""
CLUSTERS = 5
"""Clusters of the category mix."""
EVENING_HOUR = 17
BASIS = 10_000
"""Margin rates are used in basis points."""

INCOMES = {
    "under_35k": ("Under 15K", "15-24K", "25-34K"),
    "35k_to_50k": ("35-49K",),
    "50k_to_75k": ("50-74K",),
    "75k_up": ("75-99K", "100-124K", "125-149K", "150-174K", "175-199K", "200-249K", "250K+"),
}
SIZES = {"1": ("1",), "2": ("2",), "3_up": ("3", "4", "5+")}
COMPOSITIONS = {
    "1_adult": "1 Adult No Kids",
    "1_adult_kids": "1 Adult Kids",
    "2_adults": "2 Adults No Kids",
    "2_adults_kids": "2 Adults Kids",
}

FACT_VALUES: dict[str, tuple[str, ...]] = {
    "peer_segment": tuple(f"{income}_size_{size}" for income in INCOMES for size in SIZES),
    "household": tuple(COMPOSITIONS),
    "behaviour_cluster": tuple(f"mix_{i + 1}" for i in range(CLUSTERS)),
    "channel_mix": ("one_store", "main_store", "several_stores"),
    "time_zone": (ZONE,),
    "owned_categories": tuple(CATEGORIES),
}
"""Members of the enums and sets below, for the rulebook's `facts.yaml`."""


class _KMeans(Protocol):
    cluster_centers_: F64
    labels_: I64

    def fit(self, x: F64) -> object: ...


def household_facts(history: PanelHistory, as_of: date) -> pl.DataFrame:
    """Compute what is known of every household when `as_of` begins.

    Args:
        history: the panel; rows of that day and later are not looked at.
        as_of: a local day, after the panel's first.

    Returns:
        One row a household that has bought, or was mailed by then (a prospect), sorted by
        household_id: facts under the names of `nextbest.standard_facts` and of the grocery rulebook.
        Null = unknown: shares of nothing, demographics of most.

    Raises:
        InvalidInput: the panel holds nothing before `as_of`.
    """
    if as_of <= FIRST_DAY:
        raise InvalidInput([Violation("as_of", f"the panel starts on {FIRST_DAY}: `{as_of}` has no past")])
    known = history.before(as_of)
    start = max(FIRST_DAY, as_of - timedelta(days=WINDOW_DAYS))
    window = known.baskets.filter(pl.col("day") >= start)
    parts = (
        _purchases(known.baskets, as_of),
        _window_sums(window, start, as_of),
        _habits(window),
        _coupons(known, as_of),
        _mailed(known, as_of),
        _periods(known.baskets, as_of),
        peer_dimensions(known.demographics),
    )
    facts = _households(known)
    for part in parts:
        facts = facts.join(part, on="household_id", how="left")
    facts = _derived(facts, start, as_of)
    return facts.join(behaviour_clusters(facts), on="household_id", how="left").sort("household_id")


def _households(known: PanelHistory) -> pl.DataFrame:
    ids = [frame.select("household_id") for frame in (known.baskets, known.mailings)]
    return pl.concat(ids).unique().with_columns(time_zone=pl.lit(ZONE))


def _purchases(baskets: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Repeat occasions x, week of the last t_x, weeks observed T and mean repeat value, for BG/NBD."""
    days = (
        baskets.filter(pl.col("net") > 0)
        .group_by("household_id", "day")
        .agg(pl.sum("net"), first_purchase=pl.min("at"), last_purchase=pl.max("at"))
        .sort("household_id", "day")
    )
    first, last = pl.min("day"), pl.max("day")
    return days.group_by("household_id").agg(
        pl.min("first_purchase"),
        pl.max("last_purchase"),
        first_day=first,
        repeat_purchases=pl.len().cast(pl.Int64) - 1,
        recency_weeks=(last - first).dt.total_days() / 7,
        observed_weeks=(pl.lit(as_of) - first).dt.total_days() / 7,
        gap_weeks=(pl.lit(as_of) - last).dt.total_days() / 7,
        mean_repeat_value=pl.col("net").slice(1).sum() / (100 * _positive(pl.len() - 1)),
    )


def _window_sums(window: pl.DataFrame, start: date, as_of: date) -> pl.DataFrame:
    """Money and counts of the window as it is, and shares of its spend."""
    middle = start + (as_of - start) // 2
    late = pl.col("net").filter(pl.col("day") >= middle).sum()
    total = _positive(pl.sum("net"))
    # Whole numbers again: float sums depend on where a row happens to lie in its vector.
    margins = [pl.sum(f"net_{name}") * round(rate * BASIS) for name, rate in assumed_margins().items()]
    return window.group_by("household_id").agg(
        window_revenue=pl.sum("net") / 100,
        window_discount=pl.sum("discount") / 100,
        window_coupon=pl.sum("coupon") / 100,
        window_baskets=pl.len(),
        window_occasions=pl.col("day").filter(pl.col("net") > 0).n_unique(),
        margin_rate=pl.sum_horizontal(margins) / (BASIS * total),
        private_label_share=pl.sum("private") / total,
        spend_trend=(2 * late - pl.sum("net")) / total,
        owned_categories=pl.concat_list(
            pl.when(pl.sum(f"net_{name}") > 0).then(pl.lit(name)) for name in CATEGORIES
        )
        .list.drop_nulls()
        .first(),
        **{f"share_{name}": pl.sum(f"net_{name}") / total for name in SHARES},
    )


def _habits(window: pl.DataFrame) -> pl.DataFrame:
    """Where and when the household shops, as shares."""
    hour = pl.col("at").dt.convert_time_zone(ZONE).dt.hour()
    times = window.group_by("household_id").agg(
        evening_share=(hour >= EVENING_HOUR).mean(), weekend_share=(pl.col("day").dt.weekday() >= 6).mean()
    )
    stores = window.group_by("household_id", "store_id").agg(pl.sum("net"))
    main = stores.group_by("household_id").agg(main_store_share=pl.max("net") / _positive(pl.sum("net")))
    return times.join(main, on="household_id")


def _coupons(known: PanelHistory, as_of: date) -> pl.DataFrame:
    """Coupons used, as rates since the panel's start: counts would grow with the panel's age."""
    weeks = _weeks_since_start(as_of)
    used = known.redemptions.group_by("household_id").agg(
        coupon_redemptions=pl.len().cast(pl.Int64), coupon_redemptions_per_week=pl.len() / weeks
    )
    return (
        known.baskets.group_by("household_id")
        .agg(coupon_baskets_per_week=(pl.col("coupon") > 0).sum() / weeks)
        .join(used, on="household_id", how="full", coalesce=True)
    )


def _mailed(known: PanelHistory, as_of: date) -> pl.DataFrame:
    """Campaigns received before the day, and how many of them were used."""
    received, used = pl.len().cast(pl.Int64), pl.col("redeemed").is_not_null().sum().cast(pl.Int64)
    recent = pl.col("start") >= as_of - timedelta(days=WINDOW_DAYS)
    return (
        known.mailings.filter(pl.col("start") < as_of)
        .group_by("household_id")
        .agg(campaigns_received=received, campaigns_redeemed=used, window_mailings=recent.sum())
    )


def _periods(baskets: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Spend of each of the last weeks, 1 = the latest."""
    ago = (pl.lit(as_of) - pl.col("day")).dt.total_days()
    week = (ago - 1) // 7 + 1
    return baskets.group_by("household_id").agg(
        (pl.col("net").filter(week == i).sum() / 100).alias(f"period_{i}") for i in range(1, PERIODS + 1)
    )


def peer_dimensions(demographics: pl.DataFrame) -> pl.DataFrame:
    """Peer segment (income × household size) and composition; absent for two thirds of the panel.

    That a household is described at all is a selection flag (those are mailed far more often), so
    the flag itself is no fact and in no score.
    """
    segment = pl.format("{}_size_{}", _band("income", INCOMES), _band("household_size", SIZES))
    names = {text: name for name, text in COMPOSITIONS.items()}
    return demographics.select(
        "household_id",
        peer_segment=segment,
        household=pl.col("household_comp").replace_strict(names, default=None, return_dtype=pl.String),
    )


def _band(column: str, bands: dict[str, tuple[str, ...]]) -> pl.Expr:
    names = {text: name for name, texts in bands.items() for text in texts}
    return pl.col(column).replace_strict(names, default=None, return_dtype=pl.String)


def _derived(facts: pl.DataFrame, start: date, as_of: date) -> pl.DataFrame:
    """Scale the window to a year, and set to 0 what is known to be nothing."""
    window_days = (as_of - start).days
    yearly, weeks = YEAR_DAYS / window_days, window_days / 7
    revenue, discount = _known("window_revenue"), _known("window_discount")
    seen_from = _seen_from()
    fresh = pl.col("window_occasions") >= MIN_OCCASIONS
    return facts.with_columns(
        repeat_purchases=_known("repeat_purchases"),
        recency_weeks=_known("recency_weeks"),
        observed_weeks=_known("observed_weeks"),
        revenue_net=revenue * yearly,
        discount=discount * yearly,
        immediate_rewards=(discount + _known("window_coupon")) * yearly,
        discount_share=discount / _positive(revenue + discount),
        exposure_share=((pl.lit(as_of) - seen_from).dt.total_days() / window_days).clip(0, 1),
        n_visits=_count(_known("window_baskets") * yearly),
        n_mailings=_count(_known("window_mailings") * (YEAR_DAYS / WINDOW_DAYS)),
        visits_per_week=_known("window_occasions") / weeks,
        spend_per_week=revenue / weeks,
        coupon_baskets_per_week=_known("coupon_baskets_per_week"),
        coupon_redemptions=_known("coupon_redemptions"),
        coupon_redemptions_per_week=_known("coupon_redemptions_per_week"),
        campaigns_received=_known("campaigns_received"),
        campaigns_redeemed=_known("campaigns_redeemed"),
        campaign_response=(_known("campaigns_redeemed") + 0.1) / (_known("campaigns_received") + 1),
        owned_categories=pl.col("owned_categories").fill_null([]),
        channel_mix=pl.when(fresh).then(_store_mix()),
        **{f"period_{i}": _period(i, seen_from, as_of) for i in range(1, PERIODS + 1)},
    ).drop("first_day", "^window_(revenue|discount|coupon|baskets|mailings)$")


def _seen_from() -> pl.Expr:
    """Day from which a household's silence means something."""
    first = pl.col("first_day")
    return pl.when(first < FIRST_DAY + timedelta(days=CENSOR_DAYS)).then(FIRST_DAY).otherwise(first)


def _period(i: int, seen_from: pl.Expr, as_of: date) -> pl.Expr:
    """Spend of a week, null if the household was not yet seen when the week began."""
    return pl.when(seen_from <= as_of - timedelta(weeks=i)).then(_known(f"period_{i}"))


def _store_mix() -> pl.Expr:
    share = pl.col("main_store_share")
    one, main, several = FACT_VALUES["channel_mix"]
    mix = pl.when(share >= 0.9).then(pl.lit(one)).when(share >= 0.6).then(pl.lit(main))
    return pl.when(share.is_not_null()).then(mix.otherwise(pl.lit(several)))


def behaviour_clusters(facts: pl.DataFrame) -> pl.DataFrame:
    """Cluster households by category mix: k-means on square roots of spend shares.

    Shares, not levels: a cluster of big spenders would make every peer look alike in the outcome
    (domain.md §3, leakage guard). Fitted on this frame alone, thus on nothing after its date;
    `mix_1` is the largest cluster. Households with few occasions get none.
    """
    usable = facts.filter((pl.col("window_occasions") >= MIN_OCCASIONS) & pl.col("share_other").is_not_null())
    usable = usable.sort("household_id")
    if usable.height < CLUSTERS:
        return usable.select("household_id", behaviour_cluster=pl.lit(None, pl.String)).head(0)
    shares = usable.select(f"share_{name}" for name in SHARES).to_numpy()
    labels = _ordered_labels(np.sqrt(np.clip(shares, 0.0, None)))
    names = [FACT_VALUES["behaviour_cluster"][label] for label in labels]
    return usable.select("household_id", behaviour_cluster=pl.Series(names, dtype=pl.String))


def _ordered_labels(points: F64) -> Sequence[int]:
    """Labels by size of cluster, largest first."""
    means = cast("Callable[..., _KMeans]", KMeans)
    model = means(n_clusters=CLUSTERS, n_init=4, random_state=0)
    with one_thread():
        model.fit(points)
    sizes = np.bincount(model.labels_, minlength=CLUSTERS)
    rank = np.argsort(np.argsort(-sizes, kind="stable"), kind="stable")
    return [int(label) for label in rank[model.labels_]]


def _weeks_since_start(as_of: date) -> float:
    return (as_of - FIRST_DAY).days / 7


def _known(column: str) -> pl.Expr:
    return pl.col(column).fill_null(0)


def _count(amount: pl.Expr) -> pl.Expr:
    return amount.round(0).cast(pl.Int64)


def _positive(amount: pl.Expr) -> pl.Expr:
    """A denominator: null unless above 0, so that a share of nothing is unknown."""
    return pl.when(amount > 0).then(amount)
