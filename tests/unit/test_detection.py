"""What writers detect: series moved once a period, triggers fired once, evidence kept."""

import math

import numpy as np
import pytest
from tests.builders.detecting import TRIGGERS, rulebook_of, steady
from tests.builders.random_customers import LTV
from tests.unit.behaviour_rows import rows_of

from nextbest.assembly import Artifacts, assemble
from nextbest.batch.detection import detect, is_watching, no_rows
from nextbest.batch.writing import advanced_row, evaluated, watching
from nextbest.errors import RulebookCompileError
from nextbest.rows import RowCodec

DAY = 86_400.0
WEEK = 7 * DAY
MONDAY = 1_700_438_400.0
SINCE = {"baseline_until": MONDAY - WEEK}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A series of spend with detectors for a drop, a rise and a silent drop."""
    return assemble(rulebook_of(tmp_path_factory.mktemp("rules")), Artifacts())


def put(model, old, new, *, at=MONDAY, before=MONDAY - WEEK, now=None):
    """What a snapshot of these facts says after the one before."""
    catalogue = model.rulebook.catalogue
    later = rows_of([new], catalogue=catalogue, as_of=at)
    earlier = no_rows(later) if old is None else rows_of([old], catalogue=catalogue, as_of=before)
    found = detect(model, earlier, later, np.array([at if now is None else now]))
    known = {name: float(values[0]) for name, values in found.facts.items() if not math.isnan(values[0])}
    return known, {name for name, fires in found.fired.items() if fires[0]}


def test_a_drop_fires_with_its_evidence(tmp_path):
    """A fall far below the baseline fires at the period's end, and its numbers are kept."""
    evidence = {"observed": "seen", "expected": "usual", "z": "how_far"}
    book = rulebook_of(tmp_path, [{**TRIGGERS[0], "evidence": evidence}])
    facts, fired = put(assemble(book, Artifacts()), steady(**SINCE), {"period_1": 60.0}, at=MONDAY + 2 * DAY)
    assert fired == {"fell"}
    assert facts["fell_at"] == facts["baseline_until"] == MONDAY
    assert (facts["seen"], facts["usual"], facts["how_far"]) == (60.0, 100.0, pytest.approx(-4.0))
    assert facts["baseline_n"] == 0.0
    assert (facts["period_1"], facts["period_2"]) == (60.0, 100.0)


def test_a_rise_fires_rise_only(model):
    """A jump above the baseline is no drop."""
    _, fired = put(model, steady(cusum_up=3.0, cusum_down=0.0, **SINCE), {"period_1": 150.0})
    assert fired == {"rose"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"complaint_open": True, "complaint_at": MONDAY - 200 * DAY}, {"fell"}),
        ({"complaint_open": False, "complaint_at": MONDAY - 10 * DAY}, {"fell"}),
        ({"complaint_open": False, "complaint_at": MONDAY - 200 * DAY}, {"fell", "silent"}),
    ],
)
def test_who_complained_is_not_silent(model, change, expected):
    """A drop is silent only without a complaint that is open or recent."""
    assert put(model, steady(**SINCE), {"period_1": 60.0, **change})[1] == expected


@pytest.mark.parametrize(("days", "expected"), [(10, {"silent"}), (31, {"fell", "silent"})])
def test_a_trigger_rests_after_it_fired(model, days, expected):
    """Within its cool-down a trigger keeps the time at which it fired."""
    before = MONDAY - days * DAY
    facts, fired = put(model, steady(fell_at=before, **SINCE), {"period_1": 60.0})
    assert fired == expected
    assert facts["fell_at"] == (MONDAY if "fell" in expected else before)


def test_the_same_snapshot_again_changes_nothing(model):
    """A period counts once: what was stored comes out of the same snapshot once more."""
    said = {"period_1": 60.0}
    first, fired = put(model, steady(**SINCE), said)
    assert fired == {"fell", "silent"}
    again, fired = put(model, said | first, said, before=MONDAY)
    assert (again, fired) == (first, set())


def test_an_alarm_fires_once(model):
    """A level that stays low fires when it falls and not again, week after week."""
    facts, fired = steady(**SINCE), []
    for week in range(12):
        at = MONDAY + week * WEEK
        facts, new = put(model, facts, {"period_1": 55.0}, at=at, before=at - WEEK)
        fired.append(new)
    assert [week for week, names in enumerate(fired) if names] == [0]
    assert facts["baseline_mean"] == pytest.approx(55.0)


