"""Retention by tenure: the published cohorts, the likelihood, and bad counts."""

import math

import numpy as np
import pytest
from tests.naive import ltv as naive

from nextbest.errors import ArtifactError, FitError, InvalidInput
from nextbest.potential import retention

# Fader & Hardie (2007), table 1: of 1,000 customers, those left after each year.
HIGH_END = np.array([1000, 869, 743, 653, 593, 551, 517, 491], dtype=np.float64)
REGULAR = np.array([1000, 631, 468, 382, 326, 289, 262, 241], dtype=np.float64)


def counts(survivors):
    """Customers kept and lost at each renewal."""
    return survivors[1:], survivors[:-1] - survivors[1:]


@pytest.mark.parametrize(
    ("survivors", "alpha", "beta", "log_likelihood"),
    [
        pytest.param(HIGH_END, 0.668, 3.806, -1611.2, id="high end"),
        pytest.param(REGULAR, 0.704, 1.182, -1680.3, id="regular"),
    ],
)
def test_published_cohorts_give_the_published_model(survivors, alpha, beta, log_likelihood):
    """Seven years of both cohorts of the paper give its parameters and ln L."""
    fit = retention.fit_retention(*counts(survivors))
    assert (fit.alpha, fit.beta) == pytest.approx((alpha, beta), abs=1e-3)
    assert fit.log_likelihood == pytest.approx(log_likelihood, abs=0.05)
    assert fit.warnings == ()
    assert 0 < fit.standard_errors["alpha"] < 0.2


@pytest.mark.parametrize("theta", [(0.668, 3.806), (5.0, 0.01), (1e-3, 2e3)])
def test_the_likelihood_and_its_gradient_equal_the_published_form(theta):
    """The product of renewals equals the likelihood over lifetimes, and its gradient its slope."""
    kept, lost = counts(HIGH_END)
    value, gradient = retention.retention_log_likelihood(np.array(theta), kept, lost)
    assert value == pytest.approx(float(naive.retention_log_likelihood(theta, HIGH_END.tolist())), rel=1e-12)
    for i, step in enumerate(1e-6 * np.diag(theta)):
        ends = [retention.retention_log_likelihood(np.array(theta) + s, kept, lost)[0] for s in (step, -step)]
        assert gradient[i] == pytest.approx((ends[0] - ends[1]) / (2 * step[i]), rel=1e-4, abs=1e-4)


def test_retention_rises_with_tenure():
    """Each renewal makes the next more likely; the first is β/(α+β)."""
    rates = retention.retention_rows(np.arange(30.0), 0.668, 3.806)
    assert rates[0] == pytest.approx(3.806 / (0.668 + 3.806))
    assert (np.diff(rates) > 0).all()
    exact = [float(naive.retention_at(t, 0.668, 3.806)) for t in range(30)]
    assert rates.tolist() == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize("renewals", [-1.0, math.nan, math.inf])
def test_an_unknown_tenure_has_no_retention(renewals):
    """A tenure that is negative, infinite or missing gives NaN."""
    assert math.isnan(retention.retention_at(renewals, 0.7, 1.2))


def test_cohorts_of_different_age_add_up():
    """Two halves of a cohort, the younger seen for three renewals only, fit as one table."""
    kept, lost = counts(HIGH_END)
    seen = np.array([1, 1, 1, 0.5, 0.5, 0.5, 0.5])
    fit = retention.fit_retention(kept * seen, lost * seen)
    assert (fit.alpha, fit.beta) == pytest.approx((0.668, 3.806), rel=0.25)


def test_a_constant_retention_is_warned_of():
    """Cohorts that lose the same share each year end at a bound, with a warning."""
    fit = retention.fit_retention(*counts(1e6 * 0.8 ** np.arange(8)))
    assert len(fit.warnings) == 1
    assert retention.retention_at(0.0, fit.alpha, fit.beta) == pytest.approx(0.8, abs=1e-3)


def test_bad_counts_are_refused():
    """Negative or missing counts are listed by renewal; no renewals at all is a FitError."""
    with pytest.raises(InvalidInput, match=r"renewals\[1\].*renewals\[2\]"):
        retention.fit_retention(np.array([9.0, -1.0, 4.0]), np.array([1.0, 1.0, math.nan]))
    with pytest.raises(FitError, match="there are none"):
        retention.fit_retention(np.zeros(3), np.zeros(3))


