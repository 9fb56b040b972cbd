"""What captured outcomes say of propensities: counted in Redis in one step, and followed by every process."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from nextbest.data.connection import Commands, Part
from nextbest.data.keys import Keys
from nextbest.data.scripts import UNLESS_ERASED, Script
from nextbest.learning.cases import Observation, Place

CASES_KEPT_S = 180 * 86400
"""A customer's cases are forgotten so long after the last outcome; what comes later begins a new one."""
MOST_CASES = 400
"""Cases kept a customer; beyond it the half that was touched longest ago is forgotten."""
CHANGES_KEPT = 10_000
"""Changes that a process can catch up on; one that is further behind reads everything."""

# KEYS: the customer's cases, evidence, its version, its changes, tombstone, row, hash, resets. ARGV: now,
# seconds and number of cases kept, changes kept, place of the customer now but for the action; then per
# outcome: case, action, word, time, key. A case: word, whether tried, time of the word, when touched, version
# then, place, keys heard. What a case counted before its action was reset is gone: it is not taken back.
# Gives the version.
_LEARN = Script(
    UNLESS_ERASED
    + """
local HEADER, NEVER_SAID = '<BBdddI2', 0
local function counts(word, tried)
  if word == 1 then return 1, 0 end
  if word == 2 or (word == NEVER_SAID and tried == 1) then return 0, 1 end
  return 0, 0
end
local version = tonumber(redis.call('GET', KEYS[3]) or '0')
local function add(place, successes, failures)
  if successes == 0 and failures == 0 then return end
  redis.call('HINCRBY', KEYS[2], place .. '|s', successes)
  redis.call('HINCRBY', KEYS[2], place .. '|f', failures)
  version = redis.call('INCR', KEYS[3])
  local change = {'p', place, 's', successes, 'f', failures}
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[4], version .. '-0', unpack(change))
end

local erased = erased_until(KEYS[5], KEYS[6], KEYS[7])
for i = 6, #ARGV, 5 do
  local id, said, time, key = ARGV[i], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]), ARGV[i + 4]
  local word, tried, since, place, heard = NEVER_SAID, 0, -math.huge, ARGV[i + 1] .. ARGV[5], ''
  local counted_at = math.huge
  local old = redis.call('HGET', KEYS[1], id)
  if old then
    local length, at, _
    word, tried, since, _, counted_at, length, at = struct.unpack(HEADER, old)
    place, heard = old:sub(at, at + length - 1), old:sub(at + length)
  end
  local known = time <= erased
  for at = 1, #heard, 8 do known = known or heard:sub(at, at + 7) == key end
  if not known then
    local s, f = counts(word, tried)
    if counted_at < tonumber(redis.call('HGET', KEYS[8], ARGV[i + 1]) or '0') then s, f = 0, 0 end
    if said == 0 then
      tried = 1
    elseif time > since or (time == since and said > word) then
      word, since = said, time
    end
    local s_now, f_now = counts(word, tried)
    add(place, s_now - s, f_now - f)
    local header = struct.pack(HEADER, word, tried, since, tonumber(ARGV[1]), version, #place)
    redis.call('HSET', KEYS[1], id, header .. place .. heard .. key)
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[2])

if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[3]) then
  local all, ages = redis.call('HGETALL', KEYS[1]), {}
  for i = 1, #all, 2 do
    local _, _, _, touched = struct.unpack(HEADER, all[i + 1])
    ages[#ages + 1] = {touched, all[i]}
  end
  table.sort(ages, function(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end)
  for i = 1, math.floor(#ages / 2) do redis.call('HDEL', KEYS[1], ages[i][2]) end
end
return version
"""
)

# KEYS: evidence, its version, resets. ARGV: the action. Gives the successes and failures that are gone, and
# in how many places. The version grows without a change in the stream: who follows it reads everything.
_RESET = Script("""
local own, successes, failures, fields = ARGV[1] .. '|', 0, 0, 0
local all = redis.call('HGETALL', KEYS[1])
redis.call('HSET', KEYS[3], ARGV[1], redis.call('INCR', KEYS[2]))
for i = 1, #all, 2 do
  if all[i]:sub(1, #own) == own then
    if all[i]:sub(-2) == '|s' then
      successes = successes + all[i + 1]
    else
      failures = failures + all[i + 1]
    end
    fields = fields + 1
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return {successes, failures, fields / 2}
""")

