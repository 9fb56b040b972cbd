"""Lifetime value: kernels against the published figures, 40-digit oracles and hostile input."""

import json
import math
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.naive import ltv as naive

from nextbest.errors import ArtifactError
from nextbest.potential import bgnbd, ltv
from nextbest.potential.ltv import LtvColumn
from nextbest.potential.ltv_parameters import BgNbd, GammaGamma, LtvParameters

VECTORS = {v["name"]: v for v in json.loads((Path(__file__).parents[1] / "vectors.json").read_text())}
CDNOW = (0.243, 4.414, 0.793, 2.426)
SPEND = (6.25, 3.74, 15.44)


def relative_error(value, exact):
    """|value − exact| / exact, in the oracle's precision."""
    return float(abs((mp.mpf(value) - exact) / exact))


def parameters(bgnbd_=CDNOW, spend=SPEND, d=0.1, step_weeks=4.0, steps=39):
    """The ten numbers that `ltv_rows` reads."""
    return np.array([*bgnbd_, *spend, d, step_weeks, float(steps)])


def one(x, t_x, T, zbar=20.0, margin=0.3, numbers=None):
    """Figures of one customer."""
    columns = [np.array([float(v)]) for v in (x, t_x, T, zbar, margin)]
    return ltv.ltv_rows(*columns, parameters() if numbers is None else numbers)[0]


# --- published and given figures -------------------------------------------------------------


def test_contract_closed_forms_give_the_vectors():
    """The closed forms of a contract give the figures of `ltv_closed`."""
    given_, out = VECTORS["ltv_closed"]["in"], VECTORS["ltv_closed"]["out"]
    m, r, d = given_["m"], given_["r"], given_["d"]
    assert ltv.contract_ltv(m, r, d) == pytest.approx(out["infinite"], rel=1e-9)
    assert ltv.contract_ltv_immediate(m, r, d) == pytest.approx(out["immediate"], rel=1e-9)
    assert ltv.contract_ltv_growth(m, r, d, 0.02) == pytest.approx(out["growth_0.02"], rel=1e-9)
    assert ltv.contract_ltv_horizon(m, r, d, 0.0, 5.0) == pytest.approx(out["horizon_5"], rel=1e-9)
    assert ltv.contract_ltv_horizon(m, r, d, 0.0, 1.0) == pytest.approx(out["horizon_1"], rel=1e-9)


def test_berger_nasr_gives_the_vector():
    """Case 1 of Berger & Nasr gives the figure of `ltv_berger_nasr`."""
    v = VECTORS["ltv_berger_nasr"]
    value = ltv.berger_nasr_ltv(*(v["in"][k] for k in ("GC", "M", "r", "d", "n")))
    assert value == pytest.approx(v["out"], abs=1e-5)


def test_expected_purchases_give_the_vectors():
    """E[Y] and P(alive) on CDNOW's parameters are those of `bgnbd_expected`."""
    v = VECTORS["bgnbd_expected"]
    for case, expected, alive in zip(v["in"]["cases"], v["out"]["E"], v["out"]["alive"], strict=True):
        x, t_x, T, t = (float(case[k]) for k in ("x", "t_x", "T", "t"))
        assert bgnbd.expected_purchases(x, t_x, T, t, *v["in"]["params"]) == pytest.approx(expected, rel=1e-9)
        assert bgnbd.alive_probability(x, t_x, T, *v["in"]["params"]) == pytest.approx(alive, rel=1e-9)


@pytest.mark.parametrize("name", ["bgnbd_a_equals_1", "bgnbd_large_b"])
def test_expected_purchases_hold_where_the_published_form_breaks(name):
    """E[Y] is right at a = 1, where the published form is 0/0, and at b = 10,000."""
    v = VECTORS[name]["in"]
    value = bgnbd.expected_purchases(*(float(v[k]) for k in ("x", "t_x", "T", "t")), *map(float, v["params"]))
    assert value == pytest.approx(VECTORS[name]["out"], rel=1e-9)


