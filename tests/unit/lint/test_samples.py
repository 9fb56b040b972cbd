"""Samples stand for all numbers: nothing that compares with the constants tells two of a stretch apart."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextbest.rulebook.samples import ANY, Bounds, number_samples

NUMBERS = st.integers(-40, 40).map(lambda n: n / 4)


def answers(number: float, constants: list[float]) -> tuple[object, ...]:
    """Everything that comparisons with the constants can say of a number."""
    return tuple((number < c, number == c) for c in constants)


@given(st.lists(NUMBERS, max_size=5), st.booleans(), st.tuples(NUMBERS, NUMBERS).map(sorted))
def test_every_number_has_a_sample_like_it(constants, whole, bounds) -> None:
    """Any number within the bounds is answered as one of the samples is, and all samples are within."""
    low, high = bounds
    samples = number_samples(constants, whole=whole, bounds=Bounds(low, high))
    assert all(low <= s <= high and not (whole and s != math.floor(s)) for s in samples)
    found = {answers(s, constants) for s in samples}
    possible = (n / 8 for n in range(math.ceil(low * 8), math.floor(high * 8) + 1))
    assert found == {answers(n, constants) for n in possible if not (whole and n != math.floor(n))}


@given(st.lists(NUMBERS, min_size=1, max_size=4), st.booleans())
def test_unbounded_samples_reach_beyond_every_constant(constants, whole) -> None:
    """Without bounds there are samples below the least and above the greatest constant."""
    samples = number_samples(constants, whole=whole)
    assert samples[0] < min(constants)
    assert samples[-1] > max(constants)


@pytest.mark.parametrize(
    ("constants", "whole", "bounds", "samples"),
    [
        ([], False, ANY, [0.0]),
        ([], True, Bounds(2.5, 3.5), [3.0]),
        ([3.0, 4.0], True, ANY, [2.0, 3.0, 4.0, 5.0]),
        ([3.5], True, ANY, [3.0, 4.0]),
        ([1.2], False, Bounds(0.0, 1.0), [0.5]),
        ([0.0, 1.0], False, Bounds(0.0, 1.0), [0.0, 0.5, 1.0]),
        ([5.0], False, Bounds(5.0, 5.0), [5.0]),
        ([1.0, math.nextafter(1.0, 2.0)], False, Bounds(1.0, 1.5), [1.0, 1.0 + 2**-52, 1.25]),
    ],
)
def test_samples_are_plain(constants, whole, bounds, samples) -> None:
    """One sample a constant and a stretch, within bounds; whole numbers where only those can be."""
    found = number_samples(constants, whole=whole, bounds=bounds)
    assert found == pytest.approx(samples, abs=1e-15)
