"""Latency under open load: requests are sent when they are due, whether or not replies have come.

    python benchmarks/open_loop.py ADDRESS RATE SECONDS CUSTOMERS

Latency counts from the time a request was due, so a stall is paid by everyone who would have come
meanwhile. Arrivals are Poisson, every request has another customer and a request_id of its own, as a
till's client sends it. The driver is Python and shares the machine with the service: it is itself late
at times, which it reports (`late_ms`), and above some 3,000/s it becomes the bottleneck; its figures
are upper bounds.
"""

import asyncio
import gc
import json
import random
import sys
import time

import grpc.aio
import uvloop

from loyalty.nextbest.v1 import common_pb2, decision_pb2
from workload import SEED, customer_ids

METHOD = "/loyalty.nextbest.v1.DecisionService/Decide"
CHANNELS = 4
WARM_S = 1.0
SHORTEST = 200
"""Bytes; a fallback decision is shorter than any ranking, so that nothing longer need be read here."""


def _request(customer: str, number: int) -> bytes:
    return decision_pb2.DecideRequest(
        customer_id=customer,
        request_id=f"{SEED}-{time.monotonic_ns()}-{number}",
        channel="pos",
        direction=common_pb2.DIRECTION_INBOUND,
        view=common_pb2.VIEW_BASIC,
    ).SerializeToString()


class _Driver:
    def __init__(self, address: str, customers: list[str]) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channels = [grpc.aio.insecure_channel(address, options=options) for _ in range(CHANNELS)]
        self._calls = [channel.unary_unary(METHOD) for channel in self._channels]
        self._customers = customers
        self._tasks: set[asyncio.Task[None]] = set()
        self.latencies: list[float] = []
        self.late: list[float] = []
        self.failures: list[str] = []

    async def run(self, rate: float, seconds: float) -> None:
        """Send at `rate` for `seconds`, then wait for what is under way."""
        rng = random.Random(SEED)
        due, end, number = time.perf_counter(), time.perf_counter() + seconds, 0
        while due < end:
            wait = due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            self.late.append(max(time.perf_counter() - due, 0.0))
            message = _request(rng.choice(self._customers), number)
            task = asyncio.create_task(self._ask(self._calls[number % CHANNELS], message, due))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            number += 1
            due += rng.expovariate(rate)
        await asyncio.gather(*self._tasks)

    async def _ask(self, call: grpc.aio.UnaryUnaryMultiCallable, message: bytes, due: float) -> None:
        try:
            reply = await call(message, timeout=5.0)
        except grpc.aio.AioRpcError as error:
            self.failures.append(f"{error.code().name}: {error.details()}")
            return
        self.latencies.append(time.perf_counter() - due)
        if len(reply) < SHORTEST:
            self.failures.append(str(decision_pb2.DecideResponse.FromString(reply).fallback.message))

    async def close(self) -> None:
        """Close the connections."""
        for channel in self._channels:
            await channel.close()


async def main(address: str, rate: float, seconds: float, customers: int) -> None:
    """Measure and print the figures as JSON."""
    driver = _Driver(address, customer_ids(customers))
    await driver.run(rate, WARM_S)
    driver.latencies.clear()
    driver.late.clear()
    gc.collect()
    gc.disable()
    await driver.run(rate, seconds)
    await driver.close()
    figures = {f"p{q}_ms": _quantile(driver.latencies, q / 100) for q in (50, 90, 99)}
    late = {"late_p99_ms": _quantile(driver.late, 0.99)}
    print(json.dumps(figures | late | {"requests": len(driver.latencies), "failures": driver.failures}))


def _quantile(values: list[float], q: float) -> float:
    ordered = sorted(values)
    return 1e3 * ordered[min(int(q * len(ordered)), len(ordered) - 1)]


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
