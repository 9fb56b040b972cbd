"""Decide for a batch of customers and lay the answers out as columns: the same decide as the service's.

Pure, so that any engine that hands out column batches can run it: Spark's `mapInArrow`, Ray Data, a loop.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from nextbest.assembly import Model
from nextbest.batch.answer_columns import answer_frame, problem_frame, schema_of
from nextbest.batch.arrow_batches import (
    ArrowBatch,
    ArrowSchema,
    arrow_schema,
    batch_of,
    frame_of,
    slices_of,
)
from nextbest.batch.operations import names_of
from nextbest.batch.population import decide_in_threads
from nextbest.batch.portraits import picked, picked_histories
from nextbest.batch.situation import Situation
from nextbest.batch.tally import Tally, tally_of
from nextbest.data.history_files import histories_in_frame
from nextbest.data.row_columns import ID_COLUMN, check_frame, require_columns, text_of
from nextbest.data.table_files import BATCH_ROWS, RowFault
from nextbest.decide import DEFAULT_RESULTS, explain
from nextbest.errors import InvalidInput, Violation
from nextbest.model import F64, I64, U8, U64, DecisionState, Histories, Rows
from nextbest.rows import RowCodec

HISTORY_COLUMN: Final = "history"
MAX_RESULTS: Final = 25
EXPLAINED_ROWS: Final = 256
"""Customers whose every action is looked at together: 200 actions take 8 MB."""
SAMPLE: Final = 64
"""Unless reasons are asked for, one customer in so many is looked at for the funnel."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """What is asked of every customer, and which columns the answer has."""

    situation: Situation
    max_results: int = DEFAULT_RESULTS
    """Rows that a customer has at most, 1 to `MAX_RESULTS`."""
    figures: bool = False
    """Add the customer's figures, `figure_<name>`."""
    reasons: bool = False
    """Add how many actions ended for each reason, `reason_<name>`: every action is looked at."""
    salt: int = 0
    """Another number draws other seeds for exploration."""

    def __post_init__(self) -> None:
        """Refuse a number of results that no request may ask for."""
        if not 1 <= self.max_results <= MAX_RESULTS:
            text = f"`{self.max_results}` is not within 1 and {MAX_RESULTS}"
            raise InvalidInput([Violation("max_results", text)])


@dataclass(frozen=True, slots=True)
class Customers:
    """n customers with all that decisions read of them."""

    ids: pl.Series
    """(n,)."""
    checks: U64
    """(n,) checks of their ids."""
    rows: Rows
    histories: Histories

    def __len__(self) -> int:
        return len(self.checks)


@dataclass(frozen=True, slots=True)
class Scored:
    """Answers for some customers."""

    frame: pl.DataFrame
    """Columns of `schema_of`; every customer has a row."""
    tally: Tally


def score_customers(
    model: Model, state: DecisionState, scoring: Scoring, customers: Customers, now: F64
) -> Scored:
    """Decide for n customers, in the caller's thread.

    Args:
        model: rulebook and artifacts.
        state: posteriors and prices.
        scoring: what is asked.
        customers: n of them.
        now: (n,) epoch seconds.

    Cost: that of `decide`, some 0.5 µs a row of the answer, and the explanations asked for.
    """
    seeds = seeds_of(customers.checks, now, scoring.salt)
    decisions = decide_in_threads(
        model,
        customers.rows,
        customers.histories,
        scoring.situation.contexts(len(customers)),
        state,
        now,
        seeds,
        max_results=scoring.max_results,
        threads=1,
    )
    index = np.arange(len(customers)) if scoring.reasons else sampled(customers.checks)
    reasons = _reasons(model, state, scoring, customers, now, seeds, index)
    frame = answer_frame(
        model,
        customers.ids,
        decisions,
        seeds,
        figures=scoring.figures,
        reasons=reasons if scoring.reasons else None,
    )
    return Scored(frame, tally_of(model, decisions, reasons))


