"""Signed DDSketch: counts of amounts in buckets 2 % wide, merged exactly by adding.

Bucket numbers are signed so that they sort like the amounts: 0 holds |y| ≤ .01, s > 0 holds the
amounts with ⌈ln y / ln γ⌉ = s − 231, and −s mirrors s. The logarithm is never taken: a table of
every γ^i, rounded down from 192-bit integers, decides the bucket exactly, on every machine alike
(a libm logarithm that differs in its last bit would move an amount by a bucket, that is by 2 %).

Source: domain model, section 3; Masson, Rim & Lee, DDSketch, PVLDB 12(12), 2019.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from nextbest.kernels import kernel
from nextbest.model import F64, I32, I64

ALPHA: Final = 0.01
"""Relative accuracy of a representative."""

GAMMA: Final = (1 + ALPHA) / (1 - ALPHA)
"""Ratio of a bucket's bounds; exactly 101/99 in the tables."""

ZERO: Final = 0.01
"""Amounts no larger than this, in major units of money, share the zero bucket."""

MISSING: Final = -(2**31)
"""Bucket of NaN and ±inf: they are not counted."""

LOWEST: Final = -230
"""⌈ln .01 / ln γ⌉, the bucket of the smallest amount that is not zero; its number is 1."""

HIGHEST: Final = 35_488
"""Bucket of the largest float64."""

TOLERANCE: Final = 1e-9
"""Slack of `N(v) ≥ target`, in customers."""

_BITS: Final = 192
_SHIFT: Final = 46
_OFFSET: Final = (1023 - 7) << 6


def _powers(count: int, numerator: int, denominator: int) -> list[float]:
    """Round (numerator/denominator)^0, ^1, … down to float64, from 192-bit integers."""
    powers: list[float] = []
    mantissa, exponent = 1 << (_BITS - 1), 0
    for _ in range(count):
        powers.append(_round_down(mantissa, exponent))
        mantissa = (mantissa << 8) * numerator // denominator
        excess = mantissa.bit_length() - _BITS
        mantissa >>= excess
        exponent += excess - 8
    return powers


def _round_down(mantissa: int, exponent: int) -> float:
    if exponent > 1023:
        return math.nextafter(math.inf, 0)
    return math.ldexp(mantissa >> (_BITS - 53), exponent - 52)


def _upper_bounds() -> F64:
    below = _powers(1 - LOWEST, 99, 101)[:0:-1]
    return np.array([ZERO, *below, *_powers(1 + HIGHEST, 101, 99)])


def _first_buckets(upper: F64) -> NDArray[np.uint16]:
    """Bucket of the lower end of each 1/64 octave from 2^−7 up.

    INVARIANT: a 1/64 octave is at most 1.6 % wide, so no two bounds lie in one.
    """
    ends = (np.arange(((2046 << 6) | 63) - _OFFSET + 1, dtype=np.int64) + _OFFSET) << _SHIFT
    buckets = np.searchsorted(upper, ends.view(np.float64), side="left")
    return np.maximum(buckets, 1).astype(np.uint16)


UPPER: Final = _upper_bounds()
"""(35720,) largest float64 in each bucket s ≥ 0; the argument `upper` of the kernels."""

FIRST: Final = _first_buckets(UPPER)
"""(65984,) where the search for a bucket starts; the argument `first` of the kernels."""

VALUE: Final = np.where(UPPER == ZERO, 0.0, UPPER * (2 / (GAMMA + 1)))
"""(35720,) representative 2γ^i/(γ+1) of each bucket s ≥ 0; that of the zero bucket is 0."""

for _table in (UPPER, FIRST, VALUE):
    _table.setflags(write=False)


@kernel
def signed_bucket(y: float, first: NDArray[np.uint16], upper: F64) -> int:
    """Return the bucket of one amount, `MISSING` for NaN and ±inf (scalar kernel).

    Args:
        y: an amount in major units.
        first: `FIRST`.
        upper: `UPPER`.

    Oracle: tests/naive/sketch.py `bucket`.
    """
    if not np.isfinite(y):
        return MISSING
    size = abs(y)
    if size <= ZERO:
        return 0
    s = np.int64(first[(np.float64(size).view(np.int64) >> _SHIFT) - _OFFSET])
    if size > upper[s]:
        s += 1
    return int(s) if y > 0 else -int(s)


