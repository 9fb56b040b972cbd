"""A service in this process: before it is warm, without its Redis, out of time, and at its end."""

import asyncio
import contextlib
import os
import signal
import socket
import threading

import grpc
import pytest
import structlog
from google.rpc.error_details_pb2 import RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from tests.builders.small import NOW, regular

import nextbest.server.app
import nextbest.server.batches
import nextbest.server.gathering
from loyalty.nextbest.v1 import common_pb2, decision_pb2, decision_pb2_grpc
from nextbest.data.store import StoreOptions
from nextbest.errors import InvalidInput, StoreUnavailable
from nextbest.server.app import ServiceOptions, running_service
from nextbest.telemetry import pseudonym
from nextbest_client import (
    AsyncNextBestClient,
    ClientOptions,
    DeadlineExceeded,
    InvalidRequest,
    ServiceFailed,
    ServiceUnavailable,
    customer_snapshot,
    decide_request,
    is_fallback,
)

STRICT = common_pb2.STRICTNESS_STRICT
STORE_AWAY = decision_pb2.FALLBACK_REASON_SNAPSHOT_STORE_UNAVAILABLE
PATIENT = ClientOptions(timeout_ms=60_000.0, max_attempts=1)
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
CUSTOMER = "c1"


def clock():
    """The tests' time, standing still."""
    return NOW.timestamp()


@contextlib.asynccontextmanager
async def started(redis_process, rulebook, *, store_timeout_s=20.0, **options):
    """A running service, a client of it, and a customer that it knows."""
    store = StoreOptions(redis_url=redis_process.url, timeout_s=store_timeout_s)
    async with (
        running_service(ServiceOptions(**options), store, rulebook, clock) as service,
        AsyncNextBestClient(service.address, options=PATIENT) as client,
    ):
        snapshot = customer_snapshot(CUSTOMER, as_of=NOW, facts=regular())
        await client.put_snapshot(snapshot)
        yield service, client


def asking(**changes):
    """A question about the customer, new each time."""
    return decide_request(CUSTOMER, channel="pos", **changes)


async def answered(client):
    """Whether decisions are made on data."""
    return not is_fallback(await client.decide(asking()))


async def until(condition):
    """Wait until an awaitable condition holds."""
    async with asyncio.timeout(60.0):
        while not await condition():  # noqa: ASYNC110  (another process brings it about)
            await asyncio.sleep(0.02)


async def test_redis_gone_and_back(redis_process, rulebook):
    """Without Redis tills get fallbacks and strict callers UNAVAILABLE; it comes back by itself."""
    async with started(redis_process, rulebook) as (_, client):
        assert await answered(client)
        redis_process.kill()

        response = await client.decide(asking())
        assert response.fallback.reason == STORE_AWAY
        assert response.fallback.message == "the snapshot store does not answer"
        assert [result.action for result in response.results] == ["do_nothing"]
        assert response.rulebook_revision == rulebook.revision

        with pytest.raises(ServiceUnavailable, match="the snapshot store does not answer") as raised:
            await client.decide(asking(strictness=STRICT))
        assert redis_process.url not in str(raised.value)

        items = (await client.decide_batch([asking(), asking(strictness=STRICT)])).items
        assert items[0].decision.fallback.reason == STORE_AWAY
        assert items[1].status.code == grpc.StatusCode.UNAVAILABLE.value[0]

        with pytest.raises(ServiceUnavailable):
            await client.put_snapshot(customer_snapshot(CUSTOMER, as_of=NOW, facts=regular()))
        with pytest.raises(ServiceUnavailable):
            await client.explain(asking())

        redis_process.start()
        await until(lambda: answered(client))


async def test_unavailable_says_when_to_retry(redis_process, rulebook):
    """UNAVAILABLE carries how long to wait before a retry."""
    async with started(redis_process, rulebook) as (service, _):
        redis_process.kill()
        async with grpc.aio.insecure_channel(service.address) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await decision_pb2_grpc.DecisionServiceStub(channel).Decide(asking(strictness=STRICT))
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        retry = RetryInfo()
        status = rpc_status.from_call(raised.value)
        assert any(detail.Unpack(retry) for detail in status.details)
        assert retry.retry_delay.seconds == 1


async def test_redis_that_hangs(redis_process, rulebook):
    """A Redis that takes commands and answers none is as good as none; it may come to itself."""
    async with started(redis_process, rulebook, store_timeout_s=2.0) as (_, client):
        await until(lambda: answered(client))
        redis_process.freeze()
        assert (await client.decide(asking())).fallback.reason == STORE_AWAY
        redis_process.thaw()
        await until(lambda: answered(client))


async def test_deadline_passes(redis_process, rulebook):
    """Who cannot wait for a slow Redis gets a fallback in time, or an error if strict; others are served."""
    async with started(redis_process, rulebook) as (_, client):
        redis_process.freeze()
        late = await client.decide(asking(), timeout_ms=200.0)
        assert late.fallback.reason == decision_pb2.FALLBACK_REASON_DEADLINE
        with pytest.raises(DeadlineExceeded):
            await client.decide(asking(strictness=STRICT), timeout_ms=200.0)
        patient = asyncio.create_task(client.decide(asking()))
        redis_process.thaw()
        assert not is_fallback(await patient)


