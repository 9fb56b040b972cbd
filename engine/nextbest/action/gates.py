"""The gates an action must pass, in the order of the domain model's section 8.

Every gate answers (reason, actual, required): reason 0 lets the action through, anything else is a
`Reason`; the two numbers are what the gate saw and what it asked for, NaN where there is no number.
"""

import numpy as np

from nextbest.action.contact import (
    LOCATION_WINDOW_DAYS,
    PASSES,
    PAUSED,
    PRESSURE_MEMORY_DAYS,
    UNKNOWN,
    cap_state,
    policy_reach,
    policy_state,
)
from nextbest.action.exploration import reach_gate
from nextbest.action.opening import cooled_at
from nextbest.action.relevance import holds
from nextbest.action.score import customer_gain_once
from nextbest.action.tables import Batch, Cap, ChannelNumber, Code, Number, Setting, Tables, TreatmentCode
from nextbest.action.terms import Terms
from nextbest.facts import Figure
from nextbest.kernels import lean_kernel
from nextbest.model import DAY_S, Direction, Reason, Stage

Verdict = tuple[int, float, float]

NAN = np.nan
PASS = (0, np.nan, np.nan)

_OUTBOUND = int(Direction.OUTBOUND)
_KNOW, _FORGIVE = int(Stage.KNOW_ME), int(Stage.FORGIVE_ME)
_STAGE, _LEVEL, _AGE, _QUALITY, _CEILING = (
    int(Figure.STAGE),
    int(Figure.LEVEL),
    int(Figure.SNAPSHOT_AGE_DAYS),
    int(Figure.DATA_QUALITY),
    int(Figure.INVESTMENT_CEILING),
)
_STAGES, _SEGMENTS, _CONDITION = int(Code.STAGES), int(Code.SEGMENTS), int(Code.CONDITION)
_FIRST_TRIGGER, _LAST_TRIGGER = int(Code.FIRST_TRIGGER), int(Code.LAST_TRIGGER)
_SELLS, _CARES, _AUTHORITY, _TOPICS = int(Code.SELLS), int(Code.CARES), int(Code.AUTHORITY), int(Code.TOPICS)
_FIRST_POLICY, _LAST_POLICY = int(Code.FIRST_POLICY), int(Code.LAST_POLICY)
_FIRST_CAP, _LAST_CAP, _CAP_COUNT = int(Code.FIRST_CAP), int(Code.LAST_CAP), int(Cap.COUNT)
_MAX_AGE = int(Number.MAX_SNAPSHOT_AGE)
_MINUTES, _MANDATORY = int(Number.MINUTES), int(Code.MANDATORY)
_CONTACT_COST, _ACCEPTED_COST = int(Number.CONTACT_COST), int(Number.ACCEPTED_COST)
_REPAIRS = int(Code.REPAIRS)
_WORTH, _LOYAL_WORTH = int(Number.REWARD_WORTH), int(Number.LOYAL_REWARD_WORTH)
_T_CHANNEL, _T_PLACEMENT, _T_CONSENT = (
    int(TreatmentCode.CHANNEL),
    int(TreatmentCode.PLACEMENT),
    int(TreatmentCode.CONSENT),
)
_QUIET_FROM, _QUIET_UNTIL = int(ChannelNumber.QUIET_FROM), int(ChannelNumber.QUIET_UNTIL)
_INBOUND_THRESHOLD = int(ChannelNumber.INBOUND_THRESHOLD)
_WEIGHT, _LOCATION = int(ChannelNumber.OUTBOUND_WEIGHT), int(ChannelNumber.LOCATION_BOUND)
_FLOOR, _HOLD_SCORE, _HOLD_DAYS, _VALUE_OF_TIME = (
    int(Setting.DATA_QUALITY_FLOOR),
    int(Setting.SELL_HOLD_SCORE),
    int(Setting.SELL_HOLD_DAYS),
    int(Setting.VALUE_OF_TIME),
)

