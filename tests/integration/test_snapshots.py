"""Snapshots in Redis: written whole or in part, read back, carried over to new catalogues."""

import asyncio
import dataclasses
import itertools

import numpy as np
import pytest

from nextbest.batch.writing import changing
from nextbest.data.catalogues import CatalogueStore
from nextbest.data.connection import RedisConnection
from nextbest.data.snapshots import SnapshotStore, WriteStatus
from nextbest.errors import (
    CatalogueError,
    CustomerUnknown,
    InvalidFact,
    InvalidInput,
    SnapshotUnreadable,
)
from nextbest.facts import STAGE_NAMES, Catalogue, Fact, FactGroup, FactType
from nextbest.rows import RowCodec, RowProblem


def fact(name, kind, *values, low=None):
    """A fact of the group profile."""
    return Fact(name=name, type=kind, group=FactGroup.PROFILE, values=values, minimum=low)


FACTS = (
    fact("age", FactType.INT, low=0),
    fact("held_stage", FactType.ENUM, *STAGE_NAMES),
    fact("stage_since", FactType.TIMESTAMP),
    fact("spend", FactType.DOUBLE),
    fact("up_qualified_since", FactType.TIMESTAMP),
    *(fact(f"flag{i}", FactType.BOOL) for i in range(70)),
    fact("needs", FactType.SET, "baby", "pets", "wine"),
    fact("repeat_purchases", FactType.INT, low=0),
    fact("recency_weeks", FactType.DOUBLE, low=0),
    fact("observed_weeks", FactType.DOUBLE, low=0),
)
CATALOGUE = Catalogue(FACTS)
LARGER = Catalogue(
    (*FACTS[:-3], fact("geo", FactType.ENUM, "north"), *FACTS[-3:], fact("late", FactType.BOOL))
)


@pytest.fixture
async def store(connection, keys):
    """A store of its own with the catalogue registered."""
    return await SnapshotStore.open(connection, keys, CATALOGUE)


async def write_numbers(store, ids, values):
    """Sets numbers of several customers' rows."""

    def change(changed, _rows):
        places = [ids.index(customer_id) for customer_id in changed]
        return {name: column[places] for name, column in values.items()}

    return await store.exchange_rows(ids, changing(store.codec, change))


async def test_a_snapshot_comes_back_as_put(store):
    """Put replaces the whole snapshot, and a repetition changes nothing."""
    first = await store.put("c1", 10.0, {"age": 3, "needs": ["pets"]})
    assert await store.put("c1", 10.0, {"age": 3, "needs": ["pets"]}) == first
    assert await store.put("c1", 11.0, {"spend": 1.5}) != first
    snapshot = await store.get("c1")
    assert (snapshot.as_of, dict(snapshot.facts)) == (11.0, {"spend": 1.5})


async def test_put_carries_the_stage_on(store):
    """A snapshot without stage state keeps the stored one; one that names it sets it, None included."""
    await store.put("c1", 1.0, {"held_stage": "grow_me", "stage_since": 5.0, "up_qualified_since": 6.0})
    await store.put("c1", 2.0, {"age": 3})
    assert dict((await store.get("c1")).facts) == {
        "age": 3,
        "held_stage": "grow_me",
        "stage_since": 5.0,
        "up_qualified_since": 6.0,
    }
    await store.put("c1", 3.0, {"held_stage": "hear_me", "up_qualified_since": None})
    assert dict((await store.get("c1")).facts) == {"held_stage": "hear_me", "stage_since": 5.0}


async def test_an_invalid_snapshot_is_not_written(store):
    """Everything wrong is listed, the id included, and nothing is stored."""
    with pytest.raises(InvalidFact) as caught:
        await store.put("a{b", 1.0, {"age": -1, "spnd": 2.0})
    assert {v.field for v in caught.value.violations} == {"customer_id", "facts.age", "facts.spnd"}
    with pytest.raises(InvalidInput):
        await store.put("", 1.0, {"age": 1})
    assert [ids async for ids in store.scan()] == []


