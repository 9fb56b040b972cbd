"""`nextbest score`: from files and from Redis, with histories of either, interrupted and gone on with."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from tests.builders.command_line import nextbest
from tests.builders.rulebooks import write
from tests.builders.shop import AS_OF, customers, documents
from tests.builders.stored_shop import Shop

from nextbest.assembly import Artifacts, assemble
from nextbest.batch.operations import load_model, names_of
from nextbest.batch.part_files import PartFiles
from nextbest.batch.score_runs import FileSource, Run, StoreSource, score
from nextbest.batch.scoring import Scoring, score_batch
from nextbest.batch.situation import situation_of
from nextbest.data import table_files
from nextbest.data.history_files import read_history_file
from nextbest.errors import InvalidInput
from nextbest.learning.cases import observations
from nextbest.model import CellEvidence, DecisionState, Outcome
from nextbest.rings import new_entries
from nextbest.rulebook.compile import compile_rulebook

N = 900
DAY = "2023-11-14"
ROWS = 100
"""Rows of a batch, so that a small file has many."""
HOUR = 3600.0


def generous():
    """The shop's files with actions that somebody gets and a cap on one."""
    found = documents()
    bread, visit = found["actions/all.yaml"]["actions"]
    bread |= {"effect": {"yearly": 20.0, "profit_gap": 0.2}, "caps": [{"at_most": 1, "within": "7d"}]}
    visit |= {"stages": ["know_me", "hear_me", "grow_me"]}
    visit |= {"cost": {"contact": 0.5}, "effect": {"yearly": 8.0}}
    bread["when"] = "customer.satisfaction > 60.0"
    visit["when"] = "customer.satisfaction > 75.0"
    return found


def history(n=N):
    """A contact for every third customer, some told twice, some contradicting, one of a stranger."""
    rows = [
        {"customer_id": f"c{i:06}", "time": AS_OF - (i % 300) * HOUR, "kind": "contact", "channel": "pos",
         "direction": "inbound", "action": "bread" if i % 2 else "forgotten", "idempotency_key": f"k{i}"}
        for i in range(0, n, 3)
    ]  # fmt: skip
    rows += [rows[4], {**rows[5], "action": "visit"}, {**rows[6], "customer_id": "stranger"}]
    return pl.DataFrame(rows)


@pytest.fixture
def shop(tmp_path):
    """A rulebook, a file of customers and one of their histories."""
    write(generous(), tmp_path / "rules")
    customers(N).write_parquet(tmp_path / "customers.parquet")
    history().write_parquet(tmp_path / "history.parquet")
    return tmp_path


@pytest.fixture(autouse=True)
def small_batches():
    """Files are read so many rows at a time."""
    with mock.patch.object(table_files, "BATCH_ROWS", ROWS):
        yield


def run_score(shop, *arguments, file="customers.parquet", out="out.parquet"):
    """Run `nextbest score` on files alone."""
    given = [shop / file, "--out", shop / out, "--rulebook", shop / "rules", "--channel", "pos"]
    return nextbest("score", *given, "--no-store", "--as-of", DAY, *arguments)


def test_a_file_is_scored_into_a_file(shop):
    """Every customer has an answer, somebody an action, and the summary adds up."""
    said = run_score(shop, "--figures", "--json", shop / "summary.json")
    assert said.code == 0, said.err
    found = pl.read_parquet(shop / "out.parquet")
    summary = json.loads((shop / "summary.json").read_text())
    assert found["customer_id"].unique(maintain_order=True).to_list() == [f"c{i:06}" for i in range(N)]
    first = found.filter(pl.col("rank") == 1)
    counts = dict(first.group_by("action").len().iter_rows())
    assert summary["customers"] == N
    assert counts.pop("do_nothing") == summary["doing_nothing_is_best"]
    assert counts == {name: a["first"] for name, a in summary["actions"].items() if a["first"]}
    assert set(found["action"]) == {"bread", "visit", "do_nothing"}
    total = first.group_by("action").agg(pl.col("score").sum())
    for name, value in total.iter_rows():
        if name != "do_nothing":
            assert summary["actions"][name]["score_sum"] == pytest.approx(value)
    assert found["figure_stage"].null_count() == 0
    assert not (shop / "out.parquet.partial").exists()
    about = json.loads(pq.read_metadata(shop / "out.parquet").metadata[b"nextbest"])
    assert about["evaluation_time"] == AS_OF // 86400 * 86400
    assert "no measurement" in said.out


