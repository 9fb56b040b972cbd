"""How well a lifetime value fit describes what it saw, and what came later.

In sample: how many customers the fit expects with 0, 1, 2 … repeat purchases beside how many there
are, and expected beside observed repeat purchases by how long customers were observed. Out of sample:
purchases in a later period beside those expected from the earlier one. BG/NBD knows no season.

Source: Fader, Hardie & Lee, Marketing Science 24(2), 2005, equation 8 and figures 2 to 4.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from nextbest.kernels import kernel
from nextbest.model import F64, I64, Bools
from nextbest.potential.bgnbd import expected_purchases
from nextbest.potential.ltv import expected_spend
from nextbest.potential.ltv_parameters import LtvParameters

CLASSES: Final = 11
"""Frequency classes: none, nine of `Calibration.width` repeat purchases each, and all above."""
PERIODS: Final = 8
"""Groups of customers by how long they were observed, of like size."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Expected beside observed; all sums are over the customers of a class, NaN = nobody in it."""

    width: int
    """Repeat purchases a class spans; 1 where most customers have few."""
    customers: I64
    """(classes,) customers by repeat purchases."""
    expected_customers: F64
    """(classes,) how many the fit expects."""
    spend: F64
    """(classes,) mean value of a purchase, money, over customers with a known one."""
    expected_spend: F64
    """(classes,) Gamma-Gamma's mean for these customers before it knows their spend."""
    weeks: F64
    """(periods,) mean weeks observed."""
    purchases: F64
    """(periods,) mean repeat purchases."""
    expected_purchases: F64
    """(periods,) how many the fit expects in as many weeks."""


@dataclass(frozen=True, slots=True)
class HoldOut:
    """Purchases of a later period beside those expected from the earlier one."""

    width: int
    """Repeat purchases a class spans."""
    customers: I64
    """(classes,) customers by repeat purchases in the earlier period."""
    purchases: F64
    """(classes,) mean purchases in the later period."""
    expected: F64
    """(classes,) mean of what the fit expects."""
    total: float
    """Purchases of all in the later period."""
    expected_total: float
    mean_absolute_error: float
    """Over customers, purchases."""
    correlation: float
    """Between expected and actual; NaN where either does not vary."""
    weeks: float
    """Mean length of the later period."""


@kernel
def frequency_probabilities(T: float, r: float, alpha: float, a: float, b: float, out: F64) -> None:
    """Write P(X(T) = x) for x = 0, 1, … and, in the last place, of all that is left (scalar kernel).

    Args:
        T: weeks observed.
        r: shape of the purchase rate.
        alpha: its scale, weeks.
        a: of the dropout's Beta(a, b).
        b: of the same.
        out: (classes,) is written.

    Oracle: tests/naive/ltv_calibration.py `frequency_probability`.
    """
    last = out.size - 1
    ratio = T / (alpha + T)
    # NB(j) = Γ(r+j)/(Γ(r) j!)·(α/(α+T))^r·(T/(α+T))^j, its sum below x, and Π_{j<x} (b+j)/(a+b+j)
    negative_binomial, below, survived, left = (alpha / (alpha + T)) ** r, 0.0, 1.0, 1.0
    for x in range(last):
        out[x] = survived * negative_binomial
        if x > 0:
            # B(a+1, b+x−1)/B(a,b) = survived·a/(b+x−1)
            out[x] += survived * a / (b + x - 1.0) * max(1.0 - below, 0.0)
        left -= out[x]
        below += negative_binomial
        negative_binomial *= ratio * (r + x) / (x + 1.0)
        survived *= (b + x) / (a + b + x)
    out[last] = max(left, 0.0)


