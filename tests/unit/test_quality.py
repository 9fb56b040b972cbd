"""Data quality, completeness and attitude coverage against the oracle."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import quality as naive
from tests.unit.behaviour_rows import DAY, NOW, TIMES, array, maybe, rows_of, with_values

from nextbest.behaviour.quality import (
    FRESH,
    MISSING,
    STALE,
    attitude_coverage,
    attitude_known,
    attitude_tables,
    data_quality,
    fact_state,
    fact_states,
    facts_to_collect,
    quality_tables,
)
from nextbest.facts import Catalogue
from nextbest.standard_facts import STANDARD_FACTS

REQUIRED = {
    "nps_relation": (3.0, 180.0),
    "satisfaction": (2.0, 365.0),
    "revenue_net": (1.0, None),
    "household": (0.5, 30.0),
    "needs": (1.5, None),
    "complaint_open": (1.0, 10.0),
}


def required(fact):
    """The standard fact as a rulebook would declare it."""
    weight, fresh_days = REQUIRED.get(fact.name, (0.0, None))
    if fact.name in ("household", "needs", "blocked_topics"):
        fact = with_values(fact, ("a", "b", "c"))
    return replace(fact, quality_weight=weight, fresh_days=fresh_days)


CATALOGUE = Catalogue(tuple(required(fact) for fact in STANDARD_FACTS))
TABLES = quality_tables(CATALOGUE)
MEMBERS = st.frozensets(st.sampled_from(["a", "b", "c"]))
NAMES = {fact.name for fact in CATALOGUE.facts}
FACTS = st.fixed_dictionaries(
    {
        "nps_relation": maybe(st.integers(0, 10)),
        "nps_relation_at": maybe(TIMES),
        "satisfaction": maybe(st.floats(0, 100)),
        "satisfaction_at": maybe(TIMES),
        "revenue_net": maybe(st.floats(-1e6, 1e6) | st.sampled_from([math.inf, -math.inf])),
        "household": maybe(st.integers(0, 2)),
        "preferred_channel": maybe(st.integers(0, 2)),
        "needs": maybe(MEMBERS),
        "blocked_topics": maybe(MEMBERS),
        "complaint_open": maybe(st.booleans()),
    }
)


def quality_of(facts, *, as_of=NOW, catalogue=CATALOGUE):
    """Quality and completeness of one customer."""
    rows = rows_of([facts], catalogue=catalogue, as_of=as_of)
    found = data_quality(rows.numbers, rows.known, rows.as_of, array(NOW), quality_tables(catalogue))
    return found.quality[0], found.completeness[0]


@settings(max_examples=100, deadline=None)
@given(facts=FACTS, as_of=TIMES)
def test_quality_equals_the_oracle(facts, as_of):
    """Quality and completeness equal the text's over numbers, enums, bools and sets."""
    expected = naive.data_quality(CATALOGUE, facts, as_of=as_of, now=NOW)
    assert quality_of(facts, as_of=as_of) == pytest.approx(expected)


@settings(max_examples=100, deadline=None)
@given(facts=FACTS, as_of=TIMES)
def test_states_equal_the_oracle(facts, as_of):
    """Each required fact is missing, stale or fresh as the text has it."""
    rows = rows_of([facts], catalogue=CATALOGUE, as_of=as_of)
    found = fact_states(rows.numbers, rows.known, rows.as_of, array(NOW), TABLES)[0]
    codes = {"missing": MISSING, "stale": STALE, "fresh": FRESH}
    wanted = [
        codes[naive.fact_state(fact, facts, catalogue_names=NAMES, as_of=as_of, now=NOW)]
        for fact in CATALOGUE.facts
        if fact.name in REQUIRED
    ]
    assert found.tolist() == wanted


FULL = {
    "nps_relation": 9,
    "nps_relation_at": NOW,
    "satisfaction": 80,
    "satisfaction_at": NOW,
    "revenue_net": 1.0,
    "household": 0,
    "needs": ["a"],
    "complaint_open": False,
}


