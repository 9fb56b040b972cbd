"""The decision log in Redis: records under their customers' keys, and a stream that holds nothing personal.

Deleting an entry of a Redis stream leaves its bytes in memory, and in the append-only file, until the
whole node of entries goes. So the stream holds random handles only; what a handle stands for, and the
record itself, are plain keys, which are gone when they are deleted.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from nextbest.data.connection import Commands, Part
from nextbest.data.keys import Keys
from nextbest.data.scripts import UNLESS_ERASED, Script
from nextbest.decision_record import HANDLE_AT, DecisionRecord, read_record

DEFAULT_RETENTION_S = 7 * 86400
DEFAULT_MOST = 100_000
"""Decisions kept: some 400 MB at 4 KB each."""
PER_SCRIPT = 64
"""Records written in one step, which keeps others waiting for less than a millisecond."""
PER_READ = 256

# KEYS: the stream, its count, then for each record tombstone, row, hash, ids, record and handle. ARGV:
# seconds to keep, then for each record the tombstone that was read with its customer, its id, its bytes, its
# handle, and what the handle stands for.
# Gives per record 1 = kept, 0 = the customer was erased since it was made.
_WRITE = Script(f"""
{UNLESS_ERASED}
local kept_s, status, time = tonumber(ARGV[1]), {{}}, redis.call('TIME')
-- Redis' own clock, by which records expire: services may be told to live at another time.
local now = time[1] + time[2] / 1000000
-- What can be asked once for all is: each call costs as much as what it does.
local tombstones = {{}}
for k = 3, #KEYS, 6 do tombstones[#tombstones + 1] = KEYS[k] end
local erased = redis.call('MGET', unpack(tombstones))
for i = 1, #tombstones do
  local k, a = 6 * i - 3, 5 * i - 3
  if erased[i] and erased_since(ARGV[a], KEYS[k], KEYS[k + 1], KEYS[k + 2]) then
    status[i] = 0
  else
    -- Listed first, or an erasure would not find what is written next. Microseconds apart, to keep the order
    -- of one customer's decisions. What is no list makes way: it must not cost others their record.
    local listed = redis.pcall('ZADD', KEYS[k + 3], now + i / 1000000, ARGV[a + 1])
    if type(listed) == 'table' then
      if not listed.err:find('WRONGTYPE', 1, true) then return listed end
      redis.call('DEL', KEYS[k + 3])
      redis.call('ZADD', KEYS[k + 3], now + i / 1000000, ARGV[a + 1])
    end
    redis.call('SET', KEYS[k + 4], ARGV[a + 2], 'EX', kept_s)
    redis.call('EXPIRE', KEYS[k + 3], kept_s)
    -- Ids of what has expired need not go at once.
    if i % 8 == 1 then redis.call('ZREMRANGEBYSCORE', KEYS[k + 3], '-inf', '(' .. (now - kept_s)) end
    -- A batch that is repeated, since its reply was lost, must not stand in the stream twice.
    if redis.call('SET', KEYS[k + 5], ARGV[a + 4], 'NX', 'EX', kept_s) then
      redis.call('XADD', KEYS[1], '*', 'h', ARGV[a + 3], 'n', redis.call('INCR', KEYS[2]))
    end
    status[i] = 1
  end
end
return status
""")

_HEX = """
local HEX = ('%02x'):rep(16)
local function hex(text) return #text == 16 and HEX:format(text:byte(1, 16)) or '' end
"""

# KEYS: the stream. ARGV: decisions to keep, how many may go at once, what handles' keys begin with, what
# customers' keys begin with, offset of the handle in a record. Gives how many entries went.
_TRIM = Script(f"""
{_HEX}
local length = redis.call('XLEN', KEYS[1])
local excess = math.min(length - tonumber(ARGV[1]), tonumber(ARGV[2]))
if excess <= 0 then return 0 end
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', excess)) do
  local handle = entry[2][2]
  local key = ARGV[3] .. hex(handle)
  local owner = redis.call('GET', key)
  if owner then
    local id, ids = hex(owner:sub(1, 16)), ARGV[4] .. '{{' .. owner:sub(17) .. '}}:d'
    redis.call('DEL', key)
    -- A decision that was made anew for the same request has a later handle, and stays.
    if redis.pcall('GETRANGE', ids .. ':' .. id, ARGV[5], ARGV[5] + 15) == handle then
      redis.call('DEL', ids .. ':' .. id)
      redis.pcall('ZREM', ids, id)
    end
  end
