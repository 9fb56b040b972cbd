"""Decisions kept for their request id, so that a retry gets the same answer."""

from typing import cast

from nextbest.data.connection import Commands
from nextbest.data.keys import Keys

DEFAULT_KEPT_S = 15 * 60
"""Long enough for any client's retries, short enough to cost little memory."""


class RequestStore:
    """Keeps the first reply to each request id for a while."""

    def __init__(self, commands: Commands, keys: Keys, *, kept_s: int = DEFAULT_KEPT_S) -> None:
        self._commands = commands
        self._keys = keys
        self._kept_s = kept_s

    async def keep(self, customer_id: str, request_id: str, reply: bytes) -> bytes:
        """Keep a reply unless one is kept already.

        Returns:
            The reply that counts: the first one kept, this or another's.

        Raises:
            StoreUnavailable: Redis does not answer; it may have been kept.
        """
        key = self._keys.request(customer_id, request_id)
        # SET … NX GET needs Redis 7; the baseline is 6.2.
        if await self._commands.execute("SET", key, reply, "NX", "EX", self._kept_s) is not None:
            return reply
        kept = await self.kept(customer_id, request_id)
        return reply if kept is None else kept  # the other one has just expired

    async def kept(self, customer_id: str, request_id: str) -> bytes | None:
        """The reply kept for a request id, if there is one."""
        return cast(
            "bytes | None", await self._commands.execute("GET", self._keys.request(customer_id, request_id))
        )
