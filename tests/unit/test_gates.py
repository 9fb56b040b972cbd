"""Every gate through the real kernels: what passes, what stops, and the values it saw and asked for."""

import pytest
from tests.builders.rulebooks import CONSENTS
from tests.builders.worlds import DAY, NOW, action, customer, small
from tests.naive.gates import in_quiet_hours, local_hour
from tests.naive.plain import Entry

ALL_BUT = {name: frozenset(CONSENTS) - {name} for name in CONSENTS}


def ends(case, *, world=None, **changes):
    """Where an action with these changes ends."""
    return (world or small(action(**changes))).ends(case)


def test_an_action_without_gates_is_chosen():
    """The tests' action passes everything, so that what stops it is what a test changed."""
    assert ends(customer()) == ("CHOSEN", None, None)
    assert ends(customer(direction="outbound", channel="email")) == ("CHOSEN", None, None)


@pytest.mark.parametrize(
    ("key", "channel", "placements", "fits"),
    [
        ("pos", "pos", (), True),
        ("pos", "email", (), False),
        ("pos", "pos", ("receipt",), True),
        ("pos/receipt", "pos", (), True),
        ("pos/receipt", "pos", ("receipt", "display"), True),
        ("pos/receipt", "pos", ("display",), False),
        ("pos/receipt", "email", (), False),
    ],
)
def test_a_treatment_is_for_a_channel_and_placement(key, channel, placements, fits):
    """A request that names no placement takes any; a treatment that names none fits all."""
    case = customer(channel=channel, placements=tuple(placements))
    found = ends(case, treatments={key: {"say": "Hello"}})
    assert found == (("CHOSEN" if fits else "NO_TREATMENT"), None, None)


@pytest.mark.parametrize(
    ("desired", "purpose", "needed"),
    [
        ("cross_sell", None, "email_marketing"),
        ("service", None, "email_service"),
        ("listen", None, "email_survey"),
        ("cross_sell", "service", "email_service"),
    ],
)
def test_outbound_contact_needs_the_consent_of_its_channel_and_purpose(desired, purpose, needed):
    """One missing consent stops it outbound; who asks is answered without."""
    world = small(action(desired_action=desired, purpose=purpose))
    without = {"facts": {"consent": ALL_BUT[needed]}, "channel": "email"}
    only = {"facts": {"consent": frozenset({needed})}, "channel": "email"}
    assert world.ends(customer(direction="outbound", **without)) == ("CONSENT_MISSING", None, None)
    assert world.ends(customer(direction="outbound", **only))[0] == "CHOSEN"
    assert world.ends(customer(**without))[0] == "CHOSEN"


def test_unknown_consent_is_no_consent():
    """Without a consent set nothing goes out."""
    case = customer(direction="outbound", channel="email")
    del case.facts["consent"]
    assert ends(case)[0] == "CONSENT_MISSING"


def test_a_treatment_may_need_several_consents_or_none():
    """All that a treatment lists must be given."""
    both = {"email": {"say": "Hello", "consent": ["email_marketing", "sms_marketing"]}}
    case = customer(direction="outbound", channel="email", facts={"consent": ALL_BUT["sms_marketing"]})
    assert ends(case, treatments=both)[0] == "CONSENT_MISSING"
    assert ends(case, treatments={"email": {"say": "Hello", "consent": []}})[0] == "CHOSEN"


@pytest.mark.parametrize(("blocked", "stopped"), [({"credit"}, True), ({"alcohol"}, False), (None, False)])
@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_a_blocked_topic_stops_in_both_directions(blocked, stopped, direction):
    """One blocked topic of the action is enough; unknown is not blocked."""
    facts = {} if blocked is None else {"blocked_topics": frozenset(blocked)}
    case = customer(direction=direction, channel="email", facts=facts)
    found = ends(case, topics=["credit", "surveys"])
    assert found == (("TOPIC_BLOCKED" if stopped else "CHOSEN"), None, None)


@pytest.mark.parametrize(
    ("role", "needs", "found"),
    [
        ("agent", 1, ("CHOSEN", None, None)),
        ("agent", 2, ("AUTHORITY_LACKING", 1.0, 2.0)),
        ("agent", "lead", ("AUTHORITY_LACKING", 1.0, 5.0)),
        ("lead", "lead", ("CHOSEN", None, None)),
        (None, 1, ("CHOSEN", None, None)),
        (None, 2, ("AUTHORITY_LACKING", 1.0, 2.0)),
    ],
)
def test_staff_see_only_what_they_may_do(role, needs, found):
    """The role's authority reaches the action's; no role is the one with the least."""
    assert ends(customer(role=role), authority=needs) == found


