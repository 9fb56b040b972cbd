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
from nextbest.action.opening import opens_at
from nextbest.action.placing import (
    asks,
    fits_placement,
    insert_survivor,
    lead,
    places_of,
    walk_placements,
)
from nextbest.action.ranking import best_of_group, insert_scored
from nextbest.action.relevance import relevance
from nextbest.action.situation import fill_past, fill_situation
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
def _comes_to_score(
    tables: Tables, batch: Batch, terms: Terms, customer: int, action: int, treatment: int, out: F64
) -> bool:
    """Whether a treatment fits the request and no gate but reach stops the action in it; as `consider`."""
    if not fits_request(tables, batch, customer, treatment):
        return False
    why = consider(tables, batch, terms, customer, action, treatment, out)[0]
    return why == _CHOSEN or why == _MANDATORY or why == _WORSE or why == _STILL_LEARNING


@lean_kernel
def open_places(
    tables: Tables, batch: Batch, terms: Terms, customer: int, action: int, out: F64
) -> np.uint64:
    """In which of the placements asked for an action that was scored can be shown."""
    places = np.uint64(0)
    for treatment in range(tables.codes[action, _FIRST_TREATMENT], tables.codes[action, _LAST_TREATMENT]):
        if _comes_to_score(tables, batch, terms, customer, action, treatment, out):
            places |= places_of(tables, batch, customer, treatment)
    return places


@lean_kernel
def treatment_at(
    tables: Tables, batch: Batch, terms: Terms, customer: int, action: int, placement: int, out: F64
) -> int:
    """The first treatment that passes and can be shown in a placement that the action was given."""
    treatment = tables.codes[action, _FIRST_TREATMENT]
    while not fits_placement(tables, treatment, placement) or not _comes_to_score(
        tables, batch, terms, customer, action, treatment, out
    ):
        treatment += 1
    return int(treatment)


@lean_kernel
def show_placed(
    tables: Tables,
    raw: Raw,
    batch: Batch,
    terms: Terms,
    customer: int,
    pick: int,
    order: I32,
    n: int,
    reason: I32,
    treatment: I32,
    placement: I32,
    places: U64,
    scored: F64,
    ranked: I32,
) -> int:
    """Give placements to n survivors in order of rank; the first are the answers, whose number it gives.

    Args:
        tables: The packed rulebook.
        raw: The requests as they came.
        batch: The requests.
        terms: What was learnt.
        customer: Whose answers.
        pick: A survivor that was drawn to come first, -1 = none.
        order: (A,) survivors; changed.
        n: How many they are.
        reason: (A,) changed to what kept a survivor out.
        treatment: (A,) changed to the treatment that fits the placement.
        placement: (A,) filled where a survivor found one.
        places: (A,) where each could be shown.
        scored: (A, Term) terms, written again.
        ranked: (k,) filled with the answers.
    """
    if pick >= 0:
        lead(tables, order, pick)
    # who found a place overwrites who was asked before: never more than were asked
    n = walk_placements(tables, raw.preference[customer], order, n, places, reason, placement, order)
    for rank in range(n):
        a = order[rank]
        treatment[a] = treatment_at(tables, batch, terms, customer, a, int(placement[a]), scored[a])
        if rank < len(ranked):
            ranked[rank] = a
        else:
            reason[a] = _IN_RANK
    return min(n, len(ranked))


@lean_kernel
def keep_ranked(
    ranked: I32,
    n: int,
    treatment: I32,
    placement: I32,
    scored: F64,
    kept: I32,
    kept_placement: I32,
    kept_terms: F64,
) -> None:
    """Write what answers tell of the n actions in `ranked` (k,), and clear the places beyond."""
    for place in range(n, len(ranked)):
        ranked[place] = kept[place] = kept_placement[place] = -1
        kept_terms[place] = NAN
    for place in range(n):
        kept[place], kept_placement[place] = treatment[ranked[place]], placement[ranked[place]]
        for term in range(kept_terms.shape[1]):
            kept_terms[place, term] = scored[ranked[place], term]


@lean_kernel
def trace_arbitration(
    arena: Arena,
    raw: Raw,
    batch: Batch,
    learnt: Arena,
    scores: F64,
    pool: I32,
    reason: I32,
    numbers: F64,
    treatment: I32,
    placement: I32,
    places: U64,
    scored: F64,
    ranked: I32,
    ranked_treatment: I32,
    ranked_placement: I32,
    ranked_terms: F64,
    count: I32,
    fired: U64,
) -> None:
    """Decide for every customer of the batch as `arbitrate` does, and keep a trace.

    Args:
        arena: The packed rulebook's `Tables`.
        raw: The requests as they came.
        batch: The requests; what `situation` writes is filled here.
        learnt: The packed `Terms`: propensities, prices, and how to explore.
        scores: (lanes, at least k) is memory to work in; as wide as `pool` where placements are asked for.
        pool: (lanes, A) is memory to work in; (lanes, 0) will do where nobody asks for placements.
        reason: (n, A) filled with where each action ended.
        numbers: (n, A, 3) filled with actual and required values, and when the gate opens, see `opening`.
        treatment: (n, A) filled with the treatment each action came furthest with.
        placement: (n, A) filled with the placement of each that found one, else -1.
        places: (n, A) filled with the placements asked for that each could be shown in, if it was scored.
        scored: (n, A, Term) filled with terms where an action reached its score.
        ranked: (n, k) filled with actions, best first, -1 beyond `count`.
        ranked_treatment: (n, k) filled with their treatments, -1 beyond.
        ranked_placement: (n, k) filled with their placements, -1 beyond and where none was asked for.
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
        fill_past(tables, batch, i)
        fill_situation(tables, raw, batch, i)
        for a in range(len(tables.codes)):
            scored[i, a, _SCORE] = NAN
            why, actual, required, t = consider_action(tables, batch, terms, i, a, scored[i, a])
            reason[i, a], treatment[i, a] = why, t
            numbers[i, a, 0], numbers[i, a, 1] = actual, required
            numbers[i, a, 2] = opens_at(tables, batch, i, a, t, why)
            placement[i, a], places[i, a] = -1, np.uint64(0)
            score, asking = scored[i, a, _SCORE], asks(batch, i)
            if asking and not np.isnan(score):
                places[i, a] = open_places(tables, batch, terms, i, a, scored[i, a])
            if asking and (why == _CHOSEN or why == _MANDATORY):
                n = insert_survivor(tables, a, score, pool[0], scores[0], n)
            elif why == _CHOSEN or why == _MANDATORY:
                n = insert_scored(tables, a, score, ranked[i], scores[0], n)
            if exploring and why == _CHOSEN:
                pick = luckier(batch, terms, i, pick, a)
        if asks(batch, i):
            n = show_placed(
                tables, raw, batch, terms, i, pick, pool[0], n,
                reason[i], treatment[i], placement[i], places[i], scored[i], ranked[i],
            )  # fmt: skip
        elif pick >= 0:
            n = show_first(tables, ranked[i], n, pick)
        count[i] = n
        keep_ranked(
            ranked[i], n, treatment[i], placement[i], scored[i],
            ranked_treatment[i], ranked_placement[i], ranked_terms[i],
        )  # fmt: skip


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
