"""The peer grid of section 3 of the domain model, by counting one by one with rational arithmetic."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from tests.naive import sketch

Path = tuple[int, ...]
SLACK = Fraction(1, 10**9)
FLOOR = 10


def path_of(codes: Sequence[float]) -> Path:
    """Codes up to the first one that is missing."""
    path: list[int] = []
    for code in codes:
        if not (math.isfinite(code) and code >= 0 and code == int(code)):
            break
        path.append(int(code))
    return tuple(path)


def ancestors(path: Path) -> list[Path]:
    """The path and all its parents, the root last."""
    return [path[:depth] for depth in range(len(path), -1, -1)]


def counts_of(codes: Sequence[Sequence[float]], values: Sequence[float]) -> dict[Path, Counter[int]]:
    """Customers by cell and bucket; every cell includes those below it."""
    cells: dict[Path, Counter[int]] = defaultdict(Counter)
    cells[()] = Counter()
    for row, value in zip(codes, values, strict=True):
        for path in ancestors(path_of(row)):
            cells[path].update(sketch.histogram([value]))
    return dict(cells)


def cell_of(cells: dict[Path, Counter[int]], codes: Sequence[float]) -> Path:
    """The deepest cell that exists for a customer."""
    return next(path for path in ancestors(path_of(codes)) if path in cells)


@dataclass
class Grid:
    """Counts, with back-off of weight m and a floor under the size of a cell."""

    cells: dict[Path, Counter[int]]
    m: float
    floor: int = FLOOR
    known: dict[tuple[Path, int], Fraction] = field(default_factory=dict)
    """F* already computed."""

    def n(self, path: Path) -> int:
        """Customers in the cell."""
        return sum(self.cells[path].values())

    def weight(self, path: Path, number: int) -> Fraction:
        """N(v) = n_c F_c(v) + m F*_parent(v)."""
        own = sum(count for s, count in self.cells[path].items() if s <= number)
        return Fraction(own) + (Fraction(self.m) * self.star(path[:-1], number) if path else 0)

    def total(self, path: Path) -> Fraction:
        """n_c + m; the root has no parent to weigh."""
        return self.n(path) + (Fraction(self.m) if path else Fraction(0))

    def star(self, path: Path, number: int) -> Fraction:
        """F*_c(v)."""
        if (path, number) not in self.known:
            if path and self.n(path) < self.floor:
                self.known[path, number] = self.star(path[:-1], number)
            else:
                self.known[path, number] = self.weight(path, number) / self.total(path)
        return self.known[path, number]

    def first(self, path: Path, target: Fraction) -> int:
        """min{v : N(v) ≥ target} over the root's buckets."""
        support = sorted(self.cells[()])
        return next((s for s in support if self.weight(path, s) >= target - SLACK), support[-1])

    def quantile(self, path: Path, tau: float) -> int | None:
        """Bucket of Q_c(τ); None if nobody is counted."""
        if not self.cells[()]:
            return None
        if path and self.n(path) < self.floor:
            return self.quantile(path[:-1], tau)
        return self.first(path, Fraction(tau) * self.total(path))

    def without(self, path: Path, tau: float, own: int) -> int:
        """Q_c(τ) when one customer in bucket `own` is taken out of the cell (and not of its parents)."""
        support = sorted(self.cells[()])
        target = Fraction(tau) * (self.total(path) - 1)
        for s in support:
            if self.weight(path, s) - (1 if own <= s else 0) >= target - SLACK:
                return s
        return support[-1]

    def potential_of(self, path: Path, tau: float, own: float, *, in_fit: bool) -> float:
        """What the customer's peers reach."""
        number = self.quantile(path, tau)
        if number is None:
            return math.nan
        own_bucket = sketch.bucket(own)
        if in_fit and own_bucket is not None and FLOOR <= self.n(path) < 200:
            number = self.without(path, tau, own_bucket)
        return float(sketch.representative(number))

    def mean(self, path: Path) -> float:
        """Σ count·representative/n, representatives clamped to the root's .005 and .995 quantiles."""
        if self.n(path) == 0:
            return math.nan
        low, high = (sketch.quantile(self.cells[()], tau) for tau in (0.005, 0.995))
        assert low is not None
        assert high is not None
        total = Fraction(0)
        for number, count in self.cells[path].items():
            total += count * sketch.representative(min(max(number, low), high))
        return float(total / self.n(path))

    def star_mean(self, path: Path) -> float:
        """Mean under F*."""
        if not path:
            return self.mean(path)
        if self.n(path) < self.floor:
            return self.star_mean(path[:-1])
        up = self.star_mean(path[:-1])
        return (self.n(path) * self.mean(path) + self.m * up) / (self.n(path) + self.m)


def exact_quantile(root: Sequence[float], cell: Sequence[float], m: float, tau: float) -> float:
    """Q(τ) of one cell below a root, on exact values and without a floor."""
    for v in sorted({*root, *cell}):
        share = Fraction(sum(y <= v for y in root), len(root))
        if sum(y <= v for y in cell) + m * share >= Fraction(str(tau)) * (len(cell) + Fraction(m)):
            return v
    raise AssertionError


def pinball(value: float, quantile: float, tau: float) -> float:
    """Loss of calling `quantile` the τ-quantile when `value` comes."""
    return tau * (value - quantile) if value >= quantile else (1 - tau) * (quantile - value)
