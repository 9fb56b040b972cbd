"""A service that explores: decisions differ by their ids, and are made again bit for bit."""

import asyncio
import shutil
from dataclasses import replace

import numpy as np
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


def exploring(tmp_path, **learning):
    """The small rulebook with a strategy that explores."""
    shutil.copytree(DIRECTORY, tmp_path / "rules")
    strategy = yaml.safe_load((tmp_path / "rules" / "strategy.yaml").read_text())
    strategy["learning"] = learning
    (tmp_path / "rules" / "strategy.yaml").write_text(yaml.safe_dump(strategy))
    return compile_rulebook(tmp_path / "rules")


@pytest.fixture(params=["epsilon", "thompson"])
def rulebook(request, tmp_path):
    """Draws half of the answers, or all propensities, and holds immature actions back."""
    return exploring(
        tmp_path,
        explore={"method": request.param, "share": 0.5},
        maturity={"trials": 1000, "least_reach": 0.5},
    )


def open_log(redis_process):
    """What is kept of decisions."""
    return open_past(StoreOptions(redis_url=redis_process.url, timeout_s=60.0))


async def test_what_was_drawn_is_drawn_again(rulebook, redis_process):
    """While it explores and learns, a service answers one question in several ways, each replayable."""
    asked = []
    async with started(redis_process, rulebook) as client:
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
    async with open_log(redis_process) as past:
        records = await records_of(past, {decision.decision_id for alike in asked for decision in alike})
        again = await Replayer(past).replay(records)
    assert [one.verdict for one in again] == [Verdict.IDENTICAL] * 108
    assert all(record.selection for record in records)


async def test_logged_chances_are_the_frequencies_of_what_was_first(rulebook, redis_process):
    """They sum to 1 with doing nothing, and how often each was first among 600 decisions agrees with them."""
    names = [*rulebook.action_index, "do_nothing"]
    request = decide_request("one", channel="call_centre")
    async with started(redis_process, rulebook) as client:
        await client.put_snapshot(customer_snapshot("one", as_of=NOW, facts=regular()))
        given = {d.decision_id: d for d in [await client.decide(request) for _ in range(600)]}
        async with open_log(redis_process) as past:
            records = await records_of(past, given)
        explained = await client.explain(records[0].decision_id.hex(), customer_id="one")
    chances = records[0].selection_probabilities
    assert {record.selection for record in records} == {records[0].selection}
    is_mandatory = np.append(rulebook.action_tables.mandatory == 1, False)
    free = np.where(np.isnan(chances) | is_mandatory, 0.0, chances)
    assert free.sum() == pytest.approx(1.0, abs=1e-9)
    assert ((free > 0) & (free < 1)).sum() > 1
    mandatory = {name for name, must in zip(names, is_mandatory, strict=True) if must}
    first = [next(r.action for r in d.results if r.action not in mandatory) for d in given.values()]
    seen = np.array([first.count(name) for name in names]) / 600
    assert (np.abs(free - seen) < 5 * np.sqrt(np.maximum(free * (1 - free), 1e-4) / 600) + 0.003).all()
    assert (free[seen > 0] > 0).all()
    shown = {c.action: c.selection_probability for c in explained.candidates if c.HasField("breakdown")}
    assert shown == {name: chances[names.index(name)] for name in shown}
    assert len(shown) > 1


async def test_an_explanation_shows_the_chances_that_were_logged(rulebook, redis_process):
    """What was logged is shown, not what comes out now; and a replay that gets other bits says so."""
    async with started(redis_process, rulebook) as client:
        await client.put_snapshot(customer_snapshot("one", as_of=NOW, facts=regular()))
        made = await client.decide(decide_request("one", channel="call_centre"))
        async with open_log(redis_process) as past:
            (record,) = await records_of(past, {made.decision_id})
            altered = replace(
                record,
                decision_id=bytes(range(16)),
                selection=(record.selection_probabilities * 0.5).tobytes(),
            )
            assert await past.decisions.write([altered]) == [True]
            (again,) = await Replayer(past).replay([altered])
        explained = await client.explain(altered.decision_id.hex(), customer_id="one")
    names = list(rulebook.action_index)
    shown = {c.action: c.selection_probability for c in explained.candidates if c.HasField("breakdown")}
    assert shown == {name: altered.selection_probabilities[names.index(name)] for name in shown}
    assert shown
    assert again.verdict is Verdict.DIFFERENT
    assert any(difference.what.startswith("selection[") for difference in again.differences)


async def test_without_chance_nothing_is_computed_nor_logged(redis_process, tmp_path):
    """A rulebook that does not explore leaves the field empty."""
    async with started(redis_process, exploring(tmp_path)) as client:
        await client.put_snapshot(customer_snapshot("one", as_of=NOW, facts=regular()))
        made = await client.decide(decide_request("one", channel="call_centre"))
        async with open_log(redis_process) as past:
            (record,) = await records_of(past, {made.decision_id})
    assert record.selection == b""
