"""What a score reads of 64 customers side by side: a row of numbers for each thing, a lane for each customer.

Done for one customer after the other, a score of forty operations takes six hundred instructions, most of
them to fetch and to branch. Side by side the processor does eight customers at once without a branch.

INVARIANT: each operation is the one that `score` and `relevance` do for one customer, in the same order:
answers are ranked by these scores and explained by those.
"""

from enum import IntEnum

import numpy as np

from nextbest.action.admission import Word
from nextbest.action.contact import SEEN_OPTED_OUT, SEEN_REJECTED_LATELY
from nextbest.action.relevance import CREATED_NEED_FACTOR, REJECTED_FACTOR, STOCK_PUSH_CAP
from nextbest.action.score import contact_price, customer_weight, is_classic, known
from nextbest.action.tables import Batch, ChannelNumber, Code, Number, Tables
from nextbest.action.terms import Terms
from nextbest.facts import Figure
from nextbest.kernels import lean_kernel
from nextbest.model import F64, Stage
from nextbest.rulebook.rulebook import PropensityKind


class Lane(IntEnum):
    """Rows of `Batch.lanes`; behind them one row a value output and one a fitted model."""

    NOW = 0
    TRUNCATED = 1
    VALUE_GAP = 2
    """Missing gaps count 0, a missing multiplier 1."""
    PROFIT_GAP = 3
    LIFETIME = 4
    CUSTOMER_WEIGHT = 5
    SHADOW_PRICE = 6
    PRESSURE_FACTOR = 7
    CEILING = 8
    THRESHOLD = 9
    """Of relevance."""
    CONTACT_PRICE = 10
    FLOOR = 11
    """Score below which nothing enters the answers any more."""
    PROPENSITY = 12
    DRAWN = 13
    """The propensity to score with."""
    RELEVANCE = 14
    CONTEXT_WEIGHT = 15
    SCORE = 16
    VALUES = 17