_CONSENT_MISSING, _TOPIC_BLOCKED = int(Reason.CONSENT_MISSING), int(Reason.TOPIC_BLOCKED)
_AUTHORITY_LACKING, _QUIET_HOURS = int(Reason.AUTHORITY_LACKING), int(Reason.QUIET_HOURS)
_NOT_YET_VALID, _NO_LONGER_VALID = int(Reason.NOT_YET_VALID), int(Reason.NO_LONGER_VALID)
_STAGE_MISMATCH, _SEGMENT_MISMATCH = int(Reason.STAGE_MISMATCH), int(Reason.SEGMENT_MISMATCH)
_TRIGGER_NOT_FIRED, _TRIGGER_UNKNOWN = int(Reason.TRIGGER_NOT_FIRED), int(Reason.TRIGGER_UNKNOWN)
_TRIGGER_COOLING = int(Reason.TRIGGER_COOLING_DOWN)
_CONDITION_FALSE, _CONDITION_UNKNOWN = int(Reason.CONDITION_FALSE), int(Reason.CONDITION_UNKNOWN)
_SNAPSHOT_TOO_OLD, _QUALITY_LOW = int(Reason.SNAPSHOT_TOO_OLD), int(Reason.DATA_QUALITY_LOW)
_SELL_HOLD, _NOT_RELEVANT = int(Reason.SELL_HOLD), int(Reason.NOT_RELEVANT)
_POLICY_PAUSED, _POLICY_UNKNOWN = int(Reason.CONTACT_POLICY_PAUSED), int(Reason.CONTACT_POLICY_UNKNOWN)
_PRESSURE_TOO_HIGH, _LOCATION_CAP = int(Reason.PRESSURE_TOO_HIGH), int(Reason.LOCATION_CAP_REACHED)
_PROPENSITY_UNKNOWN, _NO_VALUE = int(Reason.PROPENSITY_UNKNOWN), int(Reason.NO_VALUE_FOR_CUSTOMER)
_ABOVE_CEILING = int(Reason.ABOVE_INVESTMENT_CEILING)
_UNFAIR, _CAP_REACHED = int(Reason.UNFAIR_TO_LOYAL), int(Reason.CAP_REACHED)


@lean_kernel
def fits_request(tables: Tables, batch: Batch, customer: int, treatment: int) -> bool:
    """Whether a treatment is for the request's channel and one of its placements."""
    channel, wanted = batch.requests[customer, 0], batch.requests[customer, 2]
    if channel != tables.treatments[treatment, _T_CHANNEL]:
        return False
    placement = tables.treatments[treatment, _T_PLACEMENT]
    return wanted == 0 or placement < 0 or (wanted >> placement) & 1 == 1


@lean_kernel
def consent_gate(tables: Tables, batch: Batch, customer: int, action: int, treatment: int) -> Verdict:
    """An outbound contact needs every consent of its treatment; the customer's own contact needs none."""
    needed = tables.treatments[treatment, _T_CONSENT]
    if batch.requests[customer, 1] == _OUTBOUND:
        given = np.int64(batch.masks[customer, 0])
        if needed & ~given != 0:
            return _CONSENT_MISSING, NAN, NAN
    if tables.codes[action, _TOPICS] & np.int64(batch.masks[customer, 1]) != 0:
        return _TOPIC_BLOCKED, NAN, NAN
    return PASS


@lean_kernel
def _is_quiet(hour: float, start: float, end: float) -> bool:
    if start <= end:
        return start <= hour < end
    return hour >= start or hour < end


@lean_kernel
def permission_gate(tables: Tables, batch: Batch, customer: int, action: int, treatment: int) -> Verdict:
    """Authority of the caller's role; validity dates and quiet hours where the customer is."""
    authority, needed = batch.requests[customer, 3], tables.codes[action, _AUTHORITY]
    if authority < needed:
        return _AUTHORITY_LACKING, float(authority), float(needed)
    now, bounds = batch.now[customer], tables.validity[batch.requests[customer, 4]]
    if now < bounds[2 * action]:
        return _NOT_YET_VALID, now, bounds[2 * action]
    if now >= bounds[2 * action + 1]:
        return _NO_LONGER_VALID, now, bounds[2 * action + 1]
    channel = tables.treatments[treatment, _T_CHANNEL]
    if disturbs(tables, batch, customer, channel):
        return _QUIET_HOURS, batch.facts[customer, 2], tables.channels[channel, _QUIET_UNTIL]
    return PASS


@lean_kernel
def disturbs(tables: Tables, batch: Batch, customer: int, channel: int) -> bool:
    """Whether an outbound contact would come in the channel's quiet hours."""
    hours = tables.channels[channel]
    quiet = _is_quiet(batch.facts[customer, 2], hours[_QUIET_FROM], hours[_QUIET_UNTIL])
    return batch.requests[customer, 1] == _OUTBOUND and quiet


@lean_kernel
def audience_gate(tables: Tables, batch: Batch, customer: int, action: int) -> Verdict:
    """The customer's stage, then any of the action's segments."""
    stage = batch.figures[customer, _STAGE]
    if (tables.codes[action, _STAGES] >> np.int64(stage)) & 1 == 0:
        return _STAGE_MISMATCH, stage, NAN
    wanted = tables.codes[action, _SEGMENTS]
    if wanted == 0:
        return PASS
    for s in range(len(tables.segments)):
        if (wanted >> s) & 1 == 1 and holds(batch.true, customer, int(tables.segments[s])):
            return PASS
    return _SEGMENT_MISMATCH, NAN, NAN


