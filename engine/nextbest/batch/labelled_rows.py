"""Files of contacts with their outcomes: what propensity models are fitted on."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from nextbest.batch.room import MB, require_room
from nextbest.data.casting import cast_numbers, cast_times, text_of
from nextbest.data.row_columns import faults_of
from nextbest.data.table_files import RowFault, TableBatch, TableFile
from nextbest.errors import InvalidInput, Violation
from nextbest.fact_values import Misfit, unknown_fact
from nextbest.facts import Catalogue, Fact, FactGroup, FactSource, FactType
from nextbest.learning.rolling_origin import Labelled
from nextbest.model import F64, I64
from nextbest.rows import RowCodec

NUMBERS = (FactType.INT, FactType.DOUBLE)
"""Types of facts that a model reads: a code or a time is no quantity."""
SHOWN_FAULTS = 50
"""Bad cells that are listed one by one; the others are counted."""
_CONSTANT_MB = 250
"""Of a fit: libraries' threads, and replicates while figures are computed; measured."""
_BYTES_A_ROW = 100
_BYTES_A_CELL = 48
"""Of a row and fact: as read, standardised, without the part that is held out, and within the regression."""
_TRUE, _FALSE = ("true", "1", "1.0"), ("false", "0", "0.0")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column is what."""

    outcome: str
    """1, 0, true or false."""
    group: str
    """What was done together, such as a campaign; held out as a whole."""
    time: str
    """When the contact was made; facts are as of then."""
    known: str | None = None
    """When its outcome was known; None = at once."""
    customer: str | None = None
    """The customer; None = every row is another's."""
    facts: Sequence[str] = ()
    """Facts to read; none = all other columns."""
    bound: Mapping[str, float] = field(default_factory=dict[str, float])
    """Columns that say what was offered, and the value that the action in question has."""

    @property
    def roles(self) -> Mapping[str, str]:
        """Column by what it is."""
        roles = {"outcome": self.outcome, "group": self.group, "time": self.time}
        optional = {"known": self.known, "customer": self.customer}
        return roles | {role: name for role, name in optional.items() if name is not None}


@dataclass(slots=True)
class _Gathered:
    numbers: list[F64] = field(default_factory=list[F64])
    outcomes: list[F64] = field(default_factory=list[F64])
    at: list[F64] = field(default_factory=list[F64])
    known_at: list[F64] = field(default_factory=list[F64])
    groups: list[pl.Series] = field(default_factory=list[pl.Series])
    customers: list[pl.Series] = field(default_factory=list[pl.Series])
    faults: list[RowFault] = field(default_factory=list[RowFault])


def read_labelled(path: Path, catalogue: Catalogue, columns: Columns, *, now: float) -> Labelled:
    """Read a Parquet or CSV file of labelled contacts.

    Args:
        path: the file; one row a contact.
        catalogue: has the facts.
        columns: which column is what.
        now: epoch seconds; outcomes that are known later only make no sense.

    Raises:
        InvalidInput: with every column that is missing or is no number of the catalogue, or with
            every cell that cannot be used; nothing is left out silently.
        NoRoom: the process may not take the memory that a fit of this file takes; nothing was begun.

    Cost: 8 bytes a row and fact, twice that while they are joined; only the columns named are read.
    """
    table = TableFile(path)
    names = _facts(table.columns, catalogue, columns)
    require_room("`fit propensity`", memory_of_file(len(names), table.row_count or 0))
    facts = [catalogue[name] if name in catalogue else _plain(name) for name in names]
    gathered, checks = _Gathered(), RowCodec(catalogue).checks
    wanted = [*dict.fromkeys([*columns.roles.values(), *names])]
    for batch in table.batches(wanted):
        gathered.faults += batch.faults
        if len(batch.frame):
            _gather(batch, facts, columns, gathered, now)
            gathered.faults += _out_of_bounds(batch, gathered.numbers[-1], names, catalogue, checks.misfits)
    _require_no(gathered.faults)
    return _labelled(names, gathered)


def memory_of_file(facts: int, rows: int) -> int:
    """Bytes that a fit on so many rows takes beyond what the process has taken; 0 rows = not known."""
    return _CONSTANT_MB * MB + (_BYTES_A_ROW + _BYTES_A_CELL * facts) * rows


def _facts(found: Sequence[str], catalogue: Catalogue, columns: Columns) -> list[str]:
    roles = columns.roles
    others = [name for name in found if name not in roles.values() and name not in columns.bound]
    names = [*(columns.facts or others), *columns.bound]
    violations = [
        Violation(role, f"the file has no column `{name}`")
        for role, name in roles.items()
        if name not in found
    ]
    violations += [
        Violation("facts", f"`{name}` {reason}")
        for name in names
        if (reason := _unusable(name, found, catalogue, columns))
    ]
    if not columns.facts and not others:
        violations.append(Violation("facts", "the file has no column besides those named"))
    violations += [
        Violation("columns", f"`{name}` is given two meanings")
        for name in sorted({*roles.values()})
        if list(roles.values()).count(name) > 1 and name != columns.time
    ]
    if violations:
        raise InvalidInput(violations)
    return names


