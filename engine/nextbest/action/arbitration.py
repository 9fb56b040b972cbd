"""Send every action through the gates, score the survivors and keep the best few.

The same kernels serve the answer and its explanation: they write why an action ended where it did into a
trace row. An explanation has one row a customer; a plain decision lets all customers share one, and passes
over actions that can be no answer, so tracing costs nothing when it is not asked for.
"""

import numpy as np

from nextbest.action.exploration import is_exploring, luckier, reach_gate, show_first
from nextbest.action.gates import (
    audience_gate,
    condition_gate,
    consent_gate,
    fits_request,
    knowledge_gate,
    limit_gate,
    permission_gate,
    policy_gate,
    pressure_gate,
    relevance_gate,
    trigger_gate,
)
from nextbest.action.relevance import holds, relevance
from nextbest.action.score import (
    classic_priority,
    customer_gain_once,
    fill_terms,
    is_classic,
    mutual_score,
    propensity,
)
from nextbest.action.situation import fill_situation
from nextbest.action.tables import (
    Batch,
    ChannelNumber,
    Code,
    Number,
    Raw,
    Setting,
    Tables,
    TreatmentCode,
    unpack_tables,
)
from nextbest.action.terms import Terms, unpack_terms
from nextbest.arena import Arena
from nextbest.facts import Figure
from nextbest.kernels import kernel, lean_kernel
from nextbest.model import F64, I32, U64, Direction, Reason, Stage, Term

Outcome = tuple[int, float, float]

NAN = np.nan

_MANDATORY_CODE, _REPAIRS = int(Code.MANDATORY), int(Code.REPAIRS)
_FIRST_TREATMENT, _LAST_TREATMENT = int(Code.FIRST_TREATMENT), int(Code.LAST_TREATMENT)
_GROUP, _PRIORITY, _ID_ORDER = int(Code.GROUP), int(Code.PRIORITY), int(Code.ID_ORDER)
_MINUTES = int(Number.MINUTES)
_CONTACT_COST, _ACCEPTED_COST = int(Number.CONTACT_COST), int(Number.ACCEPTED_COST)
_CHANNEL = int(TreatmentCode.CHANNEL)
_WEIGHT = int(ChannelNumber.OUTBOUND_WEIGHT)
_VALUE_OF_TIME = int(Setting.VALUE_OF_TIME)
_STAGE, _CEILING = int(Figure.STAGE), int(Figure.INVESTMENT_CEILING)
_FORGIVE, _OUTBOUND = int(Stage.FORGIVE_ME), int(Direction.OUTBOUND)
_P, _RHO, _Q, _SCORE = int(Term.PROPENSITY), int(Term.RELEVANCE), int(Term.PRESSURE_FACTOR), int(Term.SCORE)
_MU = int(Term.CONTACT_PRICE)
_CHOSEN, _MANDATORY, _NO_TREATMENT = int(Reason.CHOSEN), int(Reason.MANDATORY), int(Reason.NO_TREATMENT)
_PROPENSITY_UNKNOWN, _NO_VALUE = int(Reason.PROPENSITY_UNKNOWN), int(Reason.NO_VALUE_FOR_CUSTOMER)
_ABOVE_CEILING, _WORSE = int(Reason.ABOVE_INVESTMENT_CEILING), int(Reason.WORSE_THAN_DO_NOTHING)
_IN_GROUP, _IN_RANK = int(Reason.BEATEN_IN_GROUP), int(Reason.BEATEN_IN_RANK)


@lean_kernel
def admission(tables: Tables, batch: Batch, customer: int, action: int, treatment: int) -> Outcome:
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
def mutual_gate(tables: Tables, batch: Batch, customer: int, action: int, p: float) -> Outcome:
    """The customer's expected gain, less the worth of the time it takes, is not negative.

    The gate holds always, for mandatory actions too: no profit buys a loss to the customer.
    """
    if np.isnan(p):
        return _PROPENSITY_UNKNOWN, NAN, NAN
    effort = tables.numbers[action, _MINUTES] * tables.settings[_VALUE_OF_TIME]
    worth = p * customer_gain_once(tables, batch, customer, action) - effort
    if worth >= 0.0:
        return 0, NAN, NAN
    return _NO_VALUE, worth, 0.0


@lean_kernel
def ceiling_gate(tables: Tables, batch: Batch, customer: int, action: int, p: float) -> Outcome:
    """Expected cost stays under the customer's investment ceiling; repair in Forgive me is exempt."""
    if tables.codes[action, _REPAIRS] == 1 and batch.figures[customer, _STAGE] == _FORGIVE:
        return 0, NAN, NAN
    cost = tables.numbers[action, _CONTACT_COST] + p * tables.numbers[action, _ACCEPTED_COST]
    ceiling = batch.figures[customer, _CEILING]
    if cost > ceiling:
        return _ABOVE_CEILING, cost, ceiling
    return 0, NAN, NAN


