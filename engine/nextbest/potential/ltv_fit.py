"""Fit BG/NBD and Gamma-Gamma by maximum likelihood; pure, deterministic, no I/O.

Source: domain model, section 4. Both are fitted in ln θ between bounds. BG/NBD is fitted again
with a penalty, and says so, where a bound is hit or the data do not identify it; Gamma-Gamma is
never penalised.
"""

import math
from dataclasses import dataclass

import numpy as np

from nextbest.errors import FitError, InvalidInput, Violation
from nextbest.model import F64
from nextbest.potential.ltv_likelihood import bgnbd_log_likelihood, gamma_gamma_log_likelihood
from nextbest.potential.ltv_parameters import (
    STEP_WEEKS,
    STEPS,
    YEARLY_DISCOUNT,
    BgNbd,
    GammaGamma,
    LtvParameters,
)
from nextbest.potential.maximum_likelihood import (
    LOWER_BOUND,
    MAX_ITERATIONS,
    UPPER_BOUND,
    Optimum,
    mean_loss,
    minimise,
    standard_errors,
)

PENALTY = 0.001
"""Weight of n·Σ(ln θ)² in the BG/NBD refit."""
CORRELATION_WARNING = 0.3
"""Gamma-Gamma assumes that frequency and spend are independent; from here on it says so."""
MAX_OCCASIONS = 1_000_000
"""Repeat buying occasions beyond this are an error in the data, not a customer."""
ROWS_SHOWN = 100
"""Impossible rows listed one by one; the rest is counted."""


@dataclass(frozen=True, slots=True)
class BgNbdFit:
    """A fitted BG/NBD model and how far to trust it."""

    parameters: BgNbd
    log_likelihood: float
    """Without the penalty."""
    standard_errors: dict[str, float | None]
    penalised: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GammaGammaFit:
    """A fitted Gamma-Gamma model and how far to trust it."""

    parameters: GammaGamma
    log_likelihood: float
    standard_errors: dict[str, float | None]
    warnings: tuple[str, ...]


def impossible_rows(x: F64, t_x: F64, T: F64, zbar: F64) -> dict[int, str]:
    """What is wrong with each row that is no possible purchase history, by row.

    Args:
        x: (n,) repeat buying occasions.
        t_x: (n,) weeks from the first to the last purchase.
        T: (n,) weeks from the first purchase to now.
        zbar: (n,) mean value of the repeat purchases; NaN = unknown.

    """
    with np.errstate(invalid="ignore"):
        checks = (
            (~(np.isfinite(x) & np.isfinite(t_x) & np.isfinite(T)), "is missing or not finite"),
            (
                (x < 0) | (x > MAX_OCCASIONS) | (x != np.floor(x)),
                f"x is no whole number in 0..{MAX_OCCASIONS}",
            ),
            (t_x < 0, "t_x is negative"),
            (t_x > T, "t_x is greater than T"),
            ((x == 0) & (t_x > 0), "t_x is above 0 without a repeat purchase"),
            ((x > 0) & (t_x == 0), "t_x is 0 although there are repeat purchases"),
            ((x > 0) & (zbar < 0), "zbar is negative"),
        )
    found: dict[int, str] = {}
    for wrong, description in checks:
        for row in np.flatnonzero(wrong).tolist():
            found.setdefault(row, description)
    return {
        row: f"{found[row]}: `{x[row]:g}, {t_x[row]:g}, {T[row]:g}, {zbar[row]:g}`" for row in sorted(found)
    }


def rfm_violations(x: F64, t_x: F64, T: F64, zbar: F64) -> list[Violation]:
    """`impossible_rows` as violations, at most `ROWS_SHOWN` one by one."""
    found = impossible_rows(x, t_x, T, zbar)
    violations = [Violation(f"rfm[{row}]", text) for row, text in list(found.items())[:ROWS_SHOWN]]
    if len(found) > ROWS_SHOWN:
        violations.append(Violation("rfm", f"and `{len(found) - ROWS_SHOWN}` more impossible rows"))
    return violations


