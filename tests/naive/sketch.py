"""The sketch of section 3 of the domain model with rational arithmetic: slow, obvious, and no table."""

import math
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction

from mpmath import mp

GAMMA = Fraction(101, 99)
OFFSET = 231
"""Bucket 1 is ⌈ln y / ln γ⌉ = −230."""


def exponent(size: float) -> int:
    """⌈ln y / ln γ⌉ of a positive amount: a logarithm of 60 digits, rounded up."""
    with mp.workdps(60):
        return int(mp.ceil(mp.log(mp.mpf(size)) / mp.log(mp.mpf(101) / 99)))


def bucket(y: float) -> int | None:
    """Signed bucket number; None for what is not counted."""
    if not math.isfinite(y):
        return None
    if abs(y) <= 0.01:
        return 0
    number = exponent(abs(y)) + OFFSET
    return number if y > 0 else -number


def representative(number: int) -> Fraction:
    """2γ^i/(γ+1), with the bucket's sign."""
    if number == 0:
        return Fraction(0)
    amount = 2 * GAMMA ** (abs(number) - OFFSET) / (GAMMA + 1)
    return amount if number > 0 else -amount


def histogram(values: Iterable[float]) -> Counter[int]:
    """Customers by bucket."""
    return Counter(number for number in map(bucket, values) if number is not None)


def quantile(counts: Counter[int], tau: float) -> int | None:
    """min{s : F(s) ≥ τ}."""
    total = sum(counts.values())
    below = 0
    for number in sorted(counts):
        below += counts[number]
        if below >= Fraction(tau) * total - Fraction(1, 10**9):
            return number
    return None
