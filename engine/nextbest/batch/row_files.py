"""Snapshots of a Parquet or CSV file as rows, batch by batch, without storing them anywhere."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
import polars as pl

from nextbest.data.rejects import RejectFile, rejects_path
from nextbest.data.row_columns import ID_COLUMN, TIME_COLUMN, check_frame, require_columns
from nextbest.data.seen_ids import SeenIds
from nextbest.data.table_files import BATCH_ROWS, RowFault, TableBatch, TableFile
from nextbest.model import U64, Rows
from nextbest.rows import RowCodec

_COPIES: Final = 8
"""Of a batch's rows that there are at once, while they are checked and counted."""


def batch_bytes(codec: RowCodec) -> int:
    """Memory that a batch of rows of this catalogue takes at most while it is read and counted."""
    return _COPIES * BATCH_ROWS * codec.catalogue.row_bytes


@dataclass(frozen=True, slots=True)
class FileRows:
    """Some rows of a file."""

    rows: Rows
    """Facts that were not read are missing."""
    customer_ids: pl.Series
    """(n,)."""
    checks: U64
    """(n,) checks of the customers' ids."""
    faults: list[RowFault]
    """What was wrong with the rows that were left out on the way."""
    fraction: float
    """How much of the file has been read, 0 to 1."""


class RowStream:
    """A file of snapshots; bad rows and a customer's second row are left out, and said why."""

    def __init__(
        self, path: Path, codec: RowCodec, facts: Collection[str], *, as_of: float | None = None
    ) -> None:
        """Look at the file's columns.

        Args:
            path: the file, with columns customer_id, as_of and facts.
            codec: of the catalogue that names the facts.
            facts: facts to read; other columns are left unread.
            as_of: time of rows that have none, epoch seconds.

        Raises:
            InvalidInput: the file cannot be read, or a column is missing or no fact.
        """
        self._table = TableFile(path)
        require_columns(self._table.columns, codec, as_of)
        wanted = {ID_COLUMN, TIME_COLUMN, *facts}
        self._columns = [name for name in self._table.columns if name in wanted]
        self._codec, self._as_of = codec, as_of
        self._seen = SeenIds()
        self.row_count = self._table.row_count or 0
        """Rows of the file; 0 = not known before it is read."""

    def batches(self) -> Iterator[FileRows]:
        """The good rows in their order, some thousand at a time; 8 bytes a row are kept.

        Raises:
            InvalidInput: the file is damaged from here on.
        """
        for batch in self._table.batches(self._columns):
            yield self._checked(batch) if len(batch.frame) else self._nothing(batch)

    def _checked(self, batch: TableBatch) -> FileRows:
        found = check_frame(batch.frame, batch.row_numbers, self._codec, as_of=self._as_of)
        repeated, ids = self._seen.repeated(found.checks), found.customer_ids
        again = [
            RowFault(int(found.row_numbers[i]), ID_COLUMN, f"`{ids[i]}` has a row before this one")
            for i in np.flatnonzero(repeated).tolist()
        ]
        fresh = ~repeated
        rows = self._codec.rows_of(found.matrix[fresh])
        faults = [*batch.faults, *found.faults, *again]
        return FileRows(rows, ids.filter(pl.Series(fresh)), found.checks[fresh], faults, batch.fraction)

    def _nothing(self, batch: TableBatch) -> FileRows:
        rows = self._codec.rows_of(np.empty((0, self._codec.catalogue.row_words), np.uint64))
        return FileRows(
            rows, pl.Series([], dtype=pl.String), np.empty(0, np.uint64), batch.faults, batch.fraction
        )


class RowFile:
    """A stream of snapshots whose bad rows are listed in `<file>.rejects.csv`."""

    def __init__(
        self, path: Path, codec: RowCodec, facts: Collection[str], *, as_of: float | None = None
    ) -> None:
        """As `RowStream`."""
        self._stream = RowStream(path, codec, facts, as_of=as_of)
        self._rejects = RejectFile(rejects_path(path))

    @property
    def row_count(self) -> int:
        """Rows of the file; 0 = not known before it is read."""
        return self._stream.row_count

    @property
    def rejected(self) -> int:
        """Rows left out so far."""
        return self._rejects.rows

    @property
    def rejects(self) -> Path | None:
        """Where those rows are listed; None if there are none."""
        return self._rejects.path if self._rejects.rows else None

    def batches(self) -> Iterator[FileRows]:
        """As `RowStream.batches`."""
        for batch in self._stream.batches():
            self._rejects.add(batch.faults)
            yield batch

    def __enter__(self) -> "RowFile":
        self._rejects.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rejects.__exit__(kind, error, trace)
