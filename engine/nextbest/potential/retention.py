"""Retention by tenure: the shifted beta-geometric model of contract customers.

Source: domain model, section 4; Fader & Hardie, Journal of Interactive Marketing 21(1), 2007.
Customers differ in their churn probability, Beta(α, β). Those prone to leave do so first, so
the retention of those who remain rises with tenure; one constant r undervalues loyal ones.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import cast

import numpy as np

from nextbest.errors import ArtifactError, FitError, InvalidInput, Violation
from nextbest.kernels import kernel, lean_kernel
from nextbest.model import F64
from nextbest.potential.maximum_likelihood import (
    MAX_ITERATIONS,
    mean_loss,
    minimise,
    standard_errors,
)

MOST_YEARS = 10_000.0
"""Horizon up to which contracts are valued year by year."""
LEAST_CONTRACTS = 30
"""Below so many contracts no retention is fitted: a handful says nothing about those to come."""


@dataclass(frozen=True, slots=True)
class RetentionFit:
    """A fitted shifted beta-geometric model and how far to trust it."""

    alpha: float
    """Churn per renewal ~ Beta(α, β)."""
    beta: float
    log_likelihood: float
    standard_errors: dict[str, float | None]
    warnings: tuple[str, ...]


@lean_kernel
def retention_at(renewals: float, alpha: float, beta: float) -> float:
    """Probability that a customer with so many renewals behind them renews once more.

    r_t = (β+t−1)/(α+β+t−1) at the t-th renewal; NaN for an unknown or negative tenure.
    Oracle: `tests.naive.ltv.retention_at`.
    """
    if not 0.0 <= renewals < math.inf:
        return math.nan
    return (beta + renewals) / (alpha + beta + renewals)


@lean_kernel
def renewal_multiplier(renewals: float, alpha: float, beta: float, d: float, g: float, years: float) -> float:
    """Σ_k S(t+k)/S(t)·(1+g)^{k−1}/(1+d)^k: a yearly 1 growing by g while a contract of t renewals is renewed.

    Part of a year counts as that part of its term. NaN for an unknown tenure or parameter, beyond
    `MOST_YEARS`, and for a growth that diverges: retention rises to 1 with tenure, so from g ≥ d on (without
    growth a d of 0 will do).
    Oracle: `tests.naive.ltv.renewal_multiplier`.
    """
    if not (0.0 <= renewals < math.inf and d >= 0.0 and 0.0 <= years <= MOST_YEARS):
        return math.nan
    if g != 0.0 and not -1.0 < g < d:
        return math.nan
    total, term, whole = 0.0, 1.0, math.floor(years)
    for k in range(int(whole) + 1):
        term *= retention_at(renewals + k, alpha, beta) / (1.0 + d)
        total += term if k < whole else (years - whole) * term
        term *= 1.0 + g
    return total


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
    optimum = minimise(
        "retention", mean_loss(log_likelihood, n, 0.0), starts, n, max_iterations, observed="renewals"
    )
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


@dataclass(frozen=True, slots=True)
class RetentionModel:
    """Retention of contracts as `fit ltv` leaves it behind."""

    rate: float
    """Share of renewals that were made, whatever the tenure: r where tenure tells nothing."""
    contracts: int
    """Customers in the fit."""
    renewals: float
    """Renewals that came up."""
    alpha: float | None = None
    """Churn per renewal ~ Beta(α, β); None = the cohorts allow no fit, and `rate` holds for all."""
    beta: float | None = None
    log_likelihood: float | None = None
    standard_errors: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    warnings: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not 0.0 <= self.rate <= 1.0:
            raise ValueError(f"retention must be a share in [0, 1], not `{self.rate}`")
        for name, value in (("alpha", self.alpha), ("beta", self.beta)):
            if value is not None and not 0.0 < value < math.inf:
                raise ValueError(f"retention parameter {name} must be positive and finite, not `{value}`")
        if (self.alpha is None) != (self.beta is None):
            raise ValueError("retention parameters alpha and beta come together")

    def to_dict(self) -> dict[str, object]:
        """JSON-able values only; `from_dict` gives an equal object back."""
        content: dict[str, object] = asdict(self)
        content["standard_errors"] = dict(self.standard_errors)
        content["warnings"] = list(self.warnings)
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, object]) -> "RetentionModel":
        """Read what `to_dict` wrote.

        Raises:
            ArtifactError: a field is missing, unknown, or out of its range.
        """
        try:
            values = dict(content)
            values["warnings"] = tuple(cast("Sequence[str]", values["warnings"]))
            values["standard_errors"] = dict(cast("Mapping[str, float | None]", values["standard_errors"]))
            return cls(**values)  # pyright: ignore[reportArgumentType]  (from JSON)
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"retention of contracts cannot be read: {error}") from error


def fit_contracts(kept: F64, lost: F64, contracts: int) -> RetentionModel:
    """Retention of contracts by tenure, or one rate for all where the cohorts do not tell them apart.

    Args:
        kept: (T,) contracts renewed at their first, second, … renewal.
        lost: (T,) contracts that were not.
        contracts: customers counted.

    Raises:
        InvalidInput: negative or missing counts, listed by renewal.
        FitError: fewer than `LEAST_CONTRACTS` contracts, no renewals yet, or no convergence.
    """
    if contracts < LEAST_CONTRACTS:
        raise FitError(f"retention needs {LEAST_CONTRACTS} contracts, and there are {contracts}")
    fit = fit_retention(kept, lost)
    came_up = float((kept + lost).sum())
    rate = float(kept.sum()) / came_up
    if fit.warnings:
        warning = f"{fit.warnings[0]}: one rate, `{rate:.3f}`, holds for every contract"
        return RetentionModel(rate, contracts, came_up, warnings=(warning,))
    return RetentionModel(
        rate, contracts, came_up, fit.alpha, fit.beta, fit.log_likelihood, fit.standard_errors
    )
