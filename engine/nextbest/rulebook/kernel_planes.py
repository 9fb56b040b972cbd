"""Part of the matching kernel: truth words, from predicates and from other truth words."""

from collections.abc import Callable

import numpy as np

from nextbest.kernels import lean_kernel
from nextbest.model import F64, I32, U64
from nextbest.rulebook.program import Op

ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
ONE = np.uint64(1)
TWO = np.uint64(2)
THREE = np.uint64(3)
ZERO = np.uint64(0)
ATOMS = np.uint64(2)
"""Node of the first comparison, after UNKNOWN and TRUE."""
LESS = int(Op.LESS)
LESS_EQUAL = int(Op.LESS_EQUAL)


@lean_kernel
def _store(planes: U64, node: int | np.uint64, true: np.uint64, known: np.uint64) -> None:
    """Both planes of a node from its true bits and who is known."""
    at = np.uint64(node) << ONE
    planes[at] = true & known
    planes[at + ONE] = known & ~true


@lean_kernel
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


@lean_kernel
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


@lean_kernel
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


@lean_kernel
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


@lean_kernel
def compare_constants(slots: I32, constants: F64, ends: I32, vectors: F64, present: U64, planes: U64) -> None:
    """All comparisons of stored numbers with constants."""
    if vectors.shape[1] == 1:
        _compare_one(slots, constants, ends, vectors, present, planes)
    else:
        _less_wide(slots, constants, 0, ends[0], vectors, present, planes)
        _less_equal_wide(slots, constants, ends[0], ends[1], vectors, present, planes)
        _equal_wide(slots, constants, ends[1], ends[2], vectors, present, planes)


@lean_kernel
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


@lean_kernel
def match_members(
    slots: I32, codes: U64, vectors: F64, present: U64, planes: U64, node: int, shifts: U64
) -> None:
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


@lean_kernel
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


@lean_kernel
def known_word(known: U64, placements: U64, word: int, bit: int, first: int, lanes: int) -> np.uint64:
    """Whose bool or set is known; placements are when any is named."""
    if word >= 0:
        return _bit_word(known, placements, word, bit, first, lanes)
    gathered = ZERO
    for i in range(lanes):
        gathered |= np.uint64(placements[first + i] != ZERO) << np.uint64(i)
    return gathered


@lean_kernel
def match_bits(
    bits: I32, words: U64, known: U64, placements: U64, first: int, lanes: int, planes: U64, node: int
) -> None:
    """Predicates that are a stored bit: bools, and members of sets."""
    for a in range(len(bits)):
        value = _bit_word(words, placements, bits[a, 0], bits[a, 1], first, lanes)
        there = known_word(known, placements, bits[a, 2], bits[a, 3], first, lanes)
        _store(planes, node + a, value, there)


@lean_kernel
def match_known_slot(planes: U64, node: int, present: U64, slot: int) -> None:
    """Whether a slot is known: true or false for everyone."""
    planes[2 * node] = present[slot]
    planes[2 * node + 1] = ~present[slot]


@lean_kernel
def match_known(
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
    """Predicates `has(...)` of stored numbers, then of bools and sets."""
    for a in range(len(known_slot)):
        match_known_slot(planes, node + a, present, known_slot[a])
    node += len(known_slot)
    for a in range(len(known_bits)):
        there = known_word(known, placements, known_bits[a, 0], known_bits[a, 1], first, lanes)
        _store(planes, node + a, there, ALL)


def _conjoin_sized(size: int) -> Callable[[I32, int, int, U64, int], None]:
    """A kernel for conjunctions of `size` operands, 2 to 7, that LLVM unrolls (measured: × 1.8).

    It unrolls a loop of up to four; so the first four operands are written out. Unsigned indices: a
    signed one costs a test for a negative index at every access (measured: × 2.6).
    """
    written_out = 4 if size >= 4 else 0

    @lean_kernel
    def conjoin(operands: I32, first: int, count: int, planes: U64, node: int) -> None:
        k, at = np.uint64(first), np.uint64(node) << ONE
        for _ in range(count):
            true, false = ALL, ZERO
            if written_out:
                a, b = np.uint64(operands[k]), np.uint64(operands[k + ONE])
                c, d = np.uint64(operands[k + TWO]), np.uint64(operands[k + THREE])
                true = planes[a] & planes[b] & planes[c] & planes[d]
                false = planes[a ^ ONE] | planes[b ^ ONE] | planes[c ^ ONE] | planes[d ^ ONE]
            for j in range(written_out, size):
                plane = np.uint64(operands[k + np.uint64(j)])
                true &= planes[plane]
                false |= planes[plane ^ ONE]
            planes[at] = true
            planes[at + ONE] = false
            at += TWO
            k += np.uint64(size)

    return conjoin


_conjoin_2, _conjoin_3, _conjoin_4 = _conjoin_sized(2), _conjoin_sized(3), _conjoin_sized(4)
_conjoin_5, _conjoin_6, _conjoin_7 = _conjoin_sized(5), _conjoin_sized(6), _conjoin_sized(7)


@lean_kernel
def _conjoin_any(operands: I32, first: int, count: int, size: int, planes: U64, node: int) -> None:
    k, at = np.uint64(first), np.uint64(node) << ONE
    for _ in range(count):
        end, true, false = k + np.uint64(size), ALL, ZERO
        while k < end:
            plane = np.uint64(operands[k])
            true &= planes[plane]
            false |= planes[plane ^ ONE]
            k += ONE
        planes[at] = true
        planes[at + ONE] = false
        at += TWO


@lean_kernel
def conjoin(operands: I32, first: int, count: int, size: int, planes: U64, node: int) -> None:
    """Nodes from `node` on: `count` conjunctions of `size` operands each, which lie end to end."""
    if size == 2:
        _conjoin_2(operands, first, count, planes, node)
    elif size == 3:
        _conjoin_3(operands, first, count, planes, node)
    elif size == 4:
        _conjoin_4(operands, first, count, planes, node)
    elif size == 5:
        _conjoin_5(operands, first, count, planes, node)
    elif size == 6:
        _conjoin_6(operands, first, count, planes, node)
    elif size == 7:
        _conjoin_7(operands, first, count, planes, node)
    else:
        _conjoin_any(operands, first, count, size, planes, node)


@lean_kernel
def choose(a: int, b: int, c: int, planes: U64, node: int) -> None:
    """A node that is one of two others, as a third says."""
    yes, no = planes[a], planes[a ^ 1]
    planes[2 * node] = (yes & planes[b]) | (no & planes[c])
    planes[2 * node + 1] = (yes & planes[b ^ 1]) | (no & planes[c ^ 1])


@lean_kernel
def compare_slots(op: int, a: int, b: int, vectors: F64, present: U64, planes: U64, node: int) -> None:
    """A node that compares two slots; a computed NaN is known and compares false."""
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