def test_spend_gives_the_vectors():
    """E[M] is that of `gamma_gamma`."""
    v = VECTORS["gamma_gamma"]
    for (x, zbar), spend in zip(v["in"]["x_zbar"], v["out"], strict=True):
        assert ltv.expected_spend(float(x), zbar, *v["in"]["params"]) == pytest.approx(spend, abs=5e-5)


def test_ltv_over_52_weekly_steps_gives_the_vector():
    """CDNOW's first customer is worth 10.80 over 52 weekly steps."""
    v = VECTORS["ltv_52_weeks"]["in"]
    numbers = parameters(v["bgnbd"], v["gamma_gamma"], v["d_year"], 1.0, v["weeks"])
    figures = one(2, 30.43, 38.86, 22.35, v["margin"], numbers)
    assert figures[LtvColumn.LTV] == pytest.approx(VECTORS["ltv_52_weeks"]["out"], rel=1e-8)


# --- accuracy --------------------------------------------------------------------------------


def random_case(rng, largest_b):
    """A customer and parameters, log-uniform over all that a fit can return and more."""
    r, a = 10 ** rng.uniform(-2, 1.3), 10 ** rng.uniform(-2, 1.5)
    b = 10 ** rng.uniform(-2, math.log10(largest_b))
    alpha, T = 10 ** rng.uniform(-1, 2), rng.uniform(0, 200)
    a = rng.choice([a, a, a, 1.0, 1.0 + 10 ** rng.uniform(-15, -3)])
    b = rng.choice([b, b, b, max(1.0 - a, 0.01)])
    x = float(rng.choice([0, 0, 1, 2, 7, 40, 300]))
    return x, 10 ** rng.uniform(-3, 2.5), T, r, alpha, a, b


@pytest.mark.parametrize(("largest_b", "bound"), [(1e3, 1e-12), (1e4, 1e-12)])
def test_expected_purchases_equal_40_digits(largest_b, bound):
    """E[Y] agrees with 40 digits to 1e-12, where 1e-10 is asked for b above 1,000."""
    rng = np.random.default_rng(int(largest_b))
    for _ in range(250):
        x, t, T, r, alpha, a, b = random_case(rng, largest_b)
        exact = naive.expected_if_alive(x, t, T, r, alpha, a, b)
        value = bgnbd.expected_if_alive(x, t / (alpha + T), r, a, b)
        assert relative_error(value, exact) <= bound, (x, t, T, r, alpha, a, b)


def test_nothing_cancels_however_large_b_is():
    """With b = 10,000 the narrow sum keeps 1e-13, where the wide one has lost four digits."""
    for x in (0.0, 1.0, 30.0):
        exact = naive.expected_if_alive(x, 39, 30, 0.2, 5.0, 0.5, 1e4)
        assert relative_error(bgnbd.expected_if_alive(x, 39 / 35, 0.2, 0.5, 1e4), exact) <= 1e-13


ADVERSARIAL = [
    pytest.param((0, 26, 30, 0.4, 5, 0.3, 0.7), id="C=0: x=0 and a+b=1"),
    pytest.param((0, 26, 30, 0.4, 5, 0.01, 0.02), id="C<0"),
    pytest.param((0, 26, 30, 0.001, 5, 0.01, 0.02), id="C near -1"),
    pytest.param((3, 26, 30, 0.5, 5, 1.0, 2.5), id="a=1"),
    pytest.param((3, 26, 30, 0.5, 5, 1.0 + 2**-52, 2.5), id="a=1+eps"),
    pytest.param((3, 26, 30, 0.5, 5, 1.0 - 2**-53, 2.5), id="a=1-eps"),
    pytest.param((0, 156, 0, 0.243, 4.414, 0.793, 2.426), id="T=0, three years"),
    pytest.param((0, 5200, 0, 0.243, 0.5, 0.793, 2.426), id="T=0, a century"),
    pytest.param((0, 1e6, 0, 0.243, 1e-3, 0.793, 2.426), id="T=0, for ever"),
    pytest.param((4, 26, 30, 50, 5, 0.3, 0.7), id="a+b far below r"),
    pytest.param((0, 156, 0, 9, 2, 0.05, 0.1), id="a+b far below r, T=0"),
    pytest.param((0, 156, 0, 200, 5, 0.3, 0.7), id="a+b so far below r that a series would explode, T=0"),
    pytest.param((1, 26, 30, 200, 5, 0.3, 0.7), id="a+b so far below r that a series would explode"),
    pytest.param((2, 50, 0.1, 0.06, 0.5, 30, 0.001), id="large a, tiny b"),
    pytest.param((2000, 52, 52, 0.5, 5, 0.1, 5), id="2,000 purchases"),
    pytest.param((1, 1e-9, 30, 0.5, 5, 0.5, 2.5), id="a minute's horizon"),
]


