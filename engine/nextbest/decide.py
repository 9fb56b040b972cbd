"""The use case: which action is best for each customer now, for them and for us.

Pure: no clock, no store, no environment, no randomness but `seed`. One customer or ten million is
the same call, and the same arguments give the same answer.
"""

from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from nextbest.action.arbitration import arbitrate, settle_reasons
from nextbest.action.contact import fill_cooling
from nextbest.action.tables import Batch, Raw, Terms, pack_state
from nextbest.assembly import Model
from nextbest.figures import figures_of
from nextbest.learning.propensity import score_propensity
from nextbest.local_time import local_hours
from nextbest.model import (
    F64,
    U64,
    Contexts,
    Decisions,
    DecisionState,
    Histories,
    Rows,
    Term,
    Trace,
)
from nextbest.potential.peer_windows import fill_peers_have
from nextbest.rulebook.matching import inputs_of, match, no_history, no_suppression
from nextbest.rulebook.program import Matches
from nextbest.rulebook.windows import fill_windows
from nextbest.valuation import take_columns

DEFAULT_RESULTS = 3

Scalar = TypeVar("Scalar", bound=np.generic)


def decide(
    model: Model,
    rows: Rows,
    histories: Histories,
    contexts: Contexts,
    state: DecisionState,
    now: F64,
    seed: U64,
    *,
    max_results: int = DEFAULT_RESULTS,
) -> Decisions:
    """Rank the actions of n customers by expected mutual value; doing nothing scores 0 and competes.

    Args:
        model: Rulebook and artifacts.
        rows: n snapshots under the rulebook's catalogue.
        histories: What happened with these customers, codes translated to rulebook indices.
        contexts: The n situations.
        state: Posteriors and prices.
        now: (n,) epoch seconds; nothing reads a clock.
        seed: (n,) for exploration; no rulebook can ask for it yet, so nothing reads it.
        max_results: Answers kept a customer, at least 1.

    Returns:
        Figures, ranked actions and their score terms.

    Cost: see docs/performance.md.
    Source: domain model, sections 6, 8 and 9. Oracle: tests/naive/decide.py.
    """
    decisions, _ = _run(model, rows, histories, contexts, state, now, seed, max_results, traced=False)
    return decisions


def explain(
    model: Model,
    rows: Rows,
    histories: Histories,
    contexts: Contexts,
    state: DecisionState,
    now: F64,
    seed: U64,
    *,
    max_results: int = DEFAULT_RESULTS,
) -> tuple[Decisions, Trace]:
    """Decide, and keep where each action ended and what it was measured against.

    The same kernels decide as in `decide`, so an explanation cannot tell another story.
    """
    decisions, trace = _run(model, rows, histories, contexts, state, now, seed, max_results, traced=True)
    settle_reasons(model.tables, trace.reason, trace.terms, decisions.action, decisions.count)
    return decisions, trace


def _run(
    model: Model,
    rows: Rows,
    histories: Histories,
    contexts: Contexts,
    state: DecisionState,
    now: F64,
    seed: U64,  # noqa: ARG001  (part of the use case's signature; exploration will read it)
    max_results: int,
    *,
    traced: bool,
) -> tuple[Decisions, Trace]:
    raw = _raw(model, rows, contexts, now)
    batch = _batch(model, rows, histories, contexts, now)
    n, actions, terms = len(rows), len(model.rulebook.actions), len(Term)
    decisions = Decisions(
        figures=batch.figures,
        action=np.empty((n, max_results), np.int32),
        treatment=np.empty((n, max_results), np.int32),
        terms=np.empty((n, max_results, terms)),
        count=np.empty(n, np.int32),
        fired=batch.true[:, model.tables.trigger_conditions].T & ~batch.cooling,
    )
    kept = n if traced else 1
    numbers = np.empty((kept, actions, 2))
    trace = Trace(
        reason=np.empty((kept, actions), np.int32),
        actual=numbers[..., 0],
        required=numbers[..., 1],
        treatment=np.empty((kept, actions), np.int32),
        terms=np.full((kept, actions, terms), np.nan) if traced else np.empty((kept, actions, terms)),
    )
    arbitrate(
        model.tables,
        raw,
        batch,
        _terms(model, state),
        trace.reason,
        numbers,
        trace.treatment,
        trace.terms,
        decisions.action,
        decisions.treatment,
        decisions.terms,
        decisions.count,
        traced,
    )
    return decisions, trace


