"""The leakage guard against its oracle, on dimensions that leak and on some that do not."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import leakage as naive

from nextbest.batch.grid_fit import GUARDED, leaks_in_words
from nextbest.potential import leakage
from nextbest.potential.grid import PeerGrid
from nextbest.potential.leakage import leaking_dimensions

SPEND = np.exp(np.random.default_rng(0).normal(7, 1, 3_000))
NOISE = np.random.default_rng(1).normal(0, 1, 3_000)


def bands(figure: np.ndarray, count: int) -> np.ndarray:
    """Cut a figure into parts of equal size."""
    return np.searchsorted(np.quantile(figure, np.arange(1, count) / count), figure).astype(np.float64)


def leaks(codes: np.ndarray, values: np.ndarray = SPEND) -> bool:
    """Whether one dimension leaks one outcome."""
    return bool(leaking_dimensions(codes.reshape(-1, 1).astype(np.float64), values.reshape(-1, 1)))


@pytest.mark.parametrize("count", [2, 3, 5, 10, 50])
def test_bands_of_the_outcome_leak(count: int) -> None:
    """Bands of spend, in any number and under any names, are no peers."""
    found = bands(SPEND, count)
    assert leaks(found)
    assert leaks(np.random.default_rng(2).permutation(count)[found.astype(int)])


def test_bands_of_a_close_relative_leak() -> None:
    """Deciles of a figure that is nearly the outcome leak as well."""
    assert leaks(bands(np.log(SPEND) + 0.1 * NOISE, 10))


@pytest.mark.parametrize("count", [2, 5, 10, 500])
def test_unrelated_dimensions_do_not_leak(count: int) -> None:
    """A code dealt out at random, or one each, is no function of spend."""
    draw = np.random.default_rng(count)
    assert not leaks(draw.integers(0, count, SPEND.size))
    assert not leaks(np.arange(SPEND.size))


def test_a_dimension_that_merely_matters_does_not_leak() -> None:
    """Household size may move spend: that is what peers are for."""
    size = bands(0.5 * np.log(SPEND) + NOISE, 4)
    assert abs(np.corrcoef(size, np.log(SPEND))[0, 1]) > 0.35
    assert not leaks(size)


def test_a_leak_is_where_gaps_collapse() -> None:
    """With a leaking dimension the spread between typical and stretch potential all but vanishes."""
    spread = []
    for codes in (bands(SPEND, 50), bands(NOISE, 50)):
        grid = PeerGrid.build(
            codes.reshape(-1, 1), SPEND.reshape(-1, 1), dimensions=("d",), outcomes=("spend",)
        )
        tables = grid.with_m(0).tables([0.8])
        ratio = tables.quantiles[0, :, 0, 0] / tables.quantiles[0, :, tables.median, 0]
        spread.append(float(np.median(ratio)))
    assert leaks(bands(SPEND, 50))
    assert spread[0] < 1.1
    assert spread[1] > 1.5


def test_equal_outcomes_do_not_leak_by_their_order() -> None:
    """Customers without spend, filed by segment, are no evidence of a leak."""
    assert not leaks(np.repeat([0.0, 1.0], 500), np.zeros(1_000))
    half = np.where(np.arange(1_000) % 500 < 400, 0.0, SPEND[:1_000])
    assert not leaks(np.repeat([0.0, 1.0], 500), half)


def test_too_little_data_decides_nothing() -> None:
    """Nobody, one customer, one code, and all unknown give no verdict and no warning."""
    assert not leaks(np.empty(0), np.empty(0))
    assert not leaks(np.zeros(1), np.ones(1))
    assert not leaks(np.zeros(3_000))
    assert not leaks(np.full(3_000, math.nan))
    assert not leaks(bands(SPEND, 3), np.full(3_000, math.inf))
    assert not leaks(np.array([0.0, 1.0]), np.array([1.0, 2.0]))


def test_leaks_are_named() -> None:
    """The dimension and the outcome stand in the message."""
    codes = np.column_stack([bands(NOISE, 5), bands(SPEND, 5)])
    found = leaking_dimensions(codes, np.column_stack([NOISE, SPEND]))
    assert [(leak.dimension, leak.outcome) for leak in found] == [(0, 0), (1, 1)]
    text = leaks_in_words(found, ("mood", "spend_band"))
    assert text[1].startswith(f"peer dimension `spend_band` follows the outcome `{GUARDED[1]}`: ")


@pytest.mark.parametrize("count", [3, 10])
def test_dimensions_that_spell_out_the_outcome_together_leak(count: int) -> None:
    """Two columns that each look like noise, but whose cells are bands of spend, are no peers."""
    key = np.random.default_rng(5).integers(0, count, SPEND.size).astype(np.float64)
    codes = np.column_stack([key, (bands(SPEND, count) + key) % count])
    assert not leaks(codes[:, 0])
    assert not leaks(codes[:, 1])
    (found,) = leaking_dimensions(codes, SPEND.reshape(-1, 1))
    assert (found.dimension, found.outcome, found.joint) == (1, 0, True)
    (text,) = leaks_in_words([found], ("mood", "moon"))
    assert text.startswith("peer dimension `moon`, together with `mood` before it, follows the outcome ")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=2, max_size=4), st.integers(0, 2**32 - 1))
def test_many_honest_dimensions_do_not_leak_together(counts: list[int], seed: int) -> None:
    """However fine their cells, dimensions dealt out at random, or that merely matter, spell out nothing."""
    draw = np.random.default_rng([seed, 7])
    honest = [draw.integers(0, count, SPEND.size) for count in counts]
    matters = bands(0.5 * np.log(SPEND) + draw.normal(0, 1, SPEND.size), 4)
    assert not leaking_dimensions(np.column_stack([*honest, matters]).astype(float), SPEND.reshape(-1, 1))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=2, max_size=6))
def test_chance_equals_trying_every_order(codes: list[int]) -> None:
    """Mean and variance of the changes equal those over all permutations."""
    mean, variance = leakage._expected_changes(np.bincount(codes)[np.bincount(codes) > 0].astype(np.int64))
    expected = naive.chance(codes)
    assert mean == pytest.approx(float(expected[0]))
    assert variance == pytest.approx(float(expected[1]), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), min_size=2, max_size=6))
def test_explained_share_equals_trying_every_deal(people: list[tuple[int, int]]) -> None:
    """The share lies between 0 and 1, and its numerator equals the oracle's."""
    codes = np.unique([code for code, _ in people], return_inverse=True)[1]
    ranks = [Fraction(rank) for _, rank in people]
    sizes = np.bincount(codes).astype(np.int64)
    exact = naive.between(ranks, codes.tolist())
    assert leakage._between(np.array(ranks, np.float64), codes, sizes) == pytest.approx(
        float(exact), abs=1e-9
    )
    share = leakage._explained(np.array(ranks, np.float64), codes, sizes)
    most = naive.most_explained(ranks, codes.tolist())
    assert -1e-9 <= share <= 1 + 1e-9
    assert share >= (float(exact / most) if most else 0.0) - 1e-9
