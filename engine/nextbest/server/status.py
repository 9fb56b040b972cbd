"""The one table that maps errors to gRPC statuses with machine-readable details."""

from collections.abc import Mapping
from typing import TypeVar

import grpc.aio
from google.protobuf import any_pb2, duration_pb2
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from nextbest.errors import (
    AnswerTooLarge,
    ArtifactError,
    CatalogueError,
    CustomerErased,
    CustomerUnknown,
    DeadlinePassed,
    DecisionNotReplayable,
    DecisionUnknown,
    DecisionUnreadable,
    ErasureUnfinished,
    IdentifierTaken,
    InvalidInput,
    LogFull,
    NextBestError,
    NotBuilt,
    RulebookCompileError,
    SnapshotUnreadable,
    StoredWrongly,
    StoreUnavailable,
    Violation,
)

Request = TypeVar("Request")
Response = TypeVar("Response")

DOMAIN = "nextbest"
RETRY_AFTER_S = 1
MAX_TEXT = 200
"""Longest field path or description that is repeated to the caller, in characters."""
MAX_MESSAGE_BYTES = 1200
"""Longest message of ours: it may end with the command to run, so only what is beyond reason is cut."""
MAX_VIOLATIONS_BYTES = 3000
"""A status travels in headers, of which gRPC takes 8 KiB: a longer one would not arrive at all."""

CODES: Mapping[type[NextBestError], tuple[int, str]] = {
    IdentifierTaken: (Code.ALREADY_EXISTS, "IDENTIFIER_TAKEN"),
    InvalidInput: (Code.INVALID_ARGUMENT, "INVALID_INPUT"),
    CustomerErased: (Code.NOT_FOUND, "CUSTOMER_ERASED"),
    CustomerUnknown: (Code.NOT_FOUND, "CUSTOMER_UNKNOWN"),
    SnapshotUnreadable: (Code.DATA_LOSS, "SNAPSHOT_UNREADABLE"),
    StoredWrongly: (Code.DATA_LOSS, "STORED_WRONGLY"),
    StoreUnavailable: (Code.UNAVAILABLE, "STORE_UNAVAILABLE"),
    DeadlinePassed: (Code.DEADLINE_EXCEEDED, "DEADLINE_PASSED"),
    DecisionUnknown: (Code.NOT_FOUND, "DECISION_UNKNOWN"),
    DecisionUnreadable: (Code.DATA_LOSS, "DECISION_UNREADABLE"),
    DecisionNotReplayable: (Code.FAILED_PRECONDITION, "DECISION_NOT_REPLAYABLE"),
    LogFull: (Code.RESOURCE_EXHAUSTED, "DECISION_LOG_FULL"),
    AnswerTooLarge: (Code.RESOURCE_EXHAUSTED, "ANSWER_TOO_LARGE"),
    NotBuilt: (Code.UNIMPLEMENTED, "NOT_BUILT"),
    RulebookCompileError: (Code.FAILED_PRECONDITION, "RULEBOOK_DOES_NOT_COMPILE"),
    CatalogueError: (Code.FAILED_PRECONDITION, "CATALOGUE_CONFLICT"),
    ArtifactError: (Code.FAILED_PRECONDITION, "ARTIFACT_UNUSABLE"),
}
"""gRPC code and reason of every error a client can cause or act on; all others are INTERNAL.

The first that fits counts: an error stands before the one it is a kind of."""


def to_status(error: BaseException) -> Status:
    """Describe an error as google.rpc.Status; what is not ours becomes a bland INTERNAL."""
    for kind, (code, reason) in CODES.items():
        if isinstance(error, kind):
            return Status(code=code, message=_message(error), details=_details(error, reason))
    return Status(code=Code.INTERNAL, message="internal error; see the service's log")


def code_of(error: BaseException) -> int:
    """The gRPC code that `to_status` gives."""
    return next((code for kind, (code, _) in CODES.items() if isinstance(error, kind)), Code.INTERNAL)


def told_violations(error: InvalidInput) -> list[Violation]:
    """The violations as callers are told them: texts cut, and as many as fit; the rest is counted."""
    told = [Violation(cut(v.field), cut(v.description)) for v in error.violations]
    room = MAX_VIOLATIONS_BYTES
    for place, violation in enumerate(told):
        room -= len(violation.field.encode()) + len(violation.description.encode()) + 8
        if room < 0:
            return [*told[:place], Violation("", f"and {len(told) - place} more")]
    return told


def cut(text: str) -> str:
    """A text that may be the caller's own, short enough to be repeated."""
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def _message(error: NextBestError) -> str:
    """What callers are told; where the store is and why it fails is for the log."""
    match error:
        case ErasureUnfinished():
            return _whole(error)
        case StoredWrongly():
            return (
                "under a key of this customer lies what is of another type; erase the customer, or remove it"
            )
        case StoreUnavailable():
            return "the snapshot store does not answer"
        case InvalidInput():
            first, *others = error.violations
            rest = f"; and {len(others)} more" if others else ""
            return f"{cut(first.field)}: {cut(first.description)}{rest}"
        case _:
            return _whole(error)


def _whole(error: NextBestError) -> str:
    """A message of ours, in its length; it is percent-encoded on its way, which triples what is not ASCII."""
    text = str(error)
    if len(text.encode()) <= MAX_MESSAGE_BYTES:
        return text
    return f"{text.encode()[:MAX_MESSAGE_BYTES].decode(errors='ignore')}…"


def _details(error: NextBestError, reason: str) -> list[any_pb2.Any]:
    details = [_packed(ErrorInfo(reason=reason, domain=DOMAIN))]
    if isinstance(error, InvalidInput):
        violations = [
            BadRequest.FieldViolation(field=v.field, description=v.description)
            for v in told_violations(error)
        ]
        details.append(_packed(BadRequest(field_violations=violations)))
    if isinstance(error, (StoreUnavailable, LogFull)) and not isinstance(error, StoredWrongly):
        delay = duration_pb2.Duration(seconds=RETRY_AFTER_S)
        details.append(_packed(RetryInfo(retry_delay=delay)))
    if isinstance(error, (RulebookCompileError, CatalogueError, ArtifactError, DecisionNotReplayable)):
        violation = PreconditionFailure.Violation(type=reason, description=_whole(error))
        details.append(_packed(PreconditionFailure(violations=[violation])))
    return details


def _packed(
    message: ErrorInfo | BadRequest | RetryInfo | PreconditionFailure,
) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


async def abort(context: grpc.aio.ServicerContext[Request, Response], error: Exception) -> None:
    """End a call with the status of `error`."""
    status = rpc_status.to_status(to_status(error))
    await context.abort(status.code, status.details, status.trailing_metadata)
