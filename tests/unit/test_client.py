"""The Python client against a real gRPC server in this process."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from loyalty.nextbest.v1 import common_pb2, customer_pb2, decision_pb2, decision_pb2_grpc, interaction_pb2
from nextbest_client import (
    AsyncNextBestClient,
    ClientError,
    ClientOptions,
    Conflict,
    DeadlineExceeded,
    FieldViolation,
    InvalidRequest,
    NextBestClient,
    NotAllowed,
    NotFound,
    NotSupported,
    ServiceFailed,
    ServiceUnavailable,
    actions_of,
    context,
    customer_snapshot,
    decide_request,
    fact,
    is_fallback,
    outcome_of,
    recommended,
)
from nextbest_client.shared import do_nothing, identified_outcome
from nextbest_client.status_details import violations_of

LONG_MS = 10_000.0
"""More than any of these calls takes, so that only what a test makes late is late."""
SHORT_MS = 30.0
AWAY = "127.0.0.1:1"
"""A port where nobody listens."""
STRICT = common_pb2.STRICTNESS_STRICT


class ScriptedServer(decision_pb2_grpc.DecisionServiceServicer):
    """Fails with the given statuses one after the other, then answers; may be slow."""

    def __init__(self) -> None:
        self.failures: list[grpc.StatusCode] = []
        self.trailing: tuple[tuple[str, bytes], ...] = ()
        self.seen: list[decision_pb2.DecideRequest] = []
        self.late = False

    def Decide(self, request, context):  # noqa: N802  (the rpc's name)
        """Answer as scripted."""
        self.seen.append(request)
        if self.late:
            _wait_for_cancellation(context)
        if self.failures:
            context.set_trailing_metadata(self.trailing)
            context.abort(self.failures.pop(0), "scripted")
        return decision_pb2.DecideResponse(
            request_id=request.request_id, customer_id=request.customer_id, results=[do_nothing()]
        )

    def DecideBatch(self, request, context):  # noqa: N802  (the rpc's name)
        """Answer each request as Decide would."""
        items = [decision_pb2.DecideBatchItem(decision=self.Decide(r, context)) for r in request.requests]
        return decision_pb2.DecideBatchResponse(items=items)

    def DecideStream(self, request_iterator, context):  # noqa: N802  (the rpc's name)
        """Answer each request as Decide would."""
        for item in request_iterator:
            yield decision_pb2.DecideStreamResponse(
                request_id=item.request.request_id, decision=self.Decide(item.request, context)
            )


def _wait_for_cancellation(context) -> None:
    gone = threading.Event()
    if context.add_callback(gone.set):
        gone.wait(LONG_MS / 1000)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A scripted server; its address is `server.address`."""
    scripted = ScriptedServer()
    running = grpc.server(ThreadPoolExecutor(max_workers=4))
    decision_pb2_grpc.add_DecisionServiceServicer_to_server(scripted, running)
    scripted.address = f"127.0.0.1:{running.add_insecure_port('127.0.0.1:0')}"
    running.start()
    yield scripted
    running.stop(grace=None).wait()


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[NextBestClient]:
    """A client of the scripted server that waits long and retries at once."""
    options = ClientOptions(timeout_ms=LONG_MS, initial_backoff_ms=5, max_backoff_ms=5)
    with NextBestClient(server.address, options=options) as made:
        yield made


def ask(**fields) -> decision_pb2.DecideRequest:
    """A request about customer 4711 at a till."""
    return decide_request("4711", channel="pos", **fields)


