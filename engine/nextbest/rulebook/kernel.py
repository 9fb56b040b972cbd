"""The fixed kernel that runs any program: predicates to truth words, words to conditions.

A block is 64 customers. `vectors` is (slots, width) of numbers, width 64, or 1 for a single customer;
`present` has one word a slot: bit i is set when customer i's number is neither missing nor an error.
`planes` has two words a node: known-true, then known-false. Nothing here allocates per block.
"""

from typing import Any, cast

import numba
import numpy as np

from nextbest.kernels import kernel
from nextbest.model import F64, I32, U64
from nextbest.rulebook.kernel_calendar import calendar_field, local_seconds, months_between, span_field
from nextbest.rulebook.program import Op, Source

types = cast("Any", numba).types
"""numba's types, which have no annotations."""

ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
ONE = np.uint64(1)
ZERO = np.uint64(0)
ATOMS = np.uint64(2)
"""Node of the first comparison, after UNKNOWN and TRUE."""
EXACT = 2.0**53

FACT = int(Source.FACT)
FIGURE = int(Source.FIGURE)
CONTEXT = int(Source.CONTEXT)
CHANNEL = int(Source.CHANNEL)
DIRECTION = int(Source.DIRECTION)
PHASE = int(Source.PHASE)
ROLE = int(Source.ROLE)
HISTORY = int(Source.HISTORY)

AND = int(Op.AND)
CHOOSE = int(Op.CHOOSE)
SUPPRESS = int(Op.SUPPRESS)
LESS = int(Op.LESS)
LESS_EQUAL = int(Op.LESS_EQUAL)
EQUAL = int(Op.EQUAL)
KNOWN = int(Op.KNOWN)
SELECT = int(Op.SELECT)
ADD = int(Op.ADD)
SUBTRACT = int(Op.SUBTRACT)
MULTIPLY = int(Op.MULTIPLY)
DIVIDE = int(Op.DIVIDE)
INT_ADD = int(Op.INT_ADD)
INT_SUBTRACT = int(Op.INT_SUBTRACT)
INT_MULTIPLY = int(Op.INT_MULTIPLY)
INT_DIVIDE = int(Op.INT_DIVIDE)
INT_MODULO = int(Op.INT_MODULO)
NEGATE = int(Op.NEGATE)
ABSOLUTE = int(Op.ABSOLUTE)
ROUND = int(Op.ROUND)
MINIMUM = int(Op.MINIMUM)
MAXIMUM = int(Op.MAXIMUM)
TRUNCATE = int(Op.TRUNCATE)
FLOOR = int(Op.FLOOR)
BOUND = int(Op.BOUND)
LOOKUP = int(Op.LOOKUP)
PAIR = int(Op.PAIR)
DAYS_BETWEEN = int(Op.DAYS_BETWEEN)
MONTHS_BETWEEN = int(Op.MONTHS_BETWEEN)
CALENDAR = int(Op.CALENDAR)
SPAN = int(Op.SPAN)
LOCAL = int(Op.LOCAL)
COUNT_BITS = int(Op.COUNT_BITS)


@kernel
def _fill_columns(
    vectors: F64, low: int, high: int, matrix: F64, column_index: I32, first: int, lanes: int
) -> None:
    """Slots low to high from columns of a row-major matrix; lanes beyond the last customer are missing."""
    whole = lanes // 8 * 8 if vectors.shape[1] == 64 else 0
    for lane in range(0, whole, 8):
        _fill_tile(vectors, low, high, matrix, column_index, first + lane, lane)
    for slot in range(low, high):
        for i in range(whole, lanes):
            vectors[slot, i] = matrix[first + i, column_index[slot]]
        vectors[slot, lanes:] = np.nan


