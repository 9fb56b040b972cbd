"""Around every handler: the request's id in the logs, and errors as gRPC statuses."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Protocol, TypeVar, cast

import grpc.aio
from structlog.contextvars import bound_contextvars

from nextbest.errors import NextBestError, StoreUnavailable
from nextbest.server.status import abort
from nextbest.telemetry import logger

Q = TypeVar("Q")
R = TypeVar("R")
H = TypeVar("H", bound=Callable[..., Awaitable[object]])


class Request(Protocol):
    """A request that may carry its own id."""

    request_id: str


def guarded(handler: H) -> H:
    """Log with the request's id, and end calls that fail with a status that says all that is wrong."""
    name = handler.__name__

    @wraps(handler)
    async def answer(
        self: object, request: Request, context: grpc.aio.ServicerContext[object, object]
    ) -> object:
        with bound_contextvars(method=name, request_id=getattr(request, "request_id", "")):
            try:
                return await handler(self, request, context)
            except StoreUnavailable as error:
                logger().warning("store_unavailable", error=str(error))
                failure: Exception = error
            except NextBestError as error:
                logger().info("refused", error=type(error).__name__)
                failure = error
            except grpc.aio.AbortError:
                raise
            except Exception as error:
                logger().exception("internal_error")
                failure = error
            await abort(context, failure)
            raise AssertionError("abort always raises")

    return cast("H", answer)


async def not_built(context: grpc.aio.ServicerContext[Q, R], what: str) -> R:
    """End a call of the contract that the service cannot answer yet."""
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{what} is not built yet")
    raise AssertionError("abort always raises")
