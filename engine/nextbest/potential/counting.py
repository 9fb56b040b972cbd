"""Counting outcomes by cell and bucket.

Two ways to the same counts: a dense table of cells × buckets that occur, and, where that would not
fit, sorting. Only buckets that occur get a column, so one absurd amount costs one column.

Source: domain model, section 3. Oracle: tests/naive/grid.py `counts_of`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from nextbest.kernels import kernel
from nextbest.model import F64, I32, I64, Bools
from nextbest.potential.sketch import FIRST, MISSING, UPPER, signed_bucket

LIMIT: Final = UPPER.size - 1
"""Largest bucket number; the smallest is its negative."""

SPAN: Final = 2 * LIMIT + 1
"""How many bucket numbers there are."""

_DENSE_LIMIT: Final = 1 << 25

CellCounts = tuple[I64, I32, I64]
"""Number of entries of each cell (C,), and for all entries, by cell: bucket and count."""


@kernel
def _place(values: F64, cells: I32, tables: tuple[NDArray[np.uint16], F64], seen: Bools) -> I32:
    """Return each bucket counted from 0, −1 where not counted, and mark those that occur."""
    first, upper = tables
    places = np.full(values.size, -1, np.int32)
    for i in range(values.size):
        if cells[i] >= 0:
            bucket = signed_bucket(values[i], first, upper)
            if bucket != MISSING:
                places[i] = bucket + LIMIT
                seen[bucket + LIMIT] = True
    return places


@kernel
def _count_dense(places: I32, cells: I32, column: I32, table: I32) -> None:
    for i in range(places.size):
        if places[i] >= 0:
            table[cells[i], column[places[i]]] += 1


@kernel
def _roll_up(parent: I32, table: I32) -> None:
    """Add each cell to its parent; cells come after their parents, so the last goes first."""
    for cell in range(parent.size - 1, 0, -1):
        for u in range(table.shape[1]):
            table[parent[cell], u] += table[cell, u]


@kernel
def _compress(table: I32, names: I32) -> CellCounts:
    """Drop the zeros of a table whose columns are the buckets `names`."""
    entries = np.zeros(table.shape[0], np.int64)
    for cell in range(table.shape[0]):
        for u in range(table.shape[1]):
            entries[cell] += table[cell, u] > 0
    buckets, counts = np.empty(entries.sum(), np.int32), np.empty(entries.sum(), np.int64)
    entry = 0
    for cell in range(table.shape[0]):
        for u in range(table.shape[1]):
            if table[cell, u] > 0:
                buckets[entry] = names[u]
                counts[entry] = table[cell, u]
                entry += 1
    return entries, buckets, counts


def add_up(keys: I64, counts: I64) -> tuple[I64, I64]:
    """Return distinct keys, ascending, with the sum of their counts."""
    unique, inverse = np.unique(keys, return_inverse=True)
    totals = np.zeros(unique.size, np.int64)
    np.add.at(totals, inverse, counts)
    return unique, totals


def _count_sorted(places: I32, cells: I32, parent: I32) -> CellCounts:
    used = places >= 0
    keys, counts = np.unique(cells[used].astype(np.int64) * SPAN + places[used], return_counts=True)
    level_keys, level_counts = [keys], [counts]
    while keys.size:
        up = parent[keys // SPAN].astype(np.int64)
        keys, counts = (up * SPAN + keys % SPAN)[up >= 0], counts[up >= 0]
        level_keys.append(keys)
        level_counts.append(counts)
    keys, counts = add_up(np.concatenate(level_keys), np.concatenate(level_counts))
    entries = np.bincount(keys // SPAN, minlength=parent.size)
    return entries, (keys % SPAN - LIMIT).astype(np.int32), counts


def count_outcome(values: F64, cells: I32, parent: I32) -> CellCounts:
    """Count one outcome in every cell; a cell includes the cells below it.

    Args:
        values: (n,) amounts; NaN and ±inf are not counted.
        cells: (n,) own cells; −1 = not counted.
        parent: (C,) parents of the cells, which come before their children.

    Cost: about 4 ns a customer and 4 bytes, and up to 128 MB for the table.
    """
    seen = np.zeros(SPAN, np.bool_)
    places = _place(values, cells, (FIRST, UPPER), seen)
    names = np.flatnonzero(seen).astype(np.int32) - np.int32(LIMIT)
    if parent.size * names.size > _DENSE_LIMIT or values.size >= 2**31:
        return _count_sorted(places, cells, parent)
    table = np.zeros((parent.size, names.size), np.int32)
    _count_dense(places, cells, np.cumsum(seen, dtype=np.int32) - np.int32(1), table)
    _roll_up(parent, table)
    return _compress(table, names)


def counts_problem(cells: int, outcomes: int, pointers: I64, buckets: I32, counts: I64) -> str:
    """Say what is wrong with counts read from a file, nothing if they can be used.

    Kernels do not check what they index with, so nothing unchecked may reach them.
    """
    rows = cells * outcomes
    if pointers.shape != (rows + 1,) or buckets.ndim != 1 or counts.shape != buckets.shape:
        return "counts and pointers have different sizes"
    if pointers[0] != 0 or pointers[-1] != buckets.size or bool((np.diff(pointers) < 0).any()):
        return "pointers do not fit"
    if bool((counts < 1).any()):
        return "a count is below 1"
    if bool((buckets > LIMIT).any() or (buckets < -LIMIT).any()):
        return "a bucket is out of range"
    keys = np.repeat(np.arange(rows), np.diff(pointers)) * SPAN + buckets
    if bool((np.diff(keys) <= 0).any()):
        return "buckets are out of order"
    outcome = np.repeat(np.arange(rows) // cells, np.diff(pointers)) * SPAN + buckets
    in_root = np.repeat(np.arange(rows) % cells == 0, np.diff(pointers))
    return "" if bool(np.isin(outcome, outcome[in_root]).all()) else "a bucket is not in the root"
