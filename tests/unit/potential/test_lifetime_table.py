"""Lifetime purchases by table: those of the series, wherever the table says anything."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import ltv as naive

from nextbest.potential.bgnbd import expected_at
from nextbest.potential.lifetime_table import (
    MOST_PURCHASES,
    LifetimeTable,
    lifetime_table,
    purchases_by_table,
)
from nextbest.potential.ltv import ltv_horizons

FITS = (
    (0.243, 4.414, 0.793, 2.426),
    (1.40, 1.34, 0.02, 15.1),
    (0.05, 0.3, 3.0, 1e3),
    (5.0, 60.0, 1.0, 1e4),
    (0.3, 4.0, 0.4, 0.6),
    (1.0, 50.0, 1.0 + 1e-9, 0.7),
)
"""CDNOW, about the retail panel, b at both of its bounds, a+b = 1, and a → 1."""


def parameters(bgnbd, steps=39):
    """The ten numbers of a fit."""
    return np.array([*bgnbd, 6.25, 3.74, 15.44, 0.1, 4.0, float(steps)])


def by_series(x, start, numbers):
    """Discounted and next year's purchases if alive, each horizon by its series."""
    r, _, a, b = numbers[:4]
    horizons, weights, year = ltv_horizons(numbers[7], numbers[8], int(numbers[9]))
    expected = np.empty(len(horizons))
    expected_at(float(x), start, horizons, r, a, b, expected, np.empty((3, len(horizons))))
    return math.fsum(weights * expected), expected[year]


@settings(max_examples=100, deadline=None)
@given(fit=st.sampled_from(FITS), x=st.integers(0, MOST_PURCHASES), place=st.floats(0, 6.999))
def test_the_table_gives_what_the_series_give(fit, x, place):
    """Wherever the table says something it is within 1e-12 of the sums it was made of."""
    numbers = parameters(fit)
    table = lifetime_table(numbers)
    start = math.exp(table.first + place * math.log(2.0))
    found = purchases_by_table(float(x), start, *table)
    assert found == pytest.approx(by_series(x, start, numbers), rel=1e-12)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(("x", "weeks"), [(0, 5.0), (1, 30.0), (7, 52.0), (60, 104.0), (192, 200.0)])
def test_the_table_gives_what_many_digits_give(fit, x, weeks):
    """Relative error against 40 digits: at most 1e-12 for b up to 1e3, 1e-10 up to 1e4."""
    numbers = parameters(fit, steps=3)
    table = lifetime_table(numbers)
    discounted, in_a_year = purchases_by_table(float(x), fit[1] + weeks, *table)
    if math.isnan(discounted):
        assert fit[1] + weeks >= math.exp(table.first) * 2**7, "the table covers it and says nothing"
        return
    t_x = weeks if x else 0.0
    alive = naive.alive_probability(x, t_x, weeks, *fit)
    exact = naive.discounted_purchases(x, t_x, weeks, fit, 0.1, 4.0, 3) / alive
    allowed = 1e-12 if fit[3] <= 1e3 else 1e-10
    assert abs(discounted / float(exact) - 1) <= allowed
    year = naive.expected_purchases(x, t_x, weeks, 52.0, *fit) / alive
    assert abs(in_a_year / float(year) - 1) <= allowed


@pytest.mark.parametrize(
    ("x", "start"),
    [(0.5, 30.0), (MOST_PURCHASES + 1.0, 30.0), (-1.0, 30.0), (3.0, 0.5), (3.0, 1e5), (3.0, math.inf)],
)
def test_what_it_does_not_cover_it_does_not_say(x, start):
    """A broken or large x, and a start outside its segments, are left to the series."""
    assert np.isnan(purchases_by_table(x, start, *lifetime_table(parameters(FITS[0])))).all()


def test_an_unusable_segment_says_nothing():
    """A segment whose check failed is NaN as a whole, never a wrong number."""
    whole = lifetime_table(parameters(FITS[0]))
    holed = whole.coefficients.copy()
    holed[2, 1] = np.nan
    table = LifetimeTable(whole.first, holed)
    start = math.exp(whole.first + 1.5 * math.log(2.0))
    assert np.isnan(purchases_by_table(2.0, start, *table)).all()
    assert not np.isnan(purchases_by_table(3.0, start, *table)).any()
