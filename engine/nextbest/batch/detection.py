"""Advance the behaviour detectors of snapshots by one completed period: baselines, and triggers that fire."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nextbest.behaviour.detectors import (
    BASELINE_FACTS,
    advance_baselines,
    baseline_columns,
    fire,
    silent_drops,
)
from nextbest.figures import flag_fact
from nextbest.model import F64, I64, U8, Rows
from nextbest.parameters import default_detector_parameters
from nextbest.rulebook.rulebook import Rulebook, Trigger


@dataclass(frozen=True, slots=True)
class Detection:
    """What one period says of n customers."""

    facts: Mapping[str, F64]
    """New (n,) values of baseline facts and of the `fired_at` facts of detector triggers, NaN = none."""
    alarm: I64
    """(n,) -1 a drop, 1 a rise, 0 none."""
    fired: Mapping[str, U8]
    """(n,) 1 where it fires, by detector trigger."""
    evidence: F64
    """(n, evidence) of `detectors.Evidence`: the numbers behind each verdict."""


def advanced_behaviour(rulebook: Rulebook, rows: Rows, periods: F64, now: F64) -> Detection:
    """Move n customers' detectors by one completed period and fire the rulebook's detector triggers.

    Args:
        rulebook: its catalogue has the baseline; facts it lacks are left out.
        rows: n snapshots as stored.
        periods: (n,) spend of the period just completed, NaN = missing, which moves nothing but
            the last periods kept.
        now: (n,) epoch seconds: when a trigger that fires has fired.

    Source: domain model, section 7. Oracle: `tests.naive.detectors`.
    """
    catalogue, parameters = rulebook.catalogue, default_detector_parameters()
    update = advance_baselines(rows.numbers, baseline_columns(catalogue), periods, parameters)
    facts = {
        name: update.state[:, place].copy() for place, name in enumerate(BASELINE_FACTS) if name in catalogue
    }
    fired = dict[str, U8]()
    for trigger in rulebook.triggers:
        if trigger.detects:
            event = _event(trigger, rulebook, rows, update.alarm, now)
            before = rows.numbers[:, catalogue.columns[trigger.fired_at]].copy()
            # Two triggers may share a fact: both fire by what it held before, and the time is the same.
            fires, last = fire(event, before, now, trigger.cool_down_days)
            fired[trigger.id] = fires
            facts[trigger.fired_at] = np.fmax(facts.get(trigger.fired_at, last), last)
    return Detection(facts, update.alarm, fired, update.evidence)


def _event(trigger: Trigger, rulebook: Rulebook, rows: Rows, alarm: I64, now: F64) -> F64:
    if trigger.detects == "rise":
        return (alarm == 1).astype(np.float64)
    drop = (alarm == -1).astype(np.float64)
    if trigger.detects == "drop":
        return drop
    catalogue = rulebook.catalogue
    column = catalogue.column("complaint_at")
    complaint_at = rows.numbers[:, column].copy() if column >= 0 else np.full(len(rows), np.nan)
    complaint_open = flag_fact(catalogue, rows, "complaint_open")
    return silent_drops(drop, complaint_open, complaint_at, now, default_detector_parameters()).astype(
        np.float64
    )
