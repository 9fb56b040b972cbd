"""Files of events, Parquet or CSV, as one window per customer, for event patterns."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from nextbest.behaviour.patterns import Event, Window
from nextbest.behaviour.patterns.events import LATEST_S
from nextbest.data.casting import cast_times, text_of
from nextbest.data.loader import Progress
from nextbest.data.rejects import RejectFile, rejects_path
from nextbest.data.row_columns import ID_COLUMN, faults_of, id_misfits
from nextbest.data.table_files import TableFile
from nextbest.errors import InvalidInput, Violation
from nextbest.fact_values import Misfit
from nextbest.model import F64, I64, Bools
from nextbest.rulebook.patterns import Constant, Count, Pattern

Guess: TypeAlias = Callable[[Constant], Constant]
"""What a cell stands for."""

REQUIRED = (ID_COLUMN, "time", "event")
_KEY_COLUMN, _KIND_COLUMN = "idempotency_key", "kind"
_OPTIONAL = (_KEY_COLUMN, _KIND_COLUMN)
_PLACED = (ID_COLUMN, "time", "event", _KEY_COLUMN)
"""Columns of a loaded frame before its attributes."""

_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)
_PARQUET_MARK = b"PAR1"


@dataclass(frozen=True, slots=True)
class LoadedEvents:
    """The events of a file that matter to some patterns."""

    frame: pl.DataFrame
    """customer_id, time, event, idempotency_key, and attributes; by customer and time."""
    latest: float
    """Time of the latest event of any kind, epoch seconds; NaN if there is none."""
    absent: tuple[str, ...]
    """Attributes that patterns compare and no column holds."""
    rejected: int
    """Rows that could not be read."""
    rejects: Path | None
    """The reject file; None if nothing was rejected."""

    guessed: Mapping[str, Guess]
    """What cells of words may stand for, by attribute."""

    def windows(self, now: float, since: float = -math.inf) -> Iterator[Window]:
        """A window for each customer, by customer id."""
        attributes = self.frame.columns[len(_PLACED) :]
        guesses = [self.guessed.get(name, _as_it_is) for name in attributes]
        for customer, rows in groupby(self.frame.iter_rows(), key=itemgetter(0)):
            events = (_event(row, attributes, guesses) for row in rows)
            yield Window(customer, tuple(events), now, since)


def load_events(path: Path, patterns: Sequence[Pattern], *, progress: Progress | None = None) -> LoadedEvents:
    """Read what patterns need from a Parquet or CSV file.

    Columns: customer_id, time (ISO 8601 or epoch seconds), event, idempotency_key if there is one, and
    every other column as an attribute of its name. With a column `kind` only rows of kind `event` count,
    as in files of histories. An empty cell is an attribute that is not there. In a CSV file a cell is a
    number if patterns compare its attribute as one and it looks like one, likewise for `true` and `false`;
    else it is a word. Bad rows are listed in `<file>.rejects.csv`.

    Cost: memory for the events that matter, not for the file.

    Raises:
        InvalidInput: the file cannot be read or lacks a column.
    """
    table = TableFile(path)
    _require(table.columns)
    compared = compared_attributes(patterns)
    present = [name for name in compared if name in table.columns]
    columns = [*REQUIRED, *(name for name in _OPTIONAL if name in table.columns), *present]
    kinds = sorted({kind for pattern in patterns for kind in pattern.kinds})
    frames: list[pl.DataFrame] = []
    latest, rows = math.nan, 0
    with RejectFile(rejects_path(path)) as rejects:
        for batch in table.batches(columns):
            frame, misfits = _read(batch.frame, batch.row_numbers, present)
            rejects.add([*batch.faults, *faults_of(misfits, batch.row_numbers)])
            latest = float(np.fmax.reduce(frame["time"].to_numpy(), initial=latest))
            frames.append(frame.filter(pl.col("event").is_in(kinds)))
            rows += len(batch.row_numbers) + len({fault.row for fault in batch.faults})
            if progress:
                progress(batch.fraction, rows)
    nothing = _read(pl.DataFrame(schema=columns), np.empty(0, np.int64), present)[0]
    joined = pl.concat(frames) if frames else nothing
    return LoadedEvents(
        joined.sort(ID_COLUMN, "time", maintain_order=True),
        latest,
        tuple(sorted(compared.keys() - set(table.columns))),
        rejects.rows,
        rejects.path if rejects.rows else None,
        {} if _is_parquet(path) else compared,
    )


def compared_attributes(patterns: Sequence[Pattern]) -> dict[str, Guess]:
    """The attributes that patterns compare, each with how a cell of words is read for it."""
    joins = [join for pattern in patterns for test in pattern.tests for join in test.joins]
    own = [(c.attribute, type(c.constant)) for p in patterns for test in p.tests for c in test.own]
    same = {name for p in patterns if isinstance(p.form, Count) for name in p.form.same}
    sides = {side for join in joins for side in (join.attribute, join.other)}
    ordered = {s for join in joins if join.comparator.is_ordering for s in (join.attribute, join.other)}
    numbers = ordered | {attribute for attribute, kind in own if kind in (int, float)}
    bools = {attribute for attribute, kind in own if kind is bool}
    found = same | sides | {attribute for attribute, _ in own}
    return {name: _guess(is_number=name in numbers, is_bool=name in bools) for name in sorted(found)}


def _guess(*, is_number: bool, is_bool: bool) -> Guess:
    def guess(cell: Constant) -> Constant:
        if is_number and isinstance(cell, str) and _NUMBER.fullmatch(cell):
            return float(cell)
        if is_bool and cell in ("true", "false"):
            return cell == "true"
        return cell

    return guess


def _as_it_is(cell: Constant) -> Constant:
    return cell


def _require(columns: Sequence[str]) -> None:
    violations = [Violation("columns", f"`{name}` is missing") for name in REQUIRED if name not in columns]
    if violations:
        raise InvalidInput(violations)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_PARQUET_MARK)) == _PARQUET_MARK


def _read(
    frame: pl.DataFrame, row_numbers: I64, attributes: Sequence[str]
) -> tuple[pl.DataFrame, list[Misfit]]:
    """The rows that are events, and what is wrong with the others."""
    ids, kinds = text_of(frame[ID_COLUMN]), text_of(frame["event"])
    times, time_misfits = _times(frame["time"])
    good = _is_event(frame)
    misfits = [_only(m, good) for m in (*id_misfits(ids), *time_misfits, *_empty("event", kinds))]
    for misfit in misfits:
        good[misfit.rows] = False
    keys = "row " + pl.Series(row_numbers).cast(pl.String)
    if _KEY_COLUMN in frame.columns:
        keys = text_of(frame[_KEY_COLUMN]).fill_null(keys)
    cells = {name: _attribute(frame[name]) for name in attributes}
    read = pl.DataFrame({ID_COLUMN: ids, "time": times, "event": kinds, _KEY_COLUMN: keys, **cells})
    return read.filter(pl.Series(good)), misfits


def _is_event(frame: pl.DataFrame) -> Bools:
    """Which rows are meant to be events; (n,)."""
    if _KIND_COLUMN not in frame.columns:
        return np.ones(len(frame), np.bool_)
    said = text_of(frame[_KIND_COLUMN]).str.to_lowercase() == "event"
    return said.fill_null(value=False).to_numpy().copy()


def _times(column: pl.Series) -> tuple[F64, list[Misfit]]:
    times = cast_times("time", column)
    given = column.is_not_null().to_numpy().copy()
    for misfit in times.misfits:
        given[misfit.rows] = False
    strange = np.flatnonzero(given & ~(np.abs(times.values) <= LATEST_S))
    no_time = Misfit("time", strange, lambda row: f"`{column[row]}` is no time of an event")
    return times.values, [*times.misfits, *_empty("time", column), no_time]


def _empty(name: str, column: pl.Series) -> list[Misfit]:
    rows = np.flatnonzero(column.is_null().to_numpy())
    return [Misfit(name, rows, lambda _: "is empty")]


def _only(misfit: Misfit, rows: Bools) -> Misfit:
    """Rows that are no events may look as they like."""
    return replace(misfit, rows=misfit.rows[rows[misfit.rows]])


def _attribute(column: pl.Series) -> pl.Series:
    """A column as numbers, bools or words; what is none of these is not there."""
    if column.dtype.is_numeric():
        return column.cast(pl.Float64, strict=False) if column.dtype.is_decimal() else column
    if column.dtype == pl.Boolean:
        return column
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        return pl.Series(column.name, [None], pl.String).new_from_index(0, len(column))
    return text_of(column)


def _event(row: tuple[Any, ...], attributes: Sequence[str], guesses: Sequence[Guess]) -> Event:
    _, time, kind, key = row[: len(_PLACED)]
    cells = zip(attributes, guesses, row[len(_PLACED) :], strict=True)
    return Event(key, kind, time, {name: guess(cell) for name, guess, cell in cells if cell is not None})