@lean_kernel
def stake_gate(tables: Tables, batch: Batch, terms: Terms, customer: int, action: int, p: float) -> Outcome:
    """Not more is put at stake than a customer is worth, nor on more customers than an action has earned."""
    verdict = ceiling_gate(tables, batch, customer, action, p)
    return reach_gate(batch, terms, customer, action) if verdict[0] == 0 else verdict


@lean_kernel
def contact_price(tables: Tables, batch: Batch, terms: Terms, customer: int, treatment: int) -> float:
    """Price of the contact, μ_w·w_ch: nothing when the customer starts it."""
    if batch.requests[customer, 1] != _OUTBOUND:
        return 0.0
    weight = tables.channels[tables.treatments[treatment, _CHANNEL], _WEIGHT]
    return float(terms.prices[len(terms.prices) - 1] * weight)


@lean_kernel
def consider(
    tables: Tables, batch: Batch, terms: Terms, customer: int, action: int, treatment: int, out: F64
) -> Outcome:
    """Take one treatment of one action through every gate and score it into `out` (Term,).

    Returns:
        (reason, actual, required): `CHOSEN` for a survivor with a positive score, `MANDATORY` for a
        mandatory one, else what stopped it.
    """
    verdict = admission(tables, batch, customer, action, treatment)
    if verdict[0] != 0:
        return verdict
    p = propensity(tables, batch, terms, customer, action)
    if is_classic(tables) and np.isnan(p):
        p = 1.0  # classic arbitration takes a missing factor as 1
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
        verdict = pressure_gate(tables, batch, customer, treatment)
    if verdict[0] == 0:
        verdict = limit_gate(tables, batch, customer, action)
    if verdict[0] == 0 and not mandatory:
        verdict = stake_gate(tables, batch, terms, customer, action, p)
    if verdict[0] != 0:
        return verdict
    fill_terms(tables, batch, terms, customer, action, p, out)
    out[_RHO] = rho
    out[_Q] = batch.pressure[customer, 2]
    out[_MU] = contact_price(tables, batch, terms, customer, treatment)
    score = classic_priority(tables, action, out) if is_classic(tables) else mutual_score(out)
    if not np.isfinite(score):
        # what overflows wins against nothing, and the order stays strict
        score = out[_SCORE] = -np.inf
    if mandatory:
        return _MANDATORY, NAN, NAN
    if not score > 0.0:
        return _WORSE, score, 0.0
    return _CHOSEN, NAN, NAN


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
def is_better(tables: Tables, reason: I32, terms: F64, a: int, b: int) -> bool:
    """Order of answers: mandatory, score descending, priority descending, id."""
    mandatory_a, mandatory_b = reason[a] == _MANDATORY, reason[b] == _MANDATORY
    if mandatory_a != mandatory_b:
        return mandatory_a
    if terms[a, _SCORE] != terms[b, _SCORE]:
        return terms[a, _SCORE] > terms[b, _SCORE]
    if tables.codes[a, _PRIORITY] != tables.codes[b, _PRIORITY]:
        return tables.codes[a, _PRIORITY] > tables.codes[b, _PRIORITY]
    return tables.codes[a, _ID_ORDER] < tables.codes[b, _ID_ORDER]


@lean_kernel
def insert_ranked(tables: Tables, reason: I32, terms: F64, action: int, ranked: I32, count: int) -> int:
    """Insert a survivor into `ranked` (k,), best first, at most one of a group.

    `ranked` always holds the best k among the best of each group seen so far: a better one of a
    group already listed takes that one's place, so nothing dropped earlier could have stayed.

    Returns:
        The new count.
    """
    group = tables.codes[action, _GROUP]
    if group >= 0:
        for place in range(count):
            if tables.codes[ranked[place], _GROUP] == group:
                if not is_better(tables, reason, terms, action, ranked[place]):
                    return count
                for later in range(place, count - 1):
                    ranked[later] = ranked[later + 1]
                count -= 1
                break
    place = count
    while place > 0 and is_better(tables, reason, terms, action, ranked[place - 1]):
        place -= 1
    if place >= len(ranked):
        return count
    count = min(count + 1, len(ranked))
    for later in range(count - 1, place, -1):
        ranked[later] = ranked[later - 1]
    ranked[place] = action
    return count


