"""Questions on streams, as fast as they are answered.

    python benchmarks/stream_load.py ADDRESS MESSAGES STREAMS CUSTOMERS

Every question has another customer and a request_id of its own, as the contract asks for; answers are
counted, and any that is no decision is an error. The driver is Python in a process of its own and shares
the machine with the service, so what it finds is a lower bound: see the service's processor time beside it.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator

import grpc.aio
import uvloop

from loyalty.nextbest.v1 import common_pb2, decision_pb2
from workload import customer_ids

METHOD = "/loyalty.nextbest.v1.DecisionService/DecideStream"
IN_FLIGHT = 64
"""Questions of a stream without an answer yet."""


def _questions(count: int, stream: int, customers: list[str]) -> Iterator[bytes]:
    mark = time.monotonic_ns()
    for number in range(count):
        request = decision_pb2.DecideRequest(
            customer_id=customers[(stream * 7919 + number) % len(customers)],
            request_id=f"{mark}-{stream}-{number}",
            channel="pos",
            direction=common_pb2.DIRECTION_INBOUND,
            view=common_pb2.VIEW_BASIC,
        )
        yield decision_pb2.DecideStreamRequest(request=request).SerializeToString()


async def _run_stream(channel: grpc.aio.Channel, questions: list[bytes]) -> int:
    """Keep so many questions in flight; gives the number of decisions."""
    call = channel.stream_stream(METHOD)()
    room = asyncio.Semaphore(IN_FLIGHT)

    async def send() -> None:
        for question in questions:
            await room.acquire()
            await call.write(question)
        await call.done_writing()

    sender = asyncio.create_task(send())
    decided = 0
    while (answer := await call.read()) is not grpc.aio.EOF:
        room.release()
        decided += _is_decision(answer)
    await sender
    return decided


def _is_decision(answer: bytes) -> bool:
    """Whether an answer holds a decision on data; read whole, as a caller would."""
    message = decision_pb2.DecideStreamResponse.FromString(answer)
    return message.WhichOneof("result") == "decision" and not message.decision.HasField("fallback")


async def _main(address: str, messages: int, streams: int, customers: int) -> dict[str, float]:
    ids = customer_ids(customers)
    loads = [list(_questions(messages // streams, stream, ids)) for stream in range(streams)]
    async with grpc.aio.insecure_channel(address) as channel:
        start = time.perf_counter()
        decided = sum(await asyncio.gather(*(_run_stream(channel, load) for load in loads)))
        seconds = time.perf_counter() - start
    return {"sent": float(sum(map(len, loads))), "decided": float(decided), "seconds": seconds}


if __name__ == "__main__":
    address, messages, streams, customers = sys.argv[1:]
    print(json.dumps(uvloop.run(_main(address, int(messages), int(streams), int(customers)))))
