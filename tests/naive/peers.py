"""Penetration and lift of section 3 of the domain model, by counting in rational arithmetic."""

from collections.abc import Sequence
from fractions import Fraction

from mpmath import mp
from tests.naive.grid import Path, ancestors


def wilson_low(have: int, n: int, z: float) -> float:
    """Smaller root p of (share − p)² = z²·p(1 − p)/n, at 40 digits."""
    with mp.workdps(40):
        share, zz = mp.mpf(have) / n, mp.mpf(z) ** 2 / n
        a, b, c = 1 + zz, -(2 * share + zz), share**2
        root = b**2 - 4 * a * c
        return float((-b - mp.sqrt(max(root, 0))) / (2 * a))


def rate(paths: Sequence[Path], owned: Sequence[set[int] | None], cell: Path, item: int) -> tuple[int, int]:
    """Owners and known customers in a cell or below it."""
    inside = [have for path, have in zip(paths, owned, strict=True) if cell in ancestors(path)]
    known = [have for have in inside if have is not None]
    return sum(item in have for have in known), len(known)


def figures(
    paths: Sequence[Path], owned: Sequence[set[int] | None], cell: Path, item: int, z: float
) -> tuple[Fraction, Fraction | None, float, bool] | None:
    """Penetration, lift, lower bound, offer; of the nearest cell of ten; None if there is none."""
    have, n = rate(paths, owned, cell, item)
    if n < 10:
        return figures(paths, owned, cell[:-1], item, z) if cell else None
    share, low = Fraction(have, n), wilson_low(have, n, z)
    if not cell:
        return share, None, low, False
    base = Fraction(*rate(paths, owned, cell[:-1], item))
    return share, share / base if base else None, low, bool(base) and low > base


def offers(shares: Sequence[float], offered: Sequence[bool], owned: set[int] | None, most: int) -> list[int]:
    """Categories lacked and offered, the most common first."""
    if owned is None:
        return []
    lacked = [j for j in range(len(shares)) if offered[j] and j not in owned]
    return sorted(lacked, key=lambda j: (-shares[j], j))[:most]
