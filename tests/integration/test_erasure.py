"""Erasing: everything goes, a repetition finishes what a crash left, and nothing comes back by itself."""

import asyncio
import contextlib

import numpy as np
import pytest
from tests.builders.decisions import record

from nextbest.data.decision_log import DecisionLogStore
from nextbest.data.erasure import Erased, ErasureStore
from nextbest.data.history import AppendStatus, HistoryStore
from nextbest.data.identifier_forms import Identifier
from nextbest.data.identifiers import IdentifierStore
from nextbest.data.requests import RequestStore
from nextbest.errors import ErasureUnfinished, StoreUnavailable
from nextbest.model import EntryKind
from nextbest.rings import new_entries

PHONE = Identifier("phone", "+4512345678")


class World:
    """All stores of one deployment."""

    def __init__(self, connection, keys):
        self.connection, self.keys = connection, keys
        self.identifiers = IdentifierStore(connection, keys)
        self.requests = RequestStore(connection, keys)
        self.histories = HistoryStore(connection, keys)
        self.erasures = self.eraser(connection)

    def eraser(self, commands):
        """An eraser over a connection, or over something that fails like one."""
        return ErasureStore(
            commands,
            self.keys,
            identifiers=IdentifierStore(commands, self.keys),
            requests=RequestStore(commands, self.keys),
            decisions=DecisionLogStore(commands, self.keys),
            guard_s=100,
        )

    async def fill(self, customer_id):
        """A customer with everything."""
        await self.connection.execute("SET", self.keys.snapshot(customer_id), b"row")
        await self.connection.execute("HSET", self.keys.hash_snapshot(customer_id), "age", "1")
        await self.put_identifier(customer_id)
        await self.requests.keep(customer_id, "r1", b"one")
        await self.requests.keep(customer_id, "r2", b"two")
        assert await DecisionLogStore(self.connection, self.keys).write([record(customer_id)]) == [True]
        assert (await self.append(customer_id, 10.0, 11.0, notes=[b"said", b""])).tolist() == [1, 1]

    async def put_identifier(self, customer_id):
        """The phone becomes the customer's."""
        claims = await self.identifiers.claim(customer_id, [PHONE], beside=True, field="")
        await self.identifiers.settle(customer_id, claims, beside=True, field="")

    async def append(self, customer_id, *times, notes=()):
        """Record a contact, then events."""
        entries = new_entries(len(times))
        entries["time"] = times
        entries["kind"] = EntryKind.EVENT
        entries["kind"][0] = EntryKind.CONTACT
        entries["idempotency_key"] = np.arange(1, 1 + len(times))
        return await self.histories.append(customer_id, entries, notes)

    async def names(self):
        """Every key of the deployment."""
        return set(await self.connection.execute("KEYS", f"{self.keys.prefix}:*"))


@pytest.fixture
def world(connection, keys):
    """Stores of their own."""
    return World(connection, keys)


async def test_everything_of_the_customer_goes(world):
    """Nothing that names the customer stays but the tombstone, which expires; others lose nothing."""
    await world.fill("c1")
    await world.connection.execute("SET", world.keys.snapshot("c2"), b"row")
    erased = await world.erasures.erase("c1", now=20.0, reason="asked by letter")
    assert erased == Erased(snapshot=True, identifiers=1, history_entries=2, decisions=1)
    assert await world.names() == {
        world.keys.log,
        world.keys.log_count,
        world.keys.tombstone("c1"),
        world.keys.snapshot("c2"),
        world.keys.identifier_secret,
        world.keys.erasures,
    }
    assert 0 < await world.connection.execute("TTL", world.keys.tombstone("c1")) <= 100
    assert await world.identifiers.resolve(PHONE) is None


async def test_the_record_has_no_identity(world):
    """What is recorded of an erasure is when, why and how much."""
    await world.fill("c1")
    await world.erasures.erase("c1", now=20.0, reason="asked by letter")
    (record,) = await world.erasures.records()
    now, _ = await world.connection.execute("TIME")
    assert record == {
        "erased_at": pytest.approx(int(now), abs=3600.0),
        "reason": "asked by letter",
        "snapshot": True,
        "identifiers": 1,
        "history_entries": 2,
        "decisions": 1,
    }


async def test_erasing_nobody_is_harmless(world):
    """A customer who is not known, or was erased before, is erased with all counts zero."""
    for _ in range(2):
        erased = await world.erasures.erase("c1", now=20.0, reason="")
        assert erased == Erased(snapshot=False, identifiers=0, history_entries=0, decisions=0)


