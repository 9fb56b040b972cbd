"""Contact pressure, cool-downs, contact policies and caps, read from a customer's contact history.

All windows are half-open, (now − W, now], on event time. Entries later than `now` are not yet
known and count nowhere.
"""

import numpy as np

from nextbest.action.tables import Batch, Cap, ChannelNumber, Code, Policy, Tables, unpack_tables
from nextbest.arena import Arena
from nextbest.kernels import lean_kernel
from nextbest.model import DAY_S, F64, I32, I64, U8, U32, U64, Direction, EntryKind, Outcome
from nextbest.rulebook.actions import PolicyScope

PRESSURE_HALF_LIFE_DAYS = 7.0
"""Half-life of a contact's pressure."""
IGNORED_STEP = 0.25
"""Each contact of the latest ignored streak raises pressure by this share."""
PRESSURE_MEMORY_DAYS = 70.0
"""An older contact weighs less than a thousandth of a new one: history lost before that is no loss."""
LOCATION_WINDOW_DAYS = 7.0
"""At most one location push within this window."""
REJECTED_DAYS_S = 60.0 * DAY_S
"""So long a rejection of an action dampens its relevance, seconds."""

_CONTACT, _OUTCOME = int(EntryKind.CONTACT), int(EntryKind.OUTCOME)
_OUTBOUND = int(Direction.OUTBOUND)
_IGNORED, _REJECTED = int(Outcome.IGNORED), int(Outcome.REJECTED)
_ANSWERS = sum(
    1 << int(o) for o in (Outcome.CLICKED, Outcome.ACCEPTED, Outcome.REJECTED, Outcome.PROBLEM_SOLVED)
)
_OUTBOUND_WEIGHT, _LOCATION_BOUND = int(ChannelNumber.OUTBOUND_WEIGHT), int(ChannelNumber.LOCATION_BOUND)
_GROUP = int(Code.GROUP)
_FIRST_TRIGGER, _LAST_TRIGGER = int(Code.FIRST_TRIGGER), int(Code.LAST_TRIGGER)
_ACTION_SCOPE, _GROUP_SCOPE, _CHANNEL_SCOPE = (
    int(PolicyScope.ACTION),
    int(PolicyScope.GROUP),
    int(PolicyScope.CHANNEL),
)
_SCOPE, _OUTCOMES, _AT_LEAST, _CHANNEL, _PERIOD = (
    int(Policy.SCOPE),
    int(Policy.OUTCOMES),
    int(Policy.AT_LEAST),
    int(Policy.CHANNEL),
    int(Policy.PERIOD),
)
_CAP_COUNT, _CAP_PERIOD = int(Cap.COUNT), int(Cap.PERIOD)

_HALF_LIFE_S = PRESSURE_HALF_LIFE_DAYS * DAY_S
_STEPS, _LN2 = 32, float(np.log(2.0))
_WHOLE, _PARTS = np.exp2(-np.arange(501.0)), np.exp2(-np.arange(_STEPS) / _STEPS)
"""2^−k, and 2^(−k/32)."""
SEEN_CONTACT, SEEN_REJECTED_LATELY = 1 << 10, 1 << 11
"""Marks of `fill_seen` beside one for each outcome: a contact; a rejection within 60 days."""
SEEN_OPTED_OUT = 1 << int(Outcome.OPTED_OUT)
_OUTCOMES_SEEN = (1 << 10) - 1
_ONE, _ZERO = np.uint64(1), np.uint64(0)
PASSES, PAUSED, UNKNOWN = 0, 1, 2
"""Answers of `policy_state`."""


