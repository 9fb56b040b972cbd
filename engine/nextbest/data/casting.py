"""Columns of a file to the numbers and bits of rows, whole columns at a time."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from nextbest.fact_values import MAX_INT, Misfit, not_a_member
from nextbest.facts import Fact, FactType
from nextbest.model import F64, U64, Bools

SET_SEPARATOR = "|"
"""Between the members of a set in one text cell."""
EMPTY_SET = "[]"
"""A text cell that says: known to have no members."""

_TRUE, _FALSE = ("true", "1"), ("false", "0")
_MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class Numbers:
    """A column of numbers, enum codes or times."""

    values: F64
    """(n,), NaN = missing or misfit."""
    misfits: list[Misfit]


@dataclass(frozen=True, slots=True)
class Bits:
    """A column of bools or sets."""

    values: U64
    """(n,) bit masks, 0 = missing or misfit."""
    known: Bools
    """(n,)."""
    misfits: list[Misfit]


def cast_numbers(fact: Fact, column: pl.Series) -> Numbers:
    """A column for a number, enum or timestamp; bounds are `FactChecks`' matter.

    NaN in a column of floats is missing, as frames write it; the word `nan` in text is a misfit.
    """
    if fact.type is FactType.ENUM:
        return _enum_codes(fact, column)
    if fact.type is FactType.TIMESTAMP:
        return cast_times(fact.name, column)
    numeric = column.dtype.is_numeric() or column.dtype == pl.String
    values = column.cast(pl.Float64, strict=False) if numeric else _nothing(column)
    bad = _lost(column, values)
    if column.dtype == pl.String:
        bad |= values.is_nan().fill_null(value=False).to_numpy()
    found = values.fill_null(float("nan")).to_numpy().copy()
    if column.dtype.is_integer():
        bad |= (np.abs(found) > MAX_INT) & ~np.isnan(found)
    found[bad] = np.nan
    wanted = "a whole number" if fact.type is FactType.INT else "a number"
    return Numbers(found, _misfits(fact.name, column, bad, f"is not {wanted}"))


def cast_times(name: str, column: pl.Series) -> Numbers:
    """A column of times as epoch seconds: ISO 8601 text, dates, date-times or epoch seconds.

    A time without zone is UTC.
    """
    if column.dtype == pl.String:
        seconds = _parsed_times(column)
    elif column.dtype.base_type() in (pl.Date, pl.Datetime):
        seconds = column.cast(pl.Datetime("us")).dt.epoch("us").cast(pl.Float64) / _MICROSECONDS
    else:
        seconds = column.cast(pl.Float64, strict=False) if column.dtype.is_numeric() else _nothing(column)
    bad = _lost(column, seconds)
    return Numbers(
        seconds.fill_null(float("nan")).to_numpy(),
        _misfits(name, column, bad, "is not a time (ISO 8601 or epoch seconds)"),
    )


def cast_bits(fact: Fact, column: pl.Series) -> Bits:
    """A column for a bool or a set.

    A bool is true, false, 1 or 0. A set is a list of members, or text with `|` between them and `[]`
    for none at all.
    """
    return _flags(fact, column) if fact.type is FactType.BOOL else _sets(fact, column)


def text_of(column: pl.Series) -> pl.Series:
    """A column as text without blanks around it; empty text is missing."""
    return column.cast(pl.String, strict=False).str.strip_chars().replace("", None)


def _parsed_times(column: pl.Series) -> pl.Series:
    text = pl.col("t").str.replace(r"^(\d{4}-\d\d-\d\d) ", "${1}T").str.replace(r"[zZ]$", "+00:00")
    zoned = text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", strict=False).dt.epoch("us")
    plain = text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False).dt.epoch("us")
    short = text.str.to_datetime("%Y-%m-%dT%H:%M", time_unit="us", strict=False).dt.epoch("us")
    date = text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")).dt.epoch("us")
    seconds = text.cast(pl.Float64, strict=False)
    finite = pl.when(seconds.is_finite()).then(seconds)
    parsed = pl.coalesce(zoned, plain, short, date).cast(pl.Float64) / _MICROSECONDS
    return pl.DataFrame({"t": text_of(column)}).select(pl.coalesce(parsed, finite)).to_series()


def _enum_codes(fact: Fact, column: pl.Series) -> Numbers:
    text = text_of(column)
    codes = text.replace_strict(
        list(fact.values), list(range(len(fact.values))), default=None, return_dtype=pl.Float64
    )
    bad = _lost(text, codes)
    misfit = Misfit(fact.name, np.flatnonzero(bad), lambda row: not_a_member(text[row], fact))
    return Numbers(codes.fill_null(float("nan")).to_numpy(), [misfit] if bad.any() else [])


def _flags(fact: Fact, column: pl.Series) -> Bits:
    text = text_of(column).str.to_lowercase()
    true, false = text.is_in(_TRUE).fill_null(value=False), text.is_in(_FALSE).fill_null(value=False)
    known = (true | false).to_numpy()
    bad = text.is_not_null().to_numpy() & ~known
    misfits = _misfits(fact.name, column, bad, "is not true or false")
    return Bits(true.to_numpy().astype(np.uint64), known, misfits)


def _sets(fact: Fact, column: pl.Series) -> Bits:
    members = column if isinstance(column.dtype, pl.List) else _split(column)
    frame = pl.DataFrame({"m": members}).with_row_index("row")
    known = members.is_not_null().to_numpy().copy()
    each = frame.explode("m", empty_as_null=True, keep_nulls=True).drop_nulls("m")
    rows = each["row"].to_numpy()
    text = text_of(each["m"])
    codes = text.replace_strict(
        list(fact.values), list(range(len(fact.values))), default=None, return_dtype=pl.Int64
    )
    fits = codes.is_not_null().to_numpy()
    values = np.zeros(len(column), np.uint64)
    shifts = codes.fill_null(0).to_numpy().astype(np.uint64)[fits]
    np.bitwise_or.at(values, rows[fits], np.uint64(1) << shifts)
    strange: dict[int, str] = {}
    for position in np.flatnonzero(~fits).tolist():
        strange.setdefault(int(rows[position]), str(each["m"][position]))
    bad = np.array(sorted(strange), np.int64)
    values[bad], known[bad] = 0, False
    misfit = Misfit(fact.name, bad, lambda row: not_a_member(strange[row], fact))
    return Bits(values, known, [misfit] if strange else [])


def _split(column: pl.Series) -> pl.Series:
    text = text_of(column)
    empty = text == EMPTY_SET
    split = text.str.split(SET_SEPARATOR)
    return pl.select(pl.when(empty).then(pl.lit([], pl.List(pl.String))).otherwise(split)).to_series()


def _nothing(column: pl.Series) -> pl.Series:
    return pl.Series(column.name, [None], pl.Float64).new_from_index(0, len(column))


def _lost(before: pl.Series, after: pl.Series) -> Bools:
    """Where there was something and nothing is left; (n,)."""
    text = text_of(before) if before.dtype == pl.String else before
    return (text.is_not_null() & after.is_null()).to_numpy().copy()


def _misfits(name: str, column: pl.Series, bad: Bools, complaint: str) -> list[Misfit]:
    if not bad.any():
        return []
    return [Misfit(name, np.flatnonzero(bad), lambda row: f"`{column[row]}` {complaint}")]
