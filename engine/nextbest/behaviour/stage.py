"""Loyalty stages: where a customer's figures point, and the stage that is held over time.

Source: domain model, section 6. A stage is the first whose condition is TRUE; a comparison with a
missing fact is UNKNOWN and so matches nothing. "Not X" means that X is not TRUE.
"""

import math
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from nextbest.behaviour.index import (
    COMPONENTS,
    LoyaltyInput,
    Standing,
    contract_cancelled,
    contract_in_force,
    fact_at,
    level_of,
    loyalty_index,
    read_standing,
)
from nextbest.kernels import kernel, lean_kernel
from nextbest.model import DAY_S, F64, I64, Stage
from nextbest.parameters import StageParameter

_PARTS = len(COMPONENTS)
STAGE_STATE_FACTS = ("held_stage", "stage_since", "up_qualified_since")
"""Facts that `advance_stages` computes, in the order of its columns."""


class StageCause(IntEnum):
    """The condition that decided the raw stage, in the order they are tried.

    Those up to LADDER_BOTTOM lead to Forgive me and serve as default reason code of its cases,
    those up to LITTLE_KNOWN to Know me.
    """

    OPEN_COMPLAINT = 1
    DETRACTOR = 2
    CONTRACT_CANCELLED = 3
    LAPSED = 4
    LADDER_BOTTOM = 5
    NO_REPEAT_PURCHASE = 6
    NEW_RELATION = 7
    LITTLE_KNOWN = 8
    LOYAL = 9
    ESTABLISHED = 10


class LoyaltyFigures(NamedTuple):
    """What loyalty and stage come to for n customers."""

    loyalty_index: F64
    """(n,) loyalty index, NaN = missing."""
    level: I64
    """(n,) ladder level -3 … +4."""
    raw_stage: I64
    """(n,) of `model.Stage`: the stage without its history."""
    false_loyalty: F64
    """(n,) 1, 0 or NaN = unknown."""
    action_loyal: F64
    """(n,) 1, 0 or NaN = unknown."""
    tenure_days: F64
    """(n,) NaN = missing."""
    cause: I64
    """(n,) of `StageCause`."""
    weight: F64
    """(n,) sum of weights behind the index."""


class LoyaltyFigure(NamedTuple):
    """What loyalty and stage come to for one customer; fields as in `LoyaltyFigures`."""

    loyalty_index: float
    level: int
    raw_stage: int
    false_loyalty: float
    action_loyal: float
    tenure_days: float
    cause: int
    weight: float


class StageState(NamedTuple):
    """The stage held over time, as a snapshot stores it."""

    held: float
    """Code of `model.Stage`, NaN = none yet."""
    since: float
    """Epoch seconds, NaN = unknown."""
    up_since: float
    """Epoch seconds of the first qualifying evaluation for the next stage, NaN = none."""


class Evaluation(NamedTuple):
    """What one evaluation of a customer says about the stage; truth is 1 or 0, NaN = unknown."""

    raw_stage: float
    loyalty_index: float
    false_loyalty: float
    nps: float
    nps_at: float
    """Epoch seconds."""
    complaint_open: float
    last_purchase: float
    """Epoch seconds."""
    tenure_days: float


@lean_kernel
def at_least(value: float, bound: float) -> float:
    """Whether value ≥ bound: 1, 0, or NaN where either is missing."""
    if math.isnan(value) or math.isnan(bound):
        return math.nan
    return 1.0 if value >= bound else 0.0


@lean_kernel
def below(value: float, bound: float) -> float:
    """Whether value < bound: 1, 0, or NaN where either is missing."""
    return 1.0 - at_least(value, bound)


@lean_kernel
def either(one: float, other: float) -> float:
    """Three-valued or: a truth decides, an unknown without one stays unknown."""
    if one == 1.0 or other == 1.0:
        return 1.0
    return one + other


@lean_kernel
def both(one: float, other: float) -> float:
    """Three-valued and: a falsehood decides, an unknown without one stays unknown."""
    if one == 0.0 or other == 0.0:
        return 0.0
    return one * other