class TestRetries:
    """What is repeated, and how it stays safe."""

    def test_unavailable_is_retried_with_the_same_request_id(self, server, client):
        """A request that failed with UNAVAILABLE is repeated under the same request_id."""
        server.failures = [grpc.StatusCode.UNAVAILABLE] * 2
        decision = client.decide(ask())
        assert not is_fallback(decision)
        assert len(server.seen) == 3
        assert {request.request_id for request in server.seen} == {decision.request_id}
        assert decision.request_id

    def test_retries_end_with_max_attempts(self, server, client):
        """After `max_attempts` failures the caller gets the fallback decision."""
        server.failures = [grpc.StatusCode.UNAVAILABLE] * 9
        assert is_fallback(client.decide(ask()))
        assert len(server.seen) == client.options.max_attempts

    @pytest.mark.parametrize(
        "code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND]
    )
    def test_other_failures_are_not_retried(self, server, client, code):
        """A failure that repeating would not mend is not repeated."""
        server.failures = [code]
        with pytest.raises(ClientError):
            client.decide(ask())
        assert len(server.seen) == 1

    def test_one_attempt_means_no_retry(self, server):
        """With `max_attempts=1` a failed request is not repeated."""
        server.failures = [grpc.StatusCode.UNAVAILABLE]
        with NextBestClient(server.address, options=ClientOptions(max_attempts=1)) as client:
            assert is_fallback(client.decide(ask(), timeout_ms=LONG_MS))
        assert len(server.seen) == 1

    def test_given_request_id_is_kept(self, server, client):
        """A request_id that the caller chose is sent as it is."""
        client.decide(ask(request_id="sale-17"))
        assert server.seen[0].request_id == "sale-17"

    def test_the_callers_request_is_not_changed(self, client):
        """The request that the caller holds stays without a request_id, so it can be sent anew."""
        request = ask()
        assert client.decide(request).request_id != client.decide(request).request_id
        assert request.request_id == ""

    def test_outcome_without_decision_gets_a_key(self):
        """An outcome that the service cannot tell apart by its decision gets an idempotency key."""
        loose = interaction_pb2.CapturedOutcome(action="greet", outcome=common_pb2.OUTCOME_PRESENTED)
        assert identified_outcome(loose).idempotency_key
        bound = interaction_pb2.CapturedOutcome(decision_id="d", action="greet")
        assert identified_outcome(bound).idempotency_key == ""


class TestFallback:
    """The till goes on without the service."""

    def test_late_service_gives_a_fallback_decision(self, server, client):
        """A decision that does not come in time is replaced by doing nothing, for the reason DEADLINE."""
        server.late = True
        decision = client.decide(ask(request_id="sale-17"), timeout_ms=SHORT_MS)
        assert decision.fallback.reason == decision_pb2.FALLBACK_REASON_DEADLINE
        assert decision.request_id == "sale-17"
        assert decision.customer_id == "4711"
        assert [result.action for result in decision.results] == ["do_nothing"]
        assert actions_of(decision) == []

    def test_absent_service_gives_a_fallback_decision(self):
        """If nobody listens, the decision is doing nothing, for the reason SERVICE_UNAVAILABLE."""
        with NextBestClient(AWAY) as client:
            decision = client.decide(ask())
        assert decision.fallback.reason == decision_pb2.FALLBACK_REASON_SERVICE_UNAVAILABLE
        assert decision.results[0].desired_action == common_pb2.DESIRED_ACTION_DO_NOTHING
        assert decision.results[0].score == 0
        assert decision.decision_id == ""

    def test_overloaded_service_gives_a_fallback_decision(self, server, client):
        """A service that sends callers away counts as unavailable."""
        server.failures = [grpc.StatusCode.RESOURCE_EXHAUSTED]
        decision = client.decide(ask())
        assert decision.fallback.reason == decision_pb2.FALLBACK_REASON_SERVICE_UNAVAILABLE

    def test_strict_request_raises_when_late(self, server, client):
        """A strict caller gets an error instead of a fallback decision when the service is late."""
        server.late = True
        with pytest.raises(DeadlineExceeded):
            client.decide(ask(strictness=STRICT), timeout_ms=SHORT_MS)

    def test_strict_request_raises_when_away(self):
        """A strict caller gets an error instead of a fallback decision when nobody listens."""
        with NextBestClient(AWAY) as client, pytest.raises(ServiceUnavailable):
            client.decide(ask(strictness=STRICT))

    def test_batch_falls_back_for_each_request(self):
        """If nobody listens, every request of a batch gets its own fallback decision, in order."""
        with NextBestClient(AWAY) as client:
            batch = client.decide_batch([decide_request(c, channel="pos") for c in ("1", "2")])
        assert [item.decision.customer_id for item in batch.items] == ["1", "2"]
        assert all(is_fallback(item.decision) for item in batch.items)

    def test_batch_with_a_strict_request_raises(self):
        """One strict request in a batch turns the failure of the batch into an error."""
        with NextBestClient(AWAY) as client, pytest.raises(ServiceUnavailable):
            client.decide_batch([ask(), ask(strictness=STRICT)])

    def test_the_deadline_covers_the_retries(self, server):
        """A pause before a retry that would outlast the deadline does not prolong the call."""
        server.failures = [grpc.StatusCode.UNAVAILABLE] * 9
        options = ClientOptions(timeout_ms=SHORT_MS, initial_backoff_ms=LONG_MS, max_backoff_ms=LONG_MS)
        with NextBestClient(server.address, options=options) as client:
            assert is_fallback(client.decide(ask()))
        assert len(server.seen) <= 2

    def test_not_reachable_is_said_at_once(self):
        """Waiting for a connection ends with False when nobody listens."""
        with NextBestClient(AWAY) as client:
            assert not client.wait_until_ready(timeout_ms=SHORT_MS)

    def test_reachable_is_said(self, client):
        """Waiting for a connection ends with True when the service listens."""
        assert client.wait_until_ready()


