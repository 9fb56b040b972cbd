"""What one desk knows every desk knows, and what the service says of where it has it from."""

import asyncio

from tests.builders.small import NOW, offended, population, regular
from tests.integration.server.test_response_report import started
from tests.integration.server.test_running import until
from tests.unit.test_customer_texts import INTERNAL, own_names, spoken

from loyalty.nextbest.v1 import common_pb2, decision_pb2, interaction_pb2, rulebook_pb2
from nextbest_client import customer_snapshot, decide_request, outcome_of

DESKS = ("pos", "call_centre")


def test_every_fact_says_who_it_is_from(rulebooks, rulebook):
    """Facts are described with customer, company or third party as their source (A7)."""
    described = rulebooks.Describe(rulebook_pb2.DescribeRequest())
    sources = {fact.name: fact.source for fact in described.facts}
    assert sources == {fact.name: fact.source.value for fact in rulebook.catalogue.facts}
    assert (sources["consent"], sources["revenue_net"]) == ("customer", "company")


def test_an_open_complaint_is_seen_at_every_desk(client, put, customer_id):
    """Wherever an offended customer turns up the apology comes first, with who answers for it (G2)."""
    put(customer_id, offended())
    for channel in DESKS:
        first = client.decide(decide_request(customer_id, channel=channel)).results[0]
        assert first.action == "apology"
        assert first.owner


def test_an_offer_made_at_one_desk_is_seen_at_all(client, interactions, put, customer_id):
    """What was offered on the phone is in the history that the till reads, with its channel (G2)."""
    put(customer_id, regular())
    decision = client.decide(decide_request(customer_id, channel="call_centre"))
    offer = decision.results[0]
    client.capture_outcomes(customer_id, [outcome_of(decision, offer, common_pb2.OUTCOME_PRESENTED)])
    entries = interactions.GetHistory(interaction_pb2.GetHistoryRequest(customer_id=customer_id)).entries
    assert [(e.action, e.channel) for e in entries] == [(offer.action, "call_centre")]


def test_every_answer_says_why_to_customer_and_staff(client):
    """Each answer has a sentence for the customer, without our figures, and one for staff (E7)."""
    seen = 0
    for customer in list(population(30)):
        response = client.decide(decide_request(customer, channel="call_centre", caller_role="lead"))
        for result in response.results[:-1]:
            assert result.customer_reason
            assert "likely" not in result.customer_reason
            assert "likely" in result.staff_reason
            seen += 1
    assert seen > 10


def test_no_answer_tells_a_customer_what_is_behind_it(client, rulebook):
    """What is said and why, at any desk and in either language, speaks no name and no word of the model."""
    denied = [INTERNAL, *(spoken(name) for name in sorted(own_names(rulebook)))]
    seen = 0
    for i, customer in enumerate(population(60)):
        asked = {"channel": (*DESKS, "email")[i % 3], "language": ("en", "da")[i // 3 % 2]}
        direction = common_pb2.DIRECTION_OUTBOUND if i % 3 == 2 else common_pb2.DIRECTION_INBOUND
        response = client.decide(decide_request(customer, direction=direction, caller_role="lead", **asked))
        for result in response.results[:-1]:
            for text in (result.customer_reason, result.treatment.say):
                assert not [one for one in denied if one.search(text)], text
                seen += 1
    assert seen > 20


async def test_when_a_customer_was_known_is_logged(redis_process, rulebook):
    """The log keeps in which phase of the purchase each customer was identified (G1)."""
    asked = [phase for phase in common_pb2.PurchasePhase.values() if phase]
    async with started(redis_process, rulebook) as (service, client):
        await client.put_snapshot(customer_snapshot("known", as_of=NOW, facts=regular()))
        await asyncio.gather(
            *(client.decide(decide_request("known", channel="pos", purchase_phase=phase)) for phase in asked)
        )
        log = service.store.decisions

        async def is_logged():
            return await log.count() >= len(asked)

        await until(is_logged)
        records = [entry.record async for batch in log.scan() for entry in batch]
    phases = [decision_pb2.DecideRequest.FromString(record.request).purchase_phase for record in records]
    assert sorted(phases) == sorted(asked)