@pytest.mark.parametrize("case", ADVERSARIAL)
def test_expected_purchases_hold_on_adversarial_input(case):
    """E[Y] agrees with 40 digits to 1e-12 at every edge of its parameters."""
    x, t, T, r, alpha, a, b = map(float, case)
    exact = naive.expected_if_alive(x, t, T, r, alpha, a, b)
    assert relative_error(bgnbd.expected_if_alive(x, t / (alpha + T), r, a, b), exact) <= 1e-12


@pytest.mark.parametrize("case", ADVERSARIAL)
def test_all_steps_at_once_hold_on_adversarial_input(case):
    """Horizons that share their coefficients agree with 40 digits at every edge as well."""
    x, t, T, r, alpha, a, b = map(float, case)
    horizons = t * np.array([0.01, 0.3, 1.0])
    expected = np.empty(3)
    bgnbd.expected_at(x, alpha + T, horizons, r, a, b, expected, np.empty((3, 3)))
    for found, horizon in zip(expected, horizons, strict=True):
        exact = naive.expected_if_alive(x, horizon, T, r, alpha, a, b)
        assert relative_error(found, exact) <= 1e-12, horizon


def test_the_quadrature_takes_over_where_the_series_would_not_end():
    """All three sums agree where all three are exact."""
    for x, tau, r, a, b in [(0.0, 0.7, 0.3, 0.8, 2.4), (3.0, 4.0, 0.5, 1.0, 9.0), (9.0, 0.1, 2.0, 3.0, 40.0)]:
        wide = bgnbd._wide(x, tau, r, a, b)
        assert bgnbd._narrow(x, tau, r, a, b) == pytest.approx(wide, rel=1e-13)
        assert bgnbd._quadrature(x, tau, r, a, b) == pytest.approx(wide, rel=1e-13)


def test_the_oracle_is_the_mean_over_dropout():
    """The published formula, the oracle, equals the integral that the kernels' sums come from."""
    case = (3, 26, 30, 0.5, 5.0, 2.6, 2.5)
    assert relative_error(float(naive.expected_by_integral(*case)), naive.expected_if_alive(*case)) <= 1e-14


@pytest.mark.parametrize("b", [2.426, 500.0])
@pytest.mark.parametrize("T", [0.0, 0.01, 30.0, 400.0])
def test_all_steps_at_once_equal_each_alone(T, b):
    """Expectations at 39 horizons, which share their coefficients, are those of each horizon."""
    r, alpha, a, _ = CDNOW
    expected, scratch = np.empty(39), np.empty((3, 39))
    for x in (0.0, 1.0, 12.0):
        bgnbd.expected_at(x, alpha + T, 4.0 * np.arange(1, 40), r, a, b, expected, scratch)
        alone = [bgnbd.expected_if_alive(x, 4.0 * k / (alpha + T), r, a, b) for k in range(1, 40)]
        np.testing.assert_allclose(expected, alone, rtol=2e-13)


