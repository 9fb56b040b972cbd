"""The decision log in Redis: what is kept, found again, erased and given up."""

from dataclasses import replace

import polars as pl
import pytest
from tests.builders.decisions import record

from loyalty.nextbest.v1 import decision_pb2
from nextbest.batch import log_export
from nextbest.batch.log_export import export_log
from nextbest.batch.part_files import PartFiles
from nextbest.data.decision_log import PER_READ, DecisionLogStore, LogLimits
from nextbest.errors import DecisionUnreadable, InvalidInput


@pytest.fixture
def log(connection, keys):
    """A log of its own."""
    return DecisionLogStore(connection, keys)


async def logged(log, **bounds):
    """Everything in the log."""
    return [entry.record async for batch in log.scan(**bounds) for entry in batch]


async def all_keys(connection, keys):
    """Everything that is stored under the test's prefix."""
    found, cursor = [], b"0"
    while True:
        cursor, some = await connection.execute("SCAN", cursor, "MATCH", f"{keys.prefix}:*", "COUNT", 1000)
        found += some
        if cursor == b"0":
            return sorted(found)


async def test_a_decision_is_found_by_id_customer_and_time(log):
    """What was written is found by its id, with its customer's decisions, and in the log in order."""
    records = [record(f"c{i % 3}") for i in range(200)]
    assert await log.write(records) == [True] * 200
    assert await log.get("c1", records[4].decision_id) == records[4]
    assert await log.find(records[5].decision_id) == records[5]
    assert await log.of_customer("c2") == [r for r in reversed(records) if r.customer_id == "c2"]
    assert await logged(log) == records


async def test_what_is_not_kept_is_none(log):
    """An unknown id, another customer's id and an empty log are no errors."""
    one = record("c1")
    assert await log.find(one.decision_id) is None
    await log.write([one])
    assert await log.get("c2", one.decision_id) is None
    assert await log.get("c1", bytes(16)) is None
    assert await log.of_customer("c2") == []


async def test_writing_again_changes_nothing(log):
    """A batch whose reply was lost may be written again."""
    records = [record() for _ in range(3)]
    await log.write(records)
    await log.write(records)
    assert await logged(log) == records
    assert await log.count() == 3


async def test_the_last_decision_of_a_request_counts(log):
    """A request that was decided twice, since its answer could not be kept, stands in the log once."""
    first = record()
    second = record(decision_id=first.decision_id)
    await log.write([first])
    await log.write([second])
    assert await logged(log) == [second]
    assert await log.of_customer("customer-1") == [second]


async def test_erasing_leaves_nothing_of_the_customer(log, connection, keys):
    """After an erasure no key and no value knows the customer; the others' decisions stay."""
    records = [record(f"c{i % 2}") for i in range(10)]
    await log.write(records)
    assert await log.erase("c0") == 5
    assert await log.of_customer("c0") == []
    assert await logged(log) == [r for r in records if r.customer_id == "c1"]
    stored = await all_keys(connection, keys)
    assert not any(b"{c0}" in key for key in stored)
    values = [await connection.execute("GET", key) for key in stored if b":log:" in key]
    assert len(values) == 5
    assert not any(value.endswith(b"c0") for value in values)
    assert await log.erase("c0") == 0


async def test_the_stream_holds_nothing_personal(log, connection, keys):
    """What stays in memory after an erasure are times and random handles."""
    records = [record("c1"), record("c1")]
    await log.write(records)
    entries = await connection.execute("XRANGE", keys.log, "-", "+")
    assert [fields for _, fields in entries] == [
        [b"h", one.handle, b"n", b"%d" % number] for number, one in enumerate(records, 1)
    ]


