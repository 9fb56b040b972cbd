"""How well a customer is known: data quality, completeness, and attitudes per segment.

Source: domain model, section 12.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nextbest.behaviour.index import age_days
from nextbest.facts import Catalogue, Fact
from nextbest.kernels import kernel, lean_kernel
from nextbest.model import F64, I64, U8, U64, Rows

MISSING, STALE, FRESH = 0, 1, 2
"""What `fact_states` says of a required fact."""
ATTITUDE_SCORES = ("nps_relation", "satisfaction")
"""Numbers that tell an attitude."""
ATTITUDE_PREFERENCES = ("preferred_channel", "needs", "expectations", "blocked_topics")
"""Preferences the customer declared; an empty set declares none."""
NO_ATTITUDE = "no attitude is known: neither NPS, nor satisfaction, nor preference"
"""Said of a customer without one."""


class QualityTables(NamedTuple):
    """Where the k required facts of a catalogue lie; arrays only, so that kernels take it whole."""

    column: I64
    """(k,) column of a number, -1 for a bool or set."""
    known_word: I64
    """(k,) known word of a bool or set."""
    known_bit: I64
    """(k,) known bit of a bool or set."""
    observed_column: I64
    """(k,) column of the time it was observed, -1 = none declared: the snapshot's own time counts."""
    fresh_days: F64
    """(k,) inf = never stale."""
    weight: F64
    """(k,) weight in the data quality."""


class DataQuality(NamedTuple):
    """How well n customers are known."""

    quality: F64
    """(n,) weighted share of required facts known and fresh, 0 to 1."""
    completeness: F64
    """(n,) plain share of required facts known, 0 to 1."""


class AttitudeTables(NamedTuple):
    """Where a catalogue keeps attitudes; arrays only, so that kernels take it whole."""

    column: I64
    """Columns of numbers that tell an attitude."""
    word: I64
    """Value words of the preference sets."""
    known_word: I64
    known_bit: I64


class AttitudeCoverage(NamedTuple):
    """Whether the company knows what each segment thinks."""

    customers: I64
    """(segments,) count."""
    share: F64
    """(segments,) share with any attitude known, NaN = an empty segment."""


def required_facts(catalogue: Catalogue) -> tuple[Fact, ...]:
    """Facts with a weight in the data quality, in catalogue order."""
    return tuple(fact for fact in catalogue.facts if fact.quality_weight > 0)


def quality_tables(catalogue: Catalogue) -> QualityTables:
    """Lay out the catalogue's required facts for the kernels."""
    facts = required_facts(catalogue)
    places = [catalogue.bits.get(fact.name) for fact in facts]
    return QualityTables(
        _whole([catalogue.column(fact.name) for fact in facts]),
        _whole([place.known_word if place else 0 for place in places]),
        _whole([place.known_bit if place else 0 for place in places]),
        _whole([catalogue.column(fact.observed_at) for fact in facts]),
        np.array([math.inf if fact.fresh_days is None else fact.fresh_days for fact in facts]),
        np.array([fact.quality_weight for fact in facts]),
    )


def _whole(values: Sequence[int]) -> I64:
    return np.array(values, np.int64)


@lean_kernel
def is_known_bit(known: U64, customer: int, word: int, bit: int) -> bool:
    """Whether a bool or set of a row is known."""
    return (known[customer, word] >> np.uint64(bit)) & np.uint64(1) != np.uint64(0)


@lean_kernel
def fact_state(value: float, observed: float, now: float, fresh_days: float) -> int:
    """One required fact, NaN = missing: MISSING, STALE or FRESH.

    A fact whose catalogue declares a time of observation that the row lacks is not known to be
    fresh, hence stale, unless it never ages.
    """
    if math.isnan(value):
        return MISSING
    if fresh_days == math.inf:
        return FRESH
    return FRESH if age_days(observed, now) <= fresh_days else STALE


@lean_kernel
def state_of(
    numbers: F64,
    known: U64,
    customer: int,
    as_of: float,
    now: float,
    tables: QualityTables,
    fact: int,
) -> int:
    """One customer's state of one required fact: MISSING, STALE or FRESH."""
    if tables.column[fact] >= 0:
        value = numbers[customer, tables.column[fact]]
    else:
        is_known = is_known_bit(known, customer, tables.known_word[fact], tables.known_bit[fact])
        value = 1.0 if is_known else math.nan
    observed = as_of
    if tables.observed_column[fact] >= 0:
        observed = numbers[customer, tables.observed_column[fact]]
    return fact_state(value, observed, now, tables.fresh_days[fact])


