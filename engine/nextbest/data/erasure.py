"""Erases a customer for good, and keeps what was under way from writing anything of them afterwards."""

import json
from dataclasses import asdict, dataclass
from typing import cast

from nextbest.data.connection import Commands
from nextbest.data.decision_log import DecisionLogStore
from nextbest.data.identifiers import IdentifierStore
from nextbest.data.keys import Keys
from nextbest.data.requests import RequestStore
from nextbest.data.scripts import Script
from nextbest.errors import ErasureUnfinished, StoreUnavailable

DEFAULT_GUARD_S = 86_400
"""A day: longer than any retry, and than a till keeps outcomes back while it is off line."""
MAX_RECORDS = 10_000

# KEYS: tombstone, row, hash, contacts, events, notes, identifiers, erased identifiers, cases. ARGV: time,
# seconds that the tombstone stays. Gives whether there was a snapshot, and how many history entries.
_ERASE = Script("""
local function entries(key)
  return math.max(0, math.floor((redis.call('STRLEN', key) - 16) / 72))
end
local snapshot = redis.call('EXISTS', KEYS[2], KEYS[3])
local history = entries(KEYS[4]) + entries(KEYS[5])
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[9])
redis.call('SUNIONSTORE', KEYS[8], KEYS[7], KEYS[8])
redis.call('DEL', KEYS[7])
return {snapshot, history}
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
            now: epoch seconds.
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
        )
        snapshot, history = cast("list[int]", await _ERASE.run(self._commands, mine, [now, self._guard_s]))
        left = "kept answers, logged decisions and identifiers"
        try:
            await self._requests.erase(customer_id)
            left = "logged decisions and identifiers"
            decisions = await self._decisions.erase(customer_id)
            left = "identifiers"
            identifiers = await self._identifiers.finish_erasure(customer_id)
            left = "the record of the erasure"
            erased = Erased(snapshot > 0, identifiers, history, decisions)
            await self._record(erased, now=now, reason=reason)
        except StoreUnavailable as cause:
            raise ErasureUnfinished(
                f"snapshot and history are erased; left are {left}: erase again"
            ) from cause
        return erased

    async def records(self) -> list[dict[str, object]]:
        """The record of erasures, the latest first: when, why and how much, never who."""
        reply = cast("list[bytes]", await self._commands.execute("LRANGE", self._keys.erasures, 0, -1))
        return [json.loads(line) for line in reply]

    async def _record(self, erased: Erased, *, now: float, reason: str) -> None:
        line = json.dumps({"erased_at": now, "reason": reason, **asdict(erased)}, sort_keys=True)
        await self._commands.execute("LPUSH", self._keys.erasures, line)
        await self._commands.execute("LTRIM", self._keys.erasures, 0, MAX_RECORDS - 1)
