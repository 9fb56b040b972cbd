"""The use case: which action is best for each customer now, for them and for us.

Pure: no clock, no store, no environment, no randomness but `seed`. One customer or ten million is
the same call, and the same arguments give the same answer.
"""

from functools import lru_cache
from threading import get_ident
from typing import NamedTuple

import numpy as np

from nextbest.action.arbitration import arbitrate
from nextbest.action.block import n_rows, n_words
from nextbest.action.contact import fill_cooling
from nextbest.action.posteriors import ROOT_ONLY
from nextbest.action.tables import Batch, Code, Raw
from nextbest.action.terms import Learnt, pack_state
from nextbest.action.tracing import settle_reasons, trace_arbitration
from nextbest.arena import Arena, fixed, pack
from nextbest.assembly import Model
from nextbest.figures import figures_of
from nextbest.learning.propensity import score_propensity
from nextbest.local_time import local_hours
from nextbest.model import (
    F64,
    I32,
    I64,
    U16,
    U64,
    Contexts,
    Decisions,
    DecisionState,
    Histories,
    Rows,
    Term,
    Trace,
)
from nextbest.potential.cells import locate
from nextbest.potential.peer_windows import fill_peers_have
from nextbest.rulebook.matching import inputs_of, match, n_blocks, no_suppression
from nextbest.rulebook.periods import fill_periods
from nextbest.rulebook.program import LANES, Matches
from nextbest.rulebook.windows import fill_windows
from nextbest.valuation import take_columns

DEFAULT_RESULTS = 3


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
    out: Decisions | None = None,
) -> Decisions:
    """Rank the actions of n customers by expected mutual value; doing nothing scores 0 and competes.

    Args:
        model: Rulebook and artifacts.
        rows: n snapshots under the rulebook's catalogue.
        histories: What happened with these customers, codes translated to rulebook indices.
        contexts: The n situations.
        state: Posteriors and prices.
        now: (n,) epoch seconds; nothing reads a clock.
        seed: (n,) what is drawn at random follows from, see `action.draws.seeds_of`.
        max_results: Answers kept a customer, at least 1.
        out: Arrays for as many customers and answers to be filled and returned, instead of new ones.

    Returns:
        Figures, ranked actions and their score terms.

    Cost: see docs/performance.md.
    Source: domain model, sections 6, 8 and 9. Oracle: tests/naive/decide.py.
    """
    task = _task(model, rows, histories, contexts, state, now, seed, max_results, out=out)
    room = task.room
    arbitrate(*task.given, room.scores, room.picks, room.pool, room.turns, *task.answers)
    return task.decisions


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
    assumed: F64 | None = None,
) -> tuple[Decisions, Trace]:
    """Decide, and keep where each action ended and what it was measured against.

    The same gates are asked and the same score is made as in `decide`, one action after the other; tests hold
    both against each other bit for bit. `assumed` (n, Figure) holds figures to take instead of those
    computed, NaN = as computed: authors' tests ask for a customer in some stage or with some gap, without
    fitting a model to get there.
    """
    task = _task(model, rows, histories, contexts, state, now, seed, max_results, assumed=assumed)
    trace, numbers = _new_trace(len(rows), len(model.rulebook.actions))
    _fill_segments(model, task.given[2].true, trace.segments)
    trace_arbitration(
        *task.given,
        task.room.scores,
        task.room.pool,
        trace.reason,
        numbers,
        trace.treatment,
        trace.placement,
        trace.open,
        trace.terms,
        *task.answers,
    )
    decisions = task.decisions
    settle_reasons(model.tables, trace.reason, trace.terms, decisions.action, decisions.count)
    return decisions, trace


class _Task(NamedTuple):
    """A call made ready for the kernels."""

    given: tuple[Arena, Raw, Batch, Arena]
    room: "_Room"
    decisions: Decisions

    @property
    def answers(self) -> tuple[I32, I32, I32, F64, I32, U64]:
        """What the kernels fill."""
        found = self.decisions
        return found.action, found.treatment, found.placement, found.terms, found.count, found.fired