async def test_an_unknown_customer_is_said(store):
    """Getting or merging a snapshot that is not there is CustomerUnknown."""
    with pytest.raises(CustomerUnknown):
        await store.get("nobody")
    with pytest.raises(CustomerUnknown):
        await store.merge("nobody", {"age": 1})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"age": 9}, {"age": 9}),
        ({"age": None}, {"age": None}),
        ({"held_stage": "forgive_me"}, {"held_stage": "forgive_me"}),
        ({"flag0": True, "flag7": True, "flag8": True, "flag63": True, "flag64": True, "flag69": True}, None),
        ({"flag1": False, "flag2": None}, {"flag1": False, "flag2": None}),
        ({"needs": ["baby", "pets"]}, {"needs": ("baby", "pets")}),
        ({"needs": []}, {"needs": ()}),
        ({"needs": None}, {"needs": None}),
        ({"repeat_purchases": 4, "recency_weeks": 9.0}, None),
    ],
)
async def test_single_facts_are_merged(store, changes, expected):
    """A merge changes the facts it names, whatever their type, and no bit beside them."""
    before = {
        "age": 3,
        "spend": 2.5,
        "flag1": True,
        "flag2": True,
        "needs": ("wine",),
        "held_stage": "know_me",
    }
    before |= {f"flag{i}": False for i in range(10, 70, 7)} | {"observed_weeks": 20.0}
    await store.put("c1", 1.0, before)
    after = {k: v for k, v in (before | (expected or changes)).items() if v is not None}
    merged = store.codec.decode(b"c1", await store.merge("c1", changes, as_of=2.0))
    assert (merged.as_of, dict(merged.facts)) == (2.0, after)
    assert dict((await store.get("c1")).facts) == after
    assert await store.rows(["c1"]) == [store.codec.encode(b"c1", 2.0, after)]


async def test_merge_leaves_the_time_unless_told(store):
    """Without as_of the snapshot's time stays."""
    await store.put("c1", 1.0, {"age": 3})
    assert store.codec.decode(b"c1", await store.merge("c1", {"age": 4})).as_of == 1.0


async def test_merged_purchase_figures_must_agree_with_the_stored(store):
    """A merge that would make t_x later than T is refused and changes nothing."""
    await store.put("c1", 1.0, {"repeat_purchases": 1, "recency_weeks": 5.0, "observed_weeks": 20.0})
    with pytest.raises(InvalidFact, match="later than `observed_weeks`"):
        await store.merge("c1", {"recency_weeks": 21.0})
    assert (await store.get("c1")).facts["recency_weeks"] == 5.0


async def test_what_is_stored_and_fits_no_more_does_not_refuse_a_merge(store, connection, keys):
    """A bound that came later refuses new values and what a merge breaks, not a merge of other facts."""
    await store.put("c1", 1.0, {"age": 120, "spend": 1.0})
    bounded = (dataclasses.replace(FACTS[0], maximum=100.0), *FACTS[1:])
    later = await SnapshotStore.open(connection, keys, Catalogue(bounded))
    merged = later.codec.decode(b"c1", await later.merge("c1", {"spend": 2.0}))
    assert (merged.facts["age"], merged.facts["spend"]) == (120, 2.0)
    for age in (120, 130):
        with pytest.raises(InvalidFact, match="is above 100"):
            await later.merge("c1", {"age": age})
    await later.merge("c1", {"age": 90})
    with pytest.raises(InvalidFact, match="is above 100"):
        await later.merge("c1", {"age": 120})


async def test_concurrent_merges_lose_nothing(store):
    """Facts merged at the same time all arrive, single ones and those that rewrite the row."""
    await store.put("c1", 1.0, {"observed_weeks": 50.0})
    await asyncio.gather(
        *(store.merge("c1", {f"flag{i}": True}) for i in range(40)),
        *(store.merge("c1", {"repeat_purchases": i, "recency_weeks": float(i)}) for i in range(1, 6)),
    )
    facts = (await store.get("c1")).facts
    assert all(facts[f"flag{i}"] for i in range(40))
    assert facts["recency_weeks"] == facts["repeat_purchases"]


async def test_row_and_stage_are_one_writers(store, connection, keys):
    """However many put and merge at once, through several connections, a row holds its own stage."""

    def advance(_old, row):
        age = store.codec.decode(b"c1", row).facts["age"]
        return store.codec.with_numbers(row, {"held_stage": age % 4, "stage_since": age})

    def write(writer, age):
        if age % 3:
            return writer.put("c1", float(age), {"age": age}, advance=advance)
        return writer.merge("c1", {"age": age}, as_of=float(age), advance=advance)

    await write(store, 1)
    async with RedisConnection(connection.address, timeout_s=10.0) as second:
        other = await SnapshotStore.open(second, keys, CATALOGUE)
        written = await asyncio.gather(*(write((store, other)[age % 2], age) for age in range(1, 61)))
    for row in [*written, *await store.rows(["c1"])]:
        snapshot = store.codec.decode(b"c1", row)
        age = snapshot.facts["age"]
        assert snapshot.as_of == age
        assert snapshot.facts["stage_since"] == age
        assert snapshot.facts["held_stage"] == ("know_me", "hear_me", "grow_me", "forgive_me")[age % 4]


