"""The loyalty index: how attached a customer is, from -1 to 1, and the step of the ladder that follows.

Touchpoint scores are no input: relation and touchpoint NPS are kept wholly apart (domain model,
section 6). What is missing drops out and the remaining weights renormalise.
"""

import math
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from nextbest.facts import Catalogue
from nextbest.kernels import kernel, lean_kernel
from nextbest.model import DAY_S, F64, I64
from nextbest.parameters import STAGE_PARAMETERS, StageParameter, default_stage_parameters
from nextbest.standard_facts import CONTRACT_STATES

__all__ = [
    "COMPONENTS",
    "LADDER",
    "LOWEST_LEVEL",
    "LOYALTY_FACTS",
    "STAGE_PARAMETERS",
    "Component",
    "IndexBreakdown",
    "LoyaltyInput",
    "Standing",
    "default_stage_parameters",
    "fact_at",
    "frequency_bound",
    "index_breakdown",
    "level_counts",
    "level_of",
    "loyalty_columns",
    "loyalty_index",
    "read_standing",
]

YEAR_DAYS = 365.25
"""Tenure is counted in Julian years."""
_IN_FORCE = float(CONTRACT_STATES.index("in_force"))
_CANCELLED = float(CONTRACT_STATES.index("cancelled"))

LADDER = (
    "terrorist",
    "win_back",
    "activation",
    "new_or_existing",
    "development",
    "keep",
    "ambassador",
    "evangelist",
)
"""Names of the ladder's levels -3 … +4."""
LOWEST_LEVEL = -3


class LoyaltyInput(IntEnum):
    """Facts that index and stage read; place of each one's column in the kernels' `columns`."""

    NPS_RELATION = 0
    NPS_RELATION_AT = 1
    SATISFACTION = 2
    SHARE_OF_WALLET = 3
    POSITIVE_MENTIONS = 4
    NEGATIVE_MENTIONS = 5
    COMPLAINT_SEVERITY = 6
    COMPLAINT_AT = 7
    JOINED = 8
    FIRST_PURCHASE = 9
    LAST_PURCHASE = 10
    CONTRACT_STATE = 11
    REPEAT_PURCHASES = 12
    OBSERVED_WEEKS = 13
    DISCOUNT_SHARE = 14
    HELD_STAGE = 15
    STAGE_SINCE = 16
    UP_QUALIFIED_SINCE = 17


LOYALTY_FACTS = tuple(fact.name.lower() for fact in LoyaltyInput)
"""Standard facts in the order of `LoyaltyInput`."""


class Component(IntEnum):
    """Parts of the index; columns of its contributions."""

    RELATION = 0
    SATISFACTION = 1
    WALLET = 2
    ADVOCACY = 3
    ALIVE = 4
    TENURE = 5
    COMPLAINT = 6


COMPONENTS = tuple(component.name.lower() for component in Component)
"""Names of the parts of the index, in column order."""
_PARTS = len(COMPONENTS)


class Standing(NamedTuple):
    """What is known of one customer's relation at one moment; NaN = missing, truth is 1 or 0."""

    nps: float
    """Relation NPS, 0 to 10."""
    nps_age_days: float
    satisfaction: float
    """0 to 100."""
    wallet: float
    """Share of wallet."""
    positive: float
    """Positive mentions."""
    negative: float
    purchases: float
    """x, repeat buying occasions; 0 when missing (domain model, section 1)."""
    frequency: float
    """x / T, repeat purchases a week."""
    discount_share: float
    contract: float
    """Code of `CONTRACT_STATES`."""
    severity: float
    """Of the complaint; 0 = there is none."""
    complaint_age_days: float
    complaint_open: float
    lock_in: float
    alive: float
    """P(alive)."""
    completeness: float
    """Share of required facts known."""
    tenure_days: float


class IndexBreakdown(NamedTuple):
    """The index of n customers and what made it."""

    loyalty_index: F64
    """(n,) NaN = too little is known."""
    weight: F64
    """(n,) sum of the decayed weights of the known components."""
    contributions: F64
    """(n, components) signed parts that add up to the index; NaN where component or index is missing."""


