"""Each gate as a sentence: None lets the action pass, else (reason, actual, required).

In the order of domain.md section 8. "Not X" means X is not TRUE; a window that lost entries could change
is unknown, and then outbound contact stops while a customer who asks is still answered.
"""

import datetime as dt
import math
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from tests.naive import contact, periods
from tests.naive.plain import (
    CARES,
    DAY_S,
    SELLS,
    STAGES,
    Action,
    Answers,
    Customer,
    Request,
    Rulebook,
    Treatment,
)
from tests.naive.score import expected_cost, mutual_value


@dataclass(frozen=True)
class Case:
    """One action in one treatment for one customer and request, with what the later gates need."""

    rulebook: Rulebook
    action: Action
    treatment: Treatment
    customer: Customer
    request: Request
    answers: Answers
    p: float
    relevance: float

    @property
    def outbound(self):
        """Whether the company starts the contact."""
        return self.request.direction == "outbound"

    @property
    def stage(self):
        """Index of the stage."""
        return int(self.customer.figures["stage"])

    @property
    def channel(self):
        """The channel of the treatment."""
        return self.rulebook.channels[self.treatment.channel]


def consent(case):
    """Outbound contact needs every consent of the treatment; unknown consent is none."""
    given = case.customer.consent or frozenset()
    if case.outbound and not case.treatment.consent <= given:
        return "CONSENT_MISSING", None, None
    return None


def blocked_topic(case):
    """No topic of the action is one that the customer has blocked."""
    blocked = case.customer.blocked_topics or frozenset()
    return ("TOPIC_BLOCKED", None, None) if case.action.topics & blocked else None


def authority(case):
    """The caller may go as far as the action asks; a caller without a role goes as far as the least one."""
    roles = case.rulebook.roles
    has = min(roles.values()) if case.request.role is None else roles[case.request.role]
    return ("AUTHORITY_LACKING", has, case.action.authority) if has < case.action.authority else None


def validity(case):
    """From the first day through the last where the customer is; no outbound contact in quiet hours."""
    now, zone = case.request.now, case.customer.time_zone or case.rulebook.time_zone
    today, first, last = dt.datetime.fromtimestamp(now, ZoneInfo(zone)).date(), *case.action.valid
    if first is not None and today < first:
        return "NOT_YET_VALID", now, midnight(first, zone)
    if last is not None and today > last:
        return "NO_LONGER_VALID", now, midnight(last + dt.timedelta(days=1), zone)
    hour = local_hour(now, zone)
    if case.outbound and in_quiet_hours(hour, case.channel.quiet_hours):
        return "QUIET_HOURS", hour, case.channel.quiet_hours[1]
    return None


def midnight(day, zone):
    """When a day begins."""
    return dt.datetime.combine(day, dt.time(), ZoneInfo(zone)).timestamp()


def local_hour(now, zone):
    """Hour of the day in a zone, with its fraction."""
    local = dt.datetime.fromtimestamp(now, ZoneInfo(zone))
    return (local.hour * 3600 + local.minute * 60 + local.second + local.microsecond / 1e6) / 3600


def in_quiet_hours(hour, hours):
    """Whether the hour lies in [from, until), which may wrap midnight."""
    if hours is None:
        return False
    start, end = hours
    return start <= hour < end if start <= end else hour >= start or hour < end


def stage_segment(case):
    """The stage is one of the action's, and one of its segments is TRUE if it lists any."""
    if STAGES[case.stage] not in case.action.stages:
        return "STAGE_MISMATCH", case.stage, None
    keys = [case.rulebook.segments[name] for name in case.action.segments]
    if keys and not any(case.answers.holds(key) for key in keys):
        return "SEGMENT_MISMATCH", None, None
    return None


def trigger(case):
    """One of the action's triggers has fired and does not cool down, if it lists any."""
    if not case.action.triggers:
        return None
    truths = [fired(case, name) for name in case.action.triggers]
    if "fired" in truths:
        return None
    for state, reason in (
        ("cooling", "TRIGGER_COOLING_DOWN"),
        ("unknown", "TRIGGER_UNKNOWN"),
        ("not", "TRIGGER_NOT_FIRED"),
    ):
        if state in truths:
            return (reason, days_to_cool(case), 0.0) if state == "cooling" else (reason, None, None)
    raise AssertionError