def score_batch(
    model: Model, state: DecisionState, now: float, batch: ArrowBatch, scoring: Scoring
) -> ArrowBatch:
    """Decide for the customers of an Arrow record batch; give the answers as another.

    Args:
        model: rulebook and artifacts.
        state: posteriors and prices.
        now: epoch seconds.
        batch: columns customer_id, as_of and facts, as files of snapshots have them; and, if wanted,
            `history`: a list of structs whose fields are the columns of files of histories.
        scoring: what is asked.

    Returns:
        The columns of `schema_of` and `problem`: null, or what is wrong with a customer's row or history,
        who then has one row of rank 0 and no action. The order is that of the batch, but that rows with
        problems come last. The schema depends on `scoring` alone.

    Raises:
        InvalidInput: a column is missing or is no fact.
    """
    frame, codec = frame_of(batch), RowCodec(model.rulebook.catalogue)
    facts = frame.drop(HISTORY_COLUMN, strict=False)
    require_columns(facts.columns, codec, now)
    found = check_frame(facts, np.arange(len(frame)), codec, as_of=now)
    histories, faults = _histories(model, frame, found.checks, found.row_numbers)
    bad = {fault.row for fault in faults}
    good = np.array([row not in bad for row in found.row_numbers.tolist()], np.bool_)
    kept = np.flatnonzero(good)
    customers = Customers(
        found.customer_ids.filter(pl.Series(good)),
        found.checks[good],
        codec.rows_of(found.matrix[good]),
        picked_histories(histories, kept),
    )
    scored = score_customers(model, state, scoring, customers, np.full(len(kept), now))
    problems = problem_frame(text_of(frame[ID_COLUMN]), [*found.faults, *faults])
    schema = schema_of(figures=scoring.figures, reasons=scoring.reasons, problem=True)
    return batch_of(pl.concat([scored.frame, problems], how="diagonal"), schema)


def score_batches(
    model: Model, state: DecisionState, now: float, batches: Iterable[ArrowBatch], scoring: Scoring
) -> Iterator[ArrowBatch]:
    """Decide for the customers of record batches as they come: what Spark's `mapInArrow` runs.

    Each batch is decided for by itself, in pieces of `BATCH_ROWS`, so that batches of any size take the
    memory of a piece beside their own. A customer's second row is no problem here: both are answered.

    Args:
        model: rulebook and artifacts.
        state: posteriors and prices.
        now: epoch seconds; the same for all, or machines would decide at different times.
        batches: as `score_batch` takes them.
        scoring: what is asked.

    Returns:
        Batches of `answer_schema(scoring)`; none for batches without rows.

    Raises:
        InvalidInput: a column is missing or is no fact; what came before has been given.
    """
    for batch in batches:
        for piece in slices_of(batch, BATCH_ROWS):
            yield score_batch(model, state, now, piece, scoring)


def answer_schema(scoring: Scoring) -> ArrowSchema:
    """What answers to record batches look like, for an engine that must be told before the first."""
    return arrow_schema(schema_of(figures=scoring.figures, reasons=scoring.reasons, problem=True))


def seeds_of(checks: U64, now: F64, salt: int) -> U64:
    """(n,) a seed for each decision, from who is decided for and when: the same in every run.

    Source: splitmix64 (Steele, Lea & Flood 2014, doi 10.1145/2660193.2660195) over both.
    """
    who = _mixed(checks + np.uint64(salt & 0xFFFFFFFFFFFFFFFF))
    return _mixed(who ^ (now + 0.0).view(np.uint64))


def _mixed(x: U64) -> U64:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def sampled(checks: U64) -> I64:
    """Which customers are looked at for the funnel: by their id, so that every run takes the same."""
    return np.flatnonzero(checks % np.uint64(SAMPLE) == 0)


def _reasons(
    model: Model,
    state: DecisionState,
    scoring: Scoring,
    customers: Customers,
    now: F64,
    seeds: U64,
    index: I64,
) -> U8:
    """(k, actions) of `Reason`, where the actions of some customers ended."""
    reasons = np.empty((len(index), len(model.rulebook.actions)), np.uint8)
    for start in range(0, len(index), EXPLAINED_ROWS):
        some = index[start : start + EXPLAINED_ROWS]
        _, trace = explain(
            model,
            picked(customers.rows, some),
            picked_histories(customers.histories, some),
            scoring.situation.contexts(len(some)),
            state,
            now[some],
            seeds[some],
            max_results=scoring.max_results,
        )
        reasons[start : start + len(some)] = trace.reason
    return reasons


def _histories(
    model: Model, frame: pl.DataFrame, checks: U64, row_numbers: I64
) -> tuple[Histories, list[RowFault]]:
    """Histories that stand in the frame; faults count the frame's rows."""
    if HISTORY_COLUMN not in frame.columns:
        return Histories.empty(len(checks)), []
    each = frame.select(ID_COLUMN, HISTORY_COLUMN).with_row_index("at")[row_numbers.tolist()]
    entries = each.explode(HISTORY_COLUMN).drop_nulls(HISTORY_COLUMN)
    found = histories_in_frame(
        entries.select(ID_COLUMN, pl.col(HISTORY_COLUMN).struct.unnest()), names_of(model.rulebook)
    )
    at = entries["at"].to_list()
    faults = [RowFault(at[f.row - 1], f"{HISTORY_COLUMN}.{f.column}", f.reason) for f in found.faults]
    return found.of(checks), faults
