import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import propensity as naive

from nextbest.errors import ArtifactError, FitError
from nextbest.learning.propensity import LIMIT, PropensityModel, score_propensity
from nextbest.learning.propensity_fit import _standardised, fit_propensity

ODD = (np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, 1e308, -1e308)
"""Values a row can hold when something upstream went wrong."""

values = st.one_of(st.sampled_from(ODD), st.floats(-1e6, 1e6))
table_row = st.tuples(
    st.sampled_from((0.0, 1e-3, 2.0, 1e9)),
    st.floats(-100, 100),
    st.floats(1e-3, 1e3),
    st.floats(-3, 3),
    st.floats(-100, 100),
    st.floats(-3, 3),
)


def _model(**changes):
    fields = {
        "id": "m",
        "facts": ("a", "b"),
        "table": np.array([[0.0, 1.0, 2.0, 0.5, 1.5, 0.25], [2.0, 0.3, 0.7, -1.0, 4.0, 0.0]]),
        "constants": np.array([-1.0, 0.9, 0.1]),
        "trained_on": {"rows": 3},
    }
    return PropensityModel(**{**fields, **changes})


@given(
    rows=st.lists(st.tuples(values, values, values), min_size=1, max_size=5),
    table=st.lists(table_row, min_size=0, max_size=4),
    constants=st.tuples(st.floats(-5, 5), st.floats(0, 3), st.floats(-5, 5)),
    data=st.data(),
)
@settings(max_examples=100, deadline=None)
def test_kernel_scores_as_the_naive_sum_does(rows, table, constants, data):
    """Every row, missing, infinite, denormal or plain, gets the naive score, in [0, 1] and never NaN."""
    columns = data.draw(st.lists(st.integers(-1, 2), min_size=len(table), max_size=len(table)))
    packed = np.array(table, np.float64).reshape(len(table), 6)
    scores = score_propensity(
        np.array(rows, np.float64), np.array(columns, np.int64), packed, np.array(constants)
    )
    expected = naive.score(rows, columns, table, constants)
    assert scores == pytest.approx(expected, rel=1e-11, abs=1e-14)
    assert ((scores >= 0) & (scores <= 1)).all()


@given(
    rows=st.lists(st.tuples(values, values), min_size=1, max_size=5),
    table=st.lists(table_row, min_size=2, max_size=2),
)
@settings(max_examples=100, deadline=None)
def test_the_fit_sees_facts_as_scoring_does(rows, table):
    """The design matrix holds what the naive scaling makes of each value, the fill where it is missing."""
    found = _standardised(np.array(rows, np.float64), np.array(table, np.float64))
    expected = [
        [
            naive.standardise(fact[4] if math.isnan(value) else value, *fact[:3])
            for value, fact in zip(row, table, strict=True)
        ]
        for row in rows
    ]
    for one, other in zip(found.tolist(), expected, strict=True):
        assert one == pytest.approx(other, rel=1e-11, abs=1e-14)


def test_kernel_reads_read_only_arrays():
    """Rows straight from a stored buffer, which cannot be written, are scored like others."""
    numbers = np.array([[1.0, 2.0], [np.nan, 3.0]])
    frozen = np.frombuffer(numbers.tobytes()).reshape(2, 2)
    assert not frozen.flags.writeable
    assert _model().score(frozen).tolist() == _model().score(numbers).tolist()


def test_extreme_log_odds_do_not_overflow():
    """A score saturates at 0 and 1, without a warning."""
    for intercept, expected in ((-1e6, 0.0), (1e6, 1.0)):
        model = _model(constants=np.array([intercept, 1.0, 0.0]))
        assert model.score(np.array([[0.0, 0.0]]))[0] == expected


def test_one_absurd_value_does_not_decide_alone():
    """A fact counts for at most ten standard deviations."""
    model = _model()
    far, farther = model.score(np.array([[1e3, 4.0], [1e30, 4.0]]))
    assert far == farther
    assert LIMIT == naive.LIMIT


def test_model_survives_its_json():
    """What is read back scores bit for bit as what was written."""
    model = _model()
    again = PropensityModel.from_dict(json.loads(model.to_json()))
    rows = np.array([[0.1, 7.0], [np.nan, np.nan]])
    assert again.score(rows).tolist() == model.score(rows).tolist()
    assert again.to_json() == model.to_json()
    assert again.trained_on == {"rows": 3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format `2`"),
        ({"facts": [{"name": "a"}]}, "damaged"),
        ({"intercept": "high"}, "damaged"),
        ({"intercept": True}, "damaged"),
        ({"calibration_slope": -1.0}, "reverses the ranking"),
        ({"calibration_offset": math.inf}, "not finite"),
    ],
)
def test_damaged_artifact_is_refused(change, message):
    """A document that makes no model is an artifact error that says why."""
    with pytest.raises(ArtifactError, match=message):
        PropensityModel.from_dict({**_model().to_dict(), **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"facts": ("a",)}, "do not fit"),
        ({"facts": ("a", "a")}, "twice"),
        ({"table": np.zeros((2, 6))}, "scale"),
        ({"table": np.full((2, 6), np.nan)}, "not finite"),
    ],
)
def test_inconsistent_model_cannot_be_made(change, message):
    """Arrays that do not fit the facts, and figures that are none, are refused at once."""
    with pytest.raises(ArtifactError, match=message):
        _model(**change)


def test_columns_are_resolved_by_name():
    """The model finds its facts wherever a catalogue has put them."""
    assert _model().columns({"b": 4, "x": 1, "a": 9}).tolist() == [9, 4]


