"""A file of contacts, outcomes and events as histories in memory, without storing them anywhere."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from nextbest.data.history_columns import (
    NAME_COLUMNS,
    fill_keys,
    fill_names,
    history_columns,
    require_history_columns,
)
from nextbest.data.loader import Progress
from nextbest.data.row_columns import checks_of, faults_of
from nextbest.data.table_files import RowFault, TableBatch, TableFile
from nextbest.errors import InvalidInput, Violation
from nextbest.model import HISTORY_ENTRY, I64, NO_NAME, U64, Bools, EntryKind, Histories, Ring
from nextbest.rings import BYTE_KINDS, CodeTranslation, entries_at

Entries = npt.NDArray[np.void]
Names = Mapping[str, Mapping[str, int]]
"""A rulebook's index of each name, by kind."""

_CONTRADICTION: Final = "contradicts what is recorded under this key"


@dataclass(frozen=True, slots=True)
class HistoryFile:
    """Histories of everybody in a file; 96 bytes an entry."""

    contacts: "_Laid"
    events: "_Laid"
    recorded: int
    """Rows that are in it."""
    unchanged: int
    """Rows that say again what another row said."""
    faults: list[RowFault]
    """What is wrong with the others."""
    path: Path = Path()
    """Where they were read."""

    def of(self, checks: U64) -> Histories:
        """The histories of n customers by the checks of their ids, (n,); they are complete."""
        return Histories(self.contacts.of(checks), self.events.of(checks))


@dataclass(frozen=True, slots=True)
class _Laid:
    """One ring of all customers, by id check and time."""

    customers: U64
    """(c,) id checks, ascending."""
    starts: I64
    """(c + 1,)."""
    entries: Entries

    def of(self, checks: U64) -> Ring:
        n = len(checks)
        place = np.minimum(np.searchsorted(self.customers, checks), max(len(self.customers) - 1, 0))
        if not len(self.customers):
            return Histories.empty(n).contacts
        found = self.customers[place] == checks
        first = np.where(found, self.starts[place], 0)
        count = np.where(found, self.starts[place + 1] - first, 0)
        starts: I64 = np.concatenate([np.zeros(1, np.int64), np.cumsum(count)])
        index = np.arange(int(starts[-1])) + np.repeat(first - starts[:-1], count)
        ring = Ring(entries_at(self.entries, index), starts, np.full(n, -np.inf))
        for array in (ring.entries, ring.starts, ring.truncated_before):
            array.setflags(write=False)
        return ring


def read_history_file(path: Path, names: Names, *, progress: Progress | None = None) -> HistoryFile:
    """Read a Parquet or CSV file as `nextbest load-history` takes it.

    What the rulebook does not name is kept as something else than all it names. Rows are told apart as
    when they are loaded: by their key, else by their content. Nothing is dropped for age or number, so
    windows see more here than where a full ring has lost entries.

    Args:
        path: the file.
        names: the rulebook's names.
        progress: told after every batch.

    Raises:
        InvalidInput: the file cannot be read, a column is missing or unknown, or there are more than
            255 channels or placements.

    Cost: memory for all entries, twice while they are sorted.
    """
    table = TableFile(path)
    require_history_columns(table.columns)
    local = {kind: dict[str, int]() for kind in NAME_COLUMNS}
    parts, rows = [_Read.nothing()], 0
    for batch in table.batches(table.columns):
        parts.append(_read(batch, local))
        rows += len(batch.row_numbers)
        if progress:
            progress(batch.fraction, rows)
    return replace(_finished(_Read.joined(parts), local, names), path=path)


def histories_in_frame(frame: pl.DataFrame, names: Names) -> HistoryFile:
    """The same for a frame at hand; its rows count from 1.

    Raises:
        InvalidInput: a column is missing or unknown, or there are more than 255 channels or placements.
    """
    require_history_columns(frame.columns)
    local = {kind: dict[str, int]() for kind in NAME_COLUMNS}
    return _finished(_read(TableBatch(frame, np.arange(1, len(frame) + 1), [], 1.0), local), local, names)


