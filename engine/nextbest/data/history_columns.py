"""A frame of contacts, outcomes and events to history entries, with everything that is wrong with each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from uuid import UUID

import numpy as np
import numpy.typing as npt
import polars as pl

from nextbest.data.casting import cast_bits, cast_numbers, cast_times, text_of
from nextbest.data.registry import MAX_NAME_BYTES
from nextbest.data.row_columns import ID_COLUMN, checks_of, id_misfits
from nextbest.errors import InvalidInput, Violation
from nextbest.fact_values import Misfit, not_a_member
from nextbest.facts import Fact, FactGroup, FactType
from nextbest.id_check import MAX_HASHED_BYTES, id_checks
from nextbest.model import I64, U64, Bools, Direction, EntryFlag, EntryKind, Outcome
from nextbest.rings import ENTRY_BYTES, new_entries

REQUIRED = (ID_COLUMN, "time", "kind")
NAME_COLUMNS = ("action", "treatment", "trigger", "event", "channel", "placement")
"""Columns of names; each is also the kind of its registry."""
COLUMNS = (
    *REQUIRED,
    *NAME_COLUMNS,
    "direction",
    "outcome",
    "amount",
    "cost",
    "decision_id",
    "idempotency_key",
    "override",
)
_FIELD_OF = {name: "event_kind" if name == "event" else name for name in NAME_COLUMNS}
_KEY_BYTES = 8


@dataclass(frozen=True, slots=True)
class HistoryColumns:
    """A frame's rows as entries; names are still to be given their codes."""

    ids: pl.Series
    """(n,) customer ids."""
    entries: npt.NDArray[np.void]
    """(n,) of `HISTORY_ENTRY`."""
    names: Mapping[str, pl.Series]
    """(n,) names by kind, null = none."""
    keys: U64
    """(n,) idempotency keys, 0 = none given."""
    misfits: list[Misfit]


def require_history_columns(columns: Sequence[str]) -> None:
    """Refuse a file whose columns are not those of a history.

    Raises:
        InvalidInput: with every column that is missing or not known.
    """
    violations = [Violation("columns", f"`{name}` is missing") for name in REQUIRED if name not in columns]
    strange = [name for name in columns if name not in COLUMNS]
    violations += [Violation("columns", f"`{name}` is not one of {', '.join(COLUMNS)}") for name in strange]
    if violations:
        raise InvalidInput(violations)


def history_columns(frame: pl.DataFrame) -> HistoryColumns:
    """Check and convert a frame, a column at a time."""
    frame = _from_treatments(_complete(frame))
    ids = text_of(frame[ID_COLUMN])
    names = {kind: text_of(frame[kind]) for kind in NAME_COLUMNS}
    misfits = list(id_misfits(ids))
    entries = new_entries(len(frame))
    _fill_numbers(frame, entries, misfits)
    _fill_members(frame, entries, misfits)
    for kind, column in names.items():
        misfits += _name_misfits(kind, column)
    keys = _keys(frame["idempotency_key"], misfits)
    entries["decision_id"] = _decision_ids(frame["decision_id"], misfits)
    misfits += _contradictions(frame, entries, names)
    return HistoryColumns(ids, entries, names, keys, misfits)


def fill_names(entries: npt.NDArray[np.void], kind: str, names: pl.Series, codes: Mapping[str, int]) -> None:
    """Give the names of one kind their codes; none stays none."""
    given = names.is_not_null().to_numpy()
    known = names.drop_nulls().replace_strict(list(codes), list(codes.values()), return_dtype=pl.Int64)
    entries[_FIELD_OF[kind]][given] = known.to_numpy()


def fill_keys(entries: npt.NDArray[np.void], keys: U64) -> None:
    """Set idempotency keys; an entry without one gets a hash of its content, so that it is loaded once."""
    entries["idempotency_key"] = keys
    content = entries.view(np.uint8).reshape(len(entries), ENTRY_BYTES)[:, : ENTRY_BYTES - _KEY_BYTES]
    size = content.shape[1]
    hashes = id_checks(np.ascontiguousarray(content).ravel(), np.arange(len(entries) + 1) * size)
    entries["idempotency_key"] = np.where(keys == 0, hashes, keys)


def _complete(frame: pl.DataFrame) -> pl.DataFrame:
    absent = [name for name in COLUMNS if name not in frame.columns]
    return frame.with_columns(pl.lit(None, pl.String).alias(name) for name in absent)


def _from_treatments(frame: pl.DataFrame) -> pl.DataFrame:
    """Take action, channel and placement from the treatment id where they are not given."""
    parts = pl.col("treatment").cast(pl.String).str.split("/")
    return frame.with_columns(
        pl.coalesce(pl.col(name).cast(pl.String), parts.list.get(place, null_on_oob=True)).alias(name)
        for place, name in enumerate(("action", "channel", "placement"))
    )


