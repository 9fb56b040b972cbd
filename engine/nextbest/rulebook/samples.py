"""Numbers that stand for all others: a comparison with known constants has one answer between two of them."""

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

from nextbest.facts import Catalogue, Fact, Figure


class Bounds(NamedTuple):
    """Least and greatest value, both included."""

    low: float = -math.inf
    high: float = math.inf


ANY = Bounds()
SHARE = Bounds(0.0, 1.0)
NOT_NEGATIVE = Bounds(low=0.0)
FIGURE_BOUNDS: Mapping[Figure, Bounds] = {
    Figure.LEVEL: Bounds(-3.0, 4.0),
    Figure.ALIVE: SHARE,
    Figure.MULTIPLIER: Bounds(low=1.0),
    Figure.VALUE_GAP: NOT_NEGATIVE,
    Figure.PROFIT_GAP: NOT_NEGATIVE,
    Figure.DATA_QUALITY: SHARE,
    Figure.INVESTMENT_CEILING: NOT_NEGATIVE,
    Figure.OVERDUE_SURVIVAL: SHARE,
    Figure.PEER_CELL_SIZE: NOT_NEGATIVE,
}
"""What a computed figure can be; those that are not here can be anything."""


def bounds_of(name: str, catalogue: Catalogue) -> Bounds:
    """Bounds of `customer.<name>`: a fact's as declared, which stores enforce, or a figure's."""
    root, _, field = name.partition(".")
    if root != "customer":
        return ANY
    if field in catalogue:
        return _declared(catalogue[field])
    figure = Figure.__members__.get(field.upper())
    return ANY if figure is None else FIGURE_BOUNDS.get(figure, ANY)


def _declared(fact: Fact) -> Bounds:
    low = -math.inf if fact.minimum is None else fact.minimum
    return Bounds(low, math.inf if fact.maximum is None else fact.maximum)


def number_samples(constants: Iterable[float], *, whole: bool, bounds: Bounds = ANY) -> list[float]:
    """One number for every constant and for every stretch between two of them, ascending.

    Whatever compares a number with these constants alone answers for the sample as it does for every
    number of its stretch.

    Args:
        constants: what the number is compared with; finite.
        whole: whether it can only be a whole number.
        bounds: what it can be.
    """
    cuts = sorted(set(constants))
    points = [c for c in cuts if bounds.low <= c <= bounds.high and not (whole and c != math.floor(c))]
    stretches = pairwise((-math.inf, *cuts, math.inf))
    between = (_between(low, high, bounds, whole=whole) for low, high in stretches)
    return sorted({*points, *(number for number in between if number is not None)})


def _between(low: float, high: float, bounds: Bounds, *, whole: bool) -> float | None:
    """A number between two cuts, as plain as possible; None if there is none."""
    if whole:
        return _whole_between(low, high, bounds)
    first, last = max(low, bounds.low), min(high, bounds.high)
    if first > last:
        return None
    middle = _middle(first, last)
    if low < middle < high and bounds.low <= middle <= bounds.high:
        return middle
    return next((end for end in (first, last) if low < end < high), None)


def _middle(first: float, last: float) -> float:
    if math.isinf(first) and math.isinf(last):
        return 0.0
    if math.isinf(first):
        return last - _step(last)
    return first + _step(first) if math.isinf(last) else first + (last - first) / 2.0


def _step(number: float) -> float:
    return max(1.0, abs(number) * 2.0**-50)


def _whole_between(low: float, high: float, bounds: Bounds) -> float | None:
    first = max(_up(low), _ceiling(bounds.low))
    last = min(_down(high), _floor(bounds.high))
    if first > last:
        return None
    if math.isinf(first):
        return 0.0 if math.isinf(last) else last
    return first if math.isinf(last) else float((int(first) + int(last)) // 2)


def _up(number: float) -> float:
    return number if math.isinf(number) else math.floor(number) + 1.0


def _down(number: float) -> float:
    return number if math.isinf(number) else math.ceil(number) - 1.0


def _ceiling(number: float) -> float:
    return number if math.isinf(number) else float(math.ceil(number))


def _floor(number: float) -> float:
    return number if math.isinf(number) else float(math.floor(number))
