"""What a score reads of 64 customers side by side: a row of numbers for each thing, a lane for each customer.

Done for one customer after the other, a score of forty operations takes six hundred instructions, most of
them to fetch and to branch. Side by side the processor does eight customers at once without a branch.

INVARIANT: each operation is the one that `score` and `relevance` do for one customer, in the same order:
answers are ranked by these scores and explained by those.
"""

import numpy as np

from nextbest.action.block import LANES, Lane, Word, holds_in, row_of
from nextbest.action.contact import SEEN_OPTED_OUT, SEEN_REJECTED_LATELY
from nextbest.action.relevance import CREATED_NEED_FACTOR, REJECTED_FACTOR, STOCK_PUSH_CAP
from nextbest.action.score import contact_price, customer_weight, is_classic, known
from nextbest.action.tables import Batch, ChannelNumber, Code, Number, Tables
from nextbest.action.terms import Terms
from nextbest.facts import Figure
from nextbest.kernels import lean_kernel
from nextbest.model import F64, Stage
from nextbest.rulebook.actions import PropensityKind

_ONE, _ZERO = np.uint64(1), np.uint64(0)
_HEAR_ME, _GROW_ME, _FORGIVE_ME = (
    int(Word.STAGES) + (1 << stage) for stage in (Stage.HEAR_ME, Stage.GROW_ME, Stage.FORGIVE_ME)
)
_ROW = np.uint64(LANES)
_NOW = row_of(Lane.NOW)
_TRUNCATED = row_of(Lane.TRUNCATED)
_GAP_C = row_of(Lane.VALUE_GAP)
_GAP_P = row_of(Lane.PROFIT_GAP)
_LIFETIME = row_of(Lane.LIFETIME)
_LAMBDA = row_of(Lane.CUSTOMER_WEIGHT)
_PRICE = row_of(Lane.SHADOW_PRICE)
_Q = row_of(Lane.PRESSURE_FACTOR)
_CEILING = row_of(Lane.CEILING)
_THRESHOLD = row_of(Lane.THRESHOLD)
_MU = row_of(Lane.CONTACT_PRICE)
_FLOOR = row_of(Lane.FLOOR)
_P = row_of(Lane.PROPENSITY)
_RHO = row_of(Lane.RELEVANCE)
_W = row_of(Lane.CONTEXT_WEIGHT)
_SCORE = row_of(Lane.SCORE)
_AGE_ROW = row_of(Lane.AGE)
_AUTHORITY_ROW = row_of(Lane.AUTHORITY)
_VALUES = row_of(Lane.VALUES)
_STAGE, _MULTIPLIER, _INVESTMENT, _AGE = (
    int(Figure.STAGE),
    int(Figure.MULTIPLIER),
    int(Figure.INVESTMENT_CEILING),
    int(Figure.SNAPSHOT_AGE_DAYS),
)
_VALUE_GAP, _PROFIT_GAP = int(Figure.VALUE_GAP), int(Figure.PROFIT_GAP)
_INBOUND_THRESHOLD = int(ChannelNumber.INBOUND_THRESHOLD)
_KIND, _INDEX = int(Code.PROPENSITY_KIND), int(Code.PROPENSITY_INDEX)
_POSTERIOR, _EXPRESSION = int(PropensityKind.POSTERIOR), int(PropensityKind.EXPRESSION)
_FIRST_EVIDENCE, _LAST_EVIDENCE = int(Code.FIRST_EVIDENCE), int(Code.LAST_EVIDENCE)
_FIRST_CONTEXT, _LAST_CONTEXT = int(Code.FIRST_CONTEXT), int(Code.LAST_CONTEXT)
_CREATES_NEED, _INSIDE_OUT = int(Code.CREATES_NEED), int(Code.INSIDE_OUT)
_SHORT, _UPLIFT = int(Code.SHORT_HORIZON), int(Code.USES_UPLIFT)
_F_C, _F_P, _PSI = int(Number.CUSTOMER_GAP_SHARE), int(Number.PROFIT_GAP_SHARE), int(Number.RECURRING)
_YEARLY, _ONCE, _LTV_GAIN = int(Number.YEARLY_GAIN), int(Number.ONCE_GAIN), int(Number.LTV_GAIN)
_CONTACT_COST, _ACCEPTED_COST = int(Number.CONTACT_COST), int(Number.ACCEPTED_COST)
_BASE, _LEVER, _CLASSIC_VALUE = int(Number.BASE_PROPENSITY), int(Number.LEVER), int(Number.CLASSIC_VALUE)


