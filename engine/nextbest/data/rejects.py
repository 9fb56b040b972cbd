"""The reject file: which rows were not loaded, and every reason."""

import csv
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO

from nextbest.data.table_files import RowFault

HEADER = ("row", "column", "reason")


def rejects_path(path: Path) -> Path:
    """Where the rejected rows of a file are listed."""
    return path.with_name(path.name + ".rejects.csv")


class RejectFile:
    """Writes `<file>.rejects.csv`, a line for each reason; there is no file when nothing is rejected."""

    def __init__(self, path: Path) -> None:
        """Args: where to write; what an earlier run left there is removed."""
        self.path = path
        self.rows = 0
        """Rows rejected so far."""
        self._file: IO[str] | None = None
        path.unlink(missing_ok=True)

    def add(self, faults: Iterable[RowFault]) -> None:
        """List faults, by row; all faults of a row must come in one call."""
        ordered = sorted(faults, key=lambda fault: (fault.row, fault.column))
        if not ordered:
            return
        self.rows += len({fault.row for fault in ordered})
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8", newline="")
            csv.writer(self._file).writerow(HEADER)
        csv.writer(self._file).writerows((fault.row, fault.column, fault.reason) for fault in ordered)

    def __enter__(self) -> "RejectFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            self._file.close()
