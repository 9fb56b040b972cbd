"""Loading files: what is written, what is refused and why, and that a second run changes nothing."""

import csv
import gzip
import random
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from nextbest.data.history import HistoryStore
from nextbest.data.history_loader import HistoryReport, load_history
from nextbest.data.loader import LoadReport, load_file
from nextbest.data.registry import NameRegistries
from nextbest.data.seen_ids import SeenIds
from nextbest.data.snapshots import SnapshotStore
from nextbest.errors import InvalidInput
from nextbest.facts import STAGE_NAMES, Catalogue, Fact, FactGroup, FactType
from nextbest.model import EntryFlag, EntryKind, Outcome


def fact(name, kind, *values, low=None, high=None):
    """A fact of the group profile."""
    return Fact(name=name, type=kind, group=FactGroup.PROFILE, values=values, minimum=low, maximum=high)


CATALOGUE = Catalogue(
    (
        fact("age", FactType.INT, low=0, high=130),
        fact("spend", FactType.DOUBLE),
        fact("geo", FactType.ENUM, "north", "south"),
        fact("joined", FactType.TIMESTAMP),
        fact("locked_in", FactType.BOOL),
        fact("needs", FactType.SET, "baby", "pets", "wine"),
        fact("held_stage", FactType.ENUM, *STAGE_NAMES),
        fact("stage_since", FactType.TIMESTAMP),
        fact("repeat_purchases", FactType.INT, low=0),
        fact("recency_weeks", FactType.DOUBLE, low=0),
        fact("observed_weeks", FactType.DOUBLE, low=0),
    )
)


@pytest.fixture
async def store(connection, keys):
    """A snapshot store of its own."""
    return await SnapshotStore.open(connection, keys, CATALOGUE)


@pytest.fixture
def history(connection, keys):
    """A history store of its own, and its registries."""
    return HistoryStore(connection, keys, capacity=5), NameRegistries(connection, keys)


def write(path, text):
    """A file of this text."""
    path.write_text(text, encoding="utf-8")
    return path


def rejected(report):
    """The reject file's lines as tuples."""
    with report.rejects.open(encoding="utf-8", newline="") as file:
        rows = [tuple(row) for row in csv.reader(file)]
    assert rows[0] == ("row", "column", "reason")
    return [(int(row), column, reason) for row, column, reason in rows[1:]]


async def test_csv_columns_become_facts(tmp_path, store):
    """Each type is read as people write it, and an empty cell is a missing fact."""
    path = write(
        tmp_path / "c.csv",
        "customer_id,as_of,age,spend,geo,joined,locked_in,needs\n"
        "c1,2017-06-30,41,12.5,south,2014-05-13T16:53:20Z,true,baby|wine\n"
        " c2 ,2017-06-30T12:00:00+02:00, 7 ,1e3,north,2014-05-13,0,[]\n"
        '"c,3",1500000000,,,,,,\n',
    )
    assert await load_file(path, store) == LoadReport(3, 0, 0, None)
    first = await store.get("c1")
    assert first.as_of == datetime(2017, 6, 30, tzinfo=UTC).timestamp()
    assert dict(first.facts) == {
        "age": 41,
        "spend": 12.5,
        "geo": "south",
        "joined": 1_400_000_000.0,
        "locked_in": True,
        "needs": ("baby", "wine"),
    }
    second = await store.get("c2")
    assert second.as_of == datetime(2017, 6, 30, 10, tzinfo=UTC).timestamp()
    assert dict(second.facts) == {
        "age": 7,
        "spend": 1000.0,
        "geo": "north",
        "joined": datetime(2014, 5, 13, tzinfo=UTC).timestamp(),
        "locked_in": False,
        "needs": (),
    }
    third = await store.get("c,3")
    assert (third.as_of, dict(third.facts)) == (1.5e9, {})
    assert not path.with_name("c.csv.rejects.csv").exists()


