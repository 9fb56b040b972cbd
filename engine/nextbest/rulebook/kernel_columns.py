"""Part of the matching kernel: copies one block's raw numbers into slots."""

import numpy as np

from nextbest.kernels import lean_kernel
from nextbest.model import F64, I32, U64
from nextbest.rulebook.program import Source

ONE = np.uint64(1)
ZERO = np.uint64(0)
FACT = int(Source.FACT)
FIGURE = int(Source.FIGURE)
CONTEXT = int(Source.CONTEXT)
CHANNEL = int(Source.CHANNEL)
DIRECTION = int(Source.DIRECTION)
PHASE = int(Source.PHASE)
ROLE = int(Source.ROLE)
HISTORY = int(Source.HISTORY)


@lean_kernel
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


@lean_kernel
def _fill_tile(
    vectors: F64, low: int, high: int, matrix: F64, column_index: I32, row: int, lane: int
) -> None:
    """Eight rows at a time, so that each cache line of them is used up at once (measured: 3 × faster)."""
    for slot in range(low, high):
        to, column = np.uint64(slot), np.uint64(column_index[slot])
        for i in range(8):
            vectors[to, np.uint64(lane + i)] = matrix[np.uint64(row + i), column]


@lean_kernel
def _fill_codes(column: F64, codes: I32, first: int, lanes: int) -> None:
    for i in range(lanes):
        code = codes[first + i]
        column[i] = float(code) if code >= 0 else np.nan
    for i in range(lanes, len(column)):
        column[i] = np.nan


@lean_kernel
def _fill_now(column: F64, now: F64, first: int, lanes: int) -> None:
    for i in range(lanes):
        column[i] = now[first + i]
    for i in range(lanes, len(column)):
        column[i] = np.nan


@lean_kernel
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


@lean_kernel
def _source_end(column_source: I32, source: int) -> int:
    """Where the slots of a source end; slots are sorted by source."""
    end = 0
    while end < len(column_source) and column_source[end] <= source:
        end += 1
    return end


@lean_kernel
def load_columns(
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
