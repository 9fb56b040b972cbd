"""Each reason driven by a world that gives it: its numbers are right, and its remedy is a remedy."""

import copy
from dataclasses import replace

import pytest
from tests.builders.stories import GIFT, NOW, RESERVED, STORIES
from tests.builders.worlds import DAY, action
from tests.naive.decide import offered

from loyalty.nextbest.v1 import explanation_pb2
from nextbest.action.measures import UNITS
from nextbest.action.remedies import REMEDIES
from nextbest.action.speech import Speech
from nextbest.action.wording import SENTENCES
from nextbest.model import GATE_OF, Gate, Reason

LANGUAGES = ("en", "da")
CODES = {name.removeprefix("REASON_CODE_") for name in explanation_pb2.ReasonCode.keys()[1:]}
STOPPED = sorted(CODES - {"CHOSEN", "MANDATORY"} - RESERVED)
"""Reasons that stop an action."""
CURRENCY, ZONE = "DKK", "Europe/Copenhagen"


def explained(story, language="en"):
    """The explanation of a story's action."""
    world = story.world()
    explainer = world.explainer(story.case(), language, limit=story.limit)
    return explainer.candidate(world.rulebook.action_index["a"])


def verdict(story):
    """What plain Python says of a story's action."""
    return story.world().oracle(story.case(), limit=story.limit).verdicts["a"]


def test_every_reason_of_the_contract_has_its_story():
    """A new reason code fails here until a world gives it."""
    assert set(STORIES) | RESERVED == CODES
    assert {reason.name for reason in Reason} == CODES


