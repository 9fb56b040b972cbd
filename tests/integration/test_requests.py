"""Decisions kept for a request id."""

import asyncio

from nextbest.data.requests import RequestStore


async def test_the_first_reply_wins(connection, keys):
    """Whoever keeps a reply second gets the first one, however many try at once."""
    store = RequestStore(connection, keys)
    replies = await asyncio.gather(*(store.keep("c1", "r1", b"%d" % i) for i in range(20)))
    assert len(set(replies)) == 1
    assert await store.kept("c1", "r1") == replies[0]


async def test_request_ids_are_a_customers_own(connection, keys):
    """The same request id of another customer is another request."""
    store = RequestStore(connection, keys)
    await store.keep("c1", "r1", b"one")
    assert await store.kept("c2", "r1") is None
    assert await store.keep("c2", "r1", b"two") == b"two"


async def test_kept_replies_expire(connection, keys):
    """A reply is kept for the time set, not for ever."""
    await RequestStore(connection, keys, kept_s=77).keep("c1", "r1", b"x")
    assert 0 < await connection.execute("TTL", keys.request("c1", "r1")) <= 77


async def test_a_reply_that_expires_meanwhile_is_kept_as_ones_own(connection, keys):
    """If the kept reply is gone before it can be read, the caller's own counts."""

    class Forgetful:
        def execute(self, *parts):
            future = asyncio.get_running_loop().create_future()
            future.set_result(None)
            return future

    assert await RequestStore(Forgetful(), keys).keep("c1", "r1", b"mine") == b"mine"
