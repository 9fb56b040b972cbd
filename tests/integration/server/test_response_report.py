"""`nextbest report response`: answers per contact by ask-likelihood, from the log of a real service."""

import numpy as np
from tests.builders.small import NOW, population
from tests.integration.server.test_running import started, until

from loyalty.nextbest.v1 import common_pb2
from nextbest.batch.response_report import responses_of
from nextbest_client import customer_snapshot, decide_request, outcome_of

CUSTOMERS = 40
PRESENTED, ACCEPTED = common_pb2.OUTCOME_PRESENTED, common_pb2.OUTCOME_ACCEPTED
FATES = [
    (),
    (PRESENTED,),
    (PRESENTED, ACCEPTED),
    (common_pb2.OUTCOME_REJECTED,),
    (common_pb2.OUTCOME_NOT_PRESENTED,),
    (PRESENTED, ACCEPTED),
]
"""What becomes of contacts, in turn."""


async def lived(client):
    """Decide for customers and capture what became of each answer: (ask-likelihood, answered) of contacts."""
    contacts, turn = [], 0
    for customer, facts in list(population(CUSTOMERS).items()):
        await client.put_snapshot(customer_snapshot(customer, as_of=NOW, facts=facts))
        decision = await client.decide(decide_request(customer, channel="call_centre", caller_role="lead"))
        outcomes = []
        for result in decision.results[:-1]:
            fate, turn = FATES[turn % len(FATES)], turn + 1
            outcomes += [outcome_of(decision, result, outcome) for outcome in fate]
            if PRESENTED in fate or common_pb2.OUTCOME_REJECTED in fate:
                contacts.append((result.breakdown.relevance, ACCEPTED in fate))
        if outcomes:
            await client.capture_outcomes(customer, outcomes)
    return contacts


async def test_contacts_by_tenths(redis_process, rulebook):
    """Each contact with an outcome counts once, in order of the ask-likelihood that its decision saw."""
    async with started(redis_process, rulebook) as (service, client):
        contacts = sorted(await lived(client), key=lambda contact: contact[0])
        log = service.store.decisions

        async def is_logged():
            return await log.count() >= CUSTOMERS

        await until(is_logged)
        report = await responses_of(service.store, rulebook, log.scan())
    assert report.decisions == CUSTOMERS
    assert report.contacts == len(contacts) > 20
    assert report.answered == sum(answered for _, answered in contacts) > 5
    assert report.unscored == 0
    for tenth, part in zip(report.tenths, np.array_split(np.array(contacts), 10), strict=True):
        assert tenth.contacts == len(part)
        assert (tenth.lowest, tenth.highest) == (part[0, 0], part[-1, 0])
        assert 0.0 <= tenth.low <= tenth.share <= tenth.high <= 1.0
    assert sum(tenth.answered for tenth in report.tenths) == report.answered


async def test_nothing_captured_yet(redis_process, rulebook):
    """Decisions without outcomes are no contacts."""
    async with started(redis_process, rulebook) as (service, client):
        await client.decide(decide_request("nobody", channel="pos"))
        report = await responses_of(service.store, rulebook, service.store.decisions.scan())
    assert (report.decisions, report.contacts, report.tenths) == (0, 0, ())
