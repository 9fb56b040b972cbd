"""Starts the embedded Redis again when it has died under a process that uses it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from nextbest.data.connection import RedisConnection
from nextbest.data.embedded import RedisHandle
from nextbest.errors import StoreUnavailable
from nextbest.telemetry import logger

PATIENCE_S = 0.5
"""A lost connection comes back by itself in a moment, where the server has not ended."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Pause before another start of a server that did not start or died again soon; doubles up to the longest."""


@contextlib.asynccontextmanager
async def kept_alive(redis: RedisHandle, connection: RedisConnection) -> AsyncGenerator[None]:
    """While inside, an embedded server that has died is started anew; one of your own is left alone."""
    if not redis.is_embedded:
        yield
        return
    keeper = asyncio.create_task(_keep_alive(redis, connection))
    try:
        yield
    finally:
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper


async def _keep_alive(redis: RedisHandle, connection: RedisConnection) -> None:
    now, pause_s, last_try = asyncio.get_running_loop().time, FIRST_PAUSE_S, -LONGEST_PAUSE_S
    while True:
        await connection.wait_lost()
        if await _comes_back(connection):
            continue
        if now() - last_try < LONGEST_PAUSE_S:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        else:
            pause_s = FIRST_PAUSE_S
        if await _has_tried(redis):
            last_try = now()


async def _comes_back(connection: RedisConnection) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            await connection.wait_connected()
    return connection.is_connected


async def _has_tried(redis: RedisHandle) -> bool:
    """Start the server if it has died; whether it had."""
    try:
        # In a thread: it waits until the server has read its data back.
        was_dead = await asyncio.to_thread(redis.revive)
    except StoreUnavailable as error:
        logger().error("embedded_redis_does_not_start", error=str(error))
        return True
    if was_dead:
        logger().warning("embedded_redis_restarted")
    return was_dead
