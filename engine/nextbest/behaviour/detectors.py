"""Detectors of a change in one customer's own behaviour: EWMA baseline, CUSUM, robust z, silent drop.

Each completed period moves the stored baseline once. Source: domain model, section 7; CUSUM after
Page, Biometrika 41 (1954).
"""

import math
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from nextbest.kernels import kernel
from nextbest.model import DAY_S, F64, I64, U8
from nextbest.parameters import DetectorParameter
from nextbest.standard_facts import PERIODS, SPEND, series_names


class BaselineInput(IntEnum):
    """Stored state of the detector of spend per period; columns of a state matrix.

    PERIOD_1 is followed by the other periods kept.
    """

    BASELINE_MEAN = 0
    BASELINE_VARIANCE = 1
    CUSUM_UP = 2
    CUSUM_DOWN = 3
    BASELINE_N = 4
    PERIOD_1 = 5


_FIRST_PERIOD = int(BaselineInput.PERIOD_1)
BASELINE_FACTS = series_names(SPEND)[:-1]
"""Facts that hold the state of the series of spend, in the order of a state matrix's columns."""
_STATE = len(BASELINE_FACTS)


class Evidence(IntEnum):
    """The numbers behind a detector's verdict; columns of `BaselineUpdate.evidence`."""

    OBSERVED = 0
    """The period's value."""
    EXPECTED = 1
    """μ before the period."""
    DEVIATION = 2
    """√v before the period."""
    Z = 3
    ROBUST_Z = 4
    CUSUM_UP = 5
    """C⁺ with the period, before an alarm resets it."""
    CUSUM_DOWN = 6
    PERIODS = 7
    """Periods since the baseline (re)started, before this one."""


_EVIDENCE = len(Evidence)


class Baseline(NamedTuple):
    """A series' running baseline; mean and variance are NaN before the first period."""

    mean: float
    variance: float
    cusum_up: float
    cusum_down: float
    n: float
    """Known periods since the (re)start."""


class Verdict(NamedTuple):
    """What one period says."""

    z: float
    """Not clipped; NaN while the baseline is learnt or the period is missing."""
    cusum_up: float
    """Before an alarm resets it, NaN as above."""
    cusum_down: float
    alarm: int
    """-1 a drop, 1 a rise, 0 none."""


class BaselineUpdate(NamedTuple):
    """n customers' detectors after one period."""

    state: F64
    """(n, state) new values of `BASELINE_FACTS`."""
    alarm: I64
    """(n,) -1 a drop, 1 a rise, 0 none."""
    evidence: F64
    """(n, evidence) of `Evidence`, NaN = the detector is off."""


class SeriesScan(NamedTuple):
    """n series run through the detector from their first period to their last."""

    alarm: I64
    """(n, periods) -1 a drop, 1 a rise, 0 none."""
    z: F64
    """(n, periods) NaN = the detector was off."""
    state: F64
    """(n, state) values of `BASELINE_FACTS` after the last period."""


def fresh_states(n: int) -> F64:
    """(n, state) of series that nothing is known of yet."""
    states = np.full((n, _STATE), math.nan)
    states[:, BaselineInput.CUSUM_UP : BaselineInput.BASELINE_N + 1] = 0.0
    return states


@kernel
def floored_variance(mean: float, variance: float, parameters: F64) -> float:
    """The variance, at least (5 % of the mean)² and at least the series' own floor."""
    relative = parameters[DetectorParameter.RELATIVE_DEVIATION_FLOOR] * mean
    return max(variance, relative * relative, parameters[DetectorParameter.VARIANCE_FLOOR])


@kernel
def learn(baseline: Baseline, y: float, parameters: F64) -> Baseline:
    """Take one more period into a baseline that is still learnt: running mean and sample variance.

    Welford's update, so that a missing period in between does no harm.
    """
    n = baseline.n + 1.0
    if n == 1.0:
        return Baseline(y, 0.0, 0.0, 0.0, n)
    d = y - baseline.mean
    mean = baseline.mean + d / n
    variance = baseline.variance * (n - 2.0) / (n - 1.0) + d * d / n
    if n >= parameters[DetectorParameter.LEARNING_PERIODS]:
        variance = floored_variance(mean, variance, parameters)
    return Baseline(mean, variance, 0.0, 0.0, n)


@kernel
def standard_score(d: float, variance: float) -> float:
    """Deviation in standard deviations; 0 for no deviation at all, even of a series without variance."""
    if d == 0.0:
        return 0.0
    return d / math.sqrt(variance)


