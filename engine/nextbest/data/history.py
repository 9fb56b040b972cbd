"""What happened between the company and a customer: two rings in Redis, appended in one step."""

from collections.abc import Sequence
from enum import IntEnum
from typing import cast

import numpy as np
import numpy.typing as npt

from nextbest.data.connection import Commands, Reply, gather_replies
from nextbest.data.keys import Keys, id_violations
from nextbest.data.lessons import Lesson
from nextbest.data.scripts import UNLESS_ERASED, Script
from nextbest.errors import InvalidInput, Violation
from nextbest.id_check import id_check, id_checks_of
from nextbest.model import U8, EntryKind
from nextbest.rings import DecodedHistories, HistoryCodec

DEFAULT_CAPACITY = 128
"""Entries a ring holds; the oldest make way."""

# KEYS: a ring, notes, tombstone, row, hash, and lessons if there are any. ARGV: low half of the id check,
# capacity, retention in seconds (inf = for ever), n, n entries, n notes (empty = none), n lessons (likewise).
# Entry bytes: 1..8 time, 65..72 idempotency key (Lua counts from 1). Gives per entry:
# 1 recorded, 2 recorded before, 3 another content was recorded under its key (then nothing is written),
# 4 older than all that the ring keeps, 5 of a customer who was erased since.
_APPEND = Script(
    UNLESS_ERASED
    + """
local HEADER, ENTRY, NO_KEY = 16, 72, string.rep('\\0', 8)
local function time_of(entry) return (struct.unpack('<d', entry)) end

-- A script is not undone where it fails: what would fail later is found before anything is written.
for _, key in ipairs({KEYS[2], KEYS[6]}) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'hash' and kind ~= 'none' then return redis.error_reply('WRONGTYPE ' .. kind) end
end
local old = redis.call('GET', KEYS[1])
local ring, by_key, truncated, recorded = {}, {}, -math.huge, 0
local readable = not old or
  (#old >= HEADER and (#old - HEADER) % ENTRY == 0 and old:sub(13, 16) == ARGV[1])
if old and readable then
  truncated, recorded = struct.unpack('<dI4', old)
  for at = HEADER + 1, #old, ENTRY do
    local entry = old:sub(at, at + ENTRY - 1)
    ring[#ring + 1] = entry
    by_key[entry:sub(65, 72)] = entry
  end
end

local count, retention = tonumber(ARGV[4]), tonumber(ARGV[3])
local erased = erased_until(KEYS[3], KEYS[4], KEYS[5])
local status, fresh, conflict = {}, {}, false
for i = 1, count do
  local entry = ARGV[4 + i]
  local key = entry:sub(65, 72)
  local before = key ~= NO_KEY and by_key[key]
  if time_of(entry) <= erased then
    status[i] = 5
  elseif not before then
    by_key[key] = entry
    fresh[#fresh + 1] = i
    status[i] = 1
  elseif before:sub(9) == entry:sub(9) then
    status[i] = 2
  else
    status[i], conflict = 3, true
  end
end
if conflict or #fresh == 0 then return status end

for _, i in ipairs(fresh) do
  local entry = ARGV[4 + i]
  local time, place = time_of(entry), #ring + 1
  while place > 1 and time_of(ring[place - 1]) > time do place = place - 1 end
  table.insert(ring, place, entry)
  -- What a damaged ring held is lost: everything up to what is recorded now may be incomplete.
  if not readable then truncated = math.max(truncated, time) end
end

local first = math.max(1, #ring - tonumber(ARGV[2]) + 1)
local oldest = time_of(ring[#ring]) - retention
while first <= #ring and time_of(ring[first]) <= oldest do first = first + 1 end
local lost = 0
if first > 1 then
  truncated = math.max(truncated, time_of(ring[first - 1]))
  local dropped = {}
  for i = 1, first - 1 do
    dropped[ring[i]] = true
    redis.call('HDEL', KEYS[2], ring[i]:sub(65, 72))
  end
  for _, i in ipairs(fresh) do
    if dropped[ARGV[4 + i]] then status[i], lost = 4, lost + 1 end
  end
end
recorded = math.min(recorded + #fresh - lost, 4294967295)
local header = struct.pack('<dI4', truncated, recorded) .. ARGV[1]
redis.call('SET', KEYS[1], header .. table.concat(ring, '', first))
for _, i in ipairs(fresh) do
  local note = ARGV[4 + count + i]
  if note ~= '' and status[i] == 1 then redis.call('HSET', KEYS[2], ARGV[4 + i]:sub(65, 72), note) end
  local lesson = ARGV[4 + 2 * count + i]
  if lesson ~= '' and status[i] == 1 then redis.call('HINCRBY', KEYS[6], lesson, 1) end
end
-- What is older than the retention by then is outside every window: no value tells the same.
if retention < math.huge then
  redis.call('EXPIRE', KEYS[1], math.ceil(retention))
  redis.call('EXPIRE', KEYS[2], math.ceil(retention))
end
return status
"""
)


