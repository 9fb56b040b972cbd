"""Parquet and CSV files as a stream of frames with row numbers; a row that is malformed stays out."""

import csv
import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
import polars as pl

from nextbest.data.arrow_files import (
    ARROW_ERRORS,
    csv_batches,
    parquet_batches,
    parquet_columns,
    parquet_rows,
)
from nextbest.errors import InvalidInput, Violation
from nextbest.model import I64

BATCH_ROWS = 16_384
"""Rows at a time: some 10 MB of rows."""
_PARQUET_MARK = b"PAR1"
_LONGEST_HEADER = 1 << 20


@dataclass(frozen=True, slots=True)
class RowFault:
    """Something wrong with one row of a file."""

    row: int
    """Counted from 1, the header not counted."""
    column: str
    """Empty = the row as a whole."""
    reason: str


@dataclass(frozen=True, slots=True)
class TableBatch:
    """Some rows of a file; every column of a CSV file is text, empty cells are null."""

    frame: pl.DataFrame
    row_numbers: I64
    """(n,) counted from 1, the header not counted."""
    faults: list[RowFault]
    """Rows that are not in the frame because they are malformed."""
    fraction: float
    """How much of the file has been read, 0 to 1."""


class TableFile:
    """A Parquet or CSV file (`,` or `;` between cells), to be read from the beginning."""

    def __init__(self, path: Path) -> None:
        """Look at the file's columns.

        Raises:
            InvalidInput: it cannot be read, is neither Parquet nor CSV, or its header is unusable.
        """
        self.path = path
        try:
            self._is_parquet = _starts_with(path, _PARQUET_MARK)
            header = "" if self._is_parquet else _first_line(path)
            self._delimiter = ";" if ";" in header and "," not in header else ","
            self.columns = parquet_columns(path) if self._is_parquet else _cells(header, self._delimiter)
        except MemoryError:
            raise  # pyarrow's are errors of its own as well, and no fault of the file
        except (*ARROW_ERRORS, UnicodeDecodeError, csv.Error) as cause:
            raise _unreadable(path, cause) from None
        _require_usable(self.columns)

    @property
    def row_count(self) -> int | None:
        """Rows of the file; None = not known before it is read."""
        return parquet_rows(self.path) if self._is_parquet else None

    def batches(self, columns: Sequence[str]) -> Iterator[TableBatch]:
        """The rows in their order, some thousand at a time.

        Raises:
            InvalidInput: the file is damaged from here on.
        """
        try:
            yield from self._parquet_batches(columns) if self._is_parquet else self._csv_batches(columns)
        except MemoryError:
            raise
        except ARROW_ERRORS as cause:
            raise _unreadable(self.path, cause) from None

    def _parquet_batches(self, columns: Sequence[str]) -> Iterator[TableBatch]:
        first = 1
        for frame, fraction in parquet_batches(self.path, columns, BATCH_ROWS):
            yield TableBatch(frame, np.arange(first, first + len(frame)), [], fraction)
            first += len(frame)

    def _csv_batches(self, columns: Sequence[str]) -> Iterator[TableBatch]:
        numbering = _Numbering()
        frames = csv_batches(
            self.path, columns, names=self.columns, delimiter=self._delimiter, set_aside=numbering.set_aside
        )
        for raw, fraction in frames:
            frame, badly_encoded = _decoded(raw)
            numbers = numbering.next(len(frame))
            faults = numbering.faults()
            faults += [RowFault(int(numbers[i]), c, "is not valid UTF-8") for i, c in badly_encoded]
            keep = np.ones(len(frame), np.bool_)
            keep[[i for i, _ in badly_encoded]] = False
            yield TableBatch(frame.filter(pl.Series(keep)), numbers[keep], faults, fraction)
        if faults := numbering.faults():
            yield TableBatch(pl.DataFrame(), np.empty(0, np.int64), faults, 1.0)


class _Numbering:
    """Numbers the rows of a stream from which malformed ones are missing."""

    def __init__(self) -> None:
        self._last = 0
        self._taken: list[int] = []
        self._faults: list[RowFault] = []

    def set_aside(self, number: int, cells: int, expected: int) -> None:
        self._taken.append(number)
        self._faults.append(RowFault(number, "", f"has {cells} cells instead of {expected}"))

    def next(self, count: int) -> I64:
        """The next `count` numbers that malformed rows have not taken."""
        candidates = np.arange(self._last + 1, self._last + 1 + count + len(self._taken))
        numbers = np.setdiff1d(candidates, np.array(self._taken, np.int64), assume_unique=True)[:count]
        if count:
            self._last = int(numbers[-1])
            self._taken = [number for number in self._taken if number > self._last]
        return numbers

    def faults(self) -> list[RowFault]:
        """Malformed rows since the last call."""
        found, self._faults = self._faults, []
        return found


def _starts_with(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(mark)) == mark


def _first_line(path: Path) -> str:
    with cast("IO[bytes]", gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")) as file:
        return file.readline(_LONGEST_HEADER).decode("utf-8-sig")


def _cells(line: str, delimiter: str) -> list[str]:
    return [name for row in csv.reader([line], delimiter=delimiter, strict=True) for name in row]


def _require_usable(columns: Sequence[str]) -> None:
    violations = [
        Violation("columns", f"`{name}` appears twice")
        for name in sorted({name for name in columns if columns.count(name) > 1})
    ]
    if not columns:
        violations.append(Violation("columns", "the file is empty"))
    if violations:
        raise InvalidInput(violations)


def _unreadable(path: Path, cause: Exception) -> InvalidInput:
    reason = (cause.strerror if isinstance(cause, OSError) else None) or str(cause).splitlines()[0]
    return InvalidInput([Violation("file", f"cannot read `{path}`: {reason}")])


def _decoded(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[tuple[int, str]]]:
    """The frame as text, and the cells (row, column) that are not UTF-8."""
    try:
        text = frame.with_columns(pl.all().cast(pl.String))
        return text.with_columns(pl.all().str.strip_chars().replace("", None)), []
    except pl.exceptions.ComputeError:
        bad: list[tuple[int, str]] = []
        return pl.DataFrame([_decoded_cells(series, bad) for series in frame]), bad


def _decoded_cells(series: pl.Series, bad: list[tuple[int, str]]) -> pl.Series:
    cells: list[str | None] = []
    for index, cell in enumerate(cast("list[bytes | None]", series.to_list())):
        text = (cell or b"").decode(errors="replace")
        if "\ufffd" in text and text.encode() != cell:
            bad.append((index, series.name))
        cells.append(text.strip() or None)
    return pl.Series(series.name, cells, pl.String)
