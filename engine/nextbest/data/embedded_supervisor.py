"""The small process that runs an embedded redis-server for as long as anyone uses it.

Every user holds a shared lock on the users' file; the supervisor waits for an exclusive one, which it
gets when the last user has died or failed to stop the server, and then stops it. So a killed user
leaves nothing running, and users may come and go in any order. It holds its own lock while it lives.
Started by `nextbest.data.embedded` as `python -I -S embedded_supervisor.py USERS OWN BINARY CONFIG`;
it returns at once, its copy goes on. It imports the standard library only.
"""

import contextlib
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import threading

_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Ask Linux to end the server when the supervisor itself is killed; elsewhere nothing happens."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop_when_unused(users: int, server: "subprocess.Popen[bytes]") -> None:
    fcntl.flock(users, fcntl.LOCK_EX)
    server.terminate()


def main(users_file: str, own_file: str, binary: str, config: str) -> int:
    """Go into the background and run the server until nobody uses it."""
    own = os.open(own_file, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(own, fcntl.LOCK_EX)  # passes to the copy, so that it is held before the starter goes on
    if os.fork():
        return 0
    users = os.open(users_file, os.O_RDWR | os.O_CREAT, 0o600)
    # preexec_fn is safe here: no thread has started yet.
    server = subprocess.Popen([binary, config], preexec_fn=_die_with_parent)  # noqa: S603, PLW1509  (see above; our own binary and file)
    threading.Thread(target=_stop_when_unused, args=(users, server), daemon=True).start()
    return server.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:5]))