end
redis.call('XTRIM', KEYS[1], 'MAXLEN', length - excess)
return excess
""")

# KEYS: a customer's ids. ARGV: what keys of records and of handles begin with, offset of the handle.
# What is no record goes, too.
_ERASE = Script(f"""
{_HEX}
local erased = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local record = ARGV[1] .. id
  local handle = redis.pcall('GETRANGE', record, ARGV[3], ARGV[3] + 15)
  if type(handle) == 'string' and #handle == 16 then redis.call('DEL', ARGV[2] .. hex(handle)) end
  erased = erased + redis.call('DEL', record)
end
redis.call('DEL', KEYS[1])
return erased
""")


@dataclass(frozen=True, slots=True)
class LogLimits:
    """How much of the past is kept; whatever comes first ends it."""

    retention_s: int = DEFAULT_RETENTION_S
    most: int = DEFAULT_MOST
    """Decisions in the log; the oldest make way."""


class LogEnd(NamedTuple):
    """The latest entry of the log."""

    id: str
    """Of the stream."""
    number: int
    """How many entries there ever were."""


class LogPart(NamedTuple):
    """Some entries of the log that follow each other."""

    entries: "list[LogEntry]"
    """Those whose decision is still kept."""
    first: LogEnd
    last: LogEnd
    looked_at: int
    """Entries, those included whose decision was erased, has expired or was made anew."""


class LogEntry(NamedTuple):
    """A place in the log and what is kept there."""

    logged_at: float
    """Epoch seconds by Redis' clock."""
    record: DecisionRecord