@lean_kernel
def contact_pressure(
    numbers: F64, octets: U8, first: int, last: int, now: float, channels: F64
) -> tuple[float, float]:
    """Pressure P_eff of one customer, and the time of the latest location-bound contact.

    P = Σ w_ch·2^(−age/7 d) over outbound contacts; P_eff = P·(1 + .25·ignored streak), the streak
    being the outbound contacts ignored since the customer last answered one. What a customer who
    comes to us does not look at is no contact ignored; a complaint does not lift the pressure.

    Args:
        numbers: (m, 9) entries as float64, see `Batch.entry_numbers`.
        octets: (m, 72) entries as bytes.
        first: The customer's first entry.
        last: One past the last.
        now: Epoch seconds.
        channels: (C, ChannelNumber).

    Returns:
        Pressure in units of one e-mail, and epoch seconds (-inf if there was no such contact).

    Source: domain model, section 8. Oracle: tests/naive/contact.py.
    """
    pressure, streak, located = 0.0, 0, -np.inf
    for e in range(np.uint64(first), np.uint64(last)):
        # without branches: whether an entry is a contact, and whose, is a coin that no processor guesses
        time, kind, channel, outcome = numbers[e, 0], octets[e, 8], octets[e, 9], octets[e, 12]
        ours = (time <= now) & (octets[e, 10] == _OUTBOUND)
        answered = ours & (kind == _OUTCOME) & ((_ANSWERS >> np.int64(outcome)) & 1 == 1)
        ignored = ours & (kind == _OUTCOME) & (outcome == _IGNORED)
        streak = 0 if answered else streak + (1 if ignored else 0)
        counts = ours & (kind == _CONTACT) & (channel < len(channels))
        known = np.uint64(channel if channel < len(channels) else 0)
        # fetched whether it counts or not: only then does the compiler choose, and not branch
        weight = channels[known, _OUTBOUND_WEIGHT]
        pressure += (weight if counts else 0.0) * halved((now - time) / _HALF_LIFE_S)
        local = counts & (channels[known, _LOCATION_BOUND] == 1.0)
        located = time if local & (time > located) else located
    return pressure * (1.0 + IGNORED_STEP * streak), located


