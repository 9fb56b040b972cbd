"""Erasing while others decide, capture and put: nothing of the customer is left, or all of a new one."""

import asyncio
import contextlib
import random
import tempfile
from pathlib import Path

import pytest
import redis
from tests.builders.small import NOW, regular

from loyalty.nextbest.v1 import common_pb2
from nextbest.data.embedded import open_embedded
from nextbest.data.store import StoreOptions
from nextbest.server.app import ServiceOptions, running_service
from nextbest_client import (
    AsyncNextBestClient,
    ClientOptions,
    NotFound,
    customer_snapshot,
    decide_request,
    outcome_of,
)

PATIENT = ClientOptions(timeout_ms=60_000.0, max_attempts=1)
CUSTOMER = "erased-under-way"
TOMBSTONE = f"nextbest:{{{CUSTOMER}}}:x".encode()
CARD = common_pb2.Identifier(type="card", value="4711")


def ticking():
    """The tests' time, a millisecond later with every look."""
    time = NOW.timestamp()

    def clock():
        nonlocal time
        time += 0.001
        return time

    return clock


async def put(client):
    """The customer, with a card."""
    snapshot = customer_snapshot(CUSTOMER, as_of=NOW, facts=regular())
    await client.put_snapshot(snapshot, identifiers=[CARD])


async def decide_and_capture(client, number):
    """One call of the customer, from question to outcome; that the customer is gone is no error."""
    decision = await client.decide(decide_request(CUSTOMER, channel="pos", request_id=f"r{number}"))
    await asyncio.sleep(random.random() / 100)
    if not decision.HasField("fallback"):
        best = decision.results[0]
        outcome = outcome_of(decision, best, common_pb2.OUTCOME_PRESENTED, channel="pos")
        try:
            await client.capture_outcomes(CUSTOMER, [outcome])
        except NotFound:
            return


@pytest.fixture
def kept():
    """An embedded Redis that outlives the service, to look into when all is written."""
    with tempfile.TemporaryDirectory(prefix="nextbest-") as directory, open_embedded(Path(directory)):
        yield Path(directory)


@contextlib.asynccontextmanager
async def serving(directory, rulebook):
    """A client of a service on that Redis; when left, everything is written."""
    store = StoreOptions(data_directory=directory, timeout_s=20.0)
    async with (
        running_service(ServiceOptions(), store, rulebook, ticking()) as service,
        AsyncNextBestClient(service.address, options=PATIENT) as client,
    ):
        yield client


async def erase_under_way(client):
    """Erase while sixty calls are somewhere between question and outcome; gives the calls."""
    await put(client)
    calls = [asyncio.create_task(decide_and_capture(client, number)) for number in range(60)]
    await asyncio.sleep(random.random() / 20)
    await client.erase(CUSTOMER)
    return calls


async def test_nothing_of_who_is_gone_is_written(kept, rulebook):
    """Whatever was under way when a customer was erased, the tombstone is all that is left."""
    async with serving(kept, rulebook) as client:
        for _ in range(5):
            await asyncio.gather(*await erase_under_way(client))
    with redis.Redis(unix_socket_path=str(kept / "redis.sock")) as store:
        assert [key for key in store.scan_iter() if CUSTOMER.encode() in key] == [TOMBSTONE]
        assert not list(store.scan_iter("nextbest:identifier:*"))


async def test_only_what_is_new_of_who_came_back(kept, rulebook):
    """Of a customer who is put again, all that is there was written after the erasure."""
    async with serving(kept, rulebook) as client:
        for _ in range(5):
            calls = await erase_under_way(client)
            await put(client)
            await asyncio.gather(*calls)
        await decide_and_capture(client, "last")
        assert await client.resolve(CARD) == CUSTOMER
    async with serving(kept, rulebook) as client:
        document = await client.export(CUSTOMER)
    with redis.Redis(unix_socket_path=str(kept / "redis.sock")) as store:
        erased = float(store.get(TOMBSTONE).split()[0])
    assert document.HasField("snapshot")
    assert document.history
    assert document.decisions
    assert all(entry.event_time.ToNanoseconds() > erased * 1e9 for entry in document.history)
    assert all(
        logged.decision.evaluation_time.ToNanoseconds() > erased * 1e9 for logged in document.decisions
    )