def test_several_periods_at_once_are_several_snapshots(model):
    """One snapshot after four weeks, its periods told, leaves what four weekly snapshots leave."""
    spent = [98.0, 103.0, 60.0, 99.0]
    facts = steady(**SINCE)
    for week, value in enumerate(spent):
        at = MONDAY + week * WEEK
        facts, _ = put(model, facts, {"period_1": value}, at=at, before=at - WEEK)
    told = {f"period_{i}": value for i, value in enumerate(reversed(spent), start=1)}
    at_once, fired = put(model, steady(**SINCE), told, at=MONDAY + 3 * WEEK)
    assert at_once == facts
    assert fired == {"fell", "silent"}
    assert at_once["fell_at"] == MONDAY + 2 * WEEK


@pytest.mark.parametrize(("gaps", "baseline_n", "latest"), [("unknown", 11.0, None), ("zero", 0.0, 0.0)])
def test_a_period_nobody_told_of_is_unknown_or_zero(tmp_path, gaps, baseline_n, latest):
    """Where no purchase means nothing was spent, the series says so, and silence is a drop."""
    series = [{"id": "spend", "period": "7d", "gaps": gaps, "variance_floor": 1, "mad_floor": 1}]
    quiet = assemble(rulebook_of(tmp_path, series=series), Artifacts())
    facts, fired = put(quiet, steady(**SINCE), {"period_2": 100.0}, at=MONDAY + WEEK)
    assert facts["baseline_n"] == baseline_n
    assert facts.get("period_1") == latest
    assert ("fell" in fired) == (gaps == "zero")


def test_a_first_snapshot_learns_from_the_periods_it_tells_of(model):
    """Periods that a loader knows are taken in their order; nothing before them is guessed."""
    facts, fired = put(model, None, {f"period_{i}": 100.0 for i in range(1, 9)})
    assert (facts["baseline_n"], facts["baseline_mean"], fired) == (8.0, 100.0, set())
    assert "period_9" not in facts
    assert put(model, None, {}) == ({}, set())


def test_a_baseline_that_goes_further_is_taken(model):
    """A loader that computed the state itself is believed, up to when it says."""
    given = steady(baseline_mean=40.0, baseline_until=MONDAY)
    facts, fired = put(model, steady(**SINCE), given)
    assert (facts["baseline_mean"], facts["baseline_until"], fired) == (40.0, MONDAY, set())
    older, _ = put(model, steady(baseline_until=MONDAY), steady(baseline_mean=40.0, **SINCE), before=MONDAY)
    assert older["baseline_mean"] == 100.0


def test_a_clock_put_back_moves_nothing(model):
    """An older snapshot that comes late neither moves a series nor fires."""
    stored = steady(baseline_until=MONDAY)
    facts, fired = put(model, stored, {"period_1": 5.0}, at=MONDAY - 3 * WEEK, before=MONDAY)
    assert fired == set()
    assert (facts["baseline_mean"], facts["baseline_until"]) == (100.0, MONDAY)


def test_after_two_years_of_silence_all_is_learnt_anew(model):
    """A gap of more than 104 periods leaves nothing that could be called usual."""
    facts, fired = put(model, steady(**SINCE), {"period_1": 5.0}, at=MONDAY + 105 * WEEK)
    assert (facts["baseline_n"], facts["baseline_mean"], fired) == (1.0, 5.0, set())


CHANGES = [
    {"id": "less_satisfied", "watch": "satisfaction", "change": "fell", "by": 20, "fired_at": "fell_at",
     "cool_down": "30d", "evidence": {"before": "was", "after": "is_now"}},
    {"id": "less_loyal", "watch": "level", "change": "fell", "fired_at": "rose_at"},
    {"id": "grown", "watch": "stage", "to": ["grow_me"], "fired_at": "other_at"},
    {"id": "service", "group": "service_level", "fired_at": "silent_at"},
]  # fmt: skip


@pytest.fixture(scope="module")
def changing(tmp_path_factory):
    """Change triggers on facts, figures and a group, with a lifetime-value fit so that stages are held."""
    triggers = [{"kind": "change", "hold": "14d", **trigger} for trigger in CHANGES]
    return assemble(rulebook_of(tmp_path_factory.mktemp("rules"), triggers, []), Artifacts(ltv=LTV))


