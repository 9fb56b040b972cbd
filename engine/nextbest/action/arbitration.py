"""Score the actions that are open to each customer, and keep the best few.

A plain decision needs no reasons: `admission` says which actions are open to a block of 64 customers, and
only those are scored. `tracing` walks every gate of every action instead and keeps why each ended where it
did; both ask the same gates and call the same score, so that an explanation cannot tell another story.
"""

import numpy as np

from nextbest.action.admission import fill_words, open_customers, reachable
from nextbest.action.exploration import is_exploring, luckier, show_first
from nextbest.action.gates import cap_gate, mutual_gate, pauses, relevance_gate, stake_gate
from nextbest.action.ranking import insert_ranked
from nextbest.action.relevance import relevance
from nextbest.action.score import classic_priority, fill_terms, is_classic, mutual_score, propensity
from nextbest.action.situation import fill_situation
from nextbest.action.tables import (
    Batch,
    ChannelNumber,
    Code,
    Policy,
    Raw,
    Tables,
    TreatmentCode,
    unpack_tables,
)
from nextbest.action.terms import Terms, unpack_terms
from nextbest.arena import Arena
from nextbest.kernels import lean_kernel, lowest_bit
from nextbest.model import F64, I32, U64, Direction, Reason, Term

NAN = np.nan

_MANDATORY_CODE = int(Code.MANDATORY)
_FIRST_TREATMENT, _LAST_TREATMENT = int(Code.FIRST_TREATMENT), int(Code.LAST_TREATMENT)
_FIRST_POLICY, _LAST_POLICY, _SHARED = int(Code.FIRST_POLICY), int(Code.LAST_POLICY), int(Policy.SHARED)
_CHANNEL = int(TreatmentCode.CHANNEL)
_WEIGHT = int(ChannelNumber.OUTBOUND_WEIGHT)
_OUTBOUND = int(Direction.OUTBOUND)
_RHO, _Q, _MU, _SCORE = (
    int(Term.RELEVANCE),
    int(Term.PRESSURE_FACTOR),
    int(Term.CONTACT_PRICE),
    int(Term.SCORE),
)
_STOPPED, _CHOSEN, _MANDATORY, _WORSE = (
    0,
    int(Reason.CHOSEN),
    int(Reason.MANDATORY),
    int(Reason.WORSE_THAN_DO_NOTHING),
)
_ONE, _ZERO = np.uint64(1), np.uint64(0)


@lean_kernel
def contact_price(tables: Tables, batch: Batch, terms: Terms, customer: int, treatment: int) -> float:
    """Price of the contact, μ_w·w_ch: nothing when the customer starts it."""
    if batch.requests[customer, 1] != _OUTBOUND:
        return 0.0
    weight = tables.channels[tables.treatments[treatment, _CHANNEL], _WEIGHT]
    return float(terms.prices[len(terms.prices) - 1] * weight)


@lean_kernel
def acceptance(tables: Tables, batch: Batch, terms: Terms, customer: int, action: int) -> float:
    """Propensity; where it is unknown, classic arbitration takes it as 1, as it does any missing factor."""
    p = propensity(tables, batch, terms, customer, action)
    return 1.0 if np.isnan(p) and is_classic(tables) else p


@lean_kernel
def score_survivor(
    tables: Tables,
    batch: Batch,
    terms: Terms,
    customer: int,
    action: int,
    treatment: int,
    p: float,
    rho: float,
    out: F64,
) -> int:
    """Score an action that no gate has stopped into `out` (Term,).

    Returns:
        `CHOSEN`, `MANDATORY`, or `WORSE_THAN_DO_NOTHING`.
    """
    fill_terms(tables, batch, terms, customer, action, p, out)
    out[_RHO] = rho
    out[_Q] = batch.pressure[customer, 2]
    out[_MU] = contact_price(tables, batch, terms, customer, treatment)
    score = classic_priority(tables, action, out) if is_classic(tables) else mutual_score(out)
    if not np.isfinite(score):
        # what overflows wins against nothing, and the order stays strict
        score = out[_SCORE] = -np.inf
    if tables.codes[action, _MANDATORY_CODE] == 1:
        return _MANDATORY
    return _CHOSEN if score > 0.0 else _WORSE


@lean_kernel
def score_open(
    tables: Tables, batch: Batch, terms: Terms, customer: int, action: int, treatment: int, out: F64
) -> int:
    """Ask an action that is open to a customer what `admission` did not ask, and score it.

    Returns:
        As `score_survivor`, or 0 if a gate stops it.
    """
    p = acceptance(tables, batch, terms, customer, action)
    if mutual_gate(tables, batch, customer, action, p)[0] != 0:
        return _STOPPED
    rho = relevance(tables, batch, customer, action)
    mandatory = tables.codes[action, _MANDATORY_CODE] == 1
    if not mandatory and relevance_gate(tables, batch, customer, treatment, rho)[0] != 0:
        return _STOPPED
    for k in range(tables.codes[action, _FIRST_POLICY], tables.codes[action, _LAST_POLICY]):
        if tables.policies[k, _SHARED] < 0 and pauses(tables, batch, customer, action, k):
            return _STOPPED
    if cap_gate(tables, batch, customer, action)[0] != 0:
        return _STOPPED
    if not mandatory and stake_gate(tables, batch, terms, customer, action, p)[0] != 0:
        return _STOPPED
    return score_survivor(tables, batch, terms, customer, action, treatment, p, rho, out)