@lean_kernel
def is_false_loyalty(standing: Standing, frequency_bound: float, parameters: F64) -> float:
    """Whether the customer stays for lack of alternatives or for discounts: 1, 0 or NaN.

    Someone without repeat purchases is not frequent, even where the top quartile starts at 0.

    Oracle: `tests.naive.stage.false_loyalty`.
    """
    p = parameters
    frequent = at_least(standing.frequency, frequency_bound)
    if standing.frequency <= 0.0:
        frequent = 0.0
    attached = either(at_least(standing.wallet, p[StageParameter.FALSE_WALLET]), frequent)
    discontent = below(standing.satisfaction, p[StageParameter.FALSE_SATISFACTION])
    bought = at_least(standing.discount_share, p[StageParameter.FALSE_DISCOUNT_SHARE])
    return both(attached, either(either(discontent, bought), standing.lock_in))


@lean_kernel
def is_action_loyal(standing: Standing, index: float, parameters: F64) -> float:
    """Whether nearly all of the wallet cements true loyalty: 1, 0 or NaN.

    Oracle: `tests.naive.stage.action_loyal`.
    """
    return both(
        at_least(standing.wallet, parameters[StageParameter.ACTION_WALLET]),
        at_least(index, parameters[StageParameter.ACTION_INDEX]),
    )


@lean_kernel
def forgive_cause(standing: Standing, level: int, parameters: F64) -> int:
    """The first condition of Forgive me that is TRUE, 0 if none."""
    p = parameters
    if standing.complaint_open == 1.0 and standing.severity >= p[StageParameter.FORGIVE_SEVERITY]:
        return StageCause.OPEN_COMPLAINT.value
    young = standing.nps_age_days < p[StageParameter.FORGIVE_NPS_DAYS]
    if young and standing.nps <= p[StageParameter.FORGIVE_NPS]:
        return StageCause.DETRACTOR.value
    if contract_cancelled(standing):
        return StageCause.CONTRACT_CANCELLED.value
    if standing.purchases > 0.0 and standing.alive < p[StageParameter.FORGIVE_ALIVE]:
        return StageCause.LAPSED.value
    if level <= p[StageParameter.FORGIVE_LEVEL]:
        return StageCause.LADDER_BOTTOM.value
    return 0


@lean_kernel
def know_cause(standing: Standing, parameters: F64) -> int:
    """The first condition of Know me that is TRUE, 0 if none."""
    if standing.purchases == 0.0 and not contract_in_force(standing):
        return StageCause.NO_REPEAT_PURCHASE.value
    if standing.tenure_days < parameters[StageParameter.KNOW_TENURE_DAYS]:
        return StageCause.NEW_RELATION.value
    if standing.completeness < parameters[StageParameter.KNOW_COMPLETENESS]:
        return StageCause.LITTLE_KNOWN.value
    return 0


@lean_kernel
def is_loyal(standing: Standing, index: float, false_loyalty: float, parameters: F64) -> bool:
    """Whether the conditions of Grow me are TRUE; a missing share of wallet says no."""
    return (
        index >= parameters[StageParameter.GROW_INDEX]
        and standing.wallet >= parameters[StageParameter.GROW_WALLET]
        and standing.alive >= parameters[StageParameter.GROW_ALIVE]
        and false_loyalty != 1.0
    )


@lean_kernel
def stage_cause(standing: Standing, index: float, level: int, false_loyalty: float, parameters: F64) -> int:
    """The condition that decides the raw stage, a `StageCause`.

    Oracle: `tests.naive.stage.raw_stage`.
    """
    cause = forgive_cause(standing, level, parameters)
    if cause == 0:
        cause = know_cause(standing, parameters)
    if cause != 0:
        return cause
    if is_loyal(standing, index, false_loyalty, parameters):
        return StageCause.LOYAL.value
    return StageCause.ESTABLISHED.value


@lean_kernel
def stage_of_cause(cause: int) -> int:
    """The `model.Stage` that a `StageCause` leads to."""
    if cause <= StageCause.LADDER_BOTTOM:
        return Stage.FORGIVE_ME.value
    if cause <= StageCause.LITTLE_KNOWN:
        return Stage.KNOW_ME.value
    if cause == StageCause.LOYAL:
        return Stage.GROW_ME.value
    return Stage.HEAR_ME.value


