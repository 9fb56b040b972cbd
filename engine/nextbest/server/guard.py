"""Around every handler: the request's id in the logs, and errors as gRPC statuses."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TypeVar, cast

import grpc.aio
from google.rpc.code_pb2 import Code

from nextbest.data.keys import MAX_REQUEST_ID_BYTES
from nextbest.errors import NextBestError, StoreUnavailable
from nextbest.server.status import abort, code_of
from nextbest.server.tally import CALLS
from nextbest.telemetry import enter_call, logger

H = TypeVar("H", bound=Callable[..., Awaitable[object]])


def guarded(handler: H) -> H:
    """Log with the request's id, and end calls that fail with a status that says all that is wrong."""
    name = handler.__name__

    @wraps(handler)
    async def answer(
        self: object, request: object, context: grpc.aio.ServicerContext[object, object]
    ) -> object:
        enter_call(name, request_id_of(request))
        try:
            answered = await handler(self, request, context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            _log(error)
            CALLS[name, Code.Name(Code.ValueType(code_of(error)))] += 1
            failure = error
        else:
            CALLS[name, "OK"] += 1
            return answered
        await abort(context, failure)
        raise AssertionError("abort always raises")

    return cast("H", answer)


def request_id_of(request: object) -> str:
    """The request's id, or that of the request it asks about; empty if it has none.

    Not checked yet, so no more of it goes into the logs than a right one is long.
    """
    own = getattr(request, "request_id", None)
    if own is None:
        own = getattr(getattr(request, "request", None), "request_id", "")
    return str(own)[:MAX_REQUEST_ID_BYTES]


def _log(error: Exception) -> None:
    """Log why a call failed; no text of ours holds a customer's id, so the caller's faults are named only."""
    match error:
        case StoreUnavailable():
            logger().warning("store_unavailable", error=str(error))
        case NextBestError():
            logger().info("refused", error=type(error).__name__)
        case _:
            logger().exception("internal_error")