# KEYS: evidence, its version. Gives both.
_READ = Script("return {redis.call('GET', KEYS[2]) or '0', redis.call('HGETALL', KEYS[1])}")

# KEYS: version, changes. ARGV: the version known. Gives the version and the changes since.
_CHANGES = Script("""
return {redis.call('GET', KEYS[1]) or '0', redis.call('XRANGE', KEYS[2], (ARGV[1] + 1) .. '-0', '+')}
""")


@dataclass(frozen=True, slots=True)
class Evidence:
    """All counts at one version."""

    version: int
    counts: dict[Place, tuple[float, float]]
    """Successes and failures."""


class EvidenceStore:
    """Counts successes and failures by action, stage and peer cell."""

    def __init__(self, commands: Commands, keys: Keys) -> None:
        self._commands = commands
        self._keys = keys

    async def learn(
        self,
        customer_id: str,
        seen: Sequence[Observation],
        *,
        stage: int,
        cell: tuple[tuple[str, int], ...],
        now: float,
    ) -> int:
        """Count what a customer's outcomes say, in one step; what was counted before changes nothing.

        Args:
            customer_id: the customer.
            seen: their outcomes as evidence, in any order.
            stage: the customer's now; a case keeps the one it began with.
            cell: the customer's peer cell now; likewise.
            now: epoch seconds.

        Returns:
            The version of the evidence with them.

        Raises:
            StoreUnavailable: Redis does not answer; repeat it, nothing is counted twice.
        """
        where = str(Place(0, stage, cell)).removeprefix("0")
        arguments: list[Part] = [repr(now), CASES_KEPT_S, MOST_CASES, CHANGES_KEPT, where]
        for one in seen:
            arguments += [one.case, one.action, int(one.word), repr(one.time), one.key]
        own = self._keys
        guards = (own.tombstone(customer_id), own.snapshot(customer_id), own.hash_snapshot(customer_id))
        keys = [own.cases(customer_id), *self._evidence_keys, *guards, own.evidence_resets]
        return cast("int", await _LEARN.run(self._commands, keys, arguments))

    async def reset(self, action: int) -> tuple[int, int, int]:
        """Forget all evidence of an action, in one step; every process that serves takes it up.

        A case that began before counts anew with its next outcome.

        Args:
            action: registry code.

        Returns:
            Successes and failures that are gone, and in how many places they lay.

        Raises:
            StoreUnavailable: Redis does not answer; repeating it does no harm.
        """
        evidence, version, _ = self._evidence_keys
        keys = [evidence, version, self._keys.evidence_resets]
        successes, failures, places = cast("list[int]", await _RESET.run(self._commands, keys, [action]))
        return successes, failures, places

    async def read(self) -> Evidence:
        """All evidence.

        Cost: two fields a place; for starting, and for catching up from far behind.
        """
        evidence, version, _ = self._evidence_keys
        reply = await _READ.run(self._commands, [evidence, version], [])
        at, flat = cast("tuple[bytes, list[bytes]]", reply)
        found: dict[Place, tuple[float, float]] = {}
        for field, count in zip(flat[::2], flat[1::2], strict=True):
            name, _, side = field.decode().rpartition("|")
            place, amount = Place.parse(name), float(count)
            s, f = found.get(place, (0.0, 0.0))
            found[place] = (amount, f) if side == "s" else (s, amount)
        return Evidence(int(at), found)

    async def since(self, known: Evidence) -> Evidence:
        """The evidence of now: what is known with the changes since; the same one if there are none."""
        _, version, changes = self._evidence_keys
        reply = await _CHANGES.run(self._commands, [version, changes], [known.version])
        at, entries = cast("tuple[bytes, list[tuple[bytes, list[bytes]]]]", reply)
        if int(at) == known.version:
            return known
        if int(at) - known.version != len(entries):  # too far behind, or somebody began anew
            return await self.read()
        counts = dict(known.counts)
        for _, fields in entries:
            place = Place.parse(fields[1].decode())
            s, f = counts.get(place, (0.0, 0.0))
            counts[place] = (s + int(fields[3]), f + int(fields[5]))
        return Evidence(int(at), counts)

    @property
    def _evidence_keys(self) -> tuple[bytes, bytes, bytes]:
        keys = self._keys
        return keys.evidence, keys.evidence_version, keys.evidence_changes