FIRST, LAST = 1699920000.0, 1700006400.0
"""2023-11-14 begins and ends, in UTC."""


@pytest.mark.parametrize(
    ("now", "found"),
    [
        (FIRST - 0.25, ("NOT_YET_VALID", FIRST - 0.25, FIRST)),
        (FIRST, ("CHOSEN", None, None)),
        (LAST - 0.25, ("CHOSEN", None, None)),
        (LAST, ("NO_LONGER_VALID", LAST, LAST)),
    ],
)
def test_an_action_is_valid_from_its_first_day_through_its_last(now, found):
    """Days begin and end at midnight."""
    assert ends(customer(now=now), valid={"from": "2023-11-14", "through": "2023-11-14"}) == found


@pytest.mark.parametrize(
    ("home", "hours"),
    [(None, 5), ("UTC", 0), ("Europe/Copenhagen", -1), ("America/New_York", 5), ("Asia/Kolkata", -5.5)],
)
def test_days_are_those_where_the_customer_is(home, hours):
    """The 14th begins at each customer's own midnight, at the strategy's where their zone is not known."""
    day = {"from": "2023-11-14", "through": "2023-11-14"}
    world = small(action(valid=day), strategy={"time_zone": "America/New_York"})
    begins, over = FIRST + hours * 3600, LAST + hours * 3600
    facts = {} if home is None else {"time_zone": home}
    assert ends(customer(now=begins - 1, facts=facts), world=world) == ("NOT_YET_VALID", begins - 1, begins)
    assert ends(customer(now=begins, facts=facts), world=world)[0] == "CHOSEN"
    assert ends(customer(now=over - 1, facts=facts), world=world)[0] == "CHOSEN"
    assert ends(customer(now=over, facts=facts), world=world) == ("NO_LONGER_VALID", over, over)


@pytest.mark.parametrize(
    ("start", "end", "zone", "quiet"),
    [
        (20, 8, None, True),  # 22:13 UTC
        (8, 20, None, False),
        (23, 8, None, False),
        (23, 8, "Europe/Copenhagen", True),  # 23:13
        (20, 8, "America/New_York", False),  # 17:13
        (3, 4, "Asia/Kolkata", True),  # 03:43
        (22, 22.25, None, True),
        (22.25, 23, None, False),
    ],
)
def test_quiet_hours_are_those_of_the_customer(start, end, zone, quiet):
    """Outbound contact rests in [start, end) where the customer is; it may run over midnight."""
    hours = {"quiet_hours": {"start": start, "end": end}}
    world = small(action(), policies={"channels": {"email": hours, "pos": {}, "location": {}}})
    facts = {} if zone is None else {"time_zone": zone}
    found = world.ends(customer(direction="outbound", channel="email", facts=facts))
    hour = local_hour(NOW, zone or "UTC")
    assert in_quiet_hours(hour, (start, end)) is quiet
    if quiet:
        assert found == ("QUIET_HOURS", pytest.approx(hour, rel=1e-12), end)
    else:
        assert found[0] == "CHOSEN"
    assert world.ends(customer(channel="email", facts=facts))[0] == "CHOSEN"


def test_an_action_is_for_its_stages():
    """Another stage stops it and is named."""
    world = small(action(stages=["grow_me", "forgive_me"]))
    found = [world.ends(customer(figures={"stage": stage})) for stage in range(4)]
    assert found == [
        ("STAGE_MISMATCH", 0.0, None),
        ("STAGE_MISMATCH", 1.0, None),
        ("CHOSEN", None, None),
        ("CHOSEN", None, None),
    ]


@pytest.mark.parametrize(
    ("needs", "share", "found"),
    [({"recipes"}, None, "CHOSEN"), (set(), 0.9, "CHOSEN"), (set(), None, "SEGMENT_MISMATCH")],
)
def test_any_of_its_segments_is_enough(needs, share, found):
    """Segments overlap; one that is unknown is none the customer is in."""
    segments = [
        {"id": "cooks", "when": "'recipes' in customer.needs"},
        {"id": "bargain", "when": "customer.discount_share > 0.5"},
    ]
    world = small(action(segments=["cooks", "bargain"]), segments=segments)
    facts = {"needs": frozenset(needs)} | ({} if share is None else {"discount_share": share})
    assert world.ends(customer(facts=facts))[0] == found