class TestErrors:
    """A status of the service becomes an exception that says what to do."""

    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequest),
            (grpc.StatusCode.NOT_FOUND, NotFound),
            (grpc.StatusCode.PERMISSION_DENIED, NotAllowed),
            (grpc.StatusCode.UNAUTHENTICATED, NotAllowed),
            (grpc.StatusCode.UNIMPLEMENTED, NotSupported),
            (grpc.StatusCode.ABORTED, Conflict),
            (grpc.StatusCode.INTERNAL, ServiceFailed),
            (grpc.StatusCode.DATA_LOSS, ServiceFailed),
        ],
    )
    def test_status_becomes_exception(self, server, client, code, expected):
        """Each status is raised as the exception named for it, with code and message."""
        server.failures = [code]
        with pytest.raises(expected, match="scripted") as caught:
            client.decide(ask())
        assert type(caught.value) is expected
        assert caught.value.code is code

    def test_all_violations_are_read(self, server, client):
        """The violations that Google's own messages encode reach the caller, all of them."""
        wrong = [("channel", "unknown `fax`"), ("max_results", "`10000` is above 25")]
        server.failures = [grpc.StatusCode.INVALID_ARGUMENT]
        server.trailing = (("grpc-status-details-bin", bad_request(wrong)),)
        with pytest.raises(InvalidRequest) as caught:
            client.decide(ask())
        assert caught.value.violations == tuple(FieldViolation(*violation) for violation in wrong)
        assert str(caught.value) == "channel: unknown `fax`; max_results: `10000` is above 25"

    def test_unreadable_details_are_passed_over(self):
        """Details that are no status at all leave the violations empty."""
        assert violations_of((("grpc-status-details-bin", b"\xff\xff\xff"),)) == ()
        assert violations_of(None) == ()

    def test_missing_service_is_not_supported(self, client):
        """A call that the service does not offer says so."""
        with pytest.raises(NotSupported):
            client.get_snapshot("4711")
        with pytest.raises(NotSupported):
            client.explain(ask())


def bad_request(wrong: list[tuple[str, str]]) -> bytes:
    """Details of an INVALID_ARGUMENT status, made by Google's published messages."""
    detail = any_pb2.Any()
    detail.Pack(
        error_details_pb2.BadRequest(
            field_violations=[
                error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
                for field, description in wrong
            ]
        )
    )
    other = any_pb2.Any()
    other.Pack(error_details_pb2.ErrorInfo(reason="UNKNOWN_CHANNEL", domain="nextbest"))
    return status_pb2.Status(code=3, message="scripted", details=[other, detail]).SerializeToString()