@kernel
def _fill_tile(
    vectors: F64, low: int, high: int, matrix: F64, column_index: I32, row: int, lane: int
) -> None:
    """Eight rows at a time, so that each cache line of them is used up at once (measured: 3 × faster)."""
    for slot in range(low, high):
        to, column = np.uint64(slot), np.uint64(column_index[slot])
        for i in range(8):
            vectors[to, np.uint64(lane + i)] = matrix[np.uint64(row + i), column]


@kernel
def _fill_codes(column: F64, codes: I32, first: int, lanes: int) -> None:
    for i in range(lanes):
        code = codes[first + i]
        column[i] = float(code) if code >= 0 else np.nan
    for i in range(lanes, len(column)):
        column[i] = np.nan


@kernel
def _fill_now(column: F64, now: F64, first: int, lanes: int) -> None:
    for i in range(lanes):
        column[i] = now[first + i]
    for i in range(lanes, len(column)):
        column[i] = np.nan


@kernel
def _mark_present(vectors: F64, n_columns: int, present: U64) -> None:
    """Who has each raw number: NaN is the only number that differs from itself."""
    for slot in range(n_columns):
        word = ZERO
        if vectors.shape[1] == 64:
            for i in range(64):
                word |= (ONE << np.uint64(i)) if vectors[slot, i] == vectors[slot, i] else ZERO
        else:
            word = ONE if vectors[slot, 0] == vectors[slot, 0] else ZERO
        present[slot] = word


@kernel
def _source_end(column_source: I32, source: int) -> int:
    """Where the slots of a source end; slots are sorted by source."""
    end = 0
    while end < len(column_source) and column_source[end] <= source:
        end += 1
    return end


@kernel
def _load(
    column_source: I32,
    column_index: I32,
    numbers: F64,
    figures: F64,
    context_numbers: F64,
    channel: I32,
    direction: I32,
    phase: I32,
    role: I32,
    history: F64,
    now: F64,
    first: int,
    lanes: int,
    vectors: F64,
    present: U64,
) -> None:
    """Copy the raw columns of one block, so that predicates read them one after the other."""
    facts = _source_end(column_source, FACT)
    known_figures = _source_end(column_source, FIGURE)
    contexts = _source_end(column_source, CONTEXT)
    windows = _source_end(column_source, HISTORY)
    _fill_columns(vectors, 0, facts, numbers, column_index, first, lanes)
    _fill_columns(vectors, facts, known_figures, figures, column_index, first, lanes)
    _fill_columns(vectors, known_figures, contexts, context_numbers, column_index, first, lanes)
    for slot in range(contexts, windows):
        source, column = column_source[slot], vectors[slot]
        if source == CHANNEL:
            _fill_codes(column, channel, first, lanes)
        elif source == DIRECTION:
            _fill_codes(column, direction, first, lanes)
        elif source == PHASE:
            _fill_codes(column, phase, first, lanes)
        elif source == ROLE:
            _fill_codes(column, role, first, lanes)
    built_in = _source_end(column_source, ROLE)
    _fill_columns(vectors, built_in, windows, history, column_index, first, lanes)
    for slot in range(windows, len(column_source)):
        _fill_now(vectors[slot], now, first, lanes)
    _mark_present(vectors, len(column_source), present)


@kernel
def _store(planes: U64, node: int | np.uint64, true: np.uint64, known: np.uint64) -> None:
    """Both planes of a node from its true bits and who is known."""
    at = np.uint64(node) << ONE
    planes[at] = true & known
    planes[at + ONE] = known & ~true


@kernel
def _less_wide(
    slots: I32, constants: F64, first: int, last: int, vectors: F64, present: U64, planes: U64
) -> None:
    """`slot < constant` for 64 customers.

    The constant trip count and the choice between two constants let LLVM compare eight customers per
    instruction; unsigned indices save the test for a negative one at every access.
    """
    a, end = np.uint64(first), np.uint64(last)
    while a < end:
        slot, constant, word = np.uint64(slots[a]), constants[a], ZERO
        for i in range(64):
            word |= (ONE << np.uint64(i)) if vectors[slot, i] < constant else ZERO
        _store(planes, a + ATOMS, word, present[slot])
        a += ONE