def fit_bgnbd(x: F64, t_x: F64, T: F64, *, max_iterations: int = MAX_ITERATIONS) -> BgNbdFit:
    """Fit BG/NBD by maximum likelihood; with a penalty only where the data leave it no other way.

    Args:
        x: (n,) repeat buying occasions.
        t_x: (n,) weeks from the first to the last purchase.
        T: (n,) weeks from the first purchase to now.
        max_iterations: of the optimiser, for each start.

    Raises:
        InvalidInput: impossible histories, listed by row.
        FitError: no customers, or no convergence.

    Cost: about 0.1 µs × n × a few hundred evaluations.

    """
    _require_possible(x, t_x, T, np.full(len(x), np.nan))
    n = len(x)
    counts = x.astype(np.int64)
    # Start at the overall rate x/T with an even, a spread and a loyal population.
    weeks = max(float(x.sum()), 1.0) ** -1 * max(float(T.sum()), 1.0)
    starts = np.array([[1.0, weeks, 1.0, 3.0], [0.3, 0.3 * weeks, 0.5, 5.0], [3.0, 3.0 * weeks, 0.1, 5.0]])
    starts = np.clip(starts, 10.0 * LOWER_BOUND, 0.1 * UPPER_BOUND)

    def log_likelihood(theta: F64) -> tuple[float, F64]:
        return bgnbd_log_likelihood(theta, counts, t_x, T)

    optimum = minimise(
        "BG/NBD", mean_loss(log_likelihood, n, 0.0), starts, n, max_iterations, observed="customers"
    )
    warnings: tuple[str, ...] = ()
    penalised = optimum.at_bound or optimum.covariance is None
    if penalised:
        warnings = (_why_penalised(optimum),)
        optimum = minimise(
            "BG/NBD", mean_loss(log_likelihood, n, PENALTY), starts, n, max_iterations, observed="customers"
        )
    theta = np.exp(optimum.log_theta)
    return BgNbdFit(
        parameters=BgNbd(*theta.tolist()),
        log_likelihood=log_likelihood(theta)[0],
        standard_errors=standard_errors(("r", "alpha", "a", "b"), optimum),
        penalised=penalised,
        warnings=warnings,
    )


def _why_penalised(optimum: Optimum) -> str:
    r, alpha, a, b = np.exp(optimum.log_theta).tolist()
    found = f"r={r:.3g}, alpha={alpha:.3g}, a={a:.3g}, b={b:.3g}"
    cause = "ran to a bound" if optimum.at_bound else "was not identified by the data"
    return f"the BG/NBD fit {cause} (`{found}`) and was repeated with a penalty on extreme parameters"


def fit_gamma_gamma(x: F64, zbar: F64, *, max_iterations: int = MAX_ITERATIONS) -> GammaGammaFit:
    """Fit Gamma-Gamma by maximum likelihood to customers with a repeat purchase of known value.

    Args:
        x: (n,) repeat buying occasions; rows with x = 0 are not used.
        zbar: (n,) mean value of the repeat purchases, money; rows with 0 or NaN are not used.
        max_iterations: of the optimiser, for each start.

    Raises:
        InvalidInput: a negative zbar, listed by row.
        FitError: nobody with a repeat purchase of known value, or no convergence.

    """
    violations = [
        Violation(f"rfm[{row}]", "zbar is negative") for row in np.flatnonzero((x > 0) & (zbar < 0))
    ]
    if violations:
        raise InvalidInput(violations[:ROWS_SHOWN])
    used = (x > 0) & (zbar > 0) & np.isfinite(zbar)
    n = int(used.sum())
    if n == 0:
        raise FitError("the Gamma-Gamma fit needs customers with a repeat purchase of known value")
    x, zbar = x[used], zbar[used]
    # The fit is made in units of the mean, so that neither starts nor bounds depend on the currency.
    unit = float(zbar.mean())
    scaled = zbar / unit

    def log_likelihood(theta: F64) -> tuple[float, F64]:
        return gamma_gamma_log_likelihood(theta, x, scaled)

    starts = np.array([[3.0, 3.0, 1.0], [1.0, 10.0, 10.0], [20.0, 3.0, 0.1]])
    optimum = minimise(
        "Gamma-Gamma",
        mean_loss(log_likelihood, n, 0.0),
        starts,
        n,
        max_iterations,
        observed="customers with a repeat purchase of known value",
    )
    theta = np.exp(optimum.log_theta)
    errors = standard_errors(("p", "q", "v"), optimum)
    if errors["v"] is not None:
        errors["v"] *= unit
    return GammaGammaFit(
        parameters=GammaGamma(float(theta[0]), float(theta[1]), float(theta[2]) * unit),
        log_likelihood=log_likelihood(theta)[0] - n * math.log(unit),
        standard_errors=errors,
        warnings=_gamma_gamma_warnings(optimum, x, zbar),
    )


