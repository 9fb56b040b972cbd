"""Names to codes, once and for all: history entries hold codes, so a name's code never changes."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

from nextbest.data.connection import Commands
from nextbest.data.keys import Keys
from nextbest.data.scripts import Script
from nextbest.errors import InvalidInput, Violation
from nextbest.model import NO_CODE, NO_NAME
from nextbest.rings import BYTE_KINDS, CODE_KINDS

MAX_NAME_BYTES = 200
_NAMES_PER_COMMAND = 1000
"""Lua unpacks a few thousand arguments at most."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

# KEYS: a registry. ARGV: how many names it may hold, names (all different).
# Gives the code of each name, or the number of names too many; then none is registered.
_ALLOCATE = Script("""
local found = redis.call('HMGET', KEYS[1], unpack(ARGV, 2))
local size, missing = redis.call('HLEN', KEYS[1]), 0
for i = 1, #ARGV - 1 do
  if not found[i] then missing = missing + 1 end
end
if size + missing > tonumber(ARGV[1]) then return size + missing - tonumber(ARGV[1]) end
for i = 1, #ARGV - 1 do
  if not found[i] then
    found[i] = size
    redis.call('HSET', KEYS[1], ARGV[i + 1], size)
    size = size + 1
  end
  found[i] = tonumber(found[i])
end
return found
""")


@dataclass(frozen=True, slots=True)
class NameRegistry:
    """The names of one kind as registered at one time."""

    kind: str
    names: tuple[str, ...]
    """In code order."""
    codes: Mapping[str, int]
    """Code of each name; read-only."""

    def name(self, code: int) -> str:
        """The name of a code; empty for none or one registered later."""
        return self.names[code] if code < len(self.names) else ""


class NameRegistries:
    """The registries of a deployment, with what is known of them kept at hand."""

    def __init__(self, commands: Commands, keys: Keys) -> None:
        self._commands = commands
        self._keys = keys
        self._known = {kind: _registry(kind, {}) for kind in CODE_KINDS}

    def known(self, kind: str) -> NameRegistry:
        """The registry as last seen, without asking Redis."""
        return self._known[kind]

    @property
    def names(self) -> Mapping[str, tuple[str, ...]]:
        """Names by kind as last seen, for `CodeTranslation.between`."""
        return {kind: registry.names for kind, registry in self._known.items()}

    async def refresh(self) -> None:
        """Read every registry anew."""
        for kind in CODE_KINDS:
            reply = await self._commands.execute("HGETALL", self._keys.registry(kind))
            flat = [part.decode() for part in cast("list[bytes]", reply)]
            codes = {name: int(code) for name, code in zip(flat[::2], flat[1::2], strict=True)}
            self._known[kind] = _registry(kind, codes)

    async def codes(self, kind: str, names: Iterable[str]) -> Mapping[str, int]:
        """Codes of names, allocated where a name is new; known ones without asking Redis.

        Raises:
            InvalidInput: a name is unfit, or there are too many of the kind; up to 1,000, none is registered.
            StoreUnavailable: Redis does not answer; it may have registered them.
        """
        wanted = list(dict.fromkeys(names))
        known = self._known[kind].codes
        new = [name for name in wanted if name not in known]
        if new:
            violations = [v for name in new for v in _violations(kind, name)]
            if violations:
                raise InvalidInput(violations)
            learnt = dict(known)
            for start in range(0, len(new), _NAMES_PER_COMMAND):
                part = new[start : start + _NAMES_PER_COMMAND]
                learnt |= dict(zip(part, await self._allocate(kind, part), strict=True))
            if max(learnt.values()) + 1 == len(learnt):
                self._known[kind] = _registry(kind, learnt)
            else:  # others registered names in between
                await self.refresh()
            known = self._known[kind].codes
        return {name: known[name] for name in wanted}

    async def _allocate(self, kind: str, names: list[str]) -> list[int]:
        limit = NO_NAME if kind in BYTE_KINDS else NO_CODE
        reply = await _ALLOCATE.run(self._commands, [self._keys.registry(kind)], [limit, *names])
        if isinstance(reply, int):
            problem = f"at most {limit} names can be registered, {reply} are too many"
            raise InvalidInput([Violation(kind, problem)])
        return cast("list[int]", reply)


def _registry(kind: str, codes: Mapping[str, int]) -> NameRegistry:
    names = sorted(codes, key=lambda name: codes[name])
    return NameRegistry(kind, tuple(names), MappingProxyType(dict(codes)))


def _violations(kind: str, name: str) -> Iterable[Violation]:
    if not name:
        yield Violation(kind, "is empty")
    if len(name.encode(errors="replace")) > MAX_NAME_BYTES:
        yield Violation(kind, f"`{name[:40]}…` is longer than {MAX_NAME_BYTES} bytes")
    if _CONTROL.search(name):
        yield Violation(kind, f"`{name!r}` holds a control character")
