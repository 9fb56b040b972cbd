"""The position grid of section 3 of the domain model, by looking up each customer."""

import math
from collections.abc import Sequence

BANDS = {-3: 0, -2: 0, -1: 0, 0: 1, 1: 2, 2: 2, 3: 3, 4: 3}


def place(level: float, ltv: float, bounds: Sequence[float]) -> tuple[int, int]:
    """Band and quintile; column 5 has no LTV."""
    band = BANDS[0 if math.isnan(level) else int(level)]
    return band, 5 if math.isnan(ltv) else sum(ltv > bound for bound in bounds)
