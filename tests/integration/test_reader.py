"""The pipelined connection and the request path's reads, with everything that can go wrong."""

import asyncio
import contextlib
import os
import random
import signal
import time

import pytest
import uvloop

from nextbest.data import connection as connection_module
from nextbest.data.address import RedisAddress
from nextbest.data.connection import RedisConnection
from nextbest.data.embedded import open_embedded
from nextbest.data.keys import Keys
from nextbest.data.reader import CustomerReader
from nextbest.errors import StoreRefused, StoreUnavailable
from nextbest.facts import Catalogue, Fact, FactGroup, FactType
from nextbest.id_check import id_checks_of
from nextbest.rows import RowCodec

CODEC = RowCodec(Catalogue((Fact(name="n", type=FactType.INT, group=FactGroup.PROFILE),)))
LOOPS = pytest.mark.parametrize(
    "loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


def run(loop, main):
    """Run a coroutine on a loop of the given kind."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main)


async def fill(connection, keys, n):
    """Rows of n customers; the fact of each is its number."""
    ids = [f"c{i}" for i in range(n)]
    await asyncio.gather(
        *(
            connection.execute("SET", keys.snapshot(c), CODEC.encode(c.encode(), 1.0, {"n": i}))
            for i, c in enumerate(ids)
        )
    )
    return ids


@contextlib.asynccontextmanager
async def answering(respond):
    """A server of our own on a socket; `respond(reader, writer)` plays it."""

    async def respond_and_close(reader, writer):
        try:
            await respond(reader, writer)
        except (ConnectionError, ValueError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async with asyncio.TaskGroup() as tasks:

        def accept(reader, writer):
            tasks.create_task(respond_and_close(reader, writer))

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        yield RedisAddress(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
        server.close()


async def greet(reader, writer):
    """Answer what a connection says first."""
    for answer in (b"+OK\r\n", b"+PONG\r\n"):
        lines = int((await reader.readline())[1:])
        for _ in range(2 * lines):
            await reader.readline()
        writer.write(answer)


@LOOPS
def test_ten_thousand_concurrent_reads_reach_their_callers(loop, redis_server, keys):
    """Every reply is that of the customer asked for, checked by the id in the row."""

    async def main():
        async with RedisConnection(redis_server.address, timeout_s=30.0) as connection:
            ids = await fill(connection, keys, 2000)
            reader = CustomerReader(connection, keys)
            asked = [random.choice(ids) for _ in range(10_000)]
            replies = await asyncio.gather(*(reader.read(c) for c in asked))
            decoded = CODEC.decode_batch([r[0] for r in replies], id_checks_of([c.encode() for c in asked]))
            assert not decoded.problems.any()
            assert decoded.rows.numbers[:, 0].tolist() == [float(c[1:]) for c in asked]
            assert connection.in_flight == 0

    run(loop, main())


@LOOPS
def test_cancelled_callers_shift_no_reply(loop, redis_server, keys):
    """When callers give up at random moments, the replies of the others stay theirs."""

    async def main():
        async with RedisConnection(redis_server.address, timeout_s=30.0) as connection:
            ids = await fill(connection, keys, 500)
            reader = CustomerReader(connection, keys)
            cancelled = 0

            async def ask(customer_id, patience):
                nonlocal cancelled
                try:
                    async with asyncio.timeout(patience):
                        reply = await reader.read(customer_id)
                except TimeoutError:
                    cancelled += 1
                    return
                assert CODEC.decode(customer_id.encode(), reply[0]).facts == {"n": int(customer_id[1:])}

            patience = [0.0, 0.0001, 0.001, 10.0]
            for _ in range(10):
                await asyncio.gather(*(ask(c, random.choice(patience)) for c in ids))
            assert 0 < cancelled < 5000

    run(loop, main())


async def test_a_batch_is_read_in_order(connection, keys):
    """Rows and rings of many customers come back in the order asked for, absent ones as None."""
    ids = await fill(connection, keys, 1000)
    await connection.execute("SET", keys.contacts("c7"), b"contacts")
    await connection.execute("SET", keys.events("c7"), b"events")
    asked = [*reversed(ids), "stranger", "c7"]
    records = await CustomerReader(connection, keys).read_many(asked)
    decoded = CODEC.decode_batch(records.rows[:1000], id_checks_of([c.encode() for c in asked[:1000]]))
    assert decoded.rows.numbers[:, 0].tolist() == [float(i) for i in range(999, -1, -1)]
    assert (records.rows[1000], records.contacts[1000], records.events[1000]) == (None, None, None)
    assert (records.contacts[1001], records.events[1001]) == (b"contacts", b"events")


async def test_no_customers_need_no_command(connection, keys):
    """An empty batch is empty."""
    assert (await CustomerReader(connection, keys).read_many([])).rows == []


async def test_kept_decisions_are_read_along(connection, keys):
    """One command brings the rows and rings of a few customers, and the decisions kept for their requests."""
    await connection.execute("SET", keys.request("c1", "r1"), b"kept")
    await connection.execute("SET", keys.snapshot("c2"), b"row")
    reply = await CustomerReader(connection, keys).read_asked([("c1", "r1"), ("c2", ""), ("c1", "r2")])
    assert reply == [*[None] * 4, b"row", *[None] * 7, b"kept", None]


async def test_a_killed_server_fails_what_waits_and_is_found_again(tmp_path, keys):
    """When Redis dies mid-flight, callers are told at once; after its restart reads work again."""
    with open_embedded(tmp_path) as handle:
        async with RedisConnection(handle.address, timeout_s=30.0) as connection:
            ids = await fill(connection, keys, 100)
            reader = CustomerReader(connection, keys)
            pid = int((await connection.execute("INFO", "server")).split(b"process_id:")[1].split()[0])
            os.kill(pid, signal.SIGSTOP)
            waiting = [reader.read(c) for c in ids]
            os.kill(pid, signal.SIGKILL)
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)
            assert {type(o) for o in outcomes} == {StoreUnavailable}
            with pytest.raises(StoreUnavailable):
                await reader.read("c1")
            with open_embedded(tmp_path):
                async with asyncio.timeout(30):
                    await connection.wait_connected()
                reply = await reader.read("c42")
                assert CODEC.decode(b"c42", reply[0]).facts == {"n": 42}


async def test_a_late_reply_reaches_nobody():
    """A connection that times out is dropped, so that its late replies cannot be taken for others'."""
    connections = 0

    async def respond(reader, writer):
        nonlocal connections
        connections += 1
        await greet(reader, writer)
        if connections == 1:
            await asyncio.sleep(0.3)
            writer.write(b"$4\r\nlate\r\n")
        else:
            while await reader.readline():
                writer.write(b"$6\r\nprompt\r\n")
                await reader.readline()
                await reader.readline()

    async with (
        answering(respond) as address,
        RedisConnection(address, timeout_s=0.1) as connection,
    ):
        first, second = connection.execute("GET"), connection.execute("GET")
        for future in (first, second):
            with pytest.raises(StoreUnavailable, match=r"has not answered for 0\.1 s"):
                await future
        async with asyncio.timeout(10):
            await connection.wait_connected()
        assert await connection.execute("GET") == b"prompt"
        await asyncio.sleep(0.4)
        assert await connection.execute("GET") == b"prompt"


def stand_still(seconds):
    """Keep the event loop from everything, as a long computation does."""
    time.sleep(seconds)


@LOOPS
@pytest.mark.parametrize("blocked_s", [0.25, 0.6])
def test_a_loop_that_stood_still_does_not_drop_a_redis_that_answered(loop, redis_server, keys, blocked_s):
    """Replies that have arrived win over the timer, however long the loop was kept from reading them."""

    async def main():
        async with RedisConnection(redis_server.address, timeout_s=0.2) as connection:
            wire = connection._wire
            for _ in range(3):
                pending = [connection.execute("ECHO", "x" * 100_000) for _ in range(50)]
                await asyncio.sleep(0)  # they are on their way
                stand_still(blocked_s)
                assert await asyncio.gather(*pending) == [b"x" * 100_000] * 50
                unsent = connection.execute("PING")
                stand_still(blocked_s)
                assert await unsent == b"PONG"
            assert connection._wire is wire

    run(loop, main())


@LOOPS
def test_a_redis_that_is_dead_is_dropped_though_the_loop_stood_still(loop):
    """Time in which the loop stood still is given back once: what is not answered then is late."""

    async def silent(reader, writer):
        await greet(reader, writer)
        await reader.read()

    async def main():
        async with (
            answering(silent) as address,
            RedisConnection(address, timeout_s=0.2) as connection,
        ):
            pending = connection.execute("PING")
            await asyncio.sleep(0)
            stand_still(0.3)
            with pytest.raises(StoreUnavailable, match=r"Redis has not answered for 0\.2 s"):
                async with asyncio.timeout(60.0):
                    await pending

    run(loop, main())


@pytest.mark.parametrize("garbage", [b"\x00\x01nonsense\r\n", b"$5\r\nshort", b""])
async def test_a_server_that_talks_nonsense_is_left(garbage):
    """Replies that are malformed, cut off or missing fail the callers, never the process."""

    async def respond(reader, writer):
        await greet(reader, writer)
        await reader.readline()
        writer.write(garbage)

    async with answering(respond) as address, RedisConnection(address, timeout_s=5.0) as connection:
        outcomes = await asyncio.gather(
            connection.execute("GET"), connection.execute("GET"), return_exceptions=True
        )
        assert isinstance(outcomes[1], StoreUnavailable)


async def test_a_reply_that_nobody_asked_for_ends_the_connection():
    """One reply too many would shift all that follow, so the connection is dropped and opened anew."""
    greeted = 0

    async def respond(reader, writer):
        nonlocal greeted
        greeted += 1
        await greet(reader, writer)
        if greeted == 1:
            await reader.readline()
            writer.write(b"+mine\r\n+whose?\r\n")
        await reader.read()

    async with answering(respond) as address, RedisConnection(address) as connection:
        assert await connection.execute("GET") == b"mine"
        async with asyncio.timeout(10):
            while greeted < 2:  # noqa: ASYNC110  (another task counts)
                await asyncio.sleep(0.01)


async def test_refusals_of_redis_are_told_apart(connection, keys):
    """An error reply fails its own caller with its code, and nobody else."""
    await connection.execute("SET", keys.snapshot("c1"), "text")
    bad, good = connection.execute("LPUSH", keys.snapshot("c1"), "x"), connection.execute("PING")
    with pytest.raises(StoreRefused) as caught:
        await bad
    assert caught.value.code == "WRONGTYPE"
    assert await good == b"PONG"


async def test_too_many_waiting_commands_are_refused(redis_server):
    """In-flight commands are bounded; more fail at once instead of piling up."""
    async with RedisConnection(redis_server.address, max_in_flight=3) as connection:
        futures = [connection.execute("PING") for _ in range(5)]
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        assert outcomes[:3] == [b"PONG"] * 3
        assert [type(o) for o in outcomes[3:]] == [StoreUnavailable] * 2
        assert await connection.execute("PING") == b"PONG"


async def test_no_server_at_the_start_is_said_and_remedied(tmp_path, monkeypatch):
    """Starting without Redis raises; the connection keeps trying and works once Redis is there."""
    monkeypatch.setattr(connection_module, "LONGEST_PAUSE_S", 0.05)
    connection = RedisConnection(RedisAddress.of_socket(tmp_path / "redis.sock"))
    with pytest.raises(StoreUnavailable, match="cannot connect to Redis at unix://"):
        await connection.start()
    with pytest.raises(StoreUnavailable, match="cannot connect"):
        await connection.execute("PING")
    with open_embedded(tmp_path):
        async with asyncio.timeout(30):
            await connection.wait_connected()
        assert await connection.execute("PING") == b"PONG"
        await connection.close()
    with pytest.raises(StoreUnavailable):
        await connection.execute("PING")


async def test_closing_fails_what_waits(redis_server):
    """Nothing hangs when a connection is closed under its callers."""
    connection = RedisConnection(redis_server.address)
    await connection.start()
    waiting = connection.execute("BLPOP", "nothing", 0)
    await connection.close()
    with pytest.raises(StoreUnavailable, match="was closed"):
        await waiting


async def test_passwords_and_databases_are_used(tmp_path):
    """AUTH and SELECT are part of the greeting; a wrong password is said without repeating it."""
    with open_embedded(tmp_path) as handle:
        socket = handle.address.socket_path
        async with RedisConnection(handle.address) as admin:
            await admin.execute("ACL", "SETUSER", "app", "on", ">s3cret", "~*", "+@all")
            good = RedisAddress.parse(f"unix://app:s3cret@{socket}?db=2")
            async with RedisConnection(good) as connection:
                await connection.execute("SET", "k", "v")
            await admin.execute("SELECT", 2)
            assert await admin.execute("GET", "k") == b"v"
            assert "s3cret" not in repr(good) + good.url
            wrong = RedisConnection(RedisAddress.parse(f"unix://app:wr0ng@{socket}"))
            with pytest.raises(StoreUnavailable, match="WRONGPASS") as caught:
                await wrong.start()
            assert "wr0ng" not in str(caught.value)
            await wrong.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", RedisAddress(host="h")),
        (
            "redis://u:p%40@h:7000/3",
            RedisAddress(host="h", port=7000, username="u", password="p@", database=3),
        ),
        ("rediss://h?ssl_ca_certs=/ca", RedisAddress(host="h", tls=True, ca_file="/ca")),
        ("unix:///run/r.sock", RedisAddress(socket_path="/run/r.sock")),
        ("unix://:p@/run/r.sock?db=1", RedisAddress(socket_path="/run/r.sock", password="p", database=1)),
    ],
)
def test_urls_are_taken_apart(url, expected):
    """The usual forms of a Redis URL are understood."""
    assert RedisAddress.parse(url) == expected


def test_a_url_in_pieces_repeats_no_password():
    """A password with an unescaped slash does not appear in the complaint."""
    with pytest.raises(Exception, match="port is not a number") as caught:
        RedisAddress.parse("redis://user:s3/cret@host")
    assert "s3" not in str(caught.value)


def test_keys_have_their_own_prefix():
    """Fixtures give each test names of its own."""
    assert Keys().prefix == "nextbest"