@pytest.mark.parametrize(
    ("share", "satisfaction", "found"),
    [
        (0.9, 90.0, "CHOSEN"),
        (0.9, None, "CHOSEN"),
        (0.1, 10.0, "TRIGGER_NOT_FIRED"),
        (0.1, None, "TRIGGER_UNKNOWN"),
        (None, 10.0, "TRIGGER_UNKNOWN"),
    ],
)
def test_any_of_its_triggers_is_enough(share, satisfaction, found):
    """One that fired is enough; where none has, one that cannot be told is worth telling."""
    triggers = [
        {"id": "t", "when": "customer.discount_share > 0.5"},
        {"id": "u", "when": "customer.satisfaction > 50.0"},
    ]
    facts = {"discount_share": share, "satisfaction": satisfaction}
    known = {name: value for name, value in facts.items() if value is not None}
    world = small(action(triggers=["t", "u"]), triggers=triggers)
    assert world.ends(customer(facts=known))[0] == found


def test_a_fired_trigger_that_cools_down_is_told_before_one_that_is_unknown():
    """What did fire and was acted on explains more than what cannot be told."""
    triggers = [
        {"id": "t", "when": "true", "cool_down": "7d"},
        {"id": "u", "when": "customer.satisfaction > 50.0"},
    ]
    entry = Entry(NOW - DAY, "contact", "pos", outcome="presented", action="a", trigger="t")
    for order in (["t", "u"], ["u", "t"]):
        world = small(action(triggers=order), triggers=triggers)
        assert world.ends(customer(entry))[0] == "TRIGGER_COOLING_DOWN"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("customer.discount_share > 0.5", "CONDITION_UNKNOWN"),
        ("!(customer.discount_share > 0.5)", "CONDITION_UNKNOWN"),
        ("customer.discount_share > 0.5 || true", "CHOSEN"),
        ("customer.discount_share > 0.5 && false", "CONDITION_FALSE"),
    ],
)
def test_vector_three_valued(source, found):
    """A condition with a missing fact is unknown unless the rest decides; only TRUE is enough."""
    case = customer(facts={"needs": frozenset()})
    missing_aside = "'recipes' in customer.needs"
    source = source.replace("true", f"!({missing_aside})").replace("false", missing_aside)
    assert ends(case, when=source)[0] == found


@pytest.mark.parametrize(("days", "found"), [(7, "CHOSEN"), (7.01, "SNAPSHOT_TOO_OLD"), (-1, "CHOSEN")])
def test_a_snapshot_may_be_too_old_for_an_action(days, found):
    """Its age in days is told beside what the action allows."""
    case = customer(as_of=NOW - days * DAY)
    expected = (found, pytest.approx(days), 7.0) if found != "CHOSEN" else (found, None, None)
    assert ends(case, max_snapshot_age="7d") == expected


@pytest.mark.parametrize(
    ("desired", "passes"),
    [
        ("up_sell", False),
        ("communication", False),
        ("transaction", False),
        ("service", True),
        ("information", True),
        ("repair", True),
        ("listen", True),
        ("collect_information", True),
    ],
)
def test_a_poor_snapshot_sells_nothing(desired, passes):
    """Below the floor only what cares for the customer passes."""
    world = small(action(desired_action=desired))
    poor = world.ends(customer(figures={"data_quality": 0.39}))
    assert poor == (("CHOSEN", None, None) if passes else ("DATA_QUALITY_LOW", 0.39, 0.4))
    assert world.ends(customer(figures={"data_quality": 0.4}))[0] == "CHOSEN"
    assert world.ends(customer(figures={"data_quality": None}))[0] == "CHOSEN"


@pytest.mark.parametrize(
    ("desired", "score", "days", "held"),
    [
        ("up_sell", 6, 0, True),
        ("cross_sell", 0, 13.99, True),
        ("cross_sell", 6, 14, False),
        ("cross_sell", 7, 0, False),
        ("cross_sell", 3, -1, False),
        ("cross_sell", None, 1, False),
        ("cross_sell", 3, None, False),
        ("service", 0, 0, False),
    ],
)
def test_nothing_is_sold_after_a_bad_touchpoint(desired, score, days, held):
    """A score of at most 6 within (now − 14 d, now] holds up- and cross-sell."""
    facts = {"touchpoint_score": score, "touchpoint_score_at": None if days is None else NOW - days * DAY}
    case = customer(facts={name: value for name, value in facts.items() if value is not None})
    expected = ("SELL_HOLD", float(score), 6.0) if held else ("CHOSEN", None, None)
    assert ends(case, desired_action=desired) == expected


