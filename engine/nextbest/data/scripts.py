"""Lua scripts: what must happen in one step inside Redis."""

import hashlib
from collections.abc import Sequence

from nextbest.data.connection import Commands, Part, Reply
from nextbest.errors import StoreRefused

UNLESS_ERASED = """
-- What happened up to this time must not be written: the customer was erased then, or is gone for good.
-- A snapshot beside a tombstone means that the customer was put anew.
local function erased_until(tombstone, row, hash)
  local erased = redis.call('GET', tombstone)
  if not erased then return -math.huge end
  if redis.call('EXISTS', row, hash) == 0 then return math.huge end
  return tonumber(erased:match('^%S+')) or math.huge
end
-- Whether the customer was erased since a tombstone was read (empty = there was none), or is gone for good.
-- No clock is asked: every tombstone is another one.
local function erased_since(read, tombstone, row, hash)
  local erased = redis.call('GET', tombstone)
  return erased and (erased ~= read or redis.call('EXISTS', row, hash) == 0)
end
"""
"""Lua that begins every script which writes something of a customer but the snapshot itself."""


class Script:
    """A Lua script, sent by its hash and in full only where the server does not know it yet."""

    def __init__(self, text: str) -> None:
        self._text = text.encode()
        self._sha = hashlib.sha1(self._text, usedforsecurity=False).hexdigest()

    async def run(self, commands: Commands, keys: Sequence[bytes], arguments: Sequence[Part]) -> Reply:
        """Run it; all keys must lie in one slot of a cluster.

        Raises:
            StoreUnavailable: no reply; it may or may not have run.
            StoreRefused: the script failed.
        """
        try:
            return await commands.execute("EVALSHA", self._sha, len(keys), *keys, *arguments)
        except StoreRefused as refused:
            if refused.code != "NOSCRIPT":
                raise
        return await commands.execute("EVAL", self._text, len(keys), *keys, *arguments)
