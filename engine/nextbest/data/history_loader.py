"""Loads files of contacts, outcomes and events into customers' histories."""

import asyncio
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from nextbest.data.history import AppendStatus, HistoryStore
from nextbest.data.history_columns import (
    HistoryColumns,
    fill_keys,
    fill_names,
    history_columns,
    require_history_columns,
)
from nextbest.data.loader import Progress
from nextbest.data.registry import NameRegistries
from nextbest.data.rejects import RejectFile, rejects_path
from nextbest.data.row_columns import faults_of
from nextbest.data.table_files import RowFault, TableBatch, TableFile
from nextbest.model import I64, U8

_APPENDS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class HistoryReport:
    """What became of a file's rows."""

    recorded: int
    unchanged: int
    """Recorded before."""
    too_old: int
    """Older than everything that a full history keeps."""
    rejected: int
    """Listed in the reject file."""
    rejects: Path | None
    """The reject file; None if nothing was rejected."""


async def load_history(
    path: Path, history: HistoryStore, registries: NameRegistries, *, progress: Progress | None = None
) -> HistoryReport:
    """Load contacts, outcomes and events from a Parquet or CSV file.

    Columns: customer_id, time (ISO 8601 or epoch seconds), kind (contact, outcome, event) and, as they
    apply, channel, direction (inbound, outbound), placement, outcome, action, treatment, trigger, event,
    amount, cost, decision_id, override, idempotency_key. Loading a file again changes nothing: a row
    without a key is known by its content, so two equal rows without keys are one. Bad rows are listed
    in `<file>.rejects.csv`.

    Args:
        path: the file.
        history: where to.
        registries: of names; new names are registered.
        progress: told after every batch.

    Raises:
        InvalidInput: the file cannot be read, a column is missing or unknown, or there are more than
            255 channels or placements.
        StoreUnavailable: Redis does not answer; load again.
    """
    table = TableFile(path)
    require_history_columns(table.columns)
    counts = np.zeros(len(AppendStatus) + 1, np.int64)
    rows = 0
    with RejectFile(rejects_path(path)) as rejects:
        for batch in table.batches(table.columns):
            status, faults = await _load_batch(batch, history, registries)
            rejects.add([*batch.faults, *faults])
            counts += np.bincount(status, minlength=len(counts))
            rows += len(batch.row_numbers) + len({fault.row for fault in batch.faults})
            if progress:
                progress(batch.fraction, rows)
    return HistoryReport(
        int(counts[AppendStatus.RECORDED]),
        int(counts[AppendStatus.DUPLICATE]),
        int(counts[AppendStatus.TOO_OLD]),
        rejects.rows,
        rejects.path if rejects.rows else None,
    )


async def _load_batch(
    batch: TableBatch, history: HistoryStore, registries: NameRegistries
) -> tuple[U8, list[RowFault]]:
    if not len(batch.frame):
        return np.empty(0, np.uint8), []
    columns = history_columns(batch.frame)
    faults = list(faults_of(columns.misfits, batch.row_numbers))
    good = np.ones(len(batch.frame), np.bool_)
    for misfit in columns.misfits:
        good[misfit.rows] = False
    entries = await _finished(columns, good, registries)
    numbers = batch.row_numbers[good]
    ids = columns.ids.filter(pl.Series(good))
    status = np.zeros(len(entries), np.uint8)
    await _append_all(ids, entries, status, history)
    for index in np.flatnonzero(status == AppendStatus.CONTRADICTORY).tolist():
        reason = "contradicts what is recorded under this key"
        faults.append(RowFault(int(numbers[index]), "idempotency_key", reason))
    for index in np.flatnonzero(status == AppendStatus.ERASED).tolist():
        reason = "the customer was erased; what happened before is not recorded"
        faults.append(RowFault(int(numbers[index]), "", reason))
    return status, faults


async def _finished(
    columns: HistoryColumns, good: npt.NDArray[np.bool_], registries: NameRegistries
) -> npt.NDArray[np.void]:
    """The good entries with codes and keys."""
    entries = columns.entries[good]
    for kind, names in columns.names.items():
        chosen = names.filter(pl.Series(good))
        codes = await registries.codes(kind, chosen.drop_nulls().unique(maintain_order=True).to_list())
        fill_names(entries, kind, chosen, codes)
    fill_keys(entries, columns.keys[good])
    return entries


async def _append_all(
    ids: pl.Series, entries: npt.NDArray[np.void], status: U8, history: HistoryStore
) -> None:
    """Append each customer's entries in event-time order, many customers at once."""
    customer = ids.rank("dense").to_numpy().astype(np.int64)
    order = np.lexsort((np.arange(len(ids)), entries["time"], customer))
    bounds = np.flatnonzero(np.diff(customer[order], prepend=-1, append=-1)).tolist()
    groups = [order[start:stop] for start, stop in pairwise(bounds)]
    for start in range(0, len(groups), _APPENDS_AT_ONCE):
        part = groups[start : start + _APPENDS_AT_ONCE]
        await asyncio.gather(
            *(_append(ids[int(group[0])], group, entries, status, history) for group in part)
        )


async def _append(
    customer_id: str, group: I64, entries: npt.NDArray[np.void], status: U8, history: HistoryStore
) -> None:
    found = await history.append(customer_id, entries[group])
    status[group] = found
    rest = group[found != AppendStatus.CONTRADICTORY]
    if 0 < len(rest) < len(group):
        # Nothing was recorded beside the contradictory ones: record the others. What lies in the
        # customer's other ring was recorded at once, and is a duplicate now.
        again = await history.append(customer_id, entries[rest])
        status[rest] = np.where(again == AppendStatus.DUPLICATE, status[rest], again)
