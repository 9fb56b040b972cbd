"""With which probability each action would have been the first answer, had the dice fallen otherwise.

Off-policy evaluation weighs an outcome by the inverse of that probability, and needs it for all candidates
(domain model, section 11). Everything follows from a traced decision, so nothing is computed while a customer
waits. Mandatory actions are no matter of chance: they come before the first answer that this is about.

Scores drawn by Thompson sampling are replaced by `NODES` equally likely ones each: a distribution function is
then wrong by at most 1 / (2·NODES), and a probability by at most so much for each candidate.

Oracle: frequencies over seeds, tests/unit/test_selection.py.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from scipy import special  # pyright: ignore[reportMissingTypeStubs]  # has none

from nextbest.action.tables import Code
from nextbest.assembly import Model
from nextbest.decide import prepared
from nextbest.facts import Figure
from nextbest.model import F64, Bools, Contexts, Decisions, DecisionState, Direction, Rows, Term, Trace
from nextbest.rulebook.rulebook import Arbitration, Exploration, PropensityKind

NODES: Final = 1024
"""Scores that stand for a drawn one."""


@dataclass(frozen=True, slots=True)
class _Candidates:
    """The k actions that no gate stopped but reach, of one customer, mandatory ones left out."""

    action: np.ndarray[tuple[int], np.dtype[np.intp]]
    terms: F64
    """(k, Term)."""
    reach: F64
    """(k,) probability of not being held back."""
    strength: F64
    """(k,) of the posterior; inf where the propensity is no posterior."""
    standing: F64
    """(k,) place among equal scores, the higher the better; all different."""
    barred: Bools
    """(k,) mandatory answers have the group's place, or all placements that it could be shown in."""


def selection_probabilities(
    model: Model,
    state: DecisionState,
    rows: Rows,
    contexts: Contexts,
    decisions: Decisions,
    trace: Trace,
) -> F64:
    """Give each action's probability of being the first answer that is not mandatory, over all seeds.

    Args:
        model: rulebook and artifacts.
        state: what was learnt, as decided with.
        rows: n snapshots.
        contexts: the n situations.
        decisions: what `explain` gave for them.
        trace: likewise.

    Returns:
        (n, A + 1), the last column for doing nothing. A mandatory answer has 1; all others of a customer sum
        to 1. Actions that a gate stopped have 0.

    Cost: 0.1 ms a customer of ten candidates, 1 ms of 100; with Thompson sampling 0.7, 7 and 72 ms of 10, 30
    and 100 that can win, and some 2 ms for each posterior that was not met lately.
    """
    n, actions = trace.reason.shape
    found = np.zeros((n, actions + 1))
    strengths = posterior_strengths(model, state, rows, decisions)
    for row in range(n):
        some = _candidates(model, state, contexts, trace, strengths, row)
        first = _first(model, some)
        found[row, some.action] = first
        found[row, actions] = max(0.0, 1.0 - float(first.sum()))
        answers = decisions.action[row, : int(decisions.count[row])]
        found[row, answers[model.rulebook.action_tables.mandatory[answers] == 1]] = 1.0
    return found


def posterior_strengths(model: Model, state: DecisionState, rows: Rows, decisions: Decisions) -> F64:
    """(n, A) strength of the posterior that each propensity is the mean of; inf where it is none."""
    learnt = prepared(model, state)
    posterior = model.rulebook.action_tables.propensity_kind == PropensityKind.POSTERIOR
    found = np.full((len(rows), len(posterior)), np.inf)
    places = learnt.row_of_cell[cells_of(model, rows)]
    stages = decisions.figures[:, Figure.STAGE].astype(np.int64)
    own = learnt.posteriors.strength[np.maximum(places, 0), stages]
    weight = model.rulebook.strategy.learning.parent_weight
    found[:, posterior] = np.where(places[:, None] < 0, weight, own)[:, posterior]
    return found


def cells_of(model: Model, rows: Rows) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """(n,) peer cells; the root without a grid."""
    if model.peers is None:
        return np.zeros(len(rows), np.int32)
    columns = model.peers.columns
    codes = np.full((len(rows), len(columns)), np.nan)
    codes[:, columns >= 0] = rows.numbers[:, columns[columns >= 0]]
    return model.peers.tables.locate(codes)


def _candidates(
    model: Model, state: DecisionState, contexts: Contexts, trace: Trace, strengths: F64, row: int
) -> _Candidates:
    tables, codes = model.rulebook.action_tables, model.tables.codes
    scored = ~np.isnan(trace.terms[row, :, Term.SCORE])
    action = np.flatnonzero(scored & (tables.mandatory == 0))
    first = scored & (tables.mandatory == 1)
    full = np.zeros(len(action), np.bool_)
    if contexts.placements[row]:
        first &= trace.placement[row] >= 0
        taken = np.bitwise_or.reduce(np.uint64(1) << trace.placement[row, first].astype(np.uint64))
        full = (trace.open[row, action] & ~taken) == 0
    groups = tables.group[first]
    outbound = contexts.direction[row] == Direction.OUTBOUND
    reach = prepared(model, state).reach[action] if outbound else np.ones(len(action))
    order = np.lexsort((-codes[action, Code.ID_ORDER], codes[action, Code.PRIORITY]))
    standing = np.empty(len(action))
    standing[order] = np.arange(len(action))
    barred = (tables.group[action] >= 0) & np.isin(tables.group[action], groups)
    return _Candidates(
        action, trace.terms[row, action], reach, strengths[row, action], standing, barred | full
    )


