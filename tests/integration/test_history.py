"""Histories in Redis: appended once, in event-time order, bounded."""

import asyncio
import random

import numpy as np
import pytest

from nextbest.data.history import AppendStatus, HistoryStore
from nextbest.errors import InvalidInput
from nextbest.id_check import id_check
from nextbest.model import EntryKind, Outcome
from nextbest.rings import encode_ring, new_entries

S = AppendStatus


def contacts(*times, keys=None, kind=EntryKind.CONTACT, outcome=Outcome.NONE):
    """Entries of these times; their idempotency keys are their times unless given."""
    made = new_entries(len(times))
    made["time"], made["kind"], made["outcome"] = times, kind, outcome
    made["idempotency_key"] = [int(1000 * t) for t in times] if keys is None else keys
    return made


@pytest.fixture
def store(connection, keys):
    """A store of small rings."""
    return HistoryStore(connection, keys, capacity=4)


async def ring_of(store, customer_id="c1"):
    """The times kept of a customer's contacts, and where they are truncated."""
    ring = (await store.read(customer_id)).histories.contacts
    return ring.entries["time"].tolist(), float(ring.truncated_before[0])


async def test_the_stored_bytes_are_the_documented_ones(store, connection, keys):
    """What the script writes is what `encode_ring` makes of the same entries."""
    made = contacts(1.0, 2.0, outcome=Outcome.ACCEPTED)
    await store.append("c1", made)
    assert await connection.execute("GET", keys.contacts("c1")) == encode_ring(id_check(b"c1"), made)
    await store.append("c1", contacts(3.0, 4.0, 5.0, outcome=Outcome.ACCEPTED))
    expected = contacts(2.0, 3.0, 4.0, 5.0, outcome=Outcome.ACCEPTED)
    stored = encode_ring(id_check(b"c1"), expected, truncated_before=1.0, recorded=5)
    assert await connection.execute("GET", keys.contacts("c1")) == stored


async def test_contacts_and_events_go_to_their_rings(store):
    """Outcomes lie beside contacts, events apart, and statuses come in the order given."""
    mixed = contacts(1.0, 2.0, 3.0)
    mixed["kind"] = [EntryKind.EVENT, EntryKind.CONTACT, EntryKind.OUTCOME]
    assert (await store.append("c1", mixed)).tolist() == [S.RECORDED] * 3
    histories = (await store.read("c1")).histories
    assert histories.contacts.entries["time"].tolist() == [2.0, 3.0]
    assert histories.events.entries["time"].tolist() == [1.0]


async def test_a_repetition_changes_nothing(store, connection, keys):
    """An entry whose key was recorded is a duplicate, whatever time the retry carries."""
    await store.append("c1", contacts(1.0, 2.0))
    before = await connection.execute("GET", keys.contacts("c1"))
    assert (await store.append("c1", contacts(1.0, 2.0))).tolist() == [S.DUPLICATE] * 2
    assert (await store.append("c1", contacts(9.0, keys=[1000]))).tolist() == [S.DUPLICATE]
    assert await connection.execute("GET", keys.contacts("c1")) == before


async def test_a_contradiction_is_said_and_nothing_is_written(store, connection, keys):
    """Another outcome under a key that was used is told, and the entries beside it are not recorded."""
    await store.append("c1", contacts(1.0, outcome=Outcome.ACCEPTED))
    before = await connection.execute("GET", keys.contacts("c1"))
    contradiction = contacts(5.0, 1.0, outcome=Outcome.REJECTED)
    assert (await store.append("c1", contradiction)).tolist() == [S.RECORDED, S.CONTRADICTORY]
    assert await connection.execute("GET", keys.contacts("c1")) == before


async def test_duplicates_within_a_call_are_recorded_once(store):
    """Equal keys within one call are the same entry."""
    assert (await store.append("c1", contacts(1.0, 1.0))).tolist() == [S.RECORDED, S.DUPLICATE]
    assert (await ring_of(store))[0] == [1.0]


async def test_entries_without_a_key_are_always_recorded(store):
    """A key of 0 is no key."""
    assert (await store.append("c1", contacts(1.0, 1.0, keys=[0, 0]))).tolist() == [S.RECORDED] * 2
    assert (await ring_of(store))[0] == [1.0, 1.0]