async def test_parquet_columns_become_facts(tmp_path, store):
    """Parquet's own types are read: numbers, dates, date-times, lists, categories, NaN as missing."""
    pl.DataFrame(
        {
            "customer_id": [1, 2],
            "as_of": [datetime(2017, 6, 30, 12), datetime(2017, 6, 30)],
            "age": pl.Series([41, None], dtype=pl.Int16),
            "spend": [12.5, float("nan")],
            "geo": pl.Series(["south", None], dtype=pl.Categorical),
            "joined": [date(2014, 5, 13), None],
            "locked_in": [True, None],
            "needs": [["baby", "wine"], []],
        }
    ).write_parquet(tmp_path / "c.parquet")
    assert await load_file(tmp_path / "c.parquet", store) == LoadReport(2, 0, 0, None)
    assert (await store.get("1")).as_of == datetime(2017, 6, 30, 12, tzinfo=UTC).timestamp()
    assert dict((await store.get("1")).facts) == {
        "age": 41,
        "spend": 12.5,
        "geo": "south",
        "joined": datetime(2014, 5, 13, tzinfo=UTC).timestamp(),
        "locked_in": True,
        "needs": ("baby", "wine"),
    }
    assert dict((await store.get("2")).facts) == {"needs": ()}


async def test_bad_rows_are_listed_and_the_others_loaded(tmp_path, store):
    """Every reason of every bad row is listed with row number and column."""
    path = write(
        tmp_path / "c.csv",
        "customer_id,as_of,age,spend,geo,joined,locked_in,needs,repeat_purchases,recency_weeks,observed_weeks\n"
        "good1,2017-06-30,1,,,,,,,,\n"
        "bad1,2017-06-31,-1,nan,nort,14:00,maybe,baby|petz|fish,0,3,2\n"
        "short,2017-06-30\n"
        ",2017-06-30,1.5,inf,,,,,,,\n"
        "a{b,,131,many,,,,,,,\n"
        f"{'x' * 65},2017-06-30,9007199254740993,,,1500000000000,,,,,\n"
        "good1,2017-06-30,2,,,,,,,,\n"
        "good2,2017-06-30,2,,,,,,2,2,2\n",
    )
    report = await load_file(path, store)
    assert report == LoadReport(2, 0, 6, tmp_path / "c.csv.rejects.csv")
    assert rejected(report) == [
        (2, "age", "`-1` is below 0"),
        (2, "as_of", "`2017-06-31` is not a time (ISO 8601 or epoch seconds)"),
        (2, "geo", "`nort` is not one of `north`, `south`"),
        (2, "joined", "`14:00` is not a time (ISO 8601 or epoch seconds)"),
        (2, "locked_in", "`maybe` is not true or false"),
        (2, "needs", "`petz` is not one of `baby`, `pets`, `wine`"),
        (2, "recency_weeks", "`3` must not be later than `observed_weeks`"),
        (2, "recency_weeks", "`3` must be 0 exactly when `repeat_purchases` is 0"),
        (2, "spend", "`nan` is not a number"),
        (3, "", "has 2 cells instead of 11"),
        (4, "age", "`1.5` is not a whole number"),
        (4, "customer_id", "is empty"),
        (4, "spend", "`inf` is not a finite number"),
        (5, "age", "`131` is above 130"),
        (5, "as_of", "is empty"),
        (5, "customer_id", "holds a control character or a brace"),
        (5, "spend", "`many` is not a number"),
        (6, "age", "`9007199254740992` is above 130"),
        (6, "age", "`9007199254740992` is beyond ±(2^53 - 1), where whole numbers are no longer exact"),
        (6, "customer_id", "is longer than 64 bytes"),
        (6, "joined", "`1500000000000` is above 253402300799"),
        (7, "customer_id", "`good1` has a row before this one"),
    ]
    assert (await store.get("good1")).facts["age"] == 1
    assert (await store.get("good2")).facts["age"] == 2


async def test_a_second_run_changes_nothing(tmp_path, store, connection):
    """Rows that are stored like this already are counted and not written."""
    lines = [f"c{i},2017-06-30,{i % 100}" for i in range(3000)]
    path = write(tmp_path / "c.csv", "customer_id,as_of,age\n" + "\n".join(lines))
    assert await load_file(path, store) == LoadReport(3000, 0, 0, None)
    writes = (
        (await connection.execute("INFO", "persistence")).split(b"rdb_changes_since_last_save:")[1].split()[0]
    )
    assert await load_file(path, store) == LoadReport(0, 3000, 0, None)
    again = (
        (await connection.execute("INFO", "persistence")).split(b"rdb_changes_since_last_save:")[1].split()[0]
    )
    assert again == writes
    write(path, "customer_id,as_of,age\n" + "\n".join(lines[:-1]) + "\nc2999,2017-06-30,77\n")
    assert await load_file(path, store) == LoadReport(1, 2999, 0, None)
    assert (await store.get("c2999")).facts["age"] == 77


