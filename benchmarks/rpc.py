"""Serving: 1,000 rules, snapshots of 60 facts and 20 history entries from Redis, over gRPC.

The service is `nextbest serve` in a process of its own, on an embedded redis-server in another; the
load comes from h2load. The peer is an empty grpc.aio handler on uvloop that parses the same requests
and returns ready bytes of the service's own reply. Both run in turn, round after round, on the same
load. Answers are compared with `decide` in this process before and after, and every request that was
sent must be among the successes that the service itself has counted.
"""

import asyncio
import datetime as dt
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from h2load import frame, slice_of_load
from loyalty.nextbest.v1 import common_pb2, decision_pb2
from nextbest.assembly import Model, assemble
from nextbest.data.store import Store, StoreOptions, open_store
from nextbest.decide import decide
from nextbest.fitted import pack_grid, pack_ltv
from nextbest.id_check import id_checks_of
from nextbest.model import Contexts, Decisions, DecisionState, Histories, Ring, Rows, Term
from nextbest.rows import split_rows
from nextbest.rulebook.compile import compile_rulebook
from nextbest_client import NextBestClient
from workload import (
    CUSTOMERS,
    ENTRIES,
    NOW,
    Shape,
    artifacts,
    contacts,
    customer_ids,
    customers,
    write_rulebook,
)

SHAPE = Shape(actions=1_000, predicates_a_rule=5, distinct_predicates=1_500)
HERE = Path(__file__).resolve().parent
SERVICE = "/loyalty.nextbest.v1.DecisionService"
PROCESSES = 4
"""h2load processes, each with one connection, eight requests in flight and a customer of its own."""
ROUNDS, ROUNDS_QUICK = 7, 3
EACH, EACH_QUICK = 1_500, 300
"""Requests an h2load process sends in one slice; a round is two slices of each kind."""
BATCH = 100
STREAMS = 4
SAMPLE = 50
MEMORY, MEMORY_QUICK = 1_000_000, 50_000
OPEN_LOOP_S, OPEN_LOOP_QUICK_S = 20.0, 3.0
STARTS, STARTS_QUICK = 5, 2
TIMEOUT_S = 60.0


