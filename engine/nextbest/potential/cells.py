"""Cells of the peer grid: which customers are compared with which.

A cell is a path of codes, one for each dimension in order; its parent drops the last one and the
root has none. A customer sits in the deepest cell whose dimensions are all known, so one with the
second dimension missing sits one level below the root whatever the later ones say.

Source: domain model, section 3. Oracle: tests/naive/grid.py `path_of`.
"""

from dataclasses import dataclass
from typing import Final, Self, cast

import numpy as np
from numpy.typing import NDArray

from nextbest.kernels import kernel, lean_kernel
from nextbest.model import F64, I32, I64, Bools

LARGEST_CODE: Final = 2**31 - 2
"""Codes above this, below 0 or not whole are missing."""

_TABLE_LIMIT: Final = 1 << 24

Codes = F64 | NDArray[np.integer]
Children = tuple[I32, I32, I32]
Pairs = tuple[I64, I32]


@kernel
def peer_code(value: float) -> int:
    """Return the code that a fact holds, −1 if it is missing or no code (scalar kernel)."""
    if not 0 <= value <= LARGEST_CODE:
        return -1
    code = np.int64(value)
    return int(code) if code == value else -1


@kernel
def _fill_codes(values: F64, out: I32) -> None:
    for i in range(values.size):
        out[i] = peer_code(values[i])


def peer_codes(values: Codes) -> I32:
    """Return codes as int32 columns with −1 for missing.

    Args:
        values: (n, k) codes; NaN, negative, fractional and oversized ones are missing.

    Returns:
        (n, k) int32, stored by column.
    """
    if values.dtype == np.int32:
        return np.asfortranarray(cast("I32", values))
    columns = np.empty(values.shape, np.int32, order="F")
    for d in range(values.shape[1]):
        _fill_codes(values[:, d].astype(np.float64, copy=False), columns[:, d])
    return columns


@dataclass(frozen=True, slots=True, eq=False)
class CellTree:
    """Paths of the cells and their order: parents come before their children."""

    paths: I32
    """(cells, dimensions) codes, −1 beyond a cell's depth; ascending, so the root is first."""

    parent: I32
    """(cells,) number of the parent cell, −1 for the root."""

    @classmethod
    def of(cls, paths: I32) -> Self:
        """Order paths that include every ancestor; repeats are dropped."""
        ordered = paths[:1] if paths.shape[1] == 0 else np.unique(paths, axis=0)
        return cls(ordered, _parents(ordered))

    @property
    def depth(self) -> I64:
        """(cells,) number of known dimensions."""
        return _depth(self.paths)

    def numbers(self, paths: I32) -> I32:
        """Return the cell numbers of (n, dimensions) paths that are all in the tree."""
        return self.numbers_of(paths)

    def numbers_of(self, codes: Codes) -> I32:
        """Return the deepest cells that hold customers with (n, dimensions) codes; NaN = missing."""
        rows = np.asarray(codes, np.float64)
        return locate(rows, np.arange(rows.shape[1], dtype=np.int64), self.children())

    def children(self) -> Children:
        """Return pointers (cells + 1,), codes and cells (cells − 1,) of all children.

        The children of cell c are the entries pointers[c] to pointers[c + 1], by ascending code.
        """
        cells = np.argsort(self.parent, kind="stable").astype(np.int32)[1:]
        counts = np.bincount(self.parent[cells], minlength=self.parent.size)
        pointers = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        codes = self.paths[cells, self.depth[cells] - 1]
        return pointers, codes, cells


def _depth(paths: I32) -> I64:
    return (paths >= 0).sum(axis=1, dtype=np.int64)


def _parents(paths: I32) -> I32:
    """Parent of each cell of ordered paths: the last cell before it that is one level higher."""
    depth = _depth(paths)
    parent = np.full(depth.size, -1, np.int32)
    order = np.arange(depth.size, dtype=np.int32)
    for level in range(1, paths.shape[1] + 1):
        marks = np.where(depth == level - 1, order, np.int32(0))
        here = depth == level
        parent[here] = np.maximum.accumulate(marks)[here]
    return parent


@lean_kernel
def _child(code: int, low: int, end: int, codes: I32) -> int:
    """Return the place of `code` among the ascending codes[low:end], −1 if it is not there."""
    if code < 0 or low == end or code < codes[low]:
        return -1
    # where all codes occur, the first guess is right; distinct codes cannot lie further right
    high = min(end - 1, low + code - codes[low])
    if codes[high] == code:
        return int(high)
    while low < high:
        middle = (low + high) >> 1
        if codes[middle] < code:
            low = middle + 1
        else:
            high = middle
    return int(low) if codes[low] == code else -1