async def test_stage_state_is_kept_unless_the_file_has_it(tmp_path, store):
    """A file without stage columns leaves the stage; one with them sets it."""
    await store.put("c1", 1.0, {"age": 3, "held_stage": "grow_me", "stage_since": 5.0})
    await load_file(write(tmp_path / "a.csv", "customer_id,as_of,spend\nc1,100,2\n"), store)
    assert dict((await store.get("c1")).facts) == {"spend": 2.0, "held_stage": "grow_me", "stage_since": 5.0}
    await load_file(write(tmp_path / "b.csv", "customer_id,as_of,held_stage\nc1,100,know_me\n"), store)
    assert dict((await store.get("c1")).facts) == {"held_stage": "know_me", "stage_since": 5.0}


async def test_a_time_for_all_rows_may_be_given(tmp_path, store):
    """Rows without as_of get the time given, others keep theirs."""
    path = write(tmp_path / "c.csv", "customer_id,age\nc1,3\n")
    await load_file(path, store, as_of=77.0)
    assert (await store.get("c1")).as_of == 77.0
    await load_file(write(path, "customer_id,as_of,age\nc1,,3\nc2,88,4\n"), store, as_of=77.0)
    assert ((await store.get("c1")).as_of, (await store.get("c2")).as_of) == (77.0, 88.0)


async def test_unknown_and_missing_columns_stop_the_load(tmp_path, store):
    """All wrong columns are listed with the nearest fact, and nothing is loaded."""
    path = write(tmp_path / "c.csv", "customer,agee,spend\nc1,1,2\n")
    with pytest.raises(InvalidInput) as caught:
        await load_file(path, store)
    assert [v.description for v in caught.value.violations] == [
        "`customer` is not a fact of this catalogue",
        "`agee` is not a fact of this catalogue: did you mean `age`?",
        "`customer_id` is missing",
        "`as_of` is missing, and no time is given for all",
    ]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "the file is empty"),
        (b"customer_id,as_of,age,age\n", "`age` appears twice"),
        (b"PAR1 but no Parquet file", "cannot read"),
        (b"\xff\xfec\x00u\x00s\x00", "cannot read"),
        (None, "No such file"),
    ],
)
async def test_files_that_cannot_be_read_are_said(tmp_path, store, content, text):
    """An empty, damaged, wrongly encoded or missing file is a violation, not a crash."""
    path = tmp_path / "c.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInput, match=text):
        await load_file(path, store)


async def test_odd_csv_files_are_read(tmp_path, store):
    """BOM, CRLF, semicolons, quotes with newlines, gzip, blank lines and stray bytes are all taken."""
    text = '\ufeffcustomer_id;as_of;age\r\n"c1";1;3\r\n\r\n"c\r\n2";1;4\r\nc3;1;5\r\n'
    path = tmp_path / "c.csv.gz"
    path.write_bytes(gzip.compress(text.encode().replace(b"c3", b"c\xff")))
    report = await load_file(path, store)
    assert (report.loaded, report.rejected) == (1, 2)
    assert rejected(report) == [
        (2, "customer_id", "holds a control character or a brace"),
        (3, "customer_id", "is not valid UTF-8"),
    ]
    assert (await store.get("c1")).facts["age"] == 3


async def test_row_numbers_hold_across_batches(tmp_path, store):
    """In a large file with bad rows everywhere, each is reported under its own number."""
    rng, lines, bad, good = random.Random(5), [], [], 0
    for row in range(1, 70_001):
        kind = rng.random()
        if kind < 0.001:
            lines.append(f"c{row}")
            bad.append(row)
        elif kind < 0.002:
            lines.append(f"c{row},1,x{row}")
            bad.append(row)
        else:
            lines.append(f"c{row},1,{row % 100}")
            good += 1
    path = write(tmp_path / "c.csv", "customer_id,as_of,age\n" + "\n".join(lines) + "\n")
    seen = []
    report = await load_file(path, store, progress=lambda fraction, rows: seen.append((fraction, rows)))
    assert (report.loaded, report.rejected) == (good, len(bad))
    found = rejected(report)
    assert [row for row, _, _ in found] == bad
    cells = [(row, reason) for row, column, reason in found if column]
    assert 20 < len(cells) < len(found) - 20
    assert cells == [(row, f"`x{row}` is not a whole number") for row, _ in cells]
    assert seen[-1] == (1.0, 70_000)
    assert [f for f, _ in seen] == sorted(f for f, _ in seen)


