"""What Redis does to rows in one step."""

from collections.abc import Sequence

from nextbest.data.scripts import Script
from nextbest.facts import HEADER_WORDS

# KEYS: rows. ARGV: fingerprint, seconds until rows expire (0 = never), r, r × (offset, length) to carry
# on from the stored row, new rows.
# Gives per row: 1 written, 2 unchanged, 3 the stored row is of another catalogue (nothing written).
PUT = Script("""
local expiry = tonumber(ARGV[2])
local ranges = tonumber(ARGV[3])
local first = 3 + 2 * ranges
local status = {}
for i = 1, #KEYS do
  local new = ARGV[first + i]
  local old = redis.call('GET', KEYS[i])
  status[i] = 1
  if old and ranges > 0 then
    if old:sub(1, 8) ~= ARGV[1] then
      status[i] = 3
    elseif #old == #new and old:sub(17, 24) == new:sub(17, 24) then
      for r = 1, ranges do
        local from, length = tonumber(ARGV[2 + 2 * r]), tonumber(ARGV[3 + 2 * r])
        new = new:sub(1, from) .. old:sub(from + 1, from + length) .. new:sub(from + length + 1)
      end
    end
  end
  if status[i] == 1 then
    if old == new then status[i] = 2 else redis.call('SET', KEYS[i], new) end
    if expiry > 0 then redis.call('EXPIRE', KEYS[i], expiry) end
  end
end
return status
""")

# KEYS: rows. ARGV: length of a new row, seconds until rows expire (0 = as before), then per row the new one
# and behind it the one that must lie there (nothing = none). Gives per row: 5 another lies there (nothing
# written), 1 written, 2 unchanged.
EXCHANGE = Script("""
local length, expiry = tonumber(ARGV[1]), tonumber(ARGV[2])
local status = {}
for i = 1, #KEYS do
  local new, expected = ARGV[2 + i]:sub(1, length), ARGV[2 + i]:sub(length + 1)
  if (redis.call('GET', KEYS[i]) or '') ~= expected then
    status[i] = 5
  else
    status[i] = 2
    if new ~= expected then redis.call('SET', KEYS[i], new, 'KEEPTTL'); status[i] = 1 end
    if expiry > 0 then redis.call('EXPIRE', KEYS[i], expiry) end
  end
end
return status
""")

# KEYS: a row. ARGV: the row it must hold (empty = nothing), the new one, seconds until it expires
# (0 = never). Gives whether it was set.
COMPARE_AND_SET_ROW = Script("""
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
if tonumber(ARGV[3]) > 0 then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
return 1
""")


def number_runs(columns: Sequence[int]) -> list[tuple[int, int]]:
    """Byte ranges (offset, length) of number columns, neighbours joined; columns ascend."""
    runs: list[tuple[int, int]] = []
    for column in columns:
        offset = 8 * (HEADER_WORDS + column)
        if runs and sum(runs[-1]) == offset:
            runs[-1] = (runs[-1][0], runs[-1][1] + 8)
        else:
            runs.append((offset, 8))
    return runs
