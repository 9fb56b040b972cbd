"""Explain: the same decision as Decide, with where every action ended and why."""

import time
from itertools import pairwise

import pytest
from tests.builders.small import NOW, offended, population, regular

from loyalty.nextbest.v1 import common_pb2, explanation_pb2
from nextbest_client import NotFound, customer_snapshot, decide_request

OUTBOUND = common_pb2.DIRECTION_OUTBOUND
CHOSEN, MANDATORY = explanation_pb2.REASON_CODE_CHOSEN, explanation_pb2.REASON_CODE_MANDATORY


def by_action(response):
    """Candidates by action."""
    return {candidate.action: candidate for candidate in response.candidates}


def test_explains_the_decision_that_decide_makes(client, rulebook):
    """For every customer and channel the explained decision is that of Decide, and so is its ranking."""
    for i, customer in enumerate(population(40)):
        channel = ("pos", "call_centre", "email")[i % 3]
        direction = OUTBOUND if channel == "email" else common_pb2.DIRECTION_INBOUND
        request = decide_request(customer, channel=channel, direction=direction, evaluation_time=NOW)
        decided, explained = client.decide(request), client.explain(request)
        for decision in (decided, explained.decision):
            decision.ClearField("decision_id")
            decision.ClearField("request_id")
        assert explained.decision == decided
        chosen = [c.action for c in explained.candidates if c.code in (CHOSEN, MANDATORY)]
        assert chosen == [r.action for r in decided.results[:-1]]
        assert {c.action for c in explained.candidates} == {a.id for a in rulebook.actions}


def test_explaining_decides_nothing(client, put, store, customer_id):
    """An explained decision has no id, and is not kept for its request_id."""
    put(customer_id, regular())
    request = decide_request(customer_id, channel="pos", request_id="why")
    assert client.explain(request).decision.decision_id == ""
    assert not store.keys(f"nextbest:{{{customer_id}}}:r:*")


def test_chosen_first_then_by_id(client, put, customer_id):
    """Candidates come in order of rank, the rest by action id."""
    put(customer_id, regular())
    response = client.explain(
        decide_request(customer_id, channel="pos", contexts={"basket_value": 600.0}), actions=()
    )
    ranks = [candidate.rank for candidate in response.candidates if candidate.HasField("rank")]
    rest = [candidate.action for candidate in response.candidates if not candidate.HasField("rank")]
    assert ranks == list(range(1, len(ranks) + 1))
    assert rest == sorted(rest)
    assert response.candidates[0].rank == 1


def test_some_actions_only(client, put, customer_id):
    """Only the actions asked about are explained; the funnel still counts all."""
    put(customer_id, regular())
    response = client.explain(decide_request(customer_id, channel="pos"), actions=["welcome", "brie"])
    assert [c.action for c in response.candidates] == ["brie", "welcome"]
    assert response.funnel[0].entered == 9


def test_why_not_says_actual_and_required(client, put, customer_id):
    """What stopped an action is said with the value that was seen and the one asked for."""
    put(customer_id, regular())
    found = by_action(client.explain(decide_request(customer_id, channel="call_centre")))
    welcome = found["welcome"]
    assert welcome.code == explanation_pb2.REASON_CODE_STAGE_MISMATCH
    assert welcome.gate == explanation_pb2.GATE_STAGE_SEGMENT
    assert (welcome.actual_text, welcome.required_text) == ("hear_me", "know_me")
    assert found["win_back"].code == explanation_pb2.REASON_CODE_TRIGGER_NOT_FIRED
    assert "days_since_purchase = 7" in found["win_back"].sentence
    assert found["wine"].code == explanation_pb2.REASON_CODE_TRIGGER_UNKNOWN
    assert found["parking_hint"].code == explanation_pb2.REASON_CODE_NO_TREATMENT
    assert found["survey"].code == explanation_pb2.REASON_CODE_CONDITION_FALSE
    assert found["cheddar"].code == explanation_pb2.REASON_CODE_BEATEN_IN_GROUP
    assert found["cheddar"].lost_to == "brie"
    assert found["cheddar"].margin > 0.0
    assert found["brie"].breakdown.score > found["cheddar"].breakdown.score


