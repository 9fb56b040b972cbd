"""The panel condensed to baskets, mailings and redemptions: read once, cut at any date afterwards."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from nextbest.demo.panel import Panel

CATEGORIES: dict[str, tuple[str, ...]] = {
    "grocery": ("GROCERY", "FROZEN GROCERY"),
    "drugstore": ("DRUG GM",),
    "fuel": ("FUEL",),
    "produce": ("PRODUCE",),
    "meat": ("MEAT",),
    "meat_packaged": ("MEAT-PCKGD",),
    "deli": ("DELI", "CHEF SHOPPE", "SALAD BAR", "RESTAURANT"),
    "bakery": ("PASTRY",),
    "nutrition": ("NUTRITION",),
    "seafood": ("SEAFOOD", "SEAFOOD-PCKGD"),
    "cosmetics": ("COSMETICS",),
    "flowers_garden": ("FLORAL", "GARDEN CENTER"),
    "spirits": ("SPIRITS",),
}
"""Product departments by category; all others are `other`, which is in totals but in no set."""
SHARES = (*CATEGORIES, "other")
"""Categories whose spend shares sum to 1."""


@dataclass(frozen=True, slots=True)
class PanelHistory:
    """What happened, in order of time. It spans the whole year: nothing here is as of a date yet."""

    baskets: pl.DataFrame
    """household_id, store_id, basket_id, day (local), at (UTC), and in whole cents: net, discount (given
    by the shop), coupon (paid by manufacturers), private (private label), and a net_<category> each."""
    mailings: pl.DataFrame
    """campaign_id, household_id, type, start, end, redeemed (first day, null = never)."""
    redemptions: pl.DataFrame
    """household_id, campaign_id, coupon_upc, day; one row a coupon."""
    demographics: pl.DataFrame
    """household_id and what is known, as text."""

    def before(self, as_of: date) -> "PanelHistory":
        """Cut all that was not yet known when `as_of` began; mailings that start that day are known."""
        redeemed = pl.when(pl.col("redeemed") < as_of).then(pl.col("redeemed"))
        return PanelHistory(
            baskets=self.baskets.filter(pl.col("day") < as_of),
            mailings=self.mailings.filter(pl.col("start") <= as_of).with_columns(redeemed=redeemed),
            redemptions=self.redemptions.filter(pl.col("day") < as_of),
            demographics=self.demographics,
        )


def assumed_margins() -> dict[str, float]:
    """Margin rate of each category: round figures of our own, for the panel has no cost of goods."""
    rows = pl.read_csv(Path(__file__).with_name("assumed_margins.csv"))
    return dict(zip(rows["category"].to_list(), rows["margin_rate"].to_list(), strict=True))


def condense(panel: Panel) -> PanelHistory:
    """Read the panel once and sum its lines to baskets (about half a second)."""
    return PanelHistory(
        baskets=_baskets(panel).sort("at", "basket_id").collect(),
        mailings=_mailings(panel).collect(),
        redemptions=panel.redemptions.sort("day", "household_id", "campaign_id", "coupon_upc").collect(),
        demographics=panel.demographics.collect(),
    )


def _baskets(panel: Panel) -> pl.LazyFrame:
    names = {department: name for name, group in CATEGORIES.items() for department in group}
    category = pl.col("department").replace_strict(names, default="other", return_dtype=pl.String)
    lines = panel.lines.join(panel.products, on="product_id", how="left").with_columns(category=category)
    net = _cents("sales_value")
    return lines.group_by("basket_id").agg(
        pl.first("household_id", "store_id", "day"),
        at=pl.first("transaction_timestamp"),
        net=net.sum(),
        discount=_cents("retail_disc").sum() + _cents("coupon_match_disc").sum(),
        coupon=_cents("coupon_disc").sum(),
        private=net.filter(pl.col("brand") == "Private").sum(),
        **{f"net_{name}": net.filter(pl.col("category") == name).sum() for name in SHARES},
    )


def _cents(column: str) -> pl.Expr:
    """Whole cents: integer sums do not depend on the order in which threads add them."""
    return (pl.col(column) * 100).round().cast(pl.Int64)


def _mailings(panel: Panel) -> pl.LazyFrame:
    first = panel.redemptions.group_by("campaign_id", "household_id").agg(redeemed=pl.min("day"))
    return (
        panel.mailings.join(panel.campaigns, on="campaign_id")
        .join(first, on=["campaign_id", "household_id"], how="left")
        .sort("start", "campaign_id", "household_id")
    )