def _task(
    model: Model,
    rows: Rows,
    histories: Histories,
    contexts: Contexts,
    state: DecisionState,
    now: F64,
    seed: U64,
    max_results: int,
    *,
    assumed: F64 | None = None,
    out: Decisions | None = None,
) -> _Task:
    n, now = len(rows), fixed(now)
    room = _room(model, n, max_results, placing=contexts.preference.shape[1] > 0)
    learnt = prepared(model, state)
    batch = _batch(model, rows, histories, contexts, learnt, now, seed, room, assumed)
    if out is None:
        decisions = new_decisions(model, max_results, batch.figures)
    else:
        decisions, out.figures[:] = out, batch.figures
    given = (_arena(model), _raw(model, rows, contexts, now), batch, learnt.terms)
    return _Task(given, room, decisions)


_TERMS = len(Term)


def new_decisions(model: Model, results: int, figures: F64) -> Decisions:
    """Memory for the decisions about n customers, with so many answers each, around their `figures`."""
    n = len(figures)
    return Decisions(
        figures=figures,
        action=np.empty((n, results), np.int32),
        treatment=np.empty((n, results), np.int32),
        placement=np.empty((n, results), np.int32),
        terms=np.empty((n, results, _TERMS)),
        count=np.empty(n, np.int32),
        fired=np.empty((len(model.rulebook.triggers), n_blocks(n)), np.uint64),
    )


def _new_trace(rows: int, actions: int) -> tuple[Trace, F64]:
    """An empty trace, and the memory that its three columns of values share."""
    numbers = np.empty((rows, actions, 3))
    trace = Trace(
        reason=np.empty((rows, actions), np.int32),
        actual=numbers[..., 0],
        required=numbers[..., 1],
        opens=numbers[..., 2],
        segments=np.zeros(rows, np.uint64),
        treatment=np.empty((rows, actions), np.int32),
        placement=np.empty((rows, actions), np.int32),
        open=np.empty((rows, actions), np.uint64),
        terms=np.full((rows, actions, _TERMS), np.nan),
    )
    return trace, numbers


def _fill_segments(model: Model, true: U64, segments: U64) -> None:
    """Turn one word of customers a segment into one word of segments a customer."""
    customers = np.arange(len(segments), dtype=np.uint64)
    for index, segment in enumerate(model.rulebook.segments):
        if segment.condition >= 0:
            words = true[(customers >> np.uint64(6)).astype(np.intp), segment.condition]
            segments |= (words >> (customers & np.uint64(63)) & np.uint64(1)) << np.uint64(index)


class _Room(NamedTuple):
    """Memory that a call works in: nothing of it is given away, so that it can be used again."""

    masks: U64
    facts: F64
    requests: I64
    pressure: F64
    seen: U16
    words: U64
    lanes: F64
    scores: F64
    picks: I64
    pool: I32
    turns: I64
    cooling: U64
    places: I64
    """Row 0 of the posteriors for all."""
    matches: Matches


def _room(model: Model, n: int, results: int, *, placing: bool) -> _Room:
    """Memory for n customers; one alone finds it ready, for making it is a tenth of a decision.

    Who asks for placements has all survivors ranked, and `placing` says whether anybody does.
    """
    if n != 1:
        return _new_room(model, n, results, len(model.rulebook.actions) if placing else 0)
    room = _room_of_one(model, get_ident(), results)
    room.cooling[:] = 0
    return room


@lru_cache(maxsize=64)
def _room_of_one(model: Model, _thread: int, results: int) -> _Room:
    return _new_room(model, 1, results, len(model.rulebook.actions))


def _new_room(model: Model, n: int, results: int, pooled: int) -> _Room:
    rulebook, program = model.rulebook, model.rulebook.program
    planes = (n_blocks(n), program.n_conditions)
    actions, lanes = len(rulebook.actions), min(n, LANES)
    groups = int(model.tables.codes[:, Code.GROUP].max(initial=-1)) + 1
    return _Room(
        masks=np.empty((n, 2), np.uint64),
        facts=np.empty((n, 3)),
        requests=np.empty((n, 5), np.int64),
        pressure=np.empty((n, 3)),
        seen=np.empty((actions + groups + 1, lanes), np.uint16),
        words=np.empty(n_words(model.tables), np.uint64),
        lanes=np.empty(n_rows(program.n_values, len(model.propensities)) * LANES),
        scores=np.empty((lanes, max(results, pooled))),
        picks=np.empty(lanes, np.int64),
        pool=np.empty((lanes, pooled), np.int32),
        turns=np.empty((2, actions), np.int64),
        cooling=no_suppression(len(rulebook.triggers), n),
        places=fixed(np.zeros(n, np.int64)),
        matches=Matches(
            np.empty(planes, np.uint64), np.empty(planes, np.uint64), np.empty((n, program.n_values))
        ),
    )


