"""Loads files of customer snapshots: streams, checks, writes what changed, lists what it refuses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from nextbest.data.rejects import RejectFile, rejects_path
from nextbest.data.row_columns import ID_COLUMN, EncodedBatch, encode_frame, require_columns
from nextbest.data.seen_ids import SeenIds
from nextbest.data.snapshots import AdvanceRows, SnapshotStore, WriteStatus
from nextbest.data.table_files import RowFault, TableBatch, TableFile
from nextbest.model import U8
from nextbest.rows import RowCodec
from nextbest.standard_facts import STAGE_FACTS

Progress = Callable[[float, int], None]
"""Told how much of the file is done, 0 to 1, and how many rows that is."""
Watching: TypeAlias = Callable[[RowCodec, Mapping[str, bytes], Sequence[str]], AdvanceRows]
"""Codec, new row by customer and facts to carry on to what becomes of the stored rows."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What became of a file's rows."""

    loaded: int
    """New or changed."""
    unchanged: int
    """Stored like this already."""
    rejected: int
    """Listed in the reject file."""
    rejects: Path | None
    """The reject file; None if nothing was rejected."""


async def load_file(
    path: Path,
    store: SnapshotStore,
    *,
    as_of: float | None = None,
    progress: Progress | None = None,
    watching: Watching | None = None,
) -> LoadReport:
    """Load customer snapshots from a Parquet or CSV file.

    Columns: customer_id, as_of (ISO 8601 or epoch seconds) and facts by name. A row replaces the
    customer's snapshot, but for stage state that the file has no columns for. Bad rows are listed in
    `<file>.rejects.csv` with row number, column and every reason; a second row of a customer is bad.
    Loading the same file again changes nothing. Memory: a few hundred MB and 8 bytes a row.

    Args:
        path: the file.
        store: where to.
        as_of: time of rows that have none, epoch seconds.
        progress: told after every batch.
        watching: makes the rows to write from the stored ones, where the rulebook has behaviour to detect.

    Raises:
        InvalidInput: the file cannot be read, or a column is missing or no fact; lists all of them.
            Rows before the place where a file is damaged may have been loaded.
        StoreUnavailable: Redis does not answer; load again.
    """
    table = TableFile(path)
    require_columns(table.columns, store.codec, as_of)
    keep = [name for name in STAGE_FACTS if name not in table.columns]
    seen, loaded, unchanged, rows = SeenIds(), 0, 0, 0
    with RejectFile(rejects_path(path)) as rejects:
        for batch in table.batches(table.columns):
            encoded = _encode(batch, store, seen, as_of)
            rejects.add(encoded.faults)
            status = await _write(store, encoded, keep, watching)
            loaded += int((status == WriteStatus.WRITTEN).sum())
            unchanged += int((status == WriteStatus.UNCHANGED).sum())
            rows += len(batch.row_numbers) + len({fault.row for fault in batch.faults})
            if progress:
                progress(batch.fraction, rows)
    return LoadReport(loaded, unchanged, rejects.rows, rejects.path if rejects.rows else None)


async def _write(
    store: SnapshotStore, encoded: EncodedBatch, keep: list[str], watching: Watching | None
) -> U8:
    if watching is None:
        return await store.put_rows(encoded.customer_ids, encoded.rows, keep=keep)
    new = dict(zip(encoded.customer_ids, encoded.rows, strict=True))
    kept = [name for name in keep if name in store.codec.catalogue]
    advance = watching(store.codec, new, kept)
    return await store.exchange_rows(encoded.customer_ids, advance, expiry_s=store.expiry_s)


def _encode(batch: TableBatch, store: SnapshotStore, seen: SeenIds, as_of: float | None) -> EncodedBatch:
    if not len(batch.frame):
        return EncodedBatch([], [], np.empty(0, np.uint64), batch.row_numbers, batch.faults)
    encoded = encode_frame(batch.frame, batch.row_numbers, store.codec, as_of=as_of)
    repeated = seen.repeated(encoded.checks)
    faults = [*batch.faults, *encoded.faults]
    for index in np.flatnonzero(repeated).tolist():
        reason = f"`{encoded.customer_ids[index]}` has a row before this one"
        faults.append(RowFault(int(encoded.row_numbers[index]), ID_COLUMN, reason))
    fresh = np.flatnonzero(~repeated).tolist()
    return EncodedBatch(
        [encoded.customer_ids[i] for i in fresh],
        [encoded.rows[i] for i in fresh],
        encoded.checks[fresh],
        encoded.row_numbers[fresh],
        faults,
    )
