"""Pressure, streaks, windows, policies, caps and cool-downs: kernels against the list-walking oracle."""

import datetime as dt
import json
import math
from pathlib import Path
from unittest.mock import ANY
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.customers import histories_of
from tests.builders.worlds import DAY, NOW, action, customer, small
from tests.naive import contact as naive
from tests.naive.plain import Channel as PlainChannel
from tests.naive.plain import Entry, History, Limit

from nextbest.action.contact import contact_pressure, halved
from nextbest.decide import explain
from nextbest.model import NO_NAME, Direction, EntryFlag, EntryKind, Outcome, Reason
from nextbest.rings import new_entries

VECTORS = {v["name"]: v for v in json.loads((Path(__file__).parents[1] / "vectors.json").read_text())}
MODEL_WEIGHTS = {"email": 1.0, "sms": 2.0, "push": 1.5, "call_centre": 3.0, "location": 2.0, "pos": 0.0}


def sent(days, channel="email", **changes):
    """An outbound contact so many days ago."""
    fields = {"outcome": "presented", "action": "a"} | changes
    return Entry(NOW - days * DAY, "contact", channel, **fields)


def became(days, outcome, channel="email", **changes):
    """What became of an outbound contact."""
    return Entry(NOW - days * DAY, "outcome", channel, **({"outcome": outcome, "action": "a"} | changes))


ANY_RELEVANCE = {"threshold": {"inbound": 0, "outbound": 0}}
CHANNELS = {name: dict(ANY_RELEVANCE) for name in MODEL_WEIGHTS}


def lenient(*actions, **parts):
    """A world in which relevance stops nothing: rejections would, before any policy is asked."""
    return small(*actions, **({"policies": {"channels": CHANNELS}} | parts))


def vector_entries():
    """The contacts and the ignored streak of the vector."""
    given_ = VECTORS["pressure"]["in"]
    contacts = [sent(days, channel) for channel, days in given_["contacts"]]
    return [*contacts, *[became(1, "ignored") for _ in range(given_["ignored_streak"])]]


def test_vector_pressure():
    """Contacts weigh by channel and half-life, ignored ones escalate, and one more is too much."""
    expected = VECTORS["pressure"]["out"]
    amount, cap = expected["P_eff"], VECTORS["pressure"]["in"]["cap"]
    case = customer(*vector_entries(), direction="outbound", channel="email", figures={"stage": 1})
    reason, actual, required = lenient(action()).ends(case)
    assert (reason, required) == ("PRESSURE_TOO_HIGH", cap)
    assert actual == pytest.approx(amount + 1, rel=1e-9)
    history = History(tuple(vector_entries()))
    assert naive.pressure(history, NOW, MODEL_WEIGHTS) == pytest.approx(expected["P"], rel=1e-9)
    assert naive.blocks(amount, 1, cap) is expected["blocked"]


ENTRIES = st.lists(
    st.builds(
        Entry,
        time=st.sampled_from([NOW - d * DAY for d in (0, 0.5, 1, 7, 14, 59, 60, 61, -1)])
        | st.integers(0, 100 * 86400).map(lambda s: NOW - s),
        kind=st.sampled_from(["contact", "outcome"]),
        channel=st.sampled_from([*MODEL_WEIGHTS, None]),
        direction=st.sampled_from(["inbound", "outbound"]),
        outcome=st.sampled_from(
            ["presented", "ignored", "ignored", "accepted", "clicked", "complained", "opted_out"]
        ),
        action=st.sampled_from(["a", "b", None]),
    ),
    max_size=12,
).map(lambda entries: sorted(entries, key=lambda e: e.time))


def ring_of(entries, channels):
    """The entries as the kernel sees them."""
    codes = new_entries(len(entries))
    for code, entry in zip(codes, entries, strict=True):
        code["time"], code["kind"] = entry.time, EntryKind[entry.kind.upper()]
        code["channel"] = channels.index(entry.channel) if entry.channel else NO_NAME
        code["direction"] = Direction[entry.direction.upper()]
        code["outcome"] = Outcome[entry.outcome.upper()]
    return codes.view("<f8").reshape(-1, 9), codes.view("u1").reshape(-1, 72)


