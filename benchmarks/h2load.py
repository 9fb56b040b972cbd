"""Load by h2load: several processes at once, each with one connection and a frame of its own.

h2load posts one file again and again, so as many customers are asked for at a time as there are
processes; the next slice asks for others. It counts a gRPC error as a success: whoever uses this
counts on the server.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STREAMS = 8
"""Requests in flight a process."""
TIMEOUT_S = 120.0
_DONE = re.compile(r"requests: (\d+) total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed")


@dataclass(frozen=True)
class Load:
    """What one slice of load did."""

    requests: int
    seconds: float


def frame(message: bytes) -> bytes:
    """A gRPC message as it goes over the wire, uncompressed."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def slice_of_load(
    address: str, method: str, frames: Sequence[Path], each: int, streams: int = STREAMS
) -> Load:
    """Send every frame `each` times, all frames at once, and wait for every reply."""
    command = [
        _binary(),
        *("-n", str(each), "-c", "1", "-m", str(streams), "-t", "1"),
        *("-H", "content-type: application/grpc", "-H", "te: trailers"),
    ]
    start = time.perf_counter()
    running = [
        subprocess.Popen(
            [*command, "-d", str(path), f"http://{address}{method}"], stdout=subprocess.PIPE, text=True
        )
        for path in frames
    ]
    outputs = [process.communicate(timeout=TIMEOUT_S)[0] for process in running]
    seconds = time.perf_counter() - start
    for output in outputs:
        found = _DONE.search(output)
        if not found or int(found[2]) != each:
            raise RuntimeError(f"h2load did not get {each} replies:\n{output}")
    return Load(each * len(frames), seconds)


def _binary() -> str:
    found = shutil.which("h2load")
    if found is None:
        raise RuntimeError("h2load is missing: apt-get install nghttp2-client")
    return found
