"""Expected mutual value: the score of the domain model's section 9, term by term."""

import numpy as np

from nextbest.action.exploration import explored
from nextbest.action.relevance import holds
from nextbest.action.tables import Batch, ChannelNumber, Code, Number, Setting, Tables
from nextbest.action.terms import Terms
from nextbest.facts import Figure
from nextbest.kernels import lean_kernel
from nextbest.model import F64, Direction, Stage, Term
from nextbest.rulebook.actions import PropensityKind

_KIND, _INDEX = int(Code.PROPENSITY_KIND), int(Code.PROPENSITY_INDEX)
_POSTERIOR, _EXPRESSION = int(PropensityKind.POSTERIOR), int(PropensityKind.EXPRESSION)
_SHORT, _UPLIFT = int(Code.SHORT_HORIZON), int(Code.USES_UPLIFT)
_FIRST_CONTEXT, _LAST_CONTEXT = int(Code.FIRST_CONTEXT), int(Code.LAST_CONTEXT)
_F_C, _F_P, _PSI = int(Number.CUSTOMER_GAP_SHARE), int(Number.PROFIT_GAP_SHARE), int(Number.RECURRING)
_YEARLY, _ONCE, _LTV_GAIN = int(Number.YEARLY_GAIN), int(Number.ONCE_GAIN), int(Number.LTV_GAIN)
_CONTACT_COST, _ACCEPTED_COST = int(Number.CONTACT_COST), int(Number.ACCEPTED_COST)
_BASE, _LEVER, _CLASSIC_VALUE = int(Number.BASE_PROPENSITY), int(Number.LEVER), int(Number.CLASSIC_VALUE)
_CLASSIC = int(Setting.CLASSIC)
_WEIGHT, _OUTBOUND = int(ChannelNumber.OUTBOUND_WEIGHT), int(Direction.OUTBOUND)
_STAGE, _MULTIPLIER = int(Figure.STAGE), int(Figure.MULTIPLIER)
_VALUE_GAP, _PROFIT_GAP = int(Figure.VALUE_GAP), int(Figure.PROFIT_GAP)
_PROFIT_REACHED = int(Figure.PROFIT_REACHED)
_FORGIVE, _REACHED = int(Stage.FORGIVE_ME), len(Stage)
_P, _P0, _GAIN_C, _GAIN_P, _LAMBDA, _M = (
    int(Term.PROPENSITY),
    int(Term.BASE_PROPENSITY),
    int(Term.CUSTOMER_GAIN),
    int(Term.PROFIT_GAIN),
    int(Term.CUSTOMER_WEIGHT),
    int(Term.MULTIPLIER),
)
_RHO, _W, _L, _Q, _B = (
    int(Term.RELEVANCE),
    int(Term.CONTEXT_WEIGHT),
    int(Term.LEVER),
    int(Term.PRESSURE_FACTOR),
    int(Term.BENEFIT),
)
_COST_C, _COST_A, _PI, _MU, _SCORE, _MEAN = (
    int(Term.CONTACT_COST),
    int(Term.ACCEPTED_COST),
    int(Term.SHADOW_PRICE),
    int(Term.CONTACT_PRICE),
    int(Term.SCORE),
    int(Term.MEAN_PROPENSITY),
)


@lean_kernel
def known(value: float) -> float:
    """A missing figure counts 0 in scores (section 3)."""
    return 0.0 if np.isnan(value) else value


@lean_kernel
def propensity(tables: Tables, batch: Batch, terms: Terms, customer: int, action: int) -> float:
    """Probability in [0, 1] that the customer accepts; NaN = unknown."""
    kind, index = tables.codes[action, _KIND], tables.codes[action, _INDEX]
    if kind == _POSTERIOR:
        place = batch.places[customer]
        row = place if place >= 0 else -1 - place
        return terms.propensity[row, np.int64(batch.figures[customer, _STAGE]), action]
    p = batch.values[customer, index] if kind == _EXPRESSION else batch.models[customer, index]
    return np.nan if np.isnan(p) else min(max(p, 0.0), 1.0)


@lean_kernel
def customer_weight(tables: Tables, batch: Batch, customer: int) -> float:
    """λ: the stage's, or where the profit potential is reached that of keeping; repair comes before both.

    Source: domain model, sections 3 and 9. Oracle: tests/naive/score.py `customer_weight`.
    """
    figures = batch.figures
    stage = np.int64(figures[customer, _STAGE])
    if figures[customer, _PROFIT_REACHED] == 1.0 and stage != _FORGIVE:
        return float(tables.stages[_REACHED, 0])
    return float(tables.stages[stage, 0])