@pytest.mark.parametrize(
    ("effect", "worth"),
    [
        ({"yearly": -1, "profit_gap": 1}, -0.5),
        ({"once": -3, "yearly": 2.5, "profit_gap": 1, "ltv": 1e5}, -0.25),
        ({"minutes": 11, "customer_gap": 0.1, "profit_gap": 1}, -0.5),
    ],
)
@pytest.mark.parametrize("mandatory", [False, True])
def test_no_profit_buys_a_loss_to_the_customer(effect, worth, mandatory):
    """Expected worth below zero, time counted, stops also what is mandatory."""
    world = small(action(effect=effect, mandatory=mandatory), strategy={"value": {"value_of_time": 0.5}})
    case = customer(figures={"profit_gap": 1e6})
    assert world.ends(case) == ("NO_VALUE_FOR_CUSTOMER", pytest.approx(worth), 0.0)


def test_an_action_worth_nothing_to_the_customer_passes_the_mutual_gate():
    """The gate asks for no loss, not for a gain."""
    world = small(action(effect={"profit_gap": 0.5}))
    assert world.ends(customer(figures={"value_gap": None}))[0] == "CHOSEN"


def test_an_unknown_propensity_stops_an_action_and_says_so():
    """Nothing can be expected of what nobody can tell the odds of."""
    found = ends(customer(), propensity="customer.discount_share", mandatory=True)
    assert found == ("PROPENSITY_UNKNOWN", None, None)


@pytest.mark.parametrize("stage", [0, 1, 2])
@pytest.mark.parametrize(("grow_worth", "stopped"), [(5, True), (20, False), (None, True)])
def test_new_customers_get_no_more_than_loyal_ones(stage, grow_worth, stopped):
    """A Know me reward above the best that is open to Grow me is stopped in Know me."""
    gift = {"type": "monetary", "timing": "immediate"}
    others = []
    if grow_worth is not None:
        loyal = {"reward": gift | {"worth": grow_worth}, "stages": ["grow_me"], "benefit_group": "x"}
        others = [action("b", **loyal)]
    welcome = action(
        reward=gift | {"worth": 10}, stages=["know_me", "hear_me", "forgive_me"], benefit_group="x"
    )
    found = small(welcome, *others).ends(customer(figures={"stage": stage}))
    if stage == 2:
        assert found[0] == "STAGE_MISMATCH"
    elif stage == 0 and stopped:
        assert found == ("UNFAIR_TO_LOYAL", 10.0, float(grow_worth or 0))
    else:
        assert found[0] == "CHOSEN"


def test_rewards_of_different_benefit_groups_are_not_compared():
    """Fairness holds within a benefit group."""
    gift = {"type": "monetary", "timing": "saved", "worth": 10}
    case = customer(figures={"stage": 0})
    assert ends(case, reward=gift)[0] == "CHOSEN"
    assert ends(case, reward=gift, benefit_group="x", stages=["know_me"])[0] == "UNFAIR_TO_LOYAL"


COST = {"contact": 1, "accepted": 10}


@pytest.mark.parametrize(
    ("ceiling", "changes", "stage", "found"),
    [
        (5.99, {}, 1, ("ABOVE_INVESTMENT_CEILING", 6.0, 5.99)),
        (6.0, {}, 1, ("CHOSEN", None, None)),
        (None, {}, 1, ("CHOSEN", None, None)),
        (0.0, {"mandatory": True}, 1, ("MANDATORY", None, None)),
        (0.0, {"desired_action": "repair"}, 1, ("ABOVE_INVESTMENT_CEILING", 6.0, 0.0)),
        (0.0, {"desired_action": "repair"}, 3, ("CHOSEN", None, None)),
        (0.0, {"desired_action": "service"}, 3, ("ABOVE_INVESTMENT_CEILING", 6.0, 0.0)),
    ],
)
def test_a_customer_is_worth_so_much_investment(ceiling, changes, stage, found):
    """Expected cost stays under the ceiling; damage control and mandatory actions skip it."""
    case = customer(figures={"investment_ceiling": ceiling, "stage": stage})
    assert ends(case, cost=COST, **changes) == found


