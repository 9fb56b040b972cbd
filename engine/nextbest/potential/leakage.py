"""The leakage guard: a peer dimension may not be a function of the outcome.

Otherwise each cell's quantile hugs the edge of its band and every gap collapses to nothing. Names
are checked when a rulebook is compiled, data when a grid is fitted.

Source: domain model, section 3; runs of k kinds: Barton & David, Biometrika 44(1/2), 1957.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nextbest.model import F64, I64
from nextbest.potential.cells import Codes, peer_codes
from nextbest.potential.tables import PRIVACY_FLOOR

LEAST_ORDER: Final = 0.5
"""A dimension that changes along the sorted outcome less than half as often as by chance leaks."""

MOST_EXPLAINED: Final = 0.8
"""So does one that explains four fifths of what bands of the outcome itself would explain."""

LEAST_SURPRISE: Final = 4.0
"""Standard errors by which the order must differ from chance to be believed."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A dimension that is (nearly) a function of an outcome."""

    dimension: int
    """Column of the codes."""

    outcome: int
    """Column of the values."""

    disorder: float
    """Changes of the code along the sorted outcome, relative to chance: 0 a function of it, 1 unrelated."""

    explained: float
    """Share of the outcome's rank variance explained, relative to bands of the outcome of the same sizes."""

    joint: bool = False
    """The dimension follows the outcome only together with all before it."""


def _expected_changes(sizes: I64) -> tuple[float, float]:
    """Mean and variance of the number of changes along a random order of kinds of these sizes."""
    n = float(sizes.sum())
    squares, cubes = float((sizes**2.0).sum()), float((sizes**3.0).sum())
    variance = (squares * (squares + n * (n + 1)) - 2 * n * cubes - n**3) / (n * n * (n - 1))
    return (n * n - squares) / n, variance


def _between(ranks: F64, codes: NDArray[np.intp], sizes: I64) -> float:
    """Variance of the ranks between codes, times n."""
    sums = np.bincount(codes, ranks, minlength=sizes.size)
    return float((sums**2 / sizes).sum() - ranks.sum() ** 2 / ranks.size)


def _explained(ranks: F64, codes: NDArray[np.intp], sizes: I64) -> float:
    """Rank variance explained by the codes, over that of contiguous bands in the same order."""
    order = np.argsort(np.bincount(codes, ranks, minlength=sizes.size) / sizes)
    bands = np.repeat(np.arange(sizes.size), sizes[order])
    most = _between(np.sort(ranks), bands, sizes[order])
    return _between(ranks, codes, sizes) / most if most > 0 else 0.0


def _judge(codes: NDArray[np.intp], values: F64, shuffle: NDArray[np.intp]) -> tuple[float, float]:
    """Disorder and explained share of one dimension and outcome, all known; 1 and 0 if undecided."""
    sizes = np.bincount(codes).astype(np.int64)
    if codes.size < 2 or sizes.size < 2:
        return 1.0, 0.0
    # equal outcomes must not keep the order in which customers came
    order = shuffle[np.argsort(values[shuffle], kind="stable")]
    changes = float(np.count_nonzero(np.diff(codes[order])))
    mean, variance = _expected_changes(sizes)
    if mean - changes <= LEAST_SURPRISE * np.sqrt(variance):
        return 1.0, 0.0
    _, ties, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[ties]
    return changes / mean, _explained(ranks, codes, sizes)


def leaking_dimensions(codes: Codes, values: F64, *, seed: int = 0) -> list[Leak]:
    """Find the dimensions that are (nearly) a function of an outcome, alone or after those before them.

    Two columns that look like noise can spell out the outcome between them; so the cells that a dimension
    makes with all before it are judged as well, where they are large enough to have figures of their own.
    Pass every figure that a dimension may not follow: spend, profit, LTV, frequency, zbar.

    Args:
        codes: (n, k) codes of the dimensions; NaN and negative = missing.
        values: (n, o) outcomes; NaN and ±inf = missing.
        seed: of the order given to equal outcomes.

    Returns:
        The leaks, by dimension and outcome. Empty when there is too little data to tell.

    Cost: two sorts of the customers a dimension and outcome.
    Oracle: tests/naive/leakage.py.
    """
    columns = peer_codes(codes)
    found = list[Leak]()
    # Outcomes that a dimension so far follows: every finer cell does.
    leaked = set[int]()
    path = np.zeros(len(columns), np.intp)
    for d in range(columns.shape[1]):
        path = _finer(path, columns[:, d])
        alone = _leaks(d, columns[:, d], values, seed)
        leaked |= {leak.outcome for leak in alone}
        found += alone
        if d > 0:
            joint = [leak for leak in _leaks(d, _large(path), values, seed) if leak.outcome not in leaked]
            leaked |= {leak.outcome for leak in joint}
            found += (replace(leak, joint=True) for leak in joint)
    return found


def _leaks(dimension: int, codes: NDArray[np.integer], values: F64, seed: int) -> list[Leak]:
    """Outcomes that one column of codes follows; negative codes are missing."""
    found = list[Leak]()
    for o in range(values.shape[1]):
        known = (codes >= 0) & np.isfinite(values[:, o])
        kinds = np.unique(codes[known], return_inverse=True)[1]
        shuffle = np.random.default_rng(seed).permutation(kinds.size)
        disorder, explained = _judge(kinds, values[known, o], shuffle)
        if disorder < LEAST_ORDER or explained > MOST_EXPLAINED:
            found.append(Leak(dimension, o, disorder, explained))
    return found


def _finer(path: NDArray[np.intp], codes: NDArray[np.integer]) -> NDArray[np.intp]:
    """Number the cells that a path makes with one more dimension; -1 where either is missing."""
    known = (path >= 0) & (codes >= 0)
    cells = np.full(path.size, -1, np.intp)
    pairs = np.column_stack([path[known], codes[known]])
    cells[known] = np.unique(pairs, axis=0, return_inverse=True)[1].ravel()
    return cells


def _large(cells: NDArray[np.intp]) -> NDArray[np.intp]:
    """The cells, -1 where they are too small to have figures of their own."""
    sizes = np.bincount(cells[cells >= 0], minlength=1)
    large = (cells >= 0) & (sizes[cells] >= PRIVACY_FLOOR)
    return np.where(large, cells, -1)