async def test_deadline_that_has_passed_already(redis_process, rulebook):
    """A call whose deadline is over as it arrives is not decided, and harms nobody."""
    async with started(redis_process, rulebook) as (_, client):
        late = await client.decide(asking(), timeout_ms=0.0)
        assert late.fallback.reason == decision_pb2.FALLBACK_REASON_DEADLINE
        assert await answered(client)


async def test_caller_that_hangs_up(redis_process, rulebook):
    """A caller that gives up leaves nothing behind: the next one gets their own answer."""
    async with started(redis_process, rulebook) as (_, client):
        redis_process.freeze()
        calls = [asyncio.create_task(client.decide(asking())) for _ in range(20)]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        redis_process.thaw()
        for call in calls[1::2]:
            assert (await call).customer_id == CUSTOMER
        assert await answered(client)


async def test_unforeseen_error_is_bland(redis_process, rulebook, monkeypatch):
    """What was not foreseen is INTERNAL without its cause, which is in the log; the next call is answered."""

    def fail(_situation):
        raise RuntimeError("the cause")

    async with started(redis_process, rulebook) as (_, client):
        with monkeypatch.context() as patch, structlog.testing.capture_logs() as logged:
            patch.setattr(nextbest.server.gathering, "answers", fail)
            with pytest.raises(ServiceFailed, match="internal error; see the service's log") as raised:
                await client.decide(asking())
        assert raised.value.code is grpc.StatusCode.INTERNAL
        assert "the cause" not in str(raised.value)
        (event,) = [event for event in logged if event["event"] == "internal_error"]
        assert isinstance(event["exc_info"], bool | tuple | Exception)
        assert await answered(client)


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def test_not_serving_before_it_is_warm(redis_process, rulebook, monkeypatch):
    """Health says NOT_SERVING until every kernel has run, and answers meanwhile."""
    warm = threading.Event()
    monkeypatch.setattr(nextbest.server.app, "warm_up", lambda *_: warm.wait(60.0))
    port = free_port()
    left = asyncio.Event()

    async def serve():
        async with started(redis_process, rulebook, port=port):
            await left.wait()

    service = asyncio.create_task(serve())
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest()
        watch = health.Watch(request, wait_for_ready=True)
        assert (await watch.read()).status == NOT_SERVING
        assert (await health.Check(request, wait_for_ready=True)).status == NOT_SERVING
        warm.set()
        assert (await watch.read()).status == SERVING
        left.set()
        assert (await watch.read()).status == NOT_SERVING
        watch.cancel()
    await service


async def test_drain_lets_requests_finish(redis_process, rulebook):
    """At the end health says so, requests in flight are answered on data, and then it ends."""
    running = started(redis_process, rulebook, drain_s=60.0)
    service, _ = await running.__aenter__()
    async with grpc.aio.insecure_channel(service.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        redis_process.freeze()
        in_flight = decision_pb2_grpc.DecisionServiceStub(channel).Decide(asking())

        async def is_in_flight():
            return service.store.connection.in_flight > 0

        await until(is_in_flight)
        ending = asyncio.create_task(running.__aexit__(None, None, None))
        assert (await watch.read()).status == NOT_SERVING
        watch.cancel()
        assert not ending.done()
        redis_process.thaw()
        assert not is_fallback(await in_flight)
        await ending


async def test_start_without_redis(rulebook):
    """A service does not start without its Redis, and says so."""
    store = StoreOptions(redis_url="unix:///nowhere/redis.sock")
    with pytest.raises(StoreUnavailable):
        async with running_service(ServiceOptions(), store, rulebook, clock):
            pass


async def test_start_on_an_impossible_address(redis_process, rulebook):
    """An address that cannot be listened on is said of its option."""
    store = StoreOptions(redis_url=redis_process.url)
    with pytest.raises(
        InvalidInput, match=r"port: cannot listen on `192\.0\.2\.1:1`: .* no address of this machine"
    ):
        async with running_service(ServiceOptions(host="192.0.2.1", port=1), store, rulebook, clock):
            pass


async def test_start_on_a_port_in_use(redis_process, rulebook):
    """Two services never share a port: they would answer by turns with other rules."""
    store = StoreOptions(redis_url=redis_process.url)
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as other:
        port = other.getsockname()[1]
        with pytest.raises(InvalidInput, match=f"port: cannot listen on `127.0.0.1:{port}`"):
            async with running_service(ServiceOptions(port=port), store, rulebook, clock):
                pass


async def test_before_the_first_fit(redis_process, rulebook):
    """Without fitted models a service decides, holds no stages and says which figures it lacks."""
    async with started(redis_process, rulebook) as (_, client):
        response = await client.put_snapshot(customer_snapshot("new", as_of=NOW, facts=regular()))
        assert response.stage == common_pb2.STAGE_UNSPECIFIED
        assert not response.HasField("stage_since")
        stored = {fact.name for fact in (await client.get_snapshot("new")).snapshot.facts}
        assert "held_stage" not in stored
        decision = await client.decide(decide_request("new", channel="pos"))
        assert decision.results[0].action == "brie"
        for name in ("ltv", "alive", "potential_profit", "profit_gap", "potential_quantile"):
            assert not decision.figures.HasField(name)
        assert decision.figures.peer_cell == ""


async def test_kept_data_after_a_restart(redis_process, rulebook):
    """A service that starts anew on the same Redis knows what the one before was told."""
    async with started(redis_process, rulebook):
        pass
    store = StoreOptions(redis_url=redis_process.url, timeout_s=20.0)
    async with (
        running_service(ServiceOptions(), store, rulebook, clock) as service,
        AsyncNextBestClient(service.address, options=PATIENT) as client,
    ):
        assert await answered(client)


async def test_a_batch_ends_before_its_deadline(redis_process, rulebook, monkeypatch):
    """A batch that a slow Redis holds up is answered in time: fallbacks, or errors where strict."""
    monkeypatch.setattr(nextbest.server.batches, "RESERVE_S", 59.0)
    async with started(redis_process, rulebook) as (service, client):
        assert await answered(client)
        redis_process.freeze()
        try:
            batch = decision_pb2.DecideBatchRequest(requests=[asking(), asking(strictness=STRICT)])
            async with grpc.aio.insecure_channel(service.address) as channel:
                stub = decision_pb2_grpc.DecisionServiceStub(channel)
                relaxed, strict = (await stub.DecideBatch(batch, timeout=60.0)).items
        finally:
            redis_process.thaw()
        assert relaxed.decision.fallback.reason == decision_pb2.FALLBACK_REASON_DEADLINE
        assert strict.status.code == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]


