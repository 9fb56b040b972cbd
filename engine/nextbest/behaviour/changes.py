"""What changed between two successive snapshots, fact by fact and box by box.

A change of a watched fact is a trigger's event: the bit sets say which, for a population at memory
speed; `fact_changes` gives the old and the new value of one customer as evidence.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

import numpy as np

from nextbest.facts import Catalogue, Fact, FactGroup, FactType, Figure
from nextbest.kernels import kernel
from nextbest.model import F64, I64, U64, Rows

GROUPS = tuple(FactGroup)
"""Boxes of the data basis in the order of the bits that `changes` sets."""
FactValue: TypeAlias = float | int | bool | str | frozenset[str]
"""A fact's value as people read it: enum and set members by name, timestamps in epoch seconds."""


class ChangeKind(StrEnum):
    """How a fact changed."""

    APPEARED = "appeared"
    VANISHED = "vanished"
    ROSE = "rose"
    FELL = "fell"
    CHANGED = "changed"
    """Another value of something that has no order."""


@dataclass(frozen=True, slots=True)
class FactChange:
    """One fact's change between two snapshots; the evidence of a change trigger."""

    name: str
    group: FactGroup
    kind: ChangeKind
    old: FactValue | None
    """None = was missing."""
    new: FactValue | None
    """None = is missing."""


class ChangeTables(NamedTuple):
    """The watched facts of a catalogue; arrays only, so that kernels take it whole."""

    column: I64
    """(w,) column of a number, -1 for a bool or set."""
    least: F64
    """(w,) a number has changed when it differs by more than this."""
    word: I64
    """(w,) value word of a bool or set."""
    mask: U64
    """(w,) its bits in that word."""
    known_word: I64
    known_bit: I64
    fact: I64
    """(w,) place in the catalogue."""
    group: I64
    """(w,) index into `GROUPS`."""


class Changes(NamedTuple):
    """What changed for n customers."""

    groups: U64
    """(n,) bit set over `GROUPS`."""
    facts: U64
    """(n, words) bit set over the catalogue's facts, 64 to a word."""


class RowArrays(NamedTuple):
    """What kernels compare of a batch of snapshots."""

    numbers: F64
    words: U64
    known: U64


def change_tables(
    catalogue: Catalogue,
    watched: Collection[str] | None = None,
    least: Mapping[str, float] | None = None,
) -> ChangeTables:
    """Lay out the facts to compare.

    Args:
        catalogue: of both snapshots.
        watched: names of the facts that may trigger; None = all.
        least: per number, the difference up to which it counts as unchanged; 0 where not given.
    """
    tolerance = least or {}
    facts = [(i, f) for i, f in enumerate(catalogue.facts) if watched is None or f.name in watched]
    places = [catalogue.bits.get(fact.name) for _, fact in facts]
    masks = [_mask(fact, catalogue) for _, fact in facts]
    return ChangeTables(
        np.array([catalogue.column(fact.name) for _, fact in facts], np.int64),
        np.array([tolerance.get(fact.name, 0.0) for _, fact in facts], np.float64),
        np.array([place.word if place else 0 for place in places], np.int64),
        np.array(masks, np.uint64),
        np.array([place.known_word if place else 0 for place in places], np.int64),
        np.array([place.known_bit if place else 0 for place in places], np.int64),
        np.array([i for i, _ in facts], np.int64),
        np.array([GROUPS.index(fact.group) for _, fact in facts], np.int64),
    )


def _mask(fact: Fact, catalogue: Catalogue) -> int:
    if fact.type is FactType.BOOL:
        return 1 << catalogue.bits[fact.name].shift
    return (1 << len(fact.values)) - 1 if fact.type is FactType.SET else 0


@kernel
def number_changed(old: float, new: float, least: float) -> bool:
    """Whether a number differs by more than `least`, or is missing on one side only."""
    if math.isnan(old) or math.isnan(new):
        return math.isnan(old) != math.isnan(new)
    return old != new and abs(new - old) > least


@kernel
def bits_changed(old: RowArrays, new: RowArrays, customer: int, tables: ChangeTables, fact: int) -> bool:
    """Whether a bool or set differs, or is missing on one side only."""
    bit = np.uint64(1) << np.uint64(tables.known_bit[fact])
    was = old.known[customer, tables.known_word[fact]] & bit
    is_now = new.known[customer, tables.known_word[fact]] & bit
    if was != is_now or is_now == np.uint64(0):
        return was != is_now
    word = tables.word[fact]
    return (old.words[customer, word] ^ new.words[customer, word]) & tables.mask[fact] != np.uint64(0)


