"""Erases a customer for good, and keeps what was under way from writing anything of them afterwards."""

import json
import os
from dataclasses import asdict, dataclass
from typing import cast

from nextbest.data.connection import Commands, Part
from nextbest.data.decision_log import DecisionLogStore
from nextbest.data.identifiers import IdentifierStore
from nextbest.data.keys import Keys
from nextbest.data.requests import RequestStore
from nextbest.data.scripts import Script
from nextbest.errors import ErasureUnfinished, StoreUnavailable

DEFAULT_GUARD_S = 86_400
"""A day: longer than any retry, and than a till keeps outcomes back while it is off line."""
MAX_RECORDS = 10_000

# KEYS: tombstone, row, hash, contacts, events, notes, identifiers, erased identifiers, cases, request ids,
# ids of logged decisions. ARGV: time, seconds that the tombstone stays, what tells this erasure from others.
# Gives whether there was a snapshot, how many history entries, and Redis' time in milliseconds.
# Whatever other programs have left under these keys goes, too. Deletes come first: where memory is full, a
# script may go on that has begun by making room.
_ERASE = Script("""
local snapshot, history, newest = redis.call('EXISTS', KEYS[2], KEYS[3]), 0, tonumber(ARGV[1])
local function type_of(key) return redis.call('TYPE', key).ok end
for _, key in ipairs({KEYS[4], KEYS[5]}) do
  local length = type_of(key) == 'string' and redis.call('STRLEN', key) or 0
  history = history + math.max(0, math.floor((length - 16) / 72))
  if length > 16 and (length - 16) % 72 == 0 then
    newest = math.max(newest, (struct.unpack('<d', redis.call('GETRANGE', key, -72, -65))))
  end
end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[9])
for i, wanted in pairs({[1] = 'string', [7] = 'set', [8] = 'set', [10] = 'zset', [11] = 'zset'}) do
  if type_of(KEYS[i]) ~= wanted then redis.call('DEL', KEYS[i]) end
end
local before = (redis.call('GET', KEYS[1]) or ''):match('^%S+')
newest = math.max(newest, tonumber(before) or -math.huge)
redis.call('SUNIONSTORE', KEYS[8], KEYS[7], KEYS[8])
redis.call('DEL', KEYS[7])
redis.call('SET', KEYS[1], string.format('%.17g', newest) .. ' ' .. ARGV[3], 'EX', ARGV[2])
local time = redis.call('TIME')
return {snapshot, history, time[1] * 1000 + math.floor(time[2] / 1000)}
""")


@dataclass(frozen=True, slots=True)
class Erased:
    """What was removed."""

    snapshot: bool
    identifiers: int
    history_entries: int
    decisions: int


class ErasureStore:
    """Erases customers of one deployment."""

    def __init__(
        self,
        commands: Commands,
        keys: Keys,
        *,
        identifiers: IdentifierStore,
        requests: RequestStore,
        decisions: DecisionLogStore,
        guard_s: int = DEFAULT_GUARD_S,
    ) -> None:
        self._commands = commands
        self._keys = keys
        self._identifiers = identifiers
        self._requests = requests
        self._decisions = decisions
        self._guard_s = guard_s

    async def erase(self, customer_id: str, *, now: float, reason: str) -> Erased:
        """Remove all that is kept about a customer.

        Snapshot, history and notes go in one step, which also leaves the tombstone; nothing of the customer
        can be written from then on. Kept answers and the identifiers' index follow, and what lists them goes
        last: whatever a crash leaves is found and removed by a repetition.

        Args:
            customer_id: the customer.
            now: epoch seconds by the service's clock, to which events are compared that come later.
            reason: for the record of erasures; must not identify the customer.

        Raises:
            StoreUnavailable: Redis does not answer; nothing may have been removed.
            ErasureUnfinished: it stopped answering half-way; says what is left. Repeat it.
        """
        keys = self._keys
        mine = (
            keys.tombstone(customer_id),
            keys.snapshot(customer_id),
            keys.hash_snapshot(customer_id),
            keys.contacts(customer_id),
            keys.events(customer_id),
            keys.outcome_notes(customer_id),
            keys.identifiers(customer_id),
            keys.erased_identifiers(customer_id),
            keys.cases(customer_id),
            keys.request_index(customer_id),
            keys.decisions(customer_id),
        )
        arguments: list[Part] = [repr(now), self._guard_s, os.urandom(8).hex()]
        snapshot, history, at_ms = cast("list[int]", await _ERASE.run(self._commands, mine, arguments))
        left = "kept answers, logged decisions and identifiers"
        try:
            await self._requests.erase(customer_id)
            left = "logged decisions and identifiers"
            decisions = await self._decisions.erase(customer_id)
            left = "identifiers"
            identifiers = await self._identifiers.finish_erasure(customer_id)
            left = "the record of the erasure"
            erased = Erased(snapshot > 0, identifiers, history, decisions)
            await self._record(erased, at=at_ms / 1000.0, reason=reason)
        except StoreUnavailable as cause:
            raise ErasureUnfinished(
                f"snapshot and history are erased; left are {left}: erase again"
            ) from cause
        return erased

    async def records(self) -> list[dict[str, object]]:
        """The record of erasures, the latest first: when, why and how much, never who."""
        reply = cast("list[bytes]", await self._commands.execute("LRANGE", self._keys.erasures, 0, -1))
        return [json.loads(line) for line in reply]

    async def _record(self, erased: Erased, *, at: float, reason: str) -> None:
        line = json.dumps({"erased_at": at, "reason": reason, **asdict(erased)}, sort_keys=True)
        await self._commands.execute("LPUSH", self._keys.erasures, line)
        await self._commands.execute("LTRIM", self._keys.erasures, 0, MAX_RECORDS - 1)
