"""Decisions as columns: a row for each ranked action of each customer."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from nextbest.assembly import Model
from nextbest.data.row_columns import ID_COLUMN
from nextbest.data.table_files import RowFault
from nextbest.facts import STAGE_NAMES, Figure
from nextbest.model import F64, I64, U8, U64, Decisions, Reason, Term

DO_NOTHING: Final = "do_nothing"
PROBLEM_COLUMN: Final = "problem"
STAGE_COLUMN: Final = "figure_stage"
TERM_COLUMNS: Final[Mapping[str, Term]] = {
    "score": Term.SCORE,
    **{term.name.lower(): term for term in Term if term is not Term.SCORE},
}
FIGURE_COLUMNS: Final = {f"figure_{figure.name.lower()}": figure for figure in Figure}
REASON_COLUMNS: Final = {f"reason_{reason.name.lower()}": reason for reason in Reason}


def schema_of(*, figures: bool = False, reasons: bool = False, problem: bool = False) -> pl.Schema:
    """Names and types of the columns of an answer.

    customer_id, rank (from 1), action (`do_nothing` takes the place after the last ranked action, if there
    is one left), treatment (null for `do_nothing`), placement (which of those asked for; null where none was
    named), seed of the decision (its 64 bits as a signed number: Spark has no unsigned ones), score and the
    terms behind it (null where unknown, and for `do_nothing` but for its score 0); then what was asked for.
    """
    columns: dict[str, pl.DataType] = {
        ID_COLUMN: pl.String(),
        "rank": pl.Int32(),
        "action": pl.String(),
        "treatment": pl.String(),
        "placement": pl.String(),
        "seed": pl.Int64(),
        **dict.fromkeys(TERM_COLUMNS, pl.Float64()),
    }
    if figures:
        columns |= dict.fromkeys(FIGURE_COLUMNS, pl.Float64())
        columns[STAGE_COLUMN] = pl.String()
    if reasons:
        columns |= dict.fromkeys(REASON_COLUMNS, pl.Int32())
    if problem:
        columns[PROBLEM_COLUMN] = pl.String()
    return pl.Schema(columns)


def answer_frame(
    model: Model,
    customer_ids: pl.Series,
    decisions: Decisions,
    seeds: U64,
    *,
    figures: bool,
    reasons: U8 | None,
) -> pl.DataFrame:
    """Lay n decisions out as rows, customers in their order and by rank.

    Args:
        model: names actions and treatments.
        customer_ids: (n,).
        decisions: n of them.
        seeds: (n,).
        figures: whether the customer's figures stand beside each row.
        reasons: (n, actions) where each action ended; None = not wanted.
    """
    most = decisions.action.shape[1]
    length = np.minimum(decisions.count.astype(np.int64) + 1, most)
    customer = np.repeat(np.arange(len(length)), length)
    place = np.arange(len(customer)) - np.repeat(np.cumsum(length) - length, length)
    action = decisions.action[customer, place].astype(np.int64)
    treatment = decisions.treatment[customer, place].astype(np.int64)
    placement = np.where(action >= 0, decisions.placement[customer, place], -1).astype(np.int64)
    columns: dict[str, pl.Series] = {
        ID_COLUMN: customer_ids.gather(customer),
        "rank": pl.Series(place + 1, dtype=pl.Int32),
        "action": _named([a.id for a in model.rulebook.actions], action, DO_NOTHING),
        "treatment": _named([t.id for t in model.rulebook.treatments], treatment, None),
        "placement": _named(model.rulebook.placements, placement, None),
        "seed": pl.Series(seeds[customer].view(np.int64)),
    }
    terms = np.where((action >= 0)[:, np.newaxis], decisions.terms[customer, place], np.nan)
    terms[action < 0, Term.SCORE] = 0.0
    columns |= {name: _number(terms[:, term]) for name, term in TERM_COLUMNS.items()}
    if figures:
        columns |= _figures(decisions.figures, customer)
    if reasons is not None:
        counts = _counts(reasons)
        columns |= {
            name: pl.Series(counts[customer, r], dtype=pl.Int32) for name, r in REASON_COLUMNS.items()
        }
    return pl.DataFrame(columns, schema=schema_of(figures=figures, reasons=reasons is not None))


def problem_frame(customer_ids: pl.Series, faults: Sequence[RowFault]) -> pl.DataFrame:
    """A row of rank 0 for each row of a frame with faults, which count its rows from 0."""
    texts: dict[int, list[str]] = {}
    for fault in sorted(faults, key=lambda fault: (fault.row, fault.column)):
        texts.setdefault(fault.row, []).append(f"{fault.column}: {fault.reason}")
    rows = list(texts)
    return pl.DataFrame(
        {
            ID_COLUMN: customer_ids.gather(rows),
            "rank": pl.Series([0] * len(rows), dtype=pl.Int32),
            PROBLEM_COLUMN: pl.Series(["; ".join(texts[row]) for row in rows], dtype=pl.String),
        }
    )


def _named(names: Sequence[str], index: I64, otherwise: str | None) -> pl.Series:
    """Names by index; -1 has the other one."""
    known = pl.Series([*names, otherwise], dtype=pl.String)
    return known.gather(np.where(index >= 0, index, len(names)))


def _number(values: F64) -> pl.Series:
    return pl.Series(np.ascontiguousarray(values), nan_to_null=True)


def _figures(figures: F64, customer: I64) -> dict[str, pl.Series]:
    columns = {name: _number(figures[customer, figure]) for name, figure in FIGURE_COLUMNS.items()}
    stage = figures[customer, Figure.STAGE].astype(np.int64)
    return columns | {STAGE_COLUMN: _named(STAGE_NAMES, stage, None)}


def _counts(reasons: U8) -> I64:
    """(n, REASONS) how many actions of each customer ended for each reason."""
    width = max(Reason) + 1
    places = reasons.astype(np.int64) + width * np.arange(len(reasons))[:, np.newaxis]
    return np.bincount(places.ravel(), minlength=len(reasons) * width).reshape(len(reasons), width)
