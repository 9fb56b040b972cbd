"""The panel as the files that a deployment would load: snapshots, and who was mailed and redeemed."""

from datetime import date
from pathlib import Path

import polars as pl

from nextbest.demo.attitudes import SEED, synthetic_attitudes
from nextbest.demo.history import PanelHistory
from nextbest.demo.households import household_facts
from nextbest.demo.panel import WEEK_ONE, ZONE, day_start

CHANNEL = "mail"
"""Channel of the panel's campaigns."""


def customer_id(household: str = "household_id") -> pl.Expr:
    """Give a household's customer id, such as `hh-0042`, from its number in a column."""
    return pl.format("hh-{}", pl.col(household).cast(pl.String).str.zfill(4))


def snapshots(history: PanelHistory, as_of: date, *, seed: int = SEED) -> pl.DataFrame:
    """Facts of every household when `as_of` begins, SYNTHETIC attitudes beside measured purchases.

    Returns:
        customer_id, as_of and one column a fact; null = unknown, sets are lists of strings.
    """
    facts = household_facts(history, as_of)
    attitudes = synthetic_attitudes(facts["household_id"], as_of, seed=seed)
    moment = pl.lit(day_start(as_of), pl.Datetime("us", "UTC"))
    return (
        facts.join(attitudes, on="household_id", how="left", maintain_order="left")
        .select(customer_id().alias("customer_id"), moment.alias("as_of"), pl.all())
        .drop("household_id", "window_occasions")
    )


def write_snapshots(path: Path, history: PanelHistory, *, as_of: date, seed: int = SEED) -> int:
    """Write `snapshots` as a Parquet file for `nextbest load`.

    Returns:
        The number of rows.
    """
    frame = snapshots(history, as_of, seed=seed)
    frame.write_parquet(path)
    return frame.height


def contacts(history: PanelHistory, *, until: date, since: date = WEEK_ONE) -> pl.DataFrame:
    """Give mailings as contacts and redemptions as accepted outcomes, in order of time.

    A mailing is accepted once, on the first day that one of its coupons was redeemed. Campaigns that
    started before `since` are left out with what came of them; nothing of `until` or later is told.

    Returns:
        customer_id, time, kind, channel, direction, action, outcome (null on contacts) and
        idempotency_key, which is the same in every run.
    """
    told = history.before(until).mailings.filter(pl.col("start").is_between(since, until, closed="left"))
    contact = _entries(told, "contact", "start", outcome=None)
    accepted = _entries(told.filter(pl.col("redeemed").is_not_null()), "outcome", "redeemed", "accepted")
    return pl.concat([contact, accepted]).sort("time", "customer_id", "kind", "idempotency_key")


def write_history(path: Path, history: PanelHistory, *, until: date, since: date = WEEK_ONE) -> int:
    """Write `contacts` as a Parquet file.

    Returns:
        The number of rows.
    """
    frame = contacts(history, until=until, since=since)
    frame.write_parquet(path)
    return frame.height


def _entries(mailings: pl.DataFrame, kind: str, day: str, outcome: str | None) -> pl.DataFrame:
    local = pl.col(day).cast(pl.Datetime("us")).dt.replace_time_zone(ZONE)
    return mailings.select(
        customer_id().alias("customer_id"),
        time=local.dt.convert_time_zone("UTC"),
        kind=pl.lit(kind),
        channel=pl.lit(CHANNEL),
        direction=pl.lit("outbound"),
        action=pl.format("campaign_{}", "type"),
        outcome=pl.lit(outcome, pl.String),
        idempotency_key=pl.format("panel-{}-{}-{}", "campaign_id", "household_id", pl.lit(kind)),
    )
