"""Fitting of propensity models with scikit-learn; kept apart so that serving never imports it."""

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from sklearn.exceptions import ConvergenceWarning  # pyright: ignore[reportMissingTypeStubs]  # has none
from sklearn.linear_model import LogisticRegression  # pyright: ignore[reportMissingTypeStubs]  # has none

from nextbest.errors import FitError
from nextbest.kernels import kernel
from nextbest.learning.propensity import (
    COEFFICIENT,
    FILL,
    LOG_UNIT,
    MEAN,
    MISSING_COEFFICIENT,
    SCALE,
    TABLE_COLUMNS,
    PropensityModel,
    standardise,
)
from nextbest.learning.threads import one_thread
from nextbest.model import F64, I64, Bools

STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Inverse penalties tried; the one with the best likelihood on held-out groups is taken."""
FOLDS = 5
"""Parts the groups are split into for that, and for calibration."""
MIN_POSITIVES = 5
"""Fewer acceptances than this make no model."""
MOST_STEPS = 1000
"""Steps of the optimiser after which a fit has failed; usual are some dozens."""


class _Logistic(Protocol):
    coef_: F64
    intercept_: F64

    def fit(self, x: F64, y: F64) -> object: ...


@dataclass(frozen=True, slots=True)
class _Line:
    """A fitted line in the space of standardised facts."""

    coefficients: F64
    intercept: float

    def __call__(self, x: F64) -> F64:
        return x @ self.coefficients + self.intercept


def fit_propensity(
    model_id: str,
    facts: Sequence[str],
    x: F64,
    accepted: F64,
    *,
    groups: I64,
    log_facts: Collection[str] = (),
    trained_on: Mapping[str, object] | None = None,
) -> PropensityModel:
    """Fit an L2-penalised logistic regression and calibrate it out of fold.

    Strength of the penalty and Platt's calibration come from groups held out as a whole, so that
    one campaign's fashion is not mistaken for a law. Deterministic.

    Args:
        model_id: name of the model.
        facts: k names.
        x: (n, k) facts in their own units; NaN = missing, which gets a coefficient of its own.
        accepted: (n,) 1.0 accepted, 0.0 not.
        groups: (n,) what is held out together, such as the campaign.
        log_facts: names of skew facts, which enter by sign(v)·log(1 + |v|/mean |v|).
        trained_on: metadata to keep with the model.

    Returns:
        The model, with rows, positives, groups and strength added to its metadata.

    Raises:
        FitError: a value is infinite, a fact is known for nobody, there are too few acceptances
            or groups, or the fit does not converge.
    """
    _check(facts, x, accepted, groups)
    with one_thread():
        return _fitted(model_id, facts, x, accepted, groups, log_facts, trained_on or {})


def _fitted(
    model_id: str,
    facts: Sequence[str],
    x: F64,
    accepted: F64,
    groups: I64,
    log_facts: Collection[str],
    trained_on: Mapping[str, object],
) -> PropensityModel:
    table = np.array([_scaling(x[:, k], name in log_facts) for k, name in enumerate(facts)])
    missing = np.isnan(x)
    gappy = missing.any(axis=0)
    design = np.hstack([_standardised(x, table), missing[:, gappy].astype(np.float64)])
    folds = _folds(groups)
    strength = min(STRENGTHS, key=lambda c: _held_out_loss(design, accepted, folds, c))
    line = _regress(design, accepted, strength)
    table[:, COEFFICIENT] = line.coefficients[: len(facts)]
    table[gappy, MISSING_COEFFICIENT] = line.coefficients[len(facts) :]
    slope, offset, warnings = _platt(design, accepted, folds, strength)
    figures: dict[str, object] = {
        "rows": len(x),
        "accepted": int(accepted.sum()),
        "groups": sorted({int(g) for g in groups}),
        "strength": strength,
        "log_facts": sorted(log_facts),
        "warnings": warnings,
    }
    return PropensityModel(
        id=model_id,
        facts=tuple(facts),
        table=table,
        constants=np.array([line.intercept, slope, offset]),
        trained_on={**trained_on, **figures},
    )


def _check(facts: Sequence[str], x: F64, accepted: F64, groups: I64) -> None:
    if x.shape != (len(accepted), len(facts)) or len(groups) != len(accepted):
        raise FitError(f"facts of shape {x.shape} do not fit {len(facts)} names and {len(accepted)} outcomes")
    if not np.isin(accepted, (0.0, 1.0)).all():
        raise FitError("an outcome is neither 0 nor 1")
    positives = int(accepted.sum())
    if min(positives, len(accepted) - positives) < MIN_POSITIVES:
        raise FitError(f"{positives} of {len(accepted)} accepted: {MIN_POSITIVES} of each are needed")
    if len(np.unique(groups)) < 2:
        raise FitError("all rows are of one group: nothing can be held out")
    problems = [
        *(f"fact `{name}` is infinite" for k, name in enumerate(facts) if np.isinf(x[:, k]).any()),
        *(f"fact `{name}` is known for nobody" for k, name in enumerate(facts) if np.isnan(x[:, k]).all()),
    ]
    if problems:
        raise FitError("; ".join(problems))


def _scaling(values: F64, logarithmic: bool) -> F64:  # noqa: FBT001  (a property of the fact)
    """Give a fact's row of the table, coefficients still 0."""
    known = values[~np.isnan(values)]
    fact = np.zeros(len(TABLE_COLUMNS))
    fact[SCALE] = 1.0
    fact[LOG_UNIT] = float(np.abs(known).mean()) if logarithmic else 0.0
    unit = fact[LOG_UNIT]
    moved = np.sign(known) * np.log1p(np.abs(known) / unit) if unit > 0 else known
    fact[MEAN] = moved.mean()
    fact[SCALE] = moved.std() if moved.std() > 1e-12 * max(1.0, abs(fact[MEAN])) else 1.0
    fact[FILL] = np.median(known)
    return fact