async def test_snapshots_expire_if_told_to(connection, keys):
    """With a retention, a row lives so long after it was last put; advancing stages adds nothing."""
    store = await SnapshotStore.open(connection, keys, CATALOGUE, expiry_s=500)
    ttl = ("TTL", keys.snapshot("c1"))
    row = await store.put("c1", 1.0, {"age": 1})
    for write in (
        lambda: store.put_rows(["c1"], [row]),
        lambda: store.put_rows(["c1"], [store.codec.encode(b"c1", 2.0, {"age": 2})]),
        lambda: store.merge("c1", {"age": 3}),
        lambda: store.put("c1", 1.0, {"age": 1}),
    ):
        await connection.execute("EXPIRE", keys.snapshot("c1"), 10)
        await write()
        assert 490 < await connection.execute(*ttl) <= 500
    await connection.execute("EXPIRE", keys.snapshot("c1"), 10)
    await write_numbers(store, ["c1"], {"age": np.array([9.0])})
    assert 0 < await connection.execute(*ttl) <= 10


async def test_another_customers_row_is_noticed(store, connection, keys):
    """A row that lies under the wrong key is unreadable, to readers and to writers of single facts."""
    await store.put("c1", 1.0, {"age": 3})
    await connection.execute("SET", keys.snapshot("c2"), (await store.rows(["c1"]))[0])
    with pytest.raises(SnapshotUnreadable):
        await store.get("c2")
    with pytest.raises(SnapshotUnreadable):
        await store.merge("c2", {"age": 4})
    assert (await write_numbers(store, ["c2"], {"age": np.array([1.0])})).tolist() == [
        WriteStatus.WRONG_CUSTOMER
    ]
    await store.put("c2", 1.0, {"age": 5})
    assert dict((await store.get("c2")).facts) == {"age": 5}


async def test_a_row_cut_short_is_noticed(store, connection, keys):
    """A merge does not touch a row of the wrong length."""
    await store.put("c1", 1.0, {"age": 3})
    row = (await store.rows(["c1"]))[0]
    await connection.execute("SET", keys.snapshot("c1"), row[:-8])
    with pytest.raises(SnapshotUnreadable):
        await store.merge("c1", {"age": 4})
    assert (await store.rows(["c1"])) == [row[:-8]]


async def test_many_snapshots_are_read_at_once(store):
    """A batch is decoded in its order; customers without a snapshot are a problem of their own row."""
    ids = [f"c{i}" for i in range(700)]
    rows = [store.codec.encode(c.encode(), 1.0, {"age": i}) for i, c in enumerate(ids)]
    assert set(await store.put_rows(ids, rows)) == {WriteStatus.WRITTEN}
    assert set(await store.put_rows(ids, rows)) == {WriteStatus.UNCHANGED}
    decoded = await store.get_many(["nobody", *ids])
    assert decoded.problems.tolist() == [RowProblem.ABSENT] + [RowProblem.NONE] * 700
    assert decoded.rows.numbers[1:, 0].tolist() == list(range(700))


async def test_a_scan_finds_every_customer(store, connection, keys):
    """All ids come, and nothing but snapshots."""
    ids = {f"kunde {i}:æ" for i in range(300)}
    await asyncio.gather(*(store.put(c, 1.0, {"age": 1}) for c in ids))
    await connection.execute("SET", keys.contacts("kunde 1:æ"), "x")
    found = [c async for batch in store.scan(count=50) for c in batch]
    assert set(found) == ids


async def test_stages_are_advanced_in_one_step_each(store):
    """Numbers of many customers are written beside what others merge; absent customers are reported."""
    await store.put("c1", 1.0, {"age": 3, "held_stage": "know_me", "stage_since": 1.0})
    await store.put("c2", 1.0, {"spend": 2.0})
    values = {"stage_since": np.array([7.0, np.nan, 7.0]), "held_stage": np.array([2.0, 0.0, 1.0])}
    status = await write_numbers(store, ["c1", "c2", "nobody"], values)
    assert status.tolist() == [WriteStatus.WRITTEN, WriteStatus.WRITTEN, WriteStatus.ABSENT]
    assert dict((await store.get("c1")).facts) == {"age": 3, "held_stage": "grow_me", "stage_since": 7.0}
    assert dict((await store.get("c2")).facts) == {"spend": 2.0, "held_stage": "know_me"}
    again = await write_numbers(store, ["c1", "c2", "nobody"], values)
    assert again.tolist() == [WriteStatus.UNCHANGED, WriteStatus.UNCHANGED, WriteStatus.ABSENT]