class TestAsync:
    """The asynchronous client keeps the same promises."""

    async def test_unavailable_is_retried_with_the_same_request_id(self, server):
        """A request that failed with UNAVAILABLE is repeated under the same request_id."""
        server.failures = [grpc.StatusCode.UNAVAILABLE]
        async with AsyncNextBestClient(server.address) as client:
            decision = await client.decide(ask(), timeout_ms=LONG_MS)
        assert not is_fallback(decision)
        assert [request.request_id for request in server.seen] == [decision.request_id] * 2

    async def test_late_service_gives_a_fallback_decision(self, server):
        """A decision that does not come in time is replaced by doing nothing."""
        server.late = True
        async with AsyncNextBestClient(server.address) as client:
            decision = await client.decide(ask(), timeout_ms=SHORT_MS)
        assert decision.fallback.reason == decision_pb2.FALLBACK_REASON_DEADLINE

    async def test_absent_service(self):
        """If nobody listens, decisions fall back, strict ones raise, and waiting says so."""
        async with AsyncNextBestClient(AWAY) as client:
            assert is_fallback(await client.decide(ask()))
            assert is_fallback((await client.decide_batch([ask()])).items[0].decision)
            with pytest.raises(ServiceUnavailable):
                await client.decide(ask(strictness=STRICT))
            assert not await client.wait_until_ready(timeout_ms=SHORT_MS)

    async def test_error_carries_violations(self, server):
        """What is wrong with a request reaches an asynchronous caller too."""
        server.failures = [grpc.StatusCode.INVALID_ARGUMENT]
        server.trailing = (("grpc-status-details-bin", bad_request([("channel", "unknown `fax`")])),)
        async with AsyncNextBestClient(server.address) as client:
            with pytest.raises(InvalidRequest) as caught:
                await client.decide(ask(), timeout_ms=LONG_MS)
        assert caught.value.violations == (FieldViolation("channel", "unknown `fax`"),)

    async def test_stream_answers_both_kinds_of_iterable(self, server):
        """A stream takes requests from a list and from an asynchronous generator."""

        async def members():
            yield decide_request("3", channel="pos")

        async with AsyncNextBestClient(server.address) as client:
            assert await client.wait_until_ready(timeout_ms=LONG_MS)
            listed = [decide_request(c, channel="pos") for c in "12"]
            answers = [a async for a in client.decide_stream(listed, timeout_ms=LONG_MS)]
            answers += [a async for a in client.decide_stream(members(), timeout_ms=LONG_MS)]
        assert [answer.decision.customer_id for answer in answers] == ["1", "2", "3"]
        assert all(answer.request_id for answer in answers)

    async def test_stream_errors_are_translated(self, server):
        """A stream that breaks raises the client's own exception."""
        server.failures = [grpc.StatusCode.INTERNAL]
        async with AsyncNextBestClient(server.address) as client:
            with pytest.raises(ServiceFailed):
                _ = [a async for a in client.decide_stream([ask()], timeout_ms=LONG_MS)]


class TestStream:
    """The synchronous stream."""

    def test_answers_match_requests_by_request_id(self, client):
        """Every request on a stream gets an answer under its request_id."""
        requests = [decide_request(c, channel="pos", request_id=f"r{c}") for c in "123"]
        answers = {a.request_id: a.decision.customer_id for a in client.decide_stream(requests)}
        assert answers == {"r1": "1", "r2": "2", "r3": "3"}

    def test_reading_may_stop_early(self, client):
        """A caller that stops reading ends the stream, and the client can be used on."""
        answers = client.decide_stream(ask() for _ in range(3))
        assert next(answers).request_id
        answers.close()
        assert not is_fallback(client.decide(ask()))

    def test_broken_stream_raises(self, server, client):
        """A stream that breaks raises the client's own exception."""
        server.failures = [grpc.StatusCode.INTERNAL]
        with pytest.raises(ServiceFailed):
            list(client.decide_stream([ask()]))


class TestOptions:
    """Settings become gRPC's own."""

    def test_service_config_is_what_grpc_reads(self):
        """The service config names the services, the statuses and the pauses in seconds."""
        config = json.loads(ClientOptions(max_attempts=4, initial_backoff_ms=20).service_config())
        policy = config["methodConfig"][0]["retryPolicy"]
        assert policy["maxAttempts"] == 4
        assert policy["initialBackoff"] == "0.020000s"
        assert policy["retryableStatusCodes"] == ["UNAVAILABLE"]
        assert config["loadBalancingConfig"] == [{"round_robin": {}}]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"max_attempts": 0},
            {"max_attempts": 6},
            {"initial_backoff_ms": 1},
            {"initial_backoff_ms": 300},
            {"initial_backoff_ms": float("nan")},
        ],
    )
    def test_settings_that_grpc_would_not_keep_are_refused(self, wrong):
        """A retry policy that gRPC would cut down, or lose calls with, is an error from the start."""
        with pytest.raises(ValueError, match=r"not (from )?`"):
            ClientOptions(**wrong)

    def test_own_channel_options_win(self):
        """A channel option that the caller gives replaces the one that was made."""
        options = ClientOptions(channel_options={"grpc.max_receive_message_length": 7})
        assert dict(options.as_channel_options())["grpc.max_receive_message_length"] == 7


