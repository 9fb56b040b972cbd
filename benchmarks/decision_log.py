"""What logging every decision costs the service, and what explanations cost those who do not ask for any.

Two services of the same rulebook on the same data, one with the log and one without (sampling rate 0),
take the same load in turn, round after round. The one with the log has to account for every decision:
written, or lost by a named cause. Explanations are timed in this process, on the same kernels.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from h2load import slice_of_load
from loyalty.nextbest.v1 import common_pb2
from nextbest.data.store import StoreOptions, open_store
from nextbest.decide import decide, explain
from rpc import (
    BATCH,
    EACH,
    EACH_QUICK,
    ROUNDS,
    ROUNDS_QUICK,
    SERVICE,
    Frames,
    Process,
    World,
    check_answers,
    ended,
    service,
)
from workload import CUSTOMERS, ENTRIES

SIDES = ("logged", "unlogged")
EXPLAINED = 64
"""Customers decided and explained at a time, as the service gathers them."""


def run(*, quick: bool) -> dict[str, float]:
    """Measure the log's cost and that of explanations.

    Returns:
        log.unary_ratio_to_no_log, log.unary_per_s, log.no_log_unary_per_s; log.unary_cpu_us and
        log.no_log_unary_cpu_us, processor microseconds a request; log.batch_ratio_to_no_log and
        log.batch_decisions_per_s; log.written_share of all decisions given; log.bytes_per_decision in Redis;
        explain.ratio_to_decide, what asking costs; explain.overhead_ratio, the time of decisions after a
        process has explained some to the time before.
    """
    with tempfile.TemporaryDirectory(prefix="nextbest-log-") as name:
        directory = Path(name)
        world = World(directory / "rules", CUSTOMERS)
        options = StoreOptions(data_directory=directory / "data", history_entries=ENTRIES)
        with asyncio.Runner() as runner:
            return runner.run(_measure(world, options, directory, quick=quick)) | _explanations(
                world, quick=quick
            )


async def _measure(world: World, options: StoreOptions, directory: Path, *, quick: bool) -> dict[str, float]:
    async with open_store(options, world.rulebook.catalogue) as store:
        await world.load(store)
        before = await _used(store.connection)
        found = await asyncio.to_thread(_serve, world, options.data_directory, directory, quick=quick)
        kept = await store.decisions.count()
        return found | {"log.bytes_per_decision": (await _used(store.connection) - before) / max(kept, 1)}


async def _used(connection) -> int:
    reply = await connection.execute("INFO", "memory")
    return int(next(line for line in reply.decode().splitlines() if line.startswith("used_memory:"))[12:])


def _serve(world: World, data: Path, directory: Path, *, quick: bool) -> dict[str, float]:
    rules = directory / "rules"
    servers = {
        "logged": service(rules, data),
        "unlogged": service(rules, data, NEXTBEST_DECISION_LOG_SAMPLING="0"),
    }
    with ended(*servers.values()):
        for side in SIDES:
            check_answers(str(servers[side].ready["address"]), world, seed=1)
        load = _Load(servers, Frames(directory, world.ids))
        rounds, each = (ROUNDS_QUICK, EACH_QUICK) if quick else (ROUNDS, EACH)
        unary, batch = load.unary(rounds, each), load.batches(rounds, max(each // BATCH, 10))
        said = {side: servers[side].stop("stopped") for side in SIDES}
    fates = said["logged"]["decision_log"]
    assert isinstance(fates, dict)
    given = load.given["logged"] + 50  # those of check_answers
    if sum(fates.values()) != given:
        raise AssertionError(f"the log accounts for {fates} of {given} decisions")
    return unary | batch | {"log.written_share": fates["written"] / given}


class _Load:
    """The same load on both services in turn."""

    def __init__(self, servers: dict[str, Process], frames: Frames) -> None:
        self._servers = servers
        self._frames = frames
        self.given = dict.fromkeys(SIDES, 0)

    def unary(self, rounds: int, each: int) -> dict[str, float]:
        """Medians of unary decisions."""
        self._round("Decide", each, 8, 1)
        found = [self._round("Decide", each, 8, 1) for _ in range(rounds)]
        return {
            "log.unary_ratio_to_no_log": statistics.median(f["logged"][0] / f["unlogged"][0] for f in found),
            "log.unary_per_s": statistics.median(f["logged"][0] for f in found),
            "log.no_log_unary_per_s": statistics.median(f["unlogged"][0] for f in found),
            "log.unary_cpu_us": statistics.median(f["logged"][1] for f in found),
            "log.no_log_unary_cpu_us": statistics.median(f["unlogged"][1] for f in found),
        }

    def batches(self, rounds: int, each: int) -> dict[str, float]:
        """Medians of decisions in batches."""
        found = [self._round("DecideBatch", each, 2, BATCH) for _ in range(rounds)]
        return {
            "log.batch_ratio_to_no_log": statistics.median(f["logged"][0] / f["unlogged"][0] for f in found),
            "log.batch_decisions_per_s": statistics.median(f["logged"][0] for f in found),
        }

    def _round(self, method: str, each: int, streams: int, decisions: int) -> dict[str, tuple[float, float]]:
        """Decisions a second, and processor microseconds a decision, of each side."""
        totals = {side: np.zeros(3) for side in SIDES}
        for side in (*SIDES, *reversed(SIDES)):
            server = self._servers[side]
            before = server.cpu_s()
            frames = self._frames.batch() if decisions > 1 else self._frames.unary(common_pb2.VIEW_BASIC)
            done = slice_of_load(str(server.ready["address"]), f"{SERVICE}/{method}", frames, each, streams)
            n = done.requests * decisions
            self.given[side] += n
            totals[side] += (n, done.seconds, server.cpu_s() - before)
        return {side: (n / seconds, 1e6 * cpu_s / n) for side, (n, seconds, cpu_s) in totals.items()}


def _explanations(world: World, *, quick: bool) -> dict[str, float]:
    picked = np.random.default_rng(3).choice(len(world.ids), EXPLAINED, replace=False)
    arguments = world.arguments(picked)

    def deciding() -> None:
        decide(world.model, *arguments)

    def explaining() -> None:
        explain(world.model, *arguments)

    times = 20 if quick else 100
    _seconds(deciding, times)
    before = [_seconds(deciding, times) for _ in range(5)]
    _seconds(explaining, 3)
    explained, after = [], []
    for _ in range(5):
        explained.append(_seconds(explaining, times // 4) * 4)
        deciding()  # what an explanation has driven out of the processor's caches comes back
        after.append(_seconds(deciding, times))
    return {
        "explain.ratio_to_decide": statistics.median(explained) / statistics.median(before),
        "explain.overhead_ratio": min(after) / min(before),
    }


def _seconds(work: Callable[[], None], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        work()
    return time.perf_counter() - start
