"""Validation that respects time."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import backtest as naive_figures
from tests.naive import rolling_origin as naive

from nextbest.errors import FitError
from nextbest.learning import rolling_origin
from nextbest.learning.propensity import PropensityModel
from nextbest.learning.propensity_fit import fit_propensity
from nextbest.learning.rolling_origin import (
    MOST_ORIGINS,
    TOP,
    Labelled,
    fit_labelled,
    rolling_scores,
    validate,
)
from nextbest.learning.validation import Replicates


def labelled(rows, x=None, accepted=None):
    """Contacts from (group, time, known) triples; one fact, x."""
    names = sorted({name for name, _, _ in rows})
    n = len(rows)
    return Labelled(
        facts=("a",),
        x=np.arange(n, dtype=float)[:, None] if x is None else x,
        accepted=np.zeros(n) if accepted is None else accepted,
        groups=np.array([names.index(name) for name, _, _ in rows]),
        group_names=tuple(names),
        at=np.array([at for _, at, _ in rows], float),
        known_at=np.array([known for _, _, known in rows], float),
        customers=np.arange(n),
    )


def constant(intercept):
    """A model that gives everybody the same probability."""
    return PropensityModel("m", (), np.empty((0, 6)), np.array([intercept, 1.0, 0.0]))


def world(n_groups=8, per_group=150, seed=3):
    """Groups one after the other; a helps, groups differ in what they offer."""
    rng = np.random.default_rng(seed)
    n = n_groups * per_group
    groups = np.repeat(np.arange(n_groups), per_group)
    x = rng.normal(0, 1, (n, 1))
    odds = -1.5 + 1.2 * x[:, 0] + 0.3 * (groups % 2)
    accepted = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(float)
    rows = [(f"g{g}", 10.0 * g, 10.0 * g + 9.0) for g in groups]
    return labelled(rows, x, accepted)


spans = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(0, 20), st.integers(0, 10)), min_size=1, max_size=20
).map(lambda rows: [(name, at, at + long) for name, at, long in rows])


@given(spans)
@settings(max_examples=100, deadline=None)
def test_no_group_is_scored_from_anything_that_was_not_known_before_it(rows):
    """Each group is scored by a fit on exactly the rows that counting pairs says are past, or not at all."""
    seen = {}

    def fit(past):
        score = -1.0 - len(seen)
        seen[score] = sorted(int(i) for i in past.x[:, 0])
        return replace(constant(score), facts=("a",), table=np.array([[0.0, 0.0, 1.0, 0.0, 0.0, 0.0]]))

    scores, skipped = rolling_scores(labelled(rows), fit)
    for i, (group, _, _) in enumerate(rows):
        expected = naive.past(rows, group)
        if len({rows[j][0] for j in expected}) < 2:
            assert np.isnan(scores[i])
            assert group in skipped
        else:
            odds = round(float(np.log(scores[i] / (1 - scores[i]))), 6)
            assert seen[odds] == expected


def test_figures_are_those_of_plain_counting():
    """AUC within groups, share in the top fifth and calibration error equal the naive ones."""
    rows = world()
    found = validate(rows, lambda past: fit_labelled("m", past, log_facts=()))
    scores, _ = rolling_scores(rows, lambda past: fit_labelled("m", past, log_facts=()))
    tested = ~np.isnan(scores)
    parts = scores[tested].tolist(), rows.accepted[tested].tolist(), rows.groups[tested].tolist()
    weights = [1.0] * int(tested.sum())
    assert found.auc_within.value == pytest.approx(naive_figures.auc_within(*parts, weights))
    assert found.top.value == pytest.approx(naive_figures.captured(*parts, weights, TOP))
    error = naive_figures.calibration_error(parts[0], parts[1], weights)
    assert found.calibration_error.value == pytest.approx(error)
    assert found.auc_within.low < found.auc_within.value < found.auc_within.high
    assert found.groups == tuple(f"g{i}" for i in range(2, 8))
    assert found.warnings == ()


def test_a_fact_that_knows_the_outcome_is_suspected():
    """Ranking that is too good to be true carries a warning."""
    rows = world()
    leaked = replace(rows, x=rows.accepted[:, None] + 0.01 * rows.x)
    found = validate(leaked, lambda past: fit_labelled("m", past, log_facts=()))
    assert "knows the outcome" in found.warnings[0]


def test_a_fact_without_meaning_is_said_to_be_no_better_than_chance():
    """Noise is fitted, but the report warns that it does not rank."""
    rows = world()
    noise = replace(rows, x=np.random.default_rng(5).normal(0, 1, rows.x.shape))
    found = validate(noise, lambda past: fit_labelled("m", past, log_facts=()))
    assert "better than chance" in found.warnings[0]


def test_groups_at_the_same_time_cannot_check_each_other():
    """Without a group that ended before another began there is no check, so the fit is refused."""
    rows = world()
    together = replace(rows, at=np.zeros(len(rows.at)), known_at=np.ones(len(rows.at)))
    with pytest.raises(FitError, match=r"cannot be checked.*2 are needed"):
        validate(together, lambda past: fit_labelled("m", past, log_facts=()))


def test_only_the_latest_groups_are_tested():
    """The cost of validation is bounded, and what was left out is said."""
    rows = labelled([(f"{i:03}", 10.0 * i, 10.0 * i) for i in range(MOST_ORIGINS + 5)])
    scores, skipped = rolling_scores(
        rows, lambda _: replace(constant(0.0), facts=("a",), table=np.array([[0.0, 0.0, 1.0, 0.0, 0.0, 0.0]]))
    )
    assert np.isnan(scores).sum() == 5
    assert set(skipped) == {f"{i:03}" for i in range(5)}


def test_fit_that_does_not_converge_is_an_error(monkeypatch):
    """The optimiser's last step is never passed off as a fit."""
    monkeypatch.setattr("nextbest.learning.propensity_fit.MOST_STEPS", 1)
    rows = world()
    with pytest.raises(FitError, match="no convergence within 1 steps"):
        fit_propensity("m", ("a",), rows.x, rows.accepted, groups=rows.groups)


def test_figures_are_the_same_however_many_replicates_are_drawn_at_once():
    """Drawing replicates in parts, to keep memory small, changes no figure."""
    households = np.random.default_rng(3).integers(0, 40, 200)
    whole = Replicates.of_households(households, replicates=25, seed=4).weights
    for at_once in (1, 2, 7, 26, 100):
        parts = list(Replicates.in_parts(households, replicates=25, seed=4, at_once=at_once))
        assert max(len(part.weights) for part in parts) <= at_once
        assert np.array_equal(np.concatenate([part.weights for part in parts]), whole)


def test_a_validation_is_the_same_in_little_memory(monkeypatch):
    """Intervals do not depend on how many replicates are in memory at once."""
    draw = np.random.default_rng(8)
    rows = [(f"g{k}", 10.0 * k, 10.0 * k + 5) for k in range(5) for _ in range(60)]
    x = draw.normal(size=(len(rows), 1))
    one = labelled(rows, x, (draw.random(len(rows)) < 1 / (1 + np.exp(-x[:, 0]))).astype(float))
    found = []
    for cells in (1, 1000, rolling_origin.CELLS_AT_ONCE):
        monkeypatch.setattr(rolling_origin, "CELLS_AT_ONCE", cells)
        found.append(validate(one, lambda past: fit_labelled("m", past, log_facts=())).to_dict())
    assert found[0] == found[1] == found[2]
