"""Around every handler: the request's id in the logs, and errors as gRPC statuses."""

import re
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TypeVar, cast

import grpc.aio
from google.rpc.code_pb2 import Code

from nextbest.data.keys import MAX_REQUEST_ID_BYTES
from nextbest.errors import InvalidInput, NextBestError, StoreUnavailable
from nextbest.server.status import abort, code_of
from nextbest.server.tally import CALLS
from nextbest.telemetry import enter_call, logger, pseudonym

MAX_FIELDS = 8
_OWN_PATH = re.compile(r"[a-z_]*(\[\d+\])?(\.[a-z_]+(\[\d+\])?)?")
"""The first two steps of a path; what follows may be the name of a fact as the caller wrote it."""

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
            _log(error, request)
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


def _log(error: Exception, request: object) -> None:
    """Log why a call failed; of what the caller wrote only where it was wrong, for it may name a customer."""
    match error:
        case StoreUnavailable():
            logger().warning("store_unavailable", error=str(error), **_about(request))
        case NextBestError():
            code = Code.Name(Code.ValueType(code_of(error)))
            faults = {"fields": wrong_fields(error)} if isinstance(error, InvalidInput) else {}
            logger().info("refused", error=type(error).__name__, code=code, **faults, **_about(request))
        case _:
            log_fault(error, request)


def log_fault(error: BaseException, request: object, **where: object) -> None:
    """Log an error that was not foreseen: one line with its trace, and which request it was.

    Args:
        error: what went wrong.
        request: the request, or the one of many, that it went wrong with.
        where: what else helps to find it.
    """
    about = {"request_id": request_id_of(request), **_about(request), **where}
    logger().error("internal_error", exc_info=error, **about)


def wrong_fields(error: InvalidInput) -> list[str]:
    """Where the faults of a request are, without names that the caller made up; the first few."""
    paths = [_OWN_PATH.match(violation.field) for violation in error.violations[:MAX_FIELDS]]
    return [path.group() for path in paths if path]


def _about(request: object) -> dict[str, str]:
    """Whom a request is about, as a stand-in, and in which channel; what it does not say is left out."""
    about = {"customer": _customer_of(request), "channel": _text(request, "channel")[:MAX_REQUEST_ID_BYTES]}
    return {name: value for name, value in about.items() if value}


def _customer_of(request: object) -> str:
    for part in (request, getattr(request, "request", None), getattr(request, "snapshot", None)):
        if customer_id := _text(part, "customer_id"):
            return pseudonym(customer_id)
    return ""


def _text(message: object, field: str) -> str:
    value: object = getattr(message, field, "")
    return value if isinstance(value, str) else ""
