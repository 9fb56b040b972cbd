"""The way of a decision into the log: a bounded queue, and one task that empties it in batches.

An answer never waits for Redis here, unless the log is set to hold decisions up rather than lose them.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from nextbest.clock import Clock, system_clock
from nextbest.data.connection import RedisConnection
from nextbest.data.decision_log import PER_SCRIPT, DecisionLogStore
from nextbest.decision_record import DecisionRecord
from nextbest.errors import LogFull, StoreRefused, StoreUnavailable
from nextbest.server.deciding import Answered
from nextbest.server.tally import LOGGED
from nextbest.telemetry import logger

LINGER_S = 0.005
"""Wait for more decisions before a small batch is written."""
IN_FLIGHT, MOST_IN_FLIGHT = 4, 32
"""Batches on their way at once, the second number if there are full ones, 8 MB: a busy loop sees a reply
late, and would leave Redis idle meanwhile."""
SEND_BUFFER = 4 << 20
"""Bytes that the kernel may hold for Redis. Its default for a socket of the same machine is 50 records, and a
busy loop could refill it once a turn only."""
PAUSE_S = 0.25
"""Wait before a batch that Redis did not take is tried again."""
REFUSALS = 4
"""A batch that Redis refuses so many times in a row is given up: it would hold up all others for ever."""
RESERVE_S = 0.01
"""Kept back from a caller's deadline while waiting for room: to decide and to answer."""
UPKEEP_S = 600.0
"""Expired handles leave the stream, and what was served is noted anew, so often."""
COMPLAIN_S = 10.0
"""At most one warning about losses in so long."""


class WhenFull(StrEnum):
    """What happens to a decision when the queue of the log is full."""

    DROP_OLDEST = "drop_oldest"
    """The oldest decision in the queue is lost, and counted. No answer ever waits."""
    WAIT = "wait"
    """The answer waits for room until shortly before its deadline; then it is given without being logged."""
    REFUSE = "refuse"
    """Nothing is decided that could not be logged: RESOURCE_EXHAUSTED."""


