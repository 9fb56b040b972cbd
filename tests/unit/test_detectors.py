"""EWMA, CUSUM, robust z, silent drop and cool-down against the vectors and the oracle."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.hostile import LENGTHS, batch
from tests.naive import detectors as naive
from tests.unit.behaviour_rows import CATALOGUE, DAY, NOW, TIMES, TRUTHS, array, as_float, maybe

from nextbest.behaviour.detectors import (
    BASELINE_FACTS,
    Baseline,
    BaselineInput,
    Evidence,
    advance_baseline,
    advance_baselines,
    fire,
    fresh_states,
    robust_z,
    scan_series,
    silent_drops,
)
from nextbest.behaviour.false_alarms import false_alarm_rate, rate_over_series
from nextbest.parameters import DETECTOR_PARAMETERS, DetectorParameter, default_detector_parameters
from nextbest.standard_facts import SPEND, series_names

VECTORS = {v["name"]: v for v in json.loads((Path(__file__).parents[1] / "vectors.json").read_text())}
PARAMETERS = default_detector_parameters()
PERIODS = st.none() | st.floats(0, 400) | st.sampled_from([0.0, 100.0, 5e-324, math.inf, -math.inf, 1e6])
SERIES = st.lists(PERIODS, min_size=1, max_size=60)


def with_parameters(**changed):
    """The published constants with some changed."""
    parameters = PARAMETERS.copy()
    for name, value in changed.items():
        parameters[DetectorParameter[name.upper()]] = value
    return parameters


def scan(*series, parameters=PARAMETERS):
    """Series run from nothing."""
    return scan_series(np.array([array(*s) for s in series]), fresh_states(len(series)), parameters)


def test_cusum_of_the_published_vector():
    """The published series gives the published z and C-, alarms in period five, and then restarts."""
    given_, out = VECTORS["cusum"]["in"], VECTORS["cusum"]["out"]
    constants = PARAMETERS[
        [DetectorParameter.EWMA_RATE, DetectorParameter.CUSUM_SLACK, DetectorParameter.CUSUM_LIMIT]
    ]
    assert constants.tolist() == [given_["alpha"], given_["k"], given_["h"]]
    baseline = Baseline(float(given_["m"]), float(given_["v"]), 0.0, 0.0, 6.0)
    for period, y in enumerate(given_["y"][: out["alarm_at"]]):
        baseline, verdict = advance_baseline(baseline, float(y), PARAMETERS)
        assert verdict.z == pytest.approx(out["z"][period], abs=1e-7)
        assert verdict.cusum_down == pytest.approx(out["c_minus"][period], abs=1e-7)
        assert verdict.alarm == (-1 if period + 1 == out["alarm_at"] else 0)
    # The vector goes on without the reset of section 7; here the restart follows.
    assert (baseline.cusum_up, baseline.cusum_down, baseline.n) == (0.0, 0.0, 0.0)
    baseline, verdict = advance_baseline(baseline, float(given_["y"][-1]), PARAMETERS)
    assert (verdict.alarm, baseline.n) == (0, 1.0)
    assert math.isnan(verdict.z)


def test_robust_z_of_the_published_vector():
    """The published history gives the published robust z."""
    history = np.array(VECTORS["robust_z"]["in"]["history"], float)
    found = robust_z(history, len(history), float(VECTORS["robust_z"]["in"]["y"]), PARAMETERS, history.copy())
    assert found == pytest.approx(VECTORS["robust_z"]["out"], abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(series=SERIES, v_floor=st.sampled_from([0.0, 1.0, 400.0]))
def test_detector_equals_the_oracle(series, v_floor):
    """Verdicts and last state equal the text's over whole histories with gaps and restarts."""
    found = scan(series, parameters=with_parameters(variance_floor=v_floor))
    verdicts, state = naive.advance_state(series, v_floor=v_floor)
    assert found.alarm[0].tolist() == [alarm for _, _, alarm in verdicts]
    wanted = [as_float(z) for z, _, _ in verdicts]
    assert found.z[0] == pytest.approx(wanted, rel=1e-6, abs=1e-6, nan_ok=True)
    assert found.state[0, BaselineInput.BASELINE_N] == state["n"]
    assert found.state[0, BaselineInput.BASELINE_MEAN] == pytest.approx(
        as_float(state["mean"]), rel=1e-9, abs=1e-9, nan_ok=True
    )
    assert found.state[0, BaselineInput.BASELINE_VARIANCE] == pytest.approx(
        as_float(state["variance"]), rel=1e-6, abs=1e-6, nan_ok=True
    )
    last = [*reversed(series), *[None] * 12][:12]
    ring = [as_float(y if y is not None and math.isfinite(y) else None) for y in last]
    np.testing.assert_array_equal(found.state[0, BaselineInput.PERIOD_1 :], ring)


