"""Walk every gate of every action and keep why each ended where it did: what explanations read."""

import numpy as np

from nextbest.action.arbitration import acceptance, fill_fired, score_survivor
from nextbest.action.exploration import is_exploring, luckier, show_first
from nextbest.action.gates import (
    Verdict,
    audience_gate,
    cap_gate,
    condition_gate,
    consent_gate,
    fairness_gate,
    fits_request,
    knowledge_gate,
    mutual_gate,
    permission_gate,
    policy_gate,
    pressure_gate,
    relevance_gate,
    stake_gate,
    trigger_gate,
)
from nextbest.action.ranking import best_of_group, insert_scored
from nextbest.action.relevance import relevance
from nextbest.action.situation import fill_situation
from nextbest.action.tables import Batch, Code, Raw, Tables, TreatmentCode, unpack_tables
from nextbest.action.terms import Terms, unpack_terms
from nextbest.arena import Arena
from nextbest.kernels import kernel, lean_kernel
from nextbest.model import F64, I32, U64, Reason, Term

NAN = np.nan

_MANDATORY_CODE = int(Code.MANDATORY)
_FIRST_TREATMENT, _LAST_TREATMENT = int(Code.FIRST_TREATMENT), int(Code.LAST_TREATMENT)
_CHANNEL = int(TreatmentCode.CHANNEL)
_SCORE = int(Term.SCORE)
_CHOSEN, _MANDATORY, _NO_TREATMENT = int(Reason.CHOSEN), int(Reason.MANDATORY), int(Reason.NO_TREATMENT)
_WORSE = int(Reason.WORSE_THAN_DO_NOTHING)
_STILL_LEARNING = int(Reason.STILL_LEARNING)
_GROUP = int(Code.GROUP)
_IN_GROUP, _IN_RANK = int(Reason.BEATEN_IN_GROUP), int(Reason.BEATEN_IN_RANK)


@lean_kernel
def admission(tables: Tables, batch: Batch, customer: int, action: int, treatment: int) -> Verdict:
    """Run the gates that need no figures of the action itself: consent to sell-hold."""
    verdict = consent_gate(tables, batch, customer, action, treatment)
    if verdict[0] == 0:
        verdict = permission_gate(tables, batch, customer, action, treatment)
    if verdict[0] == 0:
        verdict = audience_gate(tables, batch, customer, action)
    if verdict[0] == 0:
        verdict = trigger_gate(tables, batch, customer, action)
    if verdict[0] == 0:
        verdict = condition_gate(tables, batch, customer, action)
    if verdict[0] == 0:
        verdict = knowledge_gate(tables, batch, customer, action)
    return verdict


@lean_kernel
def consider(
    tables: Tables, batch: Batch, terms: Terms, customer: int, action: int, treatment: int, out: F64
) -> Verdict:
    """Take one treatment of one action through every gate and score it into `out` (Term,).

    Returns:
        (reason, actual, required): `CHOSEN` for a survivor with a positive score, `MANDATORY` for a
        mandatory one, else what stopped it.
    """
    verdict = admission(tables, batch, customer, action, treatment)
    if verdict[0] != 0:
        return verdict
    p = acceptance(tables, batch, terms, customer, action)
    verdict = mutual_gate(tables, batch, customer, action, p)
    if verdict[0] != 0:
        return verdict
    rho = relevance(tables, batch, customer, action)
    mandatory = tables.codes[action, _MANDATORY_CODE] == 1
    if not mandatory:
        verdict = relevance_gate(tables, batch, customer, treatment, rho)
        if verdict[0] != 0:
            return verdict
    verdict = policy_gate(tables, batch, customer, action, treatment)
    if verdict[0] == 0 and not mandatory:
        verdict = pressure_gate(tables, batch, customer, tables.treatments[treatment, _CHANNEL])
    if verdict[0] == 0:
        verdict = fairness_gate(tables, batch, customer, action)
    if verdict[0] == 0:
        verdict = cap_gate(tables, batch, customer, action)
    if verdict[0] == 0 and not mandatory:
        verdict = stake_gate(tables, batch, terms, customer, action, p)
    if verdict[0] != 0 and verdict[0] != _STILL_LEARNING:
        return verdict
    why = score_survivor(tables, batch, terms, customer, action, p, rho, out)
    if verdict[0] != 0:  # scored none the less: it might have been within reach
        return verdict
    if why == _WORSE:
        return why, out[_SCORE], 0.0
    return why, NAN, NAN