class Process:
    """A server in a process of its own that says JSON lines about itself."""

    def __init__(self, command: Sequence[str], said: str, **settings: str) -> None:
        environment = os.environ | _QUIET | settings
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        self._lines: list[dict[str, object]] = []
        self._said = threading.Condition()
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        self.ready = self.wait_for(said)

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            try:
                found = json.loads(line)
            except ValueError:
                found = {"text": line}
            with self._said:
                self._lines.append(found)
                self._said.notify_all()

    def wait_for(self, key: str) -> dict[str, object]:
        """The first line with the key, or whose event has the name."""

        def found() -> dict[str, object] | None:
            return next((e for e in self._lines if key in e or e.get("event") == key), None)

        with self._said:
            if not self._said.wait_for(lambda: found() or self._process.poll() is not None, TIMEOUT_S):
                raise RuntimeError(f"no {key} within {TIMEOUT_S:g} s")
            line = found()
        if line is None:
            raise RuntimeError(f"ended without {key}: {self._lines[-20:]}")
        return line

    def cpu_s(self) -> float:
        """Processor seconds used so far, by the process and the kernel for it."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self, said: str) -> dict[str, object]:
        """End it; gives its last words."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(TIMEOUT_S)
        self._reader.join(TIMEOUT_S)
        return self.wait_for(said)

    def kill(self) -> None:
        """End it in any case."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(TIMEOUT_S)


_QUIET = {"NEXTBEST_LOG_LEVEL": "info", "NEXTBEST_REDIS_URL": ""}


def service(rulebook: Path, data: Path, **settings: str) -> Process:
    """A service on a rulebook and an embedded Redis."""
    as_of = dt.datetime.fromtimestamp(NOW, dt.UTC).isoformat()
    nextbest = str(Path(sys.executable).with_name("nextbest"))
    ports = ("--port", "0", "--rulebook-port", "0")
    where = ("--rulebook", str(rulebook), "--data-directory", str(data), "--as-of", as_of)
    return Process([nextbest, "serve", *ports, *where], "serving", **settings)


@contextmanager
def ended(*processes: Process) -> Iterator[None]:
    """End processes in any case."""
    try:
        yield
    finally:
        for process in processes:
            process.kill()


class World:
    """What the service is asked about, also at hand in this process."""

    def __init__(self, rulebook: Path, n: int) -> None:
        write_rulebook(rulebook, SHAPE)
        self.rulebook = compile_rulebook(rulebook)
        self.ids = customer_ids(n)
        self.rows = customers(self.rulebook.catalogue, n)
        self.model: Model = assemble(self.rulebook, artifacts(self.rulebook, self.rows))
        self.contacts = contacts(self.rulebook, n)

    async def load(self, store: Store) -> None:
        """Write artifacts, snapshots and histories."""
        grid, ltv = self.model.artifacts.grid, self.model.artifacts.ltv
        assert grid is not None
        assert ltv is not None
        packed = {"ltv": pack_ltv(ltv), "grid": pack_grid(grid, self.rulebook.catalogue.fingerprint)}
        digests = {role: await store.artifacts.put(content, now=NOW) for role, content in packed.items()}
        await store.artifacts.activate(digests, now=NOW)
        await load_snapshots(store, self.rows, self.ids)
        entries = await self._registered(store)
        for start in range(0, len(self.ids), 64):
            part = range(start, min(start + 64, len(self.ids)))
            await asyncio.gather(
                *(store.histories.append(self.ids[i], entries[i * ENTRIES : (i + 1) * ENTRIES]) for i in part)
            )

    async def _registered(self, store: Store) -> np.ndarray:
        """The contacts with the codes under which the store knows the rulebook's names."""
        entries = self.contacts.copy()
        for kind, index in (("action", self.rulebook.action_index), ("channel", self.rulebook.channel_index)):
            codes = await store.names.codes(kind, index)
            entries[kind] = np.array([codes[name] for name in index])[entries[kind]]
        return entries

    def decided(self, picked: np.ndarray) -> Decisions:
        """The answers for some customers, straight from `decide`."""
        return decide(self.model, *self.arguments(picked))

    def arguments(
        self, picked: np.ndarray
    ) -> tuple[Rows, Histories, Contexts, DecisionState, np.ndarray, np.ndarray]:
        """What `decide` and `explain` take after the model, for some customers."""
        n, rows = len(picked), self.rows
        entries = self.contacts.reshape(-1, ENTRIES)[picked].reshape(-1)
        complete = np.full(n, -np.inf)
        ring = Ring(entries, np.arange(n + 1, dtype=np.int64) * ENTRIES, complete)
        none, one = np.full(n, -1, np.int32), np.zeros(n, np.int32)
        contexts = Contexts(
            one, one, np.zeros(n, np.uint64), np.empty((n, 0), np.int32), one, none, np.full((n, 1), np.nan)
        )
        return (
            Rows(rows.as_of[picked], rows.numbers[picked], rows.words[picked], rows.known[picked]),
            Histories(ring, Histories.empty(n).events),
            contexts,
            DecisionState.initial(len(self.rulebook.actions)),
            np.full(n, NOW),
            np.zeros(n, np.uint64),
        )


async def load_snapshots(store: Store, rows: Rows, ids: Sequence[str]) -> None:
    """Write snapshots."""
    checks = id_checks_of([i.encode() for i in ids])
    matrix = store.snapshots.codec.assemble(rows.as_of, checks, rows.numbers, rows.words, rows.known)
    await store.snapshots.put_rows(ids, split_rows(matrix))


def request(
    customer: str, view: common_pb2.View.ValueType, *, at: float | None = None
) -> decision_pb2.DecideRequest:
    """What a till asks when a member is scanned."""
    message = decision_pb2.DecideRequest(
        customer_id=customer, channel="pos", direction=common_pb2.DIRECTION_INBOUND, view=view
    )
    if at is not None:
        message.evaluation_time.FromMicroseconds(round(at * 1e6))
    return message


