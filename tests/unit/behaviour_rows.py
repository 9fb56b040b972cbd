"""Customers for the behaviour tests: fact dictionaries as hypothesis draws them, and rows made of them."""

import math

import numpy as np
from hypothesis import strategies as st

from nextbest.facts import Catalogue, FactType
from nextbest.model import Rows
from nextbest.standard_facts import CONTRACT_STATES, STANDARD_FACTS

NOW = 1_700_000_000.0
DAY = 86400.0
CATALOGUE = Catalogue(STANDARD_FACTS)


def maybe(strategy):
    """The drawn value, or None for a missing fact."""
    return st.none() | strategy


ADVERSARIAL = st.sampled_from(
    [0.0, -0.0, 1.0, -1.0, 1.3, -0.3, 120.0, 5e-324, 1e300, -1e300, math.inf, -math.inf]
)
TIMES = (
    st.floats(-1200, 30).map(lambda days: NOW + days * DAY)
    | st.sampled_from([-90, -89.99, -180, -179, -30, 0, 1]).map(lambda days: NOW + days * DAY)
    | st.sampled_from([math.inf, -math.inf])
)


def number(low, high, *special):
    """A number in its range, at a threshold, or an adversarial one."""
    return maybe(st.floats(low, high) | st.sampled_from([low, high, *special]) | ADVERSARIAL)


LOYALTY_FACTS = st.fixed_dictionaries(
    {
        "nps_relation": maybe(st.integers(0, 10).map(float)),
        "nps_relation_at": maybe(TIMES),
        "satisfaction": number(0.0, 100.0, 50.0, 60.0),
        "share_of_wallet": number(0.0, 1.0, 0.6, 0.95),
        "positive_mentions": maybe(st.integers(0, 20).map(float) | ADVERSARIAL),
        "negative_mentions": maybe(st.integers(0, 4).map(float) | ADVERSARIAL),
        "complaint_severity": maybe(st.integers(0, 3).map(float)),
        "complaint_at": maybe(TIMES),
        "joined": maybe(TIMES),
        "first_purchase": maybe(TIMES),
        "last_purchase": maybe(TIMES),
        "contract_state": maybe(st.integers(0, len(CONTRACT_STATES) - 1)),
        "repeat_purchases": maybe(st.integers(0, 60).map(float)),
        "observed_weeks": number(0.0, 104.0),
        "discount_share": number(0.0, 1.0, 0.5),
    }
)
TRUTHS = st.sampled_from([True, False, None])
SHARES = maybe(st.floats(0, 1) | st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0]))


def as_float(value):
    """None as NaN, truth as 1 or 0."""
    return math.nan if value is None else float(value)


def array(*values):
    """The values as float64, None as NaN."""
    return np.array([as_float(value) for value in values])


def rows_of(customers, *, catalogue=CATALOGUE, as_of=NOW):
    """Rows of fact dictionaries: enums as codes, sets as collections of member names."""
    n = len(customers)
    numbers = np.full((n, catalogue.n_numbers), math.nan)
    words = np.zeros((n, catalogue.n_words), np.uint64)
    known = np.zeros((n, catalogue.n_known_words), np.uint64)
    for i, facts in enumerate(customers):
        for name, value in facts.items():
            if value is None:
                continue
            if name in catalogue.columns:
                numbers[i, catalogue.column(name)] = value
                continue
            place = catalogue.bits[name]
            known[i, place.known_word] |= np.uint64(1 << place.known_bit)
            bits = int(value) << place.shift if isinstance(value, bool) else set_bits(catalogue, name, value)
            words[i, place.word] |= np.uint64(bits)
    for part in (numbers, words, known):
        part.flags.writeable = False
    return Rows(np.full(n, as_of), numbers, words, known)


def set_bits(catalogue, name, members):
    """Bits of a set's members."""
    return sum(1 << catalogue.code(name, member) for member in members)


def with_values(fact, values):
    """The standard fact with members of its own."""
    from dataclasses import replace

    assert fact.type in (FactType.ENUM, FactType.SET)
    return replace(fact, values=values)
