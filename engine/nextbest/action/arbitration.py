"""Score the actions that are open to each customer, and keep the best few.

A plain decision needs no reasons: for 64 customers at a time, each action goes through the gates as words
(`admission`, `stakes`) and is scored for all at once (`lanes`). `tracing` walks every gate of every action of
one customer instead and keeps why each ended where it did. Both ask the same things, and the terms that are
kept of an answer come from the same `score_survivor`, so that an explanation cannot tell another story.
"""

import numpy as np

from nextbest.action.admission import Bounds, fill_words, open_customers, reachable
from nextbest.action.block import Lane, row_of
from nextbest.action.exploration import draws_propensity, explored, is_exploring, luckier, show_first
from nextbest.action.lanes import (
    fill_acceptance,
    fill_asked,
    fill_context_weight,
    fill_lane,
    fill_scores,
)
from nextbest.action.placing import asks, fits_placement, place_best
from nextbest.action.ranking import insert_scored
from nextbest.action.relevance import relevance
from nextbest.action.score import (
    classic_priority,
    contact_price,
    fill_terms,
    is_classic,
    mutual_score,
    propensity,
)
from nextbest.action.situation import fill_past, fill_situation
from nextbest.action.stakes import affordable, stopped_by_history, unreached, worth_it
from nextbest.action.tables import Batch, Code, Raw, Tables, unpack_tables
from nextbest.action.terms import Terms, unpack_terms
from nextbest.arena import Arena
from nextbest.kernels import lean_kernel, lowest_bit
from nextbest.model import F64, I32, I64, U64, Reason, Term

NAN = np.nan

_MANDATORY_CODE = int(Code.MANDATORY)
_FIRST_TREATMENT, _LAST_TREATMENT = int(Code.FIRST_TREATMENT), int(Code.LAST_TREATMENT)
_RHO, _Q, _MU = int(Term.RELEVANCE), int(Term.PRESSURE_FACTOR), int(Term.CONTACT_PRICE)
_TERM_SCORE = int(Term.SCORE)
_P, _SCORE, _FLOOR = row_of(Lane.PROPENSITY), row_of(Lane.SCORE), row_of(Lane.FLOOR)
_CHOSEN, _MANDATORY, _WORSE = (
    int(Reason.CHOSEN),
    int(Reason.MANDATORY),
    int(Reason.WORSE_THAN_DO_NOTHING),
)
_ONE, _ZERO = np.uint64(1), np.uint64(0)


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
    out[_MU] = contact_price(tables, batch, terms, customer)
    score = classic_priority(tables, action, out) if is_classic(tables) else mutual_score(out)
    if not np.isfinite(score):
        # what overflows wins against nothing, and the order stays strict
        score = out[_TERM_SCORE] = -np.inf
    if tables.codes[action, _MANDATORY_CODE] == 1:
        return _MANDATORY
    return _CHOSEN if score > 0.0 else _WORSE


@lean_kernel
def fill_fired(tables: Tables, batch: Batch, fired: U64) -> None:
    """Write into `fired` (triggers, blocks) which triggers have fired and do not cool down."""
    for trigger in range(fired.shape[0]):
        condition = tables.trigger_conditions[trigger]
        for block in range(fired.shape[1]):
            fired[trigger, block] = batch.true[block, condition] & ~batch.cooling[trigger, block]


@lean_kernel
def fill_block(tables: Tables, raw: Raw, batch: Batch, terms: Terms, first: int, last: int) -> None:
    """Write what gates and scores read of customers `first` to `last`, a block."""
    batch.seen[:] = 0
    # a loop for each of them: one over all reads and writes two dozen places, and waits for memory
    for i in range(first, last):
        fill_past(tables, batch, i)
    for i in range(first, last):
        fill_situation(tables, raw, batch, i)
    for i in range(first, last):
        fill_lane(tables, batch, terms, i)


@lean_kernel
def fitting(tables: Tables, batch: Batch, action: int) -> np.uint64:
    """Customers of a block who can be reached by one of the action's treatments."""
    word = _ZERO
    for treatment in range(tables.codes[action, _FIRST_TREATMENT], tables.codes[action, _LAST_TREATMENT]):
        word |= reachable(tables, batch.words, treatment)
    return word