_ONE, _ZERO = np.uint64(1), np.uint64(0)
_STAGE_WORDS, _N_STAGES = int(Word.STAGES), len(Stage)
_NOW, _TRUNCATED, _GAP_C, _GAP_P, _LIFETIME, _LAMBDA, _PRICE, _Q, _CEILING = (
    int(Lane.NOW),
    int(Lane.TRUNCATED),
    int(Lane.VALUE_GAP),
    int(Lane.PROFIT_GAP),
    int(Lane.LIFETIME),
    int(Lane.CUSTOMER_WEIGHT),
    int(Lane.SHADOW_PRICE),
    int(Lane.PRESSURE_FACTOR),
    int(Lane.CEILING),
)
_THRESHOLD, _MU, _FLOOR, _P, _DRAWN, _RHO, _W, _SCORE, _VALUES = (
    int(Lane.THRESHOLD),
    int(Lane.CONTACT_PRICE),
    int(Lane.FLOOR),
    int(Lane.PROPENSITY),
    int(Lane.DRAWN),
    int(Lane.RELEVANCE),
    int(Lane.CONTEXT_WEIGHT),
    int(Lane.SCORE),
    int(Lane.VALUES),
)
_STAGE, _MULTIPLIER, _INVESTMENT = (
    int(Figure.STAGE),
    int(Figure.MULTIPLIER),
    int(Figure.INVESTMENT_CEILING),
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


def n_rows(values: int, models: int) -> int:
    """Rows of `Batch.lanes`."""
    return len(Lane) + values + models


@lean_kernel
def fill_lane(tables: Tables, batch: Batch, terms: Terms, customer: int) -> None:
    """Write what is the same for every action into a customer's lane; `fill_situation` has been called."""
    lanes, lane, figures = batch.lanes, customer & 63, batch.figures
    stage, multiplier = np.int64(figures[customer, _STAGE]), figures[customer, _MULTIPLIER]
    lanes[_NOW, lane], lanes[_TRUNCATED, lane] = batch.now[customer], batch.truncated[customer]
    lanes[_GAP_C, lane] = known(figures[customer, _VALUE_GAP])
    lanes[_GAP_P, lane] = known(figures[customer, _PROFIT_GAP])
    lanes[_LIFETIME, lane] = 1.0 if np.isnan(multiplier) else multiplier
    lanes[_LAMBDA, lane], lanes[_PRICE, lane] = customer_weight(tables, batch, customer), terms.prices[stage]
    lanes[_Q, lane], lanes[_CEILING, lane] = batch.pressure[customer, 2], figures[customer, _INVESTMENT]
    lanes[_FLOOR, lane] = -np.inf
    channel, direction = batch.requests[customer, 0], batch.requests[customer, 1]
    lanes[_THRESHOLD, lane], lanes[_MU, lane] = np.inf, 0.0
    if 0 <= channel < len(tables.channels):
        lanes[_THRESHOLD, lane] = tables.channels[channel, _INBOUND_THRESHOLD + direction]
        lanes[_MU, lane] = contact_price(tables, batch, terms, customer)
    for k in range(batch.values.shape[1]):
        lanes[_VALUES + k, lane] = batch.values[customer, k]
    for k in range(batch.models.shape[1]):
        lanes[_VALUES + batch.values.shape[1] + k, lane] = batch.models[customer, k]


@lean_kernel
def fill_acceptance(tables: Tables, batch: Batch, terms: Terms, first: int, last: int, action: int) -> None:
    """Write the propensity of customers `first` to `last`, a block; as `arbitration.acceptance`."""
    kind, index, p = tables.codes[action, _KIND], tables.codes[action, _INDEX], batch.lanes[_P]
    if kind == _POSTERIOR and len(terms.propensity) == 1:
        for stage in range(_N_STAGES):
            word, mean = batch.words[_STAGE_WORDS + (1 << stage)], terms.propensity[0, stage, action]
            for i in range(last - first):
                p[i] = mean if (word >> np.uint64(i)) & _ONE != _ZERO else p[i]
    elif kind == _POSTERIOR:
        for i in range(last - first):
            place = batch.places[first + i]
            row = place if place >= 0 else -1 - place
            p[i] = terms.propensity[row, np.int64(batch.figures[first + i, _STAGE]), action]
    else:
        given = batch.lanes[_VALUES + index + (0 if kind == _EXPRESSION else batch.values.shape[1])]
        for i in range(last - first):
            value = given[i]
            p[i] = np.nan if np.isnan(value) else min(max(value, 0.0), 1.0)
    if is_classic(tables):
        for i in range(last - first):
            p[i] = 1.0 if np.isnan(p[i]) else p[i]


@lean_kernel
def _add_evidence(tables: Tables, batch: Batch, n: int, block: int, k: int) -> np.uint64:
    """Add evidence k to ρ; gives the customers for whom it is above 0."""
    condition, weight, rho = tables.evidence[k, 0], tables.evidence_weights[k], batch.lanes[_RHO]
    if condition >= 0:
        word = batch.true[block, condition]
        for i in range(n):
            strength = 1.0 if (word >> np.uint64(i)) & _ONE != _ZERO else 0.0
            rho[i] += weight * strength * (1.0 - rho[i])
        return word
    given, word = batch.lanes[_VALUES + tables.evidence[k, 1]], _ZERO
    for i in range(n):
        value = given[i]
        strength = 0.0 if np.isnan(value) else min(max(value, 0.0), 1.0)
        rho[i] += weight * strength * (1.0 - rho[i])
        word |= _ONE << np.uint64(i) if strength > 0.0 else _ZERO
    return word


@lean_kernel
def fill_asked(tables: Tables, batch: Batch, n: int, block: int, action: int) -> None:
    """Write the ask-likelihood ρ of a block's n customers; as `relevance.relevance`."""
    codes, rho, declared = tables.codes, batch.lanes[_RHO], _ZERO
    rho[:] = 0.0
    for k in range(codes[action, _FIRST_EVIDENCE], codes[action, _LAST_EVIDENCE]):
        word = _add_evidence(tables, batch, n, block, k)
        declared |= word if tables.evidence[k, 2] == 1 else _ZERO
    seen, marks = batch.seen[action], 0
    for i in range(n):
        marks |= seen[i]
    if marks & (SEEN_OPTED_OUT | SEEN_REJECTED_LATELY) != 0:
        for i in range(n):
            rho[i] = 0.0 if seen[i] & SEEN_OPTED_OUT != 0 else rho[i]
            rho[i] *= REJECTED_FACTOR if seen[i] & SEEN_REJECTED_LATELY != 0 else 1.0
    if codes[action, _CREATES_NEED] == 1:
        for i in range(n):
            rho[i] *= CREATED_NEED_FACTOR
    if codes[action, _INSIDE_OUT] == 1:
        for i in range(n):
            if (declared >> np.uint64(i)) & _ONE == _ZERO:
                rho[i] = min(rho[i], STOCK_PUSH_CAP)


@lean_kernel
def fill_context_weight(tables: Tables, batch: Batch, n: int, block: int, action: int) -> None:
    """Write W of a block's n customers; as `score.context_weight`."""
    weight = batch.lanes[_W]
    weight[:] = 1.0
    for k in range(tables.codes[action, _FIRST_CONTEXT], tables.codes[action, _LAST_CONTEXT]):
        word, more = batch.true[block, tables.contexts[k]], tables.context_weights[k] / 100.0
        for i in range(n):
            weight[i] = weight[i] + more if (word >> np.uint64(i)) & _ONE != _ZERO else weight[i]
    for i in range(n):
        weight[i] = max(weight[i], 0.0)


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
    p, rho, weight, score = lanes[_DRAWN], lanes[_RHO], lanes[_W], lanes[_SCORE]
    gap_c, gap_p, life = lanes[_GAP_C], lanes[_GAP_P], lanes[_LIFETIME]
    share, q, price, mu = lanes[_LAMBDA], lanes[_Q], lanes[_PRICE], lanes[_MU]
    for i in range(n):
        m = 1.0 + psi * ((1.0 if short else life[i]) - 1.0)
        gain_c = (f_c * gap_c[i] + yearly) * m + once
        gain_p = f_p * gap_p[i] * m + ltv
        benefit = (p[i] - base) * (share[i] * gain_c + (1.0 - share[i]) * gain_p)
        benefit *= rho[i] * weight[i] * lever * q[i] if benefit > 0.0 else 1.0
        score[i] = benefit - (1.0 + price[i]) * (contact + p[i] * accepted) - mu[i]
    if is_classic(tables):
        value = numbers[_CLASSIC_VALUE]
        for i in range(n):
            score[i] = p[i] * weight[i] * value * lever
    return _entering(score, lanes[_FLOOR], n)


@lean_kernel
def _entering(score: F64, floor: F64, n: int) -> np.uint64:
    word = _ZERO
    for i in range(n):
        score[i] = score[i] if np.isfinite(score[i]) else -np.inf
        enters = score[i] > 0.0 and score[i] >= floor[i]
        word |= _ONE << np.uint64(i) if enters else _ZERO
    return word
