"""`nextbest fit ltv` and `fit grid` on a stored population: what they write, and what they refuse."""

import json
import signal
import subprocess
import sys
from functools import partial
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from tests.builders.command_line import nextbest
from tests.builders.shop import AS_OF, WEEK, customers, write_shop
from tests.builders.stored_shop import Shop

from nextbest.artifact import unpack
from nextbest.assembly import Artifacts, assemble
from nextbest.batch import grid_runs
from nextbest.batch.grid_fit import GridCounter
from nextbest.batch.grid_runs import GridOptions, Told, fit_grid
from nextbest.batch.operations import load_artifacts, load_model, population
from nextbest.batch.purchase_histories import HISTORY_FACTS
from nextbest.batch.writing import changing
from nextbest.data.snapshots import SnapshotStore
from nextbest.errors import ArtifactError, FitError, InvalidInput
from nextbest.facts import Figure
from nextbest.figures import figures_of
from nextbest.fitted import read_artifacts
from nextbest.potential import ltv_fit
from nextbest.rulebook.compile import compile_rulebook

N = 600


@pytest.fixture
def shop(tmp_path, redis_url, keys):
    """A shop with its customers loaded."""
    made = Shop(tmp_path, redis_url, keys.prefix)
    made.load(customers(N))
    return made


def test_fit_ltv_writes_the_artifact_its_plot_and_the_data(shop):
    """Artifact, PNG, JSON and CSV carry one digest, which is the one in use."""
    result = shop.cli("fit", "ltv")
    assert result.exit_code == 0, result.output
    digest = shop.active()["ltv"]
    stem = shop.out / f"ltv-{digest[:12]}-calibration"
    assert (shop.out / f"ltv-{digest}.nbart").exists()
    assert stem.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    document = json.loads(stem.with_suffix(".json").read_text())
    assert document["artifact"] == digest
    assert sum(document["in_sample"]["by_repeat_purchases"]["customers"]) == N
    assert document["held_out"] is None
    assert len(stem.with_suffix(".csv").read_text().splitlines()) > 20
    assert "in sample only" in result.output
    assert "no season" in result.output


def test_later_snapshots_hold_out_what_was_bought_since(shop):
    """With later snapshots of the same customers the fit is judged by what it could not see."""
    later = shop.directory / "later.parquet"
    customers(N, later_weeks=26.0).write_parquet(later)
    result = shop.cli("fit", "ltv", "--hold-out", str(later))
    assert result.exit_code == 0, result.output
    held = json.loads(next(shop.out.glob("ltv-*.json")).read_text())["held_out"]
    assert sum(held["by_repeat_purchases_at_fit"]["customers"]) == N
    assert held["purchases"] == pytest.approx(held["expected_purchases"], rel=0.15)
    assert held["weeks"] == pytest.approx(26.0)
    assert "in sample only" not in result.output


def test_a_hold_out_of_strangers_is_refused(shop):
    """A file without a customer of the fit says nothing about it, and nothing is put into use."""
    later = shop.directory / "later.csv"
    strangers = customers(30, later_weeks=26.0).select(
        pl.format("x{}", "customer_id").alias("customer_id"), "as_of", "repeat_purchases", "observed_weeks"
    )
    strangers.write_csv(later)
    result = shop.cli("fit", "ltv", "--hold-out", str(later))
    assert isinstance(result.exception, InvalidInput)
    assert shop.active() == {}


def test_histories_that_do_not_go_on_are_left_out_and_counted(shop):
    """A customer who has bought less than before cannot be judged by."""
    later = shop.directory / "later.parquet"
    fewer = pl.when(pl.col("customer_id") == "c000000").then(pl.lit(0))
    frame = customers(N, later_weeks=26.0).with_columns(
        repeat_purchases=fewer.otherwise("repeat_purchases"), recency_weeks=fewer.otherwise("recency_weeks")
    )
    before = customers(N).row(0, named=True)["repeat_purchases"]
    frame.write_parquet(later)
    shop.cli("fit", "ltv", "--hold-out", str(later))
    held = json.loads(next(shop.out.glob("ltv-*.json")).read_text())["held_out"]
    assert held["contradicting_buyers"] == (1 if before else 0)


