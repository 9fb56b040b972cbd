"""Keeps a worker going: starts it again when it dies, and sets aside the window that it dies of."""

import hashlib
import pickle
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from types import TracebackType

from nextbest.behaviour.patterns.definitions import CompiledPatterns
from nextbest.behaviour.patterns.events import Window, WindowResult
from nextbest.behaviour.patterns.process import WORKER, WorkerDied, WorkerLimits, WorkerProcess
from nextbest.errors import NextBestError

_STARTS = 2
"""How often a worker is started before giving up: the machine may have been busy."""


class PatternWorkerError(NextBestError):
    """No worker can be started with these patterns."""


class PatternSupervisor:
    """Evaluates windows in a worker process that may die without harm; a context manager.

    Nothing queues up without bound: a worker holds at most `limits.batch` windows, the others are taken
    from the caller when it is their turn. For one thread; several supervisors may run side by side.
    """

    def __init__(
        self, compiled: CompiledPatterns, limits: WorkerLimits | None = None, *, program: str = WORKER
    ) -> None:
        self._compiled = compiled
        self._limits = limits or WorkerLimits()
        self._program = program
        self._worker: WorkerProcess | None = None
        self._poison: OrderedDict[bytes, str] = OrderedDict()
        self.restarts = 0
        """Workers that died."""
        self.quarantined = 0
        """Windows set aside, repeated ones included."""

    def match(self, windows: Iterable[Window]) -> Iterator[WindowResult]:
        """The results of windows, in their order, one for each.

        A window that ends the worker as often as allowed is set aside: its result says so and why, and
        the windows behind it go on in a new worker.

        Raises:
            PatternWorkerError: no worker can be started.
        """
        waiting = iter(windows)
        while batch := [self._relevant(window) for window in islice(waiting, self._limits.batch)]:
            try:
                results = self._match(batch)
            except BaseException:
                # Answers may be on their way: the next batch must not take them for its own.
                self.close()
                raise
            yield from results

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker; None while there is none."""
        return self._worker.pid if self._worker else None

    def close(self) -> None:
        """End the worker; it is gone when this returns."""
        if self._worker:
            self._worker.close()
            self._worker = None

    def __enter__(self) -> "PatternSupervisor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _relevant(self, window: Window) -> Window:
        kinds = self._compiled.kinds
        return replace(window, events=tuple(event for event in window.events if event.kind in kinds))

    def _match(self, batch: Sequence[Window]) -> list[WindowResult]:
        results: dict[int, WindowResult] = {}
        todo = self._unknown(range(len(batch)), batch, results)
        attempts = 0
        while todo:
            worker = self._running()
            try:
                worker.give([batch[i] for i in todo])
                while todo:
                    results[todo[0]] = worker.take(batch[todo[0]])
                    todo.popleft()
                    attempts = 0
            except WorkerDied as error:
                self._worker = None
                self.restarts += 1
                attempts += 1
                if attempts == self._limits.attempts:
                    self._set_aside(batch[todo[0]], str(error))
                    todo = self._unknown(todo, batch, results)
                    attempts = 0
        return [results[i] for i in range(len(batch))]

    def _unknown(
        self, todo: Iterable[int], batch: Sequence[Window], results: dict[int, WindowResult]
    ) -> deque[int]:
        """Windows still to do, without those whose events are known to be poison: these get their results."""
        left: deque[int] = deque()
        for i in todo:
            reason = self._poison.get(_digest(batch[i])) if self._poison else None
            if reason is None:
                left.append(i)
            else:
                self.quarantined += 1
                results[i] = WindowResult(batch[i].customer_id, quarantined=reason)
        return left

    def _running(self) -> WorkerProcess:
        if self._worker and not self._worker.is_alive:
            self.restarts += 1
            self.close()
        if self._worker is None:
            self._worker = self._started()
        return self._worker

    def _started(self) -> WorkerProcess:
        reason = ""
        for _ in range(_STARTS):
            try:
                return WorkerProcess(self._compiled.patterns, self._limits, program=self._program)
            except WorkerDied as error:
                reason = str(error)
        raise PatternWorkerError(f"no worker for event patterns can be started: it {reason}")

    def _set_aside(self, window: Window, reason: str) -> None:
        """Remember a window's events; time goes on, the poison stays."""
        self._poison[_digest(window)] = reason
        while len(self._poison) > max(1, self._limits.remembered):
            self._poison.popitem(last=False)


def _digest(window: Window) -> bytes:
    events = [(e.key, e.kind, e.time, sorted(e.attributes.items(), key=str)) for e in window.events]
    return hashlib.blake2b(pickle.dumps(events), digest_size=16).digest()
