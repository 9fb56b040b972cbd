"""Questions on a stream: each is answered as soon as it can be, and none waits for another."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from functools import partial

from google.rpc.code_pb2 import Code

from loyalty.nextbest.v1 import common_pb2, decision_pb2
from nextbest.errors import InvalidInput, NextBestError
from nextbest.server.guard import log_fault
from nextbest.server.status import code_of, to_status, told_violations
from nextbest.server.tally import CALLS
from nextbest.server.wire import bytes_tag, sized, text

MAX_IN_FLIGHT = 256
"""Questions of one stream that may wait for answers; more are not read until some are answered."""

Decide = Callable[[decision_pb2.DecideRequest], "asyncio.Future[bytes]"]

_FIELDS = decision_pb2.DecideStreamResponse.DESCRIPTOR.fields_by_name
_REQUEST_ID, _DECISION = bytes_tag(_FIELDS, "request_id"), bytes_tag(_FIELDS, "decision")
_STATUS = bytes_tag(_FIELDS, "status")


async def answer_stream(
    questions: AsyncIterable[decision_pb2.DecideStreamRequest],
    decide: Decide,
    write: Callable[[bytes], Awaitable[None]],
) -> None:
    """Answer questions until the caller has no more; what is wrong with one stays with it.

    Args:
        questions: The caller's messages.
        decide: Starts a decision; the future holds a DecideResponse as bytes.
        write: Sends a DecideStreamResponse.
    """
    room = asyncio.Semaphore(MAX_IN_FLIGHT)
    ready: asyncio.Queue[bytes] = asyncio.Queue()
    async with asyncio.TaskGroup() as tasks:
        writer = tasks.create_task(_write_ready(ready, room, write))
        async for message in questions:
            await room.acquire()
            _start(message.request, decide, ready)
        for _ in range(MAX_IN_FLIGHT):  # all the room there is: nothing is on its way any more
            await room.acquire()
        writer.cancel()


def _start(request: decision_pb2.DecideRequest, decide: Decide, ready: "asyncio.Queue[bytes]") -> None:
    try:
        answer = decide(request)
    except Exception as error:
        ready.put_nowait(_failed(request, error))
    else:
        answer.add_done_callback(partial(_settle, ready, request))


def _settle(
    ready: "asyncio.Queue[bytes]", request: decision_pb2.DecideRequest, answer: "asyncio.Future[bytes]"
) -> None:
    error = answer.exception()
    if isinstance(error, Exception):
        ready.put_nowait(_failed(request, error))
        return
    CALLS["DecideStream", "OK"] += 1
    ready.put_nowait(text(_REQUEST_ID, request.request_id) + sized(_DECISION, answer.result()))


def _failed(request: decision_pb2.DecideRequest, error: Exception) -> bytes:
    """A message that says what is wrong with its request."""
    CALLS["DecideStream", Code.Name(Code.ValueType(code_of(error)))] += 1
    if not isinstance(error, NextBestError):
        log_fault(error, request, method="DecideStream")
    return text(_REQUEST_ID, request.request_id) + sized(_STATUS, status_of(error))


def status_of(error: BaseException) -> bytes:
    """An error as a Status of the contract."""
    status = to_status(error)
    violations = told_violations(error) if isinstance(error, InvalidInput) else ()
    return common_pb2.Status(
        code=status.code,
        message=status.message,
        violations=[common_pb2.Violation(field=v.field, description=v.description) for v in violations],
    ).SerializeToString()


async def _write_ready(
    ready: "asyncio.Queue[bytes]", room: asyncio.Semaphore, write: Callable[[bytes], Awaitable[None]]
) -> None:
    while True:
        await write(await ready.get())
        room.release()
