"""Erasing with clocks that jump, that stand in another year, and that differ between services."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from tests.builders.small import NOW, regular
from tests.integration.server.test_retry_races import Gate, slow_to_keep
from tests.integration.server.test_running import PATIENT, until

from loyalty.nextbest.v1 import common_pb2, interaction_pb2
from nextbest.data.store import StoreOptions
from nextbest.server.app import ServiceOptions, running_service
from nextbest_client import (
    AsyncNextBestClient,
    NotFound,
    customer_snapshot,
    decide_request,
    is_fallback,
    timestamp,
)

CUSTOMER = "c1"
MINUTES = timedelta(minutes=1)
IN_2017 = datetime(2017, 12, 31, 12, tzinfo=UTC)


class Clock:
    """A clock that is set by hand and ticks with every look."""

    def __init__(self, at):
        self.at = at

    def __call__(self):
        """Epoch seconds."""
        self.at += timedelta(milliseconds=1)
        return self.at.timestamp()


@contextlib.asynccontextmanager
async def serving(redis_process, rulebook, at):
    """A service whose clock stands at a time, and a client of it."""
    clock = Clock(at)
    store = StoreOptions(redis_url=redis_process.url, timeout_s=20.0)
    async with (
        running_service(ServiceOptions(), store, rulebook, clock) as service,
        AsyncNextBestClient(service.address, options=PATIENT) as client,
    ):
        yield service, client, clock


async def put(client, at):
    """The customer, as known at a time."""
    await client.put_snapshot(customer_snapshot(CUSTOMER, as_of=at, facts=regular()))


def rejected(at, key):
    """An outcome at a time."""
    return interaction_pb2.CapturedOutcome(
        action="brie",
        channel="pos",
        direction=common_pb2.DIRECTION_INBOUND,
        outcome=common_pb2.OUTCOME_REJECTED,
        event_time=timestamp(at),
        idempotency_key=key,
    )


async def history(client):
    """Idempotency keys do not come back, so the times of what is recorded."""
    request = interaction_pb2.GetHistoryRequest(customer_id=CUSTOMER)
    return [entry.event_time.ToDatetime(UTC) for entry in (await client.get_history(request)).entries]


async def logged(client):
    """Ids of the logged decisions that are no fallbacks."""
    document = await client.export(CUSTOMER)
    return {one.decision.decision_id for one in document.decisions if not is_fallback(one.decision)}


async def logged_at_last(client, decision_id):
    """Wait until a decision is in the log."""

    async def is_there():
        return decision_id in await logged(client)

    await until(is_there)


async def test_a_service_in_2017_erases_today(redis_process, rulebook):
    """The record of erasures says today; who comes back in 2017 is decided for, logged and heard again."""
    async with serving(redis_process, rulebook, IN_2017) as (service, client, _):
        await put(client, IN_2017)
        await client.capture_outcomes(CUSTOMER, [rejected(IN_2017, "before")])
        await client.erase(CUSTOMER, reason="asked")
        (record,) = await service.store.erasures.records()
        now, _ = await service.store.connection.execute("TIME")
        assert record["erased_at"] == pytest.approx(int(now), abs=3600.0)
        await put(client, IN_2017)
        again = await client.decide(decide_request(CUSTOMER, channel="pos", request_id="r"))
        assert not is_fallback(again)
        assert await client.decide(decide_request(CUSTOMER, channel="pos", request_id="r")) == again
        with pytest.raises(NotFound):
            await client.capture_outcomes(CUSTOMER, [rejected(IN_2017, "before")])
        later = IN_2017 + MINUTES
        await client.capture_outcomes(CUSTOMER, [rejected(later, "after")])
        assert await history(client) == [later]
        await logged_at_last(client, again.decision_id)


@pytest.mark.parametrize("jump", [-60 * MINUTES, 60 * MINUTES, -timedelta(days=3000)])
async def test_a_clock_that_jumps_between_deciding_and_erasing(redis_process, rulebook, monkeypatch, jump):
    """What was decided before an erasure is neither kept nor logged after it, whatever the clock says."""
    async with serving(redis_process, rulebook, NOW) as (_, client, clock):
        await put(client, NOW)
        gate = Gate()
        slow_to_keep(monkeypatch, lambda _: gate)
        under_way = asyncio.create_task(
            client.decide(decide_request(CUSTOMER, channel="pos", request_id="before"))
        )
        await gate.reached.wait()
        clock.at += jump
        await client.erase(CUSTOMER)
        await put(client, NOW)
        gate.set()
        before = await under_way
        after = await client.decide(decide_request(CUSTOMER, channel="pos", request_id="after"))
        await logged_at_last(client, after.decision_id)
        assert await logged(client) == {after.decision_id}
        assert before.decision_id != after.decision_id
        document = await client.export(CUSTOMER)
        assert before.decision_id not in str(document)
        assert await client.decide(decide_request(CUSTOMER, channel="pos", request_id="after")) == after


@pytest.mark.parametrize("apart", [-5 * MINUTES, 5 * MINUTES])
async def test_two_services_with_clocks_apart(redis_process, rulebook, apart):
    """Whichever service erases, nothing from before comes back, and the next decision is kept and logged."""
    async with (
        serving(redis_process, rulebook, NOW) as (_, client, _),
        serving(redis_process, rulebook, NOW + apart) as (_, their_client, _),
    ):
        await put(client, NOW)
        recorded = NOW + MINUTES
        await client.capture_outcomes(CUSTOMER, [rejected(recorded, "before")])
        await their_client.erase(CUSTOMER)
        await put(client, NOW)
        with pytest.raises(NotFound):
            await client.capture_outcomes(CUSTOMER, [rejected(recorded, "before")])
        assert await history(client) == []
        request = decide_request(CUSTOMER, channel="pos", request_id="r")
        for asked in (client, their_client):
            decision = await asked.decide(request)
            assert not is_fallback(decision)
            await logged_at_last(client, decision.decision_id)
        assert await client.decide(request) == decision


async def test_replies_are_erased_whatever_the_clock_said(redis_process, rulebook):
    """Answers kept before and after a jump of the clock are all found and erased."""
    async with serving(redis_process, rulebook, NOW) as (service, client, clock):
        await put(client, NOW)
        for number, jump in enumerate((timedelta(days=400), -timedelta(days=4000), timedelta(days=9000))):
            await client.decide(decide_request(CUSTOMER, channel="pos", request_id=f"r{number}"))
            clock.at += jump
        await client.erase(CUSTOMER)
        keys = await service.store.connection.execute("KEYS", f"*{{{CUSTOMER}}}*")
        assert keys == [service.store.keys.tombstone(CUSTOMER)]


@pytest.mark.parametrize("jump", [timedelta(days=400), -timedelta(days=400)])
async def test_a_retry_after_the_clock_has_jumped(redis_process, rulebook, jump):
    """A retry gets the same decision whatever the clock says meanwhile, and new questions are decided."""
    async with serving(redis_process, rulebook, NOW) as (_, client, clock):
        await put(client, NOW)
        request = decide_request(CUSTOMER, channel="pos", request_id="r")
        first = await client.decide(request)
        await client.capture_outcomes(CUSTOMER, [rejected(NOW, "k")])
        clock.at += jump
        assert await client.decide(request) == first
        assert not is_fallback(await client.decide(decide_request(CUSTOMER, channel="pos")))


async def test_the_tombstone_of_a_clock_far_ahead_ends_with_its_guard(redis_process, rulebook):
    """After an erasure by a clock far ahead, outcomes are refused until the guard ends, and no longer."""
    async with serving(redis_process, rulebook, NOW) as (service, client, clock):
        await put(client, NOW)
        clock.at += timedelta(days=4000)
        await client.erase(CUSTOMER)
        clock.at -= timedelta(days=4000)
        await put(client, NOW)
        with pytest.raises(NotFound):
            await client.capture_outcomes(CUSTOMER, [rejected(NOW, "k")])
        tombstone = service.store.keys.tombstone(CUSTOMER)
        assert 0 < await service.store.connection.execute("TTL", tombstone) <= 86_400
        await service.store.connection.execute("DEL", tombstone)  # as when the guard ends
        await client.capture_outcomes(CUSTOMER, [rejected(NOW, "k")])
        assert await history(client) == [NOW]