def test_all_steps_at_once_survive_a_rate_that_just_started():
    """With T = 0 and α near 0 the last horizons leave the series for the quadrature, and stay exact."""
    expected, scratch = np.empty(39), np.empty((3, 39))
    bgnbd.expected_at(0.0, 0.05, 4.0 * np.arange(1, 40), 0.3, 0.8, 2.4, expected, scratch)
    for k in (1, 2, 6, 7, 20, 39):
        exact = naive.expected_if_alive(0, 4 * k, 0, 0.3, 0.05, 0.8, 2.4)
        assert relative_error(expected[k - 1], exact) <= 1e-12, k


def test_ltv_equals_the_oracle_in_every_column():
    """Every figure of a customer agrees with the formulas written out term by term."""
    for x, t_x, T, zbar in [
        (2, 30.43, 38.86, 22.35),
        (0, 0, 12, math.nan),
        (40, 51.5, 52, 3.1),
        (1, 1, 52, 900),
    ]:
        figures = one(x, t_x, T, zbar, 0.27)
        discounted = naive.discounted_purchases(x, t_x, T, CDNOW, 0.1, 4.0, 39)
        year = naive.expected_purchases(x, t_x, T, 52, *CDNOW)
        value = naive.lifetime_value(x, t_x, T, zbar, 0.27, CDNOW, SPEND, 0.1, 4.0, 39)
        assert relative_error(figures[LtvColumn.ALIVE], naive.alive_probability(x, t_x, T, *CDNOW)) <= 1e-12
        assert relative_error(figures[LtvColumn.YEAR_PURCHASES], year) <= 1e-12
        assert relative_error(figures[LtvColumn.DISCOUNTED_PURCHASES], discounted) <= 1e-12
        assert relative_error(figures[LtvColumn.SPEND], naive.expected_spend(x, zbar, *SPEND)) <= 1e-12
        assert relative_error(figures[LtvColumn.LTV], value) <= 1e-12
        assert relative_error(figures[LtvColumn.MULTIPLIER], max(1, discounted / year)) <= 1e-12


# --- missing and impossible ------------------------------------------------------------------


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_an_unknown_history_gives_unknown_figures(missing):
    """NaN in x, t_x or T gives NaN in every figure, and a multiplier of 1."""
    history = [2.0, 30.0, 38.0]
    history[missing] = math.nan
    figures = one(*history)
    assert np.isnan(figures[: LtvColumn.MULTIPLIER]).all()
    assert figures[LtvColumn.MULTIPLIER] == 1.0


@pytest.mark.parametrize(
    "history",
    [(2, 40, 38), (-1, 3, 38), (2, -1, 38), (0, 3, 38), (2, 0, 38), (2, 30, math.inf), (math.inf, 30, 38)],
)
def test_an_impossible_history_gives_no_figure(history):
    """A triple outside 0 ≤ t_x ≤ T, x = 0 ⇔ t_x = 0 gives NaN, never a number."""
    assert np.isnan(one(*history)[: LtvColumn.MULTIPLIER]).all()
    columns = [np.array([float(v)]) for v in history]
    assert np.isnan(bgnbd.alive_rows(*columns, np.array(CDNOW))).all()
    assert np.isnan(bgnbd.expected_purchases_rows(*columns, 39.0, np.array(CDNOW))).all()


def test_an_unknown_value_leaves_the_purchases_known():
    """Without zbar or margin the lifetime value is NaN but P(alive) and the multiplier are not."""
    for figures in (one(2, 30, 38, zbar=math.nan), one(2, 30, 38, margin=math.nan)):
        assert math.isnan(figures[LtvColumn.LTV])
        assert figures[LtvColumn.ALIVE] > 0.5
        assert figures[LtvColumn.MULTIPLIER] >= 1.0


def test_a_first_time_buyer_needs_no_mean_value():
    """With x = 0 the mean value of repeat purchases is not read."""
    assert one(0, 0, 10, zbar=math.nan)[LtvColumn.LTV] == one(0, 0, 10, zbar=1e9)[LtvColumn.LTV]