def check_answers(address: str, world: World, seed: int) -> decision_pb2.DecideResponse:
    """Compare a sample of answers with `decide`: same actions, same scores; gives the largest."""
    picked = np.random.default_rng(seed).choice(len(world.ids), SAMPLE, replace=False)
    expected = world.decided(picked)
    largest = decision_pb2.DecideResponse()
    with NextBestClient(address) as client:
        for row, customer in enumerate(picked):
            reply = client.decide(request(world.ids[customer], common_pb2.VIEW_FULL, at=NOW))
            if reply.HasField("fallback"):
                raise AssertionError(f"a fallback decision: {reply.fallback.message}")
            places = range(int(expected.count[row]))
            wanted = [
                (
                    world.rulebook.actions[expected.action[row, p]].id,
                    float(expected.terms[row, p, Term.SCORE]),
                )
                for p in places
            ]
            if [(r.action, r.score) for r in reply.results[:-1]] != wanted:
                raise AssertionError(f"the service answers {reply.results}, decide says {wanted}")
            largest = max(largest, reply, key=lambda r: r.ByteSize())
    return largest


class Frames:
    """Files for h2load, each about other customers than the one before."""

    def __init__(self, directory: Path, ids: Sequence[str]) -> None:
        self._directory = directory
        self._ids = ids
        self._next = 0

    def unary(self, view: common_pb2.View.ValueType) -> list[Path]:
        """One request a process."""
        return [self._write(request(self._customer(), view)) for _ in range(PROCESSES)]

    def batch(self) -> list[Path]:
        """One batch a process."""
        view = common_pb2.VIEW_BASIC
        return [
            self._write(
                decision_pb2.DecideBatchRequest(
                    requests=[request(self._customer(), view) for _ in range(BATCH)]
                )
            )
            for _ in range(PROCESSES)
        ]

    def _customer(self) -> str:
        self._next += 1
        # A step that is prime to the count visits everyone before it comes back.
        return self._ids[self._next * 7919 % len(self._ids)]

    def _write(self, message: decision_pb2.DecideRequest | decision_pb2.DecideBatchRequest) -> Path:
        path = self._directory / f"frame-{self._next}"
        path.write_bytes(frame(message.SerializeToString()))
        return path


class Sides:
    """Ours and the peer under the same load in turn."""

    def __init__(self, ours: Process, empty: Process, frames: Frames) -> None:
        self._frames = frames
        self._servers = {"ours": ours, "empty": empty}
        self._addresses = {
            "ours": str(ours.ready["address"]),
            "empty": f"127.0.0.1:{empty.ready['port']}",
        }
        self.sent = {"ours": 0, "empty": 0}

    def round(self, view: common_pb2.View.ValueType, each: int) -> dict[str, tuple[float, float]]:
        """Requests a second, and processor microseconds a request, of each side."""
        totals = {side: [0, 0.0, 0.0] for side in self._servers}
        for side in ("ours", "empty", "empty", "ours"):
            before = self._servers[side].cpu_s()
            load = slice_of_load(self._addresses[side], f"{SERVICE}/Decide", self._frames.unary(view), each)
            cpu_s = self._servers[side].cpu_s() - before
            self.sent[side] += load.requests
            totals[side] = [
                a + b for a, b in zip(totals[side], (load.requests, load.seconds, cpu_s), strict=True)
            ]
        return {side: (n / seconds, 1e6 * cpu_s / n) for side, (n, seconds, cpu_s) in totals.items()}

    def compare(self, view: common_pb2.View.ValueType, rounds: int, each: int) -> dict[str, float]:
        """Medians over rounds; the ratio is the median of the rounds' ratios."""
        self.round(view, each)
        found = [self.round(view, each) for _ in range(rounds)]
        ratios = [r["ours"][0] / r["empty"][0] for r in found]
        return {
            "ratio": statistics.median(ratios),
            "ours_per_s": statistics.median(r["ours"][0] for r in found),
            "empty_per_s": statistics.median(r["empty"][0] for r in found),
            "ours_cpu_us": statistics.median(r["ours"][1] for r in found),
            "empty_cpu_us": statistics.median(r["empty"][1] for r in found),
        }

    def batches(self, rounds: int, each: int) -> float:
        """Decisions a second in batches."""
        rates: list[float] = []
        for _ in range(rounds):
            method = f"{SERVICE}/DecideBatch"
            load = slice_of_load(self._addresses["ours"], method, self._frames.batch(), each, streams=2)
            rates.append(load.requests * BATCH / load.seconds)
            self.sent["batches"] = self.sent.get("batches", 0) + load.requests
        return statistics.median(rates)


