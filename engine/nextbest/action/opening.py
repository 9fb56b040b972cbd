"""When a gate opens again if nothing happens but that time passes: what explanations say one may wait for.

Every kernel gives epoch seconds from which the gate lets the action through: inf = waiting is of no use.
Contacts still to come, and facts that change in between, are not foreseen.

Oracle: the naive gates let through at the time that is given and not before, see
tests/conformance/test_explaining.py.
"""

import numpy as np

from nextbest.action.contact import (
    LOCATION_WINDOW_DAYS,
    PASSES,
    PAUSED,
    PRESSURE_HALF_LIFE_DAYS,
    PRESSURE_MEMORY_DAYS,
    cap_state,
    causes,
    period_ends,
    policy_opens,
)
from nextbest.action.relevance import holds
from nextbest.action.tables import Batch, Cap, ChannelNumber, Code, Setting, Tables, TreatmentCode
from nextbest.facts import Figure
from nextbest.kernels import lean_kernel
from nextbest.model import DAY_S, Direction, EntryKind, Reason

_OUTBOUND, _CONTACT = int(Direction.OUTBOUND), int(EntryKind.CONTACT)
_STAGE = int(Figure.STAGE)
_FIRST_TRIGGER, _LAST_TRIGGER = int(Code.FIRST_TRIGGER), int(Code.LAST_TRIGGER)
_FIRST_POLICY, _LAST_POLICY = int(Code.FIRST_POLICY), int(Code.LAST_POLICY)
_FIRST_CAP, _LAST_CAP = int(Code.FIRST_CAP), int(Code.LAST_CAP)
_MANDATORY = int(Code.MANDATORY)
_CAP_COUNT, _CAP_PERIOD = int(Cap.COUNT), int(Cap.PERIOD)
_HOLD_DAYS = int(Setting.SELL_HOLD_DAYS)
_WEIGHT, _LOCATION = int(ChannelNumber.OUTBOUND_WEIGHT), int(ChannelNumber.LOCATION_BOUND)
_T_CHANNEL = int(TreatmentCode.CHANNEL)
_NOT_YET_VALID, _SELL_HOLD, _COOLING, _CAP_REACHED = (
    int(Reason.NOT_YET_VALID),
    int(Reason.SELL_HOLD),
    int(Reason.TRIGGER_COOLING_DOWN),
    int(Reason.CAP_REACHED),
)
_PAUSED, _UNKNOWN, _PRESSURE, _LOCATION_CAP = (
    int(Reason.CONTACT_POLICY_PAUSED),
    int(Reason.CONTACT_POLICY_UNKNOWN),
    int(Reason.PRESSURE_TOO_HIGH),
    int(Reason.LOCATION_CAP_REACHED),
)


@lean_kernel
def opens_at(tables: Tables, batch: Batch, customer: int, action: int, treatment: int, reason: int) -> float:
    """When the gate that stopped an action opens by itself, epoch seconds; NaN = it lacks no time."""
    if reason == _NOT_YET_VALID:
        return float(tables.validity[batch.requests[customer, 4], 2 * action])
    if reason == _SELL_HOLD:
        left = tables.settings[_HOLD_DAYS] - batch.facts[customer, 1]
        return float(batch.now[customer] + left * DAY_S)
    if reason == _COOLING:
        return cooled_at(tables, batch, customer, action)
    if reason == _CAP_REACHED:
        return _caps_open(tables, batch, customer, action)
    if reason == _PAUSED or reason == _UNKNOWN or reason == _PRESSURE or reason == _LOCATION_CAP:
        return _contact_opens(
            tables, batch, customer, action, int(tables.treatments[treatment, _T_CHANNEL]), reason
        )
    return np.nan


@lean_kernel
def _contact_opens(
    tables: Tables, batch: Batch, customer: int, action: int, channel: int, reason: int
) -> float:
    """Of contact policies, of pressure, or of both where a part of the history is lost that both ask for."""
    opens = -np.inf
    if reason == _PAUSED or reason == _UNKNOWN:
        opens = _policies_open(tables, batch, customer, action, channel)
    if reason != _PAUSED and tables.codes[action, _MANDATORY] == 0:
        opens = max(opens, _pressure_opens(tables, batch, customer, channel))
    return opens