def test_any_number_of_threads_writes_the_same_file(shop):
    """Threads share the work and not the answer."""
    for threads in (1, 2, 5):
        assert run_score(shop, "--threads", threads, out=f"{threads}.parquet").code == 0
    assert len({(shop / f"{t}.parquet").read_bytes() for t in (1, 2, 5)}) == 1


def test_a_file_and_a_column_batch_give_the_same_answers(shop):
    """`score_batch` is what the command runs."""
    assert run_score(shop).code == 0
    book = compile_rulebook(shop / "rules")
    model = assemble(book, Artifacts())
    batch = pl.read_parquet(shop / "customers.parquet").to_arrow().combine_chunks().to_batches()[0]
    now = AS_OF // 86400 * 86400
    state = DecisionState.initial(len(book.actions))
    found = pl.from_arrow(score_batch(model, state, now, batch, Scoring(situation_of(book, channel="pos"))))
    assert found.drop("problem").equals(pl.read_parquet(shop / "out.parquet"))


def test_a_directory_holds_the_parts(shop):
    """Without `.parquet` in its name the output is a directory that reads as one table."""
    assert run_score(shop).code == 0
    assert run_score(shop, out="parts").code == 0
    parts = sorted((shop / "parts").iterdir())
    assert len(parts) == N // ROWS
    assert pl.read_parquet(shop / "parts").equals(pl.read_parquet(shop / "out.parquet"))


def test_csv_gives_what_parquet_gives(shop):
    """The readers of `load` read here too."""
    frame = pl.read_parquet(shop / "customers.parquet")
    frame.with_columns(pl.col("owned_categories").list.join("|").replace("", "[]")).write_csv(
        shop / "customers.csv"
    )
    assert run_score(shop).code == 0
    assert run_score(shop, file="customers.csv", out="csv.parquet").code == 0
    assert pl.read_parquet(shop / "csv.parquet").equals(pl.read_parquet(shop / "out.parquet"))


def test_histories_of_a_file_are_those_that_would_be_loaded(shop, redis_url, keys):
    """A file of histories, the same loaded into Redis, and everything from Redis give the same answers."""
    assert run_score(shop, "--history", shop / "history.parquet").code == 0
    assert run_score(shop, out="without.parquet").code == 0
    stored = ["--redis-url", redis_url, "--rulebook", shop / "rules", "--as-of", DAY]
    environment = {"NEXTBEST_PREFIX": keys.prefix}
    with mock.patch.dict(os.environ, environment):
        assert nextbest("load", shop / "customers.parquet", *stored).code == 0
        assert nextbest("load-history", shop / "history.parquet", *stored[:4]).code == 2
        score_stored = ["--channel", "pos", *stored]
        half = nextbest("score", shop / "customers.parquet", "--out", shop / "half.parquet", *score_stored)
        whole = nextbest("score", "--out", shop / "whole.parquet", *score_stored)
    assert (half.code, whole.code) == (0, 0), half.err + whole.err
    answers = pl.read_parquet(shop / "out.parquet")
    assert pl.read_parquet(shop / "half.parquet").equals(answers)
    assert pl.read_parquet(shop / "whole.parquet").equals(answers)
    assert not pl.read_parquet(shop / "without.parquet").equals(answers)


