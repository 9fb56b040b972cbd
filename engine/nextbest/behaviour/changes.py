"""What changed from one snapshot to the next: in a fact, in a figure, or in a whole box of the data basis.

A change that the rulebook watches is a trigger's event; old and new value are its evidence.
"""

import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from nextbest.facts import Catalogue, Fact, FactType
from nextbest.kernels import kernel
from nextbest.model import F64, I64, U64, Rows

CHANGES = ("changed", "rose", "fell", "appeared", "vanished")
"""Kinds of change in code order. A change is any of the others, or another value of what has no order."""


class ChangeTables(NamedTuple):
    """The watched facts of a catalogue; arrays only, so that kernels take it whole."""

    column: I64
    """(w,) column of a number, -1 for a bool or set."""
    word: I64
    """(w,) value word of a bool or set."""
    mask: U64
    """(w,) its bits in that word."""
    known_word: I64
    known_bit: I64


class RowArrays(NamedTuple):
    """What kernels compare of a batch of snapshots."""

    numbers: F64
    words: U64
    known: U64


def change_tables(catalogue: Catalogue, watched: Collection[str]) -> ChangeTables:
    """Lay out the facts to compare.

    Args:
        catalogue: of both snapshots.
        watched: names of facts.
    """
    facts = [catalogue[name] for name in watched]
    places = [catalogue.bits.get(fact.name) for fact in facts]
    return ChangeTables(
        np.array([catalogue.column(fact.name) for fact in facts], np.int64),
        np.array([place.word if place else 0 for place in places], np.int64),
        np.array([_mask(fact, catalogue) for fact in facts], np.uint64),
        np.array([place.known_word if place else 0 for place in places], np.int64),
        np.array([place.known_bit if place else 0 for place in places], np.int64),
    )


def _mask(fact: Fact, catalogue: Catalogue) -> int:
    if fact.type is FactType.BOOL:
        return 1 << catalogue.bits[fact.name].shift
    return (1 << len(fact.values)) - 1 if fact.type is FactType.SET else 0


@kernel
def number_change(old: float, new: float, kind: int, by: float, by_share: float) -> bool:
    """Whether a number changed in this way.

    Args:
        old: NaN = missing.
        new: NaN = missing.
        kind: index into `CHANGES`.
        by: a value that was known and is known differs by at least so much ...
        by_share: ... and by at least this share of what it was.

    Oracle: `tests.naive.changes.number_change`.
    """
    if math.isnan(old) or math.isnan(new):
        appeared, vanished = math.isnan(old) and not math.isnan(new), math.isnan(new) and not math.isnan(old)
        return (appeared and kind in (0, 3)) or (vanished and kind in (0, 4))
    if old == new or kind > 2 or (kind == 1 and new < old) or (kind == 2 and new > old):
        return False
    difference = abs(new - old)
    return difference >= by and (by_share == 0.0 or difference >= by_share * abs(old))


@kernel
def number_changes(old: F64, new: F64, kind: int, by: float, by_share: float) -> F64:
    """(n,) 1 where a number changed in this way, else 0; see `number_change`."""
    event = np.zeros(len(old))
    for i in range(len(old)):
        event[i] = 1.0 if number_change(old[i], new[i], kind, by, by_share) else 0.0
    return event


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
def compare_rows(old: RowArrays, new: RowArrays, tables: ChangeTables) -> F64:
    """(n, w) 1 where a watched fact changed in any way, for n pairs of rows.

    Oracle: `tests.naive.changes.changes`.
    """
    n, watched = len(old.numbers), len(tables.column)
    found = np.zeros((n, watched))
    for i in range(n):
        for w in range(watched):
            column = tables.column[w]
            if column >= 0:
                changed = number_change(old.numbers[i, column], new.numbers[i, column], 0, 0.0, 0.0)
            else:
                changed = bits_changed(old, new, i, tables, w)
            if changed:
                found[i, w] = 1.0
    return found


def changes(old: Rows, new: Rows, tables: ChangeTables) -> F64:
    """Compare the same n customers' rows at two times, fact by fact.

    Args:
        old: the earlier snapshots.
        new: the later ones, in the same order.
        tables: what `change_tables` gives for their catalogue.

    Returns:
        (n, w) 1 where a watched fact changed, appeared or vanished, else 0.
    """
    return compare_rows(_arrays(old), _arrays(new), tables)


def _arrays(rows: Rows) -> RowArrays:
    return RowArrays(rows.numbers, rows.words, rows.known)