class DecisionLogStore:
    """Writes decisions and finds them again: by customer, by id, by time."""

    def __init__(self, commands: Commands, keys: Keys, limits: LogLimits | None = None) -> None:
        self._commands = commands
        self._keys = keys
        self.limits = limits or LogLimits()
        """How much of the past is kept."""

    async def write(self, records: Sequence[DecisionRecord]) -> list[bool]:
        """Keep decisions; writing one again changes nothing.

        Returns:
            For each whether it is kept: it is not if its customer was erased since it was made.

        Raises:
            StoreUnavailable: Redis does not answer; some may have been kept. Write them again.
            StoreRefused: Redis has no room.
        """
        status: list[bool] = []
        for start in range(0, len(records), PER_SCRIPT):
            part = records[start : start + PER_SCRIPT]
            keys = [
                self._keys.log,
                self._keys.log_count,
                *(key for record in part for key in self._keys_of(record)),
            ]
            values = [value for record in part for value in _values_of(record)]
            reply = await _WRITE.run(self._commands, keys, [self.limits.retention_s, *values])
            status += [code == 1 for code in cast("list[int]", reply)]
        return status

    async def get(self, customer_id: str, decision_id: bytes) -> DecisionRecord | None:
        """A customer's decision; None if none of that id is kept.

        Raises:
            DecisionUnreadable: it is damaged.
            StoreUnavailable: Redis does not answer.
        """
        data = await self._commands.execute("GET", self._keys.decision(customer_id, decision_id))
        return None if data is None else read_record(cast("bytes", data), customer_id)

    async def is_erased(self, customer_id: str) -> bool:
        """Whether the customer was erased, and nothing is kept of them since; known for a day."""
        return await self._commands.execute("EXISTS", self._keys.tombstone(customer_id)) == 1

    async def of_customer(self, customer_id: str) -> list[DecisionRecord]:
        """All that is kept of a customer's decisions, the latest first.

        Raises:
            DecisionUnreadable: one is damaged.
            StoreUnavailable: Redis does not answer.
        """
        ids = cast(
            "list[bytes]",
            await self._commands.execute("ZRANGE", self._keys.decisions(customer_id), 0, -1, "REV"),
        )
        keys = [self._keys.decision(customer_id, bytes.fromhex(one.decode())) for one in ids]
        return [read_record(data, customer_id) for data in await self._values(keys) if data is not None]

    async def erase(self, customer_id: str) -> int:
        """Remove a customer's decisions for good, and what their handles stand for.

        Decisions that are being made are kept out by the tombstone, which must have been set before.

        Returns:
            How many there were.
        """
        record = self._keys.decision(customer_id, b"")
        arguments: list[Part] = [record, self._keys.handle(b""), HANDLE_AT]
        return cast("int", await _ERASE.run(self._commands, [self._keys.decisions(customer_id)], arguments))

    async def count(self) -> int:
        """Entries of the log, those whose decision is gone included."""
        return cast("int", await self._commands.execute("XLEN", self._keys.log))

    async def find(self, decision_id: bytes) -> DecisionRecord | None:
        """The decision of an id, whoever's it is: searches the log, the latest first."""
        before = "+"
        while True:
            reply = await self._commands.execute(
                "XREVRANGE", self._keys.log, before, "-", "COUNT", PER_READ * 4
            )
            places = _places(reply)
            for owner in await self._values([self._keys.handle(place.handle) for place in places]):
                if owner is not None and owner[:16] == decision_id:
                    return await self.get(owner[16:].decode(), decision_id)
            if not places:
                return None
            before = f"({places[-1].id}"

    async def scan(
        self, *, since: float | None = None, until: float | None = None
    ) -> AsyncIterator[list[LogEntry]]:
        """Everything logged in [since, until), the oldest first, some hundred at a time.

        What was erased or has expired is passed over. A batch may be empty.

        Args:
            since: epoch seconds by Redis' clock; None = from the beginning.
            until: None = to what is the end now.

        Raises:
            DecisionUnreadable: a record is damaged.
            StoreUnavailable: Redis does not answer.
        """
        first = "-" if since is None else str(_milliseconds(since))
        last = "+" if until is None else f"({_milliseconds(until)}-0"
        async for part in self.parts(first, last):
            yield part.entries

    async def parts(self, first: str, last: str) -> AsyncIterator[LogPart]:
        """The log between two ids of the stream, as XRANGE takes them, the oldest first.

        Raises:
            DecisionUnreadable: a record is damaged.
            StoreUnavailable: Redis does not answer.
        """
        while True:
            reply = await self._commands.execute("XRANGE", self._keys.log, first, last, "COUNT", PER_READ)
            places = _places(reply)
            if not places:
                return
            entries = [entry async for entry in self._entries(places)]
            yield LogPart(entries, places[0].end, places[-1].end, len(places))
            first = f"({places[-1].id}"

    async def end(self) -> LogEnd | None:
        """The latest entry; None = there is none."""
        reply = await self._commands.execute("XREVRANGE", self._keys.log, "+", "-", "COUNT", 1)
        return next((place.end for place in _places(reply)), None)

    async def trim(self, *, most_at_once: int = PER_READ) -> int:
        """Make the oldest decisions beyond the limit give way, up to so many; gives how many entries did."""
        keys = self._keys
        arguments: list[Part] = [
            self.limits.most,
            most_at_once,
            keys.handle(b""),
            f"{keys.prefix}:",
            HANDLE_AT,
        ]
        return cast("int", await _TRIM.run(self._commands, [keys.log], arguments))

    async def trim_expired(self, wall_time: float) -> None:
        """Shorten the stream by the handles of what has expired; whole nodes only, they are not personal."""
        oldest = _milliseconds(wall_time - self.limits.retention_s)
        if oldest > 0:
            await self._commands.execute("XTRIM", self._keys.log, "MINID", "~", oldest)

    async def _entries(self, places: "Sequence[_Place]") -> AsyncIterator[LogEntry]:
        owners = await self._values([self._keys.handle(place.handle) for place in places])
        found = [(place, owner) for place, owner in zip(places, owners, strict=True) if owner is not None]
        keys = [self._keys.decision(owner[16:].decode(), owner[:16]) for _, owner in found]
        for (place, _), data in zip(found, await self._values(keys), strict=True):
            # A decision made anew for the same request stands in the stream twice, its record once.
            if data is not None and data[HANDLE_AT : HANDLE_AT + 16] == place.handle:
                yield LogEntry(place.logged_at, read_record(data))

    async def _values(self, keys: Sequence[bytes]) -> list[bytes | None]:
        values: list[bytes | None] = []
        for start in range(0, len(keys), PER_READ):
            reply = await self._commands.execute("MGET", *keys[start : start + PER_READ])
            values += cast("list[bytes | None]", reply)
        return values

    def _keys_of(self, record: DecisionRecord) -> tuple[bytes, ...]:
        keys, customer = self._keys, record.customer_id
        return (
            keys.tombstone(customer),
            keys.snapshot(customer),
            keys.hash_snapshot(customer),
            keys.decisions(customer),
            keys.decision(customer, record.decision_id),
            keys.handle(record.handle),
        )


class _Place(NamedTuple):
    """An entry of the stream."""

    id: str
    handle: bytes
    number: int

    @property
    def end(self) -> LogEnd:
        return LogEnd(self.id, self.number)

    @property
    def logged_at(self) -> float:
        return int(self.id.partition("-")[0]) / 1000


def _values_of(record: DecisionRecord) -> tuple[Part, ...]:
    owner = record.decision_id + record.customer_id.encode()
    return (record.tombstone, record.decision_id.hex(), record.to_bytes(), record.handle, owner)


def _places(reply: object) -> list[_Place]:
    found = cast("list[tuple[bytes, list[bytes]]]", reply)
    return [_Place(place.decode(), fields[1], int(fields[3])) for place, fields in found]


def _milliseconds(time: float) -> int:
    return max(round(time * 1000), 0)
