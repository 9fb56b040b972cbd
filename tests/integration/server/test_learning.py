"""Propensities that learn: outcomes change the next decision, survive restarts and reach all processes."""

import contextlib

import pytest
from tests.builders.small import NOW, newcomer, regular
from tests.integration.server.test_running import PATIENT, clock, until
from tests.naive.learning import propensity

from loyalty.nextbest.v1 import common_pb2
from nextbest.data.store import StoreOptions
from nextbest.server.app import ServiceOptions, running_service
from nextbest_client import AsyncNextBestClient, customer_snapshot, decide_request, outcome_of

PRESENTED, ACCEPTED = common_pb2.OUTCOME_PRESENTED, common_pb2.OUTCOME_ACCEPTED
REJECTED, NOT_PRESENTED = common_pb2.OUTCOME_REJECTED, common_pb2.OUTCOME_NOT_PRESENTED
FULL = common_pb2.VIEW_FULL
BRIE = (20, 80)
"""The prior of the rule file."""
KNOW_ME, HEAR_ME = 0, 1


@contextlib.asynccontextmanager
async def started(redis_process, rulebook):
    """A client of a service of its own on the Redis."""
    store = StoreOptions(redis_url=redis_process.url, timeout_s=20.0)
    async with (
        running_service(ServiceOptions(), store, rulebook, clock) as service,
        AsyncNextBestClient(service.address, options=PATIENT) as client,
    ):
        yield client


@pytest.fixture
async def client(redis_process, rulebook):
    """A client of a service that knows some customers."""
    async with started(redis_process, rulebook) as connected:
        for name in ("one", "two", "three"):
            await connected.put_snapshot(customer_snapshot(name, as_of=NOW, facts=regular()))
        await connected.put_snapshot(customer_snapshot("new", as_of=NOW, facts=newcomer()))
        yield connected


async def decided(client, customer="two"):
    """A decision that offers brie."""
    return await client.decide(decide_request(customer, channel="call_centre", view=FULL))


def brie(decision):
    """The answer about brie."""
    return next(result for result in decision.results if result.action == "brie")


async def p_of(client, customer="two"):
    """How likely brie is accepted, as decided with and as explained."""
    request = decide_request(customer, channel="call_centre")
    explained = (await client.explain(request, actions=["brie"])).candidates[0]
    return explained.breakdown.mean_propensity


async def capture(client, customer, *outcomes, **changes):
    """Outcomes of a new decision for a customer."""
    decision = await decided(client, customer)
    made = [outcome_of(decision, brie(decision), outcome, **changes) for outcome in outcomes]
    await client.capture_outcomes(customer, made)
    return decision


async def test_the_next_decision_knows_what_was_captured(client):
    """A success counts in its stage, and through the action in others; computed by hand."""
    assert brie(await decided(client)).propensity == pytest.approx(0.2)
    await capture(client, "one", PRESENTED)
    outcomes = {(HEAR_ME, ()): (0, 1)}
    assert brie(await decided(client)).propensity == pytest.approx(
        propensity(BRIE, outcomes, HEAR_ME, ()), rel=1e-12
    )
    await capture(client, "two", PRESENTED, ACCEPTED)
    outcomes = {(HEAR_ME, ()): (1, 1)}
    by_hand = (30 * (20 + 1) / (100 + 2) + 1) / (30 + 2)
    assert propensity(BRIE, outcomes, HEAR_ME, ()) == pytest.approx(by_hand)
    later = brie(await decided(client, "three"))
    assert later.propensity == later.breakdown.propensity == pytest.approx(by_hand, rel=1e-12)
    assert later.score > 0
    assert await p_of(client, "three") == pytest.approx(by_hand, rel=1e-12)


async def test_repeats_overrides_and_corrections(client):
    """A repeat and an override change nothing; a correction takes back what it corrects."""
    decision = await capture(client, "one", PRESENTED, ACCEPTED)
    learnt = await p_of(client)
    assert learnt > 0.2
    again = [outcome_of(decision, brie(decision), outcome) for outcome in (PRESENTED, ACCEPTED)]
    await client.capture_outcomes("one", again)
    await capture(client, "three", ACCEPTED, override_reason="asked for it")
    assert await p_of(client) == learnt
    await client.capture_outcomes("one", [outcome_of(decision, brie(decision), REJECTED)])
    assert await p_of(client) == pytest.approx(propensity(BRIE, {(HEAR_ME, ()): (0, 1)}, HEAR_ME, ()))
    await client.capture_outcomes("one", [outcome_of(decision, brie(decision), NOT_PRESENTED)])
    assert await p_of(client) == pytest.approx(0.2, rel=1e-12)


async def test_a_second_process_agrees_and_a_restart_forgets_nothing(client, redis_process, rulebook):
    """What one process captures another starts with; what that captures the first takes up by itself."""
    await capture(client, "one", PRESENTED, ACCEPTED)
    first = await p_of(client)
    async with started(redis_process, rulebook) as other:
        assert await p_of(other) == first
        await capture(other, "two", PRESENTED)
        second = await p_of(other)
        assert second < first

        async def agrees():
            return await p_of(client) == second

        await until(agrees)
    async with started(redis_process, rulebook) as again:
        assert await p_of(again) == second


async def test_an_explanation_says_what_a_propensity_rests_on(client):
    """Level by level with counts, in words, and with the probability of being first."""
    await capture(client, "one", PRESENTED, ACCEPTED)
    request = decide_request("two", channel="call_centre")
    explained = await client.explain(request, language="da")
    found = {candidate.action: candidate for candidate in explained.candidates}
    levels = [(at.level, at.name, at.successes, at.trials) for at in found["brie"].propensity_levels]
    assert levels == [("action", "brie", 1, 1), ("stage", "hear_me", 1, 1)]
    assert found["brie"].propensity_levels[-1].propensity == found["brie"].breakdown.mean_propensity
    assert "1 af 1 accepteret i hear_me" in found["brie"].propensity_reason
    first = explained.decision.results[0].action
    chances = {name: c.selection_probability for name, c in found.items() if c.HasField("breakdown")}
    assert chances == {name: float(name == first) for name in chances}


async def test_stages_learn_apart(client):
    """What new customers do moves others only through the action as a whole."""
    decision = await decided(client, "one")
    best = outcome_of(decision, brie(decision), PRESENTED)
    best.decision_id = "ab" * 16
    await client.capture_outcomes("new", [best])
    outcomes = {(KNOW_ME, ()): (0, 1)}
    assert await p_of(client, "one") == pytest.approx(propensity(BRIE, outcomes, HEAR_ME, ()), rel=1e-12)
    assert propensity(BRIE, outcomes, KNOW_ME, ()) < propensity(BRIE, outcomes, HEAR_ME, ()) < 0.2


async def test_a_customer_without_a_snapshot_counts_as_new(client):
    """Whose facts are unknown is in Know me, in no peer cell."""
    decision = await decided(client, "one")
    stranger = outcome_of(decision, brie(decision), ACCEPTED)
    await client.capture_outcomes("stranger", [stranger])
    outcomes = {(KNOW_ME, ()): (1, 0)}
    assert await p_of(client, "one") == pytest.approx(propensity(BRIE, outcomes, HEAR_ME, ()), rel=1e-12)
