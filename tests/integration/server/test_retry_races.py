"""One request_id, one decision: when catalogues grow in between, when calls race, and at deadlines."""

import asyncio
import contextlib

import pytest
from tests.builders.small import NOW, regular
from tests.integration.server.test_running import (
    CUSTOMER,
    PATIENT,
    asking,
    clock,
    started,
    until,
)

import nextbest.server.batches
import nextbest.server.gathering
from loyalty.nextbest.v1 import common_pb2, decision_pb2
from nextbest.data.keys import Keys
from nextbest.data.requests import RequestStore
from nextbest.data.snapshots import SnapshotStore
from nextbest.data.store import StoreOptions
from nextbest.facts import Catalogue, Fact, FactGroup, FactType
from nextbest.server.app import ServiceOptions, running_service
from nextbest_client import AsyncNextBestClient, customer_snapshot, decide_request, is_fallback

OUTBOUND = common_pb2.DIRECTION_OUTBOUND


def outbound(request_id="r", **changes):
    """A contact that we start."""
    return decide_request(CUSTOMER, channel="email", direction=OUTBOUND, request_id=request_id, **changes)


def proposed(decision):
    """The actions proposed."""
    return [result.action for result in decision.results if result.action != "do_nothing"]


async def alone(client, request):
    """Ask by itself."""
    return await client.decide(request)


async def in_a_batch(client, request):
    """Ask in a batch."""
    (item,) = (await client.decide_batch([request])).items
    return item.decision


async def on_a_stream(client, request):
    """Ask on a stream."""
    (decision,) = [answer.decision async for answer in client.decide_stream([request])]
    return decision


every_way = pytest.mark.parametrize("ask", [alone, in_a_batch, on_a_stream])


async def write_under_a_newer_catalogue(service, rulebook, facts, *, customer=CUSTOMER):
    """What a process with a grown rulebook does meanwhile."""
    added = Fact(name="shoe_size", type=FactType.DOUBLE, group=FactGroup.PROFILE)
    grown = Catalogue((*rulebook.catalogue.facts, added))
    newer = await SnapshotStore.open(service.store.connection, Keys(), grown)
    await newer.put(customer, NOW.timestamp(), facts | {"shoe_size": 43.0})


@every_way
async def test_a_retry_that_first_meets_a_newer_catalogue(redis_process, rulebook, ask):
    """The catalogue is learnt before consent is judged, so the same id gets the same decision."""
    async with started(redis_process, rulebook) as (service, client):
        first = await client.decide(outbound())
        assert proposed(first)
        await write_under_a_newer_catalogue(service, rulebook, regular())
        assert await ask(client, outbound()) == first


@every_way
async def test_consent_withdrawn_under_a_newer_catalogue(redis_process, rulebook, ask):
    """A consent that is gone counts, whichever catalogue says so."""
    async with started(redis_process, rulebook) as (service, client):
        first = await client.decide(outbound())
        await write_under_a_newer_catalogue(service, rulebook, regular(consent=[]))
        again = await ask(client, outbound())
        assert not proposed(again)
        assert not is_fallback(again)
        assert again.decision_id != first.decision_id


async def test_many_meet_a_newer_catalogue_at_once(redis_process, rulebook):
    """Whoever learns it first, all who asked in the meantime are decided for with it."""
    async with started(redis_process, rulebook) as (service, client):
        await write_under_a_newer_catalogue(service, rulebook, regular())
        replies = await asyncio.gather(*(client.decide(asking()) for _ in range(200)))
        assert not any(map(is_fallback, replies))


async def test_a_newer_catalogue_that_is_gone_harms_no_other(redis_process, rulebook):
    """A catalogue that is registered and gone from Redis spoils its own rows, and no other answer."""
    async with started(redis_process, rulebook) as (service, client):
        await write_under_a_newer_catalogue(service, rulebook, regular(), customer="theirs")
        connection = service.store.connection
        names = await connection.execute("LRANGE", Keys().catalogue_line, 0, -1)
        await connection.execute("DEL", Keys().catalogue(int(names[-1], 16)))
        ours, theirs = await asyncio.gather(
            client.decide(asking()), client.decide(decide_request("theirs", channel="pos"))
        )
        assert not is_fallback(ours)
        assert theirs.fallback.reason == decision_pb2.FALLBACK_REASON_SNAPSHOT_UNREADABLE


@pytest.fixture
def hurried(monkeypatch):
    """Answers are due two seconds after the question, long before a patient client gives up."""
    for module in (nextbest.server.gathering, nextbest.server.batches):
        monkeypatch.setattr(module, "RESERVE_S", PATIENT.timeout_ms / 1000.0 - 2.0)