def days_to_cool(case):
    """Days until the first of the action's triggers that cool down may fire again."""
    history, now = case.customer.history, case.request.now
    ends = []
    for name in case.action.triggers:
        if fired(case, name) == "cooling":
            cool_down = case.rulebook.triggers[name].cool_down_s
            times = contact.caused_by(case.rulebook, name, history, now)
            if case.outbound:
                times.append(history.truncated_before)
            ends.append(max(times) + cool_down)
    return (min(ends) - now) / DAY_S


def fired(case, name):
    """`fired`, `cooling`, `unknown` or `not`."""
    spec = case.rulebook.triggers[name]
    truth = case.answers.value(spec.key)
    if truth is not True:
        return "unknown" if truth is None else "not"
    return "cooling" if is_suppressed(case.rulebook, name, case.customer, case.request) else "fired"


def is_suppressed(rulebook, name, customer, request):
    """Whether the trigger cools down; where that is not known it does for outbound contact."""
    cool_down = rulebook.triggers[name].cool_down_s
    cooling = contact.cooling_down(rulebook, name, cool_down, customer.history, request.now)
    return cooling is True or (cooling is None and request.direction == "outbound")


def condition(case):
    """The action's condition is TRUE."""
    if case.action.when is None:
        return None
    truth = case.answers.value(case.action.when)
    if truth is True:
        return None
    return ("CONDITION_UNKNOWN" if truth is None else "CONDITION_FALSE"), None, None


def snapshot_age(case):
    """The snapshot is not older than the action allows."""
    age = (case.request.now - case.customer.as_of) / DAY_S
    most = case.action.max_snapshot_age_days
    return ("SNAPSHOT_TOO_OLD", age, most) if age > most else None


def data_quality(case):
    """Below the floor only what cares for the customer passes."""
    quality, floor = case.customer.figures["data_quality"], case.rulebook.data_quality_floor
    if case.action.desired_action in CARES or quality is None or quality >= floor:
        return None
    return "DATA_QUALITY_LOW", quality, floor


def sell_hold(case):
    """No selling within so many days of a bad touchpoint."""
    score, at, now = case.customer.touchpoint_score, case.customer.touchpoint_at, case.request.now
    if case.action.desired_action not in SELLS or score is None or at is None:
        return None
    held = score <= case.rulebook.sell_hold_score and now - case.rulebook.sell_hold_s < at <= now
    return ("SELL_HOLD", score, case.rulebook.sell_hold_score) if held else None


def mutual(case):
    """The customer can expect to gain, their own time counted. Always asked."""
    if case.p is None:
        return "PROPENSITY_UNKNOWN", None, None
    gap = case.customer.figures["value_gap"]
    worth = mutual_value(case.action, gap, case.p, case.rulebook.value_of_time)
    return None if worth >= 0 else ("NO_VALUE_FOR_CUSTOMER", worth, 0.0)


def relevant(case):
    """The customer would have asked for it."""
    channel = case.channel
    least = channel.outbound_threshold if case.outbound else channel.inbound_threshold
    if case.action.mandatory or case.relevance >= least:
        return None
    return "NOT_RELEVANT", case.relevance, least


def contact_policy(case):
    """No pause holds; one that lost entries could have started stops outbound contact."""
    now = case.request.now
    verdicts = [
        contact.paused(
            limit,
            case.customer.history,
            now,
            rulebook=case.rulebook,
            action=case.action,
            channel=case.treatment.channel,
        )
        for limit in case.action.limits
    ]
    pauses = [until for paused, until in verdicts if paused]
    if pauses:
        return "CONTACT_POLICY_PAUSED", (max(pauses) - now) / DAY_S, 0.0
    unknown = [
        limit for limit, (paused, _) in zip(case.action.limits, verdicts, strict=True) if paused is None
    ]
    if unknown and case.outbound:
        needed = days_needed(case, unknown)
        if not case.action.mandatory:  # pressure asks for its own memory besides
            needed = max(needed, contact.MEMORY_S / DAY_S)
        return "CONTACT_POLICY_UNKNOWN", days_known(case), needed
    return None


def days_needed(case, limits):
    """Over how many days the history must be complete until these limits can be told, nothing more known."""
    return max(days_needed_by(case, limit) for limit in limits)


