"""Retention by tenure: the shifted beta-geometric model of contract customers.

Source: domain model, section 4; Fader & Hardie, Journal of Interactive Marketing 21(1), 2007.
Customers differ in their churn probability, Beta(α, β). Those prone to leave do so first, so
the retention of those who remain rises with tenure; one constant r undervalues loyal ones.
"""

import math
from dataclasses import dataclass

import numpy as np

from nextbest.errors import FitError, InvalidInput, Violation
from nextbest.kernels import kernel
from nextbest.model import F64
from nextbest.potential.maximum_likelihood import (
    MAX_ITERATIONS,
    mean_loss,
    minimise,
    standard_errors,
)


@dataclass(frozen=True, slots=True)
class RetentionFit:
    """A fitted shifted beta-geometric model and how far to trust it."""

    alpha: float
    """Churn per renewal ~ Beta(α, β)."""
    beta: float
    log_likelihood: float
    standard_errors: dict[str, float | None]
    warnings: tuple[str, ...]


@kernel
def retention_at(renewals: float, alpha: float, beta: float) -> float:
    """Probability that a customer with so many renewals behind them renews once more.

    r_t = (β+t−1)/(α+β+t−1) at the t-th renewal; NaN for an unknown or negative tenure.
    Oracle: `tests.naive.ltv.retention_at`.
    """
    if not 0.0 <= renewals < math.inf:
        return math.nan
    return (beta + renewals) / (alpha + beta + renewals)


@kernel
def retention_rows(renewals: F64, alpha: float, beta: float) -> F64:
    """Retention of n customers by their renewals so far, for `contract_rows`."""
    retention = np.empty(len(renewals))
    for i in range(len(renewals)):
        retention[i] = retention_at(renewals[i], alpha, beta)
    return retention


def retention_log_likelihood(theta: F64, kept: F64, lost: F64) -> tuple[float, F64]:
    """Log-likelihood of pooled cohorts and its gradient.

    Args:
        theta: (2,) α, β.
        kept: (T,) customers who renewed at their first, second, … renewal.
        lost: (T,) customers who did not.

    Oracle: `tests.naive.ltv.retention_log_likelihood`.

    """
    alpha, beta = theta.tolist()
    stay = beta + np.arange(len(kept))
    either = alpha + stay
    value = float(kept @ np.log(stay / either) + lost @ np.log(alpha / either))
    gradient = np.array(
        [
            float(lost.sum()) / alpha - float(((kept + lost) / either).sum()),
            float((kept / stay).sum()) - float(((kept + lost) / either).sum()),
        ]
    )
    return value, gradient


def fit_retention(kept: F64, lost: F64, *, max_iterations: int = MAX_ITERATIONS) -> RetentionFit:
    """Fit retention by tenure to cohorts, pooled by the number of the renewal.

    Args:
        kept: (T,) customers who renewed at their first, second, … renewal.
        lost: (T,) customers who did not; cohorts of different age just add up.
        max_iterations: of the optimiser, for each start.

    Raises:
        InvalidInput: negative or missing counts, listed by renewal.
        FitError: no renewals, or no convergence.

    """
    violations = [
        Violation(f"renewals[{row}]", "a count is negative or missing")
        for row in np.flatnonzero(~((kept >= 0) & (lost >= 0) & np.isfinite(kept) & np.isfinite(lost)))
    ]
    if violations:
        raise InvalidInput(violations)
    n = math.ceil((kept + lost).sum())
    if n == 0:
        raise FitError("a retention fit needs renewals, and there are none")

    def log_likelihood(theta: F64) -> tuple[float, F64]:
        return retention_log_likelihood(theta, kept, lost)

    starts = np.array([[1.0, 1.0], [0.5, 4.0], [4.0, 0.5]])
    optimum = minimise("retention", mean_loss(log_likelihood, n, 0.0), starts, n, max_iterations)
    theta = np.exp(optimum.log_theta)
    unclear = optimum.at_bound or optimum.covariance is None
    return RetentionFit(
        alpha=float(theta[0]),
        beta=float(theta[1]),
        log_likelihood=log_likelihood(theta)[0],
        standard_errors=standard_errors(("alpha", "beta"), optimum),
        warnings=("the cohorts do not tell customers apart: retention does not rise with tenure",)
        if unclear
        else (),
    )
