"""With which probability each action would have been the first answer, had the dice fallen otherwise.

Off-policy evaluation weighs an outcome by the inverse of that probability, and needs it for all candidates
(domain model, section 11). Everything follows from a traced decision, so nothing is computed while a customer
waits. Mandatory actions are no matter of chance: they come before the first answer that this is about.

Oracle: frequencies over seeds, tests/unit/test_selection.py; of drawn scores tests/unit/test_chances.py.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nextbest.action.chances import HIGH, HIGH_SLOPE, KINK, LOW, LOW_SLOPE, first_chances
from nextbest.action.tables import Code
from nextbest.assembly import Model
from nextbest.decide import prepared
from nextbest.facts import Figure
from nextbest.model import (
    F64,
    I64,
    Bools,
    Contexts,
    Decisions,
    DecisionState,
    Direction,
    Rows,
    Term,
    Trace,
)
from nextbest.rulebook.actions import PropensityKind
from nextbest.rulebook.strategy import Arbitration, Exploration


@dataclass(frozen=True, slots=True)
class _Candidates:
    """The m actions of all n customers that no gate stopped but reach, mandatory ones left out."""

    row: I64
    """(m,) whose, ascending."""
    action: I64
    """(m,)."""
    terms: F64
    """(m, Term)."""
    reach: F64
    """(m,) probability of not being held back."""
    strength: F64
    """(m,) of the posterior; inf where the propensity is no posterior."""
    standing: I64
    """(m,) place among equal scores, the higher the better; all of a customer's different."""
    barred: Bools
    """(m,) mandatory answers have the group's place, or all placements that it could be shown in."""
    offsets: I64
    """(n + 1,) where each customer's begin."""


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

    Cost: docs/performance.md, "Selection probabilities".
    """
    n, actions = trace.reason.shape
    found = np.zeros((n, actions + 1))
    some = _candidates(model, state, rows, contexts, decisions, trace)
    first = _first(model, some)
    found[some.row, some.action] = first
    found[:, actions] = np.maximum(0.0, 1.0 - np.bincount(some.row, first, minlength=n))
    answered = decisions.action[:, :, None] == np.flatnonzero(model.rulebook.action_tables.mandatory == 1)
    row, place, _ = np.nonzero(answered)
    found[row, decisions.action[row, place]] = 1.0
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
    model: Model,
    state: DecisionState,
    rows: Rows,
    contexts: Contexts,
    decisions: Decisions,
    trace: Trace,
) -> _Candidates:
    scored = ~np.isnan(trace.terms[:, :, Term.SCORE])
    mandatory = model.rulebook.action_tables.mandatory == 1
    row, action = np.nonzero(scored & ~mandatory)
    outbound = contexts.direction[row] == Direction.OUTBOUND
    return _Candidates(
        row=row,
        action=action,
        terms=trace.terms[row, action],
        reach=np.where(outbound, prepared(model, state).reach[action], 1.0),
        strength=posterior_strengths(model, state, rows, decisions)[row, action],
        standing=_standing(model)[action],
        barred=_barred(model, contexts, trace, scored & mandatory)[row, action],
        offsets=np.searchsorted(row, np.arange(len(scored) + 1)),
    )


def _barred(model: Model, contexts: Contexts, trace: Trace, first: Bools) -> Bools:
    """(n, A) who cannot be the first answer, since mandatory ones that are shown leave no place."""
    group, asks = model.rulebook.action_tables.group, contexts.placements[:, None] != 0
    first = first & (~asks | (trace.placement >= 0))
    bits = np.uint64(1) << np.maximum(trace.placement, 0).astype(np.uint64)
    taken = np.bitwise_or.reduce(np.where(first & asks, bits, np.uint64(0)), axis=1, keepdims=True)
    barred = asks & ((trace.open & ~taken) == 0)
    for row in np.flatnonzero(first.any(axis=1)):
        barred[row] |= (group >= 0) & np.isin(group, group[first[row]])
    return barred


@lru_cache(maxsize=8)
def _standing(model: Model) -> I64:
    """(A,) place of each action among equal scores, the higher the better."""
    codes = model.tables.codes
    order = np.lexsort((-codes[:, Code.ID_ORDER], codes[:, Code.PRIORITY]))
    standing = np.empty(len(order), np.int64)
    standing[order] = np.arange(len(order))
    return standing


def _first(model: Model, some: _Candidates) -> F64:
    """(m,) probabilities of being first."""
    learning = model.rulebook.strategy.learning
    greedy = _greedy(model, some)
    if learning.exploration is not Exploration.EPSILON:
        return greedy
    lots = [_by_lot(some, slice(*ends)) for ends in zip(some.offsets, some.offsets[1:], strict=False)]
    return (1.0 - learning.share) * greedy + learning.share * np.concatenate([np.empty(0), *lots])


def _greedy(model: Model, some: _Candidates) -> F64:
    """(m,) probabilities of having the highest score of those within reach."""
    able = np.flatnonzero(~some.barred)  # who is barred beats nobody
    thompson = model.rulebook.strategy.learning.exploration is Exploration.THOMPSON
    score, row = some.terms[able, Term.SCORE], some.row[able]
    offsets = np.searchsorted(row, np.arange(len(some.offsets)))
    order = np.lexsort((some.standing[able], score, row))
    found = np.zeros(len(some.row))
    found[able] = first_chances(
        offsets,
        some.terms[able, Term.MEAN_PROPENSITY],
        some.strength[able] if thompson else np.full(len(able), np.inf),
        _lines(model, some.terms[able], some.action[able]),
        score,
        some.reach[able],
        order - offsets[row[order]],
    )
    sums = np.bincount(some.row, found, minlength=len(some.offsets))
    return found / np.maximum(1.0, sums)[some.row]


def _by_lot(some: _Candidates, own: slice) -> F64:
    """(k,) a customer's probabilities of being first where the highest of uniform lots is.

    Who is barred draws too. A polynomial in the winning lot, which Gauss–Legendre nodes integrate exactly.
    """
    scores, barred, standing = some.terms[own, Term.SCORE], some.barred[own], some.standing[own]
    worth = scores > 0.0
    reach = np.where(worth, some.reach[own], 0.0)
    nodes, weights = _nodes(len(scores) // 2 + 1)
    within = 1.0 - reach[:, None] * (1.0 - nodes)  # (k, nodes) the lot is lower, or there is none
    found = np.zeros(len(scores))
    for a in np.flatnonzero(worth & ~barred):
        others = np.arange(len(scores)) != a
        found[a] = reach[a] * float(within[others].prod(axis=0) @ weights)
    # a barred one has the highest lot: then the best of the others is first, as if nothing was drawn
    better = np.lexsort((standing, scores))[::-1]
    open_ones = [int(a) for a in better if worth[a] and not barred[a]]
    for i in np.flatnonzero(worth & barred):
        rest = within[[j for j in np.flatnonzero(worth & barred) if j != i]].prod(axis=0) * reach[i]
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


def _lines(model: Model, terms: F64, action: I64) -> F64:
    """(m, 5) scores by propensity, as `first_chances` takes them; section 9 with the propensity left open."""
    lines, tables = np.zeros((len(action), 5)), model.rulebook.action_tables
    if model.rulebook.strategy.arbitration is Arbitration.CLASSIC:
        value = tables.classic_value[action]
        lines[:, HIGH_SLOPE] = value * terms[:, Term.CONTEXT_WEIGHT] * terms[:, Term.LEVER]
        return lines
    weight, base = terms[:, Term.CUSTOMER_WEIGHT], terms[:, Term.BASE_PROPENSITY]
    gain = weight * terms[:, Term.CUSTOMER_GAIN] + (1.0 - weight) * terms[:, Term.PROFIT_GAIN]
    factor = np.prod(
        terms[:, [Term.RELEVANCE, Term.CONTEXT_WEIGHT, Term.LEVER, Term.PRESSURE_FACTOR]], axis=1
    )
    # the benefit is positive, and multiplied, above the base propensity where there is a gain, else below it
    low, high = np.where(gain > 0.0, gain, gain * factor), np.where(gain > 0.0, gain * factor, gain)
    price = 1.0 + terms[:, Term.SHADOW_PRICE]
    fixed, by_p = (
        price * terms[:, Term.CONTACT_COST] + terms[:, Term.CONTACT_PRICE],
        price * tables.accepted_cost[action],
    )
    lines[:, LOW], lines[:, LOW_SLOPE] = -low * base - fixed, low - by_p
    lines[:, HIGH], lines[:, HIGH_SLOPE] = -high * base - fixed, high - by_p
    lines[:, KINK] = base
    return lines