class AppendStatus(IntEnum):
    """What became of an entry that was to be recorded."""

    RECORDED = 1
    DUPLICATE = 2
    """Recorded before under its idempotency key."""
    CONTRADICTORY = 3
    """Something else was recorded under its idempotency key; nothing of the call's ring was written."""
    TOO_OLD = 4
    """Older than everything that the full ring keeps."""
    ERASED = 5
    """The customer was erased, and is gone or came back later than this happened."""


class HistoryStore:
    """Appends to customers' rings and reads them back."""

    def __init__(
        self,
        commands: Commands,
        keys: Keys,
        *,
        capacity: int = DEFAULT_CAPACITY,
        retention_s: float = float("inf"),
    ) -> None:
        """Say how much is kept.

        Args:
            commands: runs Redis commands.
            keys: key names.
            capacity: entries per ring.
            retention_s: entries this much older than the newest are dropped; at least the longest window
                of the rulebook.
        """
        self._commands = commands
        self._keys = keys
        self._limits = (capacity, repr(retention_s))

    async def append(
        self,
        customer_id: str,
        entries: npt.NDArray[np.void],
        notes: Sequence[bytes] = (),
        lessons: Sequence[Lesson | None] = (),
    ) -> U8:
        """Record entries; those recorded before change nothing, so retries are safe.

        Args:
            customer_id: the customer.
            entries: (k,) of `HISTORY_ENTRY` with registry codes; `kind` says which ring they belong to.
                An idempotency key of 0 is none. Entries with equal key and equal content but for
                their time are the same.
            notes: k texts kept beside the entries under their keys; empty = none. Of a duplicate the
                first one stays.
            lessons: k lessons; each is counted in the step that records its entry, so that it is neither
                lost nor counted again by a repetition. None = nothing is learnt.

        Returns:
            (k,) of `AppendStatus`. Contacts with outcomes, and events, are each recorded all or, if one
            contradicts, none.

        Raises:
            InvalidInput: an id that is none, or a time that is not finite.
            StoreUnavailable: Redis does not answer; repeat with the same keys.
        """
        _require_recordable(customer_id, entries)
        status = np.zeros(len(entries), np.uint8)
        is_event = np.asarray(entries["kind"] == EntryKind.EVENT)
        check = (id_check(customer_id.encode()) & 0xFFFFFFFF).to_bytes(4, "little")
        guards = [
            self._keys.outcome_notes(customer_id),
            self._keys.tombstone(customer_id),
            self._keys.snapshot(customer_id),
            self._keys.hash_snapshot(customer_id),
        ]
        if any(lessons):  # of all customers, so in another slot of a cluster
            guards.append(self._keys.lessons)
        for ring, where in (
            (self._keys.contacts(customer_id), np.flatnonzero(~is_event)),
            (self._keys.events(customer_id), np.flatnonzero(is_event)),
        ):
            if len(where):
                values = [entries[i].tobytes() for i in where]
                said = [notes[i] if notes else b"" for i in where.tolist()]
                taught = [_name(lessons[i]) if lessons else "" for i in where.tolist()]
                reply = await _APPEND.run(
                    self._commands,
                    [ring, *guards],
                    [check, *self._limits, len(where), *values, *said, *taught],
                )
                status[where] = cast("list[int]", reply)
        return status

    async def read(self, customer_id: str, codec: HistoryCodec | None = None) -> DecodedHistories:
        """One customer's history, oldest first; codes as registered unless the codec translates them."""
        return await self.read_many([customer_id], codec)

    async def notes(self, customer_id: str) -> dict[int, bytes]:
        """What was said about a customer's outcomes, by idempotency key."""
        reply = await self._commands.execute("HGETALL", self._keys.outcome_notes(customer_id))
        flat = cast("list[bytes]", reply)
        return {int.from_bytes(key, "little"): note for key, note in zip(flat[::2], flat[1::2], strict=True)}

    async def read_many(
        self, customer_ids: Sequence[str], codec: HistoryCodec | None = None
    ) -> DecodedHistories:
        """The histories of many customers."""
        contacts = await self._values([self._keys.contacts(c) for c in customer_ids])
        events = await self._values([self._keys.events(c) for c in customer_ids])
        checks = id_checks_of([c.encode() for c in customer_ids])
        return (codec or HistoryCodec()).decode(contacts, events, checks)

    async def _values(self, keys: Sequence[bytes]) -> list[bytes | None]:
        parts = [self._commands.execute("MGET", *keys[i : i + 256]) for i in range(0, len(keys), 256)]
        replies: list[Reply] = await gather_replies(parts)
        return [value for reply in replies for value in cast("list[bytes | None]", reply)]


def _name(lesson: Lesson | None) -> str:
    return "" if lesson is None else lesson.name


def _require_recordable(customer_id: str, entries: npt.NDArray[np.void]) -> None:
    violations = id_violations(customer_id)
    for index in np.flatnonzero(~np.isfinite(entries["time"])).tolist():
        violations.append(Violation(f"entries[{index}].time", "is not a time in epoch seconds"))
    if violations:
        raise InvalidInput(violations)