def days_needed_by(case, limit):
    """The same of one limit: since its period began, or until the last pause that may be is over."""
    history, now = case.customer.history, case.request.now
    if limit.period:
        return (now - periods.bounds(limit.period[0], now, limit.period[1])[0]) / DAY_S
    if history.truncated_before == math.inf:
        return limit.pause_s / DAY_S
    past = replace(history, entries=tuple(e for e in history.entries if e.time <= now))
    times = (history.truncated_before, *(e.time for e in past.entries))
    ends = sorted(time + limit.pause_s for time in times)
    first = next(end for end in ends if end > now and is_told(case, limit, past, end))
    return (first - history.truncated_before) / DAY_S


def is_told(case, limit, history, now):
    """Whether it is certain at some time that a limit does not pause."""
    paused, _ = contact.paused(
        limit, history, now, rulebook=case.rulebook, action=case.action, channel=case.treatment.channel
    )
    return paused is False


def days_known(case):
    """Over how many days the history is complete."""
    return max((case.request.now - case.customer.history.truncated_before) / DAY_S, 0.0)


def contact_weight(case):
    """w_ch of the treatment's channel: 0 when the customer starts."""
    return case.channel.weight if case.outbound else 0.0


def effective_pressure(case):
    """P_eff now."""
    weights = {name: channel.weight for name, channel in case.rulebook.channels.items()}
    history, now = case.customer.history, case.request.now
    amount = contact.pressure(history, now, weights)
    return contact.effective_pressure(amount, contact.ignored_streak(history, now))


def pressure(case):
    """One more contact keeps within the stage's cap, and location pushes are a week apart."""
    if not case.outbound or case.action.mandatory:
        return None
    history, now = case.customer.history, case.request.now
    if contact.is_cut(history, now - contact.MEMORY_S):
        return "CONTACT_POLICY_UNKNOWN", days_known(case), contact.MEMORY_S / DAY_S
    amount, cap = effective_pressure(case), case.rulebook.pressure_cap[case.stage]
    weight = contact_weight(case)
    if contact.blocks(amount, weight, cap):
        return "PRESSURE_TOO_HIGH", amount + weight, cap
    if case.channel.location_bound:
        places = {name for name, channel in case.rulebook.channels.items() if channel.location_bound}
        latest = contact.latest_location_push(history, now, places)
        if latest is not None and now - latest < contact.LOCATION_S:
            return "LOCATION_CAP_REACHED", (now - latest) / DAY_S, contact.LOCATION_S / DAY_S
    return None


def fairness(case):
    """A Know customer's reward is not above the best that is open to Grow in the same benefit group."""
    action = case.action
    if action.benefit_group is None or STAGES[case.stage] != "know_me":
        return None
    open_to_grow = [
        other.reward_worth
        for other in case.rulebook.actions
        if other.benefit_group == action.benefit_group and "grow_me" in other.stages
    ]
    best = max(open_to_grow, default=0.0)
    return ("UNFAIR_TO_LOYAL", action.reward_worth, best) if action.reward_worth > best else None


def caps(case):
    """The action has contacts left; where lost entries could have used them up, outbound stops."""
    for cap in case.action.caps:
        used, count = contact.capped(cap, case.customer.history, case.request.now, case.action.id)
        if used is True or (used is None and case.outbound):
            return "CAP_REACHED", count, cap.at_most
    return None


def ceiling(case):
    """The expected cost stays under the customer's investment ceiling."""
    ceiling_ = case.customer.figures["investment_ceiling"]
    cost = expected_cost(case.action, case.p)
    damage_control = case.action.desired_action == "repair" and STAGES[case.stage] == "forgive_me"
    if case.action.mandatory or damage_control or ceiling_ is None or cost <= ceiling_:
        return None
    return "ABOVE_INVESTMENT_CEILING", cost, ceiling_


GATES = (
    consent,
    blocked_topic,
    authority,
    validity,
    stage_segment,
    trigger,
    condition,
    snapshot_age,
    data_quality,
    sell_hold,
    mutual,
    relevant,
    contact_policy,
    pressure,
    fairness,
    caps,
    ceiling,
)
"""All gates before arbitration, in order."""


def first_stop(case):
    """(position of the gate, its verdict) of the first gate that stops the case; None = it survives."""
    for position, gate in enumerate(GATES):
        verdict = gate(case)
        if verdict is not None:
            return position, verdict
    return None
