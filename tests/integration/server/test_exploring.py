"""A service that explores: decisions differ by their ids, and are made again bit for bit."""

import asyncio
import shutil

import pytest
import yaml
from tests.builders.small import DIRECTORY, NOW, offended, regular
from tests.integration.server.conftest import PATIENCE_S
from tests.integration.server.test_learning import started

from loyalty.nextbest.v1 import common_pb2
from nextbest.data.store import StoreOptions, open_past
from nextbest.rulebook.compile import compile_rulebook
from nextbest.server.replayer import Replayer
from nextbest.server.replaying import Verdict
from nextbest_client import customer_snapshot, decide_request, outcome_of

PRESENTED, ACCEPTED = common_pb2.OUTCOME_PRESENTED, common_pb2.OUTCOME_ACCEPTED
INBOUND, OUTBOUND = common_pb2.DIRECTION_INBOUND, common_pb2.DIRECTION_OUTBOUND


async def records_of(past, ids):
    """The logged records of some decisions, once all are there."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = [entry.record async for batch in past.decisions.scan() for entry in batch]
            if len(records := [r for r in found if r.decision_id.hex() in ids]) == len(ids):
                return records
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("method", ["epsilon", "thompson"])
async def test_what_was_drawn_is_drawn_again(method, redis_process, tmp_path):
    """While it explores and learns, a service answers one question in several ways, each replayable."""
    shutil.copytree(DIRECTORY, tmp_path / "rules")
    strategy = yaml.safe_load((tmp_path / "rules" / "strategy.yaml").read_text())
    strategy["learning"] = {
        "explore": {"method": method, "share": 0.5},
        "maturity": {"trials": 1000, "least_reach": 0.5},
    }
    (tmp_path / "rules" / "strategy.yaml").write_text(yaml.safe_dump(strategy))
    asked = []
    async with started(redis_process, compile_rulebook(tmp_path / "rules")) as client:
        for customer, facts in (("one", regular()), ("two", regular(needs=["price"])), ("three", offended())):
            await client.put_snapshot(customer_snapshot(customer, as_of=NOW, facts=facts))
            for channel, direction in (("call_centre", INBOUND), ("call_centre", OUTBOUND), ("pos", INBOUND)):
                request = decide_request(customer, channel=channel, direction=direction)
                asked.append([await client.decide(request) for _ in range(12)])
                best = asked[-1][0].results[0]
                if best.action != "do_nothing":
                    outcomes = [outcome_of(asked[-1][0], best, outcome) for outcome in (PRESENTED, ACCEPTED)]
                    await client.capture_outcomes(customer, outcomes)
    assert any(len({decision.results[0].action for decision in alike}) > 1 for alike in asked)
    async with open_past(StoreOptions(redis_url=redis_process.url, timeout_s=60.0)) as past:
        records = await records_of(past, {decision.decision_id for alike in asked for decision in alike})
        again = await Replayer(past).replay(records)
    assert [one.verdict for one in again] == [Verdict.IDENTICAL] * 108