def _unusable(name: str, found: Sequence[str], catalogue: Catalogue, columns: Columns) -> str | None:
    """Why a column cannot be one of the model's facts."""
    if name not in found:
        return "is no column of the file"
    if name in columns.roles.values():
        return "says how the contact ended, or when: a model must not read it"
    if name in columns.bound:
        return None
    if name not in catalogue:
        return f"{unknown_fact(name, catalogue)}; name the facts to read with `--fact`"
    kind = catalogue[name].type
    return None if kind in NUMBERS else f"is of type {kind.name.lower()}; a model reads numbers"


def _plain(name: str) -> Fact:
    """A column that says what was offered is described in no catalogue."""
    return Fact(
        name=name,
        type=FactType.DOUBLE,
        group=FactGroup.TRANSACTION,
        source=FactSource.COMPANY,
        description=name,
    )


def _gather(batch: TableBatch, facts: Sequence[Fact], columns: Columns, to: _Gathered, now: float) -> None:
    frame, misfits = batch.frame, list[Misfit]()
    numbers = np.empty((len(frame), len(facts)))
    for k, fact in enumerate(facts):
        cast = cast_numbers(fact, frame[fact.name])
        numbers[:, k] = cast.values
        misfits += cast.misfits
    outcome = text_of(frame[columns.outcome]).str.to_lowercase()
    to.numbers.append(numbers)
    to.outcomes.append(outcome.is_in(_TRUE).fill_null(value=False).to_numpy().astype(np.float64))
    misfits += _outside(frame[columns.outcome], ~outcome.is_in([*_TRUE, *_FALSE]).fill_null(value=False))
    at = _times(frame, columns.time, misfits)
    known_at = at if columns.known is None else _times(frame, columns.known, misfits)
    misfits += _impossible(columns, at, known_at, now)
    to.at.append(at)
    to.known_at.append(known_at)
    to.groups.append(_texts(frame[columns.group], misfits))
    if columns.customer is not None:
        to.customers.append(_texts(frame[columns.customer], misfits))
    to.faults += faults_of([m for m in misfits if len(m.rows)], batch.row_numbers)


def _outside(column: pl.Series, bad: pl.Series) -> Iterator[Misfit]:
    shown = column.to_list()
    yield Misfit(
        column.name, np.flatnonzero(bad.to_numpy()), lambda row: f"`{shown[row]}` is not 1, 0, true or false"
    )


def _times(frame: pl.DataFrame, name: str, misfits: list[Misfit]) -> F64:
    cast = cast_times(name, frame[name])
    misfits += cast.misfits
    misfits.append(Misfit(name, np.flatnonzero(frame[name].is_null().to_numpy()), lambda _: "is empty"))
    return cast.values


def _texts(column: pl.Series, misfits: list[Misfit]) -> pl.Series:
    text = text_of(column)
    misfits.append(Misfit(column.name, np.flatnonzero(text.is_null().to_numpy()), lambda _: "is empty"))
    return text.rename("")


def _impossible(columns: Columns, at: F64, known_at: F64, now: float) -> Iterator[Misfit]:
    name = columns.known or columns.time
    yield Misfit(name, np.flatnonzero(known_at < at), lambda _: f"is before `{columns.time}`")
    yield Misfit(name, np.flatnonzero(known_at > now), lambda _: "is in the future: the outcome is not known")


def _out_of_bounds(
    batch: TableBatch,
    numbers: F64,
    names: Sequence[str],
    catalogue: Catalogue,
    misfits: Callable[[F64], list[Misfit]],
) -> Iterable[RowFault]:
    whole = np.full((len(numbers), catalogue.n_numbers), np.nan)
    for k, name in enumerate(names):
        if name in catalogue:
            whole[:, catalogue.columns[name]] = numbers[:, k]
    return faults_of(misfits(whole), batch.row_numbers)


def _require_no(faults: Sequence[RowFault]) -> None:
    ordered = sorted(faults, key=lambda fault: (fault.row, fault.column))
    violations = [
        Violation(f"row {fault.row}", f"{fault.column} {fault.reason}".lstrip())
        for fault in ordered[:SHOWN_FAULTS]
    ]
    if len(ordered) > SHOWN_FAULTS:
        violations.append(Violation("rows", f"{len(ordered) - SHOWN_FAULTS} more cells cannot be used"))
    if violations:
        raise InvalidInput(violations)


def _labelled(names: Sequence[str], gathered: _Gathered) -> Labelled:
    if not gathered.numbers:
        raise InvalidInput([Violation("file", "has no rows")])
    group_names, groups = _codes(gathered.groups)
    n = len(groups)
    customers = _codes(gathered.customers)[1] if gathered.customers else np.arange(n)
    return Labelled(
        facts=tuple(names),
        x=np.concatenate(gathered.numbers),
        accepted=np.concatenate(gathered.outcomes),
        groups=groups,
        group_names=group_names,
        at=np.concatenate(gathered.at),
        known_at=np.concatenate(gathered.known_at),
        customers=customers,
    )


def _codes(parts: Sequence[pl.Series]) -> tuple[tuple[str, ...], I64]:
    names, codes = np.unique(pl.concat(parts).to_numpy().astype(np.str_), return_inverse=True)
    return tuple(names.tolist()), codes.astype(np.int64)