@kernel
def follow(baseline: Baseline, y: float, parameters: F64) -> tuple[Baseline, Verdict]:
    """Judge one period by a learnt baseline, then move the baseline unless the period is far off."""
    p = parameters
    d = y - baseline.mean
    z = standard_score(d, floored_variance(baseline.mean, baseline.variance, p))
    clipped = min(max(z, -p[DetectorParameter.Z_CLIP]), p[DetectorParameter.Z_CLIP])
    up = max(0.0, baseline.cusum_up + clipped - p[DetectorParameter.CUSUM_SLACK])
    down = max(0.0, baseline.cusum_down - clipped - p[DetectorParameter.CUSUM_SLACK])
    if max(up, down) > p[DetectorParameter.CUSUM_LIMIT]:
        alarm = 1 if up > down else -1
        return Baseline(math.nan, math.nan, 0.0, 0.0, 0.0), Verdict(z, up, down, alarm)
    mean, variance = baseline.mean, baseline.variance
    if abs(z) <= p[DetectorParameter.OUTLIER_Z]:
        rate = p[DetectorParameter.EWMA_RATE]
        mean += rate * d
        variance = floored_variance(mean, (1.0 - rate) * (baseline.variance + rate * d * d), p)
    return Baseline(mean, variance, up, down, baseline.n + 1.0), Verdict(z, up, down, 0)


@kernel
def usable(baseline: Baseline) -> Baseline:
    """The stored baseline, or a fresh one where the stored one is incomplete."""
    if baseline.n >= 1.0 and math.isfinite(baseline.mean) and baseline.variance >= 0.0:
        up = baseline.cusum_up if baseline.cusum_up > 0.0 else 0.0
        down = baseline.cusum_down if baseline.cusum_down > 0.0 else 0.0
        return Baseline(baseline.mean, baseline.variance, up, down, baseline.n)
    return Baseline(math.nan, math.nan, 0.0, 0.0, 0.0)


@kernel
def advance_baseline(baseline: Baseline, y: float, parameters: F64) -> tuple[Baseline, Verdict]:
    """One period: the baseline after it and what it says.

    Args:
        baseline: the stored state; an incomplete one starts afresh.
        y: the period's value; a missing or infinite one changes nothing.
        parameters: (detector parameters,) in the order of `parameters.DETECTOR_PARAMETERS`.

    Source: domain model, section 7. Oracle: `tests.naive.detectors.advance_baseline`.
    """
    ready = usable(baseline)
    off = Verdict(math.nan, math.nan, math.nan, 0)
    if not math.isfinite(y):
        return ready, off
    if ready.n < parameters[DetectorParameter.LEARNING_PERIODS]:
        return learn(ready, y, parameters), off
    return follow(ready, y, parameters)


@kernel
def insertion_sort(values: F64, count: int) -> None:
    """Sort the first few values in place; faster than a general sort up to some dozens."""
    for i in range(1, count):
        value = values[i]
        j = i
        while j > 0 and values[j - 1] > value:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value


@kernel
def median(values: F64, count: int) -> float:
    """Median of the first `count` ≥ 1 values, which are sorted in place."""
    insertion_sort(values, count)
    middle = count // 2
    if count % 2 == 1:
        return values[middle]
    return (values[middle - 1] + values[middle]) / 2.0


@kernel
def robust_z(history: F64, limit: int, y: float, parameters: F64, scratch: F64) -> float:
    """How far y lies from the median of a history, in robust standard deviations.

    Args:
        history: (periods,) latest first, NaN = missing.
        limit: how many of the latest known periods count.
        y: the value to judge.
        parameters: (detector parameters,).
        scratch: (periods,) overwritten.

    Returns:
        NaN when fewer than 6 known periods count or y is missing or infinite.

    Source: domain model, section 7. Oracle: `tests.naive.detectors.robust_z`.
    """
    if not math.isfinite(y):
        return math.nan
    count = 0
    for value in history:
        if math.isfinite(value) and count < limit:
            scratch[count] = value
            count += 1
    if count < parameters[DetectorParameter.LEARNING_PERIODS]:
        return math.nan
    centre = median(scratch, count)
    for i in range(count):
        scratch[i] = abs(scratch[i] - centre)
    relative = parameters[DetectorParameter.RELATIVE_MAD_FLOOR] * abs(centre)
    mad = max(median(scratch, count), relative, parameters[DetectorParameter.MAD_FLOOR])
    return (y - centre) / (parameters[DetectorParameter.MAD_SCALE] * mad)


