"""Redis fails under a real service in every way we know: clear answers, nothing lost, recovery by itself."""

import asyncio
import contextlib

import grpc
import pytest
from tests.builders.small import NOW, days_ago, regular
from tests.integration.server.test_running import CUSTOMER, answered, asking, started, until

from loyalty.nextbest.v1 import common_pb2, interaction_pb2
from nextbest.server.tally import LOGGED
from nextbest_client import (
    ServiceFailed,
    ServiceUnavailable,
    customer_snapshot,
    decide_request,
    is_fallback,
    timestamp,
)

DATA_LOSS = grpc.StatusCode.DATA_LOSS
PHONE = common_pb2.Identifier(type="phone", value="+4512345678")


def shown(key):
    """An impression under a key."""
    return interaction_pb2.CapturedOutcome(
        action="brie",
        channel="pos",
        direction=common_pb2.DIRECTION_INBOUND,
        outcome=common_pb2.OUTCOME_PRESENTED,
        event_time=timestamp(days_ago(1)),
        idempotency_key=key,
    )


class Load:
    """Calls of all kinds, one after the other, until told to stop; keeps what was acknowledged."""

    def __init__(self, client):
        self.client = client
        self.acknowledged_outcomes = set()
        self.acknowledged_puts = set()
        self.fallbacks = self.refused = 0
        self.is_over = False

    async def run(self, name):
        """Decide alone and in a batch, capture and put, again and again; anything unclear raises."""
        for number in range(10_000):
            if self.is_over:
                return
            key = f"{name}-{number}"
            await self._decide(key)
            for write in (self._capture, self._put):
                try:
                    await write(key)
                except ServiceUnavailable:
                    self.refused += 1

    async def _decide(self, key):
        single = await self.client.decide(asking(request_id=key))
        self.fallbacks += is_fallback(single)
        items = (await self.client.decide_batch([asking(), decide_request("p", channel="pos")])).items
        assert all(item.HasField("decision") for item in items)

    async def _capture(self, key):
        customer = f"h-{key}"
        await self.client.capture_outcomes(customer, [shown(key)])
        self.acknowledged_outcomes.add(customer)

    async def _put(self, key):
        customer = f"s-{key}"
        await self.client.put_snapshot(customer_snapshot(customer, as_of=NOW, facts=regular()))
        self.acknowledged_puts.add(customer)

    async def require_nothing_lost(self):
        """What was acknowledged is there, once."""
        assert self.acknowledged_outcomes
        for customer in self.acknowledged_outcomes:
            request = interaction_pb2.GetHistoryRequest(customer_id=customer)
            assert len((await self.client.get_history(request)).entries) == 1
        for customer in self.acknowledged_puts:
            assert (await self.client.get_snapshot(customer)).snapshot.customer_id == customer


@contextlib.asynccontextmanager
async def under_load(redis_process, rulebook, *, store_timeout_s):
    """A service under load, and what the load was told; after it ends nothing may be lost."""
    async with started(redis_process, rulebook, store_timeout_s=store_timeout_s) as (service, client):
        load = Load(client)
        callers = [asyncio.create_task(load.run(name)) for name in "abcd"]

        async def has_worked():
            return len(load.acknowledged_puts) > 8

        await until(has_worked)
        yield service, client, load
        load.acknowledged_puts, before = set(), load.acknowledged_puts
        await until(has_worked)
        load.acknowledged_puts |= before
        load.is_over = True
        await asyncio.gather(*callers)
        await load.require_nothing_lost()


async def test_killed_under_load(redis_process, rulebook):
    """While Redis is gone decisions are fallbacks and writes UNAVAILABLE; what was acknowledged is kept."""
    async with under_load(redis_process, rulebook, store_timeout_s=20.0) as (_, client, load):
        redis_process.kill()

        async def has_fallen_back():
            return load.fallbacks > 8 and load.refused > 8

        await until(has_fallen_back)
        redis_process.start()
        await until(lambda: answered(client))


async def test_frozen_for_three_seconds_under_load(redis_process, rulebook):
    """A Redis that stands still for three seconds is given up and found again; nothing is recorded twice."""
    async with under_load(redis_process, rulebook, store_timeout_s=1.0) as (_, client, load):
        redis_process.freeze()
        await asyncio.sleep(3.0)
        assert load.fallbacks > 0
        redis_process.thaw()
        await until(lambda: answered(client))


async def test_paused_by_command_under_load(redis_process, rulebook):
    """The same where Redis is told to pause its clients, and takes connections meanwhile."""
    async with under_load(redis_process, rulebook, store_timeout_s=1.0) as (service, client, load):
        await service.store.connection.execute("CLIENT", "PAUSE", 3000)
        await asyncio.sleep(3.0)
        assert load.fallbacks > 0
        await until(lambda: answered(client))


async def refuses_writes(client):
    """Decisions are made on data, given and not kept; whatever must be stored is UNAVAILABLE."""
    for request in (asking(), asking(request_id="unkept")):
        assert not is_fallback(await client.decide(request))
    (item,) = (await client.decide_batch([asking(request_id="unkept too")])).items
    assert not is_fallback(item.decision)
    with pytest.raises(ServiceUnavailable):
        await client.put_snapshot(customer_snapshot("new", as_of=NOW, facts=regular()))
    with pytest.raises(ServiceUnavailable):
        await client.capture_outcomes(CUSTOMER, [shown("k")])
    assert (await client.get_snapshot(CUSTOMER)).snapshot.customer_id == CUSTOMER
    assert (await client.explain(asking())).candidates


