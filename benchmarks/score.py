"""Scoring a population end to end: Parquet in, decisions, Parquet out, beside the decisions alone.

The rulebook and the customers of the decide benchmark, all asked for by e-mail that we start. Snapshots are
read, checked, decided for and written, three rows a customer with all terms; their histories come from a
file that is read before, and timed by itself. `decide` beside it has everything in memory. Two threads each,
alternating in one run, and the answers must be the same.
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from decide_workload import ENTRIES, compiled, model_of, population, script, state
from nextbest.assembly import Model
from nextbest.batch.operations import names_of
from nextbest.batch.part_files import PartFiles
from nextbest.batch.population import decide_in_threads
from nextbest.batch.score_runs import FileSource, Run, score
from nextbest.batch.scoring import Scoring, seeds_of
from nextbest.batch.situation import situation_of
from nextbest.data.history_files import HistoryFile, read_history_file
from nextbest.facts import FactType
from nextbest.id_check import id_checks_of
from nextbest.model import NO_CODE, EntryKind, Histories, Outcome, Ring, Rows

CUSTOMERS, CUSTOMERS_QUICK = 100_000, 20_000
THREADS = 2
ROUNDS, ROUNDS_QUICK = 5, 2


def run(*, quick: bool) -> dict[str, float]:
    """Measure a run from file to file, and the decisions alone.

    Returns:
        score.customers_per_s, score.decide_customers_per_s, score.share_of_decide (their ratio, paired),
        score.history_entries_per_s.
    """
    n = CUSTOMERS_QUICK if quick else CUSTOMERS
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        rulebook = compiled(script(), directory / "rules")
        people = population(rulebook, n)
        model = model_of(rulebook, people.rows)
        write_snapshots(model, people.rows, directory / "customers.parquet")
        write_history(model, people.histories, directory / "history.parquet")
        start = time.perf_counter()
        histories = read_history_file(directory / "history.parquet", names_of(rulebook))
        read_s = time.perf_counter() - start
        scoring = Scoring(situation_of(rulebook, channel="email", outbound=True, role="agent"))
        work = Run(model, state(), scoring, float(people.now[0]))
        check_same(work, people.rows, histories, directory)
        whole: list[float] = []
        alone: list[float] = []
        for _ in range(ROUNDS_QUICK if quick else ROUNDS):
            alone.append(decided(work, people.rows, histories)[0])
            whole.append(scored(work, histories, directory))
    return {
        "score.customers_per_s": n / statistics.median(whole),
        "score.decide_customers_per_s": n / statistics.median(alone),
        "score.share_of_decide": statistics.median(a / w for a, w in zip(alone, whole, strict=True)),
        "score.history_entries_per_s": n * ENTRIES / read_s,
    }


def ids_of(n: int) -> list[str]:
    """Ids of the customers."""
    return [f"customer-{i:07}" for i in range(n)]


def scored(work: Run, histories: HistoryFile, directory: Path) -> float:
    """Seconds from file to file."""
    start = time.perf_counter()
    with PartFiles(directory / "answers", overwrite=True) as parts:
        source = FileSource(directory / "customers.parquet", work.model, now=work.now, histories=histories)
        asyncio.run(score(work, source, parts, threads=THREADS))
    return time.perf_counter() - start


def decided(work: Run, rows: Rows, histories: HistoryFile):
    """Seconds of the decisions alone, and the decisions."""
    n = len(rows)
    checks = id_checks_of([customer.encode() for customer in ids_of(n)])
    found, now = histories.of(checks), np.full(n, work.now)
    contexts, seeds = work.scoring.situation.contexts(n), seeds_of(checks, now, 0)
    start = time.perf_counter()
    decisions = decide_in_threads(work.model, rows, found, contexts, work.state, now, seeds, threads=THREADS)
    return time.perf_counter() - start, decisions


def check_same(work: Run, rows: Rows, histories: HistoryFile, directory: Path) -> None:
    """The file holds what the decisions say.

    Raises:
        AssertionError: an action or a score differs, or hardly anybody gets any.
    """
    scored(work, histories, directory)
    _, decisions = decided(work, rows, histories)
    found = pl.read_parquet(directory / "answers").filter(pl.col("action") != "do_nothing")
    names = np.array([action.id for action in work.model.rulebook.actions])
    ranked = decisions.action >= 0
    assert ranked.sum() > len(rows), "hardly anybody gets anything"
    assert found["action"].to_list() == names[decisions.action[ranked]].tolist()
    assert np.array_equal(found["score"].to_numpy(), decisions.terms[ranked][:, 15])


def write_snapshots(model: Model, rows: Rows, path: Path) -> None:
    """Write rows as a file that anybody could have written."""
    catalogue, columns = model.rulebook.catalogue, {"customer_id": pl.Series(ids_of(len(rows)))}
    columns["as_of"] = pl.Series(rows.as_of)
    for fact in catalogue.facts:
        place = catalogue.bits.get(fact.name)
        if place is None:
            values = pl.Series(rows.numbers[:, catalogue.columns[fact.name]], nan_to_null=True)
            if fact.type is FactType.ENUM:
                names = pl.Series([*fact.values])
                values = names.gather(values.cast(pl.Int64))
            columns[fact.name] = values.cast(pl.Int64) if fact.type is FactType.INT else values
            continue
        known = (rows.known[:, place.known_word] >> np.uint64(place.known_bit)) & np.uint64(1) == 1
        bits = rows.words[:, place.word] >> np.uint64(place.shift)
        if fact.type is FactType.BOOL:
            columns[fact.name] = pl.Series((bits & np.uint64(1)) == 1).set(pl.Series(~known), None)
            continue
        members = np.array(fact.values, dtype=object)
        held = (bits[:, None] >> np.arange(len(members), dtype=np.uint64)) & np.uint64(1) == 1
        columns[fact.name] = pl.Series(
            [members[own].tolist() if k else None for own, k in zip(held, known, strict=True)],
            dtype=pl.List(pl.String),
        )
    pl.DataFrame(columns).write_parquet(path)


def write_history(model: Model, histories: Histories, path: Path) -> None:
    """Write contacts and outcomes as a file; what history lost is not told in one."""
    ring: Ring = histories.contacts
    entries, book = ring.entries, model.rulebook
    owner = np.repeat(np.arange(len(ring.starts) - 1), np.diff(ring.starts))
    actions = pl.Series([action.id for action in book.actions])
    triggers = pl.Series([*(trigger.id for trigger in book.triggers), None], dtype=pl.String)
    trigger = np.where(entries["trigger"] == NO_CODE, len(triggers) - 1, entries["trigger"])
    names = [None if o == 0 else Outcome(o).name.lower() for o in range(max(Outcome) + 1)]
    pl.DataFrame(
        {
            "customer_id": pl.Series(ids_of(len(ring.starts) - 1)).gather(owner),
            "time": entries["time"],
            "kind": np.where(entries["kind"] == EntryKind.OUTCOME, "outcome", "contact"),
            "channel": pl.Series([channel.id for channel in book.channels]).gather(entries["channel"]),
            "direction": np.where(entries["direction"] == 1, "outbound", "inbound"),
            "outcome": pl.Series(names, dtype=pl.String).gather(entries["outcome"]),
            "action": actions.gather(entries["action"]),
            "trigger": triggers.gather(trigger),
            "idempotency_key": pl.Series(entries["idempotency_key"]).cast(pl.String),
        }
    ).write_parquet(path)


if __name__ == "__main__":
    import sys

    for key, value in run(quick="--quick" in sys.argv).items():
        print(f"{key} {value:,.3f}")