@lean_kernel
def cooled_at(tables: Tables, batch: Batch, customer: int, action: int) -> float:
    """When the first of the action's triggers that cool down may fire again."""
    first = np.inf
    for k in range(tables.codes[action, _FIRST_TRIGGER], tables.codes[action, _LAST_TRIGGER]):
        trigger = int(tables.triggers[k])
        if holds(batch.true, customer, int(tables.trigger_conditions[trigger])):
            first = min(first, _trigger_cooled_at(tables, batch, customer, trigger))
    return first


@lean_kernel
def _trigger_cooled_at(tables: Tables, batch: Batch, customer: int, trigger: int) -> float:
    latest, now = -np.inf, batch.now[customer]
    if batch.requests[customer, 1] == _OUTBOUND:
        latest = batch.truncated[customer]
    for e in range(batch.starts[customer], batch.starts[customer + 1]):
        time = batch.entry_numbers[e, 0]
        if latest < time <= now and causes(tables, batch.entry_codes, batch.entry_bytes, e, trigger):
            latest = time
    return float(latest + tables.trigger_cool_down[trigger])


@lean_kernel
def _policies_open(tables: Tables, batch: Batch, customer: int, action: int, channel: int) -> float:
    """When the last of the action's contact policies lets through."""
    latest = -np.inf
    for policy in range(tables.codes[action, _FIRST_POLICY], tables.codes[action, _LAST_POLICY]):
        latest = max(latest, policy_opens(tables, batch, customer, action, channel, policy))
    return latest


@lean_kernel
def _caps_open(tables: Tables, batch: Batch, customer: int, action: int) -> float:
    """When so many contacts have left the windows of all caps that there is one more to give."""
    latest = -np.inf
    for cap in range(tables.codes[action, _FIRST_CAP], tables.codes[action, _LAST_CAP]):
        latest = max(latest, _cap_opens(tables, batch, customer, action, cap))
    return latest


@lean_kernel
def _cap_opens(tables: Tables, batch: Batch, customer: int, action: int, cap: int) -> float:
    most, within = tables.caps[cap, _CAP_COUNT], tables.cap_seconds[cap]
    lost, period = batch.requests[customer, 1] == _OUTBOUND, tables.caps[cap, _CAP_PERIOD]
    if most == 0:
        return np.inf
    if period >= 0:
        state, _ = cap_state(tables, batch, customer, action, cap)
        stops = state == PAUSED or (state != PASSES and lost)
        return period_ends(batch, customer, period) if stops else -np.inf
    latest = batch.truncated[customer] if lost else -np.inf
    for e in range(batch.starts[customer], batch.starts[customer + 1]):
        time = batch.entry_numbers[e, 0]
        # the cap is reached until the contact with `most` - 1 later ones has left the window
        if time > latest and _contacts_since(batch, customer, action, time) >= most:
            latest = time
    return float(latest + within)


@lean_kernel
def _contacts_since(batch: Batch, customer: int, action: int, since: float) -> int:
    """Contacts of an action in [since, now]."""
    count = 0
    for e in range(batch.starts[customer], batch.starts[customer + 1]):
        is_contact = batch.entry_bytes[e, 8] == _CONTACT and np.int64(batch.entry_codes[e, 4]) == action
        count += is_contact and since <= batch.entry_numbers[e, 0] <= batch.now[customer]
    return count


@lean_kernel
def _pressure_opens(tables: Tables, batch: Batch, customer: int, at: int) -> float:
    """When pressure has halved often enough for one more contact in channel `at`.

    Pressure falls by half in 7 days whatever made it, as long as nobody is contacted.
    """
    now, channel = batch.now[customer], tables.channels[at]
    pressure = batch.pressure[customer, 0]
    room = tables.stages[np.int64(batch.figures[customer, _STAGE]), 1] - channel[_WEIGHT]
    opens = max(now, batch.truncated[customer] + PRESSURE_MEMORY_DAYS * DAY_S)
    if pressure > room:
        if room <= 0.0:
            return np.inf
        wait_s = np.log2(pressure / room) * PRESSURE_HALF_LIFE_DAYS * DAY_S
        opens = max(opens, now + wait_s + 1.0)  # a second more, that rounding does not keep it shut
    if channel[_LOCATION] == 1.0:
        opens = max(opens, batch.pressure[customer, 1] + LOCATION_WINDOW_DAYS * DAY_S)
    return float(opens)