@pytest.mark.parametrize(
    ("changed", "quality", "completeness"),
    [
        ({}, 1.0, 1.0),
        ({"nps_relation": None}, 6 / 9, 5 / 6),
        ({"nps_relation_at": NOW - 180 * DAY}, 1.0, 1.0),
        ({"nps_relation_at": NOW - 180.01 * DAY}, 6 / 9, 1.0),
        ({"nps_relation_at": None}, 6 / 9, 1.0),
        ({"complaint_open": None}, 8 / 9, 5 / 6),
        ({"needs": []}, 1.0, 1.0),
        (dict.fromkeys(FULL), 0.0, 0.0),
    ],
)
def test_stale_facts_are_known_but_lower_the_quality(changed, quality, completeness):
    """A fact of unknown or high age counts as known, not as fresh; a known empty set is known."""
    assert quality_of(FULL | changed) == pytest.approx((quality, completeness))


def test_without_a_time_of_observation_the_snapshot_ages():
    """A fact that has no companion is as old as the snapshot."""
    assert quality_of(FULL, as_of=NOW - 11 * DAY)[0] == pytest.approx(8 / 9)
    assert quality_of(FULL, as_of=NOW - 31 * DAY)[0] == pytest.approx(7.5 / 9)


@pytest.mark.parametrize("observed", [NOW, NOW - 9000 * DAY, math.nan, -math.inf])
def test_what_never_ages_is_fresh_whenever_it_was_seen(observed):
    """A fact without a limit to its age is fresh, even where nobody knows since when it is known."""
    assert fact_state(1.0, observed, NOW, math.inf) == FRESH
    assert fact_state(math.nan, observed, NOW, math.inf) == MISSING


def test_nothing_required_means_nothing_lacking():
    """A catalogue without required facts gives full quality, so that no gate closes."""
    assert quality_of({}, catalogue=Catalogue(STANDARD_FACTS)) == (1.0, 1.0)


def test_the_weightiest_gap_is_collected_first():
    """Missing and stale facts are named, the weightiest first."""
    facts = FULL | {"nps_relation_at": NOW - 900 * DAY, "household": None, "needs": None}
    rows = rows_of([facts], catalogue=CATALOGUE)
    states = fact_states(rows.numbers, rows.known, rows.as_of, array(NOW), TABLES)[0]
    assert facts_to_collect(CATALOGUE, states) == ("nps_relation", "needs", "household")


@settings(max_examples=60, deadline=None)
@given(customers=st.lists(st.tuples(FACTS, st.frozensets(st.integers(0, 4))), min_size=1, max_size=8))
def test_attitude_coverage_equals_the_oracle(customers):
    """Coverage per overlapping segment is the share with any attitude, unknown where it is empty."""
    rows = rows_of([facts for facts, _ in customers], catalogue=CATALOGUE)
    attitude = attitude_known(rows.numbers, rows.words, rows.known, attitude_tables(CATALOGUE))
    assert attitude.tolist() == [naive.attitude_known(facts) for facts, _ in customers]
    segments = np.array([sum(1 << s for s in members) for _, members in customers], np.uint64)
    found = attitude_coverage(attitude, segments, 6)
    expected = naive.attitude_coverage(
        [(naive.attitude_known(facts), members) for facts, members in customers], 6
    )
    assert found.customers.tolist() == [count for count, _ in expected]
    shares = [math.nan if share is None else share for _, share in expected]
    assert found.share == pytest.approx(shares, nan_ok=True)


@pytest.mark.parametrize(
    ("facts", "known"),
    [
        ({"satisfaction": 0}, 1),
        ({"needs": []}, 0),
        ({"blocked_topics": ["b"]}, 1),
        ({"revenue_net": 5.0, "touchpoint_score": 9}, 0),
    ],
)
def test_transactions_tell_no_attitude(facts, known):
    """Only relation NPS, satisfaction and declared preferences are attitudes."""
    rows = rows_of([facts], catalogue=CATALOGUE)
    found = attitude_known(rows.numbers, rows.words, rows.known, attitude_tables(CATALOGUE))
    assert found.tolist() == [known]


def test_the_last_set_bit_of_a_word_is_read():
    """The 64th known bit and the first of the next word are told apart."""
    bools = [f for f in STANDARD_FACTS if f.name == "lock_in"]
    facts = tuple(replace(bools[0], name=f"b{i}", quality_weight=1.0) for i in range(66))
    catalogue = Catalogue(facts)
    for name in ("b63", "b64"):
        quality, _ = quality_of({name: True}, catalogue=catalogue)
        assert quality == pytest.approx(1 / 66)
    rows = rows_of([{"b63": False}], catalogue=catalogue)
    states = fact_states(rows.numbers, rows.known, rows.as_of, array(NOW), quality_tables(catalogue))
    assert np.flatnonzero(states[0]).tolist() == [63]
