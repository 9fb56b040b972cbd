"""Changes between successive snapshots against a comparison of dictionaries."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import changes as naive
from tests.unit.behaviour_rows import array, as_float, maybe, rows_of, with_values

from nextbest.behaviour.changes import CHANGES, change_tables, changes, number_changes
from nextbest.facts import Catalogue, FactType
from nextbest.standard_facts import STANDARD_FACTS

MEMBERS = ("a", "b", "c")
CATALOGUE = Catalogue(
    tuple(
        with_values(fact, MEMBERS) if fact.type in (FactType.ENUM, FactType.SET) and not fact.values else fact
        for fact in STANDARD_FACTS
    )
)
WATCHED = ("satisfaction", "complaint_open", "needs", "service_grade", "lock_in", "held_stage", "consent")
NUMBERS = maybe(st.sampled_from([0.0, -0.0, 1.0, 1.5, -20.0, 20.0, 5e-324, 1e300, math.inf, -math.inf]))


def values_of(fact):
    """Values that a snapshot may hold for the fact."""
    if fact.type is FactType.BOOL:
        return maybe(st.booleans())
    if fact.type is FactType.SET:
        return maybe(st.frozensets(st.sampled_from(fact.values)))
    if fact.type is FactType.ENUM:
        return maybe(st.integers(0, len(fact.values) - 1))
    return NUMBERS


SNAPSHOTS = st.fixed_dictionaries({name: values_of(CATALOGUE[name]) for name in WATCHED})


@settings(max_examples=100, deadline=None)
@given(old=SNAPSHOTS, new=SNAPSHOTS)
def test_rows_are_compared_as_dictionaries_are(old, new):
    """A fact changed when its value differs, or when it is missing on one side only."""
    before, after = (rows_of([facts], catalogue=CATALOGUE) for facts in (old, new))
    found = changes(before, after, change_tables(CATALOGUE, WATCHED))
    expected = naive.changes(WATCHED, old, new)
    assert {name for name, is_new in zip(WATCHED, found[0], strict=True) if is_new} == expected


def test_the_same_rows_hold_no_change():
    """A row beside itself has changed in nothing, whatever is missing in it."""
    rows = rows_of([{}, {"needs": frozenset("ab"), "satisfaction": 3.0}], catalogue=CATALOGUE)
    assert not changes(rows, rows, change_tables(CATALOGUE, WATCHED)).any()


@settings(max_examples=200, deadline=None)
@given(
    old=NUMBERS,
    new=NUMBERS,
    kind=st.sampled_from(CHANGES),
    by=st.sampled_from([0.0, 0.5, 20.0]),
    by_share=st.sampled_from([0.0, 0.5, 2.0]),
)
def test_numbers_change_as_the_oracle_says(old, new, kind, by, by_share):
    """Rising, falling, appearing and vanishing, by an amount and by a share of what was."""
    found = number_changes(array(old), array(new), CHANGES.index(kind), by, by_share)
    expected = naive.number_change(
        None if old is None else as_float(old), new, kind, by=by, by_share=by_share
    )
    assert bool(found[0]) == expected


def test_amounts_are_inclusive():
    """A fall by exactly the amount asked for counts."""
    fell = CHANGES.index("fell")
    old, new = array(80.0, 80.0, 80.0), array(60.0, 60.1, 40.0)
    np.testing.assert_array_equal(number_changes(old, new, fell, 20.0, 0.0), [1.0, 0.0, 1.0])
    np.testing.assert_array_equal(number_changes(old, new, fell, 0.0, 0.5), [0.0, 0.0, 1.0])