@pytest.mark.parametrize("command", [("stages", "advance"), ("fit", "ltv")])
def test_contracts_without_an_end_are_counted_and_named(tmp_path, redis_url, keys, command):
    """Who has no lifetime value since the growth was raised is counted and named, with what to do."""
    held = {"contract_state": "in_force", "contract_margin": 100.0, "contract_retention": 0.95}
    shop = Shop(tmp_path, redis_url, keys.prefix, more=held)
    contract = _stranger().drop(HISTORY_FACTS[:4]).with_columns(**{k: pl.lit(v) for k, v in held.items()})
    shop.load(pl.concat([customers(N), contract], how="diagonal"))
    before = shop.cli("fit", "ltv")
    assert before.exit_code == 0, before.output
    assert "endlessly" not in before.output
    strategy = shop.rulebook_directory / "strategy.yaml"
    lifetime = "\nlifetime: {contract_growth: 0.2, discount_rate: 0.1}\n"
    strategy.write_text(strategy.read_text() + lifetime)
    result = shop.cli(*command)
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "`1` contracts have no lifetime value (`stranger`)" in said
    assert "from 0.916667 on is worth endlessly much; lower the growth below the discount" in said


def test_commands_act_at_now_where_there_are_no_data(tmp_path, redis_url, keys):
    """Without a snapshot nobody's time is asked for: there is nobody, and no error."""
    result = Shop(tmp_path, redis_url, keys.prefix).cli("stages", "advance", as_of=None)
    assert result.exit_code == 0, result.output
    assert result.output.strip().endswith("no customers")


async def spoilt_row(store, customer_id, numbers):
    """Writes into a row what no loader takes."""
    await store.snapshots.exchange_rows([customer_id], changing(store.snapshots.codec, lambda *_: numbers))


def test_impossible_histories_leave_the_artifact_in_use(shop):
    """A fit that fails replaces nothing, and writes nothing."""
    shop.cli("fit", "ltv")
    before = shop.active()
    shop.load(pl.concat([customers(N), _stranger(repeat_purchases=3, recency_weeks=0.0)]))
    written = sorted(shop.out.iterdir())

    async def spoil(store):
        await spoilt_row(store, "c000001", {"recency_weeks": np.array([1e6])})

    shop.run(spoil)
    result = shop.cli("fit", "ltv")
    assert isinstance(result.exception, InvalidInput)
    assert shop.active() == before
    assert sorted(shop.out.iterdir()) == written


def _stranger(**facts):
    row = customers(1, seed=9).with_columns(customer_id=pl.lit("stranger"))
    return row.with_columns(**{name: pl.lit(value, row[name].dtype) for name, value in facts.items()})


def test_redis_and_the_file_give_the_same_grid(shop):
    """Where the customers are read from, and in which order, changes not a bit of the artifact."""
    assert shop.cli("fit", "grid").exit_code == 0
    stored = shop.active()["grid"]
    shuffled = shop.directory / "shuffled.parquet"
    customers(N).sample(fraction=1.0, shuffle=True, seed=3).write_parquet(shuffled, row_group_size=50)
    result = shop.cli("fit", "grid", "--from", str(shuffled))
    assert result.exit_code == 0, result.output
    assert shop.active()["grid"] == stored
    assert (shop.out / f"grid-{stored}.nbart").exists()
    assert "not a forecast" in result.output


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_redis_and_the_file_give_the_same_lifetime_value(shop, ending):
    """Where the histories are read from, and in which order, changes not a bit of the artifact."""
    assert shop.cli("fit", "ltv").exit_code == 0
    stored = shop.active()["ltv"]
    shuffled = shop.directory / f"shuffled.{ending}"
    frame = customers(N).drop("owned_categories").sample(fraction=1.0, shuffle=True, seed=3)
    frame.write_parquet(shuffled, row_group_size=50) if ending == "parquet" else frame.write_csv(shuffled)
    for old in shop.out.iterdir():
        old.unlink()
    result = shop.cli("fit", "ltv", "--from", str(shuffled))
    assert result.exit_code == 0, result.output
    assert shop.active()["ltv"] == stored
    assert (shop.out / f"ltv-{stored}.nbart").exists()


