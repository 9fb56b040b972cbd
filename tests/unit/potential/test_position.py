"""The position grid against its oracle."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import position as naive

from nextbest.potential.position import TASKS, Band, PositionGrid, ltv_bounds, position

level = st.sampled_from([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, math.nan])
ltv = st.one_of(st.floats(-1e4, 1e6), st.sampled_from([0.0, math.nan, 100.0]))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(level, ltv), min_size=1, max_size=30),
    st.lists(st.floats(0, 1e5), min_size=4, max_size=4),
)
def test_places_equal_the_oracle(people: list[tuple[float, float]], bounds: list[float]) -> None:
    """Every customer has one place, whatever is missing."""
    table, cuts = np.array(people), np.sort(np.array(bounds))
    found = position(table[:, 0].copy(), table[:, 1].copy(), cuts)
    expected = [naive.place(step, worth, cuts.tolist()) for step, worth in people]
    assert [divmod(int(place), 6) for place in found] == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(level, ltv, ltv, st.booleans()), min_size=1, max_size=40))
def test_nobody_is_lost_and_parts_add_up(people: list[tuple[float, float, float, bool]]) -> None:
    """The grid counts everyone once, and grids of two parts add up to that of the whole."""
    table = np.array([person[:3] for person in people])
    left = np.array([person[3] for person in people])
    places = position(table[:, 0].copy(), table[:, 1].copy(), np.array([10.0, 100.0, 1e3, 1e4]))
    whole, *parts = (
        PositionGrid.of(places[part], table[part, 1], table[part, 2])
        for part in (np.ones(len(people), bool), left, ~left)
    )
    merged = PositionGrid.merge(parts)
    assert whole.count.sum() == len(people)
    assert np.array_equal(merged.count, whole.count)
    assert merged.value == pytest.approx(whole.value, rel=1e-9, abs=1e-6)
    assert whole.gap.sum() == pytest.approx(np.nansum(table[:, 2]), rel=1e-9, abs=1e-6)
    assert whole.share().sum() == pytest.approx(1)


def test_quintiles_are_fifths() -> None:
    """Bounds from batches put a fifth of the customers into each quintile, within a bucket."""
    worth = np.exp(np.random.default_rng(3).normal(6, 1, 10_000))
    bounds = ltv_bounds(np.array_split(worth, 7))
    columns = np.bincount(position(np.zeros(worth.size), worth, bounds) - 6, minlength=5)
    assert np.abs(columns - 2_000).max() < 100


def test_nobody_has_no_share() -> None:
    """An empty grid has counts of zero and no shares; unknown bounds put all into the first quintile."""
    empty = PositionGrid.merge([])
    assert empty.count.sum() == 0
    assert np.isnan(empty.share()).all()
    bounds = ltv_bounds([np.array([math.nan])])
    assert np.isnan(bounds).all()
    assert position(np.array([4.0]), np.array([5.0]), bounds).tolist() == [18]


def test_each_band_has_its_task() -> None:
    """The four tasks of the model stand beside the bands they belong to."""
    assert dict(zip(Band, TASKS, strict=True)) == {
        Band.REPAIR: "repair",
        Band.ACQUIRE: "acquire",
        Band.DEVELOP: "develop",
        Band.INTEGRATE: "integrate and optimise",
    }