@given(ENTRIES)
@settings(max_examples=100, deadline=None)
def test_pressure_agrees_with_the_oracle(entries):
    """Only outbound contacts up to now weigh, and only outbound ones ignored in a row escalate."""
    channels = list(MODEL_WEIGHTS)
    table = np.zeros((len(channels), 6))
    table[:, 2] = [MODEL_WEIGHTS[name] for name in channels]
    table[channels.index("location"), 3] = 1.0
    numbers, octets = ring_of(entries, channels)
    pressure, located = contact_pressure(numbers, octets, 0, len(entries), NOW, table)
    history = History(tuple(entries))
    amount = naive.pressure(history, NOW, MODEL_WEIGHTS)
    expected = naive.effective_pressure(amount, naive.ignored_streak(history, NOW))
    assert pressure == pytest.approx(expected, rel=1e-12, abs=1e-15)
    latest = naive.latest_location_push(history, NOW, {"location"})
    assert located == (-math.inf if latest is None else latest)


@given(st.one_of(st.floats(), st.floats(0.0, 600.0), st.integers(0, 500).map(float)))
@settings(max_examples=100, deadline=None)
def test_halvings_agree_with_the_power(half_lives):
    """What halves with time is the power of two to rounding, exact at whole halvings, and nothing outside."""
    inside = 0.0 <= half_lives <= 500.0
    expected = 2.0**-half_lives if inside else 0.0
    assert halved(half_lives) == (expected if half_lives.is_integer() else pytest.approx(expected, rel=1e-15))


@pytest.mark.parametrize(
    ("outcomes", "streak"),
    [
        (["ignored", "ignored"], 2),
        (["ignored", "clicked", "ignored"], 1),
        (["ignored", "presented", "not_presented", "ignored"], 2),
        (["ignored", "complained", "ignored"], 2),
        (["ignored", "accepted"], 0),
    ],
)
def test_a_streak_ends_with_an_answer(outcomes, streak):
    """An answer ends the streak; a contact not shown does not, and a complaint is no reason to press on."""
    entries = [became(10 - i, outcome) for i, outcome in enumerate(outcomes)]
    case = customer(*entries, sent(0), direction="outbound", channel="email", figures={"stage": 2})
    q = lenient(action()).terms(case)["pressure_factor"]
    assert q == pytest.approx(math.sqrt(1 - (1 + 0.25 * streak) / 8), rel=1e-12)


def test_contact_that_the_customer_starts_is_never_stopped_by_pressure():
    """Inbound adds nothing, is not stopped, and its q is 1."""
    crowd = [sent(0, "sms") for _ in range(20)]
    world = lenient(action())
    assert world.ends(customer(*crowd, direction="outbound", channel="email"))[0] == "PRESSURE_TOO_HIGH"
    inbound = customer(*crowd, channel="email")
    assert world.ends(inbound)[0] == "CHOSEN"
    assert world.terms(inbound)["pressure_factor"] == 1.0
    theirs = [sent(0, "sms", direction="inbound") for _ in range(20)]
    quiet = customer(*theirs, direction="outbound", channel="email")
    assert world.terms(quiet)["pressure_factor"] == 1.0


def test_a_mandatory_action_is_not_stopped_by_pressure():
    """Mandatory actions skip pressure."""
    crowd = [sent(0, "sms") for _ in range(20)]
    case = customer(*crowd, direction="outbound", channel="email")
    assert lenient(action(mandatory=True)).ends(case)[0] == "MANDATORY"


@pytest.mark.parametrize("pressure_cap", [0, 0.5])
def test_a_cap_below_a_contact_stops_all_outbound_contact(pressure_cap):
    """A cap of zero is no division by zero: nothing that weighs anything goes out."""
    stages = {"hear_me": {"pressure_cap": pressure_cap}}
    world = lenient(action(), strategy={"stages": stages})
    assert world.ends(customer(direction="outbound", channel="email")) == (
        "PRESSURE_TOO_HIGH",
        1.0,
        pressure_cap,
    )
    assert world.ends(customer(channel="email"))[0] == "CHOSEN"


@pytest.mark.parametrize(
    ("days", "reason"), [(0, "LOCATION_CAP_REACHED"), (6.99, "LOCATION_CAP_REACHED"), (7, "CHOSEN")]
)
def test_location_pushes_are_a_week_apart(days, reason):
    """At most one location push in (now − 7 d, now], whatever the pressure allows."""
    world = lenient(action(), policies={"channels": CHANNELS | {"location": {"pressure_weight": 0}}})
    entry = sent(days, "location", outcome="presented")
    found = world.ends(customer(entry, direction="outbound", channel="location"))
    assert found == ((reason, days, 7.0) if reason != "CHOSEN" else (reason, None, None))