def test_a_file_without_columns_names_all_of_them(shop):
    """Columns that are missing or unknown are one error; nothing is put into use."""
    path = shop.directory / "wrong.parquet"
    pl.DataFrame({"customer": ["c1"], "revenu_net": [1.0]}).write_parquet(path)
    for what in ("ltv", "grid"):
        error = _refused(shop, "fit", what, "--from", str(path))
        assert {v.description.split()[0] for v in error.violations} >= {
            "`customer`",
            "`revenu_net`",
            "`customer_id`",
        }
    assert shop.active() == {}


def _refused(shop, *arguments):
    result = shop.cli(*arguments)
    assert isinstance(result.exception, InvalidInput), result.output
    return result.exception


def test_bad_rows_of_a_file_are_not_fitted(shop):
    """A customer's second row and a cell of a wrong type are listed and left out, with exit code 2."""
    path = shop.directory / "bad.csv"
    frame = customers(N).select("customer_id", "as_of", *HISTORY_FACTS[:4]).cast(pl.String)
    spoilt = frame.with_columns(
        observed_weeks=pl.when(pl.col("customer_id") == "c000003")
        .then(pl.lit("soon"))
        .otherwise("observed_weeks")
    )
    pl.concat([spoilt, frame[:1]]).write_csv(path)
    result = shop.cli("fit", "ltv", "--from", str(path))
    assert result.exit_code == 2, result.output
    rejected = pl.read_csv(path.with_name("bad.csv.rejects.csv"))
    assert rejected["row"].to_list() == [4, N + 1]
    assert rejected["column"].to_list() == ["observed_weeks", "customer_id"]
    assert f"{N - 1} buyers" in result.output


def test_impossible_histories_of_a_file_are_bad_rows(shop):
    """Histories that cannot be are listed by row and left out, as when the file is loaded."""
    path = shop.directory / "impossible.parquet"
    late = pl.when(pl.col("customer_id").is_in(["c000007", "c000400"])).then(pl.lit(99.0))
    customers(N).with_columns(recency_weeks=late.otherwise("recency_weeks")).write_parquet(path)
    result = shop.cli("fit", "ltv", "--from", str(path))
    assert result.exit_code == 2, result.output
    rejected = pl.read_csv(path.with_name("impossible.parquet.rejects.csv"))
    assert rejected["row"].unique().sort().to_list() == [8, 401]


def test_the_grid_knows_revenue_and_who_owns_what(shop):
    """A third outcome and the owners by cell lie in the artifact; unknown sets count nowhere."""
    shop.cli("fit", "grid")
    fitted = shop.run(load_artifacts).grid
    frame = customers(N)
    assert fitted.grid.outcomes == ("actual_value", "actual_profit", "revenue_net")
    assert fitted.rates.categories == ("coffee", "bread", "wine")
    known = frame["owned_categories"].drop_nulls()
    assert fitted.rates.n[0] == len(known)
    assert fitted.rates.have[0, 1] == sum("bread" in owned for owned in known.to_list())
    assert fitted.members["peer_segment"] == ("young", "middle", "old")


def test_a_fit_takes_the_time_of_the_newest_snapshot(shop):
    """`--as-of data` stores the newest snapshot's time with the grid, whatever the machine's clock says."""
    result = shop.cli("fit", "grid", as_of="data")
    assert result.exit_code == 0, result.output
    fitted = shop.run(load_artifacts).grid
    assert fitted is not None
    assert fitted.fitted_at == AS_OF


def test_the_back_off_is_shown_beside_what_it_must_beat(shop):
    """A fit prints the held-out pinball loss of the root alone, the cells alone and every weight tried."""
    lines = [
        line.strip("│ ").split("│") for line in shop.cli("fit", "grid").output.splitlines() if "│" in line
    ]
    losses = {cells[0].strip(): [float(cell) for cell in cells[1:]] for cells in lines}
    assert list(losses)[:2] == ["root alone", "cells alone"]
    assert [name.split(" ")[2] for name in list(losses)[2:]] == ["5", "10", "20", "30", "60", "120"]
    assert sum("(chosen)" in name for name in losses) == 1
    assert all(loss > 0.0 for row in losses.values() for loss in row)