async def test_a_decision_made_before_an_erasure_is_refused(log, connection, keys):
    """A record that comes after its customer was erased is kept only if what it is made of was read then."""
    await connection.execute("SET", keys.tombstone("c1"), "1500000000.5 second")
    await connection.execute("SET", keys.snapshot("c1"), "put anew")
    before, between = record("c1", made_at=1.6e9), record("c1", tombstone=b"1500000000.5 first")
    after = record("c1", made_at=1.4e9, tombstone=b"1500000000.5 second")
    other = record("c2", made_at=1.4e9)
    assert await log.write([before, between, after, other]) == [False, False, True, True]
    assert [one.decision_id for one in await logged(log)] == [after.decision_id, other.decision_id]
    assert await log.get("c1", before.decision_id) is None


async def test_a_tombstone_that_says_no_time_refuses(log, connection, keys):
    """What cannot be read as a time counts as an erasure just now."""
    await connection.execute("SET", keys.tombstone("c1"), "yes")
    await connection.execute("SET", keys.snapshot("c1"), "put anew")
    assert await log.write([record("c1")]) == [False]


async def test_an_erased_customer_stays_erased(log, connection, keys):
    """As long as a tombstone stands and no snapshot is put anew, not even later decisions are kept."""
    await connection.execute("SET", keys.tombstone("c1"), "1500000000.5")
    assert await log.write([record("c1", made_at=1.6e9)]) == [False]


async def test_everything_expires(log, connection, keys):
    """Records, ids and handles all have the retention period set, and no more."""
    log = DecisionLogStore(connection, keys, LogLimits(retention_s=77))
    await log.write([record()])
    for key in await all_keys(connection, keys):
        if key not in (keys.log, keys.log_count):
            assert 0 < await connection.execute("TTL", key) <= 77, key


async def test_what_has_expired_is_passed_over(log, connection, keys):
    """A record, or what its handle stands for, may be gone while the stream still names it."""
    records = [record() for _ in range(3)]
    await log.write(records)
    await connection.execute("DEL", keys.decision("customer-1", records[0].decision_id))
    await connection.execute("DEL", keys.handle(records[1].handle))
    assert await logged(log) == [records[2]]
    assert [r.decision_id for r in await log.of_customer("customer-1")] == [
        r.decision_id for r in (records[2], records[1])
    ]


async def test_the_oldest_make_way(log, connection, keys):
    """Beyond its maximal length a log loses the oldest decisions, with everything about them."""
    log = DecisionLogStore(connection, keys, LogLimits(most=5))
    records = [record(f"c{i}") for i in range(12)]
    await log.write(records)
    assert await log.trim() == 7
    assert await log.trim() == 0
    assert await logged(log) == records[7:]
    stored = await all_keys(connection, keys)
    assert not any(b"{c6}" in key for key in stored)
    assert sum(b":log:" in key for key in stored) == 5


async def test_a_decision_made_anew_does_not_go_with_the_old_one(log, connection, keys):
    """When the first entry of a request decided twice makes way, the second one's record stays."""
    log = DecisionLogStore(connection, keys, LogLimits(most=1))
    first = record()
    second = record(decision_id=first.decision_id)
    await log.write([first, second])
    assert await log.trim() == 1
    assert await logged(log) == [second]
    assert await log.of_customer("customer-1") == [second]


async def test_a_log_is_read_by_time(log, connection):
    """`since` is inclusive, `until` exclusive, by the time at which Redis kept the record."""
    records = [record() for _ in range(3)]
    times = []
    for one in records:
        await log.write([one])
        times = [entry.logged_at async for batch in log.scan() for entry in batch]
    assert await logged(log, since=times[0]) == records
    assert await logged(log, until=times[0]) == []
    assert records[2] in await logged(log, since=times[2])
    assert records[2] not in await logged(log, until=times[2])
    assert await logged(log, since=times[2] + 1) == []


async def test_a_damaged_record_is_said(log, connection, keys):
    """A value that is no record raises instead of being read as one."""
    one = record("c1")
    await log.write([one])
    await connection.execute("SET", keys.decision("c1", one.decision_id), b"nbdl" + bytes(300))
    with pytest.raises(DecisionUnreadable):
        await log.get("c1", one.decision_id)


async def test_expired_handles_leave_the_stream(log, connection, keys):
    """The stream is shortened by what is older than the retention, node by node."""
    log = DecisionLogStore(connection, keys, LogLimits(retention_s=10))
    await log.write([record() for _ in range(500)])
    await log.trim_expired(4e9)
    assert await log.count() < 100


