"""Lua scripts: what must happen in one step inside Redis."""

import hashlib
from collections.abc import Sequence

from nextbest.data.connection import Commands, Part, Reply
from nextbest.errors import StoreRefused


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
