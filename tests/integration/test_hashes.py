"""Snapshots that others keep as hashes."""

import pytest

from nextbest.data.snapshots import SnapshotStore
from nextbest.errors import CustomerUnknown, SnapshotUnreadable
from nextbest.facts import Catalogue, Fact, FactGroup, FactType
from nextbest.rows import RowProblem

CATALOGUE = Catalogue(
    tuple(
        Fact(name=name, type=kind, group=FactGroup.PROFILE, values=values)
        for name, kind, values in (
            ("age", FactType.INT, ()),
            ("spend", FactType.DOUBLE, ()),
            ("geo", FactType.ENUM, ("north", "south")),
            ("joined", FactType.TIMESTAMP, ()),
            ("locked_in", FactType.BOOL, ()),
            ("needs", FactType.SET, ("baby", "wine")),
            ("topics", FactType.SET, ("credit",)),
        )
    )
)
TEXTS = {
    "as_of": "2017-06-30",
    "age": "41",
    "spend": "1e3",
    "geo": "south",
    "joined": "2014-05-13T18:53:20+02:00",
    "locked_in": "TRUE",
    "needs": "baby|wine",
    "topics": "[]",
    "their_own": "x",
}


@pytest.fixture
async def store(connection, keys):
    """A snapshot store of its own."""
    return await SnapshotStore.open(connection, keys, CATALOGUE)


async def write(connection, keys, customer_id, texts):
    """A hash as another program writes it."""
    flat = [part for field in texts.items() for part in field]
    await connection.execute("HSET", keys.hash_snapshot(customer_id), *flat)


async def test_a_hash_is_read_where_there_is_no_row(store, connection, keys):
    """Facts as text become the facts of the catalogue; fields that are none are passed over."""
    await write(connection, keys, "c1", TEXTS)
    snapshot = await store.get("c1")
    assert snapshot.as_of == 1498780800.0
    assert dict(snapshot.facts) == {
        "age": 41,
        "spend": 1000.0,
        "geo": "south",
        "joined": 1.4e9,
        "locked_in": True,
        "needs": ("baby", "wine"),
        "topics": (),
    }
    await store.put("c1", 5.0, {"age": 1})
    assert dict((await store.get("c1")).facts) == {"age": 1}


async def test_hashes_and_rows_are_read_together(store, connection, keys):
    """A batch takes each customer from wherever the snapshot is."""
    await write(connection, keys, "c1", {"as_of": "7", "age": "1"})
    await store.put("c2", 8.0, {"age": 2})
    await write(connection, keys, "c3", {"as_of": "7", "age": "old"})
    decoded = await store.get_many(["c1", "c2", "c3", "c4"])
    assert decoded.rows.numbers[:2, 0].tolist() == [1.0, 2.0]
    absent = int(RowProblem.ABSENT)
    assert decoded.problems.tolist() == [0, 0, absent, absent]


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        ({"age": "41"}, "`` is not a time"),
        ({"as_of": "1", "age": "x"}, "`x` is not a number"),
        ({"as_of": "1", "age": "1.5"}, "`1.5` is not a whole number"),
        ({"as_of": "1", "geo": "east"}, "`east` is not one of"),
        ({"as_of": "1", "locked_in": "yes"}, "`yes` is not true or false"),
        ({"as_of": "1", "joined": "noon"}, "`noon` is not a time"),
        ({"as_of": "1", "spend": "nan"}, "`nan` is not a finite number"),
    ],
)
async def test_a_hash_that_does_not_fit_is_unreadable(store, connection, keys, texts, complaint):
    """What is wrong with a hash is said; no fact of it is used."""
    await write(connection, keys, "c1", texts)
    with pytest.raises(SnapshotUnreadable, match=complaint):
        await store.get("c1")


async def test_neither_row_nor_hash_is_an_unknown_customer(store):
    """A customer with neither is unknown."""
    assert await store.hash_row("nobody") is None
    with pytest.raises(CustomerUnknown):
        await store.get("nobody")