def loyalty_columns(catalogue: Catalogue) -> I64:
    """Column of each of `LOYALTY_FACTS` in the catalogue's rows, -1 where it has none."""
    return np.array([catalogue.column(name) for name in LOYALTY_FACTS], np.int64)


@lean_kernel
def fact_at(numbers: F64, customer: int, column: int) -> float:
    """One number of a row; column -1 is a fact that the catalogue lacks, so it is missing."""
    if column < 0:
        return math.nan
    return numbers[customer, column]


@lean_kernel
def age_days(at: float, now: float) -> float:
    """Days from `at` to `now`, 0 for what is yet to come, NaN for an unknown time."""
    if at > now:
        return 0.0
    return (now - at) / DAY_S


@lean_kernel
def clip_one(value: float) -> float:
    """The value, kept in [-1, 1]; NaN stays."""
    if value < -1.0:
        return -1.0
    if value > 1.0:
        return 1.0
    return value


@lean_kernel
def earlier(one: float, other: float) -> float:
    """The smaller of two times, or the known one."""
    if math.isnan(one) or other < one:
        return other
    return one


@lean_kernel
def repeat_purchases(numbers: F64, customer: int, columns: I64) -> float:
    """The count x of repeat buying occasions, 0 when missing as section 1 has it."""
    count = fact_at(numbers, customer, columns[LoyaltyInput.REPEAT_PURCHASES])
    return 0.0 if math.isnan(count) else count


@lean_kernel
def purchase_frequency(numbers: F64, customer: int, columns: I64) -> float:
    """Repeat purchases a week, NaN when the length of observation is missing or 0."""
    weeks = fact_at(numbers, customer, columns[LoyaltyInput.OBSERVED_WEEKS])
    if not weeks > 0.0:
        return math.nan
    return repeat_purchases(numbers, customer, columns) / weeks


@lean_kernel
def read_standing(
    numbers: F64,
    customer: int,
    columns: I64,
    complaint_open: float,
    lock_in: float,
    alive: float,
    completeness: float,
    now: float,
) -> Standing:
    """Collect one customer's relation from the row and from what was computed before.

    Tenure starts with joining or the first purchase, whichever came first.
    """
    start = earlier(
        fact_at(numbers, customer, columns[LoyaltyInput.JOINED]),
        fact_at(numbers, customer, columns[LoyaltyInput.FIRST_PURCHASE]),
    )
    return Standing(
        fact_at(numbers, customer, columns[LoyaltyInput.NPS_RELATION]),
        age_days(fact_at(numbers, customer, columns[LoyaltyInput.NPS_RELATION_AT]), now),
        fact_at(numbers, customer, columns[LoyaltyInput.SATISFACTION]),
        fact_at(numbers, customer, columns[LoyaltyInput.SHARE_OF_WALLET]),
        fact_at(numbers, customer, columns[LoyaltyInput.POSITIVE_MENTIONS]),
        fact_at(numbers, customer, columns[LoyaltyInput.NEGATIVE_MENTIONS]),
        repeat_purchases(numbers, customer, columns),
        purchase_frequency(numbers, customer, columns),
        fact_at(numbers, customer, columns[LoyaltyInput.DISCOUNT_SHARE]),
        fact_at(numbers, customer, columns[LoyaltyInput.CONTRACT_STATE]),
        fact_at(numbers, customer, columns[LoyaltyInput.COMPLAINT_SEVERITY]),
        age_days(fact_at(numbers, customer, columns[LoyaltyInput.COMPLAINT_AT]), now),
        complaint_open,
        lock_in,
        alive,
        completeness,
        age_days(start, now),
    )


@lean_kernel
def contract_in_force(standing: Standing) -> bool:
    """Whether a contract is known to run."""
    return standing.contract == _IN_FORCE


@lean_kernel
def contract_cancelled(standing: Standing) -> bool:
    """Whether a contract is known to be cancelled."""
    return standing.contract == _CANCELLED