async def test_rows_outlive_an_extension_of_the_catalogue(store, connection, keys):
    """Older rows are read, merged into, advanced and put over under the larger catalogue, stage kept."""
    for customer_id in ("c1", "c2", "c3"):
        await store.put(customer_id, 1.0, {"age": 3, "held_stage": "grow_me"})
    larger = await SnapshotStore.open(connection, keys, LARGER)
    assert dict((await larger.get("c1")).facts) == {"age": 3, "held_stage": "grow_me"}
    merged = larger.codec.decode(b"c1", await larger.merge("c1", {"late": True}))
    assert dict(merged.facts) == {
        "age": 3,
        "held_stage": "grow_me",
        "late": True,
    }
    assert await larger.put("c2", 2.0, {"geo": "north"})
    assert dict((await larger.get("c2")).facts) == {"geo": "north", "held_stage": "grow_me"}
    assert (await write_numbers(larger, ["c3"], {"held_stage": np.array([1.0])})).tolist() == [
        WriteStatus.WRITTEN
    ]
    assert dict((await larger.get("c3")).facts) == {"age": 3, "held_stage": "hear_me"}


async def test_a_store_learns_catalogues_registered_later(store, connection, keys):
    """A process that still runs the older catalogue reads rows that a newer process wrote."""
    larger = await SnapshotStore.open(connection, keys, LARGER)
    await larger.put("c1", 1.0, {"age": 3, "geo": "north"})
    assert dict((await store.get("c1")).facts) == {"age": 3}
    fresh = SnapshotStore(connection, keys, RowCodec(CATALOGUE))
    decoded = await fresh.get_many(["c1"])
    assert decoded.problems.tolist() == [RowProblem.NONE]


async def test_a_row_of_an_unregistered_catalogue_is_foreign(store, connection, keys):
    """A row that nobody registered a catalogue for is unreadable, and replaced by the next put."""
    await connection.execute("SET", keys.snapshot("c1"), RowCodec(LARGER).encode(b"c1", 1.0, {"age": 1}))
    with pytest.raises(SnapshotUnreadable, match="unknown fact catalogue"):
        await store.get("c1")
    assert (await store.get_many(["c1"])).problems.tolist() == [RowProblem.FOREIGN]
    assert await store.put("c1", 2.0, {"age": 2})
    assert dict((await store.get("c1")).facts) == {"age": 2}


async def test_a_catalogue_that_breaks_the_line_is_refused(store, connection, keys):
    """A catalogue that drops or changes facts is not registered; every reason is listed."""
    changed = Catalogue((dataclasses.replace(FACTS[0], type=FactType.DOUBLE), *FACTS[2:]))
    with pytest.raises(CatalogueError) as caught:
        await SnapshotStore.open(connection, keys, changed)
    assert len(caught.value.problems) == 2
    assert [c.fingerprint for c in await CatalogueStore(connection, keys).all()] == [CATALOGUE.fingerprint]


async def test_a_rollback_takes_a_catalogue_that_was_registered(store, connection, keys):
    """A rulebook that returns to an earlier catalogue is not refused, and reads what was written since."""
    larger = await SnapshotStore.open(connection, keys, LARGER)
    await larger.put("c1", 1.0, {"age": 3, "geo": "north"})
    back = await SnapshotStore.open(connection, keys, CATALOGUE)
    assert dict((await back.get("c1")).facts) == {"age": 3}


async def test_catalogues_registered_at_once_stay_one_line(connection, keys):
    """Two processes that register at the same time do not fork the line."""
    stores = [CatalogueStore(connection, keys) for _ in range(8)]
    other = Catalogue((*FACTS, fact("other", FactType.BOOL)))
    outcomes = await asyncio.gather(
        *(s.register(c) for s, c in zip(stores, [CATALOGUE, LARGER, other] * 3, strict=False)),
        return_exceptions=True,
    )
    assert {type(o) for o in outcomes} <= {type(None), CatalogueError}
    line = await stores[0].all()
    for older, newer in itertools.pairwise(line):
        assert newer.extension_problems(older) == []
