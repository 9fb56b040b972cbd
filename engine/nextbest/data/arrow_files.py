"""All that is asked of pyarrow, with types: Parquet and CSV files as streams of frames."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeStubs=false
# (pyarrow has no types; nothing untyped leaves this module)

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

ARROW_ERRORS: tuple[type[Exception], ...] = (pa.ArrowException, OSError, pl.exceptions.PolarsError)
"""What reading a damaged file raises."""

_CSV_BLOCK_BYTES = 4 << 20
_PARQUET_BLOCK_BYTES = 256 << 10
"""Read of a column at once; without a bound it is all of a row group, and a file may have one only."""

SetAside = Callable[[int, int, int], None]
"""Told of a malformed row: its number from 1 without the header, its cells, and how many there should be."""


def parquet_columns(path: Path) -> list[str]:
    """Names of the columns."""
    with pq.ParquetFile(path) as file:
        return [str(name) for name in file.schema_arrow.names]


def parquet_rows(path: Path) -> int:
    """Number of rows."""
    with pq.ParquetFile(path) as file:
        return int(file.metadata.num_rows)


def parquet_batches(path: Path, columns: Sequence[str], rows: int) -> Iterator[tuple[pl.DataFrame, float]]:
    """Frames of at most so many rows, each with how much of the file has been read, 0 to 1."""
    # Buffering ahead would keep every row group read so far: a file larger than memory could not stream.
    # One thread: others would each keep memory of their own, for batches that take some milliseconds.
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=_PARQUET_BLOCK_BYTES) as file:
        total, done = max(1, int(file.metadata.num_rows)), 0
        for batch in file.iter_batches(rows, columns=list(columns), use_threads=False):
            done += int(batch.num_rows)
            yield cast("pl.DataFrame", pl.from_arrow(batch)), done / total


def csv_batches(
    path: Path, columns: Sequence[str], *, names: Sequence[str], delimiter: str, set_aside: SetAside
) -> Iterator[tuple[pl.DataFrame, float]]:
    """Frames of bytes columns, each with how much of the file has been read, 0 to 1.

    Args:
        path: the file; one that ends with `.gz` is decompressed.
        columns: names of the columns wanted.
        names: names of all columns.
        delimiter: between cells.
        set_aside: told of each malformed row before a later row is given.
    """

    def skip(row: pa_csv.InvalidRow) -> str:
        set_aside(row.number - 1, row.actual_columns, row.expected_columns)  # its number counts the header
        return "skip"

    size = max(1, path.stat().st_size)
    with pa.OSFile(str(path)) as raw:
        reader = pa_csv.open_csv(
            pa.CompressedInputStream(raw, "gzip") if path.suffix == ".gz" else raw,
            # Rows are numbered only when a single thread reads.
            read_options=pa_csv.ReadOptions(block_size=_CSV_BLOCK_BYTES, use_threads=False),
            parse_options=pa_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip
            ),
            # Bytes, so that a wrongly encoded cell costs its row and not the file.
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.binary()),
                include_columns=list(columns),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
        for batch in reader:
            yield cast("pl.DataFrame", pl.from_arrow(batch)), min(1.0, raw.tell() / size)
