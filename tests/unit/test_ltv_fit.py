"""The fits: CDNOW as published, gradients, fallbacks, and data that break the usual likelihood."""

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
from tests.naive import ltv as naive

from nextbest.errors import FitError, InvalidInput
from nextbest.potential import ltv_fit
from nextbest.potential.ltv_likelihood import bgnbd_log_likelihood, gamma_gamma_log_likelihood

VECTORS = {v["name"]: v for v in json.loads((Path(__file__).parents[1] / "vectors.json").read_text())}


@pytest.fixture(scope="module")
def cdnow():
    """x, t_x, T, zbar of CDNOW; the package that holds the file is not imported, for it warns."""
    spec = importlib.util.find_spec("lifetimes")
    folder = Path(spec.origin).parent / "datasets"
    table = np.loadtxt(folder / "cdnow_customers_summary_with_transactions.csv", delimiter=",", skiprows=1)
    return tuple(np.ascontiguousarray(table[:, column]) for column in (1, 2, 3, 4))


def simulated(n, r, alpha, dropout, seed, weeks=52.0):
    """Histories of n customers with Gamma(r, α) rates who leave after a purchase with p ~ dropout(rng)."""
    rng = np.random.default_rng(seed)
    x, t_x, T = np.zeros(n), np.zeros(n), rng.uniform(weeks / 2, weeks, n)
    for i in range(n):
        rate, p, t = rng.gamma(r) / alpha, dropout(rng), 0.0
        while (t := t + rng.exponential(1 / rate)) <= T[i]:
            x[i] += 1
            t_x[i] = t
            if rng.random() < p:
                break
    return x, t_x, T


def nobody_leaves(rng):
    """A dropout probability of 0."""
    return 0.0


# --- CDNOW -----------------------------------------------------------------------------------


def test_cdnow_comes_out_as_published(cdnow):
    """BG/NBD and Gamma-Gamma on CDNOW give the published digits, without a penalty or a warning."""
    out = VECTORS["bgnbd_fit_cdnow"]["out"]
    fitted = ltv_fit.fit_ltv(*cdnow, margin=0.3)
    model = fitted.bgnbd
    assert [round(v, 3) for v in (model.r, model.a, model.b)] == [out["r"], out["a"], out["b"]]
    assert model.alpha == pytest.approx(out["alpha"], abs=1e-3)
    assert fitted.log_likelihood == pytest.approx(out["lnL"], abs=0.05)
    spend = fitted.gamma_gamma
    assert [spend.p, spend.q, spend.v] == pytest.approx(out["gamma_gamma"], abs=0.01)
    assert not fitted.penalised
    assert fitted.warnings == ()
    assert (fitted.n, fitted.n_repeat) == (2357, 946)


def test_standard_errors_are_the_curvature_of_the_likelihood(cdnow):
    """Moving one parameter by its standard error costs at least half a unit of ln L at that point."""
    x, t_x, T, _ = cdnow
    fit = ltv_fit.fit_bgnbd(x, t_x, T)
    theta = fit.parameters.to_array()
    for i, name in enumerate(("r", "alpha", "a", "b")):
        moved = theta.copy()
        moved[i] += fit.standard_errors[name]
        fall = fit.log_likelihood - bgnbd_log_likelihood(moved, x.astype(np.int64), t_x, T)[0]
        # With the others held fast the fall is (error²/conditional variance)/2, never less than ½.
        assert fall > 0.4, name
    assert fit.standard_errors["r"] == pytest.approx(0.0126, abs=5e-4)


def test_the_top_quartile_of_frequency_is_kept(cdnow):
    """The artifact knows from which x/T on a customer is a frequent one."""
    x, _, T, _ = cdnow
    fitted = ltv_fit.fit_ltv(*cdnow, margin=0.3)
    assert np.mean(x / T > fitted.frequency_top_quartile) == pytest.approx(0.25, abs=0.01)


def test_the_fit_does_not_depend_on_the_currency(cdnow):
    """Money in hundredths gives the same shapes, a scale 100 times as large, and ln L moved by n·ln 100."""
    x, _, _, zbar = cdnow
    fit, cents = ltv_fit.fit_gamma_gamma(x, zbar), ltv_fit.fit_gamma_gamma(x, zbar * 100)
    assert cents.parameters.p == pytest.approx(fit.parameters.p, rel=1e-5)
    assert cents.parameters.q == pytest.approx(fit.parameters.q, rel=1e-5)
    assert cents.parameters.v == pytest.approx(fit.parameters.v * 100, rel=1e-5)
    assert cents.standard_errors["v"] == pytest.approx(fit.standard_errors["v"] * 100, rel=1e-3)
    assert cents.log_likelihood == pytest.approx(fit.log_likelihood - 946 * math.log(100), rel=1e-9)


