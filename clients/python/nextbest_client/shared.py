"""What the synchronous and the asynchronous client have in common; no input or output here."""

import uuid
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Protocol, cast

import grpc

from loyalty.nextbest.v1 import common_pb2, decision_pb2, interaction_pb2
from nextbest_client import errors
from nextbest_client.status_details import violations_of

FALLBACK_REASONS = {
    grpc.StatusCode.DEADLINE_EXCEEDED: decision_pb2.FALLBACK_REASON_DEADLINE,
    grpc.StatusCode.UNAVAILABLE: decision_pb2.FALLBACK_REASON_SERVICE_UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: decision_pb2.FALLBACK_REASON_SERVICE_UNAVAILABLE,
}
"""Statuses of a service that is late or away: the caller goes on without it."""
FALLBACK_MESSAGES = {
    grpc.StatusCode.DEADLINE_EXCEEDED: "the service did not answer in time",
    grpc.StatusCode.UNAVAILABLE: "the service could not be reached",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "the service is overloaded",
}
ERRORS: dict[grpc.StatusCode, type[errors.ClientError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: errors.InvalidRequest,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.PERMISSION_DENIED: errors.NotAllowed,
    grpc.StatusCode.UNAUTHENTICATED: errors.NotAllowed,
    grpc.StatusCode.UNIMPLEMENTED: errors.NotSupported,
    grpc.StatusCode.ABORTED: errors.Conflict,
    grpc.StatusCode.ALREADY_EXISTS: errors.Conflict,
    grpc.StatusCode.FAILED_PRECONDITION: errors.Conflict,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.UNAVAILABLE: errors.ServiceUnavailable,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.ServiceUnavailable,
}
"""Every other status is `ServiceFailed`."""

DO_NOTHING = "do_nothing"
"""Action id of doing nothing."""


class Failure(Protocol):
    """What both kinds of gRPC error can tell."""

    def code(self) -> grpc.StatusCode:
        """Status of the call."""
        ...

    def details(self) -> str | None:
        """Message of the status."""
        ...

    def trailing_metadata(self) -> Iterable[tuple[str, str | bytes]] | None:
        """Metadata that came with the status."""
        ...


def error_of(failure: Failure) -> errors.ClientError:
    """The exception for a call that failed."""
    code = failure.code()
    error_type = ERRORS.get(code, errors.ServiceFailed)
    return error_type(code, failure.details() or "", violations_of(failure.trailing_metadata()))


@contextmanager
def translated_errors() -> Generator[None]:
    """Turn gRPC errors inside the block into the client's own.

    Raises:
        ClientError: a call inside the block failed.
    """
    try:
        yield
    except grpc.RpcError as error:
        raise error_of(cast("Failure", error)) from error


def identified(request: decision_pb2.DecideRequest) -> decision_pb2.DecideRequest:
    """The request with a request_id, so that repeating it is safe; a copy where it had none."""
    if request.request_id:
        return request
    copy = decision_pb2.DecideRequest()
    copy.CopyFrom(request)
    copy.request_id = uuid.uuid4().hex
    return copy


def identified_outcome(outcome: interaction_pb2.CapturedOutcome) -> interaction_pb2.CapturedOutcome:
    """The outcome with an idempotency key, unless the service can make one from its decision."""
    if outcome.idempotency_key or outcome.decision_id:
        return outcome
    copy = interaction_pb2.CapturedOutcome()
    copy.CopyFrom(outcome)
    copy.idempotency_key = uuid.uuid4().hex
    return copy


def fallback_or_raise(
    request: decision_pb2.DecideRequest, error: grpc.RpcError
) -> decision_pb2.DecideResponse:
    """A fallback decision if the service is late or away and the request allows one.

    Raises:
        ClientError: the service answered with an error, or the request is strict.
    """
    failure = cast("Failure", error)
    if failure.code() not in FALLBACK_REASONS or is_strict(request):
        raise error_of(failure) from error
    return fallback_decision(request, failure.code())


def batch_fallback_or_raise(
    requests: Sequence[decision_pb2.DecideRequest], error: grpc.RpcError
) -> decision_pb2.DecideBatchResponse:
    """A fallback decision for each request if the service is late or away and all of them allow one.

    Raises:
        ClientError: the service answered with an error, or a request is strict.
    """
    failure = cast("Failure", error)
    if failure.code() not in FALLBACK_REASONS or any(map(is_strict, requests)):
        raise error_of(failure) from error
    decisions = [fallback_decision(request, failure.code()) for request in requests]
    return decision_pb2.DecideBatchResponse(
        items=[decision_pb2.DecideBatchItem(decision=decision) for decision in decisions]
    )


def is_strict(request: decision_pb2.DecideRequest) -> bool:
    """Whether the caller wants an error rather than a fallback decision."""
    return request.strictness == common_pb2.STRICTNESS_STRICT


def fallback_decision(
    request: decision_pb2.DecideRequest, code: grpc.StatusCode
) -> decision_pb2.DecideResponse:
    """The decision to do nothing that stands in for one that did not come."""
    return decision_pb2.DecideResponse(
        request_id=request.request_id,
        customer_id=request.customer_id,
        results=[do_nothing()],
        fallback=decision_pb2.Fallback(reason=FALLBACK_REASONS[code], message=FALLBACK_MESSAGES[code]),
    )


def do_nothing(rank: int = 1) -> decision_pb2.RankedAction:
    """The row for doing nothing."""
    return decision_pb2.RankedAction(
        rank=rank, action=DO_NOTHING, desired_action=common_pb2.DESIRED_ACTION_DO_NOTHING, score=0.0
    )


def actions_of(decision: decision_pb2.DecideResponse) -> list[decision_pb2.RankedAction]:
    """What the decision says to do, the best first; empty if nothing was worth doing."""
    return [
        result for result in decision.results if result.desired_action != common_pb2.DESIRED_ACTION_DO_NOTHING
    ]


def is_fallback(decision: decision_pb2.DecideResponse) -> bool:
    """Whether the decision was not made on the customer's data; `decision.fallback` says why."""
    return decision.HasField("fallback")


def explain_request(
    subject: decision_pb2.DecideRequest | str, *, customer_id: str, actions: Iterable[str], language: str
) -> decision_pb2.ExplainRequest:
    """A request to explain a situation, or a decision by its id."""
    request = decision_pb2.ExplainRequest(customer_id=customer_id, actions=actions, language=language)
    if isinstance(subject, str):
        request.decision_id = subject
    else:
        request.request.CopyFrom(subject)
    return request