@lean_kernel
def cell_of(rows: F64, customer: int, columns: I64, pointers: I32, codes: I32, cells: I32) -> int:
    """Return the deepest cell that holds one customer; see `locate`. Column -1 is always missing."""
    cell = 0
    for d in range(columns.size):
        column = columns[d]
        code = peer_code(rows[customer, column]) if column >= 0 else -1
        place = _child(code, pointers[cell], pointers[cell + 1], codes)
        if place < 0:
            break
        cell = cells[place]
    return cell


@kernel
def locate(
    rows: F64,
    columns: I64,
    children: Children,
) -> I32:
    """Return the deepest cell of the tree that holds each customer.

    A path that the tree does not have ends at its deepest ancestor there: an empty cell has the
    figures of its parent anyway.

    Args:
        rows: (n, w) facts; NaN = missing.
        columns: (k,) columns of `rows` that hold the dimensions, in order.
        children: `CellTree.children()`.

    Returns:
        (n,) cell numbers.

    Cost: a binary search a dimension; about 1 µs for one customer, mostly the call.
    Oracle: tests/naive/grid.py `cell_of`.
    """
    pointers, codes, cells = children
    found = np.empty(rows.shape[0], np.int32)
    for i in range(rows.shape[0]):
        found[i] = cell_of(rows, i, columns, pointers, codes, cells)
    return found


@kernel
def _descend(
    cell: I32,
    codes: I32,
    table: I32,
    first: int,
    next_cell: int,
) -> int:
    """Move customers one level down, numbering new cells as they come; −2−c stops in cell c."""
    for i in range(cell.size):
        at = cell[i]
        if at < 0:
            continue
        code = codes[i]
        if code < 0:
            cell[i] = -2 - at
            continue
        child = table[at - first, code]
        if child < 0:
            child = next_cell
            table[at - first, code] = child
            next_cell += 1
        cell[i] = child
    return next_cell


@kernel
def _renumber(cell: I32, number: I32) -> None:
    """Apply the final cell numbers; −1 (not counted) stays."""
    for i in range(cell.size):
        at = cell[i]
        if at < -1:
            cell[i] = number[-2 - at]
        elif at >= 0:
            cell[i] = number[at]


def _descend_sorted(cell: I32, codes: I32, first: int, next_cell: int) -> Pairs:
    """Do as `_descend` by sorting, where a table of parents × codes would be too large."""
    known = (cell >= 0) & (codes >= 0)
    stopped = (cell >= 0) & (codes < 0)
    width = int(codes.max(initial=0)) + 1
    keys, inverse = np.unique(
        (cell[known].astype(np.int64) - first) * width + codes[known], return_inverse=True
    )
    cell[known] = next_cell + inverse
    cell[stopped] = -2 - cell[stopped]
    return keys // width, (keys % width).astype(np.int32)


def _level(cell: I32, codes: I32, first: int, next_cell: int) -> Pairs:
    """Move customers one level down; return the new cells' parents (from `first`) and codes."""
    parents, width = next_cell - first, int(codes.max(initial=-1)) + 1
    if parents * width > _TABLE_LIMIT:
        return _descend_sorted(cell, codes, first, next_cell)
    table = np.full((parents, width), -1, np.int32)
    _descend(cell, codes, table, first, next_cell)
    at, code = np.nonzero(table >= 0)
    order = np.argsort(table[at, code])
    return at[order], code[order].astype(np.int32)


def grow(codes: I32, counted: Bools) -> tuple[CellTree, I32]:
    """Find the cells of a population and each customer's own cell.

    Args:
        codes: (n, k) from `peer_codes`.
        counted: (n,) customers who take part.

    Returns:
        The tree, and (n,) own cells with −1 for customers who take no part.

    Cost: one pass over the customers a dimension, about 3 ns each.
    """
    cell = np.where(counted, 0, -1).astype(np.int32)
    paths = np.full((1, codes.shape[1]), -1, np.int32)
    first = 0
    for d in range(codes.shape[1]):
        last = paths.shape[0]
        parents, new = _level(cell, codes[:, d], first, last)
        below = paths[first + parents]
        below[:, d] = new
        paths = np.concatenate([paths, below])
        first = last
    tree = CellTree.of(paths)
    _renumber(cell, tree.numbers(paths))
    return tree, cell


def tree_problem(tree: CellTree, paths: I32) -> str:
    """Say what is wrong with the (C, k) paths that `tree` was made of, nothing if they can be used."""
    if len(paths) == 0 or bool((paths[0] != -1).any()):
        return "the root is missing"
    if not np.array_equal(tree.paths, paths):
        return "paths are out of order"
    above = paths[1:].copy()
    above[np.arange(len(above)), tree.depth[1:] - 1] = -1
    return "" if np.array_equal(paths[tree.parent[1:]], above) else "a cell lacks its parent"