def day_of(*when, zone="Europe/Copenhagen"):
    """Epoch seconds of a local time."""
    return dt.datetime(*when, tzinfo=ZoneInfo(zone)).timestamp()


THIS_YEAR = {"calendar": "year", "time_zone": "Europe/Copenhagen"}
NEW_YEAR = day_of(2024, 1, 1)
IN_JUNE = day_of(2024, 6, 11, 8)


@pytest.mark.parametrize(
    ("time", "lost", "reason"),
    [
        (NEW_YEAR, -math.inf, "CONTACT_POLICY_PAUSED"),
        (NEW_YEAR - 1, -math.inf, "CHOSEN"),
        (day_of(2024, 1, 1, zone="UTC"), -math.inf, "CONTACT_POLICY_PAUSED"),
        (NEW_YEAR - 1, NEW_YEAR - 1, "CHOSEN"),
        (NEW_YEAR + 1, NEW_YEAR, "CONTACT_POLICY_PAUSED"),
        (NEW_YEAR - 9, NEW_YEAR, "CONTACT_POLICY_UNKNOWN"),
    ],
)
def test_a_calendar_period_counts_from_its_first_moment(time, lost, reason):
    """A limit by the year counts from local midnight of the first, and pauses until the year is over."""
    limit = {"outcome": "rejected", "at_least": 1, "within": THIS_YEAR, "scope": "all"}
    world = lenient(action(limits=[limit]), action("b"))
    entries = [Entry(time, "outcome", "email", outcome="rejected", action="b")]
    case = customer(*entries, direction="outbound", channel="email", lost=lost, now=IN_JUNE)
    end = (day_of(2025, 1, 1) - IN_JUNE) / DAY
    known = ((IN_JUNE - lost) / DAY, (IN_JUNE - NEW_YEAR) / DAY)
    expected = {
        "CONTACT_POLICY_PAUSED": (pytest.approx(end, rel=1e-12), 0.0),
        "CONTACT_POLICY_UNKNOWN": (pytest.approx(known[0]), pytest.approx(max(known[1], 70.0))),
        "CHOSEN": (None, None),
    }
    assert world.ends(case) == (reason, *expected[reason])


@pytest.mark.parametrize(("time", "reason"), [(NEW_YEAR, "CAP_REACHED"), (NEW_YEAR - 1, "CHOSEN")])
def test_a_cap_by_the_calendar(time, reason):
    """A cap of one a year is free again with the next year."""
    world = lenient(action(caps=[{"at_most": 1, "within": THIS_YEAR}]))
    entry = Entry(time, "contact", "email", outcome="presented", action="a")
    found = world.ends(customer(entry, channel="email", now=IN_JUNE))
    assert found == ((reason, 1.0, 1.0) if reason == "CAP_REACHED" else (reason, None, None))


LIMITS = st.builds(
    Limit,
    outcomes=st.sets(st.sampled_from(["rejected", "ignored", "presented"]), min_size=1).map(frozenset),
    at_least=st.integers(1, 3),
    within_s=st.sampled_from([DAY, 7 * DAY, 15 * DAY]),
    pause_s=st.sampled_from([DAY / 2, 7 * DAY, 30 * DAY]),
    scope=st.sampled_from(["action", "group", "channel", "all"]),
    channel=st.just(None),
)
OUTCOME_ENTRIES = st.lists(
    st.builds(
        Entry,
        time=st.sampled_from([NOW - d * DAY for d in (0, 1, 6, 7, 8, 14, 15, 16, 22, 30, 37, 45, -1)]),
        kind=st.just("outcome"),
        channel=st.sampled_from(["email", "sms"]),
        outcome=st.sampled_from(["rejected", "ignored", "presented"]),
        action=st.sampled_from(["a", "b", "c"]),
    ),
    max_size=8,
)
LOST = st.sampled_from([-math.inf, math.inf, *(NOW - d * DAY for d in (0, 1, 7, 8, 15, 22, 30, 31, 45, 46))])


