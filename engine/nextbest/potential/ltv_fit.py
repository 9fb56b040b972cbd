"""Fit BG/NBD and Gamma-Gamma by maximum likelihood; pure, deterministic, no I/O.

Source: domain model, section 4. Both are fitted in ln θ between bounds. BG/NBD is fitted again
with a penalty, and says so, where a bound is hit or the data do not identify it; Gamma-Gamma is
never penalised.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from scipy import optimize  # pyright: ignore[reportMissingTypeStubs]

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

UPPER_BOUND = 1e4
"""No parameter is fitted above this; b gets there when nobody ever drops out."""
LOWER_BOUND = 1e-4
"""Nor below this."""
PENALTY = 0.001
"""Weight of n·Σ(ln θ)² in the BG/NBD refit."""
CORRELATION_WARNING = 0.3
"""Gamma-Gamma assumes that frequency and spend are independent; from here on it says so."""
SINGULAR_BELOW = 1e-8
"""Smallest over largest eigenvalue of a Hessian that counts as identified."""
MAX_ITERATIONS = 1000
"""Of the optimiser, for each start."""
GRADIENT_TOLERANCE = 1e-5
"""Of the mean log-likelihood per unit of ln θ; above it a fit has not converged."""
MAX_OCCASIONS = 1_000_000
"""Repeat buying occasions beyond this are an error in the data, not a customer."""
ROWS_SHOWN = 100
"""Impossible rows listed one by one; the rest is counted."""

_Objective = Callable[[F64], tuple[float, F64]]
"""Mean negative log-likelihood and its gradient, both in ln θ."""


class _OptimizeResult(Protocol):
    x: F64
    fun: float
    nit: int
    message: str


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


@dataclass(frozen=True, slots=True)
class _Optimum:
    log_theta: F64
    covariance: F64 | None
    """Of ln θ; None where the Hessian is singular."""
    at_bound: bool


def rfm_violations(x: F64, t_x: F64, T: F64, zbar: F64) -> list[Violation]:
    """List every row that is no possible purchase history, at most `ROWS_SHOWN` one by one.

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
    violations = [
        Violation(f"rfm[{row}]", f"{found[row]}: `{x[row]:g}, {t_x[row]:g}, {T[row]:g}, {zbar[row]:g}`")
        for row in sorted(found)[:ROWS_SHOWN]
    ]
    if len(found) > ROWS_SHOWN:
        violations.append(Violation("rfm", f"and `{len(found) - ROWS_SHOWN}` more impossible rows"))
    return violations


def _mean_loss(log_likelihood: Callable[[F64], tuple[float, F64]], n: int, penalty: float) -> _Objective:
    """−ln L/n + penalty·Σ(ln θ)² as a function of ln θ."""

    def loss(log_theta: F64) -> tuple[float, F64]:
        theta = np.exp(log_theta)
        value, gradient = log_likelihood(theta)
        return (
            -value / n + penalty * float(log_theta @ log_theta),
            -gradient * theta / n + 2.0 * penalty * log_theta,
        )

    return loss


def _hessian(loss: _Objective, at: F64) -> F64:
    """Second derivatives by central differences of the analytic gradient."""
    step = 1e-4
    rows = [
        (loss(at + direction)[1] - loss(at - direction)[1]) / (2.0 * step)
        for direction in step * np.eye(len(at))
    ]
    hessian = np.array(rows)
    return (hessian + hessian.T) / 2.0


def _covariance(loss: _Objective, at: F64, n: int) -> F64 | None:
    """Covariance of ln θ, or None where the data do not identify it."""
    hessian = _hessian(loss, at)
    if not np.isfinite(hessian).all():
        return None
    eigenvalues = np.linalg.eigvalsh(hessian)
    if eigenvalues[0] <= SINGULAR_BELOW * eigenvalues[-1]:
        return None
    return np.linalg.inv(hessian) / n


def _minimise(model: str, loss: _Objective, starts: F64, n: int, max_iterations: int) -> _Optimum:
    """Return the best optimum over the starts.

    Raises:
        FitError: the best one is none: its gradient does not vanish.

    """
    low, high = math.log(LOWER_BOUND), math.log(UPPER_BOUND)
    results = [
        cast(
            "_OptimizeResult",
            optimize.minimize(  # pyright: ignore[reportUnknownMemberType]  (scipy is untyped)
                loss,
                np.log(start),
                jac=True,
                method="L-BFGS-B",
                bounds=[(low, high)] * len(start),
                options={"maxiter": max_iterations, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 20},
            ),
        )
        for start in starts
    ]
    best = min(results, key=lambda result: result.fun)
    gradient = loss(best.x)[1]
    at_low, at_high = best.x <= low, best.x >= high
    # At a bound only the part of the gradient that points inside counts.
    free = np.where(at_low, np.minimum(gradient, 0.0), np.where(at_high, np.maximum(gradient, 0.0), gradient))
    steepest = float(np.abs(free).max())
    if not steepest <= GRADIENT_TOLERANCE:
        raise FitError(
            f"the {model} fit did not converge in `{best.nit}` iterations (gradient `{steepest:.2g}`); "
            "check the units of the data (weeks, money) and remove outliers"
        )
    return _Optimum(best.x, _covariance(loss, best.x, n), bool((at_low | at_high).any()))


def _standard_errors(names: tuple[str, ...], optimum: _Optimum) -> dict[str, float | None]:
    """Standard errors of θ by the delta method, se(θ) = θ·se(ln θ)."""
    if optimum.covariance is None:
        return dict.fromkeys(names)
    errors = np.exp(optimum.log_theta) * np.sqrt(np.diag(optimum.covariance))
    return dict(zip(names, errors.tolist(), strict=True))


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

    optimum = _minimise("BG/NBD", _mean_loss(log_likelihood, n, 0.0), starts, n, max_iterations)
    warnings: tuple[str, ...] = ()
    penalised = optimum.at_bound or optimum.covariance is None
    if penalised:
        warnings = (_why_penalised(optimum),)
        optimum = _minimise("BG/NBD", _mean_loss(log_likelihood, n, PENALTY), starts, n, max_iterations)
    theta = np.exp(optimum.log_theta)
    return BgNbdFit(
        parameters=BgNbd(*theta.tolist()),
        log_likelihood=log_likelihood(theta)[0],
        standard_errors=_standard_errors(("r", "alpha", "a", "b"), optimum),
        penalised=penalised,
        warnings=warnings,
    )


def _why_penalised(optimum: _Optimum) -> str:
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
    optimum = _minimise("Gamma-Gamma", _mean_loss(log_likelihood, n, 0.0), starts, n, max_iterations)
    theta = np.exp(optimum.log_theta)
    errors = _standard_errors(("p", "q", "v"), optimum)
    if errors["v"] is not None:
        errors["v"] *= unit
    return GammaGammaFit(
        parameters=GammaGamma(float(theta[0]), float(theta[1]), float(theta[2]) * unit),
        log_likelihood=log_likelihood(theta)[0] - n * math.log(unit),
        standard_errors=errors,
        warnings=_gamma_gamma_warnings(optimum, x, zbar),
    )


def _gamma_gamma_warnings(optimum: _Optimum, x: F64, zbar: F64) -> tuple[str, ...]:
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