@kernel
def advance_state(state: F64, y: float, parameters: F64, evidence: F64, scratch: F64) -> int:
    """Move one customer's (state,) by one period in place, fill `evidence`, return the alarm."""
    baseline = usable(Baseline(state[0], state[1], state[2], state[3], state[4]))
    after, verdict = advance_baseline(baseline, y, parameters)
    evidence[Evidence.OBSERVED] = y
    evidence[Evidence.EXPECTED] = math.nan
    evidence[Evidence.DEVIATION] = math.nan
    if not math.isnan(verdict.z):
        evidence[Evidence.EXPECTED] = baseline.mean
        variance = floored_variance(baseline.mean, baseline.variance, parameters)
        evidence[Evidence.DEVIATION] = math.sqrt(variance)
    evidence[Evidence.Z] = verdict.z
    # Periods from before an alarm belong to a level that is no more.
    limit = int(min(baseline.n, PERIODS))
    evidence[Evidence.ROBUST_Z] = robust_z(state[_FIRST_PERIOD:], limit, y, parameters, scratch)
    evidence[Evidence.CUSUM_UP] = verdict.cusum_up
    evidence[Evidence.CUSUM_DOWN] = verdict.cusum_down
    evidence[Evidence.PERIODS] = baseline.n
    state[0], state[1], state[2] = after.mean, after.variance, after.cusum_up
    state[3], state[4] = after.cusum_down, after.n
    for period in range(_STATE - 1, _FIRST_PERIOD, -1):
        state[period] = state[period - 1]
    state[_FIRST_PERIOD] = y if math.isfinite(y) else math.nan
    return verdict.alarm


@kernel
def advance_baselines(states: F64, y: F64, parameters: F64) -> BaselineUpdate:
    """Move n customers' detectors by one completed period.

    Args:
        states: (n, state) in the order of `BASELINE_FACTS`, NaN = missing.
        y: (n,) the period's value, NaN = missing.
        parameters: (detector parameters,) in the order of `parameters.DETECTOR_PARAMETERS`.

    Source: domain model, section 7. Oracle: `tests.naive.detectors.advance_state`.
    """
    n = len(y)
    after, evidence = states.copy(), np.empty((n, _EVIDENCE))
    alarm, scratch = np.empty(n, np.int64), np.empty(PERIODS)
    for i in range(n):
        alarm[i] = advance_state(after[i], y[i], parameters, evidence[i], scratch)
    return BaselineUpdate(after, alarm, evidence)


@kernel
def scan_series(series: F64, start: F64, parameters: F64) -> SeriesScan:
    """Run n series through the detector; loaders build the stored state from a history with it.

    Args:
        series: (n, periods) oldest first, NaN = missing.
        start: (n, state) where each begins; `fresh_states` for nothing known.
        parameters: (detector parameters,).

    Oracle: `tests.naive.detectors.advance_state`.
    """
    n, periods = series.shape
    alarm, z = np.empty((n, periods), np.int64), np.empty((n, periods))
    states, evidence, scratch = start.copy(), np.empty(_EVIDENCE), np.empty(PERIODS)
    for i in range(n):
        for period in range(periods):
            alarm[i, period] = advance_state(states[i], series[i, period], parameters, evidence, scratch)
            z[i, period] = evidence[Evidence.Z]
    return SeriesScan(alarm, z, states)


@kernel
def silent_drops(drop: F64, complaint_open: F64, complaint_at: F64, now: F64, parameters: F64) -> U8:
    """(n,) 1 where behaviour fell and the customer said nothing: time to listen.

    Args:
        drop: (n,) 1 where a negative change was found, NaN = unknown.
        complaint_open: (n,) 1, 0 or NaN.
        complaint_at: (n,) epoch seconds of the latest complaint, NaN = none known.
        now: (n,) epoch seconds.
        parameters: (detector parameters,).

    Oracle: `tests.naive.detectors.silent_drop`.
    """
    n = len(drop)
    silent = np.zeros(n, np.uint8)
    memory = parameters[DetectorParameter.SILENT_DAYS] * DAY_S
    for i in range(n):
        recent = now[i] - memory < complaint_at[i] <= now[i]
        if drop[i] == 1.0 and complaint_open[i] != 1.0 and not recent:
            silent[i] = 1
    return silent


@kernel
def fire(event: F64, fired_at: F64, now: F64, cool_down_days: float) -> tuple[U8, F64]:
    """Fire a trigger for n customers, unless it fired within its cool-down.

    Args:
        event: (n,) 1 where its condition holds now, NaN = unknown.
        fired_at: (n,) epoch seconds when it last fired, NaN = never.
        now: (n,) epoch seconds.
        cool_down_days: the window (now − cool-down, now] in which it fires once.

    Returns:
        (n,) 1 where it fires, and (n,) the time it last fired.

    Oracle: `tests.naive.detectors.fires`.
    """
    n = len(event)
    fires, last = np.zeros(n, np.uint8), fired_at.copy()
    for i in range(n):
        cooling = now[i] - cool_down_days * DAY_S < fired_at[i]
        if event[i] == 1.0 and not cooling:
            fires[i] = 1
            last[i] = now[i]
    return fires, last