def test_an_infinite_population_mean_is_unknown_spend():
    """With q ≤ 1 a customer without a repeat purchase has no expected spend; others have."""
    assert math.isnan(ltv.expected_spend(0.0, 0.0, 6.0, 1.0, 15.0))
    assert ltv.expected_spend(2.0, 10.0, 6.0, 0.9, 15.0) > 0


@pytest.mark.parametrize("t", [math.nan, -1.0, math.inf, 1e300])
def test_a_horizon_that_is_none_gives_no_expectation(t):
    """A horizon that is NaN, negative or endless gives NaN; one of 0 weeks gives 0."""
    assert math.isnan(bgnbd.expected_purchases(2.0, 30.0, 38.0, t, *CDNOW))
    assert bgnbd.expected_purchases(2.0, 30.0, 38.0, 0.0, *CDNOW) == 0.0


def test_a_purchase_today_is_no_special_case():
    """t_x = T gives b/(a+b) after the first repeat purchase, whatever the rate."""
    r, alpha, a, b = CDNOW
    assert bgnbd.alive_probability(1.0, 20.0, 20.0, r, alpha, a, b) == pytest.approx(b / (a + b), rel=1e-15)


def test_a_long_dead_customer_is_worth_nothing_without_an_overflow():
    """P(alive) underflows to 0 and so does the value."""
    figures = one(800, 40, 4000)
    assert figures[LtvColumn.ALIVE] == 0.0
    assert figures[LtvColumn.LTV] == 0.0
    assert figures[LtvColumn.MULTIPLIER] >= 1.0


def test_an_unknown_history_is_read_as_no_repeat_purchase_and_flagged():
    """The default of section 1 fills x and t_x only, flags x, and leaves a prospect unknown."""
    nan = math.nan
    x, t_x, assumed = ltv.rfm_or_default(
        np.array([nan, nan, 0.0, 3.0, 3.0]),
        np.array([5.0, nan, nan, nan, 2.0]),
        np.array([9.0, nan, 9.0, 9.0, 9.0]),
    )
    np.testing.assert_array_equal(x, [0, nan, 0, 3, 3])
    np.testing.assert_array_equal(t_x, [0, nan, 0, nan, 2])
    assert assumed.tolist() == [True, False, False, False, False]


def test_read_only_rows_are_accepted():
    """Snapshot columns are read-only; the kernels take them as they are."""
    columns = [np.array([v]) for v in (2.0, 30.0, 38.0, 20.0, 0.3)]
    for column in columns:
        column.flags.writeable = False
    assert ltv.ltv_rows(*columns, parameters())[0, LtvColumn.LTV] == one(2, 30, 38)[LtvColumn.LTV]


# --- properties ------------------------------------------------------------------------------

histories = st.tuples(st.integers(0, 60), st.floats(0, 1), st.floats(0.01, 300)).map(
    lambda h: (float(h[0]), max(h[1] * h[2], 1e-6) if h[0] else 0.0, h[2])
)
models = st.tuples(st.floats(0.05, 5), st.floats(0.2, 50), st.floats(0.05, 8), st.floats(0.05, 900))


@settings(max_examples=100, deadline=None)
@given(histories, models)
def test_alive_is_a_probability(history, model):
    """P(alive) lies in [0, 1] for every possible history."""
    assert 0.0 <= bgnbd.alive_probability(*history, *model) <= 1.0


@settings(max_examples=100, deadline=None)
@given(histories, models, st.floats(0.1, 100), st.floats(1.01, 3))
def test_a_longer_horizon_never_brings_fewer_purchases(history, model, t, longer):
    """E[Y] is positive and rises with t, but never beyond the purchases of one who cannot leave."""
    x, _, T = history
    r, alpha, a, b = model
    near = bgnbd.expected_if_alive(x, t / (alpha + T), r, a, b)
    far = bgnbd.expected_if_alive(x, t * longer / (alpha + T), r, a, b)
    assert 0.0 < near < far * (1 + 1e-12)
    assert far <= (r + x) * t * longer / (alpha + T) * (1 + 1e-12)


