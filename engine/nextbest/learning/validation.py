"""How well a score ranks those who accept: figures within groups, with household bootstrap intervals.

Pooled figures flatter: a score that only knows which campaign is the popular one ranks well over all
mailings and not at all within one. So rows are compared with rows of their own group only.
Ties count as in a random order among them. Every figure takes weights, and a bootstrap replicate is
nothing but weights: how often each household was drawn.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nextbest.model import F64, I64

BINS = 10
"""Bins of equal mass for the calibration error."""
LEVEL = 0.95
"""Share of replicates inside an interval."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, and the percentile bounds of its bootstrap replicates; NaN = not defined."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float | None]:
        """The figure for JSON; what is not defined is null."""
        values = {"value": self.value, "low": self.low, "high": self.high}
        return {name: None if np.isnan(value) else value for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Replicates:
    """Weights of rows: the first of all rows once, the others of households drawn with replacement."""

    weights: F64
    """(1 + replicates, n) how often each row counts."""

    @classmethod
    def of_households(cls, households: I64, *, replicates: int, seed: int) -> "Replicates":
        """Draw whole households, since the rows of one are no independent evidence.

        Args:
            households: (n,) household of each row.
            replicates: how many draws; 0 gives values without intervals.
            seed: seed of the draws.
        """
        return next(cls.in_parts(households, replicates=replicates, seed=seed, at_once=replicates + 1))

    @classmethod
    def in_parts(cls, households: I64, *, replicates: int, seed: int, at_once: int) -> Iterator["Replicates"]:
        """The same weights some at a time, of which the first are of all rows once.

        Args:
            households: (n,) household of each row.
            replicates: how many draws.
            seed: seed of the draws.
            at_once: draws of a part at most, at least 1; the figures are the same with any number.
        """
        names, member = np.unique(households, return_inverse=True)
        rng, chances = np.random.default_rng(seed), np.full(len(names), 1 / len(names))
        part = np.ones((1, len(names)))
        for start in range(0, replicates + 1, at_once):
            drawn = min(at_once, replicates + 1 - start) - len(part)
            counts = rng.multinomial(len(names), chances, size=drawn).astype(np.float64)
            yield cls(np.vstack([part, counts])[:, member])
            part = np.empty((0, len(names)))

    def take(self, rows: npt.NDArray[np.bool_]) -> "Replicates":
        """Keep the weights of some rows."""
        return Replicates(self.weights[:, rows])

    @staticmethod
    def interval(figures: F64) -> Interval:
        """Summarise (1 + replicates,) figures; replicates in which it is not defined are left out."""
        drawn = figures[1:][~np.isnan(figures[1:])]
        if not len(drawn):
            return Interval(float(figures[0]), np.nan, np.nan)
        low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
        return Interval(float(figures[0]), float(low), float(high))


@dataclass(frozen=True, slots=True)
class _Ranked:
    """Rows of one group from the best score down, summed over ties."""

    positives: F64
    """(replicates, ties) weight of acceptances."""
    negatives: F64
    """(replicates, ties) weight of the others."""


def _ranked(score: F64, accepted: F64, weights: F64) -> _Ranked:
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    first = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    positive = weights[:, order] * accepted[order]
    negative = weights[:, order] * (1.0 - accepted[order])
    return _Ranked(np.add.reduceat(positive, first, axis=1), np.add.reduceat(negative, first, axis=1))


def _groups(score: F64, accepted: F64, groups: I64, weights: F64) -> list[_Ranked]:
    if np.isnan(score).any():
        raise ValueError("a score is not a number: it cannot be ranked")
    masks = [groups == group for group in np.unique(groups)]
    return [_ranked(score[mask], accepted[mask], weights[:, mask]) for mask in masks]


def auc_within(score: F64, accepted: F64, groups: I64, replicates: Replicates) -> F64:
    """Give the share of pairs (accepted, not accepted) of one group that the score orders rightly.

    Groups weigh by their number of pairs.

    Args:
        score: (n,) higher = more likely; no NaN.
        accepted: (n,) 0.0 or 1.0.
        groups: (n,) such as the campaign; one group for all gives the pooled figure.
        replicates: weights of the n rows.

    Returns:
        (1 + replicates,) figures, NaN without a pair.

    Oracle: tests.naive.backtest.auc_within
    """
    right = np.zeros(len(replicates.weights))
    pairs = np.zeros(len(replicates.weights))
    for ranked in _groups(score, accepted, groups, replicates.weights):
        total = ranked.negatives.sum(axis=1, keepdims=True)
        below = total - np.cumsum(ranked.negatives, axis=1)
        right += (ranked.positives * (below + 0.5 * ranked.negatives)).sum(axis=1)
        pairs += ranked.positives.sum(axis=1) * total[:, 0]
    return _ratio(right, pairs)


def captured(score: F64, accepted: F64, groups: I64, replicates: Replicates, *, share: float) -> F64:
    """Give the share of all acceptances that lie in the best-scored share of their own group.

    Equal to the groups' shares averaged by their acceptances; divided by `share` it is the lift.
    The cut may fall inside a row or a tie, of which a part is counted.

    Args:
        score: (n,) higher = more likely; no NaN.
        accepted: (n,) 0.0 or 1.0.
        groups: (n,) such as the campaign.
        replicates: weights of the n rows.
        share: size of the top, in (0, 1].

    Returns:
        (1 + replicates,) figures, NaN without an acceptance.

    Oracle: tests.naive.backtest.captured
    """
    inside = np.zeros(len(replicates.weights))
    total = np.zeros(len(replicates.weights))
    for ranked in _groups(score, accepted, groups, replicates.weights):
        mass = ranked.positives + ranked.negatives
        room = share * mass.sum(axis=1, keepdims=True) - (np.cumsum(mass, axis=1) - mass)
        inside += (ranked.positives * np.clip(_ratio(room, mass), 0.0, 1.0)).sum(axis=1, where=mass > 0)
        total += ranked.positives.sum(axis=1)
    return _ratio(inside, total)


def calibration_error(probability: F64, accepted: F64, replicates: Replicates) -> F64:
    """Give the mean distance between what was promised and what came, over ten bins of equal mass.

    Rows are sorted by probability; a row lies in the bin of the middle of its own mass. Rows of equal
    probability share their rate of acceptance, so that their order does not matter.

    Args:
        probability: (n,) in [0, 1].
        accepted: (n,) 0.0 or 1.0.
        replicates: weights of the n rows.

    Returns:
        (1 + replicates,) figures, NaN without any weight.

    Oracle: tests.naive.backtest.calibration_error
    """
    ranked = _ranked(-probability, accepted, replicates.weights)
    order = np.argsort(probability, kind="stable")
    p, weights = probability[order], replicates.weights[:, order]
    tie = np.cumsum(np.r_[False, p[1:] != p[:-1]])
    came = np.nan_to_num(_ratio(ranked.positives, ranked.positives + ranked.negatives))[:, tie]
    total = weights.sum(axis=1, keepdims=True)
    middle = np.nan_to_num(_ratio(np.cumsum(weights, axis=1) - 0.5 * weights, total))
    bins = np.minimum((BINS * middle).astype(np.int64), BINS - 1)
    places = bins + BINS * np.arange(len(weights))[:, None]
    surplus = np.bincount(
        places.ravel(), (weights * (p - came)).ravel(), minlength=BINS * len(weights)
    ).reshape(len(weights), BINS)
    return _ratio(np.abs(surplus).sum(axis=1), total[:, 0])


def partial_correlation(x: F64, y: F64, controls: F64, replicates: Replicates) -> F64:
    """Correlate what is left of x and y after a linear regression of each on the controls.

    Args:
        x: (n,) no NaN.
        y: (n,) no NaN.
        controls: (n, k) no NaN; a constant is added.
        replicates: weights of the n rows.

    Returns:
        (1 + replicates,) correlations, NaN where the controls leave nothing of x or y.

    Oracle: tests.naive.backtest.partial_correlation
    """
    design = np.column_stack([np.ones(len(x)), controls])
    pair = np.column_stack([x, y])
    return np.array([_left_over_correlation(pair, design, np.sqrt(w)[:, None]) for w in replicates.weights])


def _left_over_correlation(pair: F64, design: F64, root_weights: F64) -> float:
    pair, design = pair * root_weights, design * root_weights
    rest = pair - design @ np.linalg.lstsq(design, pair, rcond=None)[0]
    spread = np.sqrt((rest**2).sum(axis=0))
    if (spread <= 1e-9 * np.sqrt((pair**2).sum(axis=0))).any():
        return float("nan")
    return float(rest[:, 0] @ rest[:, 1] / (spread[0] * spread[1]))


def _ratio(numerator: F64, denominator: F64) -> F64:
    out = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    np.divide(numerator, denominator, out=out, where=denominator > 0)
    return out
