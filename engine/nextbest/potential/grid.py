"""The peer grid: for each cell of like customers, the distribution of each outcome.

The grid holds counts only, so grids of parts of a population add up to exactly the grid of the
whole, in any order. What decisions read of it are the tables that `PeerGrid.tables` builds.

Source: domain model, section 3. Oracle: tests/naive/grid.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Self, cast

import numpy as np
from numpy.typing import NDArray

from nextbest.errors import ArtifactError, FitError
from nextbest.model import F64, I32, I64, Bools
from nextbest.potential.cells import CellTree, Codes, grow, peer_codes, tree_problem
from nextbest.potential.counting import LIMIT, SPAN, CellCounts, add_up, count_outcome, counts_problem
from nextbest.potential.sketch import ALPHA, Sketch
from nextbest.potential.tables import MEDIAN, PotentialTables, cell_tables

DEFAULT_M: Final = 30.0
"""Customers that the parent's distribution weighs as much as."""

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True, eq=False)
class PeerGrid:
    """Counts by cell, outcome and bucket; C cells in order of their paths, O outcomes.

    Row o·C + c of the counts is outcome o in cell c; its entries are pointers[row] to
    pointers[row + 1] of `buckets` and `counts`. A cell counts all customers below it.
    """

    dimensions: tuple[str, ...]
    """Names of the peer dimensions, coarsest first."""

    outcomes: tuple[str, ...]
    """Names of the outcomes, such as actual value and actual profit."""

    m: float
    """Weight of the parent in the back-off, in customers."""

    tree: CellTree
    """Paths and parents of the cells."""

    pointers: I64
    """(O·C + 1,) start of each row."""

    buckets: I32
    """(entries,) signed bucket numbers, ascending within a row."""

    counts: I64
    """(entries,) customers."""

    @classmethod
    def build(
        cls,
        codes: Codes,
        values: F64,
        *,
        dimensions: Sequence[str],
        outcomes: Sequence[str],
        m: float = DEFAULT_M,
        full: Bools | None = None,
        workers: int = 1,
    ) -> Self:
        """Count a population.

        Args:
            codes: (n, k) codes of the dimensions; NaN and negative = missing.
            values: (n, O) outcomes a year, in major units; NaN and ±inf are not counted.
            dimensions: k names.
            outcomes: O names.
            m: weight of the parent in the back-off, in customers.
            full: (n,) customers with full exposure; the others are left out. None = all.
            workers: threads, at most one an outcome; the kernels release the GIL.

        Raises:
            FitError: the shapes or names do not fit together, or m is not a weight.

        Cost: about 10 ns a customer and outcome and 9 ns a dimension; 8 bytes a customer beside
        the input, and up to 256 MB of counters.
        """
        _check_shapes(codes, values, dimensions, outcomes, m)
        counted = np.ones(len(codes), np.bool_) if full is None else full
        tree, cells = grow(peer_codes(codes), counted)
        columns = [np.asarray(values[:, o], np.float64) for o in range(len(outcomes))]
        with ThreadPoolExecutor(workers) as pool:
            parts = list(pool.map(partial(count_outcome, cells=cells, parent=tree.parent), columns))
        return cls(tuple(dimensions), tuple(outcomes), float(m), tree, *_stack(parts))

    @classmethod
    def merge(cls, grids: Iterable[Self]) -> Self:
        """Add grids of disjoint groups of customers; equal to building from all of them at once.

        Raises:
            FitError: there is no grid, or their dimensions, outcomes or m differ.
        """
        parts = list(grids)
        if not parts:
            raise FitError("no grid to merge")
        first = parts[0]
        for part in parts[1:]:
            if (part.dimensions, part.outcomes, part.m) != (first.dimensions, first.outcomes, first.m):
                raise FitError("grids with different dimensions, outcomes or m cannot be merged")
        tree = CellTree.of(np.concatenate([part.tree.paths for part in parts]))
        keys = np.concatenate([part._keys(tree) for part in parts])
        keys, counts = add_up(keys, np.concatenate([part.counts for part in parts]))
        rows, buckets = keys // SPAN, (keys % SPAN - LIMIT).astype(np.int32)
        pointers = _pointers(np.bincount(rows, minlength=len(first.outcomes) * tree.parent.size))
        return cls(first.dimensions, first.outcomes, first.m, tree, pointers, buckets, counts)

    def _keys(self, tree: CellTree) -> I64:
        """One number for each entry: its row and bucket among the cells of `tree`."""
        outcome, cell = np.divmod(self._rows(), self.tree.parent.size)
        row = outcome * tree.parent.size + tree.numbers(self.tree.paths)[cell]
        return row * SPAN + self.buckets + LIMIT

    def _rows(self) -> I64:
        return np.repeat(np.arange(self.pointers.size - 1), np.diff(self.pointers))

    @property
    def n(self) -> I64:
        """(O, C) customers with the outcome known."""
        sums = _pointers(self.counts)
        return np.diff(sums[self.pointers]).reshape(len(self.outcomes), -1)

    def sketch(self, cell: int, outcome: int) -> Sketch:
        """The raw distribution of an outcome in a cell, without back-off."""
        row = outcome * self.tree.parent.size + cell
        entries = slice(self.pointers[row], self.pointers[row + 1])
        return Sketch(self.buckets[entries], self.counts[entries])

    def thirds(self) -> F64:
        """(O, 2) bounds of the terciles of the population, for the mutual value segments."""
        return np.array([self.sketch(0, o).cuts(3) for o in range(len(self.outcomes))]).reshape(-1, 2)

    def with_m(self, m: float) -> Self:
        """The same counts with another weight of the parent."""
        return replace(self, m=float(m))

    def tables(self, taus: Iterable[float]) -> PotentialTables:
        """Build what decisions read: quantiles after back-off at each τ and at .5.

        Args:
            taus: stretch quantiles in (0, 1]; .5 is added if it is not among them.

        Raises:
            ValueError: a τ is outside (0, 1].

        Cost: about 1 ns a cell and bucket of the root.
        """
        levels = np.array(list(dict.fromkeys([*taus, MEDIAN])), np.float64)
        if not bool(np.all((levels > 0) & (levels <= 1))):
            raise ValueError(f"each tau must be above 0 and at most 1: `{levels.tolist()}`")
        counts = (self.pointers, self.buckets, self.counts)
        return cell_tables(self.tree, counts, self.n, self.m, levels)

    def to_arrays(self) -> tuple[dict[str, object], dict[str, NDArray[np.generic]]]:
        """Return a JSON-able description and the arrays that `from_arrays` takes."""
        meta: dict[str, object] = {
            "dimensions": list(self.dimensions),
            "outcomes": list(self.outcomes),
            "m": self.m,
            "alpha": ALPHA,
        }
        arrays: dict[str, NDArray[np.generic]] = {
            "paths": self.tree.paths,
            "pointers": self.pointers,
            "buckets": self.buckets,
            "counts": self.counts,
        }
        return meta, arrays

    @classmethod
    def from_arrays(cls, meta: Mapping[str, object], arrays: Arrays) -> Self:
        """Rebuild a grid from `to_arrays`.

        Raises:
            ArtifactError: a part is missing or the parts contradict each other.
        """
        try:
            dimensions = tuple(cast("list[str]", meta["dimensions"]))
            outcomes = tuple(cast("list[str]", meta["outcomes"]))
            m = float(cast("float", meta["m"]))
            paths = np.asarray(arrays["paths"], np.int32).reshape(-1, len(dimensions))
            tree = CellTree.of(paths)
            pointers = np.asarray(arrays["pointers"], np.int64)
            buckets = np.asarray(arrays["buckets"], np.int32)
            counts = np.asarray(arrays["counts"], np.int64)
            if meta["alpha"] != ALPHA:
                raise ArtifactError(f"grid has buckets of another width: alpha `{meta['alpha']}`")
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"grid cannot be read: {error}") from error
        problem = tree_problem(tree, paths) or counts_problem(
            tree.parent.size, len(outcomes), pointers, buckets, counts
        )
        if problem or not 0 <= m < np.inf:
            raise ArtifactError(f"grid cannot be read: {problem or 'm is no weight'}")
        return cls(dimensions, outcomes, m, tree, pointers, buckets, counts)


def _pointers(entries: I64) -> I64:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(entries)], dtype=np.int64)


def _stack(parts: Sequence[CellCounts]) -> tuple[I64, I32, I64]:
    """Lay the counts of the outcomes end to end."""
    entries, buckets, counts = (
        [np.empty(0, np.int64), *(part[0] for part in parts)],
        [np.empty(0, np.int32), *(part[1] for part in parts)],
        [np.empty(0, np.int64), *(part[2] for part in parts)],
    )
    return _pointers(np.concatenate(entries)), np.concatenate(buckets), np.concatenate(counts)


def _check_shapes(
    codes: Codes, values: F64, dimensions: Sequence[str], outcomes: Sequence[str], m: float
) -> None:
    if codes.ndim != 2 or codes.shape[1] != len(dimensions):
        raise FitError(f"codes have shape `{codes.shape}`, expected (n, {len(dimensions)})")
    if values.shape != (len(codes), len(outcomes)):
        raise FitError(f"outcomes have shape `{values.shape}`, expected ({len(codes)}, {len(outcomes)})")
    if not 0 <= m < np.inf:
        raise FitError(f"m is a number of customers: `{m}`")
