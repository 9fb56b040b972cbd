"""Loads files of identifiers: one a row, beside those known; bad rows are listed, the others loaded."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from nextbest.data.casting import text_of
from nextbest.data.identifier_forms import Identifier, checked
from nextbest.data.identifiers import IdentifierStore
from nextbest.data.keys import id_violations
from nextbest.data.loader import Progress
from nextbest.data.rejects import RejectFile, rejects_path
from nextbest.data.table_files import RowFault, TableBatch, TableFile
from nextbest.errors import CustomerErased, InvalidInput, Violation

COLUMNS = ("customer_id", "type", "value")
_AT_ONCE = 64
"""Identifiers under way together, so that Redis works while the next are sent."""


@dataclass(frozen=True, slots=True)
class IdentifierReport:
    """What became of a file's rows."""

    loaded: int
    """Theirs from now on, or already."""
    rejected: int
    rejects: Path | None
    """The reject file; None if nothing was rejected."""


class _Wanted(NamedTuple):
    row: int
    customer_id: str
    identifier: Identifier


async def load_identifiers(
    path: Path, store: IdentifierStore, *, progress: Progress | None = None
) -> IdentifierReport:
    """Load identifiers from a Parquet or CSV file with the columns customer_id, type and value.

    They come beside those known, so loading a file again changes nothing. One that another customer has, in
    the store or earlier in the file, is a bad row; values are not repeated in the reject file.

    Args:
        path: the file.
        store: where to.
        progress: told after every batch.

    Raises:
        InvalidInput: the file cannot be read, or its columns are not those.
        StoreUnavailable: Redis does not answer; load again.
    """
    table = TableFile(path)
    _require_columns(table.columns)
    loaded = rows = 0
    with RejectFile(rejects_path(path)) as rejects:
        for batch in table.batches(list(COLUMNS)):
            wanted, faults = _read(batch)
            refused = await _load(wanted, store)
            rejects.add([*batch.faults, *faults, *refused])
            loaded += len(wanted) - len(refused)
            rows += len(batch.row_numbers) + len({fault.row for fault in batch.faults})
            if progress:
                progress(batch.fraction, rows)
    return IdentifierReport(loaded, rejects.rows, rejects.path if rejects.rows else None)


def _require_columns(columns: Sequence[str]) -> None:
    found = [Violation("columns", f"`{name}` is missing") for name in COLUMNS if name not in columns]
    found += [Violation("columns", f"`{name}` is not known") for name in columns if name not in COLUMNS]
    if found:
        raise InvalidInput(found)


def _read(batch: TableBatch) -> tuple[list[_Wanted], list[RowFault]]:
    """The good rows of a batch, and what is wrong with the others."""
    texts = [text_of(batch.frame[name]).fill_null("").to_list() for name in COLUMNS]
    wanted: list[_Wanted] = []
    faults: list[RowFault] = []
    for row, customer_id, kind, value in zip(batch.row_numbers.tolist(), *texts, strict=True):
        found = id_violations(customer_id)
        identifier = checked(kind, value, "", found)
        faults += [RowFault(row, violation.field.lstrip("."), violation.description) for violation in found]
        if not found:
            wanted.append(_Wanted(row, customer_id, identifier))
    return wanted, faults


async def _load(wanted: Sequence[_Wanted], store: IdentifierStore) -> list[RowFault]:
    faults: list[RowFault | None] = []
    for start in range(0, len(wanted), _AT_ONCE):
        faults += await asyncio.gather(*(_load_one(one, store) for one in wanted[start : start + _AT_ONCE]))
    return [fault for fault in faults if fault is not None]


async def _load_one(one: _Wanted, store: IdentifierStore) -> RowFault | None:
    try:
        claims = await store.claim(one.customer_id, [one.identifier], beside=True, field="value")
        await store.settle(one.customer_id, claims, beside=True, field="value")
    except InvalidInput as refused:
        return RowFault(one.row, "value", refused.violations[0].description)
    except CustomerErased:
        return RowFault(one.row, "customer_id", "the customer was erased")
    return None