@pytest.mark.parametrize("name", sorted(CODES))
def test_every_reason_has_words_and_something_that_would_change_it(name):
    """In both languages, saying different things; what was chosen needs no change."""
    reason = Reason[name]
    tables = [SENTENCES] if name in ("CHOSEN", "MANDATORY") else [SENTENCES, REMEDIES]
    for texts in tables:
        assert set(texts[reason]) == set(LANGUAGES)
        assert texts[reason]["en"] != texts[reason]["da"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", STOPPED)
def test_a_reason_has_both_values_and_a_way_out(name, language):
    """Actual and required value, sentence and remedy are all there, filled, whatever stops the action."""
    found = explained(STORIES[name], language)
    assert found.reason.name == name
    for text in (found.actual_text, found.required_text, found.sentence, found.remedy):
        assert text
        assert "{}" not in text
        assert "None" not in text
    assert found.actual_text != found.required_text
    assert (found.actual is not None) or found.unit == ""


@pytest.mark.parametrize("name", STOPPED)
def test_the_numbers_of_a_reason_are_those_of_plain_python(name):
    """The value that the gate saw and the one it asked for, also as the sentence tells them."""
    story = STORIES[name]
    expected = verdict(story)
    assert expected.reason == name
    for language in LANGUAGES:
        found = explained(story, language)
        if expected.actual is None:
            continue
        assert found.actual == pytest.approx(expected.actual, rel=1e-12)
        if Reason[name] not in UNITS or found.unit == "epoch_seconds":
            continue
        assert found.required == pytest.approx(expected.required, rel=1e-12)
        told = Speech(language, CURRENCY, ZONE).quantity(found.unit)
        asked = SENTENCES[Reason[name]][language]
        for field, value in (("{actual}", expected.actual), ("{required}", expected.required)):
            assert (told(value, 4) in found.sentence) == (field in asked)


@pytest.mark.parametrize("name", sorted(set(STOPPED) & {r.name for r in UNITS}))
def test_values_with_a_unit_are_numbers(name):
    """A reason that has a unit has both values as data."""
    found = explained(STORIES[name])
    assert found.actual is not None
    assert found.required is not None


def changed(story, *, facts=None, figures=None, **situation):
    """A story with the customer or the request changed."""
    given = copy.deepcopy(story.situation) | situation
    if facts:
        given["facts"] = given.get("facts", {}) | facts
    if figures:
        given["figures"] = given.get("figures", {}) | figures
    return replace(story, situation=given)


def with_action(story, **changes):
    """A story with the action changed."""
    return replace(story, changes=story.changes | changes)


def waited(story):
    """A story at the moment from which its gate is said to open."""
    return changed(story, now=explained(story).opens)


FOLLOWED = {
    "NO_TREATMENT": [lambda s: changed(s, channel="email", placements=())],
    "CONSENT_MISSING": [
        lambda s: changed(s, facts={"consent": frozenset(["email_marketing"])}),
        lambda s: changed(s, direction="inbound"),
    ],
    "TOPIC_BLOCKED": [lambda s: changed(s, facts={"blocked_topics": frozenset()})],
    "AUTHORITY_LACKING": [lambda s: changed(s, role="lead")],
    "NOT_YET_VALID": [waited],
    "NO_LONGER_VALID": [lambda s: with_action(s, valid={"through": "2030-01-01"})],
    "QUIET_HOURS": [waited, lambda s: changed(s, direction="inbound")],
    "STAGE_MISMATCH": [
        lambda s: changed(s, figures={"stage": 2}),
        lambda s: changed(s, figures={"stage": 3}),
    ],
    "SEGMENT_MISMATCH": [lambda s: changed(s, facts={"needs": frozenset(["recipes"])})],
    "TRIGGER_NOT_FIRED": [lambda s: changed(s, facts={"discount_share": 0.51})],
    "TRIGGER_UNKNOWN": [lambda s: changed(s, facts={"discount_share": 0.51})],
    "TRIGGER_COOLING_DOWN": [waited],
    "CONDITION_FALSE": [lambda s: changed(s, facts={"satisfaction": 80.5, "complaint_open": False})],
    "CONDITION_UNKNOWN": [lambda s: changed(s, facts={"satisfaction": 80.5})],
    "SNAPSHOT_TOO_OLD": [lambda s: changed(s, as_of=NOW - explained(s).required * DAY)],
    "DATA_QUALITY_LOW": [lambda s: changed(s, figures={"data_quality": explained(s).required})],
    "SELL_HOLD": [waited, lambda s: changed(s, facts={"touchpoint_score": explained(s).required + 1})],
    "NO_VALUE_FOR_CUSTOMER": [
        # accepted half of the time, what is missing has to be offered twice
        lambda s: with_action(s, effect={"once": -2469 - 2 * explained(s).actual})
    ],
    "PROPENSITY_UNKNOWN": [lambda s: changed(s, facts={"discount_share": 0.5})],
    "NOT_RELEVANT": [lambda s: with_action(s, relevance={"explicit_request": str(explained(s).required)})],
    "CONTACT_POLICY_PAUSED": [waited],
    "CONTACT_POLICY_UNKNOWN": [
        waited,
        lambda s: changed(s, lost=NOW - explained(s).required * DAY),
        lambda s: changed(s, direction="inbound"),
    ],
    "PRESSURE_TOO_HIGH": [waited, lambda s: changed(s, direction="inbound")],
    "LOCATION_CAP_REACHED": [waited, lambda s: changed(s, direction="inbound")],
    "UNFAIR_TO_LOYAL": [lambda s: with_action(s, reward=GIFT | {"worth": explained(s).required})],
    "CAP_REACHED": [waited],
    "ABOVE_INVESTMENT_CEILING": [lambda s: with_action(s, cost={"contact": explained(s).required})],
    "STILL_LEARNING": [
        lambda s: changed(s, direction="inbound"),
        lambda s: replace(s, strategy={"learning": {"maturity": {"trials": 0}}}),
    ],
    "WORSE_THAN_DO_NOTHING": [lambda s: with_action(s, cost={"contact": 9 - explained(s).margin - 0.001})],
    "BEATEN_IN_GROUP": [
        lambda s: with_action(s, cost={"contact": 0}, effect={"customer_gap": 0.11, "profit_gap": 0.1})
    ],
    "BEATEN_IN_RANK": [
        lambda s: replace(s, limit=2),
        lambda s: with_action(s, effect={"customer_gap": 0.1, "profit_gap": 0.1, "ltv": more_ltv(s)}),
    ],
    "DUPLICATE_PLACEMENT": [lambda s: changed(s, placements=("receipt", "display"))],
}
"""For each reason the ways out that its remedy names, taken."""


def more_ltv(story):
    """What to add to the company's gain so that the score rises by just more than the margin."""
    return (explained(story).margin + 1e-6) / (0.2 * 0.4)


def test_every_remedy_is_followed():
    """No reason is left out."""
    assert set(FOLLOWED) == set(STOPPED)


@pytest.mark.parametrize(("name", "way"), [(n, i) for n in STOPPED for i in range(len(FOLLOWED[n]))])
def test_following_the_remedy_opens_the_gate(name, way):
    """Once it is followed no gate up to that one stops the action, in the kernels and in plain Python."""
    after = FOLLOWED[name][way](STORIES[name])
    found = explained(after)
    assert found.reason.name == verdict(after).reason
    chosen = found.reason in (Reason.CHOSEN, Reason.MANDATORY)
    assert chosen or found.gate > GATE_OF[Reason[name]]
    if GATE_OF[Reason[name]] is Gate.ARBITRATION:
        assert chosen


@pytest.mark.parametrize(
    ("name", "changes"),
    [("PRESSURE_TOO_HIGH", {}), ("CAP_REACHED", {"caps": [{"at_most": 0, "within": "7d"}]})],
)
def test_no_wait_is_promised_that_would_not_help(name, changes):
    """Where a cap leaves no room at all, no moment is named."""
    story = with_action(STORIES[name], **changes)
    if name == "PRESSURE_TOO_HIGH":
        stages = {"know_me": {"pressure_cap": 1}}
        story = replace(story, strategy=story.strategy | {"stages": stages})
    found = explained(story)
    assert found.reason.name == name
    assert found.opens is None
    assert "wait" not in found.remedy
    assert explained(changed(story, now=NOW + 365 * DAY)).reason.name == name


def test_a_treatment_that_fits_no_placement_is_named():
    """The treatments that there are, against the channel and placements asked for."""
    found = explained(STORIES["NO_TREATMENT"])
    assert found.actual_text == ", ".join(t.id for t in STORIES["NO_TREATMENT"].world().rulebook.treatments)
    world = STORIES["NO_TREATMENT"].world()
    assert not offered(world.plain.actions[0], STORIES["NO_TREATMENT"].case().request)


def test_digits_are_added_until_both_values_differ():
    """29.9999 % is not told as 30 % where 30 % is asked for."""
    story = with_action(STORIES["NOT_RELEVANT"], relevance={"explicit_request": "0.299999"})
    found = explained(story)
    assert (found.actual_text, found.required_text) == ("29.9999%", "30%")


def test_what_a_mandatory_action_beat_has_no_margin():
    """No score is compared, and the words say so."""
    story = replace(STORIES["BEATEN_IN_RANK"], others=(action("b", mandatory=True),))
    for language, word in (("en", "mandatory"), ("da", "obligatorisk")):
        found = explained(story, language)
        assert (found.margin, found.required) == (None, None)
        assert word in found.sentence
        assert word in found.remedy
        assert found.required_text == word


def test_what_an_exploring_decision_set_back_is_told_so():
    """A drawn action that scores lower comes first: the loser is not told that it lacks something."""
    learning = {"learning": {"explore": {"method": "epsilon", "share": 1.0}}}
    story = replace(
        STORIES["BEATEN_IN_RANK"], strategy=learning, changes={}, others=(action("b", propensity="0.4"),)
    )
    seen = set()
    for seed in range(12):
        world, case = story.world(), story.case()
        case = replace(case, request=replace(case.request, seed=seed))
        found = world.explainer(case, limit=1).candidate(0)
        if found.reason is Reason.BEATEN_IN_RANK:
            assert found.margin < 0
            assert "was drawn" in found.sentence
            assert found.remedy.startswith("nothing")
            seen.add(seed)
    assert seen