@lean_kernel
def quality_of(
    numbers: F64, known: U64, customer: int, as_of: float, now: float, tables: QualityTables
) -> tuple[float, float]:
    """One customer's data quality and completeness; see `data_quality`."""
    facts = len(tables.weight)
    if facts == 0:
        return 1.0, 1.0
    total, fresh, count = 0.0, 0.0, 0
    for fact in range(facts):
        total += tables.weight[fact]
        state = state_of(numbers, known, customer, as_of, now, tables, fact)
        if state != MISSING:
            count += 1
        if state == FRESH:
            fresh += tables.weight[fact]
    return fresh / total, count / facts


@kernel
def fact_states(numbers: F64, known: U64, as_of: F64, now: F64, tables: QualityTables) -> U8:
    """(n, required facts) of MISSING, STALE or FRESH, for explanations and for collecting.

    Oracle: `tests.naive.quality.fact_state`.
    """
    n, facts = len(now), len(tables.weight)
    states = np.empty((n, facts), np.uint8)
    for i in range(n):
        for fact in range(facts):
            states[i, fact] = state_of(numbers, known, i, as_of[i], now[i], tables, fact)
    return states


@kernel
def data_quality(numbers: F64, known: U64, as_of: F64, now: F64, tables: QualityTables) -> DataQuality:
    """Data quality and completeness of n customers.

    Args:
        numbers: (n, facts) row matrix, NaN = missing.
        known: (n, known words) of the rows.
        as_of: (n,) epoch seconds, the snapshot's time.
        now: (n,) epoch seconds.
        tables: what `quality_tables` gives for the rows' catalogue.

    Returns:
        Both 1 where the catalogue requires nothing: then nothing is lacking.

    Source: domain model, sections 6 and 12. Oracle: `tests.naive.quality.data_quality`.
    """
    n = len(now)
    quality, completeness = np.empty(n), np.empty(n)
    for i in range(n):
        quality[i], completeness[i] = quality_of(numbers, known, i, as_of[i], now[i], tables)
    return DataQuality(quality, completeness)


def facts_to_collect(catalogue: Catalogue, states: U8) -> tuple[str, ...]:
    """Names of one customer's missing and stale required facts, the weightiest first.

    Args:
        catalogue: the catalogue that `states` was computed under.
        states: (required facts,) one row of `fact_states`.
    """
    lacking = [f for f, state in zip(required_facts(catalogue), states, strict=True) if state != FRESH]
    return tuple(fact.name for fact in sorted(lacking, key=lambda fact: -fact.quality_weight))


def attitude_tables(catalogue: Catalogue) -> AttitudeTables:
    """Find those of the attitude facts that the catalogue has."""
    names = ATTITUDE_SCORES + ATTITUDE_PREFERENCES
    sets = [catalogue.bits[name] for name in names if name in catalogue.bits]
    return AttitudeTables(
        _whole([catalogue.column(name) for name in names if catalogue.column(name) >= 0]),
        _whole([place.word for place in sets]),
        _whole([place.known_word for place in sets]),
        _whole([place.known_bit for place in sets]),
    )


@kernel
def attitude_known(numbers: F64, words: U64, known: U64, tables: AttitudeTables) -> U8:
    """(n,) 1 where any relation NPS, satisfaction or declared preference is known, else 0.

    Oracle: `tests.naive.quality.attitude_known`.
    """
    n = len(numbers)
    attitude = np.zeros(n, np.uint8)
    for i in range(n):
        for column in tables.column:
            if not math.isnan(numbers[i, column]):
                attitude[i] = 1
        for place in range(len(tables.word)):
            declared = is_known_bit(known, i, tables.known_word[place], tables.known_bit[place])
            if declared and words[i, tables.word[place]] != np.uint64(0):
                attitude[i] = 1
    return attitude


def has_attitude(rows: Rows, row: int, tables: AttitudeTables) -> bool:
    """Whether any attitude of one customer is known; see `attitude_known`."""
    part = slice(row, row + 1)
    return bool(attitude_known(rows.numbers[part], rows.words[part], rows.known[part], tables)[0])


@kernel
def attitude_coverage(attitude: U8, segments: U64, n_segments: int) -> AttitudeCoverage:
    """Share of each segment's customers whose attitude is known.

    Args:
        attitude: (n,) what `attitude_known` gives.
        segments: (n,) bit set of the segments a customer is in; they may overlap.
        n_segments: how many segments there are, at most 64.

    Oracle: `tests.naive.quality.attitude_coverage`.
    """
    customers, with_attitude = np.zeros(n_segments, np.int64), np.zeros(n_segments, np.int64)
    for i in range(len(attitude)):
        for segment in range(n_segments):
            if (segments[i] >> np.uint64(segment)) & np.uint64(1) != np.uint64(0):
                customers[segment] += 1
                with_attitude[segment] += attitude[i]
    # An empty segment gives 0 / 0 = NaN: nobody to know.
    return AttitudeCoverage(customers, with_attitude / customers)