@kernel
def _fill_buckets(
    values: F64,
    first: NDArray[np.uint16],
    upper: F64,
    out: I32,
) -> None:
    for i in range(values.size):
        out[i] = signed_bucket(values[i], first, upper)


def signed_buckets(values: F64) -> I32:
    """Return the buckets of many amounts.

    Args:
        values: (n,) amounts in major units; NaN and ±inf give `MISSING`.

    Returns:
        (n,) int32 bucket numbers that sort like the amounts.

    Cost: about 1 ns an amount. Oracle: tests/naive/sketch.py `bucket`.
    """
    out = np.empty(values.size, np.int32)
    _fill_buckets(values, FIRST, UPPER, out)
    return out


def representatives(buckets: I32) -> F64:
    """Return the amount that stands for each bucket, within 1 % of all in it.

    Args:
        buckets: any shape; `MISSING` gives NaN.

    Oracle: tests/naive/sketch.py `representative`.
    """
    missing = buckets == MISSING
    known = np.where(missing, 0, buckets)
    return np.where(missing, np.nan, np.copysign(VALUE[np.abs(known)], known))


def upper_edges(buckets: I32) -> F64:
    """Return the largest float64 in each bucket: y lies above the bucket if and only if y > edge.

    Args:
        buckets: any shape; `MISSING` gives NaN.
    """
    missing = buckets == MISSING
    known = np.where(missing, 0, buckets)
    # bucket −s holds the amounts below −UPPER[s−1], which itself belongs to −(s−1)
    mirrored = np.nextafter(-UPPER[np.maximum(-known - 1, 0)], -np.inf)
    return np.where(missing, np.nan, np.where(known < 0, mirrored, UPPER[np.maximum(known, 0)]))


def first_reaching(cumulative: F64, targets: F64) -> NDArray[np.intp]:
    """Return for each target the first place where the cumulative weight reaches it."""
    places = np.searchsorted(cumulative, targets - TOLERANCE, side="left")
    return np.minimum(places, cumulative.size - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """Counts of amounts by bucket: a distribution that merges without loss."""

    buckets: I32
    """(b,) bucket numbers, ascending, without repeats."""

    counts: I64
    """(b,) customers in each bucket."""

    @classmethod
    def of(cls, values: F64) -> Self:
        """Sketch (n,) amounts; NaN and ±inf are left out."""
        buckets = signed_buckets(values)
        return cls._counted(buckets[buckets != MISSING], None)

    @classmethod
    def merge(cls, sketches: Iterable[Self]) -> Self:
        """Add sketches; equal to sketching all their amounts at once."""
        parts = list(sketches)
        buckets = np.concatenate([np.empty(0, np.int32), *(part.buckets for part in parts)])
        counts = np.concatenate([np.empty(0, np.int64), *(part.counts for part in parts)])
        return cls._counted(buckets, counts)

    @classmethod
    def _counted(cls, buckets: I32, counts: I64 | None) -> Self:
        unique, inverse = np.unique(buckets, return_inverse=True)
        totals = np.zeros(unique.size, np.int64)
        np.add.at(totals, inverse, 1 if counts is None else counts)
        return cls(unique, totals)

    @property
    def n(self) -> int:
        """Number of amounts."""
        return int(self.counts.sum())

    def quantile_buckets(self, taus: F64) -> I32:
        """Return min{s : F(s) ≥ τ} for each τ; `MISSING` for an empty sketch."""
        if self.buckets.size == 0:
            return np.full(taus.shape, MISSING, np.int32)
        cumulative = np.cumsum(self.counts).astype(np.float64)
        return self.buckets[first_reaching(cumulative, taus * self.n)]

    def quantiles(self, taus: F64) -> F64:
        """Return min{v : F(v) ≥ τ} for each τ; NaN for an empty sketch."""
        return representatives(self.quantile_buckets(taus))

    def cuts(self, parts: int) -> F64:
        """Return the (parts − 1,) bounds between parts of equal size.

        A bound is the upper edge of its bucket, so that comparing an amount with it agrees with
        the counts; NaN for an empty sketch.
        """
        return upper_edges(self.quantile_buckets(np.arange(1, parts) / parts))