@kernel
def _less_equal_wide(
    slots: I32, constants: F64, first: int, last: int, vectors: F64, present: U64, planes: U64
) -> None:
    a, end = np.uint64(first), np.uint64(last)
    while a < end:
        slot, constant, word = np.uint64(slots[a]), constants[a], ZERO
        for i in range(64):
            word |= (ONE << np.uint64(i)) if vectors[slot, i] <= constant else ZERO
        _store(planes, a + ATOMS, word, present[slot])
        a += ONE


@kernel
def _equal_wide(
    slots: I32, constants: F64, first: int, last: int, vectors: F64, present: U64, planes: U64
) -> None:
    a, end = np.uint64(first), np.uint64(last)
    while a < end:
        slot, constant, word = np.uint64(slots[a]), constants[a], ZERO
        for i in range(64):
            word |= (ONE << np.uint64(i)) if vectors[slot, i] == constant else ZERO
        _store(planes, a + ATOMS, word, present[slot])
        a += ONE


@kernel
def _compare_one(slots: I32, constants: F64, ends: I32, vectors: F64, present: U64, planes: U64) -> None:
    """All comparisons for a single customer."""
    for a in range(ends[0]):
        slot = np.uint64(slots[a])
        _store(planes, 2 + a, np.uint64(vectors[slot, 0] < constants[a]), present[slot])
    for a in range(ends[0], ends[1]):
        slot = np.uint64(slots[a])
        _store(planes, 2 + a, np.uint64(vectors[slot, 0] <= constants[a]), present[slot])
    for a in range(ends[1], ends[2]):
        slot = np.uint64(slots[a])
        _store(planes, 2 + a, np.uint64(vectors[slot, 0] == constants[a]), present[slot])


@kernel
def _compare(slots: I32, constants: F64, ends: I32, vectors: F64, present: U64, planes: U64) -> None:
    """All comparisons of stored numbers with constants."""
    if vectors.shape[1] == 1:
        _compare_one(slots, constants, ends, vectors, present, planes)
    else:
        _less_wide(slots, constants, 0, ends[0], vectors, present, planes)
        _less_equal_wide(slots, constants, ends[0], ends[1], vectors, present, planes)
        _equal_wide(slots, constants, ends[1], ends[2], vectors, present, planes)


@kernel
def _clean_codes(vectors: F64, slot: int, codes: U64) -> np.uint64:
    """Enum codes of a slot as shifts; returns who has one. That of a missing or foreign code is 0."""
    fine = ZERO
    for i in range(vectors.shape[1]):
        x = vectors[slot, i]
        inside = 0.0 <= x < 64.0
        # NaN must not reach the conversion, which is undefined for it.
        codes[i] = np.uint64(np.int64(x if inside else 0.0))
        fine |= np.uint64(inside) << np.uint64(i)
    return fine


@kernel
def _members(slots: I32, codes: U64, vectors: F64, present: U64, planes: U64, node: int, shifts: U64) -> None:
    """Is the code in a bit set? Sorted by slot, so that codes are made shifts once a slot."""
    previous, fine = -1, ZERO
    for a in range(len(slots)):
        if slots[a] != previous:
            previous = slots[a]
            fine = _clean_codes(vectors, previous, shifts)
        word, members = ZERO, codes[a]
        if len(shifts) == 64:
            for i in range(64):
                word |= ((members >> shifts[i]) & ONE) << np.uint64(i)
        else:
            word = (members >> shifts[0]) & ONE
        _store(planes, node + a, word & fine, present[previous])


@kernel
def _bit_word(words: U64, placements: U64, word: int, bit: int, first: int, lanes: int) -> np.uint64:
    """One bit of a stored word, gathered over the block."""
    gathered, shift = ZERO, np.uint64(bit)
    if word < 0:
        for i in range(lanes):
            gathered |= ((placements[first + i] >> shift) & ONE) << np.uint64(i)
    else:
        for i in range(lanes):
            gathered |= ((words[first + i, word] >> shift) & ONE) << np.uint64(i)
    return gathered