@lean_kernel
def consider_action(
    tables: Tables, batch: Batch, terms: Terms, customer: int, action: int, out: F64
) -> tuple[int, float, float, int]:
    """Try the treatments that fit the request in file order; the first that passes is the action's.

    Returns:
        (reason, actual, required, treatment); of several that were stopped, the one that came furthest.
    """
    reason, actual, required, best = _NO_TREATMENT, NAN, NAN, -1
    for treatment in range(tables.codes[action, _FIRST_TREATMENT], tables.codes[action, _LAST_TREATMENT]):
        if not fits_request(tables, batch, customer, treatment):
            continue
        verdict = consider(tables, batch, terms, customer, action, treatment, out)
        if verdict[0] == _CHOSEN or verdict[0] == _MANDATORY:
            return verdict[0], verdict[1], verdict[2], treatment
        if best < 0 or verdict[0] > reason:
            reason, actual, required, best = verdict[0], verdict[1], verdict[2], treatment
    return reason, actual, required, best


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
def trace_arbitration(
    arena: Arena,
    raw: Raw,
    batch: Batch,
    learnt: Arena,
    scores: F64,
    reason: I32,
    numbers: F64,
    treatment: I32,
    scored: F64,
    ranked: I32,
    ranked_treatment: I32,
    ranked_terms: F64,
    count: I32,
    fired: U64,
) -> None:
    """Decide for every customer of the batch as `arbitrate` does, and keep a trace.

    Args:
        arena: The packed rulebook's `Tables`.
        raw: The requests as they came.
        batch: The requests; what `fill_situation` writes is filled here.
        learnt: The packed `Terms`: propensities, prices, and how to explore.
        scores: (lanes, k) is memory to work in.
        reason: (n, A) filled with where each action ended.
        numbers: (n, A, 2) filled with actual and required values.
        treatment: (n, A) filled with the treatment each action came furthest with.
        scored: (n, A, Term) filled with terms where an action reached its score.
        ranked: (n, k) filled with actions, best first, -1 beyond `count`.
        ranked_treatment: (n, k) filled with their treatments, -1 beyond.
        ranked_terms: (n, k, Term) filled with their terms, NaN beyond.
        count: (n,) filled with the number of answers; 0 = do nothing wins.
        fired: (triggers, blocks) filled with the triggers that have fired and do not cool down.

    Source: domain model, sections 8 and 9. Oracle: tests/naive/decide.py.
    """
    tables, terms = unpack_tables(arena), unpack_terms(learnt)
    fill_fired(tables, batch, fired)
    for i in range(len(batch.now)):
        n, pick = 0, -1
        exploring = is_exploring(batch, terms, i)
        batch.seen[:, i & 63] = 0
        fill_situation(tables, raw, batch, i)
        for a in range(len(tables.codes)):
            scored[i, a, _SCORE] = NAN
            why, actual, required, t = consider_action(tables, batch, terms, i, a, scored[i, a])
            reason[i, a], treatment[i, a] = why, t
            numbers[i, a, 0], numbers[i, a, 1] = actual, required
            if why == _CHOSEN or why == _MANDATORY:
                n = insert_scored(tables, a, scored[i, a, _SCORE], ranked[i], scores[0], n)
            if exploring and why == _CHOSEN:
                pick = luckier(batch, terms, i, pick, a)
        if pick >= 0:
            n = show_first(tables, ranked[i], n, pick)
        count[i] = n
        keep_ranked(ranked[i], n, treatment[i], scored[i], ranked_treatment[i], ranked_terms[i])


@kernel
def settle_reasons(tables: Tables, reason: I32, terms: F64, ranked: I32, count: I32) -> None:
    """Replace `CHOSEN` in a kept trace by what beat a survivor that is not among the answers.

    Beaten in its group is what no further place could mend; beaten in rank is what one could.
    """
    for i in range(len(reason)):
        settled = reason[i].copy()
        for a in range(reason.shape[1]):
            if reason[i, a] != _CHOSEN and reason[i, a] != _MANDATORY:
                continue
            listed, alone = False, best_of_group(tables, reason[i], terms[i], a) == a
            group = tables.codes[a, _GROUP]
            for place in range(count[i]):
                listed = listed or ranked[i, place] == a
                # a drawn one is first whether or not it is the best of its group
                alone = alone and not (group >= 0 and tables.codes[ranked[i, place], _GROUP] == group)
            if not listed:
                settled[a] = _IN_RANK if alone else _IN_GROUP
        reason[i] = settled
