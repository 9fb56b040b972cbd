"""What decisions read of the peer grid: quantiles and means of every cell after back-off.

F*_c = (n_c F_c + m F*_parent)/(n_c + m) is followed from the root down as N(v) = n_c F_c(v) +
m F*_parent(v), so that every comparison is in customers. A cell of fewer than ten customers takes
its parent's figures: none of its own is ever shown.

Source: domain model, section 3. Oracle: tests/naive/grid.py.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from nextbest.kernels import kernel, lean_kernel
from nextbest.model import F64, I32, I64, Bools
from nextbest.potential.cells import CellTree, Children, Codes, locate
from nextbest.potential.sketch import TOLERANCE, first_reaching, representatives, upper_edges

PRIVACY_FLOOR: Final = 10
"""Fewest customers of a cell that has figures of its own."""

LEAVE_ONE_OUT_BELOW: Final = 200
"""From so many customers on, one of them does not move the quantile enough to matter."""

MEDIAN: Final = 0.5
"""The τ that the gap is capped with; always in the tables."""

CLAMP: Final = (0.005, 0.995)
"""Quantiles of the root that representatives are clamped to in a mean."""


@dataclass(frozen=True, slots=True, eq=False)
class PotentialTables:
    """Figures of C cells for O outcomes at T quantiles; immutable, one per model."""

    taus: F64
    """(T,) quantiles; .5 is one of them."""

    quantiles: F64
    """(O, C, T, 4) Q, Q⁻, Q⁺ and the largest amount in Q⁻'s bucket; NaN where nobody is counted.

    Where leaving one out does not apply, Q⁻ and Q⁺ are Q.
    """

    mean: F64
    """(O, C) mean of the cell itself; NaN if it is empty."""

    backed_off_mean: F64
    """(O, C) mean under F*: the look-alike value of a prospect, and the prior of a short history."""

    n: I64
    """(O, C) customers with the outcome known."""

    tree: CellTree
    """The cells' paths and parents."""

    children: Children
    """What `locate` reads."""

    def tau_index(self, tau: float) -> int:
        """Return the place of a τ in the tables.

        Raises:
            KeyError: the tables were built without it.
        """
        found = np.flatnonzero(self.taus == tau)
        if found.size == 0:
            raise KeyError(f"the tables hold no quantile at `{tau}`")
        return int(found[0])

    @property
    def median(self) -> int:
        """Place of .5 in the tables."""
        return self.tau_index(MEDIAN)

    @property
    def visible(self) -> Bools:
        """(O, C) cells whose own figures may be shown."""
        return self.n >= PRIVACY_FLOOR

    def sizes(self, outcome: int, cells: I32) -> F64:
        """Return the (n,) sizes of customers' cells; NaN where a cell is too small to be shown."""
        return np.where(self.visible[outcome, cells], self.n[outcome, cells].astype(np.float64), np.nan)

    def look_alike(self, outcome: int, cells: I32) -> F64:
        """Return the (n,) values of prospects: the mean outcome of their peers after back-off."""
        return self.backed_off_mean[outcome, cells]

    def locate(self, codes: Codes) -> I32:
        """Return the (n,) cells of customers with (n, k) codes; NaN and negative = missing."""
        rows = np.asarray(codes, np.float64)
        return locate(rows, np.arange(rows.shape[1], dtype=np.int64), self.children)


@kernel
def _reach(weight: F64, target: float) -> int:
    """First place where the ascending weights reach the target; the last one if rounding lost it."""
    low, high = 0, weight.size - 1
    while low < high:
        middle = (low + high) >> 1
        if weight[middle] >= target - TOLERANCE:
            high = middle
        else:
            low = middle + 1
    return low


@kernel
def _accumulate(places: I32, counts: I64, prior: F64, m: float, weight: F64) -> None:
    """Write N(v) = n·F(v) + m·F*_parent(v) for every bucket of the root."""
    entry, below = 0, 0
    for u in range(weight.size):
        if entry < places.size and places[entry] == u:
            below += counts[entry]
            entry += 1
        weight[u] = below + m * prior[u]


@kernel
def _read_quantiles(weight: F64, n: int, m: float, taus: F64, out: I32) -> None:
    """Write the places of Q, Q⁻ and Q⁺ for one cell with its own figures."""
    for t in range(taus.size):
        out[t, :] = _reach(weight, taus[t] * (n + m))
        if PRIVACY_FLOOR <= n < LEAVE_ONE_OUT_BELOW:
            target = taus[t] * (n - 1 + m)
            out[t, 1] = _reach(weight, target)
            out[t, 2] = _reach(weight, target + 1)


@kernel
def _back_off(counts: tuple[I64, I32, I64], parent: I32, n: I64, m: float, taus: F64) -> I32:
    """Return (C, T, 3) places of Q, Q⁻ and Q⁺ among the root's buckets.

    `counts` are the (C + 1,) pointers, and places and counts of the entries. `level` points from a
    cell to the row that holds its F*: cells come in depth-first order, so one row a level is
    enough, and a small cell points to its parent's.
    """
    pointers, places, amounts = counts
    size = pointers[1] - pointers[0]
    depth = np.zeros(parent.size, np.int64)
    level = np.zeros(parent.size, np.int64)
    for cell in range(1, parent.size):
        depth[cell] = depth[parent[cell]] + 1
    stars = np.zeros((depth.max() + 1, size))
    out = np.empty((parent.size, taus.size, 3), np.int32)
    for cell in range(parent.size):
        up = parent[cell]
        if cell > 0 and n[cell] < PRIVACY_FLOOR:
            level[cell] = level[up]
            for t in range(taus.size):
                out[cell, t, :] = out[up, t, 0]
            continue
        own_m = m if cell > 0 else 0.0
        prior = stars[level[up]] if cell > 0 else stars[0]
        level[cell] = depth[cell]
        weight = stars[depth[cell]]
        entries = slice(pointers[cell], pointers[cell + 1])
        _accumulate(places[entries], amounts[entries], prior, own_m, weight)
        _read_quantiles(weight, n[cell], own_m, taus, out[cell])
        weight /= n[cell] + own_m
    return out