@lean_kernel
def buys_or_has_contract(standing: Standing) -> bool:
    """Whether P(alive) says something: with repeat purchases, or a contract that runs or once ran.

    BG/NBD gives P(alive) = 1 to everyone without a repeat purchase.
    """
    return standing.purchases > 0.0 or standing.contract >= _IN_FORCE


@lean_kernel
def advocacy_score(standing: Standing, parameters: F64) -> float:
    """What the customer says to others, NaN without any mention."""
    if not standing.positive + standing.negative > 0.0:
        return math.nan
    balance = standing.positive - parameters[StageParameter.NEGATIVE_MENTION_FACTOR] * standing.negative
    return math.tanh(balance / parameters[StageParameter.ADVOCACY_SPAN])


@lean_kernel
def complaint_score(standing: Standing, parameters: F64) -> float:
    """How much a complaint still weighs on the relation, -1 to 0; NaN without a complaint."""
    if not standing.severity > 0.0:
        return math.nan
    share = 1.0 if standing.complaint_open == 1.0 else parameters[StageParameter.COMPLAINT_CLOSED_FACTOR]
    faded = 2.0 ** (-standing.complaint_age_days / parameters[StageParameter.COMPLAINT_HALF_LIFE_DAYS])
    return -standing.severity / parameters[StageParameter.COMPLAINT_WORST_SEVERITY] * share * faded


@lean_kernel
def fill_scores(standing: Standing, parameters: F64, scores: F64) -> None:
    """Write each component's score, -1 to 1, NaN = missing, into `scores` (components,)."""
    p = parameters
    scores[Component.RELATION] = clip_one(
        (standing.nps - p[StageParameter.RELATION_NEUTRAL]) / p[StageParameter.RELATION_SPAN]
    )
    scores[Component.SATISFACTION] = clip_one(
        (standing.satisfaction - p[StageParameter.SATISFACTION_NEUTRAL]) / p[StageParameter.SATISFACTION_SPAN]
    )
    scores[Component.WALLET] = clip_one(2.0 * standing.wallet - 1.0)
    scores[Component.ADVOCACY] = advocacy_score(standing, p)
    scores[Component.ALIVE] = math.nan
    if buys_or_has_contract(standing):
        scores[Component.ALIVE] = clip_one(2.0 * standing.alive - 1.0)
    years = standing.tenure_days / YEAR_DAYS
    scores[Component.TENURE] = 1.0 - math.exp(-years / p[StageParameter.TENURE_SPAN_YEARS])
    scores[Component.COMPLAINT] = clip_one(complaint_score(standing, p))


@lean_kernel
def fill_weights(standing: Standing, parameters: F64, scores: F64, weights: F64) -> None:
    """Write each component's decayed weight into `weights` (components,), 0 where it is missing."""
    p = parameters
    faded = 2.0 ** (-standing.nps_age_days / p[StageParameter.RELATION_HALF_LIFE_DAYS])
    weights[Component.RELATION] = p[StageParameter.RELATION_WEIGHT] * faded
    weights[Component.SATISFACTION] = p[StageParameter.SATISFACTION_WEIGHT]
    weights[Component.WALLET] = p[StageParameter.WALLET_WEIGHT]
    weights[Component.ADVOCACY] = p[StageParameter.ADVOCACY_WEIGHT]
    weights[Component.ALIVE] = p[StageParameter.ALIVE_WEIGHT]
    weights[Component.TENURE] = p[StageParameter.TENURE_WEIGHT]
    weights[Component.COMPLAINT] = p[StageParameter.COMPLAINT_WEIGHT]
    for component in range(_PARTS):
        if math.isnan(scores[component]) or math.isnan(weights[component]):
            scores[component] = math.nan
            weights[component] = 0.0