def _first(model: Model, some: _Candidates) -> F64:
    """(k,) probabilities of being first."""
    learning = model.rulebook.strategy.learning
    if learning.exploration is Exploration.THOMPSON:
        return _greedy(_drawn_scores(model, some), some)
    scores = some.terms[:, Term.SCORE][:, None]
    greedy = _greedy(scores, some)
    if learning.exploration is Exploration.NONE:
        return greedy
    return (1.0 - learning.share) * greedy + learning.share * _by_lot(scores[:, 0], some)


def _greedy(scores: F64, some: _Candidates) -> F64:
    """(k,) probabilities of having the highest score of those within reach; scores are drawn from (k, m)."""
    found = np.zeros(len(scores))
    if not len(scores):
        return found
    # whoever is never worth doing is never first, and beats nobody who is
    able = np.flatnonzero(~some.barred & (scores.max(axis=1) > 0.0))
    m, reach = scores.shape[1], some.reach[able]
    owner = np.repeat(np.arange(len(able)), m)
    order = np.lexsort((some.standing[able][owner], scores[able].ravel()))
    owner, value = owner[order], scores[able].ravel()[order]
    first = np.where(value > 0.0, reach[owner], 0.0)
    for other in range(len(able)):
        own = owner == other
        higher = reach[other] * (1.0 - np.cumsum(own) / m)
        higher[own] = 0.0
        first *= 1.0 - higher
    found[able] = np.bincount(owner, first, minlength=len(able)) / m
    return found / max(1.0, found.sum())


def _by_lot(scores: F64, some: _Candidates) -> F64:
    """(k,) probabilities of being first where the highest of uniform lots is; who is barred draws too.

    A polynomial in the winning lot, which Gauss–Legendre nodes integrate exactly.
    """
    worth = scores > 0.0
    reach = np.where(worth, some.reach, 0.0)
    nodes, weights = _nodes(len(scores) // 2 + 1)
    within = 1.0 - reach[:, None] * (1.0 - nodes)  # (k, nodes) the lot is lower, or there is none
    found = np.zeros(len(scores))
    for a in np.flatnonzero(worth & ~some.barred):
        others = np.arange(len(scores)) != a
        found[a] = reach[a] * float(within[others].prod(axis=0) @ weights)
    # a barred one has the highest lot: then the best of the others is first, as if nothing was drawn
    better = np.lexsort((some.standing, scores))[::-1]
    open_ones = [int(a) for a in better if worth[a] and not some.barred[a]]
    for i in np.flatnonzero(worth & some.barred):
        rest = within[[j for j in np.flatnonzero(worth & some.barred) if j != i]].prod(axis=0) * reach[i]
        for place, a in enumerate(open_ones):
            absent = float(np.prod(1.0 - reach[open_ones[:place]]))
            lower = within[open_ones[place + 1 :]].prod(axis=0)
            found[a] += absent * float((rest * reach[a] * nodes * lower) @ weights)
    return found


@lru_cache(maxsize=64)
def _nodes(count: int) -> tuple[F64, F64]:
    """Gauss–Legendre nodes and weights on [0, 1]; exact for polynomials of degree 2·count − 1."""
    x, w = np.polynomial.legendre.leggauss(count)
    return (x + 1.0) / 2.0, w / 2.0


def _drawn_scores(model: Model, some: _Candidates) -> F64:
    """(k, NODES) equally likely scores of each candidate."""
    classic = model.rulebook.strategy.arbitration is Arbitration.CLASSIC
    p = np.empty((len(some.terms), NODES))
    for place, (row, strength) in enumerate(zip(some.terms, some.strength, strict=True)):
        p[place] = _quantiles(float(row[Term.MEAN_PROPENSITY]), float(strength))
    tables = model.rulebook.action_tables
    if classic:
        value, terms = tables.classic_value[some.action], some.terms
        scores = p * (value * terms[:, Term.CONTEXT_WEIGHT] * terms[:, Term.LEVER])[:, None]
    else:
        scores = _mutual_scores(some.terms, p, tables.accepted_cost[some.action][:, None])
    return np.where(np.isfinite(scores), scores, -np.inf)


@lru_cache(maxsize=2048)
def _quantiles(mean: float, strength: float) -> F64:
    """Equally likely values of a Beta posterior; the mean alone where nothing is drawn. 8 KB each."""
    if not 0.0 < mean < 1.0 or not np.isfinite(strength):
        return np.full(NODES, mean)
    levels = (np.arange(NODES) + 0.5) / NODES
    return np.asarray(special.betaincinv(mean * strength, (1.0 - mean) * strength, levels))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]  # scipy has no stubs


def _mutual_scores(terms: F64, p: F64, accepted_cost: F64) -> F64:
    """The score of section 9 with other propensities."""

    def column(term: Term) -> F64:
        return terms[:, term][:, None]

    weight = column(Term.CUSTOMER_WEIGHT)
    gain = weight * column(Term.CUSTOMER_GAIN) + (1.0 - weight) * column(Term.PROFIT_GAIN)
    benefit = (p - column(Term.BASE_PROPENSITY)) * gain
    factor = np.prod(
        terms[:, [Term.RELEVANCE, Term.CONTEXT_WEIGHT, Term.LEVER, Term.PRESSURE_FACTOR]], axis=1
    )
    benefit = np.where(benefit > 0.0, benefit * factor[:, None], benefit)
    cost = column(Term.CONTACT_COST) + p * accepted_cost
    return benefit - (1.0 + column(Term.SHADOW_PRICE)) * cost - column(Term.CONTACT_PRICE)
