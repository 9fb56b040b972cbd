"""Around every handler: the request's id in the logs, and errors as gRPC statuses."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TypeVar

import grpc.aio
from structlog.contextvars import bound_contextvars

from nextbest.errors import NextBestError, StoreUnavailable
from nextbest.server.status import abort
from nextbest.telemetry import logger

S = TypeVar("S")
Request = TypeVar("Request")
Response = TypeVar("Response")
Context = grpc.aio.ServicerContext[Request, Response]
Handler = Callable[[S, Request, Context[Request, Response]], Awaitable[Response]]


def guarded(handler: Handler[S, Request, Response]) -> Handler[S, Request, Response]:
    """Log with the request's id, and end calls that fail with a status that says all that is wrong."""
    name = handler.__name__

    @wraps(handler)
    async def answer(self: S, request: Request, context: Context[Request, Response]) -> Response:
        with bound_contextvars(method=name, request_id=str(getattr(request, "request_id", ""))):
            try:
                return await handler(self, request, context)
            except StoreUnavailable as error:
                logger().warning("store_unavailable", error=str(error))
                failure: Exception = error
            except NextBestError as error:
                logger().info("refused", error=type(error).__name__)
                failure = error
            except Exception as error:
                logger().exception("internal_error")
                failure = error
            await abort(context, failure)
            raise AssertionError("abort always raises")

    return answer
