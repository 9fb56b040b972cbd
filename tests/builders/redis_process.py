"""A redis-server that a test may stop, freeze and start again."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from nextbest.data.embedded import find_binary

PATIENCE_S = 60.0


class RedisProcess:
    """A redis-server on a socket in a directory; what was written is there again after a restart."""

    def __init__(self, directory, **options):
        self._options = options
        self._directory = Path(directory)
        self._socket = self._directory / "redis.sock"
        self._process = None

    @property
    def url(self):
        """Its URL, whether it runs or not."""
        return f"unix://{self._socket}"

    def start(self):
        """Start it; ready when this returns."""
        options = {"port": 0, "unixsocket": self._socket, "dir": self._directory, "appendonly": "yes"}
        # with the default, Redis may answer before it writes while the disk is busy; a kill would lose that
        options["appendfsync"] = "always"
        options |= self._options
        arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
        command = [find_binary(), *arguments, "--save", ""]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert time.monotonic() < deadline, "Redis does not start"
            time.sleep(0.02)

    def kill(self):
        """End it at once, as a crash would."""
        self._process.kill()
        self._process.wait(PATIENCE_S)

    def freeze(self):
        """Let it take connections and commands, and answer none."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self):
        """Let it go on."""
        os.kill(self._process.pid, signal.SIGCONT)

    def close(self):
        """End it, frozen or not, if it still runs."""
        if self._process and self._process.poll() is None:
            self.thaw()
            self.kill()

    def _answers(self):
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            except OSError:
                return False