@kernel
def _known_word(known: U64, placements: U64, word: int, bit: int, first: int, lanes: int) -> np.uint64:
    """Whose bool or set is known; placements are when any is named."""
    if word >= 0:
        return _bit_word(known, placements, word, bit, first, lanes)
    gathered = ZERO
    for i in range(lanes):
        gathered |= np.uint64(placements[first + i] != ZERO) << np.uint64(i)
    return gathered


@kernel
def _bits(
    bits: I32, words: U64, known: U64, placements: U64, first: int, lanes: int, planes: U64, node: int
) -> None:
    for a in range(len(bits)):
        value = _bit_word(words, placements, bits[a, 0], bits[a, 1], first, lanes)
        there = _known_word(known, placements, bits[a, 2], bits[a, 3], first, lanes)
        _store(planes, node + a, value, there)


@kernel
def _has_slot(planes: U64, node: int, present: U64, slot: int) -> None:
    planes[2 * node] = present[slot]
    planes[2 * node + 1] = ~present[slot]


@kernel
def _has(
    known_slot: I32,
    known_bits: I32,
    known: U64,
    placements: U64,
    first: int,
    lanes: int,
    present: U64,
    planes: U64,
    node: int,
) -> None:
    for a in range(len(known_slot)):
        _has_slot(planes, node + a, present, known_slot[a])
    node += len(known_slot)
    for a in range(len(known_bits)):
        there = _known_word(known, placements, known_bits[a, 0], known_bits[a, 1], first, lanes)
        _store(planes, node + a, there, ALL)


@kernel
def _conjunctions(starts: I32, operands: I32, first: int, last: int, planes: U64, node: int) -> None:
    """Nodes from `node` on: conjunctions first to last.

    Unsigned indices: a signed one costs a test for a negative index at every access (measured: × 2.6).
    """
    k = np.uint64(starts[first])
    at = np.uint64(2 * node)
    for c in range(first, last):
        end, true, false = np.uint64(starts[c + 1]), ALL, ZERO
        while k < end:
            plane = np.uint64(operands[k])
            true &= planes[plane]
            false |= planes[plane ^ ONE]
            k += ONE
        planes[at] = true
        planes[at + ONE] = false
        at += ONE + ONE


@kernel
def _choose(a: int, b: int, c: int, planes: U64, node: int) -> None:
    yes, no = planes[a], planes[a ^ 1]
    planes[2 * node] = (yes & planes[b]) | (no & planes[c])
    planes[2 * node + 1] = (yes & planes[b ^ 1]) | (no & planes[c ^ 1])


@kernel
def _compare_slots(op: int, a: int, b: int, vectors: F64, present: U64, planes: U64, node: int) -> None:
    left, right, word = vectors[a], vectors[b], ZERO
    if op == LESS:
        for i in range(len(left)):
            word |= np.uint64(left[i] < right[i]) << np.uint64(i)
    elif op == LESS_EQUAL:
        for i in range(len(left)):
            word |= np.uint64(left[i] <= right[i]) << np.uint64(i)
    else:
        for i in range(len(left)):
            word |= np.uint64(left[i] == right[i]) << np.uint64(i)
    _store(planes, node, word, present[a] & present[b])


@kernel
def _select(plane: int, a: int, b: int, vectors: F64, present: U64, planes: U64, slot: int) -> None:
    yes, no = planes[plane], planes[plane ^ 1]
    for i in range(vectors.shape[1]):
        vectors[slot, i] = vectors[a, i] if (yes >> np.uint64(i)) & ONE else vectors[b, i]
    present[slot] = (yes & present[a]) | (no & present[b])


