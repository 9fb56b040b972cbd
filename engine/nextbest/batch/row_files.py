"""Snapshots of a Parquet or CSV file as rows, batch by batch, without storing them anywhere."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from nextbest.data.rejects import RejectFile, rejects_path
from nextbest.data.row_columns import ID_COLUMN, TIME_COLUMN, encode_frame, require_columns
from nextbest.data.seen_ids import SeenIds
from nextbest.data.table_files import RowFault, TableBatch, TableFile
from nextbest.model import U64, Rows
from nextbest.rows import RowCodec


@dataclass(frozen=True, slots=True)
class FileRows:
    """Some rows of a file."""

    rows: Rows
    """Facts that were not read are missing."""
    checks: U64
    """(n,) checks of the customers' ids."""
    fraction: float
    """How much of the file has been read, 0 to 1."""


class RowFile:
    """A file of snapshots; bad rows and a customer's second row are listed in `<file>.rejects.csv`."""

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
        self._rejects = RejectFile(rejects_path(path))

    @property
    def rejected(self) -> int:
        """Rows left out so far."""
        return self._rejects.rows

    @property
    def rejects(self) -> Path | None:
        """Where those rows are listed; None if there are none."""
        return self._rejects.path if self._rejects.rows else None

    def batches(self) -> Iterator[FileRows]:
        """The good rows in their order, some thousand at a time; 8 bytes a row are kept.

        Raises:
            InvalidInput: the file is damaged from here on.
        """
        for batch in self._table.batches(self._columns):
            if len(batch.frame):
                yield self._decoded(batch)
            else:
                self._rejects.add(batch.faults)

    def _decoded(self, batch: TableBatch) -> FileRows:
        encoded = encode_frame(batch.frame, batch.row_numbers, self._codec, as_of=self._as_of)
        repeated = self._seen.repeated(encoded.checks)
        again = [
            RowFault(
                int(encoded.row_numbers[i]),
                ID_COLUMN,
                f"`{encoded.customer_ids[i]}` has a row before this one",
            )
            for i in np.flatnonzero(repeated).tolist()
        ]
        self._rejects.add([*batch.faults, *encoded.faults, *again])
        fresh = np.flatnonzero(~repeated)
        checks = encoded.checks[fresh]
        rows = self._codec.decode_batch([encoded.rows[i] for i in fresh.tolist()], checks).rows
        return FileRows(rows, checks, batch.fraction)

    def __enter__(self) -> "RowFile":
        self._rejects.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rejects.__exit__(kind, error, trace)