@lru_cache(maxsize=8)
def _arena(model: Model) -> Arena:
    return pack(model.tables)


@lru_cache(maxsize=8)
def prepared(model: Model, state: DecisionState) -> Learnt:
    """A state in the form kernels read, blended once: whoever learns calls it before deciding with it."""
    parent = ROOT_ONLY if model.peers is None else model.peers.tables.tree.parent
    return pack_state(model.rulebook, state, parent)


def _posterior_places(model: Model, rows: Rows, learnt: Learnt, room: "_Room") -> I64:
    """(n,) where each customer's posteriors lie; all at the root while cells make no difference."""
    if model.peers is None or not learnt.by_cell:
        return room.places
    cells = locate(fixed(rows.numbers), model.peers.columns, model.peers.tables.children)
    return fixed(learnt.row_of_cell[cells])


def _raw(model: Model, rows: Rows, contexts: Contexts, now: F64) -> Raw:
    """Rows and situations as the action kernels take them."""
    return Raw(
        numbers=fixed(rows.numbers),
        words=fixed(rows.words),
        known=fixed(rows.known),
        channel=fixed(contexts.channel),
        direction=fixed(contexts.direction),
        placements=fixed(contexts.placements),
        preference=fixed(contexts.preference),
        role=fixed(contexts.role),
        hours=fixed(local_hours(model.rulebook, rows, contexts, now)),
    )


def _batch(
    model: Model,
    rows: Rows,
    histories: Histories,
    contexts: Contexts,
    learnt: Learnt,
    now: F64,
    seed: U64,
    room: _Room,
    assumed: F64 | None,
) -> Batch:
    """Compute what the action kernels read; what they fill themselves is left as it is."""
    entries = fixed(histories.contacts.entries)
    numbers, codes = entries.view("<f8").reshape(-1, 9), entries.view("<u4").reshape(-1, 18)
    octets, starts = entries.view("u1").reshape(-1, 72), fixed(histories.contacts.starts)
    truncated, direction = fixed(histories.contacts.truncated_before), fixed(contexts.direction)
    fill_cooling(numbers, codes, octets, starts, truncated, direction, now, _arena(model), room.cooling)
    figures = figures_of(model, rows, now)
    if assumed is not None:
        figures = np.where(np.isnan(assumed), figures, assumed)
    matches = _match(model, rows, histories, contexts, figures, now, room)
    return Batch(
        masks=room.masks,
        facts=room.facts,
        figures=figures,
        true=matches.true,
        false=matches.false,
        values=matches.values,
        models=_models(model, rows),
        requests=room.requests,
        now=now,
        periods=fixed(fill_periods(model.rulebook.periods, now)),
        starts=starts,
        entry_numbers=numbers,
        entry_codes=codes,
        entry_bytes=octets,
        truncated=truncated,
        pressure=room.pressure,
        cooling=room.cooling,
        seen=room.seen,
        words=room.words,
        lanes=room.lanes,
        places=_posterior_places(model, rows, learnt, room),
        seeds=fixed(seed),
    )


def _match(
    model: Model,
    rows: Rows,
    histories: Histories,
    contexts: Contexts,
    figures: F64,
    now: F64,
    room: _Room,
) -> Matches:
    history = history_columns(model, rows, histories, now)
    inputs = inputs_of(rows, figures, contexts, now, history=history, suppressed=room.cooling)
    return match(model.rulebook.program, inputs, out=room.matches)


def history_columns(model: Model, rows: Rows, histories: Histories, now: F64) -> F64:
    """(n, windows) what expressions read of histories and of peers; NaN = UNKNOWN.

    What peers have is known where the rulebook asks for it and a grid says.
    """
    program, peers = model.rulebook.program, model.peers
    if not program.n_windows:
        return np.empty((len(rows), 0))
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