@lean_kernel
def fill_fired(tables: Tables, batch: Batch, fired: U64) -> None:
    """Write into `fired` (triggers, blocks) which triggers have fired and do not cool down."""
    for trigger in range(fired.shape[0]):
        condition = tables.trigger_conditions[trigger]
        for block in range(fired.shape[1]):
            fired[trigger, block] = batch.true[block, condition] & ~batch.cooling[trigger, block]


@lean_kernel
def fill_open(tables: Tables, raw: Raw, batch: Batch, first: int, last: int) -> None:
    """List in `batch.open` the actions open to customers `first` to `last`, a block.

    Of several treatments that fit, the first is the action's: they share the request's channel, so that
    after consent no gate tells them apart.
    """
    found, actions = batch.open, len(tables.codes)
    for i in range(first, last):
        fill_situation(tables, raw, batch, i)
    bounds = fill_words(tables, batch, first, last, batch.words)
    found[:, actions] = 0
    for action in range(actions):
        word = open_customers(tables, batch, bounds, first, last, action)
        treatment = tables.codes[action, _FIRST_TREATMENT]
        while word != _ZERO and treatment < tables.codes[action, _LAST_TREATMENT]:
            reached = word & reachable(tables, batch.words, treatment)
            word &= ~reached
            while reached != _ZERO:
                lane = lowest_bit(reached)
                reached &= reached - _ONE
                found[lane, found[lane, actions]] = (action << 32) | treatment
                found[lane, actions] += 1
            treatment += 1


@lean_kernel
def keep_ranked(ranked: I32, n: int, treatment: I32, scored: F64, kept: I32, kept_terms: F64) -> None:
    """Write the treatments and terms of the n actions in `ranked` (k,), and clear the places beyond."""
    for place in range(n, len(ranked)):
        ranked[place] = kept[place] = -1
        kept_terms[place] = NAN
    for place in range(n):
        kept[place] = treatment[ranked[place]]
        for term in range(kept_terms.shape[1]):
            kept_terms[place, term] = scored[ranked[place], term]


@lean_kernel
def arbitrate(
    arena: Arena,
    raw: Raw,
    batch: Batch,
    learnt: Arena,
    reason: I32,
    treatment: I32,
    scored: F64,
    ranked: I32,
    ranked_treatment: I32,
    ranked_terms: F64,
    count: I32,
    fired: U64,
) -> None:
    """Decide for every customer of the batch.

    Args:
        arena: The packed rulebook's `Tables`.
        raw: The requests as they came.
        batch: The requests; what `fill_situation` writes is filled here.
        learnt: The packed `Terms`: propensities, prices, and how to explore.
        reason: (1, A), `treatment` (1, A) and `scored` (1, A, Term) are memory to work in.
        treatment: See above.
        scored: See above.
        ranked: (n, k) filled with actions, best first, -1 beyond `count`.
        ranked_treatment: (n, k) filled with their treatments, -1 beyond.
        ranked_terms: (n, k, Term) filled with their terms, NaN beyond.
        count: (n,) filled with the number of answers; 0 = do nothing wins.
        fired: (triggers, blocks) filled with the triggers that have fired and do not cool down.

    Source: domain model, sections 8 and 9. Oracle: tests/naive/decide.py.
    """
    tables, terms = unpack_tables(arena), unpack_terms(learnt)
    fill_fired(tables, batch, fired)
    customers, actions = len(batch.now), len(tables.codes)
    for first in range(0, customers, 64):
        last = min(first + 64, customers)
        fill_open(tables, raw, batch, first, last)
        for i in range(first, last):
            n, pick = 0, -1
            exploring = is_exploring(batch, terms, i)
            for k in range(batch.open[i & 63, actions]):
                a, t = batch.open[i & 63, k] >> 32, batch.open[i & 63, k] & 0xFFFFFFFF
                why = score_open(tables, batch, terms, i, a, t, scored[0, a])
                if why == _CHOSEN or why == _MANDATORY:
                    reason[0, a], treatment[0, a] = why, t
                    n = insert_ranked(tables, reason[0], scored[0], a, ranked[i], n)
                if exploring and why == _CHOSEN:
                    pick = luckier(batch, terms, i, pick, a)
            if pick >= 0:
                n = show_first(tables, reason[0], ranked[i], n, pick)
            count[i] = n
            keep_ranked(ranked[i], n, treatment[0], scored[0], ranked_treatment[i], ranked_terms[i])
