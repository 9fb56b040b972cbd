"""Why a decision cannot be explained: it is not in the log, and the answer says why as far as it can."""

import pytest
from tests.integration.server.test_logging import CUSTOMER, asking, started

from nextbest.data.decision_log import LogLimits
from nextbest_client import NotFound


async def explained(client, decision_id):
    """The explanation of one of the customer's decisions."""
    return await client.explain(decision_id, customer_id=CUSTOMER)


async def test_what_sampling_left_out_is_said_to_be(redis_process, rulebook):
    """Whether a decision is in the sample follows from its id, so that one that is not is told apart."""
    async with started(redis_process, rulebook, sampling=0.5) as (service, client):
        seen = set()
        for _ in range(24):
            decision = await client.decide(asking())
            is_kept = service.log.samples(bytes.fromhex(decision.decision_id))
            seen.add(is_kept)
            if is_kept:
                found = await explained(client, decision.decision_id)
                assert found.decision.decision_id == decision.decision_id
            else:
                with pytest.raises(NotFound, match="sampling left it out"):
                    await explained(client, decision.decision_id)
        assert seen == {True, False}


async def test_what_was_erased_is_said_to_be(redis_process, rulebook):
    """The log is erased with the customer, and an explanation says so."""
    async with started(redis_process, rulebook) as (_, client):
        decision = await client.decide(asking())
        await explained(client, decision.decision_id)
        await client.erase(CUSTOMER)
        with pytest.raises(NotFound, match="the customer was erased, and the log with them"):
            await explained(client, decision.decision_id)


async def test_what_is_too_old_or_was_never_made_is_said_to_be(redis_process, rulebook):
    """For how long decisions are kept is named."""
    limits = LogLimits(retention_s=2 * 86400)
    async with started(redis_process, rulebook, limits=limits) as (_, client):
        with pytest.raises(NotFound, match="older than the 2 days for which decisions are kept"):
            await explained(client, "0" * 32)