@lean_kernel
def loyalty_of(
    standing: Standing, frequency_bound: float, parameters: F64, scores: F64, weights: F64
) -> LoyaltyFigure:
    """What loyalty and stage come to for one customer; see `loyalty_figures`.

    Args:
        standing: the customer's relation.
        frequency_bound: where the top quartile of repeat purchases a week starts, NaN = unknown.
        parameters: (stage parameters,).
        scores: (components,) is written.
        weights: (components,) is written.
    """
    index, weight = loyalty_index(standing, parameters, scores, weights)
    level = level_of(index, parameters)
    false_loyalty = is_false_loyalty(standing, frequency_bound, parameters)
    cause = stage_cause(standing, index, level, false_loyalty, parameters)
    return LoyaltyFigure(
        index,
        level,
        stage_of_cause(cause),
        false_loyalty,
        is_action_loyal(standing, index, parameters),
        standing.tenure_days,
        cause,
        weight,
    )


@kernel
def loyalty_figures(
    numbers: F64,
    columns: I64,
    complaint_open: F64,
    lock_in: F64,
    alive: F64,
    completeness: F64,
    now: F64,
    frequency_bound: float,
    parameters: F64,
) -> LoyaltyFigures:
    """Loyalty index, ladder level, raw stage and the loyalty flags of n customers.

    Args:
        numbers: (n, facts) row matrix, NaN = missing.
        columns: (inputs,) column of each of `index.LOYALTY_FACTS`, -1 = not in the catalogue.
        complaint_open: (n,) 1, 0 or NaN = unknown.
        lock_in: (n,) 1, 0 or NaN = unknown.
        alive: (n,) P(alive), NaN = missing; 1 while a contract runs.
        completeness: (n,) share of required facts known, see `quality`.
        now: (n,) epoch seconds.
        frequency_bound: where the top quartile of repeat purchases a week starts, NaN = unknown.
        parameters: (stage parameters,) in the order of `index.STAGE_PARAMETERS`.

    Source: domain model, section 6. Oracle: `tests.naive.stage.loyalty_figures`.
    Cost: about 0.1 µs a customer.
    """
    n = len(now)
    index, false_loyalty, action_loyal = np.empty(n), np.empty(n), np.empty(n)
    tenure_days, weight = np.empty(n), np.empty(n)
    level, raw_stage, cause = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    scores, weights = np.empty(_PARTS), np.empty(_PARTS)
    for i in range(n):
        standing = read_standing(
            numbers, i, columns, complaint_open[i], lock_in[i], alive[i], completeness[i], now[i]
        )
        found = loyalty_of(standing, frequency_bound, parameters, scores, weights)
        index[i], level[i], raw_stage[i] = found.loyalty_index, found.level, found.raw_stage
        false_loyalty[i], action_loyal[i] = found.false_loyalty, found.action_loyal
        tenure_days[i], cause[i], weight[i] = found.tenure_days, found.cause, found.weight
    return LoyaltyFigures(index, level, raw_stage, false_loyalty, action_loyal, tenure_days, cause, weight)


@lean_kernel
def is_stage(held: float) -> bool:
    """Whether a stored code names a stage."""
    return 0.0 <= held <= Stage.FORGIVE_ME.value and held == math.floor(held)


@kernel
def has_forgiven(state: StageState, evaluation: Evaluation, parameters: F64) -> bool:
    """Whether a customer in Forgive me may leave it.

    Both a good NPS and a purchase count only when later than the stage: what the customer thought
    before trust failed shows no forgiveness.
    """
    if evaluation.raw_stage == Stage.FORGIVE_ME.value or evaluation.complaint_open == 1.0:
        return False
    recommends = evaluation.nps >= parameters[StageParameter.FORGIVEN_NPS]
    return (recommends and evaluation.nps_at > state.since) or evaluation.last_purchase > state.since


@kernel
def climb(state: StageState, evaluation: Evaluation, now: float, parameters: F64) -> StageState:
    """Know me or Hear me: up one step after qualifying at two evaluations far enough apart."""
    if evaluation.raw_stage <= state.held:
        return StageState(state.held, state.since, math.nan)
    if math.isnan(state.up_since):
        return StageState(state.held, state.since, now)
    if now - state.up_since < parameters[StageParameter.UP_DAYS] * DAY_S:
        return state
    # This evaluation also is the first to qualify for the stage after, if it points that far.
    still_up = now if evaluation.raw_stage > state.held + 1.0 else math.nan
    return StageState(state.held + 1.0, now, still_up)