def test_a_fit_is_deterministic_and_blind_to_order(cdnow):
    """The same customers in another order give the same model."""
    x, t_x, T, _ = (column[:600] for column in cdnow)
    order = np.random.default_rng(5).permutation(len(x))
    first, again = ltv_fit.fit_bgnbd(x, t_x, T), ltv_fit.fit_bgnbd(x, t_x, T)
    shuffled = ltv_fit.fit_bgnbd(x[order], t_x[order], T[order])
    assert first == again
    np.testing.assert_allclose(shuffled.parameters.to_array(), first.parameters.to_array(), rtol=1e-3)


# --- likelihoods -----------------------------------------------------------------------------

THETAS = [(0.243, 4.414, 0.793, 2.426), (3.0, 2.0, 0.01, 1e4), (1e-4, 1e4, 1e4, 1e-4), (0.5, 6.0, 1.0, 1.0)]


@pytest.mark.parametrize("theta", THETAS)
def test_the_likelihood_equals_80_digits(theta):
    """The log1p form equals the published gamma functions computed with 80 digits."""
    x, t_x, T = simulated(40, 1.5, 3.0, lambda rng: rng.beta(0.5, 5), seed=3)
    exact = float(naive.bgnbd_log_likelihood(theta, x, t_x, T))
    value, _ = bgnbd_log_likelihood(np.array(theta), x.astype(np.int64), t_x, T)
    assert value == pytest.approx(exact, rel=1e-12)


def test_the_likelihood_holds_where_four_gammas_drift():
    """At b = 3e16 the usual likelihood is off by more than 1, upwards; this one is exact."""
    x, t_x, T = simulated(40, 1.5, 3.0, nobody_leaves, seed=3)
    theta = (1.5, 3.0, 0.5, 3e16)
    exact = float(naive.bgnbd_log_likelihood(theta, x, t_x, T))
    assert abs(naive.four_gammas_log_likelihood(theta, x, t_x, T) - exact) > 1.0
    value, _ = bgnbd_log_likelihood(np.array(theta), x.astype(np.int64), t_x, T)
    assert value == pytest.approx(exact, rel=1e-12)


def test_the_likelihood_holds_where_powers_underflow():
    """3,000 purchases underflow (α+T)^−(r+x); the log form does not notice."""
    x, t_x, T = np.array([3000.0]), np.array([500.0]), np.array([520.0])
    theta = (1.0, 5.0, 0.5, 2.0)
    with pytest.raises(ValueError, match=r"domain|positive"):
        naive.four_gammas_log_likelihood(theta, x, t_x, T)
    value, _ = bgnbd_log_likelihood(np.array(theta), x.astype(np.int64), t_x, T)
    assert value == pytest.approx(float(naive.bgnbd_log_likelihood(theta, x, t_x, T)), rel=1e-12)


@pytest.mark.parametrize("theta", [(6.25, 3.74, 15.44), (1e-3, 50.0, 2.0), (5000.0, 3000.0, 0.5)])
def test_the_spend_likelihood_equals_60_digits(theta):
    """Gamma-Gamma's likelihood equals the published formula."""
    rng = np.random.default_rng(1)
    x, zbar = rng.integers(1, 60, 40).astype(np.float64), rng.gamma(3.0, 9.0, 40)
    exact = float(naive.gamma_gamma_log_likelihood(theta, x, zbar))
    assert gamma_gamma_log_likelihood(np.array(theta), x, zbar)[0] == pytest.approx(exact, rel=1e-11)


def numeric_gradient(function, theta):
    """Central differences."""
    steps = [1e-5 * value * direction for value, direction in zip(theta, np.eye(len(theta)), strict=True)]
    return [(function(theta + s) - function(theta - s)) / (2 * s.sum()) for s in steps]


def test_gradients_are_those_of_the_likelihoods(cdnow):
    """Analytic gradients equal central differences."""
    x, t_x, T, zbar = cdnow
    counts = x.astype(np.int64)
    theta = np.array([0.4, 6.0, 0.5, 3.0])
    expected = numeric_gradient(lambda at: bgnbd_log_likelihood(at, counts, t_x, T)[0], theta)
    np.testing.assert_allclose(bgnbd_log_likelihood(theta, counts, t_x, T)[1], expected, rtol=1e-5)
    repeat = x > 0
    theta = np.array([4.0, 2.0, 11.0])
    expected = numeric_gradient(lambda at: gamma_gamma_log_likelihood(at, x[repeat], zbar[repeat])[0], theta)
    got = gamma_gamma_log_likelihood(theta, x[repeat], zbar[repeat])[1]
    np.testing.assert_allclose(got, expected, rtol=1e-5)