@kernel
def _arithmetic(op: int, x: F64, y: F64, to: F64) -> None:
    if op == ADD:
        for i in range(len(to)):
            to[i] = x[i] + y[i]
    elif op == SUBTRACT:
        for i in range(len(to)):
            to[i] = x[i] - y[i]
    elif op == MULTIPLY:
        for i in range(len(to)):
            to[i] = x[i] * y[i]
    elif op == DIVIDE:
        for i in range(len(to)):
            to[i] = x[i] / y[i]
    else:
        for i in range(len(to)):
            to[i] = (x[i] - y[i]) / 86400.0


@kernel
def _extreme(op: int, x: F64, y: F64, to: F64) -> None:
    if op == MINIMUM:
        for i in range(len(to)):
            to[i] = y[i] if y[i] < x[i] else x[i]
    else:
        for i in range(len(to)):
            to[i] = y[i] if x[i] < y[i] else x[i]


@kernel
def _integer_scalar(op: int, x: float, y: float) -> float:
    """Integer arithmetic; NaN = an error. Adding 0.0 turns -0.0, which no integer is, into 0.0.

    A result of exactly ±2^53 is an error too: a larger one may have been rounded to it.
    """
    if op == INT_ADD:
        result = x + y
    elif op == INT_SUBTRACT:
        result = x - y
    elif op == INT_MULTIPLY:
        result = x * y
    elif y == 0.0 or not (abs(x) <= EXACT and abs(y) <= EXACT):
        return np.nan
    elif op == INT_MODULO:
        result = np.fmod(x, y)
    else:
        # Through int64: a float quotient just below a whole number would round up to it.
        quotient = abs(np.int64(x)) // abs(np.int64(y))
        result = float(quotient if (x < 0.0) == (y < 0.0) else -quotient)
    return result + 0.0 if abs(result) < EXACT else np.nan


@kernel
def _integer(op: int, x: F64, y: F64, to: F64) -> np.uint64:
    """Integer arithmetic on a vector; returns who has no error."""
    fine = ZERO
    for i in range(len(to)):
        to[i] = _integer_scalar(op, x[i], y[i])
        fine |= np.uint64(to[i] == to[i]) << np.uint64(i)
    return fine


@kernel
def _round_scalar(x: float) -> float:
    """Half away from zero."""
    whole = np.floor(abs(x))
    return np.copysign(whole + 1.0 if abs(x) - whole >= 0.5 else whole, x)


@kernel
def _lookup_scalar(x: float, tables: F64, start: int, size: int) -> float:
    return tables[start + np.int64(x)] if 0.0 <= x < size else np.nan


@kernel
def _unary_scalar(op: int, x: float, tables: F64, b: int, c: int) -> float:
    """Functions whose NaN is an error."""
    if op == TRUNCATE:
        return np.trunc(x) + 0.0 if abs(x) <= EXACT else np.nan
    if op == BOUND:
        return x if tables[b] <= x <= tables[b + 1] else np.nan
    if op == LOOKUP:
        return _lookup_scalar(x, tables, b, c)
    if op == FLOOR:
        return np.floor(x)
    if op == CALENDAR:
        return calendar_field(b, x)
    if op == SPAN:
        return span_field(b, x)
    return local_seconds(x, tables, b, c)


@kernel
def _unary(op: int, x: F64, tables: F64, b: int, c: int, to: F64) -> np.uint64:
    """A function on a vector; returns who has no error. Only NEGATE to ROUND may give a NaN that counts."""
    if op == NEGATE:
        for i in range(len(to)):
            to[i] = -x[i]
        return ALL
    if op == ABSOLUTE:
        for i in range(len(to)):
            to[i] = abs(x[i])
        return ALL
    if op == ROUND:
        for i in range(len(to)):
            to[i] = _round_scalar(x[i])
        return ALL
    fine = ZERO
    for i in range(len(to)):
        to[i] = _unary_scalar(op, x[i], tables, b, c)
        fine |= np.uint64(to[i] == to[i]) << np.uint64(i)
    return fine


