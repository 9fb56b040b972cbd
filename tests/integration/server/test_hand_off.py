"""A customer who is handed from desk to desk: whoever takes over sees what the first desk saw and did."""

import pytest
from tests.builders.small import NOW, offended, regular

from loyalty.nextbest.v1 import common_pb2, decision_pb2, interaction_pb2
from nextbest_client import InvalidRequest, NotFound, decide_request, outcome_of

DESKS = ("pos", "call_centre")


def told(client, customer_id, channel, outcome, **more):
    """Decide at a desk, present the best and tell what came of it; gives decision and action."""
    decision = client.decide(decide_request(customer_id, channel=channel, evaluation_time=NOW))
    best = decision.results[0]
    outcomes = [outcome_of(decision, best, common_pb2.OUTCOME_PRESENTED)]
    if outcome is not None:
        outcomes.append(outcome_of(decision, best, outcome, **more))
    client.capture_outcomes(customer_id, outcomes)
    return decision, best


def test_the_next_desk_sees_what_the_first_was_told(client, put, customer_id):
    """Owner, what to say, why in words, and the decision's id, as they were given (G2)."""
    put(customer_id, offended())
    decision, best = told(client, customer_id, "call_centre", None)
    assert (best.action, best.owner) == ("apology", "desk")
    found = client.get_hand_off(customer_id, decision_id=decision.decision_id)
    assert found.decision == decision
    taken = found.decision.results[0]
    assert taken.owner
    assert taken.treatment.say
    assert taken.customer_reason
    assert taken.staff_reason


def test_a_desk_that_knows_no_decision_is_given_the_latest(client, put, customer_id):
    """Without an id the customer's latest contact says what is handed over."""
    put(customer_id, regular())
    told(client, customer_id, "pos", None)
    decision, _ = told(client, customer_id, "call_centre", None)
    found = client.get_hand_off(customer_id)
    assert found.decision.decision_id == decision.decision_id
    assert {entry.decision_id for entry in found.interactions} == {decision.decision_id}


def test_what_came_of_it_is_handed_over_with_the_customer_s_words(client, put, customer_id):
    """Contact and outcome of that decision, the latest first, and what the customer said."""
    put(customer_id, regular())
    told(client, customer_id, "call_centre", common_pb2.OUTCOME_CLICKED, comment="I shall think about it")
    entries = client.get_hand_off(customer_id).interactions
    kinds = [entry.kind for entry in entries]
    assert kinds == [interaction_pb2.HISTORY_KIND_OUTCOME, interaction_pb2.HISTORY_KIND_CONTACT]
    assert entries[0].comment == "I shall think about it"


@pytest.mark.parametrize("first", DESKS)
def test_an_open_offer_is_open_at_every_desk(client, put, customer_id, first):
    """An offer presented at one desk and not answered is told at any, with its code and its owner."""
    put(customer_id, regular())
    decision, best = told(client, customer_id, first, None)
    (offer,) = client.get_hand_off(customer_id).open_offers
    assert (offer.action, offer.owner, offer.decision_id) == (best.action, best.owner, decision.decision_id)
    assert offer.treatment.offer == best.treatment.offer
    assert offer.treatment.channel == first
    assert offer.treatment.say == best.treatment.say
    danish = client.get_hand_off(customer_id, language="da").open_offers[0]
    assert danish.treatment.language == "da"


@pytest.mark.parametrize(
    ("outcome", "is_open"),
    [
        (common_pb2.OUTCOME_ACCEPTED, False),
        (common_pb2.OUTCOME_REJECTED, False),
        (common_pb2.OUTCOME_OPTED_OUT, False),
        (common_pb2.OUTCOME_IGNORED, True),
        (common_pb2.OUTCOME_CLICKED, True),
    ],
)
def test_an_answered_offer_is_no_longer_open(client, put, customer_id, outcome, is_open):
    """Accepted or refused, it is settled; ignored or looked at, it is not."""
    put(customer_id, regular())
    told(client, customer_id, "call_centre", outcome)
    assert bool(client.get_hand_off(customer_id).open_offers) == is_open


def test_an_open_complaint_is_handed_over(client, put, customer_id):
    """With its severity and its time; a settled one is not."""
    put(customer_id, offended())
    complaint = client.get_hand_off(customer_id).open_complaint
    assert complaint.severity == 3
    assert complaint.complained_at.ToDatetime() == offended()["complaint_at"].replace(tzinfo=None)
    put(customer_id, regular())
    assert not client.get_hand_off(customer_id).HasField("open_complaint")


def test_whoever_is_not_known_has_nothing_open(client):
    """An unknown customer has neither decision nor offers nor complaint."""
    assert client.get_hand_off("nobody-here") == decision_pb2.GetHandOffResponse()


def test_a_decision_that_is_not_there_is_said_to_be_missing(client, put, customer_id):
    """A decision that was named and is not kept is an error, not an empty answer."""
    put(customer_id, regular())
    with pytest.raises(NotFound, match="is in the log"):
        client.get_hand_off(customer_id, decision_id="0" * 32)
    with pytest.raises(InvalidRequest):
        client.get_hand_off(customer_id, decision_id="xyz")


def test_handing_over_changes_nothing(client, store, put, customer_id):
    """It is read, not recorded: the customer's history stays as it is."""
    put(customer_id, regular())
    told(client, customer_id, "call_centre", None)
    request = interaction_pb2.GetHistoryRequest(customer_id=customer_id)
    before = client.get_history(request)
    client.get_hand_off(customer_id)
    assert client.get_history(request) == before