@pytest.mark.parametrize("n", LENGTHS)
def test_hostile_series_equal_the_oracle(n):
    """Negative, denormal, huge and infinite periods, in any number of series at once."""
    rng = np.random.default_rng([n, 7])
    series = np.clip(batch(rng, n * 30, (80.0, 120.0), hostile=0.2), -1e9, 1e9).reshape(n, 30)
    series = np.where(rng.random(series.shape) < 0.1, math.inf, series)
    found = scan_series(series, fresh_states(n), PARAMETERS)
    for i in range(n):
        verdicts, state = naive.advance_state([None if math.isnan(y) else y for y in series[i].tolist()])
        assert found.alarm[i].tolist() == [alarm for _, _, alarm in verdicts]
        wanted = [as_float(z) for z, _, _ in verdicts]
        assert found.z[i] == pytest.approx(wanted, rel=1e-6, abs=1e-6, nan_ok=True)
        held = found.state[i, [BaselineInput.BASELINE_MEAN, BaselineInput.BASELINE_VARIANCE]]
        kept = [as_float(state["mean"]), as_float(state["variance"])]
        assert held == pytest.approx(kept, rel=1e-6, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize(("stored", "alarm"), [(0.5, 0), (0.5 + 2**-50, 1)])
def test_an_alarm_takes_more_than_the_limit(stored, alarm):
    """A sum of exactly 4 is none yet; z counts up to 4 and no further."""
    _, verdict = advance_baseline(Baseline(100.0, 400.0, stored, 0.0, 6.0), 1e6, PARAMETERS)
    assert (verdict.alarm, verdict.cusum_up >= 4.0) == (alarm, True)


@pytest.mark.parametrize(("y", "mean"), [(160.0, 112.0), (40.0, 88.0), (160.1, 100.0), (39.9, 100.0)])
def test_three_deviations_still_move_the_baseline(y, mean):
    """|z| = 3 is no outlier, anything beyond it is."""
    after, verdict = advance_baseline(Baseline(100.0, 400.0, 0.0, 0.0, 6.0), y, PARAMETERS)
    assert (after.mean, verdict.alarm) == (mean, 0)


@pytest.mark.parametrize("stored", [-1.0, -math.inf, math.nan])
def test_a_damaged_sum_counts_from_nothing(stored):
    """A stored CUSUM below 0, or none, is read as 0 on both sides."""
    for y in (150.0, 50.0):
        damaged, _ = advance_baseline(Baseline(100.0, 400.0, stored, stored, 6.0), y, PARAMETERS)
        sound, _ = advance_baseline(Baseline(100.0, 400.0, 0.0, 0.0, 6.0), y, PARAMETERS)
        assert damaged == sound


@settings(max_examples=100, deadline=None)
@given(series=SERIES, y=PERIODS)
def test_evidence_of_one_period(series, y):
    """One period from a stored row gives the verdict, the evidence and the row to store next."""
    before = scan(series)
    after = scan([*series, y])
    found = advance_baselines(before.state, array(y), PARAMETERS)
    np.testing.assert_array_equal(found.state, after.state)
    assert found.alarm[0] == after.alarm[0, -1]
    verdicts, _ = naive.advance_state([*series, y])
    evidence = found.evidence[0]
    assert evidence[Evidence.Z] == pytest.approx(as_float(verdicts[-1][0]), rel=1e-6, abs=1e-6, nan_ok=True)
    assert evidence[Evidence.ROBUST_Z] == pytest.approx(
        as_float(verdicts[-1][1]), rel=1e-9, abs=1e-9, nan_ok=True
    )
    on = not math.isnan(evidence[Evidence.Z])
    expected = before.state[0, BaselineInput.BASELINE_MEAN] if on else math.nan
    assert evidence[Evidence.EXPECTED] == pytest.approx(expected, nan_ok=True)
    assert evidence[Evidence.PERIODS] == before.state[0, BaselineInput.BASELINE_N]


@settings(max_examples=100, deadline=None)
@given(history=st.lists(PERIODS, max_size=12), y=PERIODS, floor=st.sampled_from([0.5, 1.0, 50.0]))
def test_robust_z_equals_the_oracle(history, y, floor):
    """Robust z equals the text's, with gaps, equal values and both floors."""
    expected = naive.robust_z(history, y, mad_floor=floor)
    series = array(*history)
    found = robust_z(series, 12, as_float(y), with_parameters(mad_floor=floor), series.copy())
    assert found == pytest.approx(as_float(expected), rel=1e-9, abs=1e-9, nan_ok=True)


def test_the_detector_is_off_until_it_has_learnt():
    """Nothing is judged before six periods are known, gaps not counted."""
    found = scan([10, None, 12, 11, 9, 10, 10, 10, 1000])
    assert np.flatnonzero(~np.isnan(found.z[0])).tolist() == [7, 8]


def test_a_drop_alarms_once_and_is_learnt_anew():
    """A lasting drop fires once; after six periods its level is the new normal."""
    found = scan([100, 104, 96, 102, 98, 100] + [50] * 20)
    assert np.flatnonzero(found.alarm[0]).tolist() == [7]
    assert found.alarm[0, 7] == -1
    assert found.state[0, BaselineInput.BASELINE_MEAN] == 50
    assert np.isnan(found.z[0, 8:14]).all()


def test_a_rise_alarms_upwards():
    """A lasting rise fires with the opposite sign."""
    found = scan([100, 104, 96, 102, 98, 100] + [150] * 5)
    assert found.alarm[0].tolist() == [0] * 7 + [1] + [0] * 3


def test_one_wild_period_neither_alarms_nor_moves_the_baseline():
    """A single outlier, clipped at 4, is no change and leaves mean and variance as they were."""
    calm = scan([100, 104, 96, 102, 98, 100]).state[0]
    found = scan([100, 104, 96, 102, 98, 100, 100000])
    assert not found.alarm.any()
    np.testing.assert_array_equal(found.state[0, :2], calm[:2])
    assert found.state[0, BaselineInput.CUSUM_UP] == 3.5


def test_floors_keep_a_constant_series_calm():
    """A series without variance is judged by 5 % of its mean or the absolute floor, never by zero."""
    steady = scan([1000.0] * 6 + [1050.0])
    assert steady.z[0, -1] == pytest.approx(1.0)
    nothing = scan([0.0] * 6 + [2.0])
    assert nothing.z[0, -1] == pytest.approx(2.0)
    unfloored = scan([0.0] * 8, parameters=with_parameters(variance_floor=0.0))
    assert unfloored.z[0, 6:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "damaged",
    [
        {"baseline_mean": None},
        {"baseline_variance": -1.0},
        {"baseline_n": None},
        {"baseline_mean": math.inf},
    ],
)
def test_an_incomplete_state_starts_afresh(damaged):
    """A stored baseline with a hole in it is learnt anew rather than trusted."""
    facts = {"baseline_mean": 100, "baseline_variance": 25, "baseline_n": 9, "cusum_down": 3.0} | damaged
    states = array(*(facts.get(name) for name in BASELINE_FACTS))[np.newaxis]
    found = advance_baselines(states, array(10), PARAMETERS)
    assert found.alarm[0] == 0
    assert found.state[0, BaselineInput.BASELINE_N] == 1


def test_robust_z_forgets_what_was_before_an_alarm():
    """After a restart the periods of the old level no longer count."""
    level_shift = [100, 104, 96, 102, 98, 100, 50, 50] + [50] * 5
    found = advance_baselines(scan(level_shift).state, array(50), PARAMETERS)
    assert math.isnan(found.evidence[0, Evidence.ROBUST_Z])
    found = advance_baselines(scan([*level_shift, 50]).state, array(50), PARAMETERS)
    assert found.evidence[0, Evidence.ROBUST_Z] == 0.0


def test_state_columns_are_facts():
    """The detector's state is stored in facts of the standard catalogue, the periods in order."""
    assert all(name in CATALOGUE for name in series_names(SPEND))
    assert BASELINE_FACTS[BaselineInput.PERIOD_1 :] == tuple(f"period_{i}" for i in range(1, 13))
    assert len(DETECTOR_PARAMETERS) == len(PARAMETERS)


@settings(max_examples=100, deadline=None)
@given(drop=TRUTHS, complaint_open=TRUTHS, complaint_at=maybe(TIMES))
def test_silent_drop_equals_the_oracle(drop, complaint_open, complaint_at):
    """A drop without a complaint, open or recent, asks for listening."""
    found = silent_drops(array(drop), array(complaint_open), array(complaint_at), array(NOW), PARAMETERS)
    expected = naive.silent_drop(drop=drop, complaint_open=complaint_open, complaint_at=complaint_at, now=NOW)
    assert bool(found[0]) is expected


@pytest.mark.parametrize(("days", "silent"), [(90, 1), (89.999, 0), (0, 0), (-1, 1)])
def test_a_complaint_counts_for_90_days(days, silent):
    """A complaint of exactly 90 days ago is no reason to think the customer has spoken; nor one to come."""
    found = silent_drops(array(1), array(0), array(NOW - days * DAY), array(NOW), PARAMETERS)
    assert found[0] == silent


@settings(max_examples=60, deadline=None)
@given(event=TRUTHS, fired_at=maybe(TIMES), cool_down_days=st.sampled_from([0.0, 30.0, 90.0]))
def test_cool_down_equals_the_oracle(event, fired_at, cool_down_days):
    """A trigger fires at most once in the window (now - cool-down, now]."""
    fires, last = fire(array(event), array(fired_at), array(NOW), cool_down_days)
    expected = naive.fires(event=event, fired_at=fired_at, now=NOW, cool_down_days=cool_down_days)
    assert bool(fires[0]) is expected
    assert last[0] == pytest.approx(NOW if expected else as_float(fired_at), nan_ok=True)


def test_cool_down_is_half_open():
    """A trigger that fired exactly one cool-down ago may fire again."""
    fires, _ = fire(array(1, 1), array(NOW - 30 * DAY, NOW - 29 * DAY), array(NOW, NOW), 30.0)
    assert fires.tolist() == [1, 0]


def test_run_length_with_known_parameters_equals_theory():
    """With mean and variance known and frozen, the wait for an alarm is that of Brook and Evans' chain.

    One-sided and not clipped it is the published 335.4 periods; two sides alarm twice as often.
    """
    n, periods = 2000, 1500
    start = fresh_states(n)
    start[:, [0, 1, 4]] = (100.0, 400.0, 6.0)
    noise = np.random.default_rng(5).normal(100.0, 20.0, (n, periods))
    frozen = with_parameters(ewma_rate=0.0, relative_deviation_floor=0.0)
    alarm = scan_series(noise, start, frozen).alarm != 0
    first = np.where(alarm.any(axis=1), alarm.argmax(axis=1) + 1, periods)
    assert naive.average_run_length(clip=math.inf) == pytest.approx(335.4, abs=0.1)
    one_sided = naive.average_run_length()
    # Run lengths are nearly geometric, so their standard error is the mean over √n.
    assert first.mean() == pytest.approx(one_sided / 2, abs=4 * one_sided / 2 / math.sqrt(n))


def test_false_alarm_rate_equals_an_independent_measurement():
    """Alarms on stationary noise come as often in the kernel as in the oracle, on other noise.

    Five standard errors of the difference: one failure in two million seeds.
    """
    measured = false_alarm_rate(PARAMETERS, n_series=2000, n_periods=104)
    noise = np.random.default_rng(99).normal(100.0, 20.0, (400, 104))
    verdicts = [naive.advance_state(list(map(float, series)))[0] for series in noise]
    independent = rate_over_series(
        np.array([sum(alarm != 0 for _, _, alarm in v) for v in verdicts]),
        np.array([sum(z is not None for z, _, _ in v) for v in verdicts]),
    )
    errors = [(r.high - r.rate) / 1.959964 for r in (measured, independent)]
    assert abs(measured.rate - independent.rate) < 5 * math.hypot(*errors)
    assert 0.005 < measured.rate < 0.05


def test_false_alarm_rate_is_reproducible():
    """The same seed gives the same figure, another seed another."""
    few = {"n_series": 50, "n_periods": 60}
    assert false_alarm_rate(PARAMETERS, **few) == false_alarm_rate(PARAMETERS, **few)
    assert false_alarm_rate(PARAMETERS, **few) != false_alarm_rate(PARAMETERS, **few, seed=1)


def test_a_wider_limit_alarms_less():
    """Raising the CUSUM limit lowers the measured false-alarm rate, and the figure prints itself."""
    usual = false_alarm_rate(PARAMETERS, n_series=300)
    wide = false_alarm_rate(with_parameters(cusum_limit=6.0), n_series=300)
    assert wide.high < usual.low
    assert "false alarms a watched period" in str(usual)
    assert usual.periods_between == pytest.approx(1 / usual.rate)


def test_nothing_watched_gives_no_rate():
    """Series too short to learn from give no rate instead of zero."""
    found = false_alarm_rate(PARAMETERS, n_series=3, n_periods=6)
    assert found.watched_periods == 0
    assert math.isnan(found.rate)