@kernel
def _pair(x: F64, y: F64, size: int, to: F64) -> None:
    for i in range(len(to)):
        to[i] = x[i] * size + y[i]


@kernel
def _months(x: F64, y: F64, to: F64) -> np.uint64:
    fine = ZERO
    for i in range(len(to)):
        to[i] = months_between(x[i], y[i])
        fine |= np.uint64(to[i] == to[i]) << np.uint64(i)
    return fine


@kernel
def _population(word: np.uint64) -> int:
    count = 0
    while word != ZERO:
        word &= word - ONE
        count += 1
    return count


@kernel
def _count_bits(words: U64, placements: U64, word: int, first: int, lanes: int, to: F64) -> None:
    for i in range(len(to)):
        to[i] = 0.0
    for i in range(lanes):
        value = placements[first + i] if word < 0 else words[first + i, word]
        to[i] = float(_population(value))


@kernel
def _compute(op: int, slot: int, a: int, b: int, c: int, tables: F64, vectors: F64, present: U64) -> None:
    """One slot from others."""
    to = vectors[slot]
    if ADD <= op <= DIVIDE or op == DAYS_BETWEEN:
        _arithmetic(op, vectors[a], vectors[b], to)
        present[slot] = present[a] & present[b]
    elif op == MINIMUM or op == MAXIMUM:
        _extreme(op, vectors[a], vectors[b], to)
        present[slot] = present[a] & present[b]
    elif INT_ADD <= op <= INT_MODULO:
        present[slot] = present[a] & present[b] & _integer(op, vectors[a], vectors[b], to)
    elif op == PAIR:
        _pair(vectors[a], vectors[b], c, to)
        present[slot] = present[a] & present[b]
    elif op == MONTHS_BETWEEN:
        present[slot] = present[a] & present[b] & _months(vectors[a], vectors[b], to)
    else:
        present[slot] = present[a] & _unary(op, vectors[a], tables, b, c, to)


@kernel
def _run_stream(
    code: I32,
    and_starts: I32,
    operands: I32,
    tables: F64,
    words: U64,
    known: U64,
    placements: U64,
    suppressed: U64,
    block: int,
    first: int,
    lanes: int,
    vectors: F64,
    present: U64,
    planes: U64,
) -> None:
    for k in range(len(code)):
        op, to, a, b, c = code[k, 0], code[k, 1], code[k, 2], code[k, 3], code[k, 4]
        if op == AND:
            _conjunctions(and_starts, operands, a, b, planes, to)
        elif op == CHOOSE:
            _choose(a, b, c, planes, to)
        elif op == SUPPRESS:
            planes[2 * to] = planes[a] & ~suppressed[b, block]
            planes[2 * to + 1] = planes[a ^ 1] | suppressed[b, block]
        elif op <= EQUAL:
            _compare_slots(op, a, b, vectors, present, planes, to)
        elif op == KNOWN:
            _has_slot(planes, to, present, a)
        elif op == SELECT:
            _select(a, b, c, vectors, present, planes, to)
        elif op == COUNT_BITS:
            _count_bits(words, placements, a, first, lanes, vectors[to])
            present[to] = _known_word(known, placements, b, c, first, lanes)
        else:
            _compute(op, to, a, b, c, tables, vectors, present)


@kernel
def _emit(
    condition_planes: I32,
    value_slots: I32,
    block: int,
    first: int,
    lanes: int,
    vectors: F64,
    present: U64,
    planes: U64,
    true: U64,
    false: U64,
    values: F64,
) -> None:
    inside = ALL >> np.uint64(64 - lanes)
    for c in range(len(condition_planes)):
        plane = np.uint64(condition_planes[c])
        true[block, c] = planes[plane] & inside
        false[block, c] = planes[plane ^ ONE] & inside
    for v in range(len(value_slots)):
        slot = value_slots[v]
        for i in range(lanes):
            there = (present[slot] >> np.uint64(i)) & ONE
            values[first + i, v] = vectors[slot, i] if there else np.nan