def test_bad_rows_of_a_file_are_listed_and_left_out(shop):
    """A row that does not fit, and a customer's second row, cost themselves; the exit code says so."""
    path = shop.directory / "some.csv"
    frame = customers(N).drop("owned_categories")
    bad = frame.head(1).with_columns(customer_id=pl.lit("bad"), household=pl.lit("castle"))
    pl.concat([frame, frame.head(2), bad]).write_csv(path)
    result = shop.cli("fit", "grid", "--from", str(path))
    assert result.exit_code == 2, result.output
    listed = path.with_name("some.csv.rejects.csv").read_text()
    assert listed.count("has a row before this one") == 2
    assert "castle" in listed
    assert "3 rows left out" in result.output


def test_a_file_of_bad_rows_alone_says_where_they_are_listed(shop):
    """Where no row can be read, the error leads to the list of what is wrong with them."""
    path = shop.directory / "bad.csv"
    customers(N).drop("owned_categories").with_columns(household=pl.lit("castle")).write_csv(path)
    result = shop.cli("fit", "grid", "--from", str(path))
    assert result.exit_code == 1
    rejects = path.with_name("bad.csv.rejects.csv")
    assert str(result.exception) == f"no row can be counted: {N} are bad, listed with why in {rejects}"
    assert "castle" in rejects.read_text()


def test_a_dimension_that_follows_an_outcome_is_refused_by_name(tmp_path, redis_url, keys):
    """A leak is an error that names the dimension, until the operator accepts it by name."""
    shop = Shop(tmp_path, redis_url, keys.prefix)
    frame = customers(N)
    third = np.argsort(np.argsort(frame["revenue_net"].to_numpy())) * 3 // N
    shop.load(frame.with_columns(peer_segment=pl.Series(np.array(["young", "middle", "old"])[third])))
    refused = shop.cli("fit", "grid")
    assert isinstance(refused.exception, FitError)
    assert "`peer_segment` follows the outcome" in str(refused.exception)
    assert "--accept-leak" in str(refused.exception)
    assert shop.active() == {}
    accepted = shop.cli("fit", "grid", "--accept-leak", "peer_segment")
    assert accepted.exit_code == 0, accepted.output
    assert "warning: peer dimension `peer_segment`" in accepted.output
    leaks = shop.run(load_artifacts).grid.accepted_leaks
    assert len(leaks) == 1
    assert leaks[0].startswith("peer dimension `peer_segment` follows the outcome")
    shown = shop.cli("grid", "show")
    assert "accepted at the fit: peer dimension `peer_segment`" in shown.output.replace("\n", " ")
    document = json.loads(next(shop.out.glob("grid-*-overview.json")).read_text())
    assert document["accepted_leaks"] == list(leaks)
    assert isinstance(shop.cli("fit", "grid", "--accept-leak", "nonsense").exception, InvalidInput)


def test_customers_who_go_while_they_are_counted_are_no_damage(shop, monkeypatch):
    """Who is erased after the ids are listed is left out and said, and not called unreadable."""

    async def fitted(store):
        ids = await grid_runs.customer_ids(store)

        async def scanned(*_):
            await store.connection.execute("DEL", *map(store.keys.snapshot, ids[100:103]))
            return ids

        monkeypatch.setattr(grid_runs, "customer_ids", scanned)
        return await fit_grid(store, shop.rulebook, now=AS_OF)

    run = shop.run(fitted)
    assert (run.gone, run.unreadable, run.seen) == (3, 0, N - 3)
    assert "removed" not in shop.cli("fit", "grid").output


def test_a_customer_whom_redis_names_twice_counts_once(shop, monkeypatch):
    """SCAN may give a key again; the grid is the same."""
    assert shop.cli("fit", "grid").exit_code == 0
    once, scan = shop.active(), SnapshotStore.scan

    async def again(store, **options):
        async for ids in scan(store, **options):
            yield ids
            yield ids[:3]

    monkeypatch.setattr(SnapshotStore, "scan", again)
    result = shop.cli("fit", "grid")
    assert f"of {N} customers counted" in result.output
    assert shop.active() == once