@lean_kernel
def fill_lane(tables: Tables, batch: Batch, terms: Terms, customer: int) -> None:
    """Write what is the same for every action into a customer's lane; `fill_situation` has been called."""
    lanes, lane, figures = batch.lanes, np.uint64(customer & 63), batch.figures
    stage, multiplier = np.int64(figures[customer, _STAGE]), figures[customer, _MULTIPLIER]
    lanes[_NOW + lane], lanes[_TRUNCATED + lane] = batch.now[customer], batch.truncated[customer]
    lanes[_GAP_C + lane] = known(figures[customer, _VALUE_GAP])
    lanes[_GAP_P + lane] = known(figures[customer, _PROFIT_GAP])
    lanes[_LIFETIME + lane] = 1.0 if np.isnan(multiplier) else multiplier
    lanes[_LAMBDA + lane] = customer_weight(tables, batch, customer)
    lanes[_PRICE + lane] = terms.prices[stage]
    lanes[_Q + lane], lanes[_CEILING + lane] = batch.pressure[customer, 2], figures[customer, _INVESTMENT]
    lanes[_FLOOR + lane] = -np.inf
    lanes[_AGE_ROW + lane] = figures[customer, _AGE]
    lanes[_AUTHORITY_ROW + lane] = batch.requests[customer, 3]
    channel, direction = batch.requests[customer, 0], batch.requests[customer, 1]
    lanes[_THRESHOLD + lane], lanes[_MU + lane] = np.inf, 0.0
    if 0 <= channel < len(tables.channels):
        lanes[_THRESHOLD + lane] = tables.channels[channel, _INBOUND_THRESHOLD + direction]
        lanes[_MU + lane] = contact_price(tables, batch, terms, customer)
    given = _VALUES + lane
    for k in range(batch.values.shape[1]):
        lanes[given] = batch.values[customer, k]
        given += _ROW
    for k in range(batch.models.shape[1]):
        lanes[given] = batch.models[customer, k]
        given += _ROW


@lean_kernel
def _row_of_value(place: int) -> np.uint64:
    """Where the row of a value output or, behind them, a fitted model begins."""
    return _VALUES + _ROW * np.uint64(place)


@lean_kernel
def fill_acceptance(tables: Tables, batch: Batch, terms: Terms, first: int, n: int, action: int) -> None:
    """Write the propensity of a block's n customers, from `first`; as `arbitration.acceptance`."""
    kind, index, lanes = tables.codes[action, _KIND], tables.codes[action, _INDEX], batch.lanes
    if kind == _POSTERIOR and len(terms.propensity) == 1:
        _spread_means(batch, terms, n, action)
    elif kind == _POSTERIOR:
        for i in range(np.uint64(n)):
            place = batch.places[first + np.int64(i)]
            row = place if place >= 0 else -1 - place
            stage = np.int64(batch.figures[first + np.int64(i), _STAGE])
            lanes[_P + i] = terms.propensity[row, stage, action]
    else:
        given = _row_of_value(index + (0 if kind == _EXPRESSION else batch.values.shape[1]))
        for i in range(np.uint64(n)):
            value = lanes[given + i]
            lanes[_P + i] = np.nan if np.isnan(value) else min(max(value, 0.0), 1.0)
    if is_classic(tables):
        for i in range(np.uint64(n)):
            lanes[_P + i] = 1.0 if np.isnan(lanes[_P + i]) else lanes[_P + i]


@lean_kernel
def _spread_means(batch: Batch, terms: Terms, n: int, action: int) -> None:
    """Write the posterior mean of each customer's stage, where all cells share them."""
    words, means, lanes = batch.words, terms.propensity[0], batch.lanes
    hear_me, grow_me, forgive_me = words[_HEAR_ME], words[_GROW_ME], words[_FORGIVE_ME]
    know, hear, grow, forgive = means[0, action], means[1, action], means[2, action], means[3, action]
    for i in range(np.uint64(n)):
        mean = hear if holds_in(hear_me, i) else know
        mean = grow if holds_in(grow_me, i) else mean
        lanes[_P + i] = forgive if holds_in(forgive_me, i) else mean


@lean_kernel
def _add_evidence(tables: Tables, batch: Batch, n: int, block: int, k: int) -> np.uint64:
    """Add evidence k to ρ; gives the customers for whom it is above 0."""
    condition, weight, lanes = tables.evidence[k, 0], tables.evidence_weights[k], batch.lanes
    if condition >= 0:
        word = batch.true[block, condition]
        for i in range(np.uint64(n)):
            rho, strength = lanes[_RHO + i], 1.0 if holds_in(word, i) else 0.0
            lanes[_RHO + i] = rho + weight * strength * (1.0 - rho)
        return word
    given, word = _row_of_value(tables.evidence[k, 1]), _ZERO
    for i in range(np.uint64(n)):
        rho, value = lanes[_RHO + i], lanes[given + i]
        strength = 0.0 if np.isnan(value) else min(max(value, 0.0), 1.0)
        lanes[_RHO + i] = rho + weight * strength * (1.0 - rho)
        word |= _ONE << i if strength > 0.0 else _ZERO
    return word