@kernel
def _back_off_mean(mean: F64, parent: I32, n: I64, m: float) -> F64:
    """Return the means under F*, which is linear in the means."""
    star = mean.copy()
    for cell in range(1, parent.size):
        up = star[parent[cell]]
        star[cell] = up if n[cell] < PRIVACY_FLOOR else (n[cell] * mean[cell] + m * up) / (n[cell] + m)
    return star


def _quantile_values(places: I32, names: I32) -> F64:
    """Turn (C, T, 3) places into the (C, T, 4) amounts of `PotentialTables.quantiles`."""
    if names.size == 0:
        return np.full((*places.shape[:2], 4), np.nan)
    buckets = names[places]
    return np.concatenate([representatives(buckets), upper_edges(buckets[..., 1:2])], axis=2)


@kernel
def _means(pointers: I64, places: I32, counts: I64, amounts: F64) -> F64:
    """Return the mean amount of each cell, NaN for an empty one."""
    mean = np.full(pointers.size - 1, np.nan)
    for cell in range(mean.size):
        total, size = 0.0, 0
        for entry in range(pointers[cell], pointers[cell + 1]):
            total += counts[entry] * amounts[places[entry]]
            size += counts[entry]
        if size > 0:
            mean[cell] = total / size
    return mean


def _clamped(names: I32, counts: I64) -> F64:
    """Representatives of the root's buckets, clamped to its outer quantiles."""
    amounts = representatives(names)
    if names.size == 0:
        return amounts
    cumulative = np.cumsum(counts).astype(np.float64)
    low, high = amounts[first_reaching(cumulative, np.array(CLAMP) * cumulative[-1])]
    return np.clip(amounts, low, high)


def _places(names: I32, buckets: I32) -> I32:
    """Place of each bucket among `names`, which are ascending and hold them all."""
    if names.size == 0:
        return buckets
    place = np.zeros(int(names[-1]) - int(names[0]) + 1, np.int32)
    place[names - names[0]] = np.arange(names.size, dtype=np.int32)
    return place[buckets - names[0]]


def cell_tables(
    tree: CellTree,
    counts: tuple[I64, I32, I64],
    n: I64,
    m: float,
    taus: F64,
) -> PotentialTables:
    """Build the tables of a grid; see `PeerGrid.tables`.

    Args:
        tree: the cells.
        counts: pointers, buckets and counts of the grid.
        n: (O, C) customers with the outcome known.
        m: weight of the parent.
        taus: (T,) quantiles, .5 among them.
    """
    outcomes, cells = n.shape
    quantiles = np.empty((outcomes, cells, taus.size, 4))
    mean, star = np.empty((outcomes, cells)), np.empty((outcomes, cells))
    for o in range(outcomes):
        pointers = counts[0][o * cells : (o + 1) * cells + 1]
        entries = slice(int(pointers[0]), int(pointers[-1]))
        pointers, buckets, amounts = pointers - pointers[0], counts[1][entries], counts[2][entries]
        names = buckets[: pointers[1]]
        places = _places(names, buckets)
        quantiles[o] = _quantile_values(
            _back_off((pointers, places, amounts), tree.parent, n[o], m, taus), names
        )
        mean[o] = _means(pointers, places, amounts, _clamped(names, amounts[: names.size]))
        star[o] = _back_off_mean(mean[o], tree.parent, n[o], m)
    for array in (quantiles, mean, star, n, taus):
        array.setflags(write=False)
    return PotentialTables(taus, quantiles, mean, star, n, tree, tree.children())


@lean_kernel
def potential_of(figures: F64, own: float, in_fit: bool) -> float:  # noqa: FBT001  (a kernel takes no keywords)
    """Return what the peers of one customer reach (scalar kernel).

    Args:
        figures: (4,) of their cell and τ in `PotentialTables.quantiles`.
        own: their own amount; NaN and ±inf = unknown, so never counted.
        in_fit: whether the grid counted them, in the very cell: then they are left out.
    """
    if not (in_fit and np.isfinite(own)):
        return figures[0]
    return figures[1] if own > figures[3] else figures[2]


@kernel
def potential(quantiles: F64, cells: I32, tau_index: I64, own: F64, in_fit: Bools) -> F64:
    """Return what peers of each customer reach.

    Args:
        quantiles: (C, T, 4) `PotentialTables.quantiles` of one outcome.
        cells: (n,) cells of the customers.
        tau_index: (n,) places of their τ in `PotentialTables.taus`.
        own: (n,) their own amounts; NaN and ±inf = unknown, so never counted.
        in_fit: (n,) customers that the grid counted, in the very cell: they are left out.

    Returns:
        (n,) potential in money a year; NaN where the grid counts nobody.

    Cost: about 10 ns a customer; 1 µs for one, mostly the call.
    Oracle: tests/naive/grid.py `potential_of`.
    """
    found = np.empty(cells.size)
    for i in range(cells.size):
        found[i] = potential_of(quantiles[cells[i], tau_index[i]], own[i], in_fit[i])
    return found