async def takes_writes(client):
    """Everything is stored, once."""
    await client.put_snapshot(customer_snapshot("new", as_of=NOW, facts=regular()))
    (result,) = await client.capture_outcomes(CUSTOMER, [shown("k")])
    assert result.status == interaction_pb2.RECORD_STATUS_RECORDED
    kept = await client.decide(asking(request_id="kept"))
    assert await client.decide(asking(request_id="kept")) == kept


async def test_memory_is_full(redis_process, rulebook):
    """Without memory Redis refuses writes; tills are advised on data, a customer can still be erased."""
    async with started(redis_process, rulebook) as (service, client):
        await client.put_snapshot(customer_snapshot("gone", as_of=NOW, facts=regular()))
        connection = service.store.connection
        await connection.execute("CONFIG", "SET", "maxmemory-policy", "noeviction")
        await connection.execute("CONFIG", "SET", "maxmemory", 1)
        await refuses_writes(client)
        with pytest.raises(ServiceUnavailable, match="left are the record of the erasure"):
            await client.erase("gone")
        assert is_fallback(await client.decide(decide_request("gone", channel="pos")))
        await connection.execute("CONFIG", "SET", "maxmemory", 0)
        await client.erase("gone")
        await takes_writes(client)
        LOGGED.clear()
        await answered(client)

        async def is_logged():
            return LOGGED["written"] > 0

        await until(is_logged)


async def test_a_replica_that_only_reads(redis_process, rulebook):
    """After a failover to a replica that is not promoted yet, reading goes on and writing waits for it."""
    async with started(redis_process, rulebook) as (service, client):
        connection = service.store.connection
        await connection.execute("REPLICAOF", "127.0.0.1", 1)
        await refuses_writes(client)
        await connection.execute("REPLICAOF", "NO", "ONE")
        await takes_writes(client)


@pytest.mark.parametrize("part", ["s", "h", "c", "e", "o", "l", "q", "r:kept", "d", "x", "i", "j"])
async def test_another_type_under_a_key(redis_process, rulebook, part):
    """What another program left under a customer's key spoils no answer, and goes when they are erased."""
    async with started(redis_process, rulebook) as (service, client):
        connection, key = service.store.connection, f"nextbest:{{{CUSTOMER}}}:{part}"
        await connection.execute("DEL", key)
        await connection.execute("XADD", key, "*", "not", "ours")
        decision = await client.decide(asking(request_id="kept"))
        assert is_fallback(decision) == (part == "s")
        (item,) = (await client.decide_batch([asking(request_id="in a batch")])).items
        assert is_fallback(item.decision) == (part == "s")
        for call in (
            client.capture_outcomes(CUSTOMER, [shown("k")]),
            client.put_snapshot(customer_snapshot(CUSTOMER, as_of=NOW, facts=regular())),
            client.export(CUSTOMER),
        ):
            (failed,) = await asyncio.gather(call, return_exceptions=True)
            if isinstance(failed, BaseException):
                assert isinstance(failed, ServiceFailed), failed
                assert (failed.code, "of another type" in failed.message) == (DATA_LOSS, True)
        await client.erase(CUSTOMER, reason="asked for it")
        left = await connection.execute("KEYS", f"*{{{CUSTOMER}}}*")
        assert left == [service.store.keys.tombstone(CUSTOMER)]
        await client.put_snapshot(customer_snapshot(CUSTOMER, as_of=NOW, facts=regular()))
        assert await answered(client)


async def test_another_type_under_one_customers_identifiers(redis_process, rulebook):
    """What another program left under one customer's identifiers spoils no other answer of a batch."""
    async with started(redis_process, rulebook) as (service, client):
        snapshot = customer_snapshot(CUSTOMER, as_of=NOW, facts=regular())
        await client.put_snapshot(snapshot, identifiers=[PHONE])
        key = service.store.keys.identifiers(CUSTOMER)
        await service.store.connection.execute("DEL", key)
        await service.store.connection.execute("RPUSH", key, "not ours")
        request = decide_request(PHONE, channel="pos")
        strict = decide_request(PHONE, channel="pos", strictness=common_pb2.STRICTNESS_STRICT)
        theirs, refused, mine = (await client.decide_batch([request, strict, asking()])).items
        assert is_fallback(theirs.decision)
        assert refused.status.code == DATA_LOSS.value[0]
        assert not is_fallback(mine.decision)


@pytest.mark.parametrize("cut", [1, 8, 17, 40, 71])
async def test_a_ring_that_is_half_written(redis_process, rulebook, cut):
    """A history that was cut short is unknown up to now; what is recorded from then on is there."""
    async with started(redis_process, rulebook) as (service, client):
        await client.capture_outcomes(CUSTOMER, [shown("k1"), shown("k2")])
        connection, key = service.store.connection, service.store.keys.contacts(CUSTOMER)
        ring = await connection.execute("GET", key)
        await connection.execute("SET", key, ring[:-cut])
        outbound = decide_request(CUSTOMER, channel="email", direction=common_pb2.DIRECTION_OUTBOUND)
        assert [r.action for r in (await client.decide(outbound)).results] == ["do_nothing"]
        assert await answered(client)
        (result,) = await client.capture_outcomes(CUSTOMER, [shown("k3")])
        assert result.status == interaction_pb2.RECORD_STATUS_RECORDED
        request = interaction_pb2.GetHistoryRequest(customer_id=CUSTOMER)
        history = await client.get_history(request)
        assert len(history.entries) == 1
        assert history.HasField("contacts_truncated_before")