class Gate(asyncio.Event):
    """Closed until it is set; says when somebody has come to it."""

    def __init__(self):
        super().__init__()
        self.reached = asyncio.Event()


def slow_to_keep(monkeypatch, gates):
    """Let answers be kept only once the gate of the service's store is open."""
    keep = RequestStore.keep

    async def after(self, *args, **named):
        gate = gates(self)
        gate.reached.set()
        await gate.wait()
        return await keep(self, *args, **named)

    monkeypatch.setattr(RequestStore, "keep", after)


@contextlib.asynccontextmanager
async def another(redis_process, rulebook):
    """A second service on the same Redis, and a client of it."""
    store = StoreOptions(redis_url=redis_process.url, timeout_s=20.0)
    async with (
        running_service(ServiceOptions(), store, rulebook, clock) as service,
        AsyncNextBestClient(service.address, options=PATIENT) as client,
    ):
        yield service, client


async def logged(client):
    """What is logged of the customer's decisions that are no fallbacks, once there is something."""
    found = []

    async def is_there():
        document = await client.export(CUSTOMER)
        found[:] = [one.decision for one in document.decisions if not is_fallback(one.decision)]
        return found

    await until(is_there)
    return found


@pytest.mark.usefixtures("hurried")
async def test_racing_calls_at_their_deadlines(redis_process, rulebook, monkeypatch):
    """Calls of one request_id that cannot wait until one is kept get one decision, which is logged."""
    gate = Gate()
    slow_to_keep(monkeypatch, lambda _: gate)
    async with started(redis_process, rulebook) as (_, client):
        calls = [asking(request_id="race", language=("en", "da")[i % 2]) for i in range(6)]
        late = [client.decide(call) for call in calls]
        replies = await asyncio.gather(*late, client.decide_batch(calls))
        given = [*replies[:-1], *(item.decision for item in replies[-1].items)]
        assert len(given) == 12
        assert all(decision == given[0] for decision in given)
        assert not is_fallback(given[0])
        gate.set()
        assert await logged(client) == [given[0]]
        assert await client.decide(asking(request_id="race")) == given[0]


@pytest.mark.usefixtures("hurried")
async def test_racing_processes_at_the_deadline(redis_process, rulebook, monkeypatch):
    """Of two processes that cannot wait for each other, the log has the decision that a retry is given."""
    async with (
        started(redis_process, rulebook) as (service, client),
        another(redis_process, rulebook) as (_, their_client),
    ):
        gate, their_gate = Gate(), Gate()
        slow_to_keep(monkeypatch, lambda kept: gate if kept is service.store.requests else their_gate)
        given, theirs = await asyncio.gather(
            client.decide(asking(request_id="race", language="en")),
            their_client.decide(asking(request_id="race", language="da")),
        )
        assert given != theirs
        their_gate.set()
        assert await their_client.decide(asking(request_id="race")) == theirs
        gate.set()
        assert await client.decide(asking(request_id="race")) == theirs
    async with another(redis_process, rulebook) as (_, client):
        assert await logged(client) == [theirs]


async def test_consent_that_goes_while_another_process_decides(redis_process, rulebook, monkeypatch):
    """Who has read that consent is withdrawn is not given what another process decided before that."""
    async with (
        started(redis_process, rulebook) as (service, client),
        another(redis_process, rulebook) as (_, their_client),
    ):
        gate, their_gate = Gate(), Gate()
        slow_to_keep(monkeypatch, lambda kept: gate if kept is service.store.requests else their_gate)
        before = asyncio.create_task(client.decide(outbound()))
        await gate.reached.wait()
        await client.put_snapshot(customer_snapshot(CUSTOMER, as_of=NOW, facts=regular(consent=[])))
        after = asyncio.create_task(their_client.decide(outbound()))
        await their_gate.reached.wait()
        gate.set()
        assert proposed(await before)
        their_gate.set()
        assert not proposed(await after)
        assert not proposed(await client.decide(outbound()))


@pytest.mark.usefixtures("hurried")
async def test_a_call_that_ends_with_the_service_is_logged(redis_process, rulebook, monkeypatch):
    """What was given at a deadline is logged, also if the service ends before it is known to be kept."""
    gate = Gate()
    slow_to_keep(monkeypatch, lambda _: gate)
    async with started(redis_process, rulebook) as (_, client):
        given = await client.decide(asking(request_id="last"))
        assert not is_fallback(given)
        asyncio.get_running_loop().call_later(0.5, gate.set)
    async with another(redis_process, rulebook) as (_, client):
        assert await logged(client) == [given]