async def test_an_old_reject_file_is_removed(tmp_path, store):
    """After a clean run no rejects of an earlier one lie about."""
    path = write(tmp_path / "c.csv", "customer_id,as_of,age\nc1,1,x\n")
    assert (await load_file(path, store)).rejects.exists()
    report = await load_file(write(path, "customer_id,as_of,age\nc1,1,3\n"), store)
    assert report.rejects is None
    assert not (tmp_path / "c.csv.rejects.csv").exists()


def test_seen_ids_equal_a_set():
    """The compact set answers as a plain one does."""
    rng, seen, plain = np.random.default_rng(3), SeenIds(), set()
    for size in (1, 50, 0, 7, 300, 2, 2, 2, 100):
        checks = rng.integers(0, 400, size).astype(np.uint64)
        expected = []
        for check in checks.tolist():
            expected.append(check in plain)
            plain.add(check)
        assert seen.repeated(checks).tolist() == expected


HISTORY = (
    "customer_id,time,kind,channel,direction,placement,outcome,action,treatment,trigger,event,"
    "amount,cost,decision_id,override,idempotency_key\n"
)


async def test_histories_are_loaded(tmp_path, history):
    """Contacts, outcomes and events go to their rings, with names as registry codes."""
    store, registries = history
    path = write(
        tmp_path / "h.csv",
        HISTORY
        + "c1,2017-01-02,outcome,,inbound,,accepted,,coffee/pos/screen,overdue,,12.5,,"
        + "00010203-0405-0607-0809-0a0b0c0d0e0f,true,k1\n"
        + "c1,2017-01-01,contact,call,outbound,,,survey,,,,,3,,,\n"
        + "c1,2017-01-03,event,pos,,,,,,,purchase,99.5,,,,\n"
        + "c2,1483228800,EVENT,,,,,,,,visit,,,,,\n",
    )
    assert await load_history(path, store, registries) == HistoryReport(4, 0, 0, 0, None)
    contacts = (await store.read("c1")).histories.contacts.entries
    names = {kind: registries.known(kind).name for kind in registries.names}
    assert contacts["kind"].tolist() == [EntryKind.CONTACT, EntryKind.OUTCOME]
    assert [names["action"](c) for c in contacts["action"]] == ["survey", "coffee"]
    assert [names["treatment"](c) for c in contacts["treatment"]] == ["", "coffee/pos/screen"]
    assert [names["channel"](c) for c in contacts["channel"]] == ["call", "pos"]
    assert [names["placement"](c) for c in contacts["placement"]] == ["", "screen"]
    assert [names["trigger"](c) for c in contacts["trigger"]] == ["", "overdue"]
    assert contacts["direction"].tolist() == [1, 0]
    assert contacts["outcome"].tolist() == [Outcome.NONE, Outcome.ACCEPTED]
    assert contacts["flags"].tolist() == [0, EntryFlag.OVERRIDE]
    assert contacts["decision_id"][1].tobytes() == bytes(range(16))
    assert np.isnan(contacts["amount"][0])
    assert (contacts["amount"][1], contacts["cost"][0]) == (12.5, 3.0)
    event = (await store.read("c1")).histories.events.entries[0]
    assert (names["event"](event["event_kind"]), event["amount"]) == ("purchase", 99.5)
    assert (await store.read("c2")).histories.events.entries["time"].tolist() == [1483228800.0]


async def test_loading_a_history_again_changes_nothing(tmp_path, history):
    """Rows are known by their key, or by their content where they have none."""
    store, registries = history
    lines = [f"c{i % 20},{1000 + i},event,,,,,,,,visit,{i},,,,{'' if i % 2 else f'k{i}'}" for i in range(100)]
    path = write(tmp_path / "h.csv", HISTORY + "\n".join(lines))
    assert await load_history(path, store, registries) == HistoryReport(100, 0, 0, 0, None)
    assert await load_history(path, store, registries) == HistoryReport(0, 100, 0, 0, None)


