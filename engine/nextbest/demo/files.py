"""The panel as files, so that every command of the guides can be tried on it."""

from pathlib import Path

import polars as pl

from nextbest.demo.campaigns import RESPONSE_FACTS, TYPE_FACTS, campaign_rows
from nextbest.demo.history import PanelHistory
from nextbest.demo.panel import week_start
from nextbest.demo.prepare import AS_OF
from nextbest.demo.snapshots import customer_id, write_history, write_snapshots

LAST_WEEK = 53
"""The panel's last; a campaign that starts in it has no outcome before the year ends."""


def write_files(history: PanelHistory, directory: Path) -> list[Path]:
    """Write the panel as a deployment's files.

    `snapshots.parquet` and `contacts.parquet` are what the demo loads, as of `AS_OF`; `later.parquet` holds
    the same households at the end of the panel, for `fit ltv --hold-out`; `mailings.parquet` every mailing
    up to week 52 with the facts of its first day and what came of it, for `fit propensity`.

    Returns:
        The files.
    """
    directory.mkdir(parents=True, exist_ok=True)
    names = ("snapshots", "contacts", "later", "mailings")
    now, contacts, later, mailed = paths = [directory / f"{name}.parquet" for name in names]
    write_snapshots(now, history, as_of=AS_OF)
    write_history(contacts, history, until=AS_OF)
    write_snapshots(later, history, as_of=week_start(LAST_WEEK + 1))
    mailings(history).write_parquet(mailed)
    return paths


def mailings(history: PanelHistory) -> pl.DataFrame:
    """Give every mailing up to week 52 as a labelled contact.

    Returns:
        campaign, customer, mailed, ended, redeemed, what was offered (`TYPE_FACTS`), and the response
        model's facts as of the campaign's first day, null = unknown.
    """
    frame = campaign_rows(history, until=week_start(LAST_WEEK)).frame
    return frame.select(
        pl.format("c{}", pl.col("campaign_id").cast(pl.String).str.zfill(2)).alias("campaign"),
        customer_id().alias("customer"),
        pl.col("start").alias("mailed"),
        pl.col("end").alias("ended"),
        pl.col("redeemed").is_not_null().alias("redeemed"),
        *TYPE_FACTS,
        *RESPONSE_FACTS,
    )