@pytest.mark.parametrize("renewals", [0, 1, 7, 40])
@pytest.mark.parametrize("years", [0.0, 0.4, 1.0, 3.0, 7.75])
@pytest.mark.parametrize(("alpha", "beta"), [(0.668, 3.806), (0.704, 1.182), (1e-3, 1e3), (1e4, 1e-3)])
@pytest.mark.parametrize("growth", [0.0, 0.03, -0.2])
def test_the_multiplier_by_tenure_is_the_sum_of_its_terms(renewals, years, alpha, beta, growth):
    """What a yearly 1 is worth while a contract is renewed is Σ S(t+k)/S(t)·(1+g)^{k−1}/(1+d)^k."""
    exact = float(naive.renewal_multiplier(renewals, alpha, beta, 0.1, years, growth))
    found = retention.renewal_multiplier(float(renewals), alpha, beta, 0.1, growth, years)
    assert found == pytest.approx(exact, rel=1e-12)


def test_who_has_renewed_more_is_worth_more():
    """Lifetime value of a contract rises with its tenure."""
    worth = [retention.renewal_multiplier(float(t), 0.668, 3.806, 0.1, 0.0, 3.0) for t in range(20)]
    assert (np.diff(worth) > 0).all()


@pytest.mark.parametrize(
    "wrong",
    [(math.nan, 0.7, 1.2, 0.1, 0.0, 3.0), (-1.0, 0.7, 1.2, 0.1, 0.0, 3.0),
     (1.0, math.nan, 1.2, 0.1, 0.0, 3.0),
     (1.0, 0.7, 1.2, -0.1, 0.0, 3.0), (1.0, 0.7, 1.2, 0.1, 0.0, math.inf), (1.0, 0.7, 1.2, 0.1, 0.0, -1.0),
     (1.0, 0.7, 1.2, 0.1, 0.1, 3.0), (1.0, 0.7, 1.2, 0.1, 0.3, 3.0), (1.0, 0.7, 1.2, 0.1, -1.0, 3.0)],
)  # fmt: skip
def test_a_multiplier_needs_a_tenure_a_fit_and_an_end(wrong):
    """Unknown or impossible inputs give NaN; a horizon without end has no yearly sum."""
    assert math.isnan(retention.renewal_multiplier(*wrong))


def test_contracts_are_fitted_by_tenure_where_cohorts_differ():
    """The published cohorts go into the model as published, with the pooled rate beside."""
    kept, lost = counts(REGULAR)
    model = retention.fit_contracts(kept, lost, 1000)
    assert (model.alpha, model.beta) == pytest.approx((0.704, 1.182), abs=1e-3)
    assert model.rate == pytest.approx(kept.sum() / (kept + lost).sum())
    assert retention.RetentionModel.from_dict(model.to_dict()) == model


def test_one_rate_holds_where_tenure_tells_nothing():
    """Cohorts that lose the same share each year leave one rate, and say so."""
    model = retention.fit_contracts(*counts(1e6 * 0.8 ** np.arange(8)), 1_000_000)
    assert (model.alpha, model.beta) == (None, None)
    assert model.rate == pytest.approx(0.8)
    assert "one rate, `0.800`" in model.warnings[0]


@pytest.mark.parametrize("contracts", [0, 29])
def test_a_handful_of_contracts_is_no_fit(contracts):
    """Too few contracts are an error that says how many it takes."""
    with pytest.raises(FitError, match=f"30 contracts, and there are {contracts}"):
        retention.fit_contracts(np.array([3.0]), np.array([1.0]), contracts)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"rate": 1.5}, "share"),
        ({"alpha": -1.0}, "alpha"),
        ({"beta": None}, "together"),
        ({"more": 1}, "more"),
    ],
)
def test_a_damaged_retention_model_is_refused(changed, text):
    """A model outside its ranges, or of another form, is an ArtifactError."""
    sound = retention.fit_contracts(*counts(REGULAR), 1000).to_dict()
    with pytest.raises(ArtifactError, match=text):
        retention.RetentionModel.from_dict(sound | changed)