class Fate(StrEnum):
    """What became of a decision in the log."""

    WRITTEN = "written"
    SAMPLED_OUT = "sampled_out"
    """Left out by the sampling rate; so is every log of the same decision."""
    QUEUE_FULL = "lost_queue_full"
    DEADLINE = "lost_deadline"
    """Waited for room until its deadline."""
    STORE_REFUSED = "lost_store_refused"
    """Redis answers, but does not take it: most often it has no memory left."""
    ERASED = "lost_erased"
    """Its customer was erased while it was on its way."""
    UNPACKABLE = "lost_unpackable"
    """A fault of ours; the log has the cause."""
    SHUTDOWN = "lost_shutdown"
    """The service ended before Redis took it."""


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What is logged, and what happens when the log does not keep up."""

    sampling: float = 1.0
    """Share of decisions that are logged, chosen by decision id; 0 = no log."""
    when_full: WhenFull = WhenFull.DROP_OLDEST
    queue: int = 4096
    """Decisions that may wait to be written; some 5 KB each."""
    wait_s: float = 1.0
    """Longest wait for room of a request without a deadline."""
    masked: tuple[str, ...] = ()
    """Facts, and context keys as `context.<key>`, that are left out."""
    timeout_s: float = 2.0
    """After so long without a reply Redis counts as away."""


@dataclass(slots=True)
class _Queue:
    waiting: deque[Answered] = field(default_factory=deque[Answered])
    promised: int = 0
    """Room given to decisions that are being made."""
    in_hand: int = 0
    """Decisions being written."""


Pack = Callable[[Sequence[Answered]], list[DecisionRecord]]
IsSlow = Callable[[Answered], bool]
Upkeep = Callable[[], Awaitable[None]]


class DecisionLog:
    """Takes answers that were given, and writes them as fast as Redis takes them."""

    def __init__(
        self,
        store: DecisionLogStore,
        connection: RedisConnection,
        pack: Pack,
        options: LogOptions,
        clock: Clock = system_clock,
        *,
        is_slow: IsSlow = lambda _: False,
    ) -> None:
        """Prepare; `running` starts the writer.

        Args:
            store: writes records, over a connection of its own: large writes must not hold up reads.
            connection: that connection.
            pack: makes answers records; must not touch the loop.
            options: what to log, and how.
            clock: the wall clock, by which Redis names entries of the stream.
            is_slow: which answers are packed in a thread of the log's own, so that no other answer waits.
        """
        self._store = store
        self._connection = connection
        self._pack = pack
        self._is_slow = is_slow
        self._thread = ThreadPoolExecutor(1, "decision-log")  # one: more would only take turns with the loop
        self._options = options
        self._clock = clock
        self._queue = _Queue()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._due = asyncio.Event()
        self._written = asyncio.Event()
        self._closing = False
        self._sampled_below = round(options.sampling * 2.0**64)
        self._complained_at = float("-inf")
        self._upkeep: Upkeep | None = None
        self.may_hold_up = options.sampling > 0 and options.when_full is not WhenFull.DROP_OLDEST
        """Whether `room` must be asked for before deciding."""

    def keep_up(self, upkeep: Upkeep) -> None:
        """Do something now, and again every ten minutes, so that what is logged can be replayed."""
        self._upkeep = upkeep
        self._due.set()

    @property
    def backlog(self) -> int:
        """Decisions that are not written yet."""
        return len(self._queue.waiting) + self._queue.in_hand

    async def caught_up(self, within_s: float) -> None:
        """Return when everything that was added so far is written, or after so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.backlog:
                    self._room.clear()
                    await self._room.wait()

    def samples(self, decision_id: bytes) -> bool:
        """Whether a decision is among the share that is logged."""
        # The first half of the id seeds what is drawn at random: the sample must not depend on that.
        return int.from_bytes(decision_id[8:], "little") < self._sampled_below

    def add(self, answered: Answered) -> None:
        """Log an answer; returns at once.

        Cost: 0.5 µs.
        """
        if not self.samples(answered.decision_id):
            LOGGED[Fate.SAMPLED_OUT] += 1
            return
        waiting = self._queue.waiting
        if len(waiting) >= self._options.queue:
            if self._options.when_full is not WhenFull.DROP_OLDEST:
                self._lose(Fate.DEADLINE)
                return
            waiting.popleft()
            self._lose(Fate.QUEUE_FULL)
        waiting.append(answered)
        self._wake.set()

    @asynccontextmanager
    async def room(self, n: int, time_left_s: float | None) -> AsyncGenerator[None]:
        """Hold room in the queue for n decisions while they are made, where losing them is not allowed.

        Args:
            n: decisions.
            time_left_s: until the caller's deadline; None = there is none.

        Raises:
            LogFull: there is no room, and the log is set to refuse.
        """
        if not self.may_hold_up:
            yield
            return
        held = min(n, self._options.queue)
        if self._free < held:
            if self._options.when_full is WhenFull.REFUSE:
                self._complain()
                raise LogFull("the decision log does not keep up")
            await self._wait_for(held, time_left_s)
        self._queue.promised += held
        try:
            yield
        finally:
            self._queue.promised -= held
            self._room.set()

    @property
    def _free(self) -> int:
        return self._options.queue - len(self._queue.waiting) - self._queue.promised

    async def _wait_for(self, n: int, time_left_s: float | None) -> None:
        """Wait until there is room for n, or until there is no more time."""
        left_s = self._options.wait_s if time_left_s is None else max(time_left_s - RESERVE_S, 0.0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                while self._free < n:
                    self._room.clear()
                    await self._room.wait()

    @asynccontextmanager
    async def running(self, grace_s: float) -> AsyncGenerator["DecisionLog"]:
        """Write what is added; in the end write the rest, and count what Redis does not take in time.

        Args:
            grace_s: longest time for the rest.
        """
        if not self._sampled_below:
            yield self
            return
        writer, trimmer = asyncio.create_task(self._write_all()), asyncio.create_task(self._trim_all())
        upkeep = asyncio.create_task(self._keep_up())
        try:
            yield self
        finally:
            upkeep.cancel()
            self._closing = True
            self._wake.set()
            await asyncio.wait([writer], timeout=max(grace_s, LINGER_S))
            writer.cancel()
            trimmer.cancel()
            await asyncio.gather(writer, trimmer, upkeep, return_exceptions=True)
            self._thread.shutdown(wait=False, cancel_futures=True)
            if self.backlog:
                LOGGED[Fate.SHUTDOWN] += self.backlog
                logger().error("decisions_not_logged", count=self.backlog, fate=Fate.SHUTDOWN)

    async def _write_all(self) -> None:
        writing: set[asyncio.Task[None]] = set()
        try:
            while await self._has_work():
                # All that came in the last turn of the loop goes in this one: a busy loop has long turns.
                for _ in range(self._batches(len(writing))):
                    writing.add(asyncio.create_task(self._log(self._next_batch())))
                await asyncio.sleep(0)  # they are sent now
                writing = {task for task in writing if not task.done()}
                if not self._batches(len(writing)) and len(writing) >= IN_FLIGHT:
                    _, writing = await asyncio.wait(writing, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.gather(*writing)
        finally:
            for task in writing:
                task.cancel()
            await asyncio.gather(*writing, return_exceptions=True)

    async def _has_work(self) -> bool:
        """Wait for decisions to write, for a batch of them if that comes soon; False = there will be none."""
        waiting = self._queue.waiting
        if not waiting:
            if self._closing:
                return False
            self._wake.clear()
            await self._wake.wait()
        if len(waiting) < PER_SCRIPT and not self._closing:
            await asyncio.sleep(LINGER_S)
        return bool(waiting) or not self._closing

    def _batches(self, on_their_way: int) -> int:
        """How many may be sent now beside those on their way."""
        waiting = len(self._queue.waiting)
        most = IN_FLIGHT if waiting < PER_SCRIPT else MOST_IN_FLIGHT
        return max(min(-(-waiting // PER_SCRIPT), most - on_their_way), 0)

    def _next_batch(self) -> list[Answered]:
        waiting = self._queue.waiting
        batch = [waiting.popleft() for _ in range(min(len(waiting), PER_SCRIPT))]
        self._queue.in_hand += len(batch)
        self._room.set()
        return batch

    async def _log(self, batch: list[Answered]) -> None:
        """Pack and write a batch; what cannot be packed is left out, and said."""
        if any(map(self._is_slow, batch)):
            packed = await asyncio.get_running_loop().run_in_executor(self._thread, self._packed, batch)
        else:
            packed = self._packed(batch)
        records = [one for one in packed if isinstance(one, DecisionRecord)]
        for fault in packed:
            if isinstance(fault, Exception):
                self._let_go(1)
                self._lose(Fate.UNPACKABLE)
                logger().error("decision_not_packed", exc_info=fault)
        if records:
            await self._write(records)

    def _packed(self, batch: list[Answered]) -> list[DecisionRecord | Exception]:
        try:
            return [*self._pack(batch)]
        except Exception as fault:  # it must not cost the others
            if len(batch) == 1:
                return [fault]
        return [packed for one in batch for packed in self._packed([one])]

    async def _write(self, records: list[DecisionRecord]) -> None:
        """Write a batch, however long it takes Redis to come back."""
        refusals = 0
        while True:
            try:
                kept = await self._store.write(records)
                break
            except StoreRefused as refused:
                refusals += 1
                if refusals == REFUSALS:
                    self._lose(Fate.STORE_REFUSED, len(records))
                    logger().error("decisions_not_logged", count=len(records), error=str(refused))
                    self._let_go(len(records))
                    return
            except StoreUnavailable:
                await self._connection.wait_connected()
            except Exception:
                self._lose(Fate.UNPACKABLE, len(records))
                logger().exception("decisions_not_logged", count=len(records))
                self._let_go(len(records))
                return
            await asyncio.sleep(PAUSE_S)
        LOGGED[Fate.WRITTEN] += sum(kept)
        if not all(kept):
            LOGGED[Fate.ERASED] += len(kept) - sum(kept)
        self._let_go(len(records))
        self._written.set()

    def _let_go(self, count: int) -> None:
        self._queue.in_hand -= count
        self._room.set()

    async def _trim_all(self) -> None:
        """Make the oldest decisions give way whenever something was written; nothing is held up by it."""
        while True:
            await self._written.wait()
            self._written.clear()
            with contextlib.suppress(StoreUnavailable, StoreRefused):
                while await self._store.trim():
                    pass

    async def _keep_up(self) -> None:
        while True:
            pause_s = UPKEEP_S
            try:
                await self._store.trim_expired(self._clock())
                if self._upkeep:
                    await self._upkeep()
            except StoreUnavailable:
                pause_s = UPKEEP_S / 100
            self._due.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._due.wait()

    def _lose(self, fate: Fate, count: int = 1) -> None:
        LOGGED[fate] += count
        self._complain()

    def _complain(self) -> None:
        """Say that decisions are being lost or refused, but not once for each."""
        now = asyncio.get_running_loop().time()
        if now - self._complained_at >= COMPLAIN_S:
            self._complained_at = now
            logger().warning(
                "decision_log_behind", backlog=self.backlog, **{str(k): v for k, v in LOGGED.items()}
            )