def test_a_fall_of_satisfaction_fires_once(changing):
    """A fall by the amount asked for fires with old and new value; a first snapshot never does."""
    facts, fired = put(changing, {"satisfaction": 80.0}, {"satisfaction": 60.0})
    assert fired == {"less_satisfied"}
    assert (facts["fell_at"], facts["was"], facts["is_now"]) == (MONDAY, 80.0, 60.0)
    assert put(changing, None, {"satisfaction": 10.0})[1] == set()
    assert (
        put(changing, {"satisfaction": 60.0} | facts, {"satisfaction": 30.0}, at=MONDAY + 20 * DAY)[1]
        == set()
    )
    assert put(changing, {"satisfaction": 80.0}, {"satisfaction": 60.1})[1] == set()


def test_a_change_without_a_time_of_its_own_is_of_now(changing):
    """Facts merged into a snapshot of last month changed today; a time to come is no time of a change."""
    facts, _ = put(
        changing, {"satisfaction": 80.0}, {"satisfaction": 20.0}, before=MONDAY, now=MONDAY + 9 * DAY
    )
    assert facts["fell_at"] == MONDAY + 9 * DAY
    facts, _ = put(changing, {"satisfaction": 80.0}, {"satisfaction": 20.0}, now=MONDAY - DAY)
    assert facts["fell_at"] == MONDAY - DAY


def test_levels_and_stages_are_watched(changing):
    """Computed figures change too: a bad score lowers the level, an evaluation lifts the stage."""
    happy = {"nps_relation": 10, "nps_relation_at": MONDAY, "satisfaction": 90.0, "share_of_wallet": 0.9}
    _, fired = put(changing, happy, happy | {"nps_relation": 0, "satisfaction": 71.0})
    assert "less_loyal" in fired
    _, fired = put(changing, {"held_stage": 1}, {"held_stage": 2}, before=MONDAY)
    assert fired == {"grown"}


def test_any_fact_of_a_box_counts(changing):
    """A group fires for each of its facts, appearing and vanishing included, and for no other."""
    assert put(changing, {"on_time_share": 0.9}, {"on_time_share": 0.8})[1] == {"service"}
    assert put(changing, {"service_grade": 0}, {})[1] == {"service"}
    assert put(changing, {"on_time_share": 0.9}, {"on_time_share": 0.9, "geo": 0})[1] == set()


def test_an_evaluation_fires_what_it_changes(changing):
    """Advancing stages of stored rows fires triggers on the stage, at the time of the evaluation."""
    catalogue = changing.rulebook.catalogue
    loyal = {
        "held_stage": 1, "stage_since": MONDAY - 400 * DAY, "up_qualified_since": MONDAY - 40 * DAY,
        "joined": MONDAY - 900 * DAY, "first_purchase": MONDAY - 900 * DAY, "last_purchase": MONDAY - DAY,
        "repeat_purchases": 60, "recency_weeks": 128.0, "observed_weeks": 128.5, "mean_repeat_value": 40.0,
        "nps_relation": 10, "nps_relation_at": MONDAY - DAY, "satisfaction": 95.0, "share_of_wallet": 0.9,
        "complaint_open": False, "needs": ["x"],
    }  # fmt: skip
    rows = rows_of([loyal], catalogue=catalogue, as_of=MONDAY - WEEK)
    facts = evaluated(changing, rows, rows, np.array([MONDAY]))
    assert facts["held_stage"][0] == 2.0
    assert facts["other_at"][0] == MONDAY


def test_merged_periods_are_those_that_are_named(model):
    """What a merge does not name of a series is what was stored, not news of another period."""
    codec = RowCodec(model.rulebook.catalogue)
    stored = codec.encode(b"c", MONDAY - WEEK, steady(**SINCE))
    merged = codec.encode(b"c", MONDAY, steady(satisfaction=50.0, **SINCE))
    quiet = codec.decode(
        b"c", advanced_row(model, codec, "c", stored, merged, now=MONDAY, named={"satisfaction"})
    )
    assert "period_1" not in quiet.facts
    assert (quiet.facts["period_2"], quiet.facts["baseline_n"]) == (100.0, 10)
    merged = codec.encode(b"c", MONDAY, steady(**SINCE) | {"period_1": 60.0})
    told = codec.decode(b"c", advanced_row(model, codec, "c", stored, merged, now=MONDAY, named={"period_1"}))
    assert told.facts["fell_at"] == MONDAY


