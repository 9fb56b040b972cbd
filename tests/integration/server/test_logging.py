"""The decision log of a running service whose Redis goes and comes back, and whose queue is full."""

import asyncio
import contextlib
import tempfile
from collections import Counter

import grpc
import pytest
from tests.builders.redis_process import RedisProcess
from tests.builders.small import NOW, regular

from loyalty.nextbest.v1 import common_pb2, decision_pb2, interaction_pb2
from nextbest.data.decision_log import LogLimits
from nextbest.data.store import StoreOptions, past_of
from nextbest.model import Degraded
from nextbest.server import decision_log
from nextbest.server.app import ServiceOptions, running_service
from nextbest.server.decision_log import Fate, LogOptions, WhenFull
from nextbest.server.replayer import Replayer
from nextbest.server.replaying import Verdict
from nextbest_client import (
    AsyncNextBestClient,
    ClientOptions,
    NotFound,
    customer_snapshot,
    decide_request,
    outcome_of,
)
from nextbest_client.errors import ClientError

PATIENT = ClientOptions(timeout_ms=60_000.0, max_attempts=1)
CUSTOMER = "c1"
NOT_DECIDED = decision_pb2.FALLBACK_REASON_SERVICE_UNAVAILABLE
"""Made up by the client."""
AT_MOST_IN_HAND = decision_log.IN_FLIGHT * decision_log.PER_SCRIPT
AWAY = Degraded.SNAPSHOT_STORE_UNAVAILABLE


@pytest.fixture(autouse=True)
def fates(monkeypatch):
    """What became of the test's own decisions."""
    counted = Counter()
    monkeypatch.setattr(decision_log, "LOGGED", counted)
    return counted


@pytest.fixture
def redis_process():
    """A redis-server of the test's own."""
    with tempfile.TemporaryDirectory(prefix="nextbest-") as directory:
        process = RedisProcess(directory)
        process.start()
        yield process
        process.close()


@contextlib.asynccontextmanager
async def started(redis_process, rulebook, *, limits=None, drain_s=10.0, **log):
    """A running service, a client of it, and a customer that it knows."""
    store = StoreOptions(redis_url=redis_process.url, timeout_s=20.0, log=limits or LogLimits())
    options = ServiceOptions(log=LogOptions(timeout_s=20.0, **log), drain_s=drain_s)
    async with (
        running_service(options, store, rulebook, NOW.timestamp) as service,
        AsyncNextBestClient(service.address, options=PATIENT) as client,
    ):
        await client.put_snapshot(customer_snapshot(CUSTOMER, as_of=NOW, facts=regular()))
        yield service, client


def asking(**changes):
    """A question about the customer, new each time."""
    return decide_request(CUSTOMER, channel="pos", **changes)


async def until(condition):
    """Wait until a condition holds."""
    async with asyncio.timeout(60.0):
        while not condition():  # noqa: ASYNC110  (another process brings it about)
            await asyncio.sleep(0.01)


async def everything(service):
    """The log's records by decision id."""
    scan = service.store.decisions.scan()
    return {entry.record.decision_id.hex(): entry.record async for batch in scan for entry in batch}


async def test_decisions_outlive_an_outage(redis_process, rulebook, fates):
    """What was decided before, while and after Redis was away is logged, and all comes out the same."""
    async with started(redis_process, rulebook) as (service, client):
        before = [await client.decide(asking()) for _ in range(20)]
        await until(lambda: fates[Fate.WRITTEN] == 20)
        redis_process.kill()
        meanwhile = [await client.decide(asking()) for _ in range(20)]
        meanwhile += [item.decision for item in (await client.decide_batch([asking()] * 20)).items]
        assert all(decision.HasField("fallback") for decision in meanwhile)
        redis_process.start()
        await until(lambda: service.store.connection.is_connected)
        after = [await client.decide(asking()) for _ in range(20)]
        assert not any(decision.HasField("fallback") for decision in after)
        await until(lambda: fates[Fate.WRITTEN] == 80)
        records = await everything(service)
        assert set(records) == {d.decision_id for d in (*before, *meanwhile, *after)}
        assert {records[d.decision_id].degraded for d in meanwhile} == {AWAY}
        again = await Replayer(past_of(service.store)).replay(list(records.values()))
    assert {one.verdict for one in again} == {Verdict.IDENTICAL}
    assert set(fates) == {Fate.WRITTEN}


async def test_a_long_outage_loses_the_oldest(redis_process, rulebook, fates):
    """By default tills are answered all the time; what the queue cannot hold is lost and counted."""
    async with started(redis_process, rulebook, queue=100) as (service, client):
        redis_process.kill()
        for _ in range(5):
            items = (await client.decide_batch([asking()] * 200)).items
            assert all(item.HasField("decision") for item in items)
        redis_process.start()
        await until(lambda: not sum(fates.values()) < 1000)
        newest = {item.decision.decision_id for item in items[-100:]}
        assert newest <= set(await everything(service))
    assert fates[Fate.QUEUE_FULL] + fates[Fate.WRITTEN] == 1000
    assert fates[Fate.QUEUE_FULL] >= 1000 - 100 - AT_MOST_IN_HAND