@lean_kernel
def is_hopeless(tables: Tables, batch: Batch, customer: int, action: int) -> bool:
    """Whether an action can be no answer whatever other gates say: wrong stage, or a condition not TRUE."""
    condition = tables.filters[action, 0]
    if condition >= 0 and not holds(batch.true, customer, condition):
        return True
    stage = np.int64(batch.figures[customer, _STAGE])
    return (tables.filters[action, 1] >> stage) & 1 == 0


@lean_kernel
def fill_fired(tables: Tables, batch: Batch, fired: U64) -> None:
    """Write into `fired` (triggers, blocks) which triggers have fired and do not cool down."""
    for trigger in range(fired.shape[0]):
        condition = tables.trigger_conditions[trigger]
        for block in range(fired.shape[1]):
            fired[trigger, block] = batch.true[block, condition] & ~batch.cooling[trigger, block]


@lean_kernel
def arbitrate(
    arena: Arena,
    raw: Raw,
    batch: Batch,
    learnt: Arena,
    reason: I32,
    numbers: F64,
    treatment: I32,
    scored: F64,
    ranked: I32,
    ranked_treatment: I32,
    ranked_terms: F64,
    count: I32,
    fired: U64,
    traced: bool,  # noqa: FBT001  (a kernel takes no keywords)
) -> None:
    """Decide for every customer of the batch.

    Args:
        arena: The packed rulebook's `Tables`.
        raw: The requests as they came.
        batch: The requests; what `fill_situation` writes is filled here.
        learnt: The packed `Terms`: propensities, prices, and how to explore.
        reason: (rows, A) trace; rows is n if it is kept, else 1.
        numbers: (rows, A, 2) trace of actual and required values.
        treatment: (rows, A) trace of the treatment each action came furthest with.
        scored: (rows, A, Term) trace of terms, NaN where an action was stopped before its score.
        ranked: (n, k) filled with actions, best first, -1 beyond `count`.
        ranked_treatment: (n, k) filled with their treatments, -1 beyond.
        ranked_terms: (n, k, Term) filled with their terms, NaN beyond.
        count: (n,) filled with the number of answers; 0 = do nothing wins.
        fired: (triggers, blocks) filled with the triggers that have fired and do not cool down.
        traced: Whether the trace is kept. If not, it is memory to work in, and what can be no answer is
            passed over: nine actions of ten end there, in a nanosecond instead of fifteen.

    Source: domain model, sections 8 and 9. Oracle: tests/naive/decide.py.
    """
    tables, terms = unpack_tables(arena), unpack_terms(learnt)
    fill_fired(tables, batch, fired)
    for i in range(len(batch.now)):
        row = i if traced else 0
        n, pick = 0, -1
        exploring = is_exploring(batch, terms, i)
        fill_situation(tables, raw, batch, i)
        for a in range(len(tables.codes)):
            if not traced and is_hopeless(tables, batch, i, a):
                continue
            scored[row, a, _SCORE] = NAN
            why, actual, required, t = consider_action(tables, batch, terms, i, a, scored[row, a])
            reason[row, a], treatment[row, a] = why, t
            numbers[row, a, 0], numbers[row, a, 1] = actual, required
            if why == _CHOSEN or why == _MANDATORY:
                n = insert_ranked(tables, reason[row], scored[row], a, ranked[i], n)
            if exploring and why == _CHOSEN:
                pick = luckier(batch, terms, i, pick, a)
        if pick >= 0:
            n = show_first(tables, reason[row], ranked[i], n, pick)
        count[i] = n
        for place in range(n, ranked.shape[1]):
            ranked[i, place] = ranked_treatment[i, place] = -1
            ranked_terms[i, place] = NAN
        for place in range(n):
            ranked_treatment[i, place] = treatment[row, ranked[i, place]]
            for term in range(ranked_terms.shape[2]):
                ranked_terms[i, place, term] = scored[row, ranked[i, place], term]


@lean_kernel
def best_of_group(tables: Tables, reason: I32, terms: F64, action: int) -> int:
    """The best survivor of an action's group; the action itself where it has none or is the best.

    Args:
        tables: The packed rulebook.
        reason: (A,) trace of one customer, before it is settled.
        terms: (A, Term) trace of one customer.
        action: A survivor.
    """
    best = action
    for other in range(len(reason)):
        survived = reason[other] == _CHOSEN or reason[other] == _MANDATORY
        same = tables.codes[other, _GROUP] == tables.codes[action, _GROUP]
        if survived and same and is_better(tables, reason, terms, other, best):
            best = other
    return best if tables.codes[action, _GROUP] >= 0 else action


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
