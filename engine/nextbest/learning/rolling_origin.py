"""Validation that respects time: a group is scored by a model of the groups that had ended before it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from nextbest.errors import FitError
from nextbest.learning.propensity import PropensityModel
from nextbest.learning.propensity_fit import fit_propensity
from nextbest.learning.validation import (
    BINS,
    Interval,
    Replicates,
    auc_within,
    calibration_error,
    captured,
)
from nextbest.model import F64, I64, Bools

TOP = 0.2
"""Share of a group of which it is told how many acceptances it holds."""
MOST_ORIGINS = 30
"""Latest groups that are tested; a fit is made for each."""
MOST_REPLICATES = 500
LEAST_REPLICATES = 20
CELLS = 10_000_000
"""Replicates × rows that are drawn at most."""
CELLS_AT_ONCE = 1_000_000
"""Of them while figures are computed: some 80 MB; one replicate at least."""
SEED = 20170626
SUSPICIOUS_AUC = 0.99
"""Whoever ranks this well has probably looked at the outcome."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """n contacts with what was known when they were made, and how they ended."""

    facts: tuple[str, ...]
    """Names of k facts."""
    x: F64
    """(n, k) facts as of the contact, NaN = missing."""
    accepted: F64
    """(n,) 1.0 accepted, 0.0 not."""
    groups: I64
    """(n,) index into `group_names`."""
    group_names: tuple[str, ...]
    at: F64
    """(n,) when the contact was made, epoch seconds."""
    known_at: F64
    """(n,) when its outcome was known, epoch seconds; not before `at`."""
    customers: I64
    """(n,) a number for each customer: the unit that is drawn for intervals."""

    def take(self, rows: Bools) -> "Labelled":
        """Some of the rows."""
        return Labelled(
            self.facts,
            self.x[rows],
            self.accepted[rows],
            self.groups[rows],
            self.group_names,
            self.at[rows],
            self.known_at[rows],
            self.customers[rows],
        )


@dataclass(frozen=True, slots=True)
class Validation:
    """How models of the past did on what came after; all figures are of groups none of them had seen."""

    groups: tuple[str, ...]
    """Groups tested, by their first contact."""
    skipped: Mapping[str, str]
    """Groups that were not, and why."""
    rows: int
    accepted: int
    auc_within: Interval
    """Within groups; .5 = no better than chance."""
    top: Interval
    """Share of acceptances in the best-scored `TOP` of each group; `TOP` = no better than chance."""
    calibration_error: Interval
    promised: F64
    """(bins,) mean probability in bins of equal mass, the least likely first."""
    came: F64
    """(bins,) share accepted in them."""
    warnings: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, object]:
        """The figures for JSON."""
        return {
            "groups": list(self.groups),
            "skipped": dict(self.skipped),
            "rows": self.rows,
            "accepted": self.accepted,
            "auc_within_group": self.auc_within.to_dict(),
            "accepted_in_top": {"share": TOP, **self.top.to_dict()},
            "calibration_error": self.calibration_error.to_dict(),
            "calibration": {"promised": self.promised.tolist(), "came": self.came.tolist()},
            "warnings": list(self.warnings),
        }


def fit_labelled(
    model_id: str,
    rows: Labelled,
    *,
    log_facts: tuple[str, ...],
    trained_on: Mapping[str, object] | None = None,
) -> PropensityModel:
    """Fit on all rows; see `fit_propensity`."""
    return fit_propensity(
        model_id,
        rows.facts,
        rows.x,
        rows.accepted,
        groups=rows.groups,
        log_facts=log_facts,
        trained_on=trained_on,
    )


def validate(rows: Labelled, fit: Callable[[Labelled], PropensityModel]) -> Validation:
    """Score each group by a model of the groups whose outcomes were all known before its first contact.

    Args:
        rows: n contacts.
        fit: fits a model; a `FitError` of it skips the groups that would have been scored by it.

    Raises:
        FitError: no group could be tested, so nobody knows what the model is worth.

    Source: dependencies, "How it is computed". Oracle: `tests.naive.rolling_origin.scores`.
    """
    scores, skipped = rolling_scores(rows, fit)
    tested = ~np.isnan(scores)
    if not tested.any():
        reasons = "; ".join(f"`{name}`: {reason}" for name, reason in list(skipped.items())[-3:])
        raise FitError(
            "no group could be scored by what was known before it, so the model cannot be checked:"
            f" {reasons}; give more groups that end before others begin"
        )
    return _figures(rows.take(tested), scores[tested], skipped)


def rolling_scores(
    rows: Labelled, fit: Callable[[Labelled], PropensityModel]
) -> tuple[F64, Mapping[str, str]]:
    """(n,) scores, NaN where the group is not tested; and these groups with why."""
    scores, skipped = np.full(len(rows.accepted), np.nan), dict[str, str]()
    starts, ends = _spans(rows)
    order = np.argsort(starts, kind="stable")
    models: dict[int, PropensityModel | str] = {}
    for place in range(len(order)):
        group = int(order[place])
        name = rows.group_names[group]
        if place < len(order) - MOST_ORIGINS:
            skipped[name] = f"only the latest {MOST_ORIGINS} groups are tested"
            continue
        before = ends < starts[group]
        # Groups end in one order, so how many had ended says which.
        ended = int(before.sum())
        if ended not in models:
            models[ended] = _fitted(rows.take(before[rows.groups]), ended, fit)
        model = models[ended]
        if isinstance(model, str):
            skipped[name] = model
        else:
            mask = rows.groups == group
            scores[mask] = model.score(rows.x[mask])
    return scores, skipped


def _spans(rows: Labelled) -> tuple[F64, F64]:
    """First contact and last outcome of each group."""
    starts, ends = np.full(len(rows.group_names), np.inf), np.full(len(rows.group_names), -np.inf)
    np.minimum.at(starts, rows.groups, rows.at)
    np.maximum.at(ends, rows.groups, rows.known_at)
    return starts, ends


def _fitted(past: Labelled, ended: int, fit: Callable[[Labelled], PropensityModel]) -> PropensityModel | str:
    if ended < 2:
        return f"{ended} groups had ended before it, 2 are needed"
    try:
        return fit(past)
    except FitError as error:
        return f"no model of the {ended} groups before it: {error}"


def _figures(rows: Labelled, scores: F64, skipped: Mapping[str, str]) -> Validation:
    count = min(max(CELLS // len(scores), LEAST_REPLICATES), MOST_REPLICATES)
    auc, top, error = map(Replicates.interval, _drawn(rows, scores, count))
    parts = [part for part in np.array_split(np.argsort(scores, kind="stable"), BINS) if len(part)]
    starts, _ = _spans(rows)
    tested = [int(group) for group in np.argsort(starts, kind="stable") if np.isfinite(starts[group])]
    return Validation(
        groups=tuple(rows.group_names[group] for group in tested),
        skipped=skipped,
        rows=len(scores),
        accepted=int(rows.accepted.sum()),
        auc_within=auc,
        top=top,
        calibration_error=error,
        promised=np.array([scores[part].mean() for part in parts]),
        came=np.array([rows.accepted[part].mean() for part in parts]),
        warnings=tuple(_warnings(auc)),
    )


def _drawn(rows: Labelled, scores: F64, count: int) -> F64:
    """(3, 1 + count) AUC, acceptances in the top and calibration error, some replicates at a time."""
    at_once = max(1, CELLS_AT_ONCE // len(scores))
    draws = Replicates.in_parts(rows.customers, replicates=count, seed=SEED, at_once=at_once)
    figures = [
        (
            auc_within(scores, rows.accepted, rows.groups, some),
            captured(scores, rows.accepted, rows.groups, some, share=TOP),
            calibration_error(scores, rows.accepted, some),
        )
        for some in draws
    ]
    return np.concatenate(figures, axis=1)


def _warnings(auc: Interval) -> list[str]:
    if np.isnan(auc.value):
        return ["no group that was tested has both acceptances and others: the ranking cannot be judged"]
    if auc.value >= SUSPICIOUS_AUC:
        return ["it ranks almost perfectly: is a fact written after the contact, and knows the outcome?"]
    if not auc.low > 0.5:
        return ["within groups it does not rank better than chance"]
    return []