@pytest.mark.parametrize("what", ["ltv", "grid"])
def test_a_full_disk_replaces_nothing_and_leaves_nothing(shop, monkeypatch, what):
    """What cannot be written is an error with the place, exit code 1; no half file stays behind."""
    assert shop.cli("fit", what).exit_code == 0
    before, written = shop.active(), sorted(shop.out.iterdir())
    shop.load(customers(N, seed=4))
    monkeypatch.setenv("NEXTBEST_PREFIX", shop.options.prefix)
    where = ("--rulebook", shop.rulebook_directory, "--redis-url", shop.options.redis_url, "--out", shop.out)
    code = (
        "import resource, sys; from nextbest.cli import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900)); main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, "fit", what, *map(str, where)]
    said = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert said.returncode == 1, said.stderr
    assert "File too large" in said.stderr.splitlines()[-1]
    assert "Traceback" not in said.stderr
    assert (shop.active(), sorted(shop.out.iterdir())) == (before, written)


def test_a_place_that_cannot_be_written_to_is_named(shop, monkeypatch):
    """An output that is no directory is said with its path; nothing is put into use."""
    monkeypatch.setenv("NEXTBEST_PREFIX", shop.options.prefix)
    shop.out.write_text("a file")
    for what in ("ltv", "grid"):
        said = nextbest(
            *("fit", what, "--rulebook", shop.rulebook_directory, "--out", shop.out),
            *("--redis-url", shop.options.redis_url),
        )
        assert said.code == 1
        assert f"`{shop.out}`" in said.err
    assert shop.active() == {}


class _PulledPlugError(Exception):
    pass


def test_an_interrupted_fit_goes_on_where_it_stopped(shop, monkeypatch):
    """What was counted before the interruption is not read again, and the artifact is the same."""
    monkeypatch.setattr("nextbest.batch.operations.BATCH_CUSTOMERS", 100)
    options = GridOptions(save_every=150)

    async def uninterrupted(store):
        return (await fit_grid(store, shop.rulebook, now=AS_OF, options=options)).digest

    expected = shop.run(uninterrupted)
    done = 0

    def pull_the_plug(customers_done):
        nonlocal done
        done += customers_done
        if done > 450:
            raise _PulledPlugError

    async def interrupted(store):
        with pytest.raises(_PulledPlugError):
            await fit_grid(store, shop.rulebook, now=AS_OF, options=options, told=Told(pull_the_plug))
        assert await store.connection.execute("TTL", store.keys.fit_progress) > 0

    async def again(store):
        run = await fit_grid(store, shop.rulebook, now=AS_OF, options=options)
        assert await store.connection.execute("EXISTS", store.keys.fit_progress) == 0
        return run

    shop.run(interrupted)
    found = shop.run(again)
    assert (found.resumed, found.seen, found.digest) == (400, N, expected)


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from nextbest.batch import operations
from nextbest.batch.grid_runs import GridOptions, Told, fit_grid
from nextbest.data.store import StoreOptions, open_store
from nextbest.rulebook.compile import compile_rulebook

operations.BATCH_CUSTOMERS = 100
url, prefix, rules, now = sys.argv[1:]
book, done = compile_rulebook(Path(rules)), 0

def die(customers):
    global done
    done += customers
    if done > 450:
        os.kill(os.getpid(), signal.SIGKILL)

async def run():
    options = StoreOptions(redis_url=url, prefix=prefix, timeout_s=10.0)
    async with open_store(options, book.catalogue) as store:
        await fit_grid(store, book, now=float(now), options=GridOptions(save_every=150), told=Told(die))

asyncio.run(run())
"""


def test_a_killed_fit_goes_on_where_it_stopped(shop, monkeypatch):
    """A process that dies without a word leaves its counts, and nothing in use; the next goes on."""
    where = (shop.options.redis_url, shop.options.prefix, str(shop.rulebook_directory), str(AS_OF))
    killed = subprocess.run([sys.executable, "-c", KILLED, *where], check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert shop.active() == {}
    monkeypatch.setattr("nextbest.batch.operations.BATCH_CUSTOMERS", 100)
    found = shop.run(lambda store: fit_grid(store, shop.rulebook, now=AS_OF))
    assert (found.resumed, found.seen) == (400, N)
    whole = shop.run(
        lambda store: fit_grid(store, shop.rulebook, now=AS_OF, options=GridOptions(restart=True))
    )
    assert whole.digest == found.digest


def test_what_another_rulebook_had_counted_is_not_gone_on_with(shop, monkeypatch):
    """Progress belongs to the rulebook that defined what is counted; `restart` forgets it in any case."""
    monkeypatch.setattr("nextbest.batch.operations.BATCH_CUSTOMERS", 100)
    counter = GridCounter(shop.rulebook)

    async def leave(store, rulebook):
        data = counter.to_bytes({"rulebook": rulebook, "last": "c000300"})
        await store.connection.execute("SET", store.keys.fit_progress, data)

    async def run(store, *, restart=False):
        return await fit_grid(store, shop.rulebook, now=AS_OF, options=GridOptions(restart=restart))

    shop.load(customers(N))
    with pytest.raises(FitError, match="no grid to merge"):
        counter.to_bytes({})
    counter.add(_rows(shop, customers(N).head(301)))
    shop.run(lambda store: leave(store, "another"))
    assert shop.run(run).resumed == 0
    shop.run(lambda store: leave(store, shop.rulebook.digest))
    assert shop.run(lambda store: run(store, restart=True)).resumed == 0
    shop.run(lambda store: leave(store, shop.rulebook.digest))
    found = shop.run(run)
    assert (found.resumed, found.seen) == (301, N)


def _rows(shop, frame):
    async def read(store):
        return (await store.snapshots.get_many(frame["customer_id"].to_list())).rows

    return shop.run(read)


def test_damaged_progress_is_started_over(shop):
    """Progress that cannot be read costs time, not the fit."""

    async def run(store):
        await store.connection.execute("SET", store.keys.fit_progress, b"rubbish")
        return await fit_grid(store, shop.rulebook, now=AS_OF)

    assert shop.run(run).resumed == 0


def test_an_empty_store_has_no_grid(tmp_path, redis_url, keys):
    """With nobody to count there is nothing to put into use."""
    shop = Shop(tmp_path, redis_url, keys.prefix)
    result = shop.cli("fit", "grid")
    assert isinstance(result.exception, FitError)
    assert shop.active() == {}


def test_a_grid_fitted_on_another_catalogue_is_refused(shop, tmp_path, redis_url, keys):
    """Codes that mean something else are no peers: assembling says which dimension, and what to do."""
    shop.cli("fit", "grid")

    async def stored(store):
        return await store.connection.execute("GET", store.keys.artifact(shop.active_digest))

    shop.active_digest = shop.active()["grid"]
    content = shop.run(stored)
    assert unpack(content).catalogue_fingerprint == shop.rulebook.catalogue.fingerprint
    artifacts = read_artifacts([content])
    assert assemble(shop.rulebook, artifacts).peers is not None
    other = tmp_path / "other"
    facts = other / "facts.yaml"
    write_shop(other)
    facts.write_text(facts.read_text().replace("- young\n", "- ancient\n"))
    with pytest.raises(ArtifactError, match="fitted on another catalogue"):
        assemble(compile_rulebook(other), Artifacts(grid=artifacts.grid))


def test_expressions_read_what_peers_have(shop):
    """A rulebook that asks `peers_have` gets the rates of the grid in use; others carry none."""
    shop.cli("fit", "grid")
    assert shop.run(lambda store: load_model(store, shop.rulebook)).peers.rates is None
    actions = shop.rulebook_directory / "actions" / "all.yaml"
    actions.write_text(
        actions.read_text().replace("issue: growth", "issue: growth\n  when: peers_have('bread')", 1)
    )
    asking = compile_rulebook(shop.rulebook_directory)
    rates = shop.run(lambda store: load_model(store, asking)).peers.rates
    assert rates.shape[1:] == (3, 4)


def test_batches_of_ids_are_walked_in_order(shop, monkeypatch):
    """Every customer comes once, in order of id, whatever order Redis scans in."""
    monkeypatch.setattr("nextbest.batch.operations.BATCH_CUSTOMERS", 7)

    async def walk(store):
        return [c async for batch in grid_runs.population(store) for c in batch.customer_ids]

    assert shop.run(walk) == [f"c{i:06}" for i in range(N)]


def test_an_impossible_history_names_the_customer(shop):
    """The error of a fit says whose purchases cannot be, not which row."""

    async def spoil(store):
        await spoilt_row(store, "c000007", {"recency_weeks": np.array([1e6])})

    shop.run(spoil)
    result = shop.cli("fit", "ltv")
    assert isinstance(result.exception, InvalidInput)
    assert [violation.field for violation in result.exception.violations] == ["customer `c000007`"]


SURVIVORS = (1000, 631, 468, 382, 326, 289, 262, 241)
"""Fader & Hardie (2007), table 1, regular customers: of a thousand, those left after each year."""
YEAR = 365.25 * 86400.0
CONTRACTS = ("contract_state", "contract_margin", "contract_retention", "cancelled_at", "joined")


def contracts():
    """The published cohort as snapshots: who left after each renewal, and who is still there."""
    joined, rows = AS_OF - 7.5 * YEAR, []
    for renewals, (before, after) in enumerate(pairwise(SURVIVORS)):
        rows += [(joined + (renewals + 0.5) * YEAR, "cancelled")] * (before - after)
    rows += [(None, "in_force")] * SURVIVORS[-1]
    return pl.DataFrame(
        {
            "customer_id": [f"k{i:06}" for i in range(len(rows))],
            "as_of": [AS_OF] * len(rows),
            "joined": [joined] * len(rows),
            "cancelled_at": [ended for ended, _ in rows],
            "contract_state": [state for _, state in rows],
            "contract_margin": [120.0] * len(rows),
        },
        strict=False,
    )


@pytest.fixture
def contract_shop(tmp_path, redis_url, keys):
    """A shop that knows contracts."""
    return Shop(tmp_path, redis_url, keys.prefix, more=CONTRACTS)


def test_contracts_alone_are_fitted_as_published(contract_shop):
    """Without a buyer the command fits retention by tenure, and contracts have a lifetime value."""
    contract_shop.load(contracts())
    result = contract_shop.cli("fit", "ltv")
    assert result.exit_code == 0, result.output
    assert list(contract_shop.active()) == ["retention"]
    fitted = contract_shop.run(load_artifacts).retention
    assert (fitted.alpha, fitted.beta) == pytest.approx((0.704, 1.182), abs=1e-3)
    assert fitted.log_likelihood == pytest.approx(-1680.3, abs=0.05)
    assert "alpha 0.704, beta 1.182" in result.output
    assert "1000 contracts" in result.output
    model = contract_shop.run(lambda store: load_model(store, contract_shop.rulebook))
    batch = contract_shop.run(_first_batch)
    found = figures_of(model, batch.rows, np.full(len(batch.rows), AS_OF + WEEK))
    assert (found[:, Figure.LTV_BACK] > 120.0).all()
    assert set(found[:, Figure.ALIVE]) == {0.0, 1.0}


async def _first_batch(store):
    return await anext(population(store))


def test_buyers_and_contracts_are_put_into_use_together(contract_shop):
    """One command fits both, each on its own customers."""
    contract_shop.load(pl.concat([customers(N), contracts()], how="diagonal_relaxed"))
    result = contract_shop.cli("fit", "ltv")
    assert result.exit_code == 0, result.output
    assert set(contract_shop.active()) == {"ltv", "retention"}
    assert contract_shop.run(load_artifacts).ltv.n == N


def test_an_impossible_contract_leaves_everything_in_use(contract_shop):
    """A contract that ended before it began is named, and nothing is replaced."""
    contract_shop.load(contracts())
    contract_shop.cli("fit", "ltv")
    before = contract_shop.active()

    async def spoil(store):
        await spoilt_row(store, "k000003", {"cancelled_at": np.array([1.0])})

    contract_shop.run(spoil)
    result = contract_shop.cli("fit", "ltv")
    assert isinstance(result.exception, InvalidInput)
    assert [violation.field for violation in result.exception.violations] == ["k000003.cancelled_at"]
    assert contract_shop.active() == before


def test_too_few_contracts_beside_buyers_are_a_warning(contract_shop):
    """A handful of contracts does not stop the fit of buyers; it says that they keep their own retention."""
    contract_shop.load(pl.concat([customers(N), contracts().head(5)], how="diagonal_relaxed"))
    result = contract_shop.cli("fit", "ltv")
    assert result.exit_code == 0, result.output
    assert (
        "contracts keep their own retention: retention needs 30 contracts, and there are 5" in result.output
    )
    assert list(contract_shop.active()) == ["ltv"]


@pytest.mark.parametrize(("n", "fits"), [(1, False), (9, False), (10, True)])
def test_a_grid_of_too_few_replaces_none(tmp_path, redis_url, keys, n, fits):
    """Of whom no figure may be shown there is nothing to compare with: the grid in use stays in use."""
    shop = Shop(tmp_path, redis_url, keys.prefix)
    shop.load(customers(N))
    assert shop.cli("fit", "grid", "--m", "30").exit_code == 0
    before, few = shop.active()["grid"], tmp_path / "few.parquet"
    customers(n).write_parquet(few)
    result = shop.cli("fit", "grid", "--m", "30", "--from", str(few))
    assert (result.exit_code, shop.active()["grid"] != before) == (0 if fits else 1, fits), result.output
    assert fits or f"only {n} of {n} customers have a full year" in str(result.exception)


def test_an_outcome_that_nobody_has_is_warned_of(shop):
    """A grid on which every profit is the same says so, and where to look; it is no silent success."""
    nothing = pl.lit(0.0)
    shop.load(customers(N).with_columns(revenue_net=nothing, immediate_rewards=nothing, n_visits=pl.lit(0)))
    result = shop.cli("fit", "grid")
    assert result.exit_code == 0, result.output
    words = " ".join(result.output.split())
    assert "warning: `actual_profit` is 0 for every customer, so every gap is 0" in words
    assert "check `revenue_net`" in words


def test_peers_that_say_nothing_are_warned_of(tmp_path, redis_url, keys):
    """Peer dimensions dealt out at random are no reason for a gap, and the fit says so."""
    shop = Shop(tmp_path, redis_url, keys.prefix)
    frame, random = customers(N), np.random.default_rng(4)
    names = shop.rulebook.strategy.peer_dimensions
    dealt = [frame[name].gather(random.permutation(N)).alias(name) for name in names]
    shop.load(frame.with_columns(dealt))
    words = " ".join(shop.cli("fit", "grid").output.split())
    assert "warning: peers say nothing of `actual_" in words


def test_customers_that_differ_are_not_warned_of(shop):
    """An ordinary fit says nothing of outcomes."""
    output = shop.cli("fit", "grid").output
    assert "for every customer" not in output
    assert "peers say nothing" not in output


@pytest.mark.parametrize("part", ["fit_bgnbd", "fit_gamma_gamma"])
def test_a_fit_that_does_not_converge_replaces_nothing(shop, monkeypatch, part):
    """The error names the model and says what to check; what is in use stays in use."""
    shop.cli("fit", "ltv")
    before, written = shop.active(), sorted(shop.out.iterdir())
    monkeypatch.setattr(ltv_fit, part, partial(getattr(ltv_fit, part), max_iterations=1))
    result = shop.cli("fit", "ltv")
    assert isinstance(result.exception, FitError)
    assert "did not converge" in str(result.exception)
    assert "check the units of the data" in str(result.exception)
    assert (shop.active(), sorted(shop.out.iterdir())) == (before, written)


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("repeat_purchases", -1.0),
        ("repeat_purchases", 2.5),
        ("recency_weeks", -3.0),
        ("observed_weeks", 0.5),
        ("mean_repeat_value", -20.0),
        ("observed_weeks", np.inf),
    ],
)
def test_every_impossible_history_names_its_customer(shop, fact, value):
    """Counts that are none, weeks out of order, negative money: whose is said, and nothing changes."""
    buyers = customers(N).filter(pl.col("repeat_purchases") > 0)["customer_id"].to_list()
    shop.cli("fit", "ltv")
    before = shop.active()

    async def spoil(store):
        await spoilt_row(store, buyers[3], {fact: np.array([value])})

    shop.run(spoil)
    result = shop.cli("fit", "ltv")
    assert isinstance(result.exception, InvalidInput)
    assert [v.field for v in result.exception.violations] == [f"customer `{buyers[3]}`"]
    assert shop.active() == before


def test_a_failed_grid_replaces_nothing(shop):
    """A leak found after a good fit is refused, and the good grid stays in use."""
    shop.cli("fit", "grid")
    before = shop.active()
    frame = customers(N)
    third = np.argsort(np.argsort(frame["revenue_net"].to_numpy())) * 3 // N
    shop.load(frame.with_columns(peer_segment=pl.Series(np.array(["young", "middle", "old"])[third])))
    assert isinstance(shop.cli("fit", "grid").exception, FitError)
    assert shop.active() == before
