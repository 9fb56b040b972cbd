"""Overdue: how surprising a customer's silence, or a burst, is against their own rhythm.

Source: domain model, section 7. Given that the customer is alive, their purchase rate is
Gamma(r+x, α+t_x) as seen from the last purchase, so the gap until the next is Lomax and the
count in a window is negative binomial. A calibrated surprise, not a churn score: on the retail
panel it ranks leavers worse than frequency alone does.
"""

import math

import numpy as np

from nextbest.kernels import kernel, lean_kernel
from nextbest.model import F64

OVERDUE_BELOW = 0.05
"""Default: overdue when so long a gap had less than this probability."""
MAX_FRACTION_STEPS = 10_000
"""Steps of the continued fraction; enough for counts and shapes up to about 10^6."""


@lean_kernel
def _is_rhythm(x: float, t_x: float) -> bool:
    return 0.0 <= x < math.inf and 0.0 <= t_x < math.inf and (x == 0.0) == (t_x == 0.0)


@lean_kernel
def gap_survival(x: float, t_x: float, gap: float, r: float, alpha: float) -> float:
    """S(g) = ((α+t_x)/(α+t_x+g))^{r+x}: probability of a gap longer than g, given alive.

    Args:
        x: repeat buying occasions.
        t_x: weeks from the first to the last purchase.
        gap: g, weeks since the last purchase.
        r: shape of the purchase rate over customers.
        alpha: its scale, weeks.

    Returns:
        A probability; NaN for an unknown or impossible history, or g < 0.

    Oracle: `tests.naive.overdue.gap_survival`.

    """
    if not (_is_rhythm(x, t_x) and gap >= 0.0):
        return math.nan
    return math.exp(-(r + x) * math.log1p(gap / (alpha + t_x)))


@kernel
def gap_quantile(x: float, t_x: float, q: float, r: float, alpha: float) -> float:
    """g_q = (α+t_x)((1−q)^{−1/(r+x)} − 1): weeks within which the next purchase is due.

    Arguments as in `gap_survival`; q outside [0, 1) gives NaN, and so does a due date beyond
    what a float holds. Oracle: `tests.naive.overdue.gap_quantile`.
    """
    if not (_is_rhythm(x, t_x) and 0.0 <= q < 1.0):
        return math.nan
    due = (alpha + t_x) * math.expm1(-math.log1p(-q) / (r + x))
    return due if due < math.inf else math.nan


@kernel
def _beta_fraction(a: float, b: float, x: float) -> float:
    """Continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method.

    Converges in O(√max(a, b)) steps for x below (a+1)/(a+b+2).
    """
    tiny = 1e-300
    c = 1.0
    d = 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    value = d
    for m in range(1, MAX_FRACTION_STEPS):
        even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        change = 1.0
        for numerator in (even, odd):
            d = 1.0 + numerator * d
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = 1.0 + numerator / c
            c = c if abs(c) > tiny else tiny
            change = c * d
            value *= change
        if abs(change - 1.0) <= 1e-15:
            return value
    return math.nan


@kernel
def _beta_tail(a: float, b: float, odds: float) -> float:
    """Regularised incomplete beta I_x(a, b) at x = odds/(1+odds), from the side that is small."""
    log_x, log_left = -math.log1p(1.0 / odds), -math.log1p(odds)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * log_x + b * log_left)
    x = odds / (1.0 + odds)
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _beta_fraction(a, b, x) / a
    return 1.0 - front * _beta_fraction(b, a, 1.0 / (1.0 + odds)) / b


@kernel
def _is_count(count: float, window: float) -> bool:
    return 0.0 <= count < math.inf and count == math.floor(count) and 0.0 <= window < math.inf


@kernel
def count_at_most(x: float, t_x: float, count: float, window: float, r: float, alpha: float) -> float:
    """P(N ≤ count): so few purchases in the `window` weeks after the last one, given alive.

    Args:
        x: repeat buying occasions of the history.
        t_x: weeks from the first to the last purchase of the history.
        count: purchases seen in the window, a whole number.
        window: w, weeks, starting at the last purchase of the history.
        r: shape of the purchase rate over customers.
        alpha: its scale, weeks.

    Returns:
        A probability; NaN for an unknown or impossible history, a negative window or a count
        that is none. P(N ≤ 0) is the survival S(w).

    Oracle: `tests.naive.overdue.count_at_most`.

    """
    if not (_is_rhythm(x, t_x) and _is_count(count, window)):
        return math.nan
    if window == 0.0:
        return 1.0
    return _beta_tail(r + x, count + 1.0, (alpha + t_x) / window)


@kernel
def count_at_least(x: float, t_x: float, count: float, window: float, r: float, alpha: float) -> float:
    """P(N ≥ count): so many purchases in the window; else as `count_at_most`.

    Not 1 − P(N ≤ count − 1): a small tail keeps its relative accuracy.
    Oracle: `tests.naive.overdue.count_at_least`.
    """
    if not (_is_rhythm(x, t_x) and _is_count(count, window)):
        return math.nan
    if count == 0.0:
        return 1.0
    if window == 0.0:
        return 0.0
    return _beta_tail(count, r + x, window / (alpha + t_x))


@kernel
def gap_survival_rows(x: F64, t_x: F64, gap: F64, r: float, alpha: float) -> F64:
    """S(g) of n customers; see `gap_survival`."""
    survival = np.empty(len(x))
    for i in range(len(x)):
        survival[i] = gap_survival(x[i], t_x[i], gap[i], r, alpha)
    return survival


@kernel
def gap_quantile_rows(x: F64, t_x: F64, q: float, r: float, alpha: float) -> F64:
    """g_q of n customers; see `gap_quantile`."""
    due = np.empty(len(x))
    for i in range(len(x)):
        due[i] = gap_quantile(x[i], t_x[i], q, r, alpha)
    return due


@kernel
def count_at_most_rows(x: F64, t_x: F64, count: F64, window: F64, r: float, alpha: float) -> F64:
    """P(N ≤ count) of n customers; see `count_at_most`."""
    tail = np.empty(len(x))
    for i in range(len(x)):
        tail[i] = count_at_most(x[i], t_x[i], count[i], window[i], r, alpha)
    return tail


@kernel
def count_at_least_rows(x: F64, t_x: F64, count: F64, window: F64, r: float, alpha: float) -> F64:
    """P(N ≥ count) of n customers; see `count_at_least`."""
    tail = np.empty(len(x))
    for i in range(len(x)):
        tail[i] = count_at_least(x[i], t_x[i], count[i], window[i], r, alpha)
    return tail