@lean_kernel
def trigger_gate(tables: Tables, batch: Batch, customer: int, action: int) -> Verdict:
    """Any of the action's triggers has fired and still holds; an action without one needs none.

    Of one that cools down it says for how many days more, and that none may be left.
    """
    first, last = tables.codes[action, _FIRST_TRIGGER], tables.codes[action, _LAST_TRIGGER]
    if first == last:
        return PASS
    reason = _TRIGGER_NOT_FIRED
    for k in range(first, last):
        trigger = int(tables.triggers[k])
        condition = int(tables.trigger_conditions[trigger])
        cooling = batch.cooling[trigger, customer >> 6] >> np.uint64(customer & 63)
        if holds(batch.true, customer, condition):
            if cooling & np.uint64(1) == np.uint64(0):
                return 0, float(trigger), NAN
            reason = _TRIGGER_COOLING
        elif reason == _TRIGGER_NOT_FIRED and not holds(batch.false, customer, condition):
            reason = _TRIGGER_UNKNOWN
    if reason == _TRIGGER_COOLING:
        left_s = cooled_at(tables, batch, customer, action) - batch.now[customer]
        return reason, left_s / DAY_S, 0.0
    return reason, NAN, NAN


@lean_kernel
def condition_gate(tables: Tables, batch: Batch, customer: int, action: int) -> Verdict:
    """The action's own condition is TRUE; unknown is not enough."""
    condition = tables.codes[action, _CONDITION]
    if condition < 0 or holds(batch.true, customer, condition):
        return PASS
    if holds(batch.false, customer, condition):
        return _CONDITION_FALSE, NAN, NAN
    return _CONDITION_UNKNOWN, NAN, NAN


@lean_kernel
def knowledge_gate(tables: Tables, batch: Batch, customer: int, action: int) -> Verdict:
    """Snapshot age, data quality, and no selling shortly after a bad touchpoint."""
    age, oldest = batch.figures[customer, _AGE], tables.numbers[action, _MAX_AGE]
    if age > oldest:
        return _SNAPSHOT_TOO_OLD, age, oldest
    if tables.codes[action, _CARES] == 0 and is_little_known(tables, batch, customer):
        return _QUALITY_LOW, batch.figures[customer, _QUALITY], tables.settings[_FLOOR]
    if tables.codes[action, _SELLS] == 1 and is_sell_held(tables, batch, customer):
        return _SELL_HOLD, batch.facts[customer, 0], tables.settings[_HOLD_SCORE]
    return PASS


@lean_kernel
def is_little_known(tables: Tables, batch: Batch, customer: int) -> bool:
    """Whether data quality is below the floor."""
    return bool(batch.figures[customer, _QUALITY] < tables.settings[_FLOOR])


@lean_kernel
def is_sell_held(tables: Tables, batch: Batch, customer: int) -> bool:
    """Whether a bad touchpoint is so recent that nothing is sold."""
    score, since = batch.facts[customer, 0], batch.facts[customer, 1]
    return bool(score <= tables.settings[_HOLD_SCORE] and 0.0 <= since < tables.settings[_HOLD_DAYS])


@lean_kernel
def relevance_gate(tables: Tables, batch: Batch, customer: int, treatment: int, rho: float) -> Verdict:
    """The ask-likelihood reaches the channel's threshold for this direction of contact."""
    channel, direction = tables.treatments[treatment, _T_CHANNEL], batch.requests[customer, 1]
    threshold = float(tables.channels[channel, _INBOUND_THRESHOLD + direction])
    if rho >= threshold:
        return PASS
    return _NOT_RELEVANT, rho, threshold


@lean_kernel
def known_days(batch: Batch, customer: int) -> float:
    """Over how many days the history is complete; below 0 where it is lost up to some later time."""
    return float((batch.now[customer] - batch.truncated[customer]) / DAY_S)


@lean_kernel
def policy_gate(tables: Tables, batch: Batch, customer: int, action: int, treatment: int) -> Verdict:
    """Contact policies; what cannot be known because history was cut off stops outbound contact only.

    Of that it says over how many days history is known, and over how many it would have to be.
    """
    channel = tables.treatments[treatment, _T_CHANNEL]
    latest, unknown, reaches_s = -np.inf, False, 0.0
    for policy in range(tables.codes[action, _FIRST_POLICY], tables.codes[action, _LAST_POLICY]):
        state, ends = policy_state(tables, batch, customer, action, channel, policy)
        latest = max(latest, ends)
        if state == UNKNOWN:
            unknown = True
            reaches_s = max(reaches_s, policy_reach(tables, batch, customer, action, channel, policy))
    if latest > -np.inf:
        return _POLICY_PAUSED, (latest - batch.now[customer]) / DAY_S, 0.0
    if unknown and batch.requests[customer, 1] == _OUTBOUND:
        if tables.codes[action, _MANDATORY] == 0:  # pressure is asked next, and says the same
            reaches_s = max(reaches_s, PRESSURE_MEMORY_DAYS * DAY_S)
        return _POLICY_UNKNOWN, max(known_days(batch, customer), 0.0), reaches_s / DAY_S
    return PASS