def _read(kind: object, dimensions: int) -> object:
    return types.Array(kind, dimensions, "C", readonly=True)


def _written(kind: object, dimensions: int) -> object:
    return types.Array(kind, dimensions, "C")


_F1, _F2 = _read(types.float64, 1), _read(types.float64, 2)
_I1, _I2 = _read(types.int32, 1), _read(types.int32, 2)
_U1, _U2 = _read(types.uint64, 1), _read(types.uint64, 2)
_TABLES = (
    *(types.int64, types.int64, _I1, _I1, _F1, _I1, _F1, _I1, _I1, _U1),
    *(_I2, _I1, _I2, _I2, _I1, _I1, _F1, _I1, _I1),
)
_INPUTS = (_F2, _U2, _U2, _F2, _F2, _I1, _I1, _I1, _I1, _U1, _F2, _F1, _U2)
_OUTPUTS = (_written(types.uint64, 2), _written(types.uint64, 2), _written(types.float64, 2))
KERNEL_SIGNATURE = types.void(*_TABLES, *_INPUTS, types.int64, types.int64, *_OUTPUTS)
"""Types of `match_blocks`: read-only where it only reads, so that it takes writable arrays as well."""


@kernel
def match_blocks(
    n_slots: int,
    n_nodes: int,
    column_source: I32,
    column_index: I32,
    constants: F64,
    compare_slot: I32,
    compare_constant: F64,
    compare_ends: I32,
    member_slot: I32,
    member_codes: U64,
    bits: I32,
    known_slot: I32,
    known_bits: I32,
    code: I32,
    and_starts: I32,
    operands: I32,
    tables: F64,
    condition_planes: I32,
    value_slots: I32,
    numbers: F64,
    words: U64,
    known: U64,
    figures: F64,
    context_numbers: F64,
    channel: I32,
    direction: I32,
    phase: I32,
    role: I32,
    placements: U64,
    history: F64,
    now: F64,
    suppressed: U64,
    first_block: int,
    last_block: int,
    true: U64,
    false: U64,
    values: F64,
) -> None:
    """Run a program over blocks first_block to last_block and write their outputs.

    The tables are those of `Program`, the inputs those of `matching.Inputs`, the outputs those of
    `Matches`. Oracle: tests/naive/expressions.py.
    """
    n = len(now)
    width = 64 if n > 1 else 1
    vectors = np.empty((n_slots, width))
    present = np.empty(n_slots, np.uint64)
    planes = np.empty(2 * n_nodes, np.uint64)
    shifts = np.empty(width, np.uint64)
    planes[0], planes[1], planes[2], planes[3] = ZERO, ZERO, ALL, ZERO
    for k in range(len(constants)):
        vectors[len(column_source) + k, :] = constants[k]
        present[len(column_source) + k] = ALL
    first_member = 2 + len(compare_slot)
    first_bit = first_member + len(member_slot)
    first_known = first_bit + len(bits)
    for block in range(first_block, last_block):
        first = block * 64
        lanes = min(64, n - first)
        _load(
            column_source, column_index, numbers, figures, context_numbers, channel, direction, phase, role,
            history, now, first, lanes, vectors, present,
        )  # fmt: skip
        _compare(compare_slot, compare_constant, compare_ends, vectors, present, planes)
        _members(member_slot, member_codes, vectors, present, planes, first_member, shifts)
        _bits(bits, words, known, placements, first, lanes, planes, first_bit)
        _has(known_slot, known_bits, known, placements, first, lanes, present, planes, first_known)
        _run_stream(
            code, and_starts, operands, tables, words, known, placements, suppressed, block, first, lanes,
            vectors, present, planes,
        )  # fmt: skip
        _emit(
            condition_planes, value_slots, block, first, lanes, vectors, present, planes, true, false, values
        )
