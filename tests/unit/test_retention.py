"""Retention by tenure: the published cohorts, the likelihood, and bad counts."""

import math

import numpy as np
import pytest
from tests.naive import ltv as naive

from nextbest.errors import FitError, InvalidInput
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