def _gamma_gamma_warnings(optimum: Optimum, x: F64, zbar: F64) -> tuple[str, ...]:
    warnings: list[str] = []
    if optimum.at_bound or optimum.covariance is None:
        warnings.append("the Gamma-Gamma fit is not identified by the data: its parameters are at a bound")
    if optimum.log_theta[1] <= 0.0:
        warnings.append("Gamma-Gamma has q ≤ 1: spend is unknown for customers without a repeat purchase")
    correlation = _correlation(x, zbar)
    if abs(correlation) >= CORRELATION_WARNING:
        warnings.append(
            f"frequency and spend correlate by `{correlation:.2f}`: Gamma-Gamma takes them as independent"
        )
    return tuple(warnings)


def _correlation(x: F64, y: F64) -> float:
    """Pearson's; 0 where either does not vary."""
    dx, dy = x - x.mean(), y - y.mean()
    scale = math.sqrt(float(dx @ dx) * float(dy @ dy))
    return float(dx @ dy) / scale if scale > 0.0 else 0.0


def fit_ltv(
    x: F64,
    t_x: F64,
    T: F64,
    zbar: F64,
    *,
    margin: float,
    yearly_discount: float = YEARLY_DISCOUNT,
    step_weeks: float = STEP_WEEKS,
    steps: int = STEPS,
) -> LtvParameters:
    """Fit both models and bundle them with the horizon and everything worth a warning.

    Args:
        x: (n,) repeat buying occasions.
        t_x: (n,) weeks from the first to the last purchase.
        T: (n,) weeks from the first purchase to now.
        zbar: (n,) mean value of the repeat purchases, money; NaN = unknown, not read where x = 0.
        margin: share of revenue that is margin, where a customer's own is unknown.
        yearly_discount: d.
        step_weeks: Δ.
        steps: K.

    Raises:
        InvalidInput: impossible histories or a negative zbar, listed by row.
        FitError: no customers, nobody with a repeat purchase, or no convergence.
        ValueError: margin, discount or horizon outside their range.

    """
    _require_possible(x, t_x, T, zbar)
    purchases = fit_bgnbd(x, t_x, T)
    spend = fit_gamma_gamma(x, zbar)
    n_repeat = int(((x > 0) & (zbar > 0)).sum())
    unused = int((x > 0).sum()) - n_repeat
    warnings = purchases.warnings + spend.warnings
    if unused:
        warnings += (
            f"`{unused}` customers with repeat purchases of unknown or zero value: not in Gamma-Gamma",
        )
    observed = T > 0
    frequencies = x[observed] / T[observed]
    return LtvParameters(
        bgnbd=purchases.parameters,
        gamma_gamma=spend.parameters,
        margin=margin,
        yearly_discount=yearly_discount,
        step_weeks=step_weeks,
        steps=steps,
        standard_errors=purchases.standard_errors | spend.standard_errors,
        log_likelihood=purchases.log_likelihood,
        gamma_gamma_log_likelihood=spend.log_likelihood,
        penalised=purchases.penalised,
        n=len(x),
        n_repeat=n_repeat,
        frequency_top_quartile=float(np.quantile(frequencies, 0.75)),
        warnings=warnings,
    )


def _require_possible(x: F64, t_x: F64, T: F64, zbar: F64) -> None:
    if len(x) == 0:
        raise FitError("a fit needs customers, and there are none")
    violations = rfm_violations(x, t_x, T, zbar)
    if violations:
        raise InvalidInput(violations)
