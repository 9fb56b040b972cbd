"""How much memory this process may still take, and whether a run fits into that.

Native libraries do not outlive an allocation that fails: they end the process by a signal, or wait for
ever for a lock that is held where the trace of the failure is made. So what cannot fit is refused before
it begins. Standard library only, for it is asked before anything else is imported.
"""

import re
import resource
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nextbest.errors import NoRoom

MB: Final = 1 << 20
ADDRESSES_MB: Final = 800
"""Address space that is reserved beyond what is used: threads' stacks and arenas, two cores."""
_STATUS: Final = Path("/proc/self/status")
_GROUPS: Final = Path("/proc/self/cgroup")
_MOUNT: Final = Path("/sys/fs/cgroup")
_UNLIMITED: Final = 1 << 60


@dataclass(frozen=True, slots=True)
class Room:
    """What one limit leaves to this process."""

    limit: str
    """What is limited, for a reader."""
    most: int
    """Bytes that the process may take in all."""
    left: int
    """Bytes of them that it has not taken yet."""
    spare: int = 0
    """Bytes that this limit counts although nobody uses them."""


def require_room(what: str, need: int) -> None:
    """Refuse a run that takes more memory than this process may.

    Args:
        what: the run.
        need: bytes that it takes at its peak, beyond what the process has taken by now.

    Raises:
        NoRoom: a limit leaves less.
    """
    for room in rooms():
        missing = need + room.spare - room.left
        if missing > 0:
            raise NoRoom(
                f"{what} takes up to {_mb(need)} MB of memory more, and {room.limit} leaves"
                f" {_mb(max(0, room.left - room.spare))}: nothing was begun; raise the limit from"
                f" {_mb(room.most)} to {_mb(room.most + missing)} MB"
            )


def rooms() -> Iterator[Room]:
    """What each limit that is set leaves: those of the process and of its control groups (Linux)."""
    taken = _taken()
    limits = (
        ("RLIMIT_DATA", resource.RLIMIT_DATA, "VmData", 0),
        ("RLIMIT_AS", resource.RLIMIT_AS, "VmSize", ADDRESSES_MB * MB),
    )
    for name, number, counted, spare in limits:
        most = resource.getrlimit(number)[0]
        if most != resource.RLIM_INFINITY and counted in taken:
            yield Room(name, most, most - taken[counted], spare)
    for directory, most, used in _groups():
        yield from _group(directory, most, used)


def _taken() -> dict[str, int]:
    """Bytes by name, as the kernel counts them."""
    with suppress(OSError):
        return {
            name: 1024 * int(kb)
            for name, kb in re.findall(r"^(Vm\w+):\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
        }
    return {}


def _groups() -> Iterator[tuple[Path, str, str]]:
    """Control groups of this process and those around them, with the names of their limit and their use."""
    with suppress(OSError):
        for line in _GROUPS.read_text().splitlines():
            _, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if not controllers:
                yield from ((group, "memory.max", "memory.current") for group in _upwards(_MOUNT, path))
            elif "memory" in controllers.split(","):
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
                yield from ((group, *names) for group in _upwards(_MOUNT / "memory", path))


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    place = mount / path.lstrip("/")
    return (directory for directory in (place, *place.parents) if directory.is_relative_to(mount))


def _group(directory: Path, most: str, used: str) -> Iterator[Room]:
    """What a control group leaves; pages of files are given up when others need them."""
    with suppress(OSError, ValueError, KeyError):
        limit = int((directory / most).read_text())  # `max` = no limit
        pairs = (line.split() for line in (directory / "memory.stat").read_text().splitlines())
        stat = {name: int(value) for name, value in pairs}
        files = stat["inactive_file"] + stat["active_file"]
        if limit < _UNLIMITED:
            taken = int((directory / used).read_text()) - files
            yield Room(f"the control group `{directory}`", limit, limit - taken)


def _mb(count: int) -> int:
    return -(-count // MB)
