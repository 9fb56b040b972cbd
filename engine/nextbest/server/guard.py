"""Around every handler: the request's id in the logs, and errors as gRPC statuses."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TypeVar, cast

import grpc.aio
from structlog.contextvars import bound_contextvars

from nextbest.errors import NextBestError, StoreUnavailable
from nextbest.server.status import abort
from nextbest.telemetry import logger

H = TypeVar("H", bound=Callable[..., Awaitable[object]])


def guarded(handler: H) -> H:
    """Log with the request's id, and end calls that fail with a status that says all that is wrong."""
    name = handler.__name__

    @wraps(handler)
    async def answer(
        self: object, request: object, context: grpc.aio.ServicerContext[object, object]
    ) -> object:
        with bound_contextvars(method=name, request_id=request_id_of(request)):
            try:
                return await handler(self, request, context)
            except grpc.aio.AbortError:
                raise
            except Exception as error:
                _log(error)
                failure = error
            await abort(context, failure)
            raise AssertionError("abort always raises")

    return cast("H", answer)


def request_id_of(request: object) -> str:
    """The request's id, or that of the request it asks about; empty if it has none."""
    own = getattr(request, "request_id", None)
    about = getattr(request, "request", None)
    return str(own if own is not None else getattr(about, "request_id", ""))


def _log(error: Exception) -> None:
    """Log why a call failed; no text of ours holds a customer's id, so the caller's faults are named only."""
    match error:
        case StoreUnavailable():
            logger().warning("store_unavailable", error=str(error))
        case NextBestError():
            logger().info("refused", error=type(error).__name__)
        case _:
            logger().exception("internal_error")
