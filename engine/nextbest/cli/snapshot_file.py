"""One customer's snapshot out of a file: a row of Parquet or CSV, or facts as YAML or JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from nextbest.cli.options import parse_time
from nextbest.data.row_columns import ID_COLUMN, TIME_COLUMN, encode_frame, require_columns
from nextbest.data.table_files import TableFile
from nextbest.errors import InvalidInput, Violation
from nextbest.facts import Catalogue, FactType
from nextbest.id_check import id_check
from nextbest.model import Rows
from nextbest.rows import RowCodec, RowProblem, snapshot_error
from nextbest.rulebook.nodes import Value, parse_nodes, to_value

_WRITTEN = (".yaml", ".yml", ".json")
_MOST_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class _Entry:
    """A customer as written in YAML or JSON."""

    facts: Mapping[str, Value]
    as_of: Value


def read_snapshot(path: Path, customer_id: str, catalogue: Catalogue, as_of: float | None) -> Rows:
    """The snapshot of one customer, as decisions take it.

    Args:
        path: `.yaml`, `.yml` or `.json` (facts by name, or a list of such mappings, each with
            `customer_id`; `as_of` beside the facts), else Parquet or CSV as `nextbest load` takes it.
        customer_id: whom to look for.
        catalogue: names and types of the facts.
        as_of: epoch seconds for a snapshot that does not say when it was taken; None = it must.

    Raises:
        InvalidInput: the file cannot be used, the customer is not in it, or a fact does not fit.
    """
    codec = RowCodec(catalogue)
    written = path.suffix.lower() in _WRITTEN
    row = (_written_row if written else _table_row)(path, customer_id, codec, as_of)
    rows, problem = codec.decode_one(row, id_check(customer_id.encode()))
    if problem is not RowProblem.NONE:
        raise snapshot_error(problem)
    return rows


def _table_row(path: Path, customer_id: str, codec: RowCodec, as_of: float | None) -> bytes:
    table = TableFile(path)
    require_columns(table.columns, codec, as_of)
    for batch in table.batches(table.columns):
        if not len(batch.frame):
            continue
        own = (batch.frame[ID_COLUMN].cast(str).to_numpy() == customer_id).nonzero()[0]
        if not len(own):
            continue
        encoded = encode_frame(batch.frame[own[:1].tolist()], np.array([own[0] + 1]), codec, as_of=as_of)
        if encoded.faults:
            raise InvalidInput([Violation(f.column or "row", f.reason) for f in encoded.faults])
        return encoded.rows[0]
    raise _absent(path, customer_id)


def _written_row(path: Path, customer_id: str, codec: RowCodec, as_of: float | None) -> bytes:
    entry = _entry(path, customer_id)
    time = _seconds(entry.as_of, TIME_COLUMN) if entry.as_of is not None else as_of
    if time is None:
        raise InvalidInput([Violation(TIME_COLUMN, "is missing: give it in the file, or `--as-of`")])
    facts = {name: _fact(name, value, codec.catalogue) for name, value in entry.facts.items()}
    return codec.encode(customer_id.encode(), time, facts)


def _entry(path: Path, customer_id: str) -> _Entry:
    value = _read(path)
    entries = value if isinstance(value, list) else [value]
    if not all(isinstance(entry, dict) for entry in entries):
        raise InvalidInput([Violation("snapshot", "expected facts by name, or a list of such mappings")])
    for entry in cast("list[dict[str, Value]]", entries):
        name = entry.get(ID_COLUMN, customer_id if isinstance(value, dict) else None)
        if str(name) == customer_id:
            facts = {k: v for k, v in entry.items() if k not in (ID_COLUMN, TIME_COLUMN)}
            return _Entry(facts, entry.get(TIME_COLUMN))
    raise _absent(path, customer_id)


def _read(path: Path) -> Value:
    """JSON is read as YAML, which it is."""
    try:
        content = path.read_bytes()
        if len(content) > _MOST_BYTES:
            raise InvalidInput([Violation("snapshot", f"`{path}` is larger than {_MOST_BYTES >> 20} MiB")])
        root, problems = parse_nodes(content.decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as cause:
        raise InvalidInput([Violation("snapshot", f"cannot read `{path}`: {cause}")]) from None
    value = {} if root is None else to_value(root, problems)
    if problems:
        raise InvalidInput([Violation("snapshot", f"`{path}`: {problem.message}") for problem in problems])
    return value


def _fact(name: str, value: Value, catalogue: Catalogue) -> Value:
    """The value as rows take it: times may be written as ISO dates."""
    is_time = name in catalogue and catalogue[name].type is FactType.TIMESTAMP
    return _seconds(value, name) if is_time else value


def _seconds(value: Value, name: str) -> float:
    if isinstance(value, str):
        try:
            return parse_time(value)
        except InvalidInput as error:
            raise InvalidInput([Violation(name, v.description) for v in error.violations]) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput([Violation(name, f"`{value}` is not a time")])
    return float(value)


def _absent(path: Path, customer_id: str) -> InvalidInput:
    return InvalidInput([Violation(ID_COLUMN, f"`{customer_id}` is not in `{path}`")])
