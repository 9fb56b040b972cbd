"""Contact pressure, cool-downs, policies and caps, straight over a list of entries (domain.md section 8).

A window of length W is (now − W, now]: what happened just now counts, what happened exactly W ago does
not, and nor does what has not happened yet. `tests.naive.plain.Entry` is what is counted.
"""

import math

from tests.naive import periods

DAY_S = 86400.0
HALF_LIFE_S = 7 * DAY_S
LOCATION_S = 7 * DAY_S
MEMORY_S = 10 * HALF_LIFE_S
"""What happened earlier weighs less than a thousandth, so that its loss is none."""
ANSWERS = {"clicked", "accepted", "rejected", "problem_solved"}
"""Outcomes that end a streak of ignored contacts. A complaint or an opt-out is no reason to press on."""


def within(entry, now, length):
    """Whether the entry lies in (now − length, now]."""
    return now - length < entry.time <= now


def is_cut(history, start):
    """Whether an entry later than `start` may be lost."""
    return history.truncated_before > start


def contacts(history, now, *, outbound_only=False):
    """Contacts up to now."""
    return [
        e
        for e in history.entries
        if e.kind == "contact" and e.time <= now and (e.direction == "outbound" or not outbound_only)
    ]


def pressure(history, now, weights):
    """P = Σ w 2^(−age / 7 d) over the contacts that the company started."""
    return math.fsum(
        weights.get(e.channel, 0.0) * 2.0 ** (-(now - e.time) / HALF_LIFE_S)
        for e in contacts(history, now, outbound_only=True)
    )


def ignored_streak(history, now):
    """Outbound contacts ignored in a row, the latest first, until one the customer answered."""
    outcomes = [
        e for e in history.entries if e.kind == "outcome" and e.direction == "outbound" and e.time <= now
    ]
    streak = 0
    for entry in sorted(outcomes, key=lambda e: e.time)[::-1]:
        if entry.outcome in ANSWERS:
            break
        streak += entry.outcome == "ignored"
    return streak


def effective_pressure(amount, streak):
    """P_eff."""
    return amount * (1 + 0.25 * streak)


def blocks(effective, weight, cap):
    """Whether one more outbound contact of this weight is too much."""
    return effective + weight > cap


def pressure_factor(effective, cap, direction):
    """q: 1 when the customer starts, else √(1 − P_eff / cap)."""
    if direction == "inbound":
        return 1.0
    return math.sqrt(max(0.0, 1 - effective / cap)) if cap > 0 else 0.0


def counted(limit, entry, *, rulebook, action, channel):
    """Whether a limit of `action`, asked for a contact over `channel`, counts the entry."""
    if entry.outcome not in limit.outcomes:
        return False
    if limit.scope == "action":
        return entry.action == action.id
    if limit.scope == "group":
        return action.group is not None and rulebook.group_of(entry.action) == action.group
    if limit.scope == "channel":
        return entry.channel == (limit.channel or channel)
    return True


def paused(limit, history, now, *, rulebook, action, channel):
    """(True, end of the pause), (False, None), or (None, None) where lost entries could make it true.

    The n-th outcome within the window starts the pause: there is an outcome in (now − pause, now] which
    closes a window (its time − within, its time] of at least so many.
    """
    times = [
        e.time
        for e in history.entries
        if e.time <= now and counted(limit, e, rulebook=rulebook, action=action, channel=channel)
    ]
    if limit.period:
        return paused_for_a_period(limit, history, times, now)
    if end := pause_end(limit, times, now):
        return True, end
    for last in [*times, now]:
        # Suppose as many as are needed were lost, as late as they can have been: is that a pause?
        lost = [min(history.truncated_before, last)] * limit.at_least
        if pause_end(limit, [*times, *lost], now):
            return None, None
    return False, None


def paused_for_a_period(limit, history, times, now):
    """Enough of them in the calendar period: paused until it ends."""
    first, following = periods.bounds(limit.period[0], now, limit.period[1])
    if sum(1 for t in times if t >= first) >= limit.at_least:
        return True, following
    return (None if history.truncated_before >= first else False), None


def pause_end(limit, times, now):
    """When the pause that these outcomes started is over; None = there is none."""
    ends = [
        last + limit.pause_s
        for last in times
        if last > now - limit.pause_s
        and sum(1 for t in times if last - limit.within_s < t <= last) >= limit.at_least
    ]
    return max(ends, default=None)


def capped(cap, history, now, action_id):
    """True, False or None: whether the action has had its contacts in the window. Second: their count."""
    own = [e for e in contacts(history, now) if e.action == action_id]
    if cap.period:
        first, _ = periods.bounds(cap.period[0], now, cap.period[1])
        count, cut = sum(1 for e in own if e.time >= first), history.truncated_before >= first
    else:
        count, cut = sum(1 for e in own if within(e, now, cap.within_s)), is_cut(history, now - cap.within_s)
    if count >= cap.at_most:
        return True, count
    return (None if cut else False), count


def cooling_down(rulebook, trigger_id, cool_down_s, history, now):
    """True, False or None: whether a contact that the trigger caused lies within its cool-down.

    A contact that does not say its trigger may have been caused by any trigger of its action.
    """
    if any(now - cool_down_s < time for time in caused_by(rulebook, trigger_id, history, now)):
        return True
    return None if cool_down_s > 0 and is_cut(history, now - cool_down_s) else False


def caused_by(rulebook, trigger_id, history, now):
    """Times of the contacts up to now that a trigger caused, or may have."""
    of_action = {a.id: a.triggers for a in rulebook.actions}
    return [
        entry.time
        for entry in contacts(history, now)
        if trigger_id in (of_action.get(entry.action, ()) if entry.trigger is None else (entry.trigger,))
    ]


def latest_location_push(history, now, location_channels):
    """When a location push went out last; None = never."""
    sent = contacts(history, now, outbound_only=True)
    return max((e.time for e in sent if e.channel in location_channels), default=None)


def opted_out(history, now, action_id):
    """Whether the customer ever opted out of this action."""
    return any(e.outcome == "opted_out" and e.action == action_id and e.time <= now for e in history.entries)


def rejected_lately(history, now, action_id):
    """Whether the customer rejected this action within 60 days."""
    return any(
        e.outcome == "rejected" and e.action == action_id and within(e, now, 60 * DAY_S)
        for e in history.entries
    )