@lean_kernel
def loyalty_index(standing: Standing, parameters: F64, scores: F64, weights: F64) -> tuple[float, float]:
    """The index and the sum of weights it rests on.

    Args:
        standing: one customer's relation.
        parameters: (stage parameters,) in the order of `STAGE_PARAMETERS`.
        scores: (components,) scratch; holds the components' scores afterwards, NaN = missing.
        weights: (components,) scratch; holds their decayed weights, 0 = missing.

    Returns:
        Index in [-1, 1], NaN when too little is known, and the sum of weights.

    Source: domain model, section 6. Oracle: `tests.naive.index.loyalty_index`.
    """
    fill_scores(standing, parameters, scores)
    fill_weights(standing, parameters, scores, weights)
    total = 0.0
    weight = 0.0
    for component in range(_PARTS):
        if weights[component] > 0.0:
            total += weights[component] * scores[component]
            weight += weights[component]
    if weight < parameters[StageParameter.LEAST_WEIGHT]:
        return math.nan, weight
    return total / max(weight, parameters[StageParameter.LEAST_DIVISOR]), weight


@lean_kernel
def level_of(index: float, parameters: F64) -> int:
    """Step of the ladder, -3 terrorist to +4 evangelist; 0 when the index is missing.

    Oracle: `tests.naive.index.level`.
    """
    if math.isnan(index):
        return 0
    level = LOWEST_LEVEL
    for bound in range(StageParameter.WIN_BACK_FROM, StageParameter.EVANGELIST_FROM + 1):
        if index >= parameters[bound]:
            level += 1
    return level


@kernel
def index_breakdown(
    numbers: F64, columns: I64, complaint_open: F64, alive: F64, now: F64, parameters: F64
) -> IndexBreakdown:
    """Index of n customers with each component's signed contribution, for explanations.

    Args:
        numbers: (n, facts) row matrix, NaN = missing.
        columns: (inputs,) column of each of `LOYALTY_FACTS`, -1 = not in the catalogue.
        complaint_open: (n,) 1, 0 or NaN.
        alive: (n,) P(alive), NaN = missing.
        now: (n,) epoch seconds.
        parameters: (stage parameters,).

    Oracle: `tests.naive.index.loyalty_index`.
    """
    n = len(now)
    index, weight = np.empty(n), np.empty(n)
    contributions = np.empty((n, _PARTS))
    weights = np.empty(_PARTS)
    for i in range(n):
        standing = read_standing(numbers, i, columns, complaint_open[i], math.nan, alive[i], math.nan, now[i])
        index[i], weight[i] = loyalty_index(standing, parameters, contributions[i], weights)
        divisor = max(weight[i], parameters[StageParameter.LEAST_DIVISOR])
        for component in range(_PARTS):
            contributions[i, component] *= weights[component] / divisor
            if math.isnan(index[i]):
                contributions[i, component] = math.nan
    return IndexBreakdown(index, weight, contributions)


@kernel
def purchase_frequencies(numbers: F64, columns: I64) -> F64:
    """(n,) repeat purchases a week, NaN = missing."""
    n = len(numbers)
    frequency = np.empty(n)
    for i in range(n):
        frequency[i] = purchase_frequency(numbers, i, columns)
    return frequency


def frequency_bound(numbers: F64, columns: I64, parameters: F64) -> float:
    """Where the population's top quartile of purchase frequency starts; NaN when nobody's is known.

    Args:
        numbers: (n, facts) rows of the population, NaN = missing.
        columns: (inputs,) as `loyalty_columns` gives them.
        parameters: (stage parameters,).
    """
    frequency = purchase_frequencies(numbers, columns)
    known = frequency[np.isfinite(frequency)]
    if not len(known):
        return math.nan
    quantile = float(parameters[StageParameter.FALSE_FREQUENCY_QUANTILE])
    return float(np.quantile(known, quantile))


def level_counts(level: I64) -> dict[str, int]:
    """How many customers stand on each step of the ladder, lowest first."""
    counts = np.bincount(level - LOWEST_LEVEL, minlength=len(LADDER))
    return {name: int(count) for name, count in zip(LADDER, counts, strict=True)}
