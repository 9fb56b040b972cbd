"""Client of the nextbest service, which says what is the best thing to do for this customer now.

    from nextbest_client import NextBestClient, actions_of, decide_request

    with NextBestClient("localhost:50051") as client:
        decision = client.decide(decide_request("4711", channel="call_centre", caller_role="agent"))
        for action in actions_of(decision):
            print(action.treatment.say, action.staff_reason)

`AsyncNextBestClient` is the same for asyncio, and `FakeNextBest` is a service for tests.
The messages and enums are in `loyalty.nextbest.v1`.
"""

from nextbest_client.async_client import AsyncNextBestClient
from nextbest_client.errors import (
    ClientError,
    Conflict,
    DeadlineExceeded,
    FieldViolation,
    InvalidRequest,
    NotAllowed,
    NotFound,
    NotSupported,
    ServiceFailed,
    ServiceUnavailable,
)
from nextbest_client.fake import FakeNextBest, recommended
from nextbest_client.options import ClientOptions
from nextbest_client.requests import (
    Value,
    context,
    customer_snapshot,
    decide_request,
    fact,
    outcome_of,
    timestamp,
)
from nextbest_client.shared import actions_of, is_fallback
from nextbest_client.sync_client import NextBestClient

__all__ = [
    "AsyncNextBestClient",
    "ClientError",
    "ClientOptions",
    "Conflict",
    "DeadlineExceeded",
    "FakeNextBest",
    "FieldViolation",
    "InvalidRequest",
    "NextBestClient",
    "NotAllowed",
    "NotFound",
    "NotSupported",
    "ServiceFailed",
    "ServiceUnavailable",
    "Value",
    "actions_of",
    "context",
    "customer_snapshot",
    "decide_request",
    "fact",
    "is_fallback",
    "outcome_of",
    "recommended",
    "timestamp",
]