def test_funnel_counts_every_action_once(client, put, customer_id):
    """Each gate lets through what it does not stop; the first gets all, the last leaves the chosen."""
    put(customer_id, regular())
    response = client.explain(decide_request(customer_id, channel="call_centre"))
    steps = response.funnel
    assert steps[0].entered == len(response.candidates)
    for before, after in pairwise(steps):
        assert after.entered == before.entered - before.stopped
    left = steps[-1].entered - steps[-1].stopped
    assert left == len(response.decision.results) - 1


def test_consent_and_authority(client, put, customer_id):
    """Missing consent and lacking authority are named, with what would help."""
    put(customer_id, offended(consent=[]))
    found = by_action(client.explain(decide_request(customer_id, channel="call_centre")))
    assert found["gesture"].code == explanation_pb2.REASON_CODE_AUTHORITY_LACKING
    assert (found["gesture"].actual_value, found["gesture"].required_value) == (0.0, 2.0)
    assert found["gesture"].remedy == "hand over to a role with an authority of at least 2: lead"
    assert found["apology"].code == MANDATORY
    assert found["apology"].gate == explanation_pb2.GATE_UNSPECIFIED
    outbound = client.explain(decide_request(customer_id, channel="call_centre", direction=OUTBOUND))
    assert by_action(outbound)["apology"].code == explanation_pb2.REASON_CODE_CONSENT_MISSING


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("", "the customer is in hear_me, the action is for know_me"),
        ("da", "kunden er i hear_me, handlingen er for know_me"),
        ("da-DK", "kunden er i hear_me, handlingen er for know_me"),
        ("fr", "the customer is in hear_me, the action is for know_me"),
    ],
)
def test_language_of_sentences(client, put, customer_id, language, sentence):
    """Sentences come in the language asked for, else in English."""
    put(customer_id, regular())
    response = client.explain(
        decide_request(customer_id, channel="pos"), actions=["welcome"], language=language
    )
    assert response.candidates[0].sentence == sentence


def test_language_of_the_request_stands_in(client, put, customer_id):
    """Without a language of its own an explanation speaks that of the request."""
    put(customer_id, regular())
    response = client.explain(decide_request(customer_id, channel="pos", language="da"), actions=["welcome"])
    assert response.candidates[0].sentence.startswith("kunden er i")
    assert response.decision.results[0].treatment.language == "da"


def test_unknown_customer_cannot_be_explained(client):
    """There is nothing to explain about an unknown customer."""
    with pytest.raises(NotFound):
        client.explain(decide_request("nobody", channel="pos"))


def contents(store):
    """Every key of Redis with its type and value, once nothing is on its way any more."""
    before = None
    while True:
        found = {key: store.dump(key) for key in sorted(store.scan_iter(count=10_000))}
        if found == before:
            return found
        before = found
        time.sleep(0.2)


def test_explaining_changes_nothing_in_redis(client, put, store, customer_id):
    """Not one key or value differs after a situation was explained, whoever it is about."""
    put(customer_id, regular())
    before = contents(store)
    for channel in ("pos", "call_centre", "email"):
        direction = OUTBOUND if channel == "email" else common_pb2.DIRECTION_INBOUND
        request = decide_request(customer_id, channel=channel, direction=direction, request_id="never")
        client.explain(request, language="da")
        inline = customer_snapshot(customer_id, as_of=NOW, facts=offended())
        client.explain(decide_request(customer_id, channel=channel, direction=direction, snapshot=inline))
    assert contents(store) == before


def test_when_a_gate_opens_is_told_as_data(client, put, customer_id):
    """What one may wait for is a moment, and words say it in the customer's zone."""
    bad = {"touchpoint_score": 2, "touchpoint_score_at": NOW}
    put(customer_id, regular(**bad))
    found = by_action(
        client.explain(decide_request(customer_id, channel="call_centre", evaluation_time=NOW), language="da")
    )
    held = [c for c in found.values() if c.code == explanation_pb2.REASON_CODE_SELL_HOLD]
    assert held
    for candidate in held:
        assert candidate.opens_at.ToDatetime() > NOW.replace(tzinfo=None)
        assert "(Europe/Copenhagen)" in candidate.remedy
        assert (candidate.actual_text, candidate.required_text) == ("2", "6")