def run(*, quick: bool) -> dict[str, float]:
    """Measure serving beside an empty handler.

    Returns:
        rpc.unary_ratio_to_empty_handler, rpc.unary_per_s and rpc.empty_per_s with a till's view (BASIC),
        the same with `_full` for the default view; processor microseconds a request of both servers;
        rpc.batch_decisions_per_s; rpc.stream_per_s and its ratio to unary;
        rpc.p99_ms_at_half_load; start.ready_s; memory.bytes_per_customer.
    """
    with tempfile.TemporaryDirectory(prefix="nextbest-rpc-") as name:
        directory = Path(name)
        world = World(directory / "rules", CUSTOMERS)
        options = StoreOptions(data_directory=directory / "data", history_entries=ENTRIES)
        with asyncio.Runner() as runner:
            return runner.run(_measure(world, options, directory, quick=quick))


async def _measure(world: World, options: StoreOptions, directory: Path, *, quick: bool) -> dict[str, float]:
    """The store stays open all along, so that the embedded Redis does."""
    async with open_store(options, world.rulebook.catalogue) as store:
        await world.load(store)
        return await asyncio.to_thread(
            _serve_and_measure, world, options.data_directory, directory, quick=quick
        ) | (await _memory(world, store, MEMORY_QUICK if quick else MEMORY))


def _serve_and_measure(world: World, data: Path, directory: Path, *, quick: bool) -> dict[str, float]:
    rules = directory / "rules"
    starts = [_start_s(rules, data) for _ in range(STARTS_QUICK if quick else STARTS)]
    ours = service(rules, data)
    with ended(ours):
        ready = directory / "reply"
        figures: dict[str, float] = {"start.ready_s": statistics.median(starts)}
        for view, suffix in ((common_pb2.VIEW_BASIC, ""), (common_pb2.VIEW_FULL, "_full")):
            ready.write_bytes(_reply(str(ours.ready["address"]), world, view))
            figures |= _throughput(ours, ready, Frames(directory, world.ids), view, suffix, quick=quick)
        figures |= _streamed(ours, figures["rpc.unary_per_s"], quick=quick)
        figures |= _open_loop(ours, figures["rpc.unary_per_s"] / 2, quick=quick)
        check_answers(str(ours.ready["address"]), world, seed=2)
        ours.stop("stopped")
    return figures


def _reply(address: str, world: World, view: common_pb2.View.ValueType) -> bytes:
    """A checked reply of the service, which the peer will return."""
    largest = check_answers(address, world, seed=1)
    with NextBestClient(address) as client:
        return client.decide(request(largest.customer_id, view)).SerializeToString()