@given(LIMITS, OUTCOME_ENTRIES, LOST, st.sampled_from(["inbound", "outbound"]))
@settings(max_examples=60, deadline=None)
def test_contact_policies_agree_with_the_oracle(limit, entries, lost, direction):
    """A pause holds, does not, or cannot be told from what is left of the history."""
    given_ = {
        "outcome": sorted(limit.outcomes),
        "at_least": limit.at_least,
        "within": f"{limit.within_s:.0f}s",
        "pause": f"{limit.pause_s:.0f}s",
        "scope": limit.scope,
    }
    world = lenient(
        action(group="g0", mandatory=True, limits=[given_]),
        action("b", group="g0"),
        action("c"),
    )
    kept = [e for e in entries if e.time >= lost]
    case = customer(*kept, direction=direction, channel="email", lost=lost)
    plain = world.plain.actions[0]
    paused, until = naive.paused(
        plain.limits[0], case.history, NOW, rulebook=world.plain, action=plain, channel="email"
    )
    expected = ("MANDATORY", None, None)
    if paused:
        expected = ("CONTACT_POLICY_PAUSED", pytest.approx((until - NOW) / DAY, rel=1e-12), 0.0)
    elif paused is None and direction == "outbound":
        # over how many days the history is known, and has to be, is compared in tests/conformance
        expected = ("CONTACT_POLICY_UNKNOWN", pytest.approx(max((NOW - lost) / DAY, 0.0)), ANY)
    assert world.ends(case) == expected


TWO_REJECTIONS = {"outcome": "rejected", "at_least": 2, "within": "15d", "pause": "30d"}


@pytest.mark.parametrize(
    ("days", "left"),
    [((1, 2), 29), ((1, 15.99), 29), ((1, 16), None), ((29.5, 40), 0.5), ((30, 40), None), ((1,), None)],
)
def test_two_rejections_within_15_days_pause_for_30(days, left):
    """The second rejection starts the pause; it is over exactly 30 days later."""
    case = customer(*(became(d, "rejected") for d in days), figures={"value_gap": 1e5})
    found = lenient(action(limits=[TWO_REJECTIONS])).ends(case)
    assert found == (("CONTACT_POLICY_PAUSED", left, 0.0) if left else ("CHOSEN", None, None))


def test_a_rejection_that_staff_provoked_still_counts():
    """Overrides stay out of propensities, but what the customer said no to is not asked again."""
    world = lenient(action(limits=[TWO_REJECTIONS | {"at_least": 1}]))
    case = customer(became(1, "rejected"))
    histories = histories_of([case], world.rulebook)
    histories.contacts.entries["flags"] = EntryFlag.OVERRIDE
    rows, _, contexts, state, now, seed = world.arguments([case])
    _, trace = explain(world.model, rows, histories, contexts, state, now, seed)
    assert trace.reason[0, 0] == Reason.CONTACT_POLICY_PAUSED


def test_the_longest_pause_is_told():
    """Of several pauses the one that ends last says how long it takes."""
    shorter = TWO_REJECTIONS | {"at_least": 1, "pause": "3d"}
    case = customer(became(1, "rejected"), became(2, "rejected"))
    for limits in ([shorter, TWO_REJECTIONS], [TWO_REJECTIONS, shorter]):
        assert lenient(action(limits=limits)).ends(case) == ("CONTACT_POLICY_PAUSED", 29.0, 0.0)


def test_a_pause_that_is_known_outranks_one_that_is_not():
    """TRUE decides an or, whatever else is unknown."""
    never = TWO_REJECTIONS | {"outcome": "clicked", "pause": "365d"}
    paused = TWO_REJECTIONS | {"at_least": 1, "pause": "3d"}
    case = customer(became(1, "rejected"), direction="outbound", channel="email", lost=NOW - 100 * DAY)
    world = lenient(action(limits=[never, paused]))
    assert world.ends(case) == ("CONTACT_POLICY_PAUSED", 2.0, 0.0)


@pytest.mark.parametrize(
    ("cap", "contacts", "reason"),
    [(1, (7,), "CHOSEN"), (1, (6.99,), "CAP_REACHED"), (2, (1, 2), "CAP_REACHED"), (0, (), "CAP_REACHED")],
)
def test_caps_count_contacts_in_a_half_open_window(cap, contacts, reason):
    """At most so many contacts of the action in (now − W, now]; a cap of zero allows none."""
    world = lenient(action(caps=[{"at_most": cap, "within": "7d"}]))
    case = customer(*(sent(d, "pos") for d in contacts), sent(0, action="b"), sent(-1))
    expected = (reason, float(len(contacts)), float(cap)) if reason == "CAP_REACHED" else (reason, None, None)
    assert world.ends(case) == expected


