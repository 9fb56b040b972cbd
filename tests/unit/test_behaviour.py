"""Customers through several snapshots: series, changes and counts of purchases against the oracle."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.detecting import rulebook_of
from tests.builders.random_customers import LTV
from tests.naive.behaviour import Customer
from tests.unit.behaviour_rows import rows_of

from nextbest.assembly import Artifacts, assemble
from nextbest.batch.detection import Detection, detect, no_rows, stored_facts
from nextbest.facts import FactGroup

DAY = 86_400.0
WEEK = 7 * DAY
MONDAY = 1_700_438_400.0  # 2023-11-20, midnight UTC
STATE = ("baseline_mean", "baseline_variance", "cusum_up", "cusum_down", "baseline_n", "baseline_until")
PLAIN_STATE = ("mean", "variance", "up", "down", "n", "until")
SERIES = [
    {"id": "spend", "period": "7d", "variance_floor": 4.0, "mad_floor": 2.0},
    {"id": "calls", "period": "14d", "starts": "2023-11-22", "gaps": "zero", "variance_floor": 0.5,
     "mad_floor": 0.5, "unit": "count"},
]  # fmt: skip


def trigger(number, kind, **keys):
    """A trigger with facts of its own."""
    return {"id": f"t{number}", "kind": kind, "hold": "14d", "fired_at": f"t{number}_at", **keys}


TRIGGERS = [
    trigger(0, "detector", series="spend", detects="drop", cool_down="30d",
            evidence={"observed": "seen", "expected": "usual", "z": "how_far"}),
    trigger(1, "detector", series="spend", detects="rise"),
    trigger(2, "detector", series="spend", detects="silent_drop"),
    trigger(3, "detector", series="spend", detects="dip", evidence={"robust_z": "how_far_robustly"}),
    trigger(4, "detector", series="calls", detects="spike", cool_down="7d"),
    trigger(5, "detector", series="calls", detects="drop"),
    trigger(6, "detector", detects="fewer_purchases", evidence={"probability": "how_likely"}),
    trigger(7, "detector", detects="more_purchases", cool_down="60d"),
    trigger(8, "change", watch="satisfaction", change="fell", by=20, cool_down="10d",
            evidence={"before": "was", "after": "is_now"}),
    trigger(9, "change", group="service_level"),
    trigger(10, "change", watch="held_stage", to=["grow_me"]),
    trigger(11, "change", watch="needs"),
    trigger(12, "change", watch="complaint_open", change="rose"),
    trigger(13, "change", watch="on_time_share", change="fell", by_share=0.25, silent=True),
    trigger(14, "change", watch="nps_relation", change="appeared"),
]  # fmt: skip


def days(text):
    """A duration in days."""
    return float(text.removesuffix("d"))


def plain(documents):
    """Triggers as the oracle takes them: durations in days, stages by code."""
    codes = {"to": [2.0]}
    return [
        each | {"cool_down": days(each.get("cool_down", "0d"))} | (codes if "to" in each else {})
        for each in documents
    ]


def plain_series():
    """Series as the oracle takes them."""
    starts = {"spend": 345_600.0, "calls": MONDAY + 2 * DAY}
    return [
        {"gaps": "unknown", **each, "period": days(each["period"]) * DAY, "starts": starts[each["id"]]}
        for each in SERIES
    ]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Every kind of trigger, with a lifetime-value fit."""
    facts = [f"t{i}_at" for i in range(len(TRIGGERS))]
    rulebook = rulebook_of(tmp_path_factory.mktemp("rules"), TRIGGERS, SERIES, times=facts)
    return assemble(rulebook, Artifacts(ltv=LTV))


class Stored:
    """A customer's row, as writers leave it."""

    def __init__(self, model):
        self.model, self.row, self.values = model, None, {}

    def put(self, as_of, facts, now) -> Detection:
        """Replace the snapshot."""
        new = rows_of([facts], catalogue=self.model.rulebook.catalogue, as_of=as_of)
        old = no_rows(new) if self.row is None else self.row
        found = detect(self.model, old, new, np.array([now]))
        self.values = {name: float(values[0]) for name, values in found.facts.items()}
        kept = {name: None if math.isnan(value) else value for name, value in self.values.items()}
        self.row = rows_of([facts | kept], catalogue=self.model.rulebook.catalogue, as_of=as_of)
        return found


def fired(found):
    """Triggers that fired."""
    return {name for name, fires in found.fired.items() if fires[0]}