@kernel
def expected_frequencies(T: F64, bgnbd: F64, classes: int, width: int) -> F64:
    """(classes,) customers that BG/NBD expects in each class; (n,) weeks observed.

    Cost: about 10 ns a customer and number of repeat purchases told apart.
    Oracle: tests/naive/ltv_calibration.py.
    """
    total, out = np.zeros(classes), np.empty((classes - 2) * width + 2)
    for i in range(len(T)):
        frequency_probabilities(T[i], bgnbd[0], bgnbd[1], bgnbd[2], bgnbd[3], out)
        for x in range(out.size):
            total[(x + width - 1) // width] += out[x]
    return total


@kernel
def expected_of_new(T: F64, bgnbd: F64) -> F64:
    """(n,) repeat purchases that a new customer is expected to make in T weeks."""
    expected = np.empty(len(T))
    for i in range(len(T)):
        expected[i] = 0.0
        if T[i] > 0.0:
            expected[i] = expected_purchases(0.0, 0.0, 0.0, T[i], bgnbd[0], bgnbd[1], bgnbd[2], bgnbd[3])
    return expected


@kernel
def expected_after(x: F64, t_x: F64, T: F64, later: F64, bgnbd: F64) -> F64:
    """(n,) purchases expected in the `later` weeks after T, each customer having their own."""
    expected = np.empty(len(x))
    for i in range(len(x)):
        expected[i] = 0.0
        if later[i] > 0.0:
            expected[i] = expected_purchases(
                x[i], t_x[i], T[i], later[i], bgnbd[0], bgnbd[1], bgnbd[2], bgnbd[3]
            )
    return expected


def calibrate(x: F64, T: F64, zbar: F64, parameters: LtvParameters) -> Calibration:
    """Compare a fit with the customers it was made on.

    Args:
        x: (n,) repeat buying occasions.
        T: (n,) weeks observed.
        zbar: (n,) mean value of the repeat purchases, money; NaN = unknown.
        parameters: the fit.
    """
    bgnbd = parameters.bgnbd.to_array()
    width = class_width(x)
    place = classes_of(x, width)
    known = (x > 0) & (zbar > 0)
    periods = _periods(T)
    g = parameters.gamma_gamma
    return Calibration(
        width=width,
        customers=np.bincount(place, minlength=CLASSES),
        expected_customers=expected_frequencies(T, bgnbd, CLASSES, width),
        spend=_means(place, zbar, CLASSES, known),
        expected_spend=np.array([np.nan, *[expected_spend(0.0, 0.0, g.p, g.q, g.v)] * (CLASSES - 1)]),
        weeks=_means(periods, T, PERIODS),
        purchases=_means(periods, x, PERIODS),
        expected_purchases=_means(periods, expected_of_new(T, bgnbd), PERIODS),
    )


def hold_out(before: F64, after: F64, parameters: LtvParameters) -> HoldOut:
    """Compare what a fit expects with what came later.

    Args:
        before: (n, 3) x, t_x, T of the customers when the fit was made.
        after: (n, 3) the same later on, with x and T no less.
        parameters: the fit.
    """
    x, t_x, observed = (np.ascontiguousarray(column) for column in before.T)
    later, bought = after[:, 2] - observed, after[:, 0] - x
    expected = expected_after(x, t_x, observed, later, parameters.bgnbd.to_array())
    width = class_width(x)
    place = classes_of(x, width)
    return HoldOut(
        width=width,
        customers=np.bincount(place, minlength=CLASSES),
        purchases=_means(place, bought, CLASSES),
        expected=_means(place, expected, CLASSES),
        total=float(bought.sum()),
        expected_total=float(expected.sum()),
        mean_absolute_error=float(np.abs(expected - bought).mean()) if len(x) else math.nan,
        correlation=_correlation(expected, bought),
        weeks=float(later.mean()) if len(x) else math.nan,
    )


def class_width(x: F64) -> int:
    """Repeat purchases a class must span for at most a twentieth of the customers to be above all."""
    return max(1, math.ceil(float(np.quantile(x, 0.95)) / (CLASSES - 1))) if len(x) else 1


def classes_of(x: F64, width: int) -> I64:
    """(n,) frequency classes."""
    return np.minimum(np.ceil(x / width), CLASSES - 1).astype(np.int64)


def class_names(width: int) -> list[str]:
    """Names of the classes, such as 0, 1–5, 6–10 … 46+."""
    spans = [(width * (k - 1) + 1, width * k) for k in range(1, CLASSES - 1)]
    inner = [str(low) if low == high else f"{low}–{high}" for low, high in spans]
    return ["0", *inner, f"{width * (CLASSES - 2) + 1}+"]


def _periods(T: F64) -> I64:
    """(n,) groups of like size by weeks observed; equal weeks are never torn apart."""
    if not len(T):
        return np.empty(0, np.int64)
    bounds = np.quantile(T, np.arange(1, PERIODS) / PERIODS)
    return np.searchsorted(bounds, T, side="left").astype(np.int64)


def _means(place: I64, values: F64, size: int, used: Bools | None = None) -> F64:
    """(size,) means of the values in each place; NaN where there is none."""
    if used is not None:
        place, values = place[used], values[used]
    count = np.bincount(place, minlength=size)
    total = np.bincount(place, values, minlength=size)
    return np.divide(total, count, out=np.full(size, np.nan), where=count > 0)


def _correlation(one: F64, other: F64) -> float:
    if len(one) < 2 or not one.std() > 0 or not other.std() > 0:
        return math.nan
    return float(np.corrcoef(one, other)[0, 1])
