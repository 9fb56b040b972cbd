"""Calibration of lifetime value: kernels against closed forms, fits against populations drawn from them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive.ltv_calibration import frequency_class, frequency_probability

from nextbest.potential.bgnbd import expected_purchases
from nextbest.potential.ltv_calibration import (
    CLASSES,
    calibrate,
    class_names,
    class_width,
    classes_of,
    expected_after,
    expected_frequencies,
    expected_of_new,
    frequency_probabilities,
    hold_out,
)
from nextbest.potential.ltv_parameters import BgNbd, GammaGamma, LtvParameters

PARAMETERS = LtvParameters(
    bgnbd=BgNbd(0.8, 6.0, 0.6, 3.0),
    gamma_gamma=GammaGamma(6.0, 4.0, 15.0),
    margin=0.3,
    yearly_discount=0.1,
    step_weeks=4.0,
    steps=39,
    standard_errors={},
    log_likelihood=0.0,
    gamma_gamma_log_likelihood=0.0,
    penalised=False,
    n=1,
    n_repeat=1,
    frequency_top_quartile=0.1,
    warnings=(),
)


def probabilities(T: float, bgnbd: BgNbd, classes: int) -> np.ndarray:
    """All classes of one customer."""
    out = np.empty(classes)
    frequency_probabilities(T, *bgnbd.to_array(), out)
    return out


def population(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Purchase histories (x, t_x, T) as BG/NBD says, at the fit and as many weeks later again."""
    draw = np.random.default_rng(seed)
    p = PARAMETERS.bgnbd
    before, after = np.zeros((n, 3)), np.zeros((n, 3))
    for i in range(n):
        T, rate = draw.uniform(10, 40), draw.gamma(p.r, 1 / p.alpha)
        drop, time, times = draw.beta(p.a, p.b), 0.0, []
        while (time := time + draw.exponential(1 / rate)) <= 2 * T:
            times.append(time)
            if draw.random() < drop:
                break
        early = [t for t in times if t <= T]
        before[i] = len(early), early[-1] if early else 0.0, T
        after[i] = len(times), times[-1] if times else 0.0, 2 * T
    return before, after


@settings(max_examples=40, deadline=None)
@given(
    st.floats(0.5, 200),
    st.floats(0.05, 8),
    st.floats(0.5, 40),
    st.floats(0.02, 5),
    st.floats(0.1, 40),
)
def test_probabilities_equal_the_oracle(T: float, r: float, alpha: float, a: float, b: float) -> None:
    """The recurrence gives what the closed form gives, and all classes sum to 1."""
    found = probabilities(T, BgNbd(r, alpha, a, b), 8)
    expected = [frequency_probability(x, T, r, alpha, a, b) for x in (0, 1, 5)]
    assert found[[0, 1, 5]] == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert found.sum() == pytest.approx(1.0, abs=1e-12)
    assert (found >= 0).all()


def test_nobody_buys_again_in_no_time() -> None:
    """At T = 0 all customers have no repeat purchase."""
    assert probabilities(0.0, PARAMETERS.bgnbd, 4).tolist() == [1.0, 0.0, 0.0, 0.0]
    assert expected_of_new(np.array([0.0]), PARAMETERS.bgnbd.to_array()).tolist() == [0.0]


@pytest.mark.parametrize("width", [1, 2, 7])
def test_classes_equal_the_oracle(width: int) -> None:
    """Zero is a class of its own, the others span `width`, the last is open."""
    x = np.arange(0, 12 * width + 3, dtype=np.float64)
    assert classes_of(x, width).tolist() == [frequency_class(v, width, CLASSES) for v in x]
    assert len(class_names(width)) == CLASSES


def test_wide_classes_sum_narrow_ones() -> None:
    """A class of three holds what its three numbers of purchases hold."""
    T = np.array([5.0, 20.0, 60.0])
    wide = expected_frequencies(T, PARAMETERS.bgnbd.to_array(), CLASSES, 3)
    each = sum(probabilities(t, PARAMETERS.bgnbd, 3 * (CLASSES - 2) + 2) for t in T)
    assert wide[1] == pytest.approx(each[1:4].sum())
    assert wide[-1] == pytest.approx(each[-1])
    assert wide.sum() == pytest.approx(3.0)


def test_few_customers_are_above_all_classes() -> None:
    """Classes widen until at most a twentieth of the customers is in the open one."""
    x = np.arange(200, dtype=np.float64)
    assert (classes_of(x, class_width(x)) == CLASSES - 1).mean() < 0.15
    assert class_width(np.zeros(5)) == 1


def test_expected_purchases_of_a_new_customer_are_the_sum_over_frequencies() -> None:
    """E[X(T)] is Σ x·P(X(T) = x)."""
    T = np.array([12.0])
    each = probabilities(12.0, PARAMETERS.bgnbd, 400)
    found = expected_of_new(T, PARAMETERS.bgnbd.to_array())[0]
    assert found == pytest.approx((np.arange(400) * each).sum(), rel=1e-9)


def test_each_customer_is_asked_for_their_own_weeks() -> None:
    """The hold-out of two customers may be of different length; no time, no purchases."""
    x, t_x, T = np.array([3.0, 3.0, 3.0]), np.array([9.0] * 3), np.array([10.0] * 3)
    found = expected_after(x, t_x, T, np.array([4.0, 8.0, 0.0]), PARAMETERS.bgnbd.to_array())
    assert found[0] == expected_purchases(3.0, 9.0, 10.0, 4.0, *PARAMETERS.bgnbd.to_array())
    assert found[1] > found[0] > found[2] == 0.0


def test_a_right_fit_is_calibrated_in_and_out_of_sample() -> None:
    """On customers drawn from the model, expected and observed differ by chance only."""
    before, after = population(4000, seed=5)
    found = calibrate(before[:, 0], before[:, 2], np.full(len(before), 30.0), PARAMETERS)
    error = np.abs(found.customers - found.expected_customers)
    assert (error <= 4 * np.sqrt(found.expected_customers) + 1).all()
    assert found.purchases == pytest.approx(found.expected_purchases, rel=0.25)
    held = hold_out(before, after, PARAMETERS)
    assert held.total == pytest.approx(held.expected_total, rel=0.06)
    assert held.correlation > 0.5
    assert held.customers.sum() == 4000


def test_a_wrong_fit_shows() -> None:
    """On customers who buy twice as often as fitted, far more is observed than expected."""
    before, after = population(1000, seed=6)
    before[:, 0], after[:, 0] = 2 * before[:, 0], 2 * after[:, 0]
    slow = hold_out(before * [0.5, 1, 1], after, PARAMETERS)
    assert slow.total > 1.5 * slow.expected_total


def test_spend_is_compared_where_it_is_known() -> None:
    """Customers without a repeat purchase or a known value tell nothing of spend."""
    x, zbar = np.array([0.0, 1.0, 1.0, 2.0]), np.array([math.nan, 40.0, math.nan, 20.0])
    found = calibrate(x, np.full(4, 9.0), zbar, PARAMETERS)
    assert found.spend[1:3].tolist() == [40.0, 20.0]
    assert math.isnan(found.spend[0])
    assert found.expected_spend[1] == pytest.approx(6.0 * 15.0 / 3.0)
