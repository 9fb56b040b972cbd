"""One worker process, and everything that can happen to it."""

import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from types import TracebackType

from nextbest.behaviour.patterns.events import Window, WindowResult
from nextbest.behaviour.patterns.worker import FAILED, READY, decode_result
from nextbest.errors import NextBestError
from nextbest.rulebook.patterns import Pattern

WORKER = "nextbest.behaviour.patterns.worker"
"""Module that a worker process runs."""

MAX_ANSWER_BYTES = 1 << 26
"""Longest answer; a worker whose memory is damaged may announce any length."""


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What a worker process is allowed."""

    timeout_s: float = 10.0
    """Longest time for one window; usual ones take a millisecond."""
    start_timeout_s: float = 60.0
    """Longest time to start, compile all patterns and show that they can be borne."""
    memory_bytes: int = 2 << 30
    """Most memory, address space included; usual is a tenth of it."""
    batch: int = 32
    """Windows that a worker is given at a time; more stay with the caller."""
    attempts: int = 2
    """How often a window may end a worker before it is set aside."""
    remembered: int = 1_000
    """Windows set aside that are known again."""


class WorkerDied(NextBestError):  # noqa: N818  (states a condition that the supervisor recovers from)
    """A worker ended, hung or spoke nonsense; it is gone."""


class WorkerProcess:
    """A worker that has been started and has taken its patterns; a context manager."""

    def __init__(self, patterns: Sequence[Pattern], limits: WorkerLimits, *, program: str = WORKER) -> None:
        """Start it and wait until it is ready.

        Args:
            patterns: what it is to find.
            limits: what it is allowed.
            program: module to run; another one for tests.

        Raises:
            WorkerDied: it did not get ready in time.
        """
        self._limits = limits
        self._taken = 0
        self._pipe, far_end = Pipe()
        with far_end:
            self._process = subprocess.Popen(  # noqa: S603  (our own module, by the running interpreter)
                [sys.executable, "-P", "-m", program, str(far_end.fileno())],
                pass_fds=[far_end.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        _limit_waiting(self._pipe.fileno(), limits.timeout_s)
        try:
            # Twice the time, so that this side notices first and the worker's own alarm is a last resort.
            self._send((tuple(patterns), 2 * limits.timeout_s, limits.memory_bytes))
            self._await_ready()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended by itself."""
        return self._process.poll() is None

    def give(self, windows: Sequence[Window]) -> None:
        """Hand over windows; their results are to be taken in the same order.

        Raises:
            WorkerDied: it has ended meanwhile.
        """
        self._send(list(windows))

    def take(self, window: Window) -> WindowResult:
        """The result of the window that is next.

        Raises:
            WorkerDied: it ended, took longer than the limit, or sent no result.
        """
        result = self._decoded(self._receive(self._limits.timeout_s), window.customer_id)
        if result.quarantined:
            raise self._ended(result.quarantined)
        self._taken += 1
        return result

    def close(self) -> None:
        """End it; it is gone when this returns."""
        self._pipe.close()
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "WorkerProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _await_ready(self) -> None:
        answer = self._receive(self._limits.start_timeout_s)
        if answer != READY:
            raise self._ended(self._decoded(answer, "").quarantined)

    def _decoded(self, answer: bytes, customer_id: str) -> WindowResult:
        try:
            return decode_result(answer, customer_id, self._taken)
        except ValueError:
            raise self._ended("sent an unreadable answer") from None

    def _send(self, message: object) -> None:
        try:
            self._pipe.send(message)
        except BlockingIOError:
            raise self._ended("takes nothing any more") from None
        except OSError:
            raise self._ended() from None

    def _receive(self, timeout_s: float) -> bytes:
        try:
            if self._pipe.poll(timeout_s):
                return self._pipe.recv_bytes(MAX_ANSWER_BYTES)
        except BlockingIOError:
            raise self._ended("stopped in the middle of an answer") from None
        except (EOFError, OSError):
            raise self._ended() from None
        raise self._ended(f"took longer than {timeout_s:g} s")

    def _ended(self, reason: str = "") -> WorkerDied:
        """Make sure that it is gone, and say why."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0 if reason else self._limits.timeout_s)
        code = self._process.poll()
        self.close()
        if reason or code is None or code == FAILED:
            return WorkerDied(reason or "ended without an answer")
        if code < 0:
            return WorkerDied(f"ended by {signal.Signals(-code).name}")
        return WorkerDied(f"ended with code {code}")


def _limit_waiting(pipe: int, timeout_s: float) -> None:
    """Let reads and writes of a pipe fail that wait too long: a worker that is stopped takes nothing."""
    limit = struct.pack("ll", int(timeout_s), int(timeout_s % 1 * 1e6))
    with socket.fromfd(pipe, socket.AF_UNIX, socket.SOCK_STREAM) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