class TestRequests:
    """Plain Python values become messages."""

    def test_request_holds_what_was_given(self):
        """Every argument lands in its field."""
        moment = datetime(2017, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))
        snapshot = customer_snapshot("4711", as_of=moment, facts={"revenue_net": 10})
        request = decide_request(
            common_pb2.Identifier(type="card", value="99"),
            channel="pos",
            placements=["receipt"],
            contexts={"basket_total": 240.5},
            purchase_phase=common_pb2.PURCHASE_PHASE_BEFORE_PAYMENT,
            evaluation_time=moment,
            snapshot=snapshot,
            view=common_pb2.VIEW_BASIC,
        )
        assert request.identifier.value == "99"
        assert request.direction == common_pb2.DIRECTION_INBOUND
        assert request.contexts[0] == common_pb2.Context(key="basket_total", number=240.5)
        assert request.evaluation_time.ToDatetime() == datetime(2017, 7, 1, 10)
        assert request.snapshot == snapshot
        assert not ask().HasField("snapshot")
        assert not ask().HasField("evaluation_time")

    @pytest.mark.parametrize(
        ("value", "field"),
        [
            (True, "flag"),
            (0, "number"),
            (1.5, "number"),
            ("gold", "text"),
            ({"b", "a"}, "members"),
            (["a"], "members"),
            (frozenset(), "members"),
            (datetime(2017, 1, 1, tzinfo=UTC), "time"),
        ],
    )
    def test_value_takes_the_field_of_its_type(self, value, field):
        """A value is sent in the field of its own type; an empty set is known to be empty."""
        assert fact("f", value).WhichOneof("value") == field
        assert context("k", value, type="t").WhichOneof("value") == field

    def test_same_set_gives_same_bytes(self):
        """A set is sent sorted, so that the same snapshot is the same message."""
        assert list(fact("f", {"b", "a", "c"}).members.values) == ["a", "b", "c"]

    def test_unknown_fact_is_left_out(self):
        """A fact that is None is not sent; zero and false are."""
        snapshot = customer_snapshot(
            "1", as_of=datetime(2017, 1, 1, tzinfo=UTC), facts={"a": None, "b": 0, "c": False}
        )
        assert [known.name for known in snapshot.facts] == ["b", "c"]

    def test_time_without_zone_is_refused(self):
        """A time without a time zone names no instant and is an error."""
        with pytest.raises(ValueError, match="has no time zone"):
            ask(evaluation_time=datetime(2017, 1, 1))
        with pytest.raises(ValueError, match="has no time zone"):
            fact("f", datetime(2017, 1, 1))

    @pytest.mark.parametrize("value", [None, object(), b"bytes-are-no-names", [1, 2]])
    def test_value_of_another_type_is_refused(self, value):
        """A value that no fact can have is a TypeError, not a wrong message."""
        with pytest.raises(TypeError):
            fact("f", value)

    def test_outcome_names_decision_treatment_and_override(self):
        """An outcome carries the decision and treatment it is about; a reason makes it an override."""
        decision = decision_pb2.DecideResponse(decision_id="d1")
        result = recommended("win_back", placement="receipt")
        result.treatment.treatment_id = "win_back/pos/receipt"
        result.treatment.channel = "pos"
        outcome = outcome_of(decision, result, common_pb2.OUTCOME_REJECTED, override_reason="in a hurry")
        assert (outcome.decision_id, outcome.treatment_id) == ("d1", "win_back/pos/receipt")
        assert (outcome.action, outcome.channel, outcome.placement) == ("win_back", "pos", "receipt")
        assert outcome.is_override
        assert not outcome.HasField("amount")
        assert not outcome_of(decision, result, common_pb2.OUTCOME_ACCEPTED).is_override

    def test_outcome_of_doing_nothing_needs_the_channel(self):
        """The row for doing nothing has no treatment, so the channel comes from the caller."""
        decision = decision_pb2.DecideResponse(decision_id="d1")
        outcome = outcome_of(decision, do_nothing(), common_pb2.OUTCOME_PRESENTED, channel="pos")
        assert outcome.channel == "pos"

    def test_snapshot_of_another_kind_is_refused(self):
        """A snapshot is a message, not a mapping; protobuf says so at once."""
        with pytest.raises((TypeError, ValueError)):
            ask(snapshot={"no_such_field": 1})
        assert customer_pb2.Snapshot.DESCRIPTOR.full_name == "loyalty.nextbest.v1.Snapshot"