def test_facts_the_catalogue_lacks_are_all_named():
    """An unknown fact is an error naming model and facts, not a silent missing value."""
    with pytest.raises(ArtifactError, match="`m` reads `a`, `b`"):
        _model().columns({"x": 0, "b": -1})


@given(a=st.floats(-50, 50), b=values)
@settings(max_examples=50, deadline=None)
def test_binding_a_fact_changes_no_score(a, b):
    """A model with a fact bound gives what the whole model gives at that value."""
    model = _model()
    bound = model.bind("bound", {"a": a})
    assert bound.facts == ("b",)
    assert bound.score(np.array([[b]])) == pytest.approx(model.score(np.array([[a, b]])), rel=1e-12)
    assert bound.trained_on["bound"] == {"a": a}


def test_binding_an_unknown_fact_is_refused():
    """A misspelt constant is an error, or every score would be silently wrong."""
    with pytest.raises(ArtifactError, match="no fact `c`"):
        _model().bind("bound", {"c": 1.0})


def _world(seed=7, n=4000):
    """Rows whose truth is known: a helps, b (skew) hurts, c is noise, missing a means less."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(3, 2, n), rng.lognormal(1, 1, n), rng.normal(0, 1, n)])
    gone = rng.random(n) < 0.3
    odds = -1.0 + 0.8 * (x[:, 0] - 3) * ~gone - 1.5 * gone - 0.9 * np.log1p(x[:, 1])
    y = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(float)
    x[gone, 0] = np.nan
    return x, y, rng.integers(0, 6, n)


def test_fit_finds_what_the_data_hold():
    """Coefficients have the truth's signs, noise has almost none, missing has its own effect."""
    x, y, groups = _world()
    model = fit_propensity("m", ("a", "b", "c"), x, y, groups=groups, log_facts=["b"])
    a, b, c = model.table[:, 3]
    assert a > 0.8
    assert b < -0.4
    assert abs(c) < 0.15
    assert model.table[0, 5] < -0.5
    assert model.table[1:, 5].tolist() == [0.0, 0.0]


def test_fit_is_calibrated_on_rows_it_has_not_seen():
    """Mean probability of fresh rows is their rate of acceptance, in each fifth too."""
    x, y, groups = _world()
    model = fit_propensity("m", ("a", "b", "c"), x, y, groups=groups, log_facts=["b"])
    fresh_x, fresh_y, _ = _world(seed=8)
    p = model.score(fresh_x)
    for part in np.array_split(np.argsort(p), 5):
        assert p[part].mean() == pytest.approx(fresh_y[part].mean(), abs=0.04)


def test_fit_is_deterministic():
    """The same data give the same artifact, byte for byte."""
    x, y, groups = _world(n=800)
    first, second = (fit_propensity("m", ("a", "b", "c"), x, y, groups=groups) for _ in range(2))
    assert first.to_json() == second.to_json()


def test_fit_records_what_it_was_trained_on():
    """Rows, acceptances, groups and strength of the penalty stay with the model."""
    x, y, groups = _world(n=800)
    trained = fit_propensity("m", ("a", "b", "c"), x, y, groups=groups, trained_on={"note": "n"}).trained_on
    assert (trained["rows"], trained["accepted"], trained["note"]) == (800, int(y.sum()), "n")
    assert trained["groups"] == sorted(set(groups.tolist()))
    assert trained["warnings"] == []


def test_constant_fact_is_harmless():
    """A fact that never varies gets no weight and breaks no scale."""
    x, y, groups = _world(n=800)
    model = fit_propensity("m", ("k", "b"), np.column_stack([np.full(800, 5.0), x[:, 1]]), y, groups=groups)
    assert model.table[0, 3] == pytest.approx(0.0, abs=1e-9)


def test_groups_that_disagree_leave_the_model_uncalibrated_and_say_so():
    """When the ranking reverses on held-out groups, the model carries a warning."""
    x = np.tile(np.linspace(-1, 1, 40), 2)[:, None]
    up = (x[:40, 0] > 0).astype(float)
    model = fit_propensity("m", ("a",), x, np.r_[up, 1 - up], groups=np.repeat([0, 1], 40))
    assert model.constants[1:].tolist() == [1.0, 0.0]
    assert "does not hold" in model.trained_on["warnings"][0]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x, y, g: (x, y * 0, g), "0 of 60 accepted"),
        (lambda x, y, g: (x, y, g * 0), "one group"),
        (lambda x, y, g: (x, y + 0.5, g), "neither 0 nor 1"),
        (lambda x, y, g: (x[:, :1], y, g), "do not fit 2 names"),
        (lambda x, y, g: (np.where(x > 1, np.inf, x), y, g), "`a` is infinite"),
        (lambda x, y, g: (np.column_stack([x[:, 0], np.full(60, np.nan)]), y, g), "`b` is known for nobody"),
    ],
)
def test_data_that_make_no_model_are_refused(spoil, message):
    """A fit that cannot be trusted is an error that says which fact or count is to blame."""
    rng = np.random.default_rng(1)
    x, y, groups = rng.normal(0, 1, (60, 2)), (np.arange(60) % 3 == 0) * 1.0, np.arange(60) % 4
    x[0, 0] = 2.0
    x, y, groups = spoil(x, y, groups)
    with pytest.raises(FitError, match=message):
        fit_propensity("m", ("a", "b"), x, y, groups=groups)