# --- recovery and fallback -------------------------------------------------------------------


def test_known_parameters_are_found_again():
    """Simulated customers give back their parameters within four standard errors, unpenalised."""
    truth = {"r": 0.8, "alpha": 5.0, "a": 1.0, "b": 3.0}
    x, t_x, T = simulated(4000, 0.8, 5.0, lambda rng: rng.beta(1.0, 3.0), seed=11)
    fit = ltv_fit.fit_bgnbd(x, t_x, T)
    assert not fit.penalised
    for name, value in truth.items():
        assert abs(getattr(fit.parameters, name) - value) < 4 * fit.standard_errors[name], name


def test_a_fit_that_runs_to_a_bound_is_penalised_and_says_so():
    """Where nobody leaves, b has no maximum: the fit is repeated with the penalty and flagged."""
    fit = ltv_fit.fit_bgnbd(*simulated(800, 2.0, 2.0, nobody_leaves, seed=2))
    assert fit.penalised
    assert "ran to a bound" in fit.warnings[0]
    assert fit.parameters.b < 100
    assert fit.parameters.a / (fit.parameters.a + fit.parameters.b) < 0.01
    assert (fit.parameters.r, fit.parameters.alpha) == pytest.approx((2.0, 2.0), rel=0.15)


def test_the_penalty_is_the_one_specified():
    """A penalised fit is stationary in ln L − .001·n·Σ(ln θ)²."""
    x, t_x, T = simulated(300, 2.0, 2.0, nobody_leaves, seed=4)
    theta = ltv_fit.fit_bgnbd(x, t_x, T).parameters.to_array()
    slope = bgnbd_log_likelihood(theta, x.astype(np.int64), t_x, T)[1] * theta
    np.testing.assert_allclose(slope, 2 * 0.001 * len(x) * np.log(theta), atol=1e-3 * len(x) * 1e-2)


@pytest.mark.parametrize(
    "histories",
    [
        pytest.param(([3.0], [5.0], [9.0]), id="one customer"),
        pytest.param(([0.0] * 5, [0.0] * 5, [9.0] * 5), id="no repeat purchase"),
        pytest.param(([0.0] * 3, [0.0] * 3, [0.0] * 3), id="all new today"),
        pytest.param(([7.0] * 50, [50.0] * 50, [52.0] * 50), id="all equal"),
    ],
)
def test_degenerate_histories_give_finite_parameters_and_a_flag(histories):
    """Data that identify nothing end in the penalised fit, with a warning and finite parameters."""
    fit = ltv_fit.fit_bgnbd(*map(np.array, histories))
    assert np.isfinite(fit.parameters.to_array()).all()
    assert fit.penalised
    assert len(fit.warnings) == 1


def test_equal_spend_is_reported_as_unidentified():
    """Gamma-Gamma is never penalised: equal values end at a bound, with a warning and no errors."""
    fit = ltv_fit.fit_gamma_gamma(np.full(20, 3.0), np.full(20, 8.0))
    assert "not identified" in fit.warnings[0]
    assert fit.standard_errors == {"p": None, "q": None, "v": None}


def test_frequency_that_goes_with_spend_is_warned_of(cdnow):
    """|corr(x, zbar)| ≥ .3 over repeat customers is a warning in the parameters."""
    x, t_x, T, _ = cdnow
    noise = np.random.default_rng(8).gamma(5.0, 1.0, len(x))
    together = ltv_fit.fit_ltv(x, t_x, T, 5.0 * x + noise, margin=0.3)
    apart = ltv_fit.fit_ltv(x, t_x, T, noise, margin=0.3)
    assert any("correlate" in warning for warning in together.warnings)
    assert not any("correlate" in warning for warning in apart.warnings)


def test_an_infinite_mean_spend_is_warned_of():
    """Spend with a tail so heavy that q ≤ 1 is a warning: first-time buyers have no expected spend."""
    rng = np.random.default_rng(6)
    means = 10.0 / rng.gamma(0.6, 1.0, 3000)
    fit = ltv_fit.fit_gamma_gamma(np.full(3000, 4.0), means * rng.gamma(40.0, 1 / 40.0, 3000))
    assert fit.parameters.q < 1
    assert any("q ≤ 1" in warning for warning in fit.warnings)