async def test_late_arrivals_are_put_in_order(store):
    """The ring is kept by event time, entries of one time in order of arrival."""
    await store.append("c1", contacts(5.0, 1.0))
    await store.append("c1", contacts(3.0, 5.0, keys=[7, 8]))
    ring = (await store.read("c1")).histories.contacts.entries
    assert ring["time"].tolist() == [1.0, 3.0, 5.0, 5.0]
    assert ring["idempotency_key"].tolist() == [1000, 7, 5000, 8]


async def test_the_oldest_make_way_and_leave_their_time(store):
    """truncated_before is the event time of the newest entry lost."""
    await store.append("c1", contacts(1.0, 2.0, 3.0, 4.0))
    assert await ring_of(store) == ([1.0, 2.0, 3.0, 4.0], -np.inf)
    await store.append("c1", contacts(5.0, 6.0))
    assert await ring_of(store) == ([3.0, 4.0, 5.0, 6.0], 2.0)


async def test_an_entry_older_than_all_kept_is_said(store):
    """A late arrival that finds a full ring is lost and told so; the truncation knows of it."""
    await store.append("c1", contacts(10.0, 11.0, 12.0, 13.0))
    assert (await store.append("c1", contacts(5.0))).tolist() == [S.TOO_OLD]
    assert await ring_of(store) == ([10.0, 11.0, 12.0, 13.0], 5.0)


async def test_entries_beyond_the_retention_are_dropped(connection, keys):
    """Entries older than the newest by more than the retention are lost, and the truncation says so."""
    store = HistoryStore(connection, keys, retention_s=10.0)
    await store.append("c1", contacts(1.0, 5.0, 12.0))
    assert await ring_of(store) == ([5.0, 12.0], 1.0)


async def test_concurrent_appends_all_arrive_once(connection, keys):
    """Appends and their retries at the same time record each entry once."""
    store = HistoryStore(connection, keys, capacity=200)
    calls = [contacts(float(i)) for i in range(1, 101)] * 3
    random.shuffle(calls)
    statuses = await asyncio.gather(*(store.append("c1", call) for call in calls))
    assert sorted(int(s[0]) for s in statuses) == [S.RECORDED] * 100 + [S.DUPLICATE] * 200
    assert (await ring_of(store))[0] == [float(i) for i in range(1, 101)]


async def test_equals_a_plain_model_on_random_appends(connection, keys):
    """The ring is what sorting all distinct entries and keeping the last ones gives."""
    rng = random.Random(4)
    store = HistoryStore(connection, keys, capacity=7)
    kept, lost = [], -np.inf
    for _ in range(60):
        call = [(float(rng.randint(1, 40)), rng.randint(1, 50)) for _ in range(rng.randint(1, 5))]
        await store.append("c1", contacts(*[t for t, _ in call], keys=[k for _, k in call]))
        for time, key in call:
            if key not in {k for _, k in kept}:
                kept.append((time, key))
        kept.sort(key=lambda e: e[0])
        for time, _ in kept[:-7]:
            lost = max(lost, time)
        kept = kept[-7:]
        times, truncated = await ring_of(store)
        assert (times, truncated) == ([t for t, _ in kept], lost)


async def test_a_damaged_ring_starts_anew_and_admits_it(store, connection, keys):
    """What a damaged ring held is lost: windows that reach before the next entries stay unknown."""
    await connection.execute("SET", keys.contacts("c1"), b"damaged")
    assert (await store.read("c1")).damaged.tolist() == [True]
    assert (await store.append("c1", contacts(5.0, 7.0))).tolist() == [S.RECORDED] * 2
    assert await ring_of(store) == ([5.0, 7.0], 7.0)


async def test_histories_of_many_are_read_together(store):
    """A batch keeps the order asked for."""
    await asyncio.gather(*(store.append(f"c{i}", contacts(float(i + 1))) for i in range(300)))
    decoded = await store.read_many([f"c{i}" for i in range(299, -1, -1)] + ["nobody"])
    assert decoded.histories.contacts.entries["time"].tolist() == [float(i) for i in range(300, 0, -1)]
    assert decoded.histories.contacts.starts[-2:].tolist() == [300, 300]


async def test_unrecordable_entries_are_refused(store, connection, keys):
    """An id that is none and times that are not finite are listed; nothing is written."""
    with pytest.raises(InvalidInput) as caught:
        await store.append("a{b", contacts(1.0, np.nan, np.inf, keys=[1, 2, 3]))
    assert [v.field for v in caught.value.violations] == ["customer_id", "entries[1].time", "entries[2].time"]
    assert await connection.execute("EXISTS", keys.contacts("a{b")) == 0
