"""What the fake service remembers."""

import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import Message

from loyalty.nextbest.v1 import common_pb2, customer_pb2, decision_pb2, interaction_pb2
from nextbest_client.errors import FieldViolation
from nextbest_client.shared import do_nothing
from nextbest_client.status_details import DETAILS_KEY, status_details

DEFAULT_MAX_RESULTS = 3


@dataclass(frozen=True, slots=True)
class FakeFailure:
    """How a call is to fail."""

    code: grpc.StatusCode
    message: str
    violations: tuple[FieldViolation, ...]


@dataclass
class FakeMemory:
    """Answers that were chosen, and what came in; the lock guards what several calls write."""

    results: dict[str, list[decision_pb2.RankedAction]] = field(default_factory=dict)
    default_results: list[decision_pb2.RankedAction] = field(default_factory=list)
    fallbacks: dict[str, decision_pb2.FallbackReason.ValueType] = field(default_factory=dict)
    answer: Callable[[decision_pb2.DecideRequest], decision_pb2.DecideResponse] | None = None
    explanation: decision_pb2.ExplainResponse | None = None
    failures: deque[FakeFailure] = field(default_factory=deque)
    delay_ms: float = 0.0
    requests: list[Message] = field(default_factory=list)
    decisions: dict[str, decision_pb2.DecideResponse] = field(default_factory=dict)
    by_request: dict[tuple[str, str], decision_pb2.DecideResponse] = field(default_factory=dict)
    snapshots: dict[str, customer_pb2.Snapshot] = field(default_factory=dict)
    identifiers: dict[tuple[str, str], str] = field(default_factory=dict)
    histories: defaultdict[str, list[interaction_pb2.HistoryEntry]] = field(
        default_factory=lambda: defaultdict(list)
    )
    stopped: threading.Event = field(default_factory=threading.Event)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def receive(self, request: Message, context: grpc.ServicerContext) -> None:
        """Remember a request, wait if that was asked for, and fail the call if it is to fail."""
        with self.lock:
            self.requests.append(request)
            failure = self.failures.popleft() if self.failures else None
        self.stopped.wait(self.delay_ms / 1000)
        if failure is not None:
            abort(context, failure)

    def decide(self, request: decision_pb2.DecideRequest) -> decision_pb2.DecideResponse:
        """The decision that was chosen, or the one that was given for the request_id before."""
        with self.lock:
            customer_id = self.customer_of(request)
            kept = self.by_request.get((customer_id, request.request_id))
            if kept is not None:
                return kept
            decision = self.answer(request) if self.answer else self._chosen(request, customer_id)
            self.decisions[decision.decision_id] = decision
            if request.request_id:
                self.by_request[customer_id, request.request_id] = decision
            return decision

    def customer_of(self, request: decision_pb2.DecideRequest) -> str:
        """The customer that a request is about; empty if its identifier is not known."""
        if request.WhichOneof("customer") == "identifier":
            return self.identifiers.get((request.identifier.type, request.identifier.value), "")
        return request.customer_id

    def _chosen(self, request: decision_pb2.DecideRequest, customer_id: str) -> decision_pb2.DecideResponse:
        decision = decision_pb2.DecideResponse(
            decision_id=f"decision-{len(self.decisions) + 1}",
            request_id=request.request_id,
            customer_id=customer_id,
            rulebook_revision="fake",
            model_digest="fake",
            currency="DKK",
        )
        if request.HasField("evaluation_time"):
            decision.evaluation_time.CopyFrom(request.evaluation_time)
        reason = self._fallback_reason(customer_id)
        if reason:
            decision.fallback.CopyFrom(decision_pb2.Fallback(reason=reason, message="as the test asked for"))
        else:
            decision.results.extend(self._ranked(request, customer_id))
        decision.results.append(do_nothing(len(decision.results) + 1))
        return decision

    def _fallback_reason(self, customer_id: str) -> decision_pb2.FallbackReason.ValueType:
        if not customer_id:
            return decision_pb2.FALLBACK_REASON_CUSTOMER_UNKNOWN
        return self.fallbacks.get(customer_id, decision_pb2.FALLBACK_REASON_UNSPECIFIED)

    def _ranked(
        self, request: decision_pb2.DecideRequest, customer_id: str
    ) -> list[decision_pb2.RankedAction]:
        chosen = self.results.get(customer_id, self.default_results)
        shown = chosen[: request.max_results or DEFAULT_MAX_RESULTS]
        return [_placed(result, rank, request) for rank, result in enumerate(shown, start=1)]


def _placed(
    result: decision_pb2.RankedAction, rank: int, request: decision_pb2.DecideRequest
) -> decision_pb2.RankedAction:
    placed = decision_pb2.RankedAction()
    placed.CopyFrom(result)
    placed.rank = rank
    treatment = placed.treatment
    treatment.channel = treatment.channel or request.channel
    treatment.language = treatment.language or request.language
    parts = (placed.action, treatment.channel, treatment.placement)
    treatment.treatment_id = treatment.treatment_id or "/".join(part for part in parts if part)
    return placed


def abort(context: grpc.ServicerContext, failure: FakeFailure) -> None:
    """End a call with a failure, its violations in the status details."""
    if failure.violations:
        details = status_details(failure.code, failure.message, failure.violations)
        context.set_trailing_metadata(((DETAILS_KEY, details),))
    context.abort(failure.code, failure.message)


def identifiers_of(memory: FakeMemory, customer_id: str) -> list[common_pb2.Identifier]:
    """Identifiers that resolve to a customer."""
    return [
        common_pb2.Identifier(type=kind, value=value)
        for (kind, value), owner in memory.identifiers.items()
        if owner == customer_id
    ]
