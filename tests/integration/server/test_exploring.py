"""A service that explores: decisions differ by their ids, and are made again bit for bit."""

import shutil

import pytest
import yaml
from tests.builders.small import DIRECTORY, population
from tests.integration.server.conftest import serving
from tests.integration.server.test_replaying import PATIENT, logged, past_of

from loyalty.nextbest.v1 import common_pb2
from nextbest.server.replayer import Replayer
from nextbest.server.replaying import Verdict
from nextbest_client import NextBestClient, decide_request, outcome_of

PRESENTED, ACCEPTED = common_pb2.OUTCOME_PRESENTED, common_pb2.OUTCOME_ACCEPTED


@pytest.mark.parametrize("method", ["epsilon", "thompson"])
async def test_what_was_drawn_is_drawn_again(method, data_directory, tmp_path):
    """While it explores and learns, a service answers one question in several ways, each replayable."""
    shutil.copytree(DIRECTORY, tmp_path / "rules")
    strategy = yaml.safe_load((tmp_path / "rules" / "strategy.yaml").read_text())
    strategy["learning"] = {
        "explore": {"method": method, "share": 0.5},
        "maturity": {"trials": 1000, "least_reach": 0.5},
    }
    (tmp_path / "rules" / "strategy.yaml").write_text(yaml.safe_dump(strategy))
    given = []
    with (
        serving(data_directory, tmp_path / "log", rulebook=tmp_path / "rules") as service,
        NextBestClient(service.address, options=PATIENT) as client,
    ):
        for customer in list(population())[:8]:
            for channel, outbound in (("call_centre", False), ("call_centre", True), ("email", True)):
                direction = common_pb2.DIRECTION_OUTBOUND if outbound else common_pb2.DIRECTION_INBOUND
                request = decide_request(customer, channel=channel, direction=direction)
                given += [client.decide(request) for _ in range(12)]
            best = given[-36].results[0]
            if best.action != "do_nothing":
                outcomes = [outcome_of(given[-36], best, outcome) for outcome in (PRESENTED, ACCEPTED)]
                client.capture_outcomes(customer, outcomes)
    asked = [given[i : i + 12] for i in range(0, len(given), 12)]
    assert any(len({decision.results[0].action for decision in alike}) > 1 for alike in asked)
    records = await logged(data_directory, {decision.decision_id for decision in given})
    async with past_of(data_directory) as past:
        again = await Replayer(past).replay(records)
    assert [one.verdict for one in again] == [Verdict.IDENTICAL] * len(given)
