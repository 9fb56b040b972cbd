"""Changes between successive snapshots against a comparison of dictionaries."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import changes as naive
from tests.unit.behaviour_rows import maybe, rows_of, with_values

from nextbest.behaviour.changes import (
    GROUPS,
    ChangeKind,
    change_tables,
    changed_groups,
    changes,
    fact_changes,
    figure_changes,
    least_figure_changes,
)
from nextbest.facts import Catalogue, FactGroup, FactType, Figure
from nextbest.standard_facts import STANDARD_FACTS

MEMBERS = ("a", "b", "c")
CATALOGUE = Catalogue(
    tuple(
        with_values(fact, MEMBERS) if fact.type in (FactType.ENUM, FactType.SET) and not fact.values else fact
        for fact in STANDARD_FACTS
    )
)
TABLES = change_tables(CATALOGUE)


def values_of(fact):
    """Values that a snapshot may hold for the fact."""
    if fact.type is FactType.BOOL:
        return maybe(st.booleans())
    if fact.type is FactType.SET:
        return maybe(st.frozensets(st.sampled_from(fact.values)))
    if fact.type is FactType.ENUM:
        return maybe(st.integers(0, len(fact.values) - 1))
    return maybe(st.sampled_from([0.0, -0.0, 1.0, 1.5, 5e-324, math.inf, -math.inf]))


WATCHED = ("satisfaction", "complaint_open", "needs", "service_grade", "lock_in", "held_stage", "consent")
SNAPSHOTS = st.fixed_dictionaries({name: values_of(CATALOGUE[name]) for name in WATCHED})


def compare(old, new, tables=TABLES):
    """Changed groups, and changes by fact name, between two fact dictionaries."""
    before, after = rows_of([old], catalogue=CATALOGUE), rows_of([new], catalogue=CATALOGUE)
    found = changes(CATALOGUE, before, after, tables)
    return (
        set(changed_groups(int(found.groups[0]))),
        {c.name: c for c in fact_changes(CATALOGUE, before, after, found, 0)},
    )


@settings(max_examples=100, deadline=None)
@given(old=SNAPSHOTS, new=SNAPSHOTS, least=st.sampled_from([0.0, 0.5, 2.0]))
def test_changes_equal_the_oracle(old, new, least):
    """Groups, facts, old and new values are those of the dictionaries, missing ones included."""
    tables = change_tables(CATALOGUE, least={"satisfaction": least})
    groups, facts = compare(old, new, tables)
    expected_groups, expected = naive.changes(CATALOGUE, old, new, least={"satisfaction": least})
    assert groups == expected_groups
    assert set(facts) == set(expected)
    for name, pair in expected.items():
        fact = CATALOGUE[name]
        named = [fact.values[v] if fact.type is FactType.ENUM and v is not None else v for v in pair]
        assert [facts[name].old, facts[name].new] == named


@settings(max_examples=30, deadline=None)
@given(old=SNAPSHOTS, new=SNAPSHOTS, watched=st.sets(st.sampled_from(WATCHED)))
def test_only_watched_facts_trigger(old, new, watched):
    """A fact that is not watched never counts as changed."""
    groups, facts = compare(old, new, change_tables(CATALOGUE, watched))
    expected_groups, expected = naive.changes(CATALOGUE, old, new, watched=watched)
    assert (groups, set(facts)) == (expected_groups, set(expected))


@settings(max_examples=30, deadline=None)
@given(snapshot=SNAPSHOTS)
def test_the_same_snapshot_has_not_changed(snapshot):
    """A snapshot does not differ from itself, missing facts and infinities included."""
    assert compare(snapshot, snapshot) == (set(), {})


@pytest.mark.parametrize(
    ("name", "old", "new", "kind"),
    [
        ("satisfaction", None, 70, ChangeKind.APPEARED),
        ("satisfaction", 70, None, ChangeKind.VANISHED),
        ("satisfaction", 70, 50, ChangeKind.FELL),
        ("satisfaction", 50, 70, ChangeKind.ROSE),
        ("service_grade", 0, 1, ChangeKind.CHANGED),
        ("complaint_open", False, True, ChangeKind.CHANGED),
        ("needs", ["a"], ["a", "b"], ChangeKind.CHANGED),
    ],
)
def test_kind_of_change(name, old, new, kind):
    """Numbers rise or fall, other facts change, and any fact may appear or vanish."""
    _, facts = compare({name: old}, {name: new})
    assert {n: c.kind for n, c in facts.items()} == {name: kind}


@pytest.mark.parametrize("fact", CATALOGUE.facts, ids=lambda fact: fact.name)
def test_every_standard_fact_can_trigger(fact):
    """A first value of any fact is a change of that fact alone, in its own box."""
    value = {FactType.BOOL: False, FactType.SET: [], FactType.ENUM: 0}.get(fact.type, 1)
    groups, facts = compare({}, {fact.name: value})
    assert groups == {fact.group}
    assert set(facts) == {fact.name}


def test_a_missing_bit_hides_the_value_behind_it():
    """Value bits without their known bit are no value, so they cannot change."""
    before, after = rows_of([{}], catalogue=CATALOGUE), rows_of([{}], catalogue=CATALOGUE)
    garbage = np.full_like(after.words, 0xFFFF)
    after = type(after)(after.as_of, after.numbers, garbage, after.known)
    assert changes(CATALOGUE, before, after, TABLES).groups.tolist() == [0]


def test_groups_cover_the_data_basis():
    """Every box of the data basis has its own bit."""
    assert set(GROUPS) == set(FactGroup)
    assert changed_groups((1 << len(GROUPS)) - 1) == GROUPS


LEAST = {Figure.STAGE: 0.0, Figure.LEVEL: 0.0, Figure.LTV: 50.0}
FIGURE_VALUES = st.none() | st.sampled_from([0.0, 1.0, 2.0, 50.0, 51.0, 101.0])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_figure_changes_equal_the_oracle(data):
    """Stage, level or LTV trigger beyond their least change, other figures never."""
    old, new = ({figure.name: data.draw(FIGURE_VALUES) for figure in Figure} for _ in range(2))
    matrices = (np.array([[math.nan if v is None else v for v in side.values()]]) for side in (old, new))
    bits = int(figure_changes(*matrices, least_figure_changes(LEAST))[0])
    found = {figure.name for figure in Figure if bits >> figure & 1}
    assert found == naive.figure_changes(old, new, {figure.name: least for figure, least in LEAST.items()})
