"""Assignment to variations: published cases, and plain integers on whatever text."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.naive import bucketing as naive

from nextbest.learning.bucketing import bucket, bucket_ranges, in_namespace, variation

CASES = json.loads((Path(__file__).parents[1] / "oracles" / "bucketing.json").read_text(encoding="utf-8"))


def named(kind):
    """Cases that begin with a name: the cases, and their names."""
    return {"argvalues": [case[1:] for case in CASES[kind]], "ids": [case[0] for case in CASES[kind]]}


def test_every_published_case_is_read():
    """The file holds these kinds of cases and no other."""
    assert {kind: len(cases) for kind, cases in CASES.items()} == {
        "hash": 15,
        "getBucketRange": 13,
        "chooseVariation": 13,
        "inNamespace": 16,
        "getEqualWeights": 6,
    }


@pytest.mark.parametrize(("seed", "value", "version", "expected"), CASES["hash"])
def test_published_hashes(seed, value, version, expected):
    """Both versions give the published buckets; another version gives none."""
    found = bucket(seed, value, version)
    assert math.isnan(found) if expected is None else found == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [c[1:] for c in CASES["getBucketRange"]],
    ids=[c[0] for c in CASES["getBucketRange"]],
)
def test_published_ranges(asked, expected):
    """Coverage is clamped, and weights that make no sense are equal ones."""
    np.testing.assert_allclose(bucket_ranges(*asked), expected, atol=1e-12)


@pytest.mark.parametrize(("where", "ranges", "expected"), **named("chooseVariation"))
def test_published_choices(where, ranges, expected):
    """The first range that holds the bucket, with its lower end and without its upper."""
    assert variation(where, np.array(ranges, float)) == expected


@pytest.mark.parametrize(
    ("value", "space", "expected"),
    [c[1:] for c in CASES["inNamespace"]],
    ids=[c[0] for c in CASES["inNamespace"]],
)
def test_published_namespaces(value, space, expected):
    """Namespaces part customers without overlap."""
    assert in_namespace(value, *space) is expected


@pytest.mark.parametrize(("count", "expected"), CASES["getEqualWeights"])
def test_published_equal_weights(count, expected):
    """Without weights the variations share equally; no variations have no ranges."""
    ranges = bucket_ranges(count)
    np.testing.assert_allclose(ranges[:, 1] - ranges[:, 0], expected, atol=1e-8)


@given(st.text(), st.text(), st.sampled_from([1, 2, 3]))
def test_whatever_text_falls_where_plain_integers_say(seed, value, version):
    """Letters of any language are hashed as UTF-8."""
    expected = naive.bucket(seed, value, version)
    assert bucket(seed, value, version) == expected or expected is None


@given(
    st.integers(1, 6),
    st.floats(-1, 2),
    st.none() | st.lists(st.floats(0, 1), min_size=1, max_size=6),
    st.floats(0, 1, exclude_max=True),
)
def test_ranges_and_choices_are_those_of_plain_sums(count, coverage, weights, where):
    """Any weights and coverage give the oracle's ranges, and any bucket its choice within them."""
    expected = naive.ranges(count, coverage, weights)
    found = bucket_ranges(count, coverage, weights)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert variation(where, found) == naive.choose(where, found.tolist())


def test_many_customers_share_out_as_the_weights_say():
    """Of 20,000 ids, 70 % of a half take part as one variation, 30 % of a half as the other."""
    ranges = bucket_ranges(2, 0.5, [0.7, 0.3])
    chosen = np.array([variation(bucket("salt", f"customer-{i}"), ranges) for i in range(20_000)])
    shares = [(chosen == k).mean() for k in (-1, 0, 1)]
    np.testing.assert_allclose(shares, [0.5, 0.35, 0.15], atol=0.01)
