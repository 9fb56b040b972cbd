"""A frame of customers to rows, with everything that is wrong with each."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from nextbest.data.casting import cast_bits, cast_numbers, cast_times, text_of
from nextbest.data.keys import ID_FORBIDDEN
from nextbest.data.table_files import RowFault
from nextbest.errors import InvalidInput, Violation
from nextbest.fact_values import FIRST_TIME_S, LAST_TIME_S, Misfit, shown, unknown_fact
from nextbest.id_check import MAX_ID_BYTES, id_checks
from nextbest.model import F64, I64, U64, Bools
from nextbest.rows import RowCodec, split_rows

ID_COLUMN, TIME_COLUMN = "customer_id", "as_of"


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """What became of a frame."""

    customer_ids: list[str]
    """Of the good rows."""
    rows: list[bytes]
    """The good rows, in the frame's order."""
    checks: U64
    """(good,) id checks."""
    row_numbers: I64
    """(good,) in the file."""
    faults: list[RowFault]
    """Of the others."""


@dataclass(frozen=True, slots=True)
class CheckedFrame:
    """The good rows of a frame, and what is wrong with the others."""

    customer_ids: pl.Series
    """(good,)."""
    checks: U64
    """(good,) id checks."""
    matrix: U64
    """(good, row_words) the rows, as `RowCodec.assemble` lays them."""
    row_numbers: I64
    """(good,) in the file."""
    faults: list[RowFault]
    """Of the others."""


def require_columns(columns: Sequence[str], codec: RowCodec, as_of: float | None) -> None:
    """Refuse a file whose columns are not customer_id, as_of and facts.

    Raises:
        InvalidInput: with every column that is missing or is no fact.
    """
    violations = [
        Violation("columns", f"`{name}` {unknown_fact(name, codec.catalogue)}")
        for name in columns
        if name not in (ID_COLUMN, TIME_COLUMN) and name not in codec.catalogue
    ]
    if ID_COLUMN not in columns:
        violations.append(Violation("columns", f"`{ID_COLUMN}` is missing"))
    if TIME_COLUMN not in columns and as_of is None:
        violations.append(Violation("columns", f"`{TIME_COLUMN}` is missing, and no time is given for all"))
    if violations:
        raise InvalidInput(violations)


def encode_frame(
    frame: pl.DataFrame, row_numbers: I64, codec: RowCodec, *, as_of: float | None = None
) -> EncodedBatch:
    """Check and encode the rows of a frame: `check_frame`, with each row as the bytes that are stored."""
    found = check_frame(frame, row_numbers, codec, as_of=as_of)
    return EncodedBatch(
        found.customer_ids.to_list(), split_rows(found.matrix), found.checks, found.row_numbers, found.faults
    )


def check_frame(
    frame: pl.DataFrame, row_numbers: I64, codec: RowCodec, *, as_of: float | None = None
) -> CheckedFrame:
    """Check the rows of a frame, a column at a time.

    Args:
        frame: columns customer_id, as_of and facts.
        row_numbers: (n,) for faults.
        codec: of the catalogue that names the facts.
        as_of: time of rows that have none.
    """
    ids = text_of(frame[ID_COLUMN])
    times, misfits = _times(frame, as_of)
    numbers, words, known, fact_misfits = _facts(frame, codec)
    misfits += [*id_misfits(ids), *fact_misfits, *codec.checks.misfits(numbers)]
    good = np.ones(len(frame), np.bool_)
    for misfit in misfits:
        good[misfit.rows] = False
    kept = ids.filter(pl.Series(good))
    checks = checks_of(kept)
    matrix = codec.assemble(times[good], checks, numbers[good], words[good], known[good])
    return CheckedFrame(kept, checks, matrix, row_numbers[good], list(faults_of(misfits, row_numbers)))


def id_misfits(ids: pl.Series) -> Iterator[Misfit]:
    """What keeps texts from being customer ids, as `keys.id_violations` says of one."""
    missing = ids.is_null().to_numpy()
    if missing.any():
        yield Misfit(ID_COLUMN, np.flatnonzero(missing), lambda _: "is empty")
    long = (ids.str.len_bytes() > MAX_ID_BYTES).fill_null(value=False).to_numpy()
    if long.any():
        text = f"is longer than {MAX_ID_BYTES} bytes"
        yield Misfit(ID_COLUMN, np.flatnonzero(long), lambda _: text)
    bad = ids.str.contains(_POLARS_FORBIDDEN).fill_null(value=False).to_numpy()
    if bad.any():
        yield Misfit(ID_COLUMN, np.flatnonzero(bad), lambda _: "holds a control character or a brace")


def checks_of(ids: pl.Series) -> U64:
    """Id checks of a column of texts, (n,)."""
    lengths = ids.str.len_bytes().to_numpy().astype(np.int64)
    text = "".join(ids.to_list()).encode()
    return id_checks(
        np.frombuffer(text, np.uint8), np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    )


def faults_of(misfits: Sequence[Misfit], row_numbers: I64) -> Iterator[RowFault]:
    """Misfits as faults of the file's rows."""
    for misfit in misfits:
        for row in misfit.rows.tolist():
            yield RowFault(int(row_numbers[row]), misfit.fact, misfit.describe(row))


# Polars' expressions write a code point as \x{..}.
_POLARS_FORBIDDEN = re.sub(r"\\x(..)", r"\\x{\1}", ID_FORBIDDEN)


def _times(frame: pl.DataFrame, as_of: float | None) -> tuple[F64, list[Misfit]]:
    if TIME_COLUMN not in frame.columns:
        return np.full(len(frame), np.nan if as_of is None else as_of), []
    cast = cast_times(TIME_COLUMN, frame[TIME_COLUMN])
    times, misfits = cast.values.copy(), list(cast.misfits)
    absent = frame[TIME_COLUMN].is_null().to_numpy()
    if as_of is not None:
        times[absent] = as_of
    elif absent.any():
        misfits.append(Misfit(TIME_COLUMN, np.flatnonzero(absent), lambda _: "is empty"))
    outside = (times < FIRST_TIME_S) | (times > LAST_TIME_S)
    if outside.any():
        rows = np.flatnonzero(outside)
        misfits.append(
            Misfit(TIME_COLUMN, rows, lambda row: f"`{shown(times[row])}` is not a time in epoch seconds")
        )
    return times, misfits


def _facts(frame: pl.DataFrame, codec: RowCodec) -> tuple[F64, U64, U64, list[Misfit]]:
    catalogue, n = codec.catalogue, len(frame)
    numbers = np.full((n, catalogue.n_numbers), np.nan)
    words = np.zeros((n, catalogue.n_words), np.uint64)
    known = np.zeros((n, catalogue.n_known_words), np.uint64)
    misfits: list[Misfit] = []
    for name in frame.columns:
        if name in catalogue.columns:
            cast = cast_numbers(catalogue[name], frame[name])
            numbers[:, catalogue.columns[name]] = cast.values
            misfits += cast.misfits
        elif place := catalogue.bits.get(name):
            bits = cast_bits(catalogue[name], frame[name])
            words[:, place.word] |= bits.values << np.uint64(place.shift)
            known[:, place.known_word] |= _flags(bits.known) << np.uint64(place.known_bit)
            misfits += bits.misfits
    return numbers, words, known, misfits


def _flags(known: Bools) -> U64:
    return known.astype(np.uint64)