async def test_full_histories_keep_the_latest(tmp_path, history):
    """A file with more than a ring holds leaves the newest entries, and the rest is counted as too old."""
    store, registries = history
    lines = [f"c1,{1000 + i},event,,,,,,,,visit,,,,,k{i}" for i in range(8)]
    path = write(tmp_path / "h.csv", HISTORY + "\n".join(reversed(lines)))
    assert await load_history(path, store, registries) == HistoryReport(5, 0, 3, 0, None)
    ring = (await store.read("c1")).histories.events
    assert ring.entries["time"].tolist() == [1003.0, 1004.0, 1005.0, 1006.0, 1007.0]
    assert ring.truncated_before.tolist() == [1002.0]


async def test_bad_history_rows_are_listed(tmp_path, history):
    """What a row lacks, has too much of or contradicts is listed; the others are recorded."""
    store, registries = history
    await load_history(
        write(tmp_path / "a.csv", HISTORY + "c1,5,event,,,,,,,,visit,1,,,,k1\n"), store, registries
    )
    path = write(
        tmp_path / "h.csv",
        HISTORY
        + "c1,6,event,,,,,,,,visit,1,,,,k2\n"
        + "c1,6,event,,,,,,,,visit,2,,,,k1\n"
        + "c1,6,contact,,sideways,,accepted,,,,visit,x,inf,zz,perhaps,k3\n"
        + "{},,,,,,,,,,,,,,,k4\n"
        + "c1,6,outcome,call,inbound,,,a,,,,,,,,k5\n"
        + "c1,6,event,,,,,,,,,,,,,k6\n"
        + f"c1,6,contact,call,inbound,,,{'a' * 201},,,,,,,,{'k' * 129}\n"
        + "c1,6,contact,call,inbound,,,a,,,,,,,,k7\n",
    )
    report = await load_history(path, store, registries)
    assert (report.recorded, report.unchanged, report.rejected) == (2, 0, 6)
    assert rejected(report) == [
        (2, "idempotency_key", "contradicts what is recorded under this key"),
        (3, "action", "is empty, but it was an action's"),
        (3, "amount", "`x` is not a number"),
        (3, "cost", "is not a finite number"),
        (3, "decision_id", "is not 32 hexadecimal digits"),
        (3, "direction", "`sideways` is not one of `inbound`, `outbound`"),
        (3, "event", "is given, but this is no event"),
        (3, "outcome", "is given, but this is no outcome"),
        (3, "override", "`perhaps` is not true or false"),
        (4, "customer_id", "holds a control character or a brace"),
        (4, "kind", "is empty"),
        (4, "time", "is empty"),
        (5, "outcome", "is empty, but this is an outcome"),
        (6, "event", "is empty, but an event has a name"),
        (7, "action", "is longer than 200 bytes"),
        (7, "idempotency_key", "is longer than 128 bytes"),
    ]


async def test_history_columns_are_checked(tmp_path, history):
    """Missing and unknown columns stop the load, all of them listed."""
    with pytest.raises(InvalidInput) as caught:
        await load_history(write(tmp_path / "h.csv", "customer_id,when\nc1,1\n"), *history)
    assert [v.description.split(" is ")[0] for v in caught.value.violations] == ["`time`", "`kind`", "`when`"]


async def test_histories_of_the_erased_are_rejected(tmp_path, history, connection, keys):
    """What a file tells of a customer who was erased is listed, and not recorded."""
    store, registries = history
    await connection.execute("SET", keys.tombstone("c1"), "1500000000")
    path = write(
        tmp_path / "h.csv",
        HISTORY
        + "c1,2017-01-03,event,pos,,,,,,,purchase,99.5,,,,\n"
        + "c2,2017-01-03,event,pos,,,,,,,purchase,99.5,,,,\n",
    )
    report = await load_history(path, store, registries)
    assert (report.recorded, report.rejected) == (1, 1)
    assert rejected(report) == [(1, "", "the customer was erased; what happened before is not recorded")]