@settings(max_examples=60, deadline=None)
@given(histories, models, st.floats(0, 0.5))
def test_discounting_never_adds_value(history, model, d):
    """A higher discount rate never raises the value, and without one all purchases count in full."""
    full = one(*history, numbers=parameters(model, d=0.0))
    discounted = one(*history, numbers=parameters(model, d=d))
    assert discounted[LtvColumn.LTV] <= full[LtvColumn.LTV] * (1 + 1e-12)
    horizon = bgnbd.expected_purchases(*history, 156.0, *model)
    assert full[LtvColumn.DISCOUNTED_PURCHASES] == pytest.approx(horizon, rel=1e-12)


rates = st.floats(0, 0.99)


@settings(max_examples=100, deadline=None)
@given(rates, st.floats(0.001, 0.01), st.floats(0.01, 0.5), st.sampled_from([1.0, 3.0, math.inf]))
def test_contract_ltv_rises_with_retention(r, more, d, years):
    """LTV and the mean lifetime rise strictly with retention, over any horizon."""
    before, after = (ltv.contract_ltv_horizon(100.0, rate, d, 0.0, years) for rate in (r, r + more))
    assert before < after
    assert ltv.mean_lifetime_years(r) < ltv.mean_lifetime_years(min(r + more, 0.999))


@settings(max_examples=100, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.just(0.0) | st.floats(-0.9, 1), st.integers(0, 40))
@example(r=1.0, d=1e-5, g=0.0, years=1)
@example(r=1.0, d=0.25, g=0.2499999, years=3)
@example(r=0.9, d=0.1, g=0.5, years=3)
def test_the_contract_multiplier_is_the_sum_of_its_terms(r, d, g, years):
    """ρ(1−ρ^N)/(1−ρ)/(1+g) equals its sum, ρ → 1 included; a growth that diverges has none."""
    exact, found = naive.contract_multiplier(r, d, years, g), ltv.contract_multiplier(r, d, g, float(years))
    if exact is None:
        assert math.isnan(found) or r * (1 + g) < (1 + d) * (1 + 1e-15) or years == 0
    else:
        rounding = 4e-16 * (1 + g) / max(1 + d - r * (1 + g), 1e-300)
        assert found == pytest.approx(float(exact), rel=1e-12 + rounding, abs=1e-300)


@settings(max_examples=100, deadline=None)
@given(
    st.floats(0.01, 1),
    st.floats(0.05, 1),
    st.tuples(st.floats(-0.9, 0.9), st.floats(-0.9, 0.9)),
    st.sampled_from([2.0, 3.0, 7.5, math.inf]),
)
def test_contract_ltv_rises_with_growth(r, d, growths, years):
    """Over more than a year, the more a margin grows the more a contract is worth."""
    low, high = (0.99 * g * ((1 + d) / r - 1) if g > 0 else g for g in sorted(growths))
    before, after = (ltv.contract_ltv_horizon(100.0, r, d, g, years) for g in (low, high))
    assert before <= after * (1 + 1e-12)
    if high - low > 1e-3:
        assert before < after


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 30))
def test_berger_nasr_is_the_sum_of_its_terms(r, d, years):
    """The closed form of case 1 equals its two sums."""
    exact = float(naive.berger_nasr_ltv(260, 50, r, d, years))
    assert ltv.berger_nasr_ltv(260.0, 50.0, r, d, years) == pytest.approx(exact, rel=1e-12)


def test_growth_is_the_sum_of_its_terms():
    """The growing margin's closed form equals the sum of its margins."""
    exact = float(naive.contract_ltv_growth(100, 0.8, 0.1, 0.2))
    assert ltv.contract_ltv_growth(100.0, 0.8, 0.1, 0.2) == pytest.approx(exact, rel=1e-12)


# --- contracts, word of mouth, ceiling -------------------------------------------------------


