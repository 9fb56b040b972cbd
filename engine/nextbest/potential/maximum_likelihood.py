"""Maximum likelihood in ln θ between bounds, with standard errors and a verdict on both.

A parameter at a bound or a singular Hessian is reported, not hidden: what to do about it is the
model's decision. A gradient that does not vanish is an error.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from scipy import optimize  # pyright: ignore[reportMissingTypeStubs]  # has none

from nextbest.errors import FitError
from nextbest.model import F64

UPPER_BOUND = 1e4
"""No parameter is fitted above this; b of BG/NBD gets there when nobody ever drops out."""
LOWER_BOUND = 1e-4
"""Nor below this."""
SINGULAR_BELOW = 1e-8
"""Smallest over largest eigenvalue of a Hessian that counts as identified."""
MAX_ITERATIONS = 1000
"""Of the optimiser, for each start."""
GRADIENT_TOLERANCE = 1e-5
"""Of the mean log-likelihood per unit of ln θ; above it a fit has not converged."""
ENOUGH = 30
"""Observations from which on it is not for want of data that a fit does not converge; simulated: from 10 on
Gamma-Gamma always did."""

Objective = Callable[[F64], tuple[float, F64]]
"""Mean negative log-likelihood and its gradient, both in ln θ."""


class _OptimizeResult(Protocol):
    x: F64
    fun: float
    nit: int


@dataclass(frozen=True, slots=True)
class Optimum:
    """Where the likelihood is largest between the bounds."""

    log_theta: F64
    covariance: F64 | None
    """Of ln θ; None where the Hessian is singular."""
    at_bound: bool


def mean_loss(log_likelihood: Callable[[F64], tuple[float, F64]], n: int, penalty: float) -> Objective:
    """−ln L/n + penalty·Σ(ln θ)² as a function of ln θ."""

    def loss(log_theta: F64) -> tuple[float, F64]:
        theta = np.exp(log_theta)
        value, gradient = log_likelihood(theta)
        return (
            -value / n + penalty * float(log_theta @ log_theta),
            -gradient * theta / n + 2.0 * penalty * log_theta,
        )

    return loss


def _hessian(loss: Objective, at: F64) -> F64:
    """Second derivatives by central differences of the analytic gradient."""
    step = 1e-4
    rows = [
        (loss(at + direction)[1] - loss(at - direction)[1]) / (2.0 * step)
        for direction in step * np.eye(len(at))
    ]
    hessian = np.array(rows)
    return (hessian + hessian.T) / 2.0


def _covariance(loss: Objective, at: F64, n: int) -> F64 | None:
    """Covariance of ln θ, or None where the data do not identify it."""
    hessian = _hessian(loss, at)
    if not np.isfinite(hessian).all():
        return None
    eigenvalues = np.linalg.eigvalsh(hessian)
    if eigenvalues[0] <= SINGULAR_BELOW * eigenvalues[-1]:
        return None
    return np.linalg.inv(hessian) / n


def minimise(
    model: str, loss: Objective, starts: F64, n: int, max_iterations: int, *, observed: str
) -> Optimum:
    """Return the best optimum over the starts.

    Args:
        model: its name, for the error.
        loss: as `mean_loss` makes it.
        starts: (k, parameters) values of θ to start from.
        n: observations in the fit.
        max_iterations: of the optimiser, for each start.
        observed: what was observed n times, for the error.

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
    best = min(results, key=lambda result: result.fun if math.isfinite(result.fun) else math.inf)
    gradient = loss(best.x)[1]
    at_low, at_high = best.x <= low, best.x >= high
    # At a bound only the part of the gradient that points inside counts.
    free = np.where(at_low, np.minimum(gradient, 0.0), np.where(at_high, np.maximum(gradient, 0.0), gradient))
    steepest = float(np.abs(free).max())
    if not steepest <= GRADIENT_TOLERANCE:
        raise FitError(f"the {model} fit did not converge {_remedy(n, observed, best.nit, steepest)}")
    return Optimum(best.x, _covariance(loss, best.x, n), bool((at_low | at_high).any()))


def _remedy(n: int, observed: str, iterations: int, steepest: float) -> str:
    if n < ENOUGH:
        return (
            f"on `{n}` {observed}: fewer than {ENOUGH} rarely tell the parameters; fit on more customers, or"
            " when these have been seen for longer"
        )
    return (
        f"in `{iterations}` iterations (gradient `{steepest:.2g}`);"
        " check the units of the data (weeks, money) and remove outliers"
    )


def standard_errors(names: tuple[str, ...], optimum: Optimum) -> dict[str, float | None]:
    """Standard errors of θ by the delta method, se(θ) = θ·se(ln θ)."""
    if optimum.covariance is None:
        return dict.fromkeys(names)
    errors = np.exp(optimum.log_theta) * np.sqrt(np.diag(optimum.covariance))
    return dict(zip(names, errors.tolist(), strict=True))