def _fill_numbers(frame: pl.DataFrame, entries: npt.NDArray[np.void], misfits: list[Misfit]) -> None:
    times = cast_times("time", frame["time"])
    misfits += times.misfits
    if (absent := frame["time"].is_null().to_numpy()).any():
        misfits.append(_misfit("time", absent, "is empty"))
    entries["time"] = times.values
    for name in ("amount", "cost"):
        money = cast_numbers(_fact(name, FactType.DOUBLE), frame[name])
        misfits += money.misfits
        if (infinite := np.isinf(money.values)).any():
            misfits.append(_misfit(name, infinite, "is not a finite number"))
        entries[name] = money.values


def _fill_members(frame: pl.DataFrame, entries: npt.NDArray[np.void], misfits: list[Misfit]) -> None:
    for name, members in (("kind", EntryKind), ("direction", Direction), ("outcome", Outcome)):
        entries[name] = _members(name, members, frame[name], misfits)
    override = cast_bits(_fact("override", FactType.BOOL), frame["override"])
    misfits += override.misfits
    entries["flags"] = override.values * np.uint64(EntryFlag.OVERRIDE)


def _members(name: str, members: type[IntEnum], column: pl.Series, misfits: list[Misfit]) -> I64:
    """Codes of an enum's members by their names in lower case; 0 where there is none."""
    text = text_of(column).str.to_lowercase()
    known = {member.name.lower(): int(member) for member in members}
    codes = text.replace_strict(list(known), list(known.values()), default=None, return_dtype=pl.Int64)
    bad = (text.is_not_null() & codes.is_null()).to_numpy()
    if bad.any():
        fact = _fact(name, FactType.ENUM, tuple(known))
        misfits.append(Misfit(name, np.flatnonzero(bad), lambda row: not_a_member(text[row], fact)))
    return codes.fill_null(0).to_numpy()


def _name_misfits(kind: str, column: pl.Series) -> Iterator[Misfit]:
    long = (column.str.len_bytes() > MAX_NAME_BYTES).fill_null(value=False).to_numpy()
    if long.any():
        yield _misfit(kind, long, f"is longer than {MAX_NAME_BYTES} bytes")
    control = column.str.contains(r"\p{Cc}").fill_null(value=False).to_numpy()
    if control.any():
        yield _misfit(kind, control, "holds a control character")


def _keys(column: pl.Series, misfits: list[Misfit]) -> U64:
    text = text_of(column)
    long = (text.str.len_bytes() > MAX_HASHED_BYTES).fill_null(value=False).to_numpy()
    if long.any():
        misfits.append(_misfit("idempotency_key", long, f"is longer than {MAX_HASHED_BYTES} bytes"))
    keys = checks_of(text.fill_null(""))
    keys[text.is_null().to_numpy()] = 0
    return keys


def _decision_ids(column: pl.Series, misfits: list[Misfit]) -> npt.NDArray[np.void]:
    text = text_of(column)
    ids = np.zeros((len(text), 16), np.uint8)
    bad = np.zeros(len(text), np.bool_)
    for row in np.flatnonzero(text.is_not_null().to_numpy()).tolist():
        try:
            ids[row] = np.frombuffer(UUID(text[row]).bytes, np.uint8)
        except ValueError:
            bad[row] = True
    if bad.any():
        misfits.append(_misfit("decision_id", bad, "is not 32 hexadecimal digits"))
    return ids.view("V16")[:, 0]


def _contradictions(
    frame: pl.DataFrame, entries: npt.NDArray[np.void], names: Mapping[str, pl.Series]
) -> Iterator[Misfit]:
    """What a contact, an outcome or an event must and must not say."""
    kind, outcome = entries["kind"], entries["outcome"]
    said = frame["kind"].is_not_null().to_numpy() & (kind != 0)
    is_event, is_outcome = kind == EntryKind.EVENT, kind == EntryKind.OUTCOME
    given = {name: column.is_not_null().to_numpy() for name, column in names.items()}
    rules: tuple[tuple[str, Bools, str], ...] = (
        ("kind", frame["kind"].is_null().to_numpy(), "is empty"),
        ("event", said & is_event & ~given["event"], "is empty, but an event has a name"),
        ("event", said & ~is_event & given["event"], "is given, but this is no event"),
        ("action", said & ~is_event & ~given["action"], "is empty, but it was an action's"),
        ("direction", said & ~is_event & frame["direction"].is_null().to_numpy(), "is empty"),
        ("outcome", is_outcome & (outcome == Outcome.NONE), "is empty, but this is an outcome"),
        ("outcome", said & ~is_outcome & (outcome != Outcome.NONE), "is given, but this is no outcome"),
    )
    for name, broken, text in rules:
        if broken.any():
            yield _misfit(name, broken, text)


def _misfit(name: str, bad: Bools, text: str) -> Misfit:
    return Misfit(name, np.flatnonzero(bad), lambda _: text)


def _fact(name: str, kind: FactType, values: tuple[str, ...] = ()) -> Fact:
    return Fact(name=name, type=kind, group=FactGroup.COMMUNICATION, values=values)
