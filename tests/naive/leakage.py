"""The leakage guard's statistics, by trying every order and every arrangement."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise, permutations


def changes(codes: Sequence[int]) -> int:
    """Places where neighbours differ."""
    return sum(a != b for a, b in pairwise(codes))


def chance(codes: Sequence[int]) -> tuple[Fraction, Fraction]:
    """Mean and variance of the changes over every order."""
    seen = [changes(order) for order in permutations(codes)]
    mean = Fraction(sum(seen), len(seen))
    return mean, sum((c - mean) ** 2 for c in seen) / len(seen)


def between(ranks: Sequence[Fraction], codes: Sequence[int]) -> Fraction:
    """Variance of the ranks between codes, times n."""
    overall = Fraction(sum(ranks)) / len(ranks)
    total = Fraction(0)
    for code in set(codes):
        mine = [r for r, c in zip(ranks, codes, strict=True) if c == code]
        total += len(mine) * (sum(mine) / len(mine) - overall) ** 2
    return total


def most_explained(ranks: Sequence[Fraction], codes: Sequence[int]) -> Fraction:
    """The most that the same codes could explain, dealt out in any order."""
    return max(between(ranks, order) for order in set(permutations(codes)))