def facts_of(snapshot):
    """A drawn snapshot as the facts of a row: `spend:1` is `period_1`."""
    named = {}
    for name, value in snapshot.items():
        series, _, place = name.partition(":")
        prefix = "" if series == "spend" else f"{series}_"
        named[f"{prefix}period_{place}" if place else name] = value
    return named


VALUES = st.sampled_from([0.0, 5.0, 40.0, 95.0, 100.0, 104.0, 110.0, 300.0]) | st.floats(0, 200)
STEADY = st.builds(
    lambda levels, latest: [levels[0]] * latest + [levels[1]] * (12 - latest),
    st.tuples(st.sampled_from([0.0, 1.0, 40.0, 100.0]), st.sampled_from([1.0, 40.0, 100.0])),
    st.integers(0, 6),
)
"""Periods at one level, the latest of them at another."""
RING = STEADY | st.lists(st.none() | VALUES | st.sampled_from([math.inf, 1e6]), max_size=12)
OTHERS = st.fixed_dictionaries(
    {
        "satisfaction": st.none() | st.sampled_from([20.0, 40.0, 59.9, 60.0, 80.0]),
        "service_grade": st.sampled_from([None, 0]),
        "on_time_share": st.none() | st.sampled_from([0.5, 0.7, 0.75, 1.0]),
        "held_stage": st.sampled_from([None, 0, 1, 2]),
        "needs": st.none() | st.frozensets(st.just("x")),
        "complaint_open": st.sampled_from([None, False, True]),
        "complaint_at": st.none() | st.sampled_from([MONDAY - 100 * DAY, MONDAY, MONDAY + 50 * DAY]),
        "nps_relation": st.none() | st.integers(0, 10).map(float),
    }
)
HISTORY = st.tuples(st.integers(0, 40), st.integers(0, 60))


@st.composite
def snapshots(draw):
    """A snapshot without a time."""
    facts = dict(draw(OTHERS))
    for series in ("spend", "calls"):
        facts |= {f"{series}:{i}": y for i, y in enumerate(draw(RING), start=1)}
    x, since = draw(HISTORY)
    t_x = 0.0 if x == 0 else 10.0 + x / 2
    return facts | {"repeat_purchases": float(x), "recency_weeks": t_x, "observed_weeks": t_x + since / 4}


STEPS = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, 3.0, 7.0, 7.0, 7.0, 14.0, 30.0, -5.0, 60.0, 900.0]), snapshots()),
    min_size=1,
    max_size=6,
)


@settings(max_examples=100, deadline=None)
@given(steps=STEPS, ahead=st.sampled_from([-2.0, 0.0, 5.0]))
def test_any_life_equals_the_oracle(model, steps, ahead):
    """Whatever snapshots come, late, early, twice, after years: state and evidence are the oracle's."""
    catalogue = model.rulebook.catalogue
    groups = {"service_level": [f.name for f in catalogue.facts if f.group is FactGroup.SERVICE_LEVEL]}
    oracle = Customer(plain_series(), plain(TRIGGERS), groups, r=LTV.bgnbd.r, alpha=LTV.bgnbd.alpha)
    stored, as_of = Stored(model), MONDAY
    for passed, snapshot in steps:
        as_of += passed * DAY
        now = as_of + ahead * DAY
        found = stored.put(as_of, facts_of(snapshot), now)
        assert fired(found) == oracle.put(as_of, snapshot, now)
        kept = {name: stored.values[name] for name in stored_facts(model.rulebook)}
        expected = {name: math.nan if oracle.kept.get(name) is None else oracle.kept[name] for name in kept}
        assert kept == pytest.approx(expected, rel=1e-6, abs=1e-6, nan_ok=True)
        for series in plain_series():
            check_state(stored.values, series, oracle.state(series))


def check_state(values, series, expected):
    """The facts of a series hold the oracle's state."""
    prefix = "" if series["id"] == "spend" else f"{series['id']}_"
    names = [*STATE, *(f"period_{i}" for i in range(1, 13))]
    plain_names = [*PLAIN_STATE, *(f"period_{i}" for i in range(1, 13))]
    for name, plain_name in zip(names, plain_names, strict=True):
        wanted = expected.get(plain_name)
        wanted = math.nan if wanted is None else wanted
        assert values[prefix + name] == pytest.approx(wanted, rel=1e-6, abs=1e-6, nan_ok=True), name