@lean_kernel
def _dampen(batch: Batch, n: int, action: int) -> None:
    """Multiply ρ by what the history of the action says: an opt-out, a recent rejection."""
    seen, lanes, marks = batch.seen[action], batch.lanes, 0
    for i in range(np.uint64(n)):
        marks |= seen[i]
    if marks & (SEEN_OPTED_OUT | SEEN_REJECTED_LATELY) == 0:
        return
    for i in range(np.uint64(n)):
        rho = 0.0 if seen[i] & SEEN_OPTED_OUT != 0 else lanes[_RHO + i]
        lanes[_RHO + i] = rho * (REJECTED_FACTOR if seen[i] & SEEN_REJECTED_LATELY != 0 else 1.0)


@lean_kernel
def fill_asked(tables: Tables, batch: Batch, n: int, block: int, action: int) -> None:
    """Write the ask-likelihood ρ of a block's n customers; as `relevance.relevance`."""
    codes, lanes, declared = tables.codes, batch.lanes, _ZERO
    for i in range(np.uint64(n)):
        lanes[_RHO + i] = 0.0
    for k in range(codes[action, _FIRST_EVIDENCE], codes[action, _LAST_EVIDENCE]):
        word = _add_evidence(tables, batch, n, block, k)
        declared |= word if tables.evidence[k, 2] == 1 else _ZERO
    _dampen(batch, n, action)
    if codes[action, _CREATES_NEED] == 1:
        for i in range(np.uint64(n)):
            lanes[_RHO + i] *= CREATED_NEED_FACTOR
    if codes[action, _INSIDE_OUT] == 1:
        for i in range(np.uint64(n)):
            rho = lanes[_RHO + i]
            lanes[_RHO + i] = rho if holds_in(declared, i) else min(rho, STOCK_PUSH_CAP)


@lean_kernel
def fill_context_weight(tables: Tables, batch: Batch, n: int, block: int, action: int) -> None:
    """Write W of a block's n customers; as `score.context_weight`."""
    lanes = batch.lanes
    for i in range(np.uint64(n)):
        lanes[_W + i] = 1.0
    for k in range(tables.codes[action, _FIRST_CONTEXT], tables.codes[action, _LAST_CONTEXT]):
        word, more = batch.true[block, tables.contexts[k]], tables.context_weights[k] / 100.0
        for i in range(np.uint64(n)):
            lanes[_W + i] = lanes[_W + i] + more if holds_in(word, i) else lanes[_W + i]
    for i in range(np.uint64(n)):
        lanes[_W + i] = max(lanes[_W + i], 0.0)


@lean_kernel
def fill_scores(tables: Tables, batch: Batch, n: int, action: int) -> np.uint64:
    """Write the scores of a block's n customers; as `score.fill_terms` and `score.mutual_score`.

    Returns:
        The customers for whom the score is above 0 and not below what enters the answers.
    """
    numbers, lanes = tables.numbers[action], batch.lanes
    short = tables.codes[action, _SHORT] == 1
    base = numbers[_BASE] if tables.codes[action, _UPLIFT] == 1 else 0.0
    f_c, f_p, psi, yearly, once = (
        numbers[_F_C],
        numbers[_F_P],
        numbers[_PSI],
        numbers[_YEARLY],
        numbers[_ONCE],
    )
    ltv, lever = 0.0 if short else numbers[_LTV_GAIN], numbers[_LEVER]
    contact, accepted = numbers[_CONTACT_COST], numbers[_ACCEPTED_COST]
    for i in range(np.uint64(n)):
        p, share = lanes[_P + i], lanes[_LAMBDA + i]
        m = 1.0 + psi * ((1.0 if short else lanes[_LIFETIME + i]) - 1.0)
        gain_c = (f_c * lanes[_GAP_C + i] + yearly) * m + once
        gain_p = f_p * lanes[_GAP_P + i] * m + ltv
        benefit = (p - base) * (share * gain_c + (1.0 - share) * gain_p)
        factors = lanes[_RHO + i] * lanes[_W + i] * lever * lanes[_Q + i]
        benefit *= factors if benefit > 0.0 else 1.0
        cost = (1.0 + lanes[_PRICE + i]) * (contact + p * accepted)
        lanes[_SCORE + i] = benefit - cost - lanes[_MU + i]
    if is_classic(tables):
        value = numbers[_CLASSIC_VALUE]
        for i in range(np.uint64(n)):
            lanes[_SCORE + i] = lanes[_P + i] * lanes[_W + i] * value * lever
    return _entering(lanes, n)


@lean_kernel
def _entering(lanes: F64, n: int) -> np.uint64:
    word = _ZERO
    for i in range(np.uint64(n)):
        score = lanes[_SCORE + i] if np.isfinite(lanes[_SCORE + i]) else -np.inf
        lanes[_SCORE + i] = score
        enters = score > 0.0 and score >= lanes[_FLOOR + i]
        word |= _ONE << i if enters else _ZERO
    return word