ORDER = [
    ("CONSENT_MISSING", {}, {"facts": {"consent": frozenset()}}),
    ("TOPIC_BLOCKED", {"topics": ["credit"]}, {"facts": {"blocked_topics": frozenset({"credit"})}}),
    ("AUTHORITY_LACKING", {"authority": 9}, {}),
    ("NOT_YET_VALID", {"valid": {"from": "2030-01-01"}}, {}),
    ("STAGE_MISMATCH", {"stages": ["grow_me"]}, {}),
    ("SEGMENT_MISMATCH", {"segments": ["nobody"]}, {}),
    ("TRIGGER_NOT_FIRED", {"triggers": ["never"]}, {}),
    ("CONDITION_FALSE", {"when": "'recipes' in customer.needs"}, {"facts": {"needs": frozenset()}}),
    ("SNAPSHOT_TOO_OLD", {"max_snapshot_age": "1d"}, {"as_of": NOW - 2 * DAY}),
    ("DATA_QUALITY_LOW", {}, {"figures": {"data_quality": 0.1}}),
    ("SELL_HOLD", {}, {"facts": {"touchpoint_score": 1, "touchpoint_score_at": NOW}}),
    ("NO_VALUE_FOR_CUSTOMER", {"effect": {"once": -5}}, {}),
    ("NOT_RELEVANT", {"relevance": {"season": "true"}}, {}),
    (
        "CONTACT_POLICY_PAUSED",
        {"limits": [{"outcome": "presented", "at_least": 1, "within": "9d", "pause": "9d"}]},
        {},
    ),
    ("PRESSURE_TOO_HIGH", {}, {}),
    ("UNFAIR_TO_LOYAL", {}, {}),
    ("CAP_REACHED", {"caps": [{"at_most": 1, "within": "9d"}]}, {}),
    ("ABOVE_INVESTMENT_CEILING", {"cost": {"contact": 50}}, {"figures": {"investment_ceiling": 10.0}}),
    ("WORSE_THAN_DO_NOTHING", {"cost": {"contact": 50}}, {}),
]


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_gates_stop_in_the_order_of_the_model(first):
    """Of all that is wrong with an action, the first gate in order is the one that is told."""
    changes, situation = {}, {"facts": {}, "figures": {}}
    for _, more, where in ORDER[first:]:
        changes |= {"effect": more["effect"]} if "effect" in more else {}
        changes |= {key: value for key, value in more.items() if key not in changes}
        for key, value in where.items():
            situation[key] = situation[key] | value if isinstance(value, dict) else value
    names = [name for name, _, _ in ORDER[first:]]
    crowd = [Entry(NOW, "contact", "sms", outcome="presented", action="a") for _ in range(9)]
    if "PRESSURE_TOO_HIGH" not in names:
        crowd = [Entry(NOW, "contact", "pos", outcome="presented", action="a") for _ in range(9)]
    if "UNFAIR_TO_LOYAL" in names:
        situation["figures"]["stage"] = 0
        changes |= {"benefit_group": "x", "stages": changes.get("stages", ["know_me"])}
        changes["reward"] = {"type": "monetary", "worth": 1}
    world = small(
        action(desired_action="up_sell", **changes),
        segments=[{"id": "nobody", "when": "false"}],
        triggers=[{"id": "never", "when": "false"}],
    )
    case = customer(*crowd, direction="outbound", channel="email", **situation)
    assert world.ends(case)[0] == ORDER[first][0]


def test_the_treatment_that_came_furthest_speaks_for_the_action():
    """Of several treatments that are stopped, the reason is that of the one that got furthest."""
    treatments = {
        "email/top": {"say": "Hello", "consent": ["sms_survey"]},
        "email/foot": {"say": "Hello", "consent": []},
    }
    case = customer(direction="outbound", channel="email", facts={"consent": frozenset()})
    for keys in (["email/top", "email/foot"], ["email/foot", "email/top"]):
        world = small(action(treatments={k: treatments[k] for k in keys}, cost={"contact": 500}))
        _, trace = world.explain([case])
        assert world.ends(case)[0] == "WORSE_THAN_DO_NOTHING"
        assert world.rulebook.treatments[trace.treatment[0, 0]].id == "a/email/foot"


def test_the_first_treatment_that_passes_is_the_answer():
    """Treatments are tried in the order of the file."""
    treatments = {
        "pos/display": {"say": "Hello"},
        "pos/receipt": {"say": "Hello"},
    }
    world = small(action(treatments=treatments))
    decisions = world.decide([customer(), customer(placements=("receipt",))])
    shown = [world.rulebook.treatments[t].id for t in decisions.treatment[:, 0]]
    assert shown == ["a/pos/display", "a/pos/receipt"]