@lean_kernel
def treatment_for(tables: Tables, batch: Batch, customer: int, action: int, placement: int) -> int:
    """The treatment of an action that survived: the first that reaches the customer in its placement.

    All that do share the request's channel, so that after consent no gate tells them apart.
    """
    treatment, lane = tables.codes[action, _FIRST_TREATMENT], np.uint64(customer & 63)
    while (
        not fits_placement(tables, treatment, placement)
        or (reachable(tables, batch.words, treatment) >> lane) & _ONE == _ZERO
    ):
        treatment += 1
    return int(treatment)


@lean_kernel
def survivors(
    tables: Tables, batch: Batch, terms: Terms, bounds: Bounds, first: int, last: int, action: int
) -> np.uint64:
    """Customers of a block for whom no gate stops an action; ρ and p are written into their lanes."""
    n, mandatory = last - first, tables.codes[action, _MANDATORY_CODE] == 1
    word = open_customers(tables, batch, bounds, first, last, action)
    if word != _ZERO:
        word &= fitting(tables, batch, action)
    if word == _ZERO:
        return word
    fill_acceptance(tables, batch, terms, first, n, action)
    fill_asked(tables, batch, n, first >> 6, action)
    word &= worth_it(tables, batch, n, action)
    if word == _ZERO:
        return word
    if not mandatory:
        word &= affordable(tables, batch, n, action)
        word &= ~unreached(batch, terms, first, action, word)
    return word & ~stopped_by_history(tables, batch, first, n, action, word)


@lean_kernel
def draw_propensities(
    tables: Tables, batch: Batch, terms: Terms, first: int, action: int, word: np.uint64
) -> None:
    """Put what the rulebook's exploration draws in place of the mean propensity, which gates have read."""
    lanes = batch.lanes
    while draws_propensity(tables, terms, action) and word != _ZERO:
        lane = lowest_bit(word)
        at = _P + np.uint64(lane)
        lanes[at] = explored(tables, batch, terms, first + lane, action, lanes[at])
        word &= word - _ONE


@lean_kernel
def enter(
    tables: Tables, batch: Batch, customer: int, action: int, ranked: I32, scores: F64, count: int
) -> int:
    """Insert a survivor into a customer's answers; gives their new count.

    Once there are as many as may be, the last one's score is the floor for others: `FLOOR` is its lane.
    """
    lane = np.uint64(customer & 63)
    count = insert_scored(tables, action, batch.lanes[_SCORE + lane], ranked, scores, count)
    if count == len(ranked):
        last = ranked[count - 1]
        mandatory = tables.codes[last, _MANDATORY_CODE] == 1
        batch.lanes[_FLOOR + lane] = np.inf if mandatory else scores[count - 1]
    return count


@lean_kernel
def keep_answers(
    tables: Tables,
    batch: Batch,
    terms: Terms,
    customer: int,
    n: int,
    ranked: I32,
    placement: I32,
    kept: I32,
    out: F64,
) -> None:
    """Write the treatments and terms of the n actions in `ranked` (k,), and clear the places beyond."""
    for place in range(n, len(ranked)):
        ranked[place] = kept[place] = placement[place] = -1
        out[place] = NAN
    for place in range(n):
        action = ranked[place]
        kept[place] = treatment_for(tables, batch, customer, action, placement[place])
        p = acceptance(tables, batch, terms, customer, action)
        rho = relevance(tables, batch, customer, action)
        score_survivor(tables, batch, terms, customer, action, p, rho, out[place])


@lean_kernel
def rank_block(
    tables: Tables,
    batch: Batch,
    terms: Terms,
    first: int,
    last: int,
    ranked: I32,
    scores: F64,
    count: I32,
    picks: I64,
    pool: I32,
    turns: I64,
) -> None:
    """Rank the actions of customers `first` to `last`, a block, and draw one for whoever explores.

    The turns that actions take do not change who wins: the order of survivors is strict. Of who asks for
    placements, all survivors are put into `pool` instead.
    """
    bounds = fill_words(tables, batch, first, last, batch.words)
    exploring = _ZERO
    for i in range(first, last):
        count[i], picks[i & 63] = 0, -1
        exploring |= _ONE << np.uint64(i & 63) if is_exploring(batch, terms, i) else _ZERO
    for turn in range(len(tables.codes)):
        action = turns[0, turn]
        word = survivors(tables, batch, terms, bounds, first, last, action)
        if word == _ZERO:
            continue
        draw_propensities(tables, batch, terms, first, action, word)
        fill_context_weight(tables, batch, last - first, first >> 6, action)
        entering = fill_scores(tables, batch, last - first, action)
        if tables.codes[action, _MANDATORY_CODE] == 0:
            draw_lots(batch, terms, first, action, word & exploring, picks)
            word &= entering
        while word != _ZERO:
            lane = lowest_bit(word)
            i = first + lane
            if asks(batch, i):
                pool[lane, count[i]], scores[lane, count[i]] = action, batch.lanes[_SCORE + np.uint64(lane)]
                count[i] += 1
            else:
                count[i] = enter(tables, batch, i, action, ranked[i], scores[lane], count[i])
            word &= word - _ONE