@pytest.mark.parametrize(
    ("r", "d", "g"),
    [(0.9, 0.1, 0.3), (1.0, 0.1, 0.1), (1.1, 0.1, 0.0), (-0.1, 0.1, 0.0), (math.nan, 0.1, 0.0)],
)
def test_a_growth_that_diverges_has_no_value(r, d, g):
    """r(1+g) ≥ 1+d, or a retention that is no share, gives NaN instead of a negative fortune."""
    assert math.isnan(ltv.contract_ltv_growth(100.0, r, d, g))
    if g:
        assert math.isnan(ltv.contract_ltv_horizon(100.0, r, d, g, 3.0))


def test_a_contract_that_never_ends_without_discount_has_a_value_over_a_horizon_only():
    """With r = 1 and d = 0 there are N margins over N years, NaN for ever."""
    assert ltv.contract_ltv_horizon(100.0, 1.0, 0.0, 0.0, 7.0) == 700.0
    assert math.isnan(ltv.contract_ltv(100.0, 1.0, 0.0))
    assert math.isnan(ltv.mean_lifetime_years(1.0))


def test_contract_and_other_customers_share_a_horizon():
    """Contract rows are valued over the parameters' three years, not for ever."""
    years = bundle().horizon_years
    rows = ltv.contract_rows(
        np.array([100.0, 100.0, math.nan, 100.0]),
        np.array([0.8, 0.8, 0.8, math.nan]),
        np.array([True, False, True, True]),
        0.1,
        0.0,
        years,
    )
    over_three = float(naive.contract_multiplier(0.8, 0.1, 3))
    assert years == 3.0
    assert rows[0].tolist()[LtvColumn.LTV :] == pytest.approx(
        [100 * over_three, over_three, 100 * over_three], rel=1e-12
    )
    assert rows[:, LtvColumn.ALIVE].tolist() == [1.0, 0.0, 1.0, 1.0]
    assert rows[1].tolist()[LtvColumn.LTV :] == pytest.approx([0.0, 1.0, 100 * over_three], rel=1e-12)
    assert math.isnan(rows[2, LtvColumn.LTV])
    assert rows[2, LtvColumn.MULTIPLIER] == pytest.approx(over_three, rel=1e-12)
    assert math.isnan(rows[3, LtvColumn.LTV])
    assert rows[3, LtvColumn.MULTIPLIER] == 1.0


def test_a_multiplier_is_never_below_one():
    """A contract that seldom renews still counts its yearly gain once."""
    rows = ltv.contract_rows(np.array([100.0]), np.array([0.2]), np.array([True]), 0.1, 0.0, 3.0)
    assert rows[0, LtvColumn.LTV] < 100.0
    assert rows[0, LtvColumn.MULTIPLIER] == 1.0


PREMIUM = st.tuples(
    st.none() | st.floats(-1e4, 1e5),
    st.none() | st.floats(0, 1),
    st.floats(1, 10),
    st.integers(-3, 4),
    st.none() | st.floats(0, 1),
    st.integers(-3, 4),
)


@settings(max_examples=100, deadline=None)
@given(PREMIUM)
def test_the_price_premium_equals_the_oracle(case):
    """π·R·P(alive)·Λ from a step of the ladder on, 0 below it, unknown where a term is."""
    exact = naive.price_premium(*case)
    found = ltv.price_premium(*(math.nan if number is None else float(number) for number in case))
    assert found == pytest.approx(math.nan if exact is None else exact, rel=1e-12, abs=1e-300, nan_ok=True)


numbers_or_missing = st.one_of(st.floats(-1e6, 1e6), st.just(math.nan))
mentions = st.one_of(st.integers(0, 50).map(float), st.just(math.nan))