async def test_a_log_that_refuses(redis_process, rulebook, fates):
    """No decision is given that could not be logged: RESOURCE_EXHAUSTED until the log keeps up again."""
    settings = {"queue": 5, "when_full": WhenFull.REFUSE}
    async with started(redis_process, rulebook, **settings) as (_, client):
        redis_process.kill()
        given, refused = 0, 0
        for _ in range(150):
            answer = await client.decide(asking())
            if answer.fallback.reason == NOT_DECIDED:
                refused += 1
            else:
                given += 1
        with pytest.raises(ClientError, match="the decision log does not keep up") as raised:
            await client.decide(asking(strictness=common_pb2.STRICTNESS_STRICT))
        assert raised.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused > 0
        redis_process.start()
        await until(lambda: fates[Fate.WRITTEN] == given)
        assert (await client.decide(asking())).decision_id
        stream = [a async for a in client.decide_stream([asking(request_id="s1")])]
        assert stream[0].HasField("decision")
    assert set(fates) == {Fate.WRITTEN}
    assert given <= 5 + AT_MOST_IN_HAND


async def test_a_log_that_waits(redis_process, rulebook, fates):
    """Answers wait for room until shortly before their deadline, and are given then."""
    settings = {"queue": 2, "when_full": WhenFull.WAIT}
    async with started(redis_process, rulebook, **settings) as (service, client):
        redis_process.kill()
        for _ in range(AT_MOST_IN_HAND):
            answer = await client.decide(asking(), timeout_ms=300.0)
            assert answer.results
            if fates[Fate.DEADLINE]:
                break
        assert fates[Fate.DEADLINE] > 0
        redis_process.start()
        await until(lambda: service.store.connection.is_connected)
        decision = await client.decide(asking())
        await until(lambda: not sum(fates.values()) < 1)
        explained = await client.explain(decision.decision_id, customer_id=CUSTOMER)
        assert explained.decision == decision


async def test_an_erasure_while_deciding(redis_process, rulebook, fates):
    """A decision on its way into the log when its customer is erased does not get there."""
    async with started(redis_process, rulebook) as (service, client):
        decisions = [asyncio.create_task(client.decide(asking())) for _ in range(50)]
        await asyncio.sleep(0)
        await client.erase(CUSTOMER)
        await asyncio.gather(*decisions)
        await until(lambda: sum(fates.values()) == 50)
        await client.erase(CUSTOMER)
        assert await everything(service) == {}
        keys = await service.store.connection.execute("KEYS", "*{c1}*")
        assert [key for key in keys if b":d" in key] == []


async def test_the_log_stays_short(redis_process, rulebook, fates):
    """Beyond the limit the oldest decisions are given up while new ones are written."""
    async with started(redis_process, rulebook, limits=LogLimits(most=50)) as (service, client):
        for _ in range(3):
            items = (await client.decide_batch([asking()] * 100)).items
        await until(lambda: fates[Fate.WRITTEN] == 300)
        await service.store.decisions.trim()
        assert set(await everything(service)) == {item.decision.decision_id for item in items[-50:]}


async def test_a_decision_that_has_expired(redis_process, rulebook, fates):
    """What is kept no longer cannot be explained, and says so; what became of it can still be captured."""
    async with started(redis_process, rulebook) as (service, client):
        decision = await client.decide(asking())
        explained = await client.explain(decision.decision_id, customer_id=CUSTOMER)
        assert explained.decision == decision

        record = service.store.keys.decision(CUSTOMER, bytes.fromhex(decision.decision_id))
        assert await service.store.connection.execute("PEXPIRE", record, 1) == 1
        await asyncio.sleep(0.05)
        assert not (await client.export(CUSTOMER)).decisions
        with pytest.raises(NotFound, match="was never logged, or is older than"):
            await client.explain(decision.decision_id, customer_id=CUSTOMER)
        outcome = outcome_of(decision, decision.results[0], common_pb2.OUTCOME_ACCEPTED)
        (result,) = await client.capture_outcomes(CUSTOMER, [outcome])
        assert result.status == interaction_pb2.RECORD_STATUS_RECORDED


async def test_retries_are_logged_once(redis_process, rulebook, fates):
    """However often a request is repeated, alone or in a batch, its decision is logged once."""
    async with started(redis_process, rulebook) as (service, client):
        requests = [asking(request_id=f"r{i % 5}") for i in range(40)]
        answers = await asyncio.gather(*(client.decide(request) for request in requests[:20]))
        answers += [item.decision for item in (await client.decide_batch(requests[20:])).items]
        await asyncio.sleep(0.1)
        records = await everything(service)
        assert set(records) == {answer.decision_id for answer in answers}
        assert len(records) == 5
        for answer in answers:
            assert decision_pb2.DecideResponse.FromString(records[answer.decision_id].answer) == answer
        assert await service.store.decisions.count() == 5


async def test_strict_failures_are_no_decisions(redis_process, rulebook, fates):
    """What ends in an error is not logged; what is wrong in a batch neither."""
    async with started(redis_process, rulebook) as (_, client):
        strict = decide_request("nobody", channel="pos", strictness=common_pb2.STRICTNESS_STRICT)
        with pytest.raises(ClientError):
            await client.decide(strict)
        items = (
            await client.decide_batch([strict, decide_request(CUSTOMER, channel="nonsense"), asking()])
        ).items
        assert [item.WhichOneof("result") for item in items] == ["status", "status", "decision"]
    assert fates == {Fate.WRITTEN: 1}
