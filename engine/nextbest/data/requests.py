"""Decisions kept for their request id, so that a retry gets the same answer."""

from collections.abc import Sequence
from typing import cast

from nextbest.data.connection import Commands, Reply, gather_replies
from nextbest.data.keys import Keys
from nextbest.data.scripts import UNLESS_ERASED, Script

DEFAULT_KEPT_S = 10 * 60
"""Long enough for any client's retries, short enough to cost little memory."""
_PER_READ = 256

# KEYS: reply, index of request ids, tombstone, row, hash. ARGV: reply, seconds it is kept, the tombstone that
# was read with the customer, request id, the reply that may be replaced (empty = none). The index goes by
# Redis' own clock, by which replies expire: one that jumps would hide replies from erasures.
# Gives 1 if it is kept, the reply that is kept already, or nothing if the customer was erased since.
_KEEP = Script(
    UNLESS_ERASED
    + """
local now, seconds = tonumber(redis.call('TIME')[1]), tonumber(ARGV[2])
if erased_since(ARGV[3], KEYS[3], KEYS[4], KEYS[5]) then return false end
-- The index comes first: should it fail, there is no reply that an erasure does not find.
redis.call('ZADD', KEYS[2], now, ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - seconds - 1)
redis.call('EXPIRE', KEYS[2], 2 * seconds)
if ARGV[5] ~= '' and redis.call('GET', KEYS[1]) == ARGV[5] then redis.call('DEL', KEYS[1]) end
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', seconds) then return redis.call('GET', KEYS[1]) end
return 1
"""
)


class RequestStore:
    """Keeps the first reply to each request id for a while."""

    def __init__(self, commands: Commands, keys: Keys, *, kept_s: int = DEFAULT_KEPT_S) -> None:
        self._commands = commands
        self._keys = keys
        self._kept_s = kept_s

    async def keep(
        self,
        customer_id: str,
        request_id: str,
        reply: bytes,
        *,
        tombstone: bytes = b"",
        instead_of: bytes = b"",
    ) -> bytes:
        """Keep a reply unless one is kept already; of an erased customer none is.

        Args:
            customer_id: the customer.
            request_id: identity of the request.
            reply: the answer.
            tombstone: that lay there when what it was made from was read; empty = none.
            instead_of: a kept reply that may no longer be given, and is replaced.

        Returns:
            The reply that counts: the first one kept, this or another's.

        Raises:
            StoreUnavailable: Redis does not answer; it may have been kept.
        """
        keys = self._keys
        mine = (
            keys.request(customer_id, request_id),
            keys.request_index(customer_id),
            keys.tombstone(customer_id),
            keys.snapshot(customer_id),
            keys.hash_snapshot(customer_id),
        )
        arguments = (reply, self._kept_s, tombstone, request_id, instead_of)
        kept: Reply = await _KEEP.run(self._commands, mine, arguments)
        return kept if isinstance(kept, bytes) else reply

    async def kept(self, asked: Sequence[tuple[str, str]]) -> list[bytes | None]:
        """The replies kept for customers' request ids; None = there is none, or what is none of ours."""
        keys = [self._keys.request(customer_id, request_id) for customer_id, request_id in asked]
        # MGET, for GET of what another program left there would fail all others
        parts = [
            self._commands.execute("MGET", *keys[i : i + _PER_READ]) for i in range(0, len(keys), _PER_READ)
        ]
        replies = cast("list[list[bytes | None]]", await gather_replies(parts))
        return [reply for part in replies for reply in part]

    async def erase(self, customer_id: str) -> int:
        """Remove every reply kept for a customer, then the list of them; their count."""
        index = self._keys.request_index(customer_id)
        listed = cast("list[bytes]", await self._commands.execute("ZRANGE", index, 0, -1))
        if not listed:
            return 0
        ids = [request_id.decode() for request_id in listed]
        removed = await self._commands.execute("DEL", *(self._keys.request(customer_id, one) for one in ids))
        await self._commands.execute("ZREM", index, *ids)
        return cast("int", removed)