def test_unknown_spend_is_left_out_and_counted(cdnow):
    """Repeat customers without a known positive value stay in BG/NBD and are counted in a warning."""
    x, t_x, T, zbar = (column.copy() for column in cdnow)
    repeat = np.flatnonzero(x > 0)
    zbar[repeat[:3]] = math.nan
    zbar[repeat[3:5]] = 0.0
    fitted = ltv_fit.fit_ltv(x, t_x, T, zbar, margin=0.3)
    assert (fitted.n, fitted.n_repeat) == (2357, 941)
    assert any("`5` customers" in warning for warning in fitted.warnings)


# --- bad input -------------------------------------------------------------------------------


def test_impossible_histories_are_listed_by_row():
    """Every impossible row is named with what is wrong and its values."""
    x = np.array([2.0, 2.0, 0.0, 1.0, 1.5, -1.0, math.nan, 2.0, 1.0, 1e9])
    t_x = np.array([9.0, 40.0, 3.0, 0.0, 2.0, 1.0, 1.0, -1.0, 2.0, 2.0])
    T = np.array([30.0, 30.0, 30.0, 30.0, 30.0, 30.0, 30.0, 30.0, 30.0, 30.0])
    zbar = np.array([5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, -5.0, 5.0])
    with pytest.raises(InvalidInput) as raised:
        ltv_fit.fit_ltv(x, t_x, T, zbar, margin=0.3)
    assert [v.field for v in raised.value.violations] == [f"rfm[{row}]" for row in range(1, 10)]
    described = [v.description for v in raised.value.violations]
    assert described[0] == "t_x is greater than T: `2, 40, 30, 5`"
    assert "without a repeat purchase" in described[1]
    assert "t_x is 0" in described[2]
    assert "whole number" in described[3]
    assert "whole number" in described[4]
    assert "missing" in described[5]
    assert "t_x is negative" in described[6]
    assert "zbar is negative" in described[7]
    assert "whole number" in described[8]


def test_a_flood_of_impossible_histories_is_counted():
    """After the first hundred the rest is a number."""
    n = 1000
    violations = ltv_fit.rfm_violations(np.full(n, 2.0), np.full(n, 9.0), np.full(n, 3.0), np.full(n, 1.0))
    assert len(violations) == ltv_fit.ROWS_SHOWN + 1
    assert "`900` more" in violations[-1].description


def test_no_convergence_is_an_error(cdnow):
    """A fit that is stopped short raises a FitError that says what to look at."""
    x, t_x, T, zbar = cdnow
    with pytest.raises(FitError, match=r"BG/NBD fit did not converge in `2` iterations.*units"):
        ltv_fit.fit_bgnbd(x, t_x, T, max_iterations=2)
    with pytest.raises(FitError, match="Gamma-Gamma fit did not converge"):
        ltv_fit.fit_gamma_gamma(x, zbar, max_iterations=1)


@pytest.mark.parametrize(("n", "advice"), [(2, "fit on more customers"), (30, "check the units of the data")])
def test_too_few_to_fit_are_said_to_be(n, advice):
    """Without convergence a few customers are said to be too few; of many the data are to be checked."""
    x, zbar = np.arange(1.0, n + 1.0), np.linspace(10.0, 20.0, n)
    with pytest.raises(FitError) as raised:
        ltv_fit.fit_gamma_gamma(x, zbar, max_iterations=1)
    assert advice in str(raised.value)
    of_whom = "on `2` customers with a repeat purchase of known value: fewer than 30"
    assert (of_whom in str(raised.value)) == (n == 2)


def test_a_fit_without_customers_is_an_error():
    """No customers, or nobody with a repeat purchase, is a FitError."""
    none = np.empty(0)
    with pytest.raises(FitError, match="there are none"):
        ltv_fit.fit_bgnbd(none, none, none)
    with pytest.raises(FitError, match="there are none"):
        ltv_fit.fit_ltv(none, none, none, none, margin=0.3)
    with pytest.raises(FitError, match="repeat purchase"):
        ltv_fit.fit_gamma_gamma(np.zeros(3), np.full(3, 5.0))


def test_a_negative_spend_is_listed_by_row():
    """Gamma-Gamma alone also names the rows with a negative value."""
    with pytest.raises(InvalidInput, match=r"rfm\[1\]: zbar is negative"):
        ltv_fit.fit_gamma_gamma(np.array([1.0, 2.0]), np.array([5.0, -1.0]))


@pytest.mark.parametrize("margin", [-0.1, 1.1, math.nan])
def test_a_margin_that_is_no_share_is_refused(cdnow, margin):
    """A margin outside [0, 1] is an error, not a model."""
    with pytest.raises(ValueError, match="margin"):
        ltv_fit.fit_ltv(*cdnow, margin=margin)
