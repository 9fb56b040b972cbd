"""A panel small enough to check by hand, and a way to alter the future of any panel."""

from dataclasses import replace
from datetime import date, datetime
from zlib import crc32
from zoneinfo import ZoneInfo

import polars as pl

from nextbest.demo.panel import ZONE, Panel

EASTERN = ZoneInfo(ZONE)


def _line(household, moment, product, net, **more):
    when = datetime.fromisoformat(moment).replace(tzinfo=EASTERN)
    return {
        "household_id": household,
        "store_id": 1,
        "basket_id": crc32(f"{household} {moment}".encode()),
        "product_id": product,
        "sales_value": net,
        "retail_disc": 0.0,
        "coupon_disc": 0.0,
        "coupon_match_disc": 0.0,
        "transaction_timestamp": when.astimezone(ZoneInfo("UTC")),
        "day": when.date(),
        **more,
    }


def small_panel() -> Panel:
    """Households 1 (regular), 2 (one purchase), 3 (mailed, never seen), 4 (first seen in summer)."""
    lines = [
        _line(1, "2017-01-02T10:00", 10, 20.00, retail_disc=5.00),
        _line(1, "2017-01-02T18:00", 11, 10.00, coupon_disc=1.00, coupon_match_disc=0.50),
        _line(1, "2017-01-09T23:30", 10, 30.00),
        _line(1, "2017-02-06T18:00", 12, 50.00, store_id=2),
        _line(1, "2017-02-20T09:00", 13, 0.00),
        _line(1, "2017-02-25T09:00", 10, 0.10),
        _line(2, "2017-02-24T12:00", 10, 40.00, coupon_disc=2.00),
        _line(4, "2017-07-01T12:00", 10, 15.00),
    ]
    return Panel(
        lines=pl.LazyFrame(lines).with_columns(
            pl.col("transaction_timestamp").cast(pl.Datetime("us", "UTC"))
        ),
        products=pl.LazyFrame(
            {
                "product_id": [10, 11, 12, 13],
                "department": ["GROCERY", "MEAT", "FUEL", None],
                "brand": ["National", "Private", "National", "National"],
            }
        ),
        campaigns=pl.LazyFrame(
            {
                "campaign_id": [1, 2],
                "type": ["a", "b"],
                "start": [date(2017, 2, 1), date(2017, 3, 1)],
                "end": [date(2017, 2, 28), date(2017, 3, 31)],
            }
        ),
        mailings=pl.LazyFrame({"campaign_id": [1, 1, 2], "household_id": [1, 3, 1]}),
        redemptions=pl.LazyFrame(
            {
                "household_id": [1, 1, 1],
                "campaign_id": [1, 1, 2],
                "coupon_upc": [100, 101, 102],
                "day": [date(2017, 2, 10), date(2017, 2, 6), date(2017, 3, 15)],
            }
        ),
        demographics=pl.LazyFrame(
            {
                "household_id": [1],
                "income": ["50-74K"],
                "household_size": ["5+"],
                "household_comp": ["2 Adults Kids"],
            }
        ),
    )


def with_altered_future(panel: Panel, day: date) -> Panel:
    """Change every purchase, mailing and redemption of `day` and later beyond recognition."""
    later = pl.col("day") >= day
    mailed_later = (
        panel.mailings.join(panel.campaigns, on="campaign_id")
        .filter((pl.col("start") <= day) | (pl.col("household_id") % 2 == 0))
        .select("campaign_id", "household_id")
    )
    return replace(
        panel,
        lines=panel.lines.with_columns(
            sales_value=pl.when(later).then(pl.col("sales_value") * 3 + 1).otherwise("sales_value"),
            coupon_disc=pl.when(later).then(1.0).otherwise("coupon_disc"),
            store_id=pl.when(later).then(7).otherwise("store_id"),
            household_id=pl.when(later & (pl.col("household_id") % 3 == 0))
            .then(pl.col("household_id") + 1)
            .otherwise("household_id"),
        ),
        mailings=mailed_later,
        redemptions=panel.redemptions.filter(~later | (pl.col("household_id") % 2 == 0)),
    )