@pytest.mark.parametrize("rubbish", [b"", b"cut", bytes(5000)])
def test_a_stored_row_that_cannot_be_read_tells_nothing(model, rubbish):
    """A new snapshot over a damaged one is like a first."""
    codec = RowCodec(model.rulebook.catalogue)
    new = codec.encode(b"c", MONDAY, {"satisfaction": 50.0})
    assert advanced_row(model, codec, "c", rubbish, new, now=MONDAY) == advanced_row(
        model, codec, "c", None, new, now=MONDAY
    )


def test_loaders_have_nothing_to_do_without_behaviour(tmp_path):
    """A rulebook without series and stored triggers is loaded as fast as before."""
    book = rulebook_of(tmp_path, [{"id": "s", "when": "true"}], [])
    assert not is_watching(book)
    assert watching(assemble(book, Artifacts()), now=MONDAY) is None


WRONG = [
    ({"detects": "rise", "kind": "pattern"}, "fired by events, not by a change"),
    ({"kind": "pattern", "series": "spend"}, "fired by events, not by a series"),
    ({"series": "calls"}, "unknown series `calls`"),
    ({"detects": "more_purchases", "series": "spend"}, "looks at no series"),
    ({"evidence": {"probability": "seen"}}, "`drop` has no `probability`"),
    ({"evidence": {"z": "geo"}}, "`geo` is no number"),
    ({"evidence": {"z": "nowhere"}}, "unknown fact `nowhere`"),
    ({"evidence": {"z": "seen", "observed": "seen"}}, "is kept by trigger `p` already"),
    ({"kind": "change"}, "give `watch` or `group`, not both"),
    ({"kind": "change", "watch": "satisfaction", "group": "service"}, "give `watch` or `group`, not both"),
    ({"kind": "change", "watch": "satisfied"}, "unknown fact `satisfied`"),
    ({"kind": "change", "watch": "needs", "change": "fell"}, "only changes, it has no `fell`"),
    ({"kind": "change", "watch": "household", "change": "rose"}, "no order to rise or fall in"),
    ({"kind": "change", "watch": "household", "by": 2}, "is no number and changes by no amount"),
    ({"kind": "change", "watch": "satisfaction", "change": "appeared", "by": 2}, "changed by no amount"),
    ({"kind": "change", "watch": "stage", "to": ["growing"]}, "unknown value `growing`"),
    ({"kind": "change", "watch": "satisfaction", "to": ["x"]}, "only enums and bools change to a value"),
    ({"kind": "change", "watch": "needs", "evidence": {"after": "is_now"}}, "there is no `after` to keep"),
    ({"kind": "change", "watch": "stage", "evidence": {"after": "is_now"}}, "cannot hold what `stage` holds"),
]


@pytest.mark.parametrize(("keys", "problem"), WRONG)
def test_triggers_that_cannot_fire_are_errors(tmp_path, keys, problem):
    """What a trigger cannot detect, or cannot keep, is said with a position."""
    wrong = {"id": "p", "kind": "detector", "fired_at": "fell_at", "hold": "14d"} | keys
    with pytest.raises(RulebookCompileError, match=problem):
        rulebook_of(tmp_path, [wrong])


@pytest.mark.parametrize(
    ("series", "problem"),
    [
        ([], "there is no series to look at"),
        ([("a", "7d"), ("b", "7d")], "there are several series to look at"),
        ([("a", "7d"), ("a", "7d")], "series `a` is declared twice"),
        ([("a", "30min")], "a period is at least an hour"),
        ([("a" * 60, "7d")], "the id of a series has at most 46 characters"),
    ],
)
def test_series_that_cannot_be_followed_are_errors(tmp_path, series, problem):
    """A series is declared once, by a short name, with a period that ends."""
    declared = [{"id": i, "period": p, "variance_floor": 1, "mad_floor": 1} for i, p in series]
    with pytest.raises(RulebookCompileError, match=problem):
        rulebook_of(tmp_path, TRIGGERS[:1], declared)