@lean_kernel
def halved(half_lives: float) -> float:
    """2^−x to a unit in the last place or two; 0 where x is NaN, negative or above 500 (scalar kernel).

    Whole powers and thirty-second parts come from tables, the rest is a Taylor series: a call of `exp2` takes
    three times as long, and nothing else may go on meanwhile.

    Oracle: `2.0 ** -x`.
    """
    inside = 0.0 <= half_lives <= 500.0
    x = half_lives if inside else 0.0
    steps = np.floor(x * _STEPS + 0.5)
    step, rest = np.uint64(steps), (steps / _STEPS - x) * _LN2
    series = 1.0 / 24.0 + rest * (1.0 / 120.0 + rest * (1.0 / 720.0))
    series = rest * (1.0 + rest * (1.0 / 2.0 + rest * (1.0 / 6.0 + rest * series)))
    power = _WHOLE[step // np.uint64(_STEPS)] * _PARTS[step % np.uint64(_STEPS)]
    return power + power * series if inside else 0.0


@lean_kernel
def _cool(trigger: int, customer: int, age: float, cool_down: F64, cooling: U64) -> None:
    if 0.0 <= age < cool_down[trigger]:
        cooling[trigger, customer >> 6] |= np.uint64(1) << np.uint64(customer & 63)


@lean_kernel
def fill_cooling(
    numbers: F64,
    codes: U32,
    octets: U8,
    starts: I64,
    truncated: F64,
    direction: I32,
    now: F64,
    arena: Arena,
    cooling: U64,
) -> None:
    """Mark in `cooling` (triggers, blocks) the customers with a recent contact caused by the trigger.

    A contact that does not say its trigger counts for every trigger of its action. Where such a
    contact may have been lost, the trigger cools down for outbound requests only. `arena` holds the
    packed rulebook's `Tables`.
    """
    tables = unpack_tables(arena)
    longest = 0.0
    for trigger in range(len(tables.trigger_cool_down)):
        longest = max(longest, tables.trigger_cool_down[trigger])
    triggers = np.uint64(len(tables.trigger_cool_down))
    for i in range(len(now)):
        block, bit = np.uint64(i >> 6), _ONE << np.uint64(i & 63)
        if direction[i] == _OUTBOUND and truncated[i] > -np.inf:
            for trigger in range(len(tables.trigger_cool_down)):
                _cool(trigger, i, max(now[i] - truncated[i], 0.0), tables.trigger_cool_down, cooling)
        for e in range(np.uint64(starts[i]), np.uint64(starts[i + 1])):
            age = now[i] - numbers[e, 0]
            # age first: entries mostly come by time, so that it is guessed right, and a kind is not
            if not 0.0 <= age < longest:
                continue
            trigger, action = np.uint64(codes[e, 6]), np.int64(codes[e, 4])  # as `causes` reads them
            named, other = trigger < triggers, octets[e, 8] ^ _CONTACT
            at = trigger if named else _ZERO
            cools = named & (other == 0) & (age < tables.trigger_cool_down[at])
            cooling[at, block] |= bit if cools else _ZERO
            # asked in one, for two questions are two branches, and either is a coin
            if other | (1 if named else 0) == 0 and action < len(tables.codes):
                for k in range(tables.codes[action, _FIRST_TRIGGER], tables.codes[action, _LAST_TRIGGER]):
                    _cool(int(tables.triggers[k]), i, age, tables.trigger_cool_down, cooling)


@lean_kernel
def causes(tables: Tables, codes: U32, octets: U8, e: int, trigger: int) -> bool:
    """Whether entry `e` is a contact after which a trigger cools down, see `fill_cooling`."""
    its_trigger, action = np.int64(codes[e, 6]), np.int64(codes[e, 4])
    if octets[e, 8] != _CONTACT:
        return False
    if its_trigger < len(tables.trigger_cool_down):
        return bool(its_trigger == trigger)
    found = False
    if action < len(tables.codes):
        for k in range(tables.codes[action, _FIRST_TRIGGER], tables.codes[action, _LAST_TRIGGER]):
            found = found or tables.triggers[k] == trigger
    return found


@lean_kernel
def fill_seen(tables: Tables, batch: Batch, customer: int) -> None:
    """Write into the customer's lane of `seen`, which is empty, what the history up to now holds.

    A mark has bit o where there is an entry with outcome o, and `SEEN_CONTACT` and
    `SEEN_REJECTED_LATELY`. Most actions and groups have none, and then no window need be counted.
    """
    seen, lane, now, actions = batch.seen, customer & 63, batch.now[customer], len(tables.codes)
    everything = 0
    for e in range(np.uint64(batch.starts[customer]), np.uint64(batch.starts[customer + 1])):
        time, action = batch.entry_numbers[e, 0], np.int64(batch.entry_codes[e, 4])
        if time > now:
            continue
        outcome = np.int64(batch.entry_bytes[e, 12])
        mark = (1 << outcome) & _OUTCOMES_SEEN
        everything |= mark
        if action >= actions:
            continue
        if batch.entry_bytes[e, 8] == _CONTACT:
            mark |= SEEN_CONTACT
        if outcome == _REJECTED and time > now - REJECTED_DAYS_S:
            mark |= SEEN_REJECTED_LATELY
        seen[action, lane] |= np.uint16(mark)
        group = tables.codes[action, _GROUP]
        if group >= 0:
            seen[actions + group, lane] |= np.uint16(mark)
    seen[len(seen) - 1, lane] = np.uint16(everything)


@lean_kernel
def _seen_in_scope(tables: Tables, batch: Batch, customer: int, policy: int, action: int) -> int:
    """The mark of what a policy counts for an action, and perhaps of more."""
    seen, lane = batch.seen, customer & 63
    scope = tables.policies[policy, _SCOPE]
    if scope == _ACTION_SCOPE:
        return int(seen[action, lane])
    if scope == _GROUP_SCOPE:
        group = tables.codes[action, _GROUP]
        return int(seen[len(tables.codes) + group, lane]) if group >= 0 else 0
    return int(seen[len(seen) - 1, lane])


@lean_kernel
def _in_scope(tables: Tables, batch: Batch, e: int, policy: int, action: int, channel: int) -> bool:
    scope = tables.policies[policy, _SCOPE]
    other = np.int64(batch.entry_codes[e, 4])
    if scope == _ACTION_SCOPE:
        return other == action
    if scope == _GROUP_SCOPE:
        group = tables.codes[action, _GROUP]
        return bool(group >= 0 and other < len(tables.codes) and tables.codes[other, _GROUP] == group)
    if scope == _CHANNEL_SCOPE:
        wanted = tables.policies[policy, _CHANNEL]
        return bool(np.int64(batch.entry_bytes[e, 9]) == (wanted if wanted >= 0 else channel))
    return True


@lean_kernel
def opens_after(batch: Batch, customer: int, period: int, within: float) -> float:
    """After which moment a window counts: it rolls, or is the calendar period now."""
    return batch.now[customer] - within if period < 0 else batch.periods[customer, 2 * period]


@lean_kernel
def _state_in_period(
    tables: Tables, batch: Batch, customer: int, action: int, channel: int, policy: int
) -> tuple[int, float]:
    """`policy_state` of a policy that counts in a calendar period."""
    period, now, count = tables.policies[policy, _PERIOD], batch.now[customer], 0
    before = opens_after(batch, customer, period, 0.0)
    for e in range(batch.starts[customer], batch.starts[customer + 1]):
        if before < batch.entry_numbers[e, 0] <= now:
            count += _tracked(tables, batch, e, policy, action, channel)
    if count >= tables.policies[policy, _AT_LEAST]:
        return PAUSED, batch.periods[customer, 2 * period + 1]
    return (UNKNOWN if batch.truncated[customer] > before else PASSES), -np.inf


@lean_kernel
def policy_state(
    tables: Tables, batch: Batch, customer: int, action: int, channel: int, policy: int
) -> tuple[int, float]:
    """Whether one contact policy pauses the action: `PASSES`, `PAUSED` or `UNKNOWN`.

    An outcome that closes a window of `at_least` tracked ones within `within` pauses for `pause`.
    The answer is UNKNOWN only where entries lost before `truncated` could have paused: one of them
    may have closed such a window itself, or may fill the window of an outcome that is known.

    One that counts in a calendar period pauses until that ends.

    Returns:
        The answer, and when the pause ends (epoch seconds; -inf if none).
    """
    if tables.policies[policy, _PERIOD] >= 0:
        return _state_in_period(tables, batch, customer, action, channel, policy)
    now, truncated = batch.now[customer], batch.truncated[customer]
    within, pause = tables.policy_seconds[policy, 0], tables.policy_seconds[policy, 1]
    first, last = np.uint64(batch.starts[customer]), np.uint64(batch.starts[customer + 1])
    ends = -np.inf
    unknown = truncated > now - pause
    outcomes = tables.policies[policy, _OUTCOMES]
    seen = _seen_in_scope(tables, batch, customer, policy, action)
    if outcomes & seen == 0 or not _any_since(batch, first, last, now - pause, now, outcomes):
        return (UNKNOWN if unknown else PASSES), ends
    for e in range(first, last):
        time = batch.entry_numbers[e, 0]
        if time > now or time <= now - pause or not _tracked(tables, batch, e, policy, action, channel):
            continue
        count = 0
        for other in range(first, last):
            if time - within < batch.entry_numbers[other, 0] <= time:
                count += _tracked(tables, batch, other, policy, action, channel)
        if count >= tables.policies[policy, _AT_LEAST]:
            ends = max(ends, time + pause)
        unknown = unknown or truncated > time - within
    if ends > -np.inf:
        return PAUSED, ends
    return (UNKNOWN if unknown else PASSES), -np.inf


@lean_kernel
def _any_since(
    batch: Batch, first: np.uint64, last: np.uint64, since: float, now: float, outcomes: int
) -> bool:
    """Whether an entry in (since, now] has one of some outcomes; without a branch, for mostly none has."""
    found = False
    for e in range(first, last):
        time, outcome = batch.entry_numbers[e, 0], np.int64(batch.entry_bytes[e, 12])
        found |= (since < time) & (time <= now) & ((outcomes >> outcome) & 1 == 1)
    return found


@lean_kernel
def policy_opens(
    tables: Tables, batch: Batch, customer: int, action: int, channel: int, policy: int
) -> float:
    """From when on one contact policy lets the action through, no contact in between; -inf = it does.

    An outcome that closes a window pauses until `pause` has passed. For outbound contact so does one of
    which that cannot be told, because the window may reach into what was lost; and what was lost itself.
    """
    if tables.policies[policy, _PERIOD] >= 0:
        return _period_opens(tables, batch, customer, action, channel, policy)
    now, truncated = batch.now[customer], batch.truncated[customer]
    outbound = batch.requests[customer, 1] == _OUTBOUND
    within, pause = tables.policy_seconds[policy, 0], tables.policy_seconds[policy, 1]
    first, last = batch.starts[customer], batch.starts[customer + 1]
    latest = truncated if outbound else -np.inf
    for e in range(first, last):
        time = batch.entry_numbers[e, 0]
        if time > now or time <= latest or not _tracked(tables, batch, e, policy, action, channel):
            continue
        count = 0
        for other in range(first, last):
            if time - within < batch.entry_numbers[other, 0] <= time:
                count += _tracked(tables, batch, other, policy, action, channel)
        if count >= tables.policies[policy, _AT_LEAST] or (outbound and truncated > time - within):
            latest = time
    return float(latest + pause)


@lean_kernel
def policy_reach(
    tables: Tables, batch: Batch, customer: int, action: int, channel: int, policy: int
) -> float:
    """Over how many seconds history must be known, so that a policy which is UNKNOWN can be told."""
    period, lost = tables.policies[policy, _PERIOD], batch.truncated[customer]
    if period >= 0:
        return float(batch.now[customer] - opens_after(batch, customer, period, 0.0))
    opens = policy_opens(tables, batch, customer, action, channel, policy)
    return opens - lost if lost < np.inf else float(tables.policy_seconds[policy, 1])


@lean_kernel
def _period_opens(
    tables: Tables, batch: Batch, customer: int, action: int, channel: int, policy: int
) -> float:
    """`policy_opens` of a policy that counts in a calendar period: when that is over, if it stops at all."""
    state, _ = _state_in_period(tables, batch, customer, action, channel, policy)
    if state == PASSES or (state == UNKNOWN and batch.requests[customer, 1] != _OUTBOUND):
        return -np.inf
    return period_ends(batch, customer, tables.policies[policy, _PERIOD])


@lean_kernel
def period_ends(batch: Batch, customer: int, period: int) -> float:
    """End of a calendar period; inf where history is lost to beyond it, so that the next cannot be told."""
    ends = batch.periods[customer, 2 * period + 1]
    lost = batch.requests[customer, 1] == _OUTBOUND and batch.truncated[customer] > ends
    return np.inf if lost else float(ends)


@lean_kernel
def _tracked(tables: Tables, batch: Batch, e: int, policy: int, action: int, channel: int) -> bool:
    wanted = (tables.policies[policy, _OUTCOMES] >> np.int64(batch.entry_bytes[e, 12])) & 1 == 1
    return wanted and _in_scope(tables, batch, e, policy, action, channel)


@lean_kernel
def cap_state(tables: Tables, batch: Batch, customer: int, action: int, cap: int) -> tuple[int, int]:
    """Whether a per-customer cap is reached: `PASSES`, `PAUSED` or `UNKNOWN`, and the contacts counted."""
    now = batch.now[customer]
    before = opens_after(batch, customer, tables.caps[cap, _CAP_PERIOD], tables.cap_seconds[cap])
    count, first, last = 0, np.uint64(batch.starts[customer]), np.uint64(batch.starts[customer + 1])
    if batch.seen[action, customer & 63] & SEEN_CONTACT == 0:
        last = first
    for e in range(first, last):
        if (
            batch.entry_bytes[e, 8] == _CONTACT
            and np.int64(batch.entry_codes[e, 4]) == action
            and before < batch.entry_numbers[e, 0] <= now
        ):
            count += 1
    if count >= tables.caps[cap, _CAP_COUNT]:
        return PAUSED, count
    return (UNKNOWN if batch.truncated[customer] > before else PASSES), count
