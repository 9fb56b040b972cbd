"""Gap and reached of section 3 of the domain model in exact arithmetic."""

import math
from fractions import Fraction


def reached(actual: float, potential: float) -> bool | None:
    """Whether the customer is where the peers are; None if a figure is missing."""
    if math.isnan(actual) or math.isnan(potential):
        return None
    if math.isinf(actual) or math.isinf(potential):
        return actual >= potential
    threshold = Fraction(0.95) * Fraction(potential) if potential > 0 else Fraction(potential)
    return Fraction(actual) >= threshold


def gap(actual: float, potential: float, median: float, cap: float, floor: float) -> float:
    """clamp(Π − A, 0, κ·max(Q(.5), floor)); 0 when reached, NaN when a figure is missing."""
    there = reached(actual, potential)
    if there is None:
        return math.nan
    if there:
        return 0.0
    limit = cap * (floor if math.isnan(median) else max(median, floor))
    return min(max(potential - actual, 0.0), limit)