def test_rows_of_a_history_are_told_apart_as_when_they_are_loaded(shop):
    """A row said twice counts once, one that contradicts its key is listed, strangers do no harm."""
    names = names_of(compile_rulebook(shop / "rules"))
    found = read_history_file(shop / "history.parquet", names)
    assert (found.recorded, found.unchanged) == (N // 3 + 1, 1)
    assert [(f.row, f.column) for f in found.faults] == [(N // 3 + 2, "idempotency_key")]
    said = run_score(shop, "--history", shop / "history.parquet")
    assert said.code == 0
    assert "1 rows of history.parquet are left out" in said.err
    assert "contradicts" in (shop / "history.parquet.rejects.csv").read_text()


def test_bad_rows_are_listed_and_the_rest_is_decided(shop):
    """A fact out of bounds, no id and a second row are rejected with their reasons; exit code 2."""
    frame = pl.read_parquet(shop / "customers.parquet")
    bad = frame[:3].with_columns(
        pl.Series("customer_id", ["new", None, "c000007"]), pl.Series("share_of_wallet", [7.0, 0.1, 0.1])
    )
    pl.concat([frame, bad]).write_parquet(shop / "bad.parquet")
    said = run_score(shop, file="bad.parquet")
    assert said.code == 2
    assert "3 rows left out" in said.out
    rejects = pl.read_csv(shop / "out.parquet.rejects.csv")
    assert rejects["row"].to_list() == [N + 1, N + 2, N + 3]
    assert rejects["column"].to_list() == ["share_of_wallet", "customer_id", "customer_id"]
    assert run_score(shop, out="good.parquet").code == 0
    assert pl.read_parquet(shop / "out.parquet").equals(pl.read_parquet(shop / "good.parquet"))


def test_an_empty_file_gives_an_empty_answer(shop):
    """No customers, no rows, all columns."""
    pl.read_parquet(shop / "customers.parquet")[:0].write_parquet(shop / "none.parquet")
    said = run_score(shop, file="none.parquet")
    assert said.code == 0, said.err
    assert pl.read_parquet(shop / "out.parquet").height == 0
    assert "0 customers" in said.out


KILLED = """
import os, signal, sys
from nextbest.batch import score_runs
from nextbest.cli import main
from nextbest.data import table_files
table_files.BATCH_ROWS = int(sys.argv[1])
write = score_runs.PartFiles.write
def deadly(parts, place, *rest):
    if place == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    write(parts, place, *rest)
score_runs.PartFiles.write = deadly
main(sys.argv[3:])
"""


def killed(shop, *, at, out, file):
    """Run the command in a process that is killed when it is about to write a part."""
    command = ["score", shop / file, "--out", shop / out, "--rulebook", shop / "rules", "--channel", "pos"]
    command += ["--no-store", "--as-of", DAY]
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(ROWS), str(at), *map(str, command)],
        check=False,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ).returncode


@pytest.mark.parametrize("out", ["out.parquet", "parts"])
def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_been(shop, out):
    """Nothing is at the output's place until it is whole; then every byte is as without the kill."""
    frame = pl.read_parquet(shop / "customers.parquet")
    again = frame[10:11].with_columns(pl.lit("c000700").alias("customer_id"))
    bad = frame[:1].with_columns(pl.lit("x").alias("customer_id"), pl.lit(9.0).alias("share_of_wallet"))
    pl.concat([frame[:150], bad, frame[150:], again]).write_parquet(shop / "input.parquet")
    assert killed(shop, at=4, out=out, file="input.parquet") == -signal.SIGKILL
    assert not (shop / out).exists()
    assert (shop / f"{out}.partial").is_dir()
    said = run_score(shop, file="input.parquet", out=out)
    assert said.code == 2, said.err
    assert "went on after" in said.out
    assert "went on after 0" not in said.out
    assert run_score(shop, file="input.parquet", out=f"whole-{out}").code == 2
    assert content(shop / out) == content(shop / f"whole-{out}")
    rejects = [(shop / f"{name}.rejects.csv").read_text() for name in (out, f"whole-{out}")]
    assert rejects[0] == rejects[1]
    assert len(rejects[0].splitlines()) == 3
    assert not (shop / f"{out}.partial").exists()


def content(path):
    """Bytes of a file, or of the files of a directory."""
    return {p.name: p.read_bytes() for p in path.iterdir()} if path.is_dir() else path.read_bytes()


def interrupt(run, source, parts, after):
    """Run until so many parts are settled."""

    def progress(_share, decided):
        if decided >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(score(run, source, parts, threads=1, progress=progress))


def a_run(shop, *, now=AS_OF, state=None, max_results=3):
    """A run on the shop's rules without fits."""
    book = compile_rulebook(shop / "rules")
    model = assemble(book, Artifacts())
    scoring = Scoring(situation_of(book, channel="pos"), max_results)
    return Run(model, state or DecisionState.initial(len(book.actions)), scoring, now)


def test_an_interrupted_run_keeps_its_time_and_what_was_learnt(shop):
    """Going on later, when more is learnt, gives the answer of the first moment."""
    early = a_run(shop)
    cells = CellEvidence(*(np.array([k], np.int32) for k in (0, 1, 0)), np.array([[0.1, 7.0]]))
    early = replace(early, state=replace(early.state, cells=cells, contact_price=0.1))
    early.state.posteriors[0, :, 1] = 3.0
    late = a_run(shop, now=AS_OF + 9e6)
    file = shop / "customers.parquet"
    with PartFiles(shop / "out.parquet") as parts:
        interrupt(early, FileSource(file, early.model, now=AS_OF), parts, after=300)
    with PartFiles(shop / "out.parquet") as parts:
        run = late.taken_up(parts.run, same_time=True)
        assert run.document() == early.document()
        report = asyncio.run(score(run, FileSource(file, run.model, now=AS_OF), parts, threads=2))
    assert report.resumed >= 300
    with PartFiles(shop / "whole.parquet") as parts:
        asyncio.run(score(early, FileSource(file, early.model, now=AS_OF), parts, threads=2))
    assert (shop / "out.parquet").read_bytes() == (shop / "whole.parquet").read_bytes()


def test_an_interrupted_run_of_something_else_is_not_gone_on_with(shop):
    """Another question, file or time is refused by name; --restart begins anew."""
    file = shop / "customers.parquet"
    run, other = a_run(shop), a_run(shop, max_results=1)
    with PartFiles(shop / "out.parquet") as parts:
        interrupt(run, FileSource(file, run.model, now=AS_OF), parts, after=300)
    with (
        PartFiles(shop / "out.parquet") as parts,
        pytest.raises(InvalidInput, match="another scoring") as caught,
    ):
        asyncio.run(score(other, FileSource(file, other.model, now=AS_OF), parts, threads=2))
    assert "--restart" in str(caught.value)
    file.touch()
    with PartFiles(shop / "out.parquet") as parts, pytest.raises(InvalidInput, match="another file"):
        asyncio.run(score(run, FileSource(file, run.model, now=AS_OF), parts, threads=2))
    with PartFiles(shop / "out.parquet", restart=True) as parts:
        report = asyncio.run(score(other, FileSource(file, other.model, now=AS_OF), parts, threads=2))
    assert report.resumed == 0
    assert pl.read_parquet(shop / "out.parquet")["rank"].max() == 1


def test_a_run_from_redis_goes_on_after_the_last_id(shop, redis_url, keys):
    """Stored customers are decided for once each, and as in a run that nobody interrupted."""
    stored = Shop(shop / "s", redis_url, keys.prefix)
    stored.load(customers(N))

    async def interrupted(store):
        model = await load_model(store, stored.rulebook)
        run = Run(
            model,
            DecisionState.initial(len(model.rulebook.actions)),
            Scoring(situation_of(model.rulebook, channel="pos")),
            AS_OF,
        )
        with PartFiles(shop / "whole") as parts:
            await score(run, StoreSource(store, model), parts, threads=2)
        with PartFiles(shop / "parts") as parts, pytest.raises(KeyboardInterrupt):
            await score(run, StoreSource(store, model), parts, threads=1, progress=stop)
        with PartFiles(shop / "parts") as parts:
            assert 0 < parts.done < N // ROWS
            return await score(run, StoreSource(store, model), parts, threads=2)

    def stop(share, decided):
        assert share == pytest.approx(decided / N)
        if decided >= 300:
            raise KeyboardInterrupt

    with mock.patch("nextbest.batch.score_runs.PART_CUSTOMERS", ROWS):
        report = stored.run(interrupted)
    assert report.resumed >= 300
    assert content(shop / "parts") == content(shop / "whole")


def test_what_is_there_is_replaced_only_when_asked(shop):
    """An output that is there stays as it is; with --overwrite a whole one takes its place."""
    (shop / "out.parquet").write_text("precious")
    said = run_score(shop)
    assert (said.code, (shop / "out.parquet").read_text()) == (1, "precious")
    assert "--overwrite" in said.err
    assert run_score(shop, "--overwrite").code == 0
    assert pl.read_parquet(shop / "out.parquet").height >= N
    assert run_score(shop, out="parts").code == 0
    before = content(shop / "parts")
    assert run_score(shop, "--overwrite", "--max-results", 1, out="parts").code == 0
    assert content(shop / "parts") != before


def test_two_runs_do_not_write_the_same_output(shop):
    """The second is refused while the first is alive."""
    with PartFiles(shop / "out.parquet"):
        said = run_score(shop)
    assert said.code == 1
    assert "another run is writing" in said.err
    assert run_score(shop).code == 0


def test_what_cannot_be_used_is_said_before_anything_is_written(shop):
    """A wrong channel, role, file or column leaves no trace."""
    wrong = nextbest(
        "score", shop / "customers.parquet", "--out", shop / "out.parquet", "--rulebook", shop / "rules",
        "--channel", "fax", "--role", "king", "--no-store",
    )  # fmt: skip
    assert wrong.code == 1
    assert "`fax` is not in the rulebook" in wrong.err
    assert "`king` is not in the rulebook" in wrong.err
    assert not list(shop.glob("out*"))
    nobody = nextbest(
        "score", "--out", shop / "out.parquet", "--rulebook", shop / "rules", "--channel", "pos", "--no-store"
    )
    assert nobody.code == 1
    assert "nobody to decide for" in nobody.err
    pl.DataFrame({"customer_id": ["a"], "shoe_size": [43]}).write_parquet(shop / "strange.parquet")
    strange = run_score(shop, file="strange.parquet")
    assert strange.code == 1
    assert "shoe_size" in strange.err
    Path(shop / "broken.parquet").write_bytes(b"PAR1 nonsense")
    assert run_score(shop, file="broken.parquet", out="b.parquet").code == 1
    assert not (shop / "b.parquet").exists()


def test_what_was_learnt_in_redis_is_decided_with(shop, redis_url, keys):
    """Rejections captured by the service lower the propensity that a run over the store reads."""
    stored = Shop(shop, redis_url, keys.prefix)
    write(generous(), shop / "rules")
    stored.load(customers(N))
    given = ["--redis-url", redis_url, "--rulebook", shop / "rules", "--as-of", DAY, "--channel", "pos"]
    with mock.patch.dict(os.environ, {"NEXTBEST_PREFIX": keys.prefix}):
        assert nextbest("score", "--out", shop / "before.parquet", *given).code == 0
        stored.run(lambda store: rejected(store, stored.rulebook.strategy.learning))
        assert nextbest("score", "--out", shop / "after.parquet", *given).code == 0
    before, after = (pl.read_parquet(shop / f"{name}.parquet") for name in ("before", "after"))
    old, new = (f.filter(pl.col("action") == "bread")["propensity"] for f in (before, after))
    assert set(old) == {4 / 20}
    assert new.is_empty() or new.max() < 4 / 20


async def rejected(store, learning):
    """Forty rejections of bread in every stage."""
    code = (await store.names.codes("action", ["bread"]))["bread"]
    entries = new_entries(40)
    entries["outcome"], entries["action"] = Outcome.REJECTED, code
    entries["idempotency_key"] = np.arange(1, 41)
    seen = observations(entries, learning, nothing=10**6, is_timed=np.ones(len(entries), np.bool_))
    for stage in range(4):
        await store.evidence.learn(f"c{stage:06}", seen, stage=stage, cell=(), now=AS_OF)