async def test_one_line_a_fallback(redis_process, rulebook):
    """Whoever is paged reads one line a fallback: why, for whom, where, which request, and the cause."""
    async with started(redis_process, rulebook) as (_, client):
        redis_process.kill()
        with structlog.testing.capture_logs() as logged:
            assert is_fallback(await client.decide(asking(request_id="paged")))
            with pytest.raises(ServiceUnavailable):
                await client.decide(asking(strictness=STRICT, request_id="strict"))
        warnings = [line for line in logged if line["log_level"] == "warning"]
        degraded, refused = warnings
        assert {name: degraded[name] for name in ("event", "reason", "channel", "request_id")} == {
            "event": "degraded",
            "reason": "snapshot_store_unavailable",
            "channel": "pos",
            "request_id": "paged",
        }
        assert degraded["customer"] == pseudonym(CUSTOMER)
        assert "Redis" in degraded["cause"]
        assert (refused["event"], refused["channel"]) == ("store_unavailable", "pos")
        assert refused["customer"] == pseudonym(CUSTOMER)


async def test_strangers_are_no_warning(redis_process, rulebook):
    """That a customer is not known is information, and what a caller did wrong is said by field."""
    async with started(redis_process, rulebook) as (_, client):
        with structlog.testing.capture_logs() as logged:
            assert is_fallback(await client.decide(decide_request("stranger", channel="pos")))
            with pytest.raises(InvalidRequest):
                await client.decide(decide_request("stranger", channel="poss", caller_role="boss"))
        levels = {line["event"]: line["log_level"] for line in logged}
        assert levels == {"degraded": "info", "refused": "info"}
        (refused,) = (line for line in logged if line["event"] == "refused")
        assert refused["code"] == "INVALID_ARGUMENT"
        assert refused["fields"] == ["channel", "caller_role"]
        assert refused["customer"] == pseudonym("stranger")


async def test_history_kept_too_short_does_not_start(redis_process, rulebook):
    """A service that would drop history its rulebook looks at does not start."""
    store = StoreOptions(redis_url=redis_process.url, history_retention_s=86_400.0)
    with pytest.raises(InvalidInput, match=r"history_days: `1` days are kept, but .* looks back"):
        async with running_service(ServiceOptions(), store, rulebook, clock):
            raise AssertionError("it started")


async def test_an_embedded_redis_that_dies(tmp_path_factory, rulebook):
    """A service whose private Redis is killed starts it again, and decides on its data as before."""
    store = StoreOptions(data_directory=tmp_path_factory.mktemp("d"), timeout_s=20.0)
    async with (
        running_service(ServiceOptions(), store, rulebook, clock) as service,
        AsyncNextBestClient(service.address, options=PATIENT) as client,
    ):
        await client.put_snapshot(customer_snapshot(CUSTOMER, as_of=NOW, facts=regular()))
        connection = service.store.connection
        information = await connection.execute("INFO", "server")
        os.kill(int(information.split(b"process_id:")[1].split()[0]), signal.SIGKILL)
        await connection.wait_lost()
        assert is_fallback(await client.decide(asking()))
        await until(lambda: answered(client))
