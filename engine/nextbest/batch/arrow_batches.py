"""All that scoring asks of pyarrow, with types: record batches and Parquet files out of frames."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingTypeStubs=false
# (pyarrow has no types; nothing untyped leaves this module)

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    ArrowBatch = Any
    """`pyarrow.RecordBatch`, which has no types."""
    ArrowSchema = Any
    """`pyarrow.Schema`, the same."""
else:
    ArrowBatch, ArrowSchema = pa.RecordBatch, pa.Schema

_TYPES: dict[pl.DataType, Any] = {
    pl.String(): pa.string(),
    pl.Int32(): pa.int32(),
    pl.Float64(): pa.float64(),
    pl.Int64(): pa.int64(),
    pl.Boolean(): pa.bool_(),
    pl.Binary(): pa.binary(),
    pl.Datetime("us", "UTC"): pa.timestamp("us", "UTC"),
    pl.List(pl.String()): pa.list_(pa.string()),
    pl.List(pl.Float64()): pa.list_(pa.float64()),
}


def frame_of(batch: ArrowBatch) -> pl.DataFrame:
    """A record batch as a frame."""
    return cast("pl.DataFrame", pl.from_arrow(batch))


def slices_of(batch: ArrowBatch, most: int) -> Iterator[ArrowBatch]:
    """A record batch in pieces of at most so many rows; copies nothing."""
    for start in range(0, batch.num_rows, most):
        yield batch.slice(start, most)


def batch_of(frame: pl.DataFrame, schema: pl.Schema) -> ArrowBatch:
    """A frame as one record batch of the schema's columns, with the plain types that every engine knows."""
    wanted = arrow_schema(schema)
    table = frame.select(schema.names()).to_arrow().cast(wanted).combine_chunks()
    batches = table.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], wanted)


def arrow_schema(schema: pl.Schema) -> ArrowSchema:
    """A schema as `pyarrow.Schema`."""
    return pa.schema([pa.field(name, _TYPES[dtype]) for name, dtype in schema.items()])


class ParquetOut:
    """A Parquet file that is written a frame at a time, each its own row group."""

    def __init__(self, path: Path, schema: pl.Schema, about: Mapping[str, str]) -> None:
        """Begin the file; `about` is kept with it as key-value metadata."""
        self._schema = schema
        self._writer = pq.ParquetWriter(path, arrow_schema(schema).with_metadata(dict(about)))

    def add(self, frame: pl.DataFrame) -> None:
        """Write some rows."""
        self._writer.write_batch(batch_of(frame, self._schema))

    def __enter__(self) -> "ParquetOut":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()


def append_parquet(parts: Sequence[Path], path: Path) -> None:
    """Lay Parquet files of one schema end to end, keeping row groups and metadata."""
    with pq.ParquetFile(parts[0]) as first:
        schema = first.schema_arrow
    with pq.ParquetWriter(path, schema) as writer:
        for part in parts:
            with pq.ParquetFile(part) as file:
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group))