@lean_kernel
def draw_lots(batch: Batch, terms: Terms, first: int, action: int, exploring: np.uint64, picks: I64) -> None:
    """Let an action take part in the lottery of customers who explore, where it is worth something."""
    while exploring != _ZERO:
        lane = lowest_bit(exploring)
        if batch.lanes[_SCORE + np.uint64(lane)] > 0.0:
            picks[lane] = luckier(batch, terms, first + lane, picks[lane], action)
        exploring &= exploring - _ONE


@lean_kernel
def start_turns(turns: I64) -> None:
    """Let actions take turns by number; none has been an answer yet."""
    for action in range(turns.shape[1]):
        turns[0, action], turns[1, action] = action, 0


@lean_kernel
def order_turns(turns: I64) -> None:
    """Let who has been an answer more often take its turn earlier.

    Once the best have entered, the others rarely do: entering moves answers about and is guessed wrong.
    """
    order, answers = turns[0], turns[1]
    for turn in range(1, len(order)):
        action, place = order[turn], turn
        while place > 0 and answers[order[place - 1]] < answers[action]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = action


@lean_kernel
def settle_answers(
    tables: Tables,
    raw: Raw,
    batch: Batch,
    customer: int,
    pick: int,
    n: int,
    pool: I32,
    scores: F64,
    ranked: I32,
    placement: I32,
) -> int:
    """Give placements to the n survivors in `pool`, or put a drawn one first; gives the number of answers."""
    if asks(batch, customer):
        return place_best(tables, raw, batch, customer, pick, pool, scores, n, ranked, placement)
    n = n if pick < 0 else show_first(tables, ranked, n, pick)
    for place in range(n):
        placement[place] = -1
    return n


@lean_kernel
def arbitrate(
    arena: Arena,
    raw: Raw,
    batch: Batch,
    learnt: Arena,
    scores: F64,
    picks: I64,
    pool: I32,
    turns: I64,
    ranked: I32,
    ranked_treatment: I32,
    ranked_placement: I32,
    ranked_terms: F64,
    count: I32,
    fired: U64,
) -> None:
    """Decide for every customer of the batch.

    Args:
        arena: The packed rulebook's `Tables`.
        raw: The requests as they came.
        batch: The requests; what `situation` writes is filled here.
        learnt: The packed `Terms`: propensities, prices, and how to explore.
        scores: (lanes, at least k) and `picks` (lanes,) are memory to work in, as is `pool` (lanes, A); where
            placements are asked for, `scores` is as wide.
        picks: See above.
        pool: See above; (lanes, 0) will do where nobody asks for placements.
        turns: (2, A) memory to work in: which action takes each turn, and how often each has been an answer.
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
    start_turns(turns)
    customers = len(batch.now)
    for first in range(0, customers, 64):
        last = min(first + 64, customers)
        fill_block(tables, raw, batch, terms, first, last)
        if last == first + 64:  # said in so many words: loops over a whole block then need not count
            rank_block(tables, batch, terms, first, first + 64, ranked, scores, count, picks, pool, turns)
        else:
            rank_block(tables, batch, terms, first, last, ranked, scores, count, picks, pool, turns)
        for i in range(first, last):
            lane, placement = i & 63, ranked_placement[i]
            count[i] = n = settle_answers(
                tables, raw, batch, i, picks[lane], count[i], pool[lane], scores[lane], ranked[i], placement
            )
            keep_answers(
                tables, batch, terms, i, n, ranked[i], placement, ranked_treatment[i], ranked_terms[i]
            )
            for place in range(n):
                turns[1, ranked[i, place]] += 1
        # after 1, 2, 4, 8 … blocks, for sorting is not to cost what it saves
        if last < customers and last & (last - 1) == 0:
            order_turns(turns)
