"""Detectors advanced by a period for a batch of snapshots, and the triggers that they fire."""

import numpy as np
import pytest
from tests.builders.detecting import rulebook_of, steady
from tests.naive import detectors as naive

from nextbest.batch.detection import advanced_behaviour
from nextbest.behaviour.detectors import BASELINE_FACTS, Evidence, fresh_states
from nextbest.errors import RulebookCompileError
from nextbest.id_check import id_checks_of
from nextbest.rows import RowCodec

DAY = 86_400.0
NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def rulebook(tmp_path_factory):
    """The rulebook."""
    return rulebook_of(tmp_path_factory.mktemp("rules"))


def rows_of(rulebook, customers):
    """Snapshots of customers given by their facts."""
    codec = RowCodec(rulebook.catalogue)
    ids = [str(i).encode() for i in range(len(customers))]
    rows = [codec.encode(i, NOW, facts) for i, facts in zip(ids, customers, strict=True)]
    return codec.decode_batch(rows, id_checks_of(ids)).rows


def test_a_series_taken_period_by_period_ends_as_the_naive_one(rulebook):
    """Feeding stored facts back, period after period, gives the naive baseline and alarms."""
    rng = np.random.default_rng(4)
    series = np.concatenate([rng.normal(100, 10, 20), rng.normal(40, 10, 20)])
    series[[3, 25]] = np.nan
    facts, alarms = {}, []
    for y in series:
        found = advanced_behaviour(rulebook, rows_of(rulebook, [facts]), np.array([y]), np.array([NOW]))
        facts = {name: float(found.facts[name][0]) for name in BASELINE_FACTS}
        facts = {name: value for name, value in facts.items() if not np.isnan(value)}
        facts |= {"baseline_n": int(facts["baseline_n"])}
        alarms.append(int(found.alarm[0]))
    verdicts, _ = naive.advance_state([None if np.isnan(y) else float(y) for y in series])
    assert alarms == [alarm for _, _, alarm in verdicts]
    assert -1 in alarms
    latest = [float(y) for y in series[::-1][:12]]
    assert [facts.get(f"period_{i}", np.nan) for i in range(1, 13)] == pytest.approx(latest, nan_ok=True)


def test_drop_fires_its_trigger_with_evidence(rulebook):
    """A fall far below the baseline fires drop and silent drop at that time, and its numbers are kept."""
    found = advanced_behaviour(rulebook, rows_of(rulebook, [steady()]), np.array([60.0]), np.array([NOW]))
    assert {name: int(fires[0]) for name, fires in found.fired.items()} == {"fell": 1, "rose": 0, "silent": 1}
    assert found.facts["fell_at"][0] == found.facts["silent_at"][0] == NOW
    assert np.isnan(found.facts["rose_at"][0])
    evidence = found.evidence[0]
    assert (evidence[Evidence.OBSERVED], evidence[Evidence.EXPECTED]) == (60.0, 100.0)
    assert evidence[Evidence.Z] == pytest.approx(-4.0)
    assert found.facts["baseline_n"][0] == 0.0


def test_rise_fires_rise_only(rulebook):
    """A jump above the baseline is no drop."""
    customer = steady(cusum_up=3.0, cusum_down=0.0)
    found = advanced_behaviour(rulebook, rows_of(rulebook, [customer]), np.array([150.0]), np.array([NOW]))
    assert {name: int(fires[0]) for name, fires in found.fired.items()} == {"fell": 0, "rose": 1, "silent": 0}


@pytest.mark.parametrize(
    ("change", "fell", "silent"),
    [
        ({"complaint_open": True, "complaint_at": NOW - 200 * DAY}, 1, 0),
        ({"complaint_open": False, "complaint_at": NOW - 10 * DAY}, 1, 0),
        ({"complaint_open": False, "complaint_at": NOW - 200 * DAY}, 1, 1),
        ({"fell_at": NOW - 10 * DAY}, 0, 1),
        ({"fell_at": NOW - 31 * DAY}, 1, 1),
    ],
)
def test_complaints_and_cool_downs_hold_triggers_back(rulebook, change, fell, silent):
    """Who complained is not silent, and a trigger fires once within its cool-down; the old time stays."""
    rows = rows_of(rulebook, [steady(**change)])
    found = advanced_behaviour(rulebook, rows, np.array([60.0]), np.array([NOW]))
    assert (int(found.fired["fell"][0]), int(found.fired["silent"][0])) == (fell, silent)
    assert found.facts["fell_at"][0] == (NOW if fell else change["fell_at"])


def test_a_period_that_is_not_known_moves_no_baseline(rulebook):
    """A missing value shifts the last periods and changes nothing else."""
    found = advanced_behaviour(rulebook, rows_of(rulebook, [steady()]), np.array([np.nan]), np.array([NOW]))
    assert found.facts["baseline_mean"][0] == 100.0
    assert found.facts["baseline_n"][0] == 10.0
    assert np.isnan(found.facts["period_1"][0])
    assert found.facts["period_2"][0] == 100.0
    assert found.alarm[0] == 0


def test_fresh_customers_only_learn(rulebook):
    """Who has no baseline gets one; nothing fires."""
    found = advanced_behaviour(rulebook, rows_of(rulebook, [{}]), np.array([60.0]), np.array([NOW]))
    assert found.facts["baseline_n"][0] == fresh_states(1)[0, 4] + 1.0
    assert not any(fires.any() for fires in found.fired.values())


def test_a_pattern_detects_nothing(tmp_path):
    """Only detectors are fired by a change; on a pattern trigger the key is an error."""
    wrong = {"id": "p", "kind": "pattern", "detects": "rise", "fired_at": "fell_at", "hold": "14d"}
    with pytest.raises(RulebookCompileError, match="fired by events, not by a change"):
        rulebook_of(tmp_path, [wrong])