@lean_kernel
def customer_gain_once(tables: Tables, batch: Batch, customer: int, action: int) -> float:
    """f_C·G^C + g_year + g_once: what accepting is worth to the customer in the first year."""
    numbers = tables.numbers
    gap = known(batch.figures[customer, _VALUE_GAP])
    return numbers[action, _F_C] * gap + numbers[action, _YEARLY] + numbers[action, _ONCE]


@lean_kernel
def contact_price(tables: Tables, batch: Batch, terms: Terms, customer: int) -> float:
    """Price of a contact in the request's channel, μ_w·w_ch: nothing when the customer starts it."""
    if batch.requests[customer, 1] != _OUTBOUND:
        return 0.0
    weight = tables.channels[batch.requests[customer, 0], _WEIGHT]
    return float(terms.prices[len(terms.prices) - 1] * weight)


@lean_kernel
def context_weight(tables: Tables, batch: Batch, customer: int, action: int) -> float:
    """W = 1 + Σ matching context weights/100, never negative."""
    weight = 1.0
    for k in range(tables.codes[action, _FIRST_CONTEXT], tables.codes[action, _LAST_CONTEXT]):
        more = tables.context_weights[k] / 100.0
        weight = weight + more if holds(batch.true, customer, tables.contexts[k]) else weight
    return max(weight, 0.0)


@lean_kernel
def mutual_score(out: F64) -> float:
    """Combine the terms in `out` (Term,) into benefit and score, and store both.

    B = (p − p₀)(λ·ΔC + (1−λ)·ΔP), multiplied by ρ·W·L·q only when positive, because irrelevance must
    not improve a bad action; score = B − (1+π)·cost − price of the contact.
    """
    gain = out[_LAMBDA] * out[_GAIN_C] + (1.0 - out[_LAMBDA]) * out[_GAIN_P]
    benefit = (out[_P] - out[_P0]) * gain
    if benefit > 0.0:
        benefit *= out[_RHO] * out[_W] * out[_L] * out[_Q]
    out[_B] = benefit
    out[_SCORE] = benefit - (1.0 + out[_PI]) * (out[_COST_C] + out[_COST_A]) - out[_MU]
    return out[_SCORE]


@lean_kernel
def fill_terms(
    tables: Tables, batch: Batch, terms: Terms, customer: int, action: int, p: float, out: F64
) -> None:
    """Write every term but relevance, pressure factor and contact price into `out` (Term,).

    Costs and benefit are made with the propensity that exploration draws; `p` is the mean, which gates read.

    Source: domain model, section 9. Oracle: tests/naive/score.py.
    """
    numbers, figures = tables.numbers, batch.figures
    stage = np.int64(figures[customer, _STAGE])
    short = tables.codes[action, _SHORT] == 1
    multiplier = figures[customer, _MULTIPLIER]
    lifetime = 1.0 if short or np.isnan(multiplier) else multiplier
    m = 1.0 + numbers[action, _PSI] * (lifetime - 1.0)
    yearly = numbers[action, _F_C] * known(figures[customer, _VALUE_GAP]) + numbers[action, _YEARLY]
    out[_MEAN] = p
    p = out[_P] = explored(tables, batch, terms, customer, action, p)
    out[_P0] = numbers[action, _BASE] if tables.codes[action, _UPLIFT] == 1 else 0.0
    out[_GAIN_C] = yearly * m + numbers[action, _ONCE]
    out[_GAIN_P] = numbers[action, _F_P] * known(figures[customer, _PROFIT_GAP]) * m
    if not short:
        out[_GAIN_P] += numbers[action, _LTV_GAIN]
    out[_LAMBDA] = customer_weight(tables, batch, customer)
    out[_M] = m
    out[_W] = context_weight(tables, batch, customer, action)
    out[_L] = numbers[action, _LEVER]
    out[_COST_C] = numbers[action, _CONTACT_COST]
    out[_COST_A] = p * numbers[action, _ACCEPTED_COST]
    out[_PI] = terms.prices[stage]


@lean_kernel
def classic_priority(tables: Tables, action: int, out: F64) -> float:
    """P·C·V·L of classic arbitration, stored as benefit and score."""
    out[_B] = out[_P] * out[_W] * tables.numbers[action, _CLASSIC_VALUE] * out[_L]
    out[_SCORE] = out[_B]
    return out[_SCORE]


@lean_kernel
def is_classic(tables: Tables) -> bool:
    """Whether the rulebook ranks by the classic priority."""
    return tables.settings[_CLASSIC] == 1.0
