"""The line of fact catalogues that a deployment's rows were written under; it only grows."""

from typing import cast

from nextbest.data.connection import Commands
from nextbest.data.keys import Keys
from nextbest.data.scripts import Script
from nextbest.errors import CatalogueError
from nextbest.facts import Catalogue

# Appends a fingerprint if the newest is still the one that the catalogue was checked against.
_APPEND = Script("""
local newest = redis.call('LINDEX', KEYS[1], -1) or ''
if newest ~= ARGV[1] then return 0 end
redis.call('RPUSH', KEYS[1], ARGV[2])
return 1
""")


class CatalogueStore:
    """Registers catalogues and reads back those registered."""

    def __init__(self, commands: Commands, keys: Keys) -> None:
        self._commands = commands
        self._keys = keys

    async def register(self, catalogue: Catalogue) -> None:
        """Make rows of this catalogue readable to all; one registered before is taken as it is.

        Raises:
            CatalogueError: it does not extend the newest registered; lists every reason.
            StoreUnavailable: Redis does not answer.
        """
        name = f"{catalogue.fingerprint:016x}"
        while name not in (line := await self._line()):
            newest = line[-1] if line else ""
            if newest:
                problems = catalogue.extension_problems(await self._load(newest))
                if problems:
                    raise CatalogueError(problems)
            # Written before it is listed: whoever sees it in the line can read it.
            await self._commands.execute(
                "SET", self._keys.catalogue(catalogue.fingerprint), catalogue.to_json()
            )
            await _APPEND.run(self._commands, [self._keys.catalogue_line], [newest, name])

    async def all(self) -> list[Catalogue]:
        """Every registered catalogue, oldest first."""
        return [await self._load(name) for name in await self._line()]

    async def _line(self) -> list[str]:
        reply = await self._commands.execute("LRANGE", self._keys.catalogue_line, 0, -1)
        return [name.decode() for name in cast("list[bytes]", reply)]

    async def _load(self, name: str) -> Catalogue:
        text = await self._commands.execute("GET", self._keys.catalogue(int(name, 16)))
        if text is None:
            raise CatalogueError([f"the registered catalogue `{name}` is gone from Redis"])
        return Catalogue.from_json(cast("bytes", text).decode())
