"""Decisions kept for a request id."""

import asyncio

from nextbest.data.requests import RequestStore


async def test_the_first_reply_wins(connection, keys):
    """Whoever keeps a reply second gets the first one, however many try at once."""
    store = RequestStore(connection, keys)
    replies = await asyncio.gather(*(store.keep("c1", "r1", b"%d" % i) for i in range(20)))
    assert len(set(replies)) == 1
    assert await store.kept([("c1", "r1")]) == [replies[0]]


async def test_a_reply_is_replaced_only_by_who_knows_it(connection, keys):
    """A kept reply that may no longer be given makes way once; who comes second gets what replaced it."""
    store = RequestStore(connection, keys)
    await store.keep("c1", "r1", b"withdrawn")
    assert await store.keep("c1", "r1", b"new", instead_of=b"withdrawn") == b"new"
    assert await store.keep("c1", "r1", b"newer", instead_of=b"withdrawn") == b"new"
    assert await store.kept([("c1", "r1")]) == [b"new"]


async def test_request_ids_are_a_customers_own(connection, keys):
    """The same request id of another customer is another request."""
    store = RequestStore(connection, keys)
    await store.keep("c1", "r1", b"one")
    assert await store.kept([("c2", "r1")]) == [None]
    assert await store.keep("c2", "r1", b"two") == b"two"


async def test_kept_replies_expire(connection, keys):
    """A reply is kept for the time set, not for ever; nor is its name."""
    await RequestStore(connection, keys, kept_s=77).keep("c1", "r1", b"x")
    assert 0 < await connection.execute("TTL", keys.request("c1", "r1")) <= 77
    assert 0 < await connection.execute("TTL", keys.request_index("c1")) <= 2 * 77


async def test_names_of_expired_replies_make_way(connection, keys):
    """A customer who is asked about again and again does not pile up request ids."""
    store = RequestStore(connection, keys, kept_s=10)
    now = int((await connection.execute("TIME"))[0])
    for i in range(49):
        await connection.execute("ZADD", keys.request_index("c1"), now - 20 - i, f"r{i}")
    await store.keep("c1", "r49", b"x")
    assert await connection.execute("ZRANGE", keys.request_index("c1"), 0, -1) == [b"r49"]
    assert await store.erase("c1") > 0
    assert await connection.execute("EXISTS", keys.request_index("c1")) == 0
    assert await store.kept([("c1", "r49")]) == [None]