@lru_cache(maxsize=8)
def _terms(model: Model, state: DecisionState) -> Terms:
    return pack_state(model.rulebook, state)


def _raw(model: Model, rows: Rows, contexts: Contexts, now: F64) -> Raw:
    """Rows and situations as the action kernels take them."""
    return Raw(
        numbers=fixed(rows.numbers),
        words=fixed(rows.words),
        known=fixed(rows.known),
        channel=fixed(contexts.channel),
        direction=fixed(contexts.direction),
        placements=fixed(contexts.placements),
        role=fixed(contexts.role),
        hours=local_hours(model.rulebook, rows, contexts, now),
    )


def _batch(model: Model, rows: Rows, histories: Histories, contexts: Contexts, now: F64) -> Batch:
    """Compute what the action kernels read; what they fill themselves is left empty."""
    rulebook, n = model.rulebook, len(rows)
    entries = fixed(histories.contacts.entries)
    numbers, codes = entries.view("<f8").reshape(-1, 9), entries.view("<u4").reshape(-1, 18)
    octets = entries.view("u1").reshape(-1, 72)
    now, starts = fixed(now), fixed(histories.contacts.starts)
    truncated, direction = fixed(histories.contacts.truncated_before), fixed(contexts.direction)
    cooling = no_suppression(len(rulebook.triggers), n)
    fill_cooling(numbers, codes, octets, starts, truncated, direction, now, model.tables, cooling)
    figures = figures_of(model, rows, now)
    matches = _match(model, rows, histories, contexts, figures, cooling, now)
    return Batch(
        masks=np.empty((n, 2), np.uint64),
        facts=np.empty((n, 3)),
        figures=figures,
        true=matches.true,
        false=matches.false,
        values=matches.values,
        models=_models(model, rows),
        requests=np.empty((n, 4), np.int64),
        now=now,
        starts=starts,
        entry_numbers=numbers,
        entry_codes=codes,
        entry_bytes=octets,
        truncated=truncated,
        pressure=np.empty((n, 3)),
        cooling=cooling,
        refused=np.empty(len(rulebook.actions), np.uint8),
    )


def fixed(array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """The array as contiguous and read-only memory, whoever made it.

    numba compiles a kernel anew for every mixture of read-only and writable arrays, which takes half a
    minute, and the first request with another mixture would wait for it.
    """
    if array.flags.writeable or not array.flags.c_contiguous:
        array = np.ascontiguousarray(array).view()
        array.setflags(write=False)
    return array


def _match(
    model: Model,
    rows: Rows,
    histories: Histories,
    contexts: Contexts,
    figures: F64,
    cooling: U64,
    now: F64,
) -> Matches:
    program, history = model.rulebook.program, history_columns(model, rows, histories, now)
    return match(program, inputs_of(rows, figures, contexts, now, history=history, suppressed=cooling))


def history_columns(model: Model, rows: Rows, histories: Histories, now: F64) -> F64:
    """(n, windows) what expressions read of histories and of peers; NaN = UNKNOWN.

    What peers have is known where the rulebook asks for it and a grid says.
    """
    program, peers = model.rulebook.program, model.peers
    if not program.n_windows:
        return no_history(len(rows), program)
    history = fill_windows(program, histories, now)
    if peers is not None and peers.rates is not None:
        cells = peers.tables.locate(take_columns(rows.numbers, peers.columns))
        fill_peers_have(program, peers.rates, cells, history)
    return history


def _models(model: Model, rows: Rows) -> F64:
    scores = np.empty((len(rows), len(model.propensities)))
    for column, propensity in enumerate(model.propensities):
        fitted = propensity.model
        scores[:, column] = score_propensity(rows.numbers, propensity.columns, fitted.table, fitted.constants)
    return scores
