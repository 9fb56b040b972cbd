"""Fits that do not match the rulebook, and facts that cannot be, said by the commands that meet them."""

import asyncio

import numpy as np
import polars as pl
import pytest
from tests.builders.command_line import nextbest
from tests.builders.shop import AS_OF, customers, write_shop
from tests.builders.stored_shop import Shop

from nextbest.batch.operations import put_into_use
from nextbest.data.keys import Keys
from nextbest.data.store import StoreOptions, open_store
from nextbest.rulebook.compile import compile_rulebook

DAY = "2023-11-14"


@pytest.fixture
def shop(tmp_path, redis_url, keys, monkeypatch):
    """A shop with its customers loaded, and commands that find it."""
    made = Shop(tmp_path, redis_url, keys.prefix)
    monkeypatch.setenv("NEXTBEST_PREFIX", keys.prefix)
    monkeypatch.setenv("COLUMNS", "200")
    made.load(customers(200))
    return made


@pytest.fixture
def moved(shop, tmp_path, redis_url, keys, monkeypatch):
    """Another shop, whose rulebook is given, with the first one's fits in use: as after a restore."""

    def move(rulebook):
        async def fits(store):
            digests = (await store.artifacts.active()).digests
            return {
                r: await store.connection.execute("GET", store.keys.artifact(d)) for r, d in digests.items()
            }

        taken, there = shop.run(fits), Keys(f"{keys.prefix}x")
        book = compile_rulebook(rulebook)

        async def put():
            options = StoreOptions(redis_url=redis_url, prefix=there.prefix, timeout_s=10.0)
            async with open_store(options, book.catalogue) as store:
                await put_into_use(store, taken, now=AS_OF)

        asyncio.run(put())
        monkeypatch.setenv("NEXTBEST_PREFIX", there.prefix)

    return move


def run(shop, *command, rulebook=None):
    """Run a command on the shop, or on another rulebook over the same store."""
    where = ("--rulebook", rulebook or shop.rulebook_directory, "--redis-url", shop.options.redis_url)
    return nextbest(*command, *where)


COMMANDS = [("serve", "--port", "0"), ("stages", "advance", "--as-of", DAY), ("grid", "show", "--as-of", DAY)]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_grid_of_another_catalogue_stops_a_command(shop, moved, tmp_path, command):
    """Whoever would decide with codes that mean something else is told which dimension, and what to run."""
    assert shop.cli("fit", "grid").exit_code == 0
    other = write_shop(tmp_path / "other")
    facts = other / "facts.yaml"
    facts.write_text(facts.read_text().replace("- young\n", "- ancient\n"))
    moved(other)
    said = run(shop, *command, rulebook=other)
    assert said.code == 1
    assert "fitted on another catalogue" in said.err
    assert "`peer_segment` has other members: run `nextbest fit grid`" in said.err


def _scored_rows(directory):
    draw, n = np.random.default_rng(5), 480
    group, revenue = np.repeat(np.arange(6), n // 6), draw.lognormal(5, 1, n)
    mailed = AS_OF - 86400.0 * 21 * (6 - group)
    frame = pl.DataFrame(
        {
            "campaign": [f"c{g}" for g in group],
            "mailed": mailed,
            "ended": mailed + 7 * 86400.0,
            "redeemed": draw.random(n) < 1 / (1 + np.exp(5 - np.log(revenue))),
            "revenue_net": revenue,
            "satisfaction": draw.uniform(0, 100, n),
        }
    )
    frame.write_parquet(directory / "rows.parquet")
    return directory / "rows.parquet"


def _reading_a_model(directory, standard=lambda names: names):
    write_shop(directory)
    actions, facts = directory / "actions" / "all.yaml", directory / "facts.yaml"
    prior = "propensity:\n    successes: 4\n    failures: 16\n"
    assert prior in actions.read_text()
    actions.write_text(actions.read_text().replace(prior, "propensity:\n    model: fresh\n"))
    facts.write_text(standard(facts.read_text()))
    return directory


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_model_of_a_fact_that_the_catalogue_lacks_stops_a_command(shop, moved, tmp_path, command):
    """A propensity model that reads what a later rulebook no longer has is refused by model and fact."""
    whole = _reading_a_model(tmp_path / "whole")
    roles = ("--outcome", "redeemed", "--group", "campaign", "--time", "mailed", "--known", "ended")
    options = (*roles, "--as-of", DAY, "--out", tmp_path / "out")
    said = run(shop, "fit", "propensity", "fresh", _scored_rows(tmp_path), *options, rulebook=whole)
    assert said.code == 0, said.err
    lacking = _reading_a_model(tmp_path / "lacking", lambda text: text.replace("- satisfaction\n", "", 1))
    moved(lacking)
    said = run(shop, *command, rulebook=lacking)
    assert said.code == 1
    assert "propensity model `fresh` reads `satisfaction`" in said.err


def test_a_store_refuses_a_catalogue_that_shrank(shop, tmp_path):
    """A rulebook that no longer has a stored fact is refused by the fact's name before anything is read."""
    lacking = _reading_a_model(tmp_path / "lacking", lambda text: text.replace("- satisfaction\n", "", 1))
    said = run(shop, "stages", "advance", "--as-of", DAY, rulebook=lacking)
    assert said.code == 1
    assert "fact `satisfaction` was removed: a catalogue is append-only" in said.err


def test_facts_that_cannot_be_are_listed_by_customer_row(shop):
    """A rate out of its range, or money below 0 where that cannot be, costs its row, with the reason."""
    path = shop.directory / "spoilt.csv"
    frame = customers(5).drop("owned_categories")
    spoilt = frame.with_columns(
        share_of_wallet=pl.Series([1.2, -0.1, 0.5, 0.5, 0.5]),
        margin_rate=pl.Series([0.3, 0.3, 1.5, 0.3, 0.3]),
        immediate_rewards=pl.Series([1.0, 1.0, 1.0, -4.0, 1.0]),
    )
    spoilt.write_csv(path)
    said = run(shop, "load", path)
    assert said.code == 2
    listed = path.with_name("spoilt.csv.rejects.csv").read_text().splitlines()
    assert listed == [
        "row,column,reason",
        "1,share_of_wallet,`1.2` is above 1",
        "2,share_of_wallet,`-0.1` is below 0",
        "3,margin_rate,`1.5` is above 1",
        "4,immediate_rewards,`-4` is below 0",
    ]
    assert "1 loaded, 0 unchanged, 4 rejected" in said.out