@pytest.mark.parametrize(
    ("parts", "lost_days", "reason"),
    [
        ({"caps": [{"at_most": 1, "within": "100d"}]}, 99, "CAP_REACHED"),
        ({"caps": [{"at_most": 1, "within": "100d"}]}, 100, "CHOSEN"),
        ({"limits": [TWO_REJECTIONS | {"at_least": 1, "pause": "100d"}]}, 99, "CONTACT_POLICY_UNKNOWN"),
        ({"limits": [TWO_REJECTIONS | {"at_least": 1, "pause": "100d"}]}, 100, "CHOSEN"),
        ({"limits": [TWO_REJECTIONS | {"pause": "100d"}]}, 101, "CHOSEN"),
        ({"triggers": ["t"]}, 99, "TRIGGER_COOLING_DOWN"),
        ({"triggers": ["t"]}, 100, "CHOSEN"),
        ({}, 69, "CONTACT_POLICY_UNKNOWN"),
        ({}, 70, "CHOSEN"),
        ({"mandatory": True}, 0, "MANDATORY"),
    ],
)
def test_lost_history_stops_outbound_contact_only(parts, lost_days, reason):
    """A window that lost entries could change is unknown: we do not write, but we answer who asks."""
    trigger = {"id": "t", "when": "true", "cool_down": "100d"}
    world = lenient(action(**parts), triggers=[trigger])
    lost = NOW - lost_days * DAY
    assert world.ends(customer(direction="outbound", channel="email", lost=lost))[0] == reason
    inbound = world.ends(customer(channel="email", lost=lost))[0]
    assert inbound == ("MANDATORY" if "mandatory" in parts else "CHOSEN")


def test_a_lost_rejection_cannot_pause_what_one_known_rejection_could_not():
    """With the pause's own window complete and no rejection in it, earlier losses change nothing."""
    limits = [TWO_REJECTIONS | {"pause": "30d", "within": "200d"}]
    world = lenient(action(limits=limits))
    lost = NOW - 80 * DAY
    quiet = customer(direction="outbound", channel="email", lost=lost)
    assert world.ends(quiet)[0] == "CHOSEN"
    once = customer(became(3, "rejected"), direction="outbound", channel="email", lost=lost)
    assert world.ends(once)[0] == "CONTACT_POLICY_UNKNOWN"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (sent(6.99, trigger="t"), "TRIGGER_COOLING_DOWN"),
        (sent(7, trigger="t"), "CHOSEN"),
        (sent(1, trigger="u"), "CHOSEN"),
        (sent(1, trigger="t", action="b"), "TRIGGER_COOLING_DOWN"),
        (sent(1), "TRIGGER_COOLING_DOWN"),
        (sent(1, action="b"), "CHOSEN"),
        (sent(-1, trigger="t"), "CHOSEN"),
        (became(1, "accepted", trigger="t"), "CHOSEN"),
    ],
)
def test_a_trigger_cools_down_after_a_contact_that_it_caused(entry, reason):
    """For so long it does not fire again; a contact without a trigger counts for those of its action."""
    triggers = [{"id": "t", "when": "true", "cool_down": "7d"}, {"id": "u", "when": "true"}]
    world = lenient(action(triggers=["t"]), action("b", triggers=["u"]), triggers=triggers)
    assert world.ends(customer(entry))[0] == reason


def test_a_cooling_trigger_reads_false_in_conditions():
    """`trigger.t` in a condition is false while t cools down, so that `!trigger.t` is true."""
    triggers = [{"id": "t", "when": "true", "cool_down": "7d"}]
    world = lenient(action(when="trigger.t"), action("b", when="!trigger.t"), triggers=triggers)
    assert world.ranking(customer()) == ["a"]
    assert world.ranking(customer(sent(1, trigger="t"))) == ["b"]


def test_the_oracle_has_no_opinion_on_channels_it_does_not_know():
    """A contact in a channel that the rulebook no longer has weighs nothing."""
    assert naive.pressure(History((sent(0, "fax"),)), NOW, MODEL_WEIGHTS) == 0.0
    assert PlainChannel(0, 0, 1).location_bound is False
