"""Overdue: survival of the gap, due-by and the count's tails against exact sums."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import overdue as naive

from nextbest.behaviour import overdue

VECTORS = {v["name"]: v for v in json.loads((Path(__file__).parents[1] / "vectors.json").read_text())}

rhythms = st.tuples(st.integers(0, 400), st.floats(0.01, 300)).map(
    lambda h: (float(h[0]), h[1] if h[0] else 0.0)
)
models = st.tuples(st.floats(0.01, 20), st.floats(0.1, 100))
IMPOSSIBLE = [(-1, 3), (2, -1), (0, 3), (2, 0), (math.nan, 3), (2, math.nan), (math.inf, 3), (2, math.inf)]


def test_survival_and_due_by_give_the_vector():
    """S(4), S(8) and g_.95 are those of `overdue`."""
    v = VECTORS["overdue"]
    x, t_x, r, alpha = (float(v["in"][k]) for k in ("x", "t_x", "r", "alpha"))
    gaps = np.array(v["in"]["gap"], dtype=np.float64)
    survival = overdue.gap_survival_rows(np.full(2, x), np.full(2, t_x), gaps, r, alpha)
    assert survival.tolist() == pytest.approx(v["out"]["S"], rel=1e-9)
    due = overdue.gap_quantile_rows(np.array([x]), np.array([t_x]), 0.95, r, alpha)
    assert due[0] == pytest.approx(v["out"]["g_.95"], rel=1e-9)


@settings(max_examples=100, deadline=None)
@given(rhythms, models, st.floats(0, 500), st.floats(0, 0.999))
def test_survival_and_due_by_equal_the_oracle(rhythm, model, gap, q):
    """S(g) and g_q agree with 40 digits."""
    exact = float(naive.gap_survival(*rhythm, gap, *model))
    assert overdue.gap_survival(*rhythm, gap, *model) == pytest.approx(exact, rel=1e-12, abs=1e-300)
    due = float(naive.gap_quantile(*rhythm, q, *model))
    assert overdue.gap_quantile(*rhythm, q, *model) == pytest.approx(due, rel=1e-12, nan_ok=True)


@settings(max_examples=100, deadline=None)
@given(rhythms, models, st.floats(0.01, 0.99))
def test_due_by_is_the_inverse_of_survival(rhythm, model, q):
    """The next purchase comes within g_q with probability q."""
    due = overdue.gap_quantile(*rhythm, q, *model)
    if not math.isnan(due):
        assert overdue.gap_survival(*rhythm, due, *model) == pytest.approx(1 - q, rel=1e-9)


@settings(max_examples=80, deadline=None)
@given(rhythms, models, st.integers(0, 120).map(float), st.floats(0.01, 200))
def test_count_tails_equal_the_sum_of_probabilities(rhythm, model, count, window):
    """Both tails agree with exact sums, small ones relatively."""
    columns = [np.array([v]) for v in (*rhythm, count, window)]
    few = float(naive.count_at_most(*rhythm, count, window, *model))
    many = float(naive.count_at_least(*rhythm, count, window, *model))
    assert overdue.count_at_most_rows(*columns, *model)[0] == pytest.approx(few, rel=1e-9, abs=1e-250)
    assert overdue.count_at_least_rows(*columns, *model)[0] == pytest.approx(many, rel=1e-9, abs=1e-250)


@settings(max_examples=50, deadline=None)
@given(rhythms, models, st.floats(0, 200))
def test_no_purchase_in_a_window_is_an_open_gap(rhythm, model, window):
    """P(N ≤ 0) is the survival of a gap as long as the window."""
    survival = overdue.gap_survival(*rhythm, window, *model)
    assert overdue.count_at_most(*rhythm, 0.0, window, *model) == pytest.approx(
        survival, rel=1e-9, abs=1e-250
    )


@pytest.mark.parametrize("rhythm", IMPOSSIBLE)
def test_an_unknown_or_impossible_history_is_no_surprise(rhythm):
    """NaN, negative, infinite or contradicting x and t_x give NaN everywhere."""
    x, t_x = map(float, rhythm)
    assert math.isnan(overdue.gap_survival(x, t_x, 4.0, 0.3, 4.0))
    assert math.isnan(overdue.gap_quantile(x, t_x, 0.95, 0.3, 4.0))
    assert math.isnan(overdue.count_at_most(x, t_x, 1.0, 4.0, 0.3, 4.0))
    assert math.isnan(overdue.count_at_least(x, t_x, 1.0, 4.0, 0.3, 4.0))


@pytest.mark.parametrize("gap", [-1.0, math.nan])
def test_a_gap_that_is_none_is_no_surprise(gap):
    """A negative or unknown gap gives NaN; one of 0 is survived for sure, an endless one never."""
    assert math.isnan(overdue.gap_survival(8.0, 20.0, gap, 0.3, 4.0))
    assert overdue.gap_survival(8.0, 20.0, 0.0, 0.3, 4.0) == 1.0
    assert overdue.gap_survival(8.0, 20.0, math.inf, 0.3, 4.0) == 0.0


@pytest.mark.parametrize("q", [-0.1, 1.0, 1.5, math.nan])
def test_due_by_needs_a_probability_below_one(q):
    """A q outside [0, 1) gives NaN, and so does a due date beyond all numbers."""
    assert math.isnan(overdue.gap_quantile(8.0, 20.0, q, 0.3, 4.0))
    assert math.isnan(overdue.gap_quantile(0.0, 0.0, 0.99, 1e-4, 4.0))


@pytest.mark.parametrize(
    ("count", "window"), [(1.5, 4), (-1, 4), (math.nan, 4), (math.inf, 4), (1, -4), (1, math.nan)]
)
def test_a_count_that_is_none_has_no_tail(count, window):
    """A count that is no whole number, or a window below 0, gives NaN."""
    assert math.isnan(overdue.count_at_most(8.0, 20.0, float(count), float(window), 0.3, 4.0))
    assert math.isnan(overdue.count_at_least(8.0, 20.0, float(count), float(window), 0.3, 4.0))


def test_an_empty_window_holds_no_purchase():
    """In a window of 0 weeks P(N ≤ k) is 1 and P(N ≥ 1) is 0."""
    assert overdue.count_at_most(8.0, 20.0, 0.0, 0.0, 0.3, 4.0) == 1.0
    assert overdue.count_at_least(8.0, 20.0, 1.0, 0.0, 0.3, 4.0) == 0.0
    assert overdue.count_at_least(8.0, 20.0, 0.0, 0.0, 0.3, 4.0) == 1.0


def test_an_absurd_count_ends():
    """A count of 10^15 comes back, as a tail or as NaN, without looping over it."""
    tail = overdue.count_at_least(8.0, 20.0, 1e15, 4.0, 0.3, 4.0)
    assert math.isnan(tail) or 0.0 <= tail <= 1.0
