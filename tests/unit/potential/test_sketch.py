"""The signed sketch against its oracle and the published example."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp
from tests.naive import sketch as naive

from nextbest.potential import sketch
from nextbest.potential.sketch import MISSING, Sketch, representatives, signed_buckets, upper_edges

VECTORS = {case["name"]: case for case in json.loads(Path("tests/vectors.json").read_text())}
LARGEST = math.nextafter(math.inf, 0)
EDGES = [0.0, -0.0, 0.01, -0.01, math.nextafter(0.01, 1), 5e-324, 2.2e-308, 1.0, -1.0, LARGEST, -LARGEST]
amounts = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(0.005, 1e7),
    st.floats(-1e7, -0.005),
    st.sampled_from(EDGES),
)


def array(*values: float) -> np.ndarray:
    """Return (n,) amounts."""
    return np.array(values, np.float64)


def test_vector_sketch() -> None:
    """Buckets and representatives of the published example come out as printed."""
    case = VECTORS["sketch"]
    numbers = signed_buckets(array(*case["in"]["y"]))
    assert (numbers - naive.OFFSET).tolist() == case["out"]["bucket"]
    assert representatives(numbers) == pytest.approx(case["out"]["representative"], rel=1e-9)
    assert pytest.approx(case["out"]["gamma"], rel=1e-9) == sketch.GAMMA
    assert case["in"]["alpha"] == sketch.ALPHA


def test_every_bound_is_the_largest_float_below_its_power() -> None:
    """No float64 lies between a bucket's bound in the table and γ^i, so every bucket is exact."""
    with mp.workdps(60):
        ratio = mp.log(mp.mpf(101) / 99)
        for s in range(1, sketch.UPPER.size - 1):
            power = mp.exp((s - naive.OFFSET) * ratio)
            bound = float(sketch.UPPER[s])
            assert mp.mpf(bound) <= power or s == naive.OFFSET
            assert mp.mpf(math.nextafter(bound, math.inf)) > power
    assert sketch.UPPER[-1] == LARGEST


def test_no_two_bounds_share_a_sixty_fourth_of_an_octave() -> None:
    """One comparison after the look-up is enough."""
    at = sketch.UPPER[1:].view(np.int64) >> 46
    assert (np.diff(at) > 0).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(amounts, min_size=1, max_size=30))
def test_buckets_equal_the_rounded_up_logarithm(values: list[float]) -> None:
    """Every amount, however odd, falls into the bucket that 60-digit logarithms give."""
    expected = [MISSING if (s := naive.bucket(y)) is None else s for y in values]
    assert signed_buckets(array(*values)).tolist() == expected


def test_buckets_next_to_every_bound_are_exact() -> None:
    """The float at a bound is in the bucket, the next one is not, on both sides of zero."""
    s = np.arange(1, sketch.UPPER.size - 1, dtype=np.int32)
    bound = sketch.UPPER[1:-1]
    assert np.array_equal(signed_buckets(bound), s)
    assert np.array_equal(signed_buckets(np.nextafter(bound, np.inf)), s + 1)
    assert np.array_equal(signed_buckets(-bound), -s)
    assert np.array_equal(signed_buckets(np.nextafter(-bound, -np.inf)), -s - 1)


@settings(max_examples=100, deadline=None)
@given(amounts, amounts)
def test_bucket_numbers_sort_like_the_amounts(y: float, z: float) -> None:
    """A larger amount never has a smaller bucket number."""
    low, high = signed_buckets(np.sort(array(y, z)))
    assert low <= high or MISSING in (low, high)


@settings(max_examples=100, deadline=None)
@given(amounts.filter(lambda y: math.isfinite(y) and abs(y) > 0.01))
def test_a_representative_is_within_one_per_cent(y: float) -> None:
    """The amount that stands for a bucket is within α of every amount in it."""
    value = representatives(signed_buckets(array(y)))[0]
    assert abs(value / y - 1) <= sketch.ALPHA + 1e-12


def test_representatives_equal_the_oracle() -> None:
    """2γ^i/(γ+1) comes out to the last digits over the whole range of money."""
    numbers = np.array([-1500, -232, -231, -1, 0, 1, 230, 231, 232, 1500], np.int32)
    expected = [float(naive.representative(int(s))) for s in numbers]
    assert representatives(numbers) == pytest.approx(expected, rel=1e-14)
    assert np.isfinite(representatives(np.array([sketch.UPPER.size - 1], np.int32))).all()
    assert np.isnan(representatives(np.array([MISSING], np.int32))).all()


@settings(max_examples=100, deadline=None)
@given(amounts.filter(math.isfinite), amounts.filter(math.isfinite))
def test_an_amount_is_above_a_bucket_if_it_is_above_its_edge(y: float, z: float) -> None:
    """Comparing with the upper edge decides what comparing bucket numbers would."""
    own, other = signed_buckets(array(y, z))
    edge = upper_edges(np.array([other], np.int32))[0]
    assert (y > edge) == (own > other)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(amounts, max_size=20), min_size=1, max_size=4))
def test_merging_is_exact(parts: list[list[float]]) -> None:
    """Sketches of parts add up to the sketch of the whole, in any order."""
    whole = Sketch.of(array(*(y for part in parts for y in part)))
    for order in (parts, parts[::-1]):
        merged = Sketch.merge(Sketch.of(array(*part)) for part in order)
        assert np.array_equal(merged.buckets, whole.buckets)
        assert np.array_equal(merged.counts, whole.counts)


@settings(max_examples=100, deadline=None)
@given(st.lists(amounts, max_size=40), st.lists(st.floats(0.001, 1), min_size=1, max_size=5))
def test_quantiles_equal_the_oracle_and_do_not_cross(values: list[float], taus: list[float]) -> None:
    """min{v : F(v) ≥ τ} equals counting by hand, and rises with τ."""
    counts = naive.histogram(values)
    found = Sketch.of(array(*values)).quantile_buckets(np.array(sorted(taus)))
    expected = [naive.quantile(counts, tau) for tau in sorted(taus)]
    assert found.tolist() == [MISSING if s is None else s for s in expected]
    assert (np.diff(found.astype(np.int64)) >= 0).all()


def test_cuts_split_as_the_counts_do() -> None:
    """Comparing amounts with the cuts of a sketch gives parts of equal size, within a bucket."""
    values = np.exp(np.random.default_rng(1).normal(5, 1, 9_000))
    cuts = Sketch.of(values).cuts(3)
    parts = np.bincount((values[:, None] > cuts).sum(axis=1), minlength=3)
    assert cuts.shape == (2,)
    assert np.abs(parts - 3_000).max() < 100


def test_an_empty_sketch_has_no_figures() -> None:
    """Nobody gives NaN, not a number made up."""
    empty = Sketch.of(array(math.nan, math.inf, -math.inf))
    assert empty.n == 0
    assert np.isnan(empty.quantiles(array(0.5))).all()
    assert np.isnan(empty.cuts(3)).all()
    assert Sketch.merge([]).n == 0
