"""What Redis does to rows in one step, and how a change of facts is said to it."""

import struct
from collections.abc import Iterator, Mapping, Sequence

from nextbest.data.connection import Part
from nextbest.data.scripts import Script
from nextbest.facts import HEADER_WORDS, BitPlace, Catalogue, FactType
from nextbest.model import F64, U64

# KEYS: rows. ARGV: fingerprint, r, r × (offset, length) to carry on from the stored row, new rows.
# Gives per row: 1 written, 2 unchanged, 3 the stored row is of another catalogue (nothing written).
PUT = Script("""
local ranges = tonumber(ARGV[2])
local first = 2 + 2 * ranges
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
        local from, length = tonumber(ARGV[1 + 2 * r]), tonumber(ARGV[2 + 2 * r])
        new = new:sub(1, from) .. old:sub(from + 1, from + length) .. new:sub(from + length + 1)
      end
    end
  end
  if status[i] == 1 then
    if old == new then status[i] = 2 else redis.call('SET', KEYS[i], new) end
  end
end
return status
""")

# KEYS: a row. ARGV: fingerprint, id check, then (operation, offset, payload) each.
# Gives the row as it is now, or 0 absent, 3 of another catalogue, 4 of another customer or damaged.
MERGE = Script("""
local old = redis.call('GET', KEYS[1])
if not old then return 0 end
if old:sub(1, 8) ~= ARGV[1] then return 3 end
if old:sub(17, 24) ~= ARGV[2] or #old ~= tonumber(ARGV[3]) then return 4 end
for i = 4, #ARGV, 3 do
  if ARGV[i] == 'B' then
    redis.call('SETBIT', KEYS[1], ARGV[i + 1], ARGV[i + 2])
  else
    redis.call('SETRANGE', KEYS[1], ARGV[i + 1], ARGV[i + 2])
  end
end
return redis.call('GET', KEYS[1])
""")

# KEYS: rows. ARGV: fingerprint, row length, r, r × (offset, length), then per row its id check and values.
# Gives per row: 0 absent, 1 written, 2 unchanged, 3 of another catalogue, 4 of another customer or damaged.
WRITE_NUMBERS = Script("""
local ranges = tonumber(ARGV[3])
local first = 3 + 2 * ranges
local status = {}
for i = 1, #KEYS do
  local old, payload = redis.call('GET', KEYS[i]), ARGV[first + i]
  if not old then
    status[i] = 0
  elseif old:sub(1, 8) ~= ARGV[1] then
    status[i] = 3
  elseif old:sub(17, 24) ~= payload:sub(1, 8) or #old ~= tonumber(ARGV[2]) then
    status[i] = 4
  else
    local new, taken = old, 8
    for r = 1, ranges do
      local from, length = tonumber(ARGV[2 + 2 * r]), tonumber(ARGV[3 + 2 * r])
      new = new:sub(1, from) .. payload:sub(taken + 1, taken + length) .. new:sub(from + length + 1)
      taken = taken + length
    end
    if new == old then status[i] = 2 else redis.call('SET', KEYS[i], new); status[i] = 1 end
  end
end
return status
""")

# KEYS: a key. ARGV: the value it must hold (empty = nothing), the new value. Gives whether it was set.
COMPARE_AND_SET = Script("""
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
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


def merge_operations(
    catalogue: Catalogue, facts: Mapping[str, object], arrays: tuple[F64, U64, U64], as_of: float | None
) -> Iterator[Part]:
    """What `MERGE` must do to set these facts.

    Args:
        catalogue: whose rows they are.
        facts: the facts to set; None = missing.
        arrays: their numbers, words and known words, one row each.
        as_of: the snapshot's new time; None leaves it.
    """
    numbers, words, known = arrays
    if as_of is not None:
        yield from ("W", 8, struct.pack("<d", as_of))
    for name in facts:
        place = catalogue.bits.get(name)
        if place is None:
            column = catalogue.columns[name]
            yield from ("W", 8 * (HEADER_WORDS + column), numbers[0, column].tobytes())
        else:
            is_bool = catalogue[name].type is FactType.BOOL
            yield from _bit_operations(catalogue, place, int(words[0, place.word]), is_bool=is_bool)
            known_bit = int(known[0, place.known_word]) >> place.known_bit & 1
            yield from ("B", _bit_offset(catalogue, place, known=True), known_bit)


def _bit_operations(catalogue: Catalogue, place: BitPlace, word: int, *, is_bool: bool) -> Iterator[Part]:
    if is_bool:
        yield from ("B", _bit_offset(catalogue, place, known=False), word >> place.shift & 1)
    else:
        yield from ("W", 8 * (HEADER_WORDS + catalogue.n_numbers + place.word), word.to_bytes(8, "little"))


def _bit_offset(catalogue: Catalogue, place: BitPlace, *, known: bool) -> int:
    """Redis counts bits from the highest of each byte; words are little-endian."""
    first = HEADER_WORDS + catalogue.n_numbers
    word, bit = (
        (first + catalogue.n_words + place.known_word, place.known_bit)
        if known
        else (first + place.word, place.shift)
    )
    return 64 * word + bit - bit % 8 + 7 - bit % 8