@kernel
def _standardised(x: F64, table: F64) -> F64:
    """Standardise (n, k) values as scoring does, fills in place of what is missing."""
    out = np.empty_like(x)
    for i in range(x.shape[0]):
        for k in range(x.shape[1]):
            value = table[k, FILL] if np.isnan(x[i, k]) else x[i, k]
            out[i, k] = standardise(value, table[k])
    return out


def _folds(groups: I64) -> list[Bools]:
    """Split whole groups into parts of about equal size, largest first; each a mask of rows."""
    names, sizes = np.unique(groups, return_counts=True)
    fold_sizes = np.zeros(min(FOLDS, len(names)))
    fold_of = np.empty(len(names), np.int64)
    for g in np.argsort(-sizes, kind="stable"):
        fold_of[g] = np.argmin(fold_sizes)
        fold_sizes[fold_of[g]] += sizes[g]
    row_fold = fold_of[np.searchsorted(names, groups)]
    return [row_fold == fold for fold in range(len(fold_sizes))]


def _regress(x: F64, y: F64, strength: float) -> _Line:
    regression = cast("Callable[..., _Logistic]", LogisticRegression)
    model = regression(C=strength, max_iter=MOST_STEPS)
    with warnings.catch_warnings():
        # scikit-learn only warns, and gives the last step as if it were a fit.
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            model.fit(x, y)
        except ConvergenceWarning:
            raise FitError(
                f"no convergence within {MOST_STEPS} steps; leave out facts that say nearly the same"
            ) from None
    return _Line(model.coef_[0], float(model.intercept_[0]))


def _out_of_fold(x: F64, y: F64, folds: Sequence[Bools], strength: float) -> F64:
    """Log-odds of each row by a model that has not seen its group; NaN where none could be fitted."""
    odds = np.full(len(y), np.nan)
    for held in folds:
        if 0 < y[~held].sum() < (~held).sum():
            odds[held] = _regress(x[~held], y[~held], strength)(x[held])
    return odds


def _held_out_loss(x: F64, y: F64, folds: Sequence[Bools], strength: float) -> float:
    odds = _out_of_fold(x, y, folds, strength)
    return float(np.nansum(np.logaddexp(0.0, np.where(y == 1.0, -odds, odds))))


def _platt(x: F64, y: F64, folds: Sequence[Bools], strength: float) -> tuple[float, float, list[str]]:
    """Fit slope and offset of the calibration on out-of-fold log-odds."""
    odds = _out_of_fold(x, y, folds, strength)
    known = ~np.isnan(odds)
    if not 0 < y[known].sum() < known.sum():
        return 1.0, 0.0, ["too few acceptances to calibrate: taken as fitted"]
    line = _regress(odds[known, None], y[known], 1e6)
    slope = float(line.coefficients[0])
    if slope <= 0.0:
        return 1.0, 0.0, ["the ranking does not hold on held-out groups: not calibrated"]
    return slope, line.intercept, []