@lean_kernel
def pauses(tables: Tables, batch: Batch, customer: int, action: int, policy: int) -> bool:
    """Whether one policy stops an action in the request's channel."""
    outbound, channel = batch.requests[customer, 1] == _OUTBOUND, batch.requests[customer, 0]
    state, _ = policy_state(tables, batch, customer, action, channel, policy)
    return state == PAUSED or (state == UNKNOWN and outbound)


@lean_kernel
def pressure_gate(tables: Tables, batch: Batch, customer: int, at: int) -> Verdict:
    """Outbound pressure in channel `at` stays under the stage's cap; one location push in a week.

    Contacts that were lost may have used up either, and then outbound contact stops.
    """
    if batch.requests[customer, 1] != _OUTBOUND:
        return PASS
    if known_days(batch, customer) < PRESSURE_MEMORY_DAYS:
        return _POLICY_UNKNOWN, max(known_days(batch, customer), 0.0), PRESSURE_MEMORY_DAYS
    channel = tables.channels[at]
    after = batch.pressure[customer, 0] + channel[_WEIGHT]
    cap = tables.stages[np.int64(batch.figures[customer, _STAGE]), 1]
    if after > cap:
        return _PRESSURE_TOO_HIGH, after, cap
    since_days = (batch.now[customer] - batch.pressure[customer, 1]) / DAY_S
    if channel[_LOCATION] == 1.0 and since_days < LOCATION_WINDOW_DAYS:
        return _LOCATION_CAP, since_days, LOCATION_WINDOW_DAYS
    return PASS


@lean_kernel
def fairness_gate(tables: Tables, batch: Batch, customer: int, action: int) -> Verdict:
    """In Know me, no reward above the best of its kind that is open to Grow me."""
    worth, loyal = tables.numbers[action, _WORTH], tables.numbers[action, _LOYAL_WORTH]
    if batch.figures[customer, _STAGE] == _KNOW and worth > loyal:
        return _UNFAIR, worth, loyal
    return PASS


@lean_kernel
def cap_gate(tables: Tables, batch: Batch, customer: int, action: int) -> Verdict:
    """Contacts of the action left to the customer; where lost ones may have used them up, outbound stops."""
    for cap in range(tables.codes[action, _FIRST_CAP], tables.codes[action, _LAST_CAP]):
        state, count = cap_state(tables, batch, customer, action, cap)
        if state == PAUSED or (state != PASSES and batch.requests[customer, 1] == _OUTBOUND):
            return _CAP_REACHED, float(count), float(tables.caps[cap, _CAP_COUNT])
    return PASS


@lean_kernel
def mutual_gate(tables: Tables, batch: Batch, customer: int, action: int, p: float) -> Verdict:
    """The customer's expected gain, less the worth of the time it takes, is not negative.

    The gate holds always, for mandatory actions too: no profit buys a loss to the customer.
    """
    if np.isnan(p):
        return _PROPENSITY_UNKNOWN, NAN, NAN
    effort = tables.numbers[action, _MINUTES] * tables.settings[_VALUE_OF_TIME]
    worth = p * customer_gain_once(tables, batch, customer, action) - effort
    if worth >= 0.0:
        return PASS
    return _NO_VALUE, worth, 0.0


@lean_kernel
def ceiling_gate(tables: Tables, batch: Batch, customer: int, action: int, p: float) -> Verdict:
    """Expected cost stays under the customer's investment ceiling; repair in Forgive me is exempt."""
    if tables.codes[action, _REPAIRS] == 1 and batch.figures[customer, _STAGE] == _FORGIVE:
        return PASS
    cost = tables.numbers[action, _CONTACT_COST] + p * tables.numbers[action, _ACCEPTED_COST]
    ceiling = batch.figures[customer, _CEILING]
    if cost > ceiling:
        return _ABOVE_CEILING, cost, ceiling
    return PASS


@lean_kernel
def stake_gate(tables: Tables, batch: Batch, terms: Terms, customer: int, action: int, p: float) -> Verdict:
    """Not more is put at stake than a customer is worth, nor on more customers than an action has earned."""
    verdict = ceiling_gate(tables, batch, customer, action, p)
    return reach_gate(batch, terms, customer, action) if verdict[0] == 0 else verdict