@dataclass(frozen=True, slots=True)
class _Read:
    """Good rows in their order."""

    checks: U64
    entries: Entries
    """Codes are local to the file."""
    row_numbers: I64
    faults: list[RowFault]

    @classmethod
    def nothing(cls) -> "_Read":
        return cls(np.empty(0, np.uint64), np.empty(0, HISTORY_ENTRY), np.empty(0, np.int64), [])

    @classmethod
    def joined(cls, parts: list["_Read"]) -> "_Read":
        return cls(
            np.concatenate([part.checks for part in parts]),
            np.concatenate([part.entries for part in parts]),
            np.concatenate([part.row_numbers for part in parts]),
            [fault for part in parts for fault in part.faults],
        )


def _read(batch: TableBatch, local: Mapping[str, dict[str, int]]) -> _Read:
    if not len(batch.frame):
        return _Read(np.empty(0, np.uint64), np.empty(0, HISTORY_ENTRY), np.empty(0, np.int64), batch.faults)
    columns = history_columns(batch.frame)
    good = np.ones(len(batch.frame), np.bool_)
    for misfit in columns.misfits:
        good[misfit.rows] = False
    entries = columns.entries[good]
    for kind, names in columns.names.items():
        chosen = names.filter(pl.Series(good))
        fill_names(entries, kind, chosen, _codes(kind, chosen, local[kind]))
    fill_keys(entries, columns.keys[good])
    faults = [*batch.faults, *faults_of(columns.misfits, batch.row_numbers)]
    return _Read(checks_of(columns.ids.filter(pl.Series(good))), entries, batch.row_numbers[good], faults)


def _finished(found: _Read, local: Mapping[str, dict[str, int]], names: Names) -> HistoryFile:
    """Tell rows apart, translate names, and lay each customer's entries together."""
    kept, again, contradicting = _told_apart(found)
    entries, checks = found.entries[kept], found.checks[kept]
    CodeTranslation.between({kind: list(codes) for kind, codes in local.items()}, names).apply(entries)
    is_event = np.asarray(entries["kind"] == EntryKind.EVENT)
    return HistoryFile(
        _laid(checks[~is_event], entries[~is_event]),
        _laid(checks[is_event], entries[is_event]),
        len(kept),
        int(again.sum()),
        [*found.faults, *(_contradiction(row) for row in found.row_numbers[contradicting].tolist())],
    )


def _codes(kind: str, names: pl.Series, local: dict[str, int]) -> Mapping[str, int]:
    for name in names.drop_nulls().unique(maintain_order=True).to_list():
        local.setdefault(name, len(local))
    if kind in BYTE_KINDS and len(local) > NO_NAME:
        raise InvalidInput([Violation(kind, f"there are more than {NO_NAME} of them")])
    return local


def _told_apart(found: _Read) -> tuple[I64, Bools, Bools]:
    """Rows to keep, by customer and time; where a row repeats one before it, and where it contradicts one."""
    order = np.lexsort((found.row_numbers, found.entries["time"], found.checks))
    is_event = (found.entries["kind"] == EntryKind.EVENT).astype(np.uint8)
    keys = found.entries["idempotency_key"]
    by_key = np.lexsort((np.argsort(order), keys, is_event, found.checks))
    same = np.zeros(len(by_key), np.bool_)
    if len(by_key):
        a, b = by_key[:-1], by_key[1:]
        same[1:] = (found.checks[a] == found.checks[b]) & (is_event[a] == is_event[b]) & (keys[a] == keys[b])
    first = by_key[np.maximum.accumulate(np.where(same, 0, np.arange(len(by_key))))]
    later = by_key[same]
    equal = _content(found.entries[later]) == _content(found.entries[first[same]])
    again, contradicting = np.zeros(len(by_key), np.bool_), np.zeros(len(by_key), np.bool_)
    again[later], contradicting[later] = equal, ~equal
    return order[~(again | contradicting)[order]], again, contradicting


def _content(entries: Entries) -> npt.NDArray[np.void]:
    """All of an entry but its time, which the same thing may be told with twice."""
    octets = np.ascontiguousarray(entries.view(np.uint8).reshape(len(entries), HISTORY_ENTRY.itemsize)[:, 8:])
    return octets.view(f"V{octets.shape[1]}")[:, 0]


def _contradiction(row: int) -> RowFault:
    return RowFault(row, "idempotency_key", _CONTRADICTION)


def _laid(checks: U64, entries: Entries) -> _Laid:
    """Entries that are in order of customer and time already."""
    customers, first = np.unique(checks, return_index=True)
    starts = np.concatenate([first, [len(checks)]]).astype(np.int64)
    return _Laid(customers, starts, entries)