@kernel
def compare_rows(old: RowArrays, new: RowArrays, tables: ChangeTables, fact_words: int) -> Changes:
    """Bit sets of the boxes and facts that changed, for n pairs of rows.

    Oracle: `tests.naive.changes.changes`.
    """
    n = len(old.numbers)
    groups, facts = np.zeros(n, np.uint64), np.zeros((n, fact_words), np.uint64)
    for i in range(n):
        for w in range(len(tables.fact)):
            column = tables.column[w]
            if column >= 0:
                changed = number_changed(old.numbers[i, column], new.numbers[i, column], tables.least[w])
            else:
                changed = bits_changed(old, new, i, tables, w)
            if changed:
                groups[i] |= np.uint64(1) << np.uint64(tables.group[w])
                facts[i, tables.fact[w] // 64] |= np.uint64(1) << np.uint64(tables.fact[w] % 64)
    return Changes(groups, facts)


def changes(catalogue: Catalogue, old: Rows, new: Rows, tables: ChangeTables) -> Changes:
    """Compare the same n customers' rows at two times.

    Args:
        catalogue: of both.
        old: the earlier snapshots.
        new: the later ones, in the same order.
        tables: what `change_tables` gives for the catalogue.
    """
    fact_words = -(-len(catalogue.facts) // 64)
    return compare_rows(_arrays(old), _arrays(new), tables, fact_words)


def _arrays(rows: Rows) -> RowArrays:
    return RowArrays(rows.numbers, rows.words, rows.known)


def changed_groups(bits: int) -> tuple[FactGroup, ...]:
    """Boxes in one entry of `Changes.groups`."""
    return tuple(group for i, group in enumerate(GROUPS) if bits >> i & 1)


def fact_changes(
    catalogue: Catalogue, old: Rows, new: Rows, found: Changes, customer: int
) -> tuple[FactChange, ...]:
    """Old and new value of everything that changed for one customer, in catalogue order.

    Args:
        catalogue: of both batches.
        old: the earlier snapshots.
        new: the later ones.
        found: what `changes` gave for them.
        customer: place in the batches.
    """
    bits = found.facts[customer]
    facts = [f for i, f in enumerate(catalogue.facts) if int(bits[i // 64]) >> (i % 64) & 1]
    return tuple(
        _change(fact, _value(catalogue, old, customer, fact), _value(catalogue, new, customer, fact))
        for fact in facts
    )


def _change(fact: Fact, old: FactValue | None, new: FactValue | None) -> FactChange:
    return FactChange(fact.name, fact.group, _kind(old, new), old, new)


def _kind(old: FactValue | None, new: FactValue | None) -> ChangeKind:
    if old is None:
        return ChangeKind.APPEARED
    if new is None:
        return ChangeKind.VANISHED
    if isinstance(old, bool | str | frozenset) or isinstance(new, bool | str | frozenset):
        return ChangeKind.CHANGED
    return ChangeKind.ROSE if new > old else ChangeKind.FELL


def _value(catalogue: Catalogue, rows: Rows, customer: int, fact: Fact) -> FactValue | None:
    if fact.name in catalogue.bits:
        return _bit_value(catalogue, rows, customer, fact)
    number = float(rows.numbers[customer, catalogue.column(fact.name)])
    if math.isnan(number):
        return None
    if fact.type is FactType.ENUM and 0 <= number < len(fact.values):
        return fact.values[int(number)]
    return int(number) if fact.type is FactType.INT and number.is_integer() else number


def _bit_value(catalogue: Catalogue, rows: Rows, customer: int, fact: Fact) -> FactValue | None:
    place = catalogue.bits[fact.name]
    if not int(rows.known[customer, place.known_word]) >> place.known_bit & 1:
        return None
    word = int(rows.words[customer, place.word])
    if fact.type is FactType.BOOL:
        return bool(word >> place.shift & 1)
    return frozenset(member for i, member in enumerate(fact.values) if word >> i & 1)


def least_figure_changes(least: Mapping[Figure, float]) -> F64:
    """(figures,) least change per watched figure; inf for the others, which never trigger."""
    table = np.full(len(Figure), math.inf)
    for figure, change in least.items():
        table[figure] = change
    return table


@kernel
def figure_changes(old: F64, new: F64, least: F64) -> U64:
    """(n,) bit set over `Figure` of what changed in n customers' computed figures, such as stage or LTV.

    Args:
        old: (n, figures) at the earlier time, NaN = missing.
        new: (n, figures) at the later time.
        least: (figures,) what `least_figure_changes` gives.

    Oracle: `tests.naive.changes.figure_changes`.
    """
    n = len(old)
    bits = np.zeros(n, np.uint64)
    for i in range(n):
        for figure in range(len(least)):
            watched = least[figure] < math.inf
            if watched and number_changed(old[i, figure], new[i, figure], least[figure]):
                bits[i] |= np.uint64(1) << np.uint64(figure)
    return bits
