"""Part of the matching kernel: computed slots, each from others."""

import numpy as np

from nextbest.kernels import lean_kernel
from nextbest.model import F64, U64
from nextbest.rulebook.kernel_calendar import calendar_field, local_seconds, months_between, span_field
from nextbest.rulebook.program import Op

ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
ONE = np.uint64(1)
ZERO = np.uint64(0)
EXACT = 2.0**53
ADD = int(Op.ADD)
SUBTRACT = int(Op.SUBTRACT)
MULTIPLY = int(Op.MULTIPLY)
DIVIDE = int(Op.DIVIDE)
INT_ADD = int(Op.INT_ADD)
INT_SUBTRACT = int(Op.INT_SUBTRACT)
INT_MULTIPLY = int(Op.INT_MULTIPLY)
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


@lean_kernel
def select(plane: int, a: int, b: int, vectors: F64, present: U64, planes: U64, slot: int) -> None:
    """A slot that is one of two others, as a plane says; UNKNOWN where the plane is."""
    yes, no = planes[plane], planes[plane ^ 1]
    for i in range(vectors.shape[1]):
        vectors[slot, i] = vectors[a, i] if (yes >> np.uint64(i)) & ONE else vectors[b, i]
    present[slot] = (yes & present[a]) | (no & present[b])


@lean_kernel
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


@lean_kernel
def _extreme(op: int, x: F64, y: F64, to: F64) -> None:
    if op == MINIMUM:
        for i in range(len(to)):
            to[i] = y[i] if y[i] < x[i] else x[i]
    else:
        for i in range(len(to)):
            to[i] = y[i] if x[i] < y[i] else x[i]


@lean_kernel
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


@lean_kernel
def _integer(op: int, x: F64, y: F64, to: F64) -> np.uint64:
    """Integer arithmetic on a vector; returns who has no error."""
    fine = ZERO
    for i in range(len(to)):
        to[i] = _integer_scalar(op, x[i], y[i])
        fine |= np.uint64(to[i] == to[i]) << np.uint64(i)
    return fine


@lean_kernel
def _round_scalar(x: float) -> float:
    """Half away from zero."""
    whole = np.floor(abs(x))
    return np.copysign(whole + 1.0 if abs(x) - whole >= 0.5 else whole, x)


@lean_kernel
def _lookup_scalar(x: float, tables: F64, start: int, size: int) -> float:
    return tables[start + np.int64(x)] if 0.0 <= x < size else np.nan


@lean_kernel
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


@lean_kernel
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


@lean_kernel
def _pair(x: F64, y: F64, size: int, to: F64) -> None:
    for i in range(len(to)):
        to[i] = x[i] * size + y[i]


@lean_kernel
def _months(x: F64, y: F64, to: F64) -> np.uint64:
    fine = ZERO
    for i in range(len(to)):
        to[i] = months_between(x[i], y[i])
        fine |= np.uint64(to[i] == to[i]) << np.uint64(i)
    return fine


@lean_kernel
def _population(word: np.uint64) -> int:
    count = 0
    while word != ZERO:
        word &= word - ONE
        count += 1
    return count


@lean_kernel
def count_bits(words: U64, placements: U64, word: int, first: int, lanes: int, to: F64) -> None:
    """Members of each customer's set; word -1 = the placements."""
    for i in range(len(to)):
        to[i] = 0.0
    for i in range(lanes):
        value = placements[first + i] if word < 0 else words[first + i, word]
        to[i] = float(_population(value))


@lean_kernel
def compute(op: int, slot: int, a: int, b: int, c: int, tables: F64, vectors: F64, present: U64) -> None:
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