@kernel
def advance_stage(state: StageState, evaluation: Evaluation, now: float, parameters: F64) -> StageState:
    """The stage held after one evaluation; run by whoever writes the snapshot, never by Decide.

    Args:
        state: what the snapshot holds; a code that names no stage counts as none.
        evaluation: the customer's figures at `now`.
        now: epoch seconds.
        parameters: (stage parameters,).

    Source: domain model, section 6, hysteresis. Oracle: `tests.naive.stage.advance_stage`.
    """
    if not is_stage(state.held):
        return StageState(float(evaluation.raw_stage), now, math.nan)
    if math.isnan(state.since):
        # Held since some time at or before now: without a date Forgive me could never be left.
        state = StageState(state.held, now, state.up_since)
    if state.held == Stage.FORGIVE_ME.value:
        if not has_forgiven(state, evaluation, parameters):
            return StageState(state.held, state.since, math.nan)
        new = evaluation.tenure_days < parameters[StageParameter.KNOW_TENURE_DAYS]
        return StageState(float(Stage.KNOW_ME.value if new else Stage.HEAR_ME.value), now, math.nan)
    if evaluation.raw_stage == Stage.FORGIVE_ME.value:
        return StageState(float(Stage.FORGIVE_ME.value), now, math.nan)
    if state.held == Stage.GROW_ME.value:
        keeps = evaluation.loyalty_index >= parameters[StageParameter.KEEP_GROW_INDEX]
        if keeps and evaluation.false_loyalty != 1.0:
            return StageState(state.held, state.since, math.nan)
        return StageState(float(Stage.HEAR_ME.value), now, math.nan)
    return climb(state, evaluation, now, parameters)


@kernel
def stage_state(numbers: F64, customer: int, columns: I64) -> StageState:
    """The stage that a customer's row holds."""
    return StageState(
        fact_at(numbers, customer, columns[LoyaltyInput.HELD_STAGE]),
        fact_at(numbers, customer, columns[LoyaltyInput.STAGE_SINCE]),
        fact_at(numbers, customer, columns[LoyaltyInput.UP_QUALIFIED_SINCE]),
    )


@kernel
def advance_stages(
    numbers: F64,
    columns: I64,
    complaint_open: F64,
    figures: LoyaltyFigures,
    now: F64,
    parameters: F64,
) -> F64:
    """Stage state of n customers after one evaluation.

    Args:
        numbers: (n, facts) row matrix, NaN = missing.
        columns: (inputs,) column of each of `index.LOYALTY_FACTS`, -1 = not in the catalogue.
        complaint_open: (n,) 1, 0 or NaN = unknown.
        figures: what `loyalty_figures` gives for the same rows and time.
        now: (n,) epoch seconds.
        parameters: (stage parameters,).

    Returns:
        (n, 3) new values of `STAGE_STATE_FACTS`, NaN = none.

    Oracle: `tests.naive.stage.advance_stage`.
    """
    n = len(now)
    states = np.empty((n, len(STAGE_STATE_FACTS)))
    for i in range(n):
        evaluation = Evaluation(
            float(figures.raw_stage[i]),
            figures.loyalty_index[i],
            figures.false_loyalty[i],
            fact_at(numbers, i, columns[LoyaltyInput.NPS_RELATION]),
            fact_at(numbers, i, columns[LoyaltyInput.NPS_RELATION_AT]),
            complaint_open[i],
            fact_at(numbers, i, columns[LoyaltyInput.LAST_PURCHASE]),
            figures.tenure_days[i],
        )
        state = advance_stage(stage_state(numbers, i, columns), evaluation, now[i], parameters)
        states[i, 0], states[i, 1], states[i, 2] = state.held, state.since, state.up_since
    return states


@lean_kernel
def effective_stage(held: float, raw_stage: int) -> int:
    """Stage that decisions use of one customer; see `effective_stages`."""
    if is_stage(held) and raw_stage != Stage.FORGIVE_ME.value:
        return int(held)
    return raw_stage


@kernel
def effective_stages(numbers: F64, columns: I64, raw_stage: I64) -> I64:
    """(n,) stage that decisions use: the one held, but Forgive me at once, and raw without a state.

    Oracle: `tests.naive.stage.effective_stage`.
    """
    stages = np.empty(len(raw_stage), np.int64)
    for i in range(len(raw_stage)):
        stages[i] = effective_stage(fact_at(numbers, i, columns[LoyaltyInput.HELD_STAGE]), raw_stage[i])
    return stages
