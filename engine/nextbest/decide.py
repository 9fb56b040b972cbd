"""The use case: which action is best for each customer now, for them and for us.

Pure: no clock, no store, no environment, no randomness but `seed`. One customer or ten million is
the same call, and the same arguments give the same answer.
"""

from functools import lru_cache

import numpy as np

from nextbest.action.arbitration import arbitrate, settle_reasons
from nextbest.action.contact import fill_cooling, fill_pressure
from nextbest.action.tables import Batch, Terms, pack_state
from nextbest.assembly import Model
from nextbest.figures import figures_of
from nextbest.learning.propensity import score_propensity
from nextbest.local_time import local_hours
from nextbest.model import (
    DAY_S,
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
    decisions, _ = _run(model, rows, histories, contexts, state, now, seed, max_results, trace_rows=1)
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
    decisions, trace = _run(
        model, rows, histories, contexts, state, now, seed, max_results, trace_rows=len(rows)
    )
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
    trace_rows: int,
) -> tuple[Decisions, Trace]:
    batch = _batch(model, rows, histories, contexts, now)
    n, actions, terms = len(rows), len(model.rulebook.actions), len(Term)
    decisions = Decisions(
        figures=batch.figures,
        action=np.full((n, max_results), -1, np.int32),
        treatment=np.full((n, max_results), -1, np.int32),
        terms=np.full((n, max_results, terms), np.nan),
        count=np.zeros(n, np.int32),
        fired=batch.true[:, model.tables.trigger_conditions].T & ~batch.cooling,
    )
    numbers = np.full((trace_rows, actions, 2), np.nan)
    trace = Trace(
        reason=np.zeros((trace_rows, actions), np.int32),
        actual=numbers[..., 0],
        required=numbers[..., 1],
        treatment=np.full((trace_rows, actions), -1, np.int32),
        terms=np.full((trace_rows, actions, terms), np.nan),
    )
    arbitrate(
        model.tables,
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
    )
    return decisions, trace


@lru_cache(maxsize=8)
def _terms(model: Model, state: DecisionState) -> Terms:
    return pack_state(model.rulebook, state)


def _batch(model: Model, rows: Rows, histories: Histories, contexts: Contexts, now: F64) -> Batch:
    """Compute everything the action kernels read."""
    rulebook, contacts = model.rulebook, histories.contacts
    n = len(rows)
    entries = np.ascontiguousarray(contacts.entries)
    numbers, codes = entries.view("<f8").reshape(-1, 9), entries.view("<u4").reshape(-1, 18)
    octets = entries.view("u1").reshape(-1, 72)
    pressure = np.empty((n, 2))
    fill_pressure(numbers, octets, contacts.starts, now, model.tables.channels, pressure)
    cooling = no_suppression(len(rulebook.triggers), n)
    truncated, direction = contacts.truncated_before, contexts.direction
    fill_cooling(numbers, codes, octets, contacts.starts, truncated, direction, now, model.tables, cooling)
    figures = figures_of(model, rows, now)
    matches = _match(model, rows, histories, contexts, figures, cooling, now)
    return Batch(
        masks=_masks(model, rows),
        facts=_facts(model, rows, contexts, now),
        figures=figures,
        true=matches.true,
        false=matches.false,
        values=matches.values,
        models=_models(model, rows),
        requests=_requests(model, contexts),
        now=now,
        starts=contacts.starts,
        entry_numbers=numbers,
        entry_codes=codes,
        entry_bytes=octets,
        truncated=contacts.truncated_before,
        pressure=pressure,
        cooling=cooling,
    )


def _match(
    model: Model,
    rows: Rows,
    histories: Histories,
    contexts: Contexts,
    figures: F64,
    cooling: U64,
    now: F64,
) -> Matches:
    program = model.rulebook.program
    history = no_history(len(rows), program)
    if program.n_windows:
        history = fill_windows(program, histories, now)
        _fill_peers(model, rows, history)
    return match(program, inputs_of(rows, figures, contexts, now, history=history, suppressed=cooling))


def _fill_peers(model: Model, rows: Rows, history: F64) -> None:
    """What peers have, where the rulebook asks and a grid says; else it stays UNKNOWN."""
    peers = model.peers
    if peers is not None and peers.rates is not None:
        cells = peers.tables.locate(take_columns(rows.numbers, peers.columns))
        fill_peers_have(model.rulebook.program, peers.rates, cells, history)


def _masks(model: Model, rows: Rows) -> U64:
    """Consents given and topics blocked; a set that is not known is empty."""
    masks = np.zeros((len(rows), 2), np.uint64)
    for column, name in enumerate(("consent", "blocked_topics")):
        place = model.rulebook.catalogue.bits.get(name)
        if place is not None:
            known = (rows.known[:, place.known_word] >> np.uint64(place.known_bit)) & np.uint64(1)
            masks[:, column] = rows.words[:, place.word] * known
    return masks


def _facts(model: Model, rows: Rows, contexts: Contexts, now: F64) -> F64:
    """Touchpoint score, its age in days, and the customer's local hour."""
    catalogue = model.rulebook.catalogue
    facts = np.full((len(rows), 3), np.nan)
    score, at = catalogue.column("touchpoint_score"), catalogue.column("touchpoint_score_at")
    if score >= 0 and at >= 0:
        facts[:, 0] = rows.numbers[:, score]
        facts[:, 1] = (now - rows.numbers[:, at]) / DAY_S
    facts[:, 2] = local_hours(model.rulebook, rows, contexts, now)
    return facts


def _models(model: Model, rows: Rows) -> F64:
    scores = np.empty((len(rows), len(model.propensities)))
    for column, propensity in enumerate(model.propensities):
        fitted = propensity.model
        scores[:, column] = score_propensity(rows.numbers, propensity.columns, fitted.table, fitted.constants)
    return scores


def _requests(model: Model, contexts: Contexts) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Channel, direction, placements and the caller's authority; no role is the least one."""
    authority = np.array([role.authority for role in model.rulebook.roles] or [0], np.int64)
    given = authority[np.maximum(contexts.role, 0)]
    requests = np.empty((len(contexts), 4), np.int64)
    requests[:, 0], requests[:, 1] = contexts.channel, contexts.direction
    requests[:, 2] = contexts.placements.view(np.int64)
    requests[:, 3] = np.where(contexts.role < 0, authority.min(), given)
    return requests
