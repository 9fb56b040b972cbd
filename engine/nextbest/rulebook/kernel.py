"""The fixed kernel that runs any program: predicates to truth words, words to conditions.

A block is 64 customers. `vectors` is (slots, width) of numbers, width 64, or 1 for a single customer;
`present` has one word a slot: bit i is set when customer i's number is neither missing nor an error.
`planes` has two words a node: known-true, then known-false. Nothing here allocates per block.
"""

from typing import Any, cast

import numba
import numpy as np

from nextbest.kernels import kernel, lean_kernel
from nextbest.model import F64, I32, U64
from nextbest.rulebook.kernel_columns import load_columns
from nextbest.rulebook.kernel_numbers import compute, count_bits, select
from nextbest.rulebook.kernel_planes import (
    choose,
    compare_constants,
    compare_slots,
    conjoin,
    known_word,
    match_bits,
    match_known,
    match_known_slot,
    match_members,
)
from nextbest.rulebook.program import Op

types = cast("Any", numba).types
"""numba's types, which have no annotations."""

ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
ONE = np.uint64(1)
ZERO = np.uint64(0)
AND = int(Op.AND)
CHOOSE = int(Op.CHOOSE)
SUPPRESS = int(Op.SUPPRESS)
EQUAL = int(Op.EQUAL)
KNOWN = int(Op.KNOWN)
SELECT = int(Op.SELECT)
COUNT_BITS = int(Op.COUNT_BITS)


@lean_kernel
def _run_stream(
    code: I32,
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
            conjoin(operands, a, b, c, planes, to)
        elif op == CHOOSE:
            choose(a, b, c, planes, to)
        elif op == SUPPRESS:
            planes[2 * to] = planes[a] & ~suppressed[b, block]
            planes[2 * to + 1] = planes[a ^ 1] | suppressed[b, block]
        elif op <= EQUAL:
            compare_slots(op, a, b, vectors, present, planes, to)
        elif op == KNOWN:
            match_known_slot(planes, to, present, a)
        elif op == SELECT:
            select(a, b, c, vectors, present, planes, to)
        elif op == COUNT_BITS:
            count_bits(words, placements, a, first, lanes, vectors[to])
            present[to] = known_word(known, placements, b, c, first, lanes)
        else:
            compute(op, to, a, b, c, tables, vectors, present)


@lean_kernel
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
    *(_I2, _I1, _I2, _I2, _I1, _F1, _I1, _I1),
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
        load_columns(
            column_source, column_index, numbers, figures, context_numbers, channel, direction, phase, role,
            history, now, first, lanes, vectors, present,
        )  # fmt: skip
        compare_constants(compare_slot, compare_constant, compare_ends, vectors, present, planes)
        match_members(member_slot, member_codes, vectors, present, planes, first_member, shifts)
        match_bits(bits, words, known, placements, first, lanes, planes, first_bit)
        match_known(known_slot, known_bits, known, placements, first, lanes, present, planes, first_known)
        _run_stream(
            code, operands, tables, words, known, placements, suppressed, block, first, lanes,
            vectors, present, planes,
        )  # fmt: skip
        _emit(
            condition_planes, value_slots, block, first, lanes, vectors, present, planes, true, false, values
        )
