"""Capturing that fails half-way: a retry neither loses nor repeats anything."""

import asyncio

import pytest
from tests.builders.small import days_ago
from tests.integration.server.test_running import CUSTOMER, started

from loyalty.nextbest.v1 import common_pb2, interaction_pb2
from nextbest.data.lessons import Lesson
from nextbest.errors import StoreUnavailable
from nextbest.server.learner import Learner
from nextbest_client import InvalidRequest, ServiceUnavailable, timestamp

SOLVED = common_pb2.OUTCOME_PROBLEM_SOLVED
LESSON = Lesson("2026-03", "late_delivery", "apology", "problem_solved")


def solved(**changes):
    """A repair that has solved the problem."""
    return interaction_pb2.CapturedOutcome(
        action="apology",
        channel="pos",
        direction=common_pb2.DIRECTION_INBOUND,
        outcome=SOLVED,
        event_time=timestamp(days_ago(1)),
        reason_code="late_delivery",
        **changes,
    )


async def entries(client):
    """The customer's history."""
    request = interaction_pb2.GetHistoryRequest(customer_id=CUSTOMER)
    return list((await client.get_history(request)).entries)


async def test_a_call_that_fails_after_the_outcome_is_recorded(redis_process, rulebook, monkeypatch):
    """The lesson is counted in the step that records its outcome, so that the retry finds both or neither."""
    capture = Learner.capture
    failures = [StoreUnavailable("Redis went away"), StoreUnavailable("and again")]

    async def failing(self, *args):
        if failures:
            raise failures.pop()
        await capture(self, *args)

    async with started(redis_process, rulebook) as (service, client):
        monkeypatch.setattr(Learner, "capture", failing)
        for _ in range(2):
            with pytest.raises(ServiceUnavailable):
                await client.capture_outcomes(CUSTOMER, [solved(idempotency_key="k")])
        (result,) = await client.capture_outcomes(CUSTOMER, [solved(idempotency_key="k")])
        assert result.status == interaction_pb2.RECORD_STATUS_DUPLICATE
        assert len(await entries(client)) == 1
        assert await service.store.lessons.counts() == {LESSON: 1}


async def test_redis_killed_while_outcomes_are_captured(redis_process, rulebook):
    """After a crash of Redis and retries until all is well, each outcome and each lesson is there once."""
    async with started(redis_process, rulebook) as (service, client):

        async def captured_at_last(number):
            while True:
                try:
                    return await client.capture_outcomes(CUSTOMER, [solved(idempotency_key=f"k{number}")])
                except ServiceUnavailable:
                    await asyncio.sleep(0.05)

        calls = [asyncio.create_task(captured_at_last(number)) for number in range(60)]
        await asyncio.sleep(0.02)
        redis_process.kill()
        redis_process.start()
        await asyncio.gather(*calls)
        assert len(await entries(client)) == 60
        assert await service.store.lessons.counts() == {LESSON: 60}


async def test_contradictions_teach_nothing(redis_process, rulebook):
    """Only what is recorded is counted."""
    async with started(redis_process, rulebook) as (service, client):
        await client.capture_outcomes(CUSTOMER, [solved(idempotency_key="k", amount=1.0)])
        with pytest.raises(InvalidRequest, match="something else is recorded under this key"):
            await client.capture_outcomes(CUSTOMER, [solved(idempotency_key="k", amount=2.0)])
        assert await service.store.lessons.counts() == {LESSON: 1}