class KilledError(Exception):
    """The export's process is killed."""


def parts_of(path):
    """Where an export writes."""
    return PartFiles(path, overwrite=True)


async def exported(log, path, *, stop_after=None, since=None, until=None):
    """Export the log; `stop_after` so many entries it is interrupted."""
    seen = []

    def progress(count):
        seen.append(count)
        if stop_after is not None and sum(seen) >= stop_after:
            raise KilledError

    with parts_of(path) as parts:
        return await export_log(log, parts, since=since, until=until, progress=progress)


@pytest.fixture
def many(monkeypatch):
    """A thousand decisions, exported in parts of 256."""
    monkeypatch.setattr(log_export, "ROWS_PER_GROUP", PER_READ)
    request = decision_pb2.DecideRequest(channel="pos").SerializeToString()
    return [replace(record(f"c{i % 7}"), request=request, answer=b"") for i in range(1000)]


async def test_an_interrupted_export_goes_on_without_duplicates_or_gaps(log, many, tmp_path):
    """What comes of two runs is the file of one, and what was logged meanwhile is for the next export."""
    await log.write(many)
    with pytest.raises(KilledError):
        await exported(log, tmp_path / "log.parquet", stop_after=600)
    assert not (tmp_path / "log.parquet").exists()
    await log.write([replace(record(), request=many[0].request, answer=b"")])
    report = await exported(log, tmp_path / "log.parquet")
    assert (report.written, report.gone, report.missing) == (1000, 0, 0)
    assert 256 <= report.resumed <= 600
    ids = pl.read_parquet(tmp_path / "log.parquet")["decision_id"].to_list()
    assert ids == [one.decision_id.hex() for one in many]
    assert not (tmp_path / "log.parquet.partial").exists()
    assert (await exported(log, tmp_path / "log.parquet")).written == 1001


async def test_what_made_way_between_two_runs_is_counted(connection, keys, many, tmp_path):
    """Retention that overtakes an interrupted export leaves a gap, and the report says of how many."""
    log = DecisionLogStore(connection, keys, LogLimits(most=200))
    await log.write(many)
    with pytest.raises(KilledError):
        await exported(log, tmp_path / "log.parquet", stop_after=600)
    while await log.trim():
        pass
    report = await exported(log, tmp_path / "log.parquet")
    assert report.missing == 1000 - 200 - report.resumed
    assert report.written == report.resumed + 200
    assert pl.scan_parquet(tmp_path / "log.parquet").select(pl.len()).collect().item() == report.written


async def test_a_gap_up_to_the_end_is_counted(connection, keys, many, tmp_path):
    """Where nothing is left to go on with, all that was to come is missing."""
    log = DecisionLogStore(connection, keys)
    await log.write(many)
    with pytest.raises(KilledError):
        await exported(log, tmp_path / "log.parquet", stop_after=600)
    await connection.execute("XTRIM", keys.log, "MAXLEN", 0)
    report = await exported(log, tmp_path / "log.parquet")
    assert report.written + report.missing == 1000
    assert report.written == report.resumed > 0


async def test_what_was_erased_is_passed_over_and_counted(log, many, tmp_path):
    """Entries of the stream without their decision are no gap."""
    await log.write(many)
    erased = await log.erase("c3")
    report = await exported(log, tmp_path / "log.parquet")
    assert (report.written, report.gone, report.missing) == (1000 - erased, erased, 0)
    assert "c3" not in pl.read_parquet(tmp_path / "log.parquet")["customer_id"].unique()


async def test_an_interrupted_export_of_another_time_is_refused(log, many, tmp_path):
    """Other bounds are another export: nothing is mixed."""
    await log.write(many)
    with pytest.raises(KilledError):
        await exported(log, tmp_path / "log.parquet", stop_after=600)
    with pytest.raises(InvalidInput, match="had another since"):
        await exported(log, tmp_path / "log.parquet", since=1.0)
