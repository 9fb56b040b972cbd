"""Detectors as domain.md section 7 words them: whole histories in lists, None for a missing period."""

import math
import statistics

DAY_S = 86400.0
LEARN = 6


def floor_variance(mean, variance, v_floor):
    """The variance with both floors."""
    return max(variance, (0.05 * mean) ** 2, v_floor)


def fresh():
    """A detector that knows nothing yet."""
    return {"mean": None, "variance": None, "up": 0.0, "down": 0.0, "n": 0, "learning": []}


def advance_baseline(state, y, *, v_floor=1.0, alpha=0.2, k=0.5, h=4.0):
    """(new state, z or None, C+ and C- before a reset, alarm)."""
    state = dict(state)
    if y is None or not math.isfinite(y):
        return state, None, None, 0
    if state["n"] < LEARN:
        state["learning"] = [*state["learning"], y]
        state["n"] += 1
        state["mean"] = statistics.mean(state["learning"])
        state["variance"] = statistics.variance(state["learning"]) if state["n"] > 1 else 0.0
        if state["n"] == LEARN:
            state["variance"] = floor_variance(state["mean"], state["variance"], v_floor)
        return state, None, None, 0
    spread = math.sqrt(floor_variance(state["mean"], state["variance"], v_floor))
    d = y - state["mean"]
    z = 0.0 if d == 0 else (d / spread if spread > 0 else math.copysign(math.inf, d))
    clipped = max(-4.0, min(4.0, z))
    up = max(0.0, state["up"] + clipped - k)
    down = max(0.0, state["down"] - clipped - k)
    if up > h or down > h:
        return fresh(), z, (up, down), (1 if up > h else -1)
    state.update(up=up, down=down, n=state["n"] + 1)
    if abs(z) <= 3:
        state["mean"] = state["mean"] + alpha * d
        state["variance"] = floor_variance(
            state["mean"], (1 - alpha) * (state["variance"] + alpha * d * d), v_floor
        )
    return state, z, (up, down), 0


def robust_z(history, y, *, mad_floor=1.0):
    """`history` in any order, already limited to what counts; None = missing."""
    known = [v for v in history if v is not None and math.isfinite(v)]
    if len(known) < LEARN or y is None or not math.isfinite(y):
        return None
    med = statistics.median(known)
    mad = max(statistics.median(abs(v - med) for v in known), 0.05 * abs(med), mad_floor)
    return (y - med) / (1.4826 * mad)


def advance_state(series, *, v_floor=1.0, mad_floor=1.0):
    """Run one series from nothing: list of (z, robust z, alarm) by period, and the last state."""
    state, since_restart, verdicts = fresh(), [], []
    for y in series:
        robust = robust_z(since_restart[-12:], y, mad_floor=mad_floor)
        # The ring keeps 12 periods, missing ones included.
        state, z, _, alarm = advance_baseline(state, y, v_floor=v_floor)
        verdicts.append((z, robust, alarm))
        since_restart = [] if alarm else [*since_restart, y]
    return verdicts, state


def silent_drop(*, drop, complaint_open, complaint_at, now):
    """A drop without a complaint that is open or came in the last 90 days."""
    complained = complaint_open is True or (
        complaint_at is not None and now - 90 * DAY_S < complaint_at <= now
    )
    return drop is True and not complained


def fires(*, event, fired_at, now, cool_down_days):
    """The event holds and the trigger is not cooling down."""
    cooling = fired_at is not None and fired_at > now - cool_down_days * DAY_S
    return event is True and not cooling


def average_run_length(*, k=0.5, h=4.0, clip=4.0, states=200):
    """Periods to the first one-sided alarm on N(0, 1) with known mean and variance.

    Markov chain of Brook & Evans, Biometrika 59 (1972): C+ cut into `states` bins.
    """
    import numpy as np

    def phi(x):
        return 0.5 * math.erfc(-x / math.sqrt(2))

    def clipped_phi(x):
        if x >= clip:
            return 1.0
        return 0.0 if x < -clip else phi(x)

    width = 2 * h / (2 * states - 1)
    matrix = np.zeros((states, states))
    for i in range(states):
        level = i * width
        for j in range(states):
            # Moving to bin j asks for a clipped z between these bounds.
            high = (j + 0.5) * width - level + k
            low = -math.inf if j == 0 else (j - 0.5) * width - level + k
            matrix[i, j] = clipped_phi(high) - clipped_phi(low)
    return float(np.linalg.solve(np.eye(states) - matrix, np.ones(states))[0])