async def test_what_is_under_way_writes_nothing(world):
    """After an erasure neither outcomes nor answers of the customer are written, whatever their time."""
    await world.fill("c1")
    await world.erasures.erase("c1", now=20.0, reason="")
    before = await world.names()
    assert (await world.append("c1", 19.0, 25.0)).tolist() == [AppendStatus.ERASED] * 2
    assert await world.requests.keep("c1", "r3", b"late") == b"late"
    assert await world.names() == before


async def test_a_later_put_is_a_new_customer(world):
    """Beside a new snapshot the new customer's history is recorded, and nothing of before the erasure."""
    await world.fill("c1")
    await world.erasures.erase("c1", now=20.0, reason="")
    await world.connection.execute("SET", world.keys.snapshot("c1"), b"new row")
    status = await world.append("c1", 19.0, 21.0)
    assert status.tolist() == [AppendStatus.ERASED, AppendStatus.RECORDED]
    await world.requests.keep("c1", "r1", b"old")
    assert await world.requests.kept([("c1", "r1")]) == [None]
    tombstone = await world.connection.execute("GET", world.keys.tombstone("c1"))
    await world.requests.keep("c1", "r1", b"new", tombstone=tombstone)
    assert await world.requests.kept([("c1", "r1")]) == [b"new"]
    await world.put_identifier("c1")
    assert await world.identifiers.resolve(PHONE) == "c1"


class Failing:
    """Commands that stop being answered after some."""

    def __init__(self, connection, left):
        self.connection, self.left = connection, left

    def execute(self, *parts):
        """Run, or fail."""
        self.left -= 1
        if self.left >= 0:
            return self.connection.execute(*parts)
        future = asyncio.get_running_loop().create_future()
        future.set_exception(StoreUnavailable("gone"))
        return future


async def test_an_erasure_that_stops_says_what_is_left(world):
    """If the store goes away half-way, the error says what was done and what is left."""
    await world.fill("c1")
    await world.erasures.erase("warm", now=1.0, reason="")
    with pytest.raises(ErasureUnfinished, match=r"snapshot and history are erased; left are .*: erase again"):
        await world.eraser(Failing(world.connection, 2)).erase("c1", now=20.0, reason="")


@pytest.mark.parametrize("after", range(1, 24))
async def test_a_repetition_finishes_what_a_crash_left(world, after):
    """Wherever an erasure stops, nothing can be written, nothing resolves, and a repetition ends it."""
    await world.fill("c1")
    await world.erasures.erase("warm", now=1.0, reason="")  # the script is known to the server
    failing = world.eraser(Failing(world.connection, after))
    with contextlib.suppress(ErasureUnfinished):
        await failing.erase("c1", now=20.0, reason="")
    assert (await world.append("c1", 30.0)).tolist() == [AppendStatus.ERASED]
    assert await world.identifiers.resolve(PHONE) is None
    await world.erasures.erase("c1", now=21.0, reason="")
    assert await world.names() == {
        world.keys.log,
        world.keys.log_count,
        world.keys.tombstone("c1"),
        world.keys.tombstone("warm"),
        world.keys.identifier_secret,
        world.keys.erasures,
    }


async def test_notes_go_with_their_entries(connection, keys):
    """A note is kept under its entry's key, the first one counts, and it goes when the entry makes way."""
    histories = HistoryStore(connection, keys, capacity=2)
    for time, note in ((1.0, b"one"), (2.0, b"two"), (2.0, b"again"), (3.0, b"")):
        entries = new_entries(1)
        entries["time"], entries["kind"] = time, EntryKind.OUTCOME
        entries["idempotency_key"] = int(time)
        await histories.append("c1", entries, [note])
    assert await histories.notes("c1") == {2: b"two"}


async def test_histories_expire_after_their_retention(connection, keys):
    """With a retention, a history that nothing is added to is dropped when its newest entry is too old."""
    histories = HistoryStore(connection, keys, retention_s=77.5)
    entries = new_entries(1)
    entries["time"], entries["kind"], entries["idempotency_key"] = 5.0, EntryKind.OUTCOME, 1
    await histories.append("c1", entries, [b"note"])
    for key in (keys.contacts("c1"), keys.outcome_notes("c1")):
        assert 0 < await connection.execute("TTL", key) <= 78


async def test_a_record_of_another_type_is_erased(connection, keys):
    """What another program left in the place of a logged decision goes with the customer, too."""
    world = World(connection, keys)
    await world.fill("c1")
    store = DecisionLogStore(connection, keys)
    (logged,) = await store.of_customer("c1")
    place = keys.decision("c1", logged.decision_id)
    await connection.execute("DEL", place)
    await connection.execute("RPUSH", place, "not ours")
    assert (await world.erasures.erase("c1", now=1.0, reason="")).decisions == 1
    assert await connection.execute("KEYS", f"{keys.prefix}:{{c1}}*") == [keys.tombstone("c1")]
