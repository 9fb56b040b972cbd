"""The process that runs the library: `python -P -m nextbest.behaviour.patterns.worker FD`.

It may crash or hang: whoever started it notices by the pipe, and starts another. It takes patterns once,
then windows, and answers each with one JSON message. It ends when the other end of the pipe is closed, and
by itself when one window takes too long, even if nobody is left to stop it.
"""

import contextlib
import json
import resource
import signal
import sys
from itertools import count
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from nextbest.behaviour.patterns.definitions import compile_patterns
from nextbest.behaviour.patterns.events import Evidence, PatternMatch, Window, WindowResult
from nextbest.behaviour.patterns.matcher import Matcher, load_library
from nextbest.errors import NextBestError
from nextbest.rulebook.patterns import Pattern

READY = b'"ready"'
FAILED = 70
"""Exit code after the library failed in a way that could be noticed."""


def encode_result(result: WindowResult, number: int) -> bytes:
    """A result as the worker sends it, with the number of its window, counted from 0."""
    matches = [
        [m.pattern, m.fired_at, [[evidence.name, evidence.event] for evidence in m.evidence]]
        for m in result.matches
    ]
    return json.dumps({"window": number, "matches": matches, "truncated": result.truncated}).encode()


def decode_result(message: bytes, customer_id: str, number: int) -> WindowResult:
    """A result as the worker sent it, or why there is none, in `quarantined`.

    Args:
        message: what was received.
        customer_id: whose window it must belong to.
        number: of that window.

    Raises:
        ValueError: the worker sent something else, which it does only when its memory is damaged.
    """
    try:
        found: Any = json.loads(message)
        if "failed" in found:
            return WindowResult(customer_id, quarantined=str(found["failed"]))
        if found["window"] != number:
            raise ValueError("an answer to another window")
        matches = tuple(
            PatternMatch(str(pattern), float(at), tuple(Evidence(str(n), str(e)) for n, e in evidence))
            for pattern, at, evidence in found["matches"]
        )
        return WindowResult(customer_id, matches, tuple(str(pattern) for pattern in found["truncated"]))
    except (TypeError, KeyError, RecursionError) as error:
        raise ValueError("no answer of a worker") from error


def main(pipe: Connection) -> int:
    """Serve until the pipe is closed or the library fails."""
    try:
        patterns, timeout_s, memory_bytes = pipe.recv()
        _limit_memory(memory_bytes)
        _serve(pipe, patterns, timeout_s)
    except EOFError:
        return 0
    except Exception as error:
        with contextlib.suppress(OSError):
            pipe.send_bytes(json.dumps({"failed": _said(error)}).encode())
        return FAILED


def _serve(pipe: Connection, patterns: tuple[Pattern, ...], timeout_s: float) -> NoReturn:
    matcher = Matcher(compile_patterns(patterns), load_library())
    matcher.probe()
    pipe.send_bytes(READY)
    numbers = count()
    while True:
        windows: list[Window] = pipe.recv()
        for window in windows:
            # The signal's default ends the process even while the library holds the interpreter's lock.
            signal.setitimer(signal.ITIMER_REAL, timeout_s)
            result = encode_result(matcher.match(window), next(numbers))
            signal.setitimer(signal.ITIMER_REAL, 0)
            pipe.send_bytes(result)


def _limit_memory(most_bytes: int) -> None:
    """Let the process fail rather than the machine; where that cannot be limited, nothing happens."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, NextBestError) else f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main(Connection(int(sys.argv[1]))))