@settings(max_examples=100, deadline=None)
@given(numbers_or_missing, mentions, mentions, st.floats(0, 1e4), st.floats(0, 3))
def test_word_of_mouth_equals_the_oracle(value, positive, negative, worth, weight):
    """LTV* is LTV plus the clamped term; unknown mentions drop out, an unknown LTV stays unknown."""
    columns = [np.array([v]) for v in (value, positive, negative)]
    exact = naive.word_of_mouth_ltv(value, positive, negative, worth, weight)
    result = ltv.word_of_mouth_rows(*columns, worth, weight)[0]
    assert result == pytest.approx(exact, rel=1e-12, abs=1e-6, nan_ok=True)


def test_one_terrorist_outweighs_many_advocates():
    """A negative mention weighs as much as five positive ones, and never more than the LTV itself."""
    assert ltv.word_of_mouth_ltv(1000.0, 5.0, 1.0, 20.0, 1.0) == 1000.0
    assert ltv.word_of_mouth_ltv(1000.0, 4.0, 1.0, 20.0, 1.0) == 980.0
    assert ltv.word_of_mouth_ltv(1000.0, 0.0, 99.0, 20.0, 1.0) == 0.0
    assert ltv.word_of_mouth_ltv(1000.0, 999.0, 0.0, 20.0, 1.0) == 2000.0


@settings(max_examples=100, deadline=None)
@given(numbers_or_missing, numbers_or_missing, st.floats(0, 1))
def test_the_ceiling_equals_the_oracle(value, spent, share):
    """The ceiling is what the share leaves, never negative, and unknown when its terms are."""
    result = ltv.investment_ceiling_rows(np.array([value]), np.array([spent]), share)[0]
    assert result == pytest.approx(naive.investment_ceiling(value, spent, share), rel=1e-12, nan_ok=True)


# --- parameters ------------------------------------------------------------------------------


def bundle(**changes):
    """Parameters as a fit returns them."""
    content = {
        "bgnbd": BgNbd(*CDNOW),
        "gamma_gamma": GammaGamma(*SPEND),
        "margin": 0.3,
        "yearly_discount": 0.1,
        "step_weeks": 4.0,
        "steps": 39,
        "standard_errors": {"r": 0.01, "b": None},
        "log_likelihood": -9582.4,
        "gamma_gamma_log_likelihood": -4055.9,
        "penalised": False,
        "n": 2357,
        "n_repeat": 946,
        "frequency_top_quartile": 0.034,
        "warnings": ("seasonal",),
    }
    return LtvParameters(**(content | changes))


def test_parameters_survive_json():
    """`from_dict` gives back what `to_dict` wrote, through JSON text."""
    assert LtvParameters.from_dict(json.loads(json.dumps(bundle().to_dict(), allow_nan=False))) == bundle()


def test_parameters_travel_as_one_array():
    """The array holds what `ltv_rows` reads, in its order."""
    np.testing.assert_array_equal(bundle().to_array(), parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bgnbd": None}, "cannot be read"),
        ({"bgnbd": {"r": 1.0, "alpha": 1.0, "a": 1.0}}, "cannot be read"),
        ({"bgnbd": {"r": -1.0, "alpha": 1.0, "a": 1.0, "b": 1.0}}, "parameter r must be positive"),
        ({"gamma_gamma": {"p": 1.0, "q": "two", "v": 1.0}}, "cannot be read"),
        ({"margin": 1.5}, "margin must be a share"),
        ({"margin": "much"}, "cannot be read"),
        ({"steps": 0}, "at least one step"),
        ({"yearly_discount": -0.1}, "yearly discount"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_damaged_parameters_are_an_artifact_error(change, message):
    """A field of a wrong type, out of range or unknown is an ArtifactError that names it."""
    with pytest.raises(ArtifactError, match=message):
        LtvParameters.from_dict(bundle().to_dict() | change)


@pytest.mark.parametrize("field", ["bgnbd", "margin", "warnings"])
def test_a_missing_field_is_an_artifact_error(field):
    """A field that is not there is named."""
    content = bundle().to_dict()
    del content[field]
    with pytest.raises(ArtifactError, match=field):
        LtvParameters.from_dict(content)
