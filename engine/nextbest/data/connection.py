"""One Redis connection, pipelined implicitly: commands are written at once, replies matched in order.

redis-py costs more than the rest of a request; this costs about 5 µs. A caller that gives up leaves its
place in the queue, so its reply is dropped and never reaches another caller (redis-py #2624, #2665).
"""

import asyncio
import contextlib
import math
import random
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, cast

import hiredis

from nextbest.data.address import RedisAddress
from nextbest.errors import StoredWrongly, StoreRefused, StoreUnavailable

Part: TypeAlias = bytes | str | int | float
Reply: TypeAlias = bytes | int | list["Reply"] | None

CONNECT_TIMEOUT_S = 2.0
"""Longest wait for a connection and its greeting."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0
"""Pause before connecting anew; doubles up to the longest, half of it at random."""
DEFAULT_TIMEOUT_S = 1.0
LEAST_GRACE_S = 0.02
"""Once a reply is late, what has arrived meanwhile is read for so long: an event loop looks at its timers
before it looks at its sockets."""
DEFAULT_MAX_IN_FLIGHT = 16_384

_NOT_YET = object()

# The stub calls its argument a tuple of one part; it takes any number.
pack_command = cast("Callable[[Sequence[Part]], bytes]", hiredis.pack_command)  # pyright: ignore[reportUnknownMemberType]  (see above)


class Commands(Protocol):
    """Anything that runs Redis commands: a connection, or an adapter of another client."""

    def execute(self, *parts: Part) -> "asyncio.Future[Reply]":
        """Run a command; the future holds its reply.

        Raises (in the future):
            StoreUnavailable: no reply. A write may or may not have happened.
            StoreRefused: Redis answered with an error.
        """
        ...


class _Wire(asyncio.Protocol):
    """One socket: written commands wait in order for their replies."""

    def __init__(self, timeout_s: float) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting: deque[tuple[asyncio.Future[Reply], float]] = deque()
        self._last_chance = -math.inf
        """Until when what was late then was waited for nevertheless."""
        self._loop = asyncio.get_running_loop()
        self._timeout_s = timeout_s
        self._timer: asyncio.TimerHandle | None = None
        self._reader = hiredis.Reader(notEnoughData=_NOT_YET)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, command: bytes) -> "asyncio.Future[Reply]":
        future: asyncio.Future[Reply] = self._loop.create_future()
        now = self._loop.time()
        self.waiting.append((future, now + self._timeout_s))
        if self._timer is None:
            self._timer = self._loop.call_at(now + self._timeout_s, self._check_deadline)
        cast("asyncio.Transport", self._transport).write(command)
        return future

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := cast("object", self._reader.gets())) is not _NOT_YET:
                # INVARIANT: the n-th reply belongs to the n-th command; a cancelled caller keeps its place.
                future, _ = self.waiting.popleft()
                if not future.done():
                    _settle(future, reply)
        except (hiredis.ProtocolError, IndexError):
            self.drop("Redis answers what is not understood")

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection to Redis is lost{f': {exc}' if exc else ''}")

    def drop(self, reason: str) -> None:
        """Close at once; everything that waits fails."""
        self._fail(reason)
        if self._transport:
            self._transport.abort()

    def _fail(self, reason: str) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while self.waiting:
            future, _ = self.waiting.popleft()
            if not future.done():
                future.set_exception(StoreUnavailable(reason))
        if not self.lost.done():
            self.lost.set_result(None)

    def _check_deadline(self) -> None:
        """Replies come in order, so if the oldest command is late, so is all that follows.

        While something else kept the event loop, Redis' replies were not read, and perhaps the commands not
        sent: that time is given back, or a loop that was busy would drop a Redis that has answered.
        """
        self._timer = None
        if not self.waiting:
            return
        now, deadline = self._loop.time(), self.waiting[0][1]
        overdue_s = now - deadline
        if overdue_s < 0.0:
            self._timer = self._loop.call_at(deadline, self._check_deadline)
        elif deadline > self._last_chance or overdue_s > LEAST_GRACE_S:
            self._wait_on(now + max(overdue_s, LEAST_GRACE_S))
        else:
            self.drop(f"Redis has not answered for {self._timeout_s:g} s")

    def _wait_on(self, until: float) -> None:
        """Give what waits until then, and look again."""
        self._last_chance = until
        self.waiting = deque((future, max(deadline, until)) for future, deadline in self.waiting)
        self._timer = self._loop.call_at(until, self._check_deadline)


def _settle(future: "asyncio.Future[Reply]", reply: object) -> None:
    if isinstance(reply, hiredis.ReplyError):
        # A script's error holds that of the command in it, behind other words.
        refused = StoredWrongly if "WRONGTYPE" in str(reply) else StoreRefused
        future.set_exception(refused(str(reply)))
    else:
        future.set_result(cast("Reply", reply))


class RedisConnection:
    """A connection that comes back by itself; until then commands fail at once.

    For one event loop. Commands that were on their way when the connection broke fail with
    StoreUnavailable and are not repeated, since a write may have happened.
    """

    def __init__(
        self,
        address: RedisAddress,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        max_in_flight: int = DEFAULT_MAX_IN_FLIGHT,
        send_buffer: int = 0,
    ) -> None:
        """Prepare; `start` connects.

        Args:
            address: the server.
            timeout_s: longest wait for a reply; then the connection is dropped and opened anew.
            max_in_flight: commands that may wait for replies; more are refused at once.
            send_buffer: bytes that the kernel may hold for Redis, as far as it allows; 0 = its default. What
                does not fit waits for the next turn of the loop.
        """
        self.address = address
        self._timeout_s = timeout_s
        self._max_in_flight = max_in_flight
        self._send_buffer = send_buffer
        self._wire: _Wire | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        self._reason = f"not connected to Redis at {address.url}"

    async def start(self) -> None:
        """Connect, and stay connected until `close`.

        Raises:
            StoreUnavailable: the first attempt fails; later ones are made in the background until `close`.
        """
        try:
            await self._connect()
        finally:
            self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Disconnect; everything that waits fails."""
        keeper, self._keeper = self._keeper, None
        if keeper:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
        if self._wire:
            self._wire.drop("the connection to Redis was closed")
            self._wire = None

    async def __aenter__(self) -> "RedisConnection":
        try:
            await self.start()
        except StoreUnavailable:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def is_connected(self) -> bool:
        """Whether commands are being sent."""
        return self._wire is not None and not self._wire.lost.done()

    async def wait_connected(self) -> None:
        """Return as soon as commands are being sent (again)."""
        while not self.is_connected:
            self._connected.clear()
            await self._connected.wait()

    async def wait_lost(self) -> None:
        """Return as soon as commands are not being sent."""
        if self._wire is not None:
            await asyncio.shield(self._wire.lost)

    @property
    def in_flight(self) -> int:
        """Commands that wait for their replies."""
        return len(self._wire.waiting) if self._wire else 0

    def execute(self, *parts: Part) -> "asyncio.Future[Reply]":
        """Send a command now; the future holds its reply.

        Cost: about 3 µs with its reply, beside the socket.

        Raises (in the future):
            StoreUnavailable: not connected, too much in flight, timed out or lost; a write may have happened.
            StoreRefused: Redis answered with an error.
        """
        return self.send(pack_command(parts))

    def send(self, command: bytes) -> "asyncio.Future[Reply]":
        """As `execute`, for a command in the protocol's own bytes."""
        wire = self._wire
        if wire is None or wire.lost.done():
            return _failed(self._reason)
        if len(wire.waiting) >= self._max_in_flight:
            return _failed(f"{self._max_in_flight} commands wait for Redis already")
        return wire.send(command)

    async def _keep(self) -> None:
        """Reconnect whenever the connection is lost, with growing pauses."""
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE_S
        while True:
            if self._wire:
                since = loop.time()
                await self._wire.lost
                self._wire = None
                if loop.time() - since > LONGEST_PAUSE_S:
                    pause = FIRST_PAUSE_S  # it has worked: no reason to be slow
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  (spreads reconnections)
            pause = min(2 * pause, LONGEST_PAUSE_S)
            with contextlib.suppress(StoreUnavailable):
                await self._connect()

    async def _connect(self) -> None:
        wire: _Wire | None = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                wire = await self._open()
                for parts in _greeting(self.address):
                    await wire.send(pack_command(parts))
        except BaseException as cause:
            if wire:
                wire.drop("the greeting failed")
            if not isinstance(cause, (OSError, TimeoutError, StoreUnavailable)):
                raise
            reason = str(cause) or f"no answer within {CONNECT_TIMEOUT_S:g} s"
            self._reason = f"cannot connect to Redis at {self.address.url}: {reason}"
            raise StoreUnavailable(self._reason) from cause
        self._wire = wire
        self._connected.set()

    async def _open(self) -> _Wire:
        loop, address = asyncio.get_running_loop(), self.address
        if address.socket_path:
            transport, wire = await loop.create_unix_connection(
                lambda: _Wire(self._timeout_s), address.socket_path
            )
        else:
            transport, wire = await loop.create_connection(
                lambda: _Wire(self._timeout_s), address.host, address.port, ssl=address.tls_context()
            )
        if self._send_buffer:
            wired = cast("socket.socket", transport.get_extra_info("socket"))
            wired.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._send_buffer)
        return wire


def _greeting(address: RedisAddress) -> list[tuple[str, ...]]:
    commands: list[tuple[str, ...]] = []
    if address.password:
        commands.append(("AUTH", *filter(None, [address.username]), address.password))
    if address.database:
        commands.append(("SELECT", str(address.database)))
    # PING last: a server that is still loading its data refuses it, and is not used yet.
    return [*commands, ("CLIENT", "SETNAME", "nextbest"), ("PING",)]


def _failed(reason: str) -> "asyncio.Future[Reply]":
    future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    future.set_exception(StoreUnavailable(reason))
    return future


async def gather_replies(futures: Sequence["asyncio.Future[Reply]"]) -> list[Reply]:
    """All replies in order; the first error is raised once all have come."""
    if futures:
        await asyncio.wait(futures)
    return [future.result() for future in futures]