def _throughput(
    ours: Process, ready: Path, frames: Frames, view: common_pb2.View.ValueType, suffix: str, *, quick: bool
) -> dict[str, float]:
    empty = Process([sys.executable, str(HERE / "empty_server.py"), str(ready)], "port")
    with ended(empty):
        sides = Sides(ours, empty, frames)
        rounds, each = (ROUNDS_QUICK, EACH_QUICK) if quick else (ROUNDS, EACH)
        found = sides.compare(view, rounds, each)
        figures = {
            f"rpc.unary{suffix}_ratio_to_empty_handler": found["ratio"],
            f"rpc.unary{suffix}_per_s": found["ours_per_s"],
            f"rpc.empty{suffix}_per_s": found["empty_per_s"],
            f"rpc.unary{suffix}_cpu_us": found["ours_cpu_us"],
            f"rpc.empty{suffix}_cpu_us": found["empty_cpu_us"],
            f"rpc.reply{suffix}_bytes": float(ready.stat().st_size),
        }
        if view == common_pb2.VIEW_BASIC:
            figures["rpc.batch_decisions_per_s"] = sides.batches(rounds, max(each // BATCH, 10))
        answered = empty.stop("answered")["answered"]
        if answered != sides.sent["empty"]:
            raise AssertionError(f"the peer answered {answered} of {sides.sent['empty']}")
    return figures


def _streamed(ours: Process, unary_per_s: float, *, quick: bool) -> dict[str, float]:
    """Decisions a second over streams, each kept under its request id, which a unary one here is not."""
    rates: list[float] = []
    before, decided = ours.cpu_s(), 0.0
    for _ in range(ROUNDS_QUICK if quick else ROUNDS):
        command = [sys.executable, str(HERE / "stream_load.py"), str(ours.ready["address"])]
        sizes = (str((EACH_QUICK if quick else EACH) * 10), str(STREAMS), str(CUSTOMERS))
        done = subprocess.run([*command, *sizes], capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        if found["decided"] != found["sent"]:
            raise AssertionError(f"{found['sent']} questions on streams, {found['decided']} decisions")
        rates.append(found["decided"] / found["seconds"])
        decided += found["decided"]
    return {
        "rpc.stream_per_s": statistics.median(rates),
        "rpc.stream_ratio_to_unary": statistics.median(rates) / unary_per_s,
        "rpc.stream_cpu_us": 1e6 * (ours.cpu_s() - before) / decided,
    }


def _open_loop(ours: Process, rate: float, *, quick: bool) -> dict[str, float]:
    seconds = OPEN_LOOP_QUICK_S if quick else OPEN_LOOP_S
    command = [sys.executable, str(HERE / "open_loop.py"), str(ours.ready["address"])]
    done = subprocess.run(
        [*command, str(rate), str(seconds), str(CUSTOMERS)], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    if found["failures"]:
        raise AssertionError(f"requests failed under open load: {found['failures'][:5]}")
    return {
        "rpc.p99_ms_at_half_load": found["p99_ms"],
        "rpc.p50_ms_at_half_load": found["p50_ms"],
        "rpc.half_load_per_s": rate,
        "rpc.driver_late_p99_ms": found["late_p99_ms"],
    }


def _start_s(rules: Path, data: Path) -> float:
    """Seconds from the command to the first answer that says SERVING."""
    start = time.perf_counter()
    started = service(rules, data)
    with ended(started):
        with NextBestClient(str(started.ready["address"])) as client:
            client.wait_until_ready(timeout_ms=10_000)
            seconds = time.perf_counter() - start
        started.stop("stopped")
    return seconds


async def _memory(world: World, store: Store, n: int) -> dict[str, float]:
    """Redis' memory a customer for snapshots of 60 facts, beside what is loaded already."""
    ids = [f"m-{i:07d}" for i in range(n)]
    before = await _used(store)
    for start in range(0, n, CUSTOMERS):
        part = ids[start : start + CUSTOMERS]
        await load_snapshots(store, _first(world.rows, len(part)), part)
    return {"memory.bytes_per_customer": (await _used(store) - before) / n}


def _first(rows: Rows, n: int) -> Rows:
    return Rows(rows.as_of[:n], rows.numbers[:n], rows.words[:n], rows.known[:n])


async def _used(store: Store) -> int:
    reply = await store.connection.execute("INFO", "memory")
    assert isinstance(reply, bytes)
    return int(next(line for line in reply.decode().splitlines() if line.startswith("used_memory:"))[12:])


if __name__ == "__main__":
    for key, value in run(quick="--quick" in sys.argv).items():
        print(f"{key} {value:,.3f}")
