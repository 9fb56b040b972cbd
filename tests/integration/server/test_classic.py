"""A service whose rulebook ranks by the classic priority P·C·V·L."""

import math
import shutil

import pytest
from tests.builders.small import DIRECTORY, NOW, regular
from tests.integration.server.test_learning import started

from loyalty.nextbest.v1 import common_pb2
from nextbest.rulebook.compile import compile_rulebook
from nextbest_client import actions_of, customer_snapshot, decide_request


@pytest.fixture
def rulebook(tmp_path):
    """The small rulebook with classic arbitration, in which brie is worth 7."""
    shutil.copytree(DIRECTORY, tmp_path / "rules")
    strategy, actions = tmp_path / "rules" / "strategy.yaml", tmp_path / "rules" / "actions" / "selling.yaml"
    strategy.write_text(strategy.read_text() + "arbitration: classic\n")
    actions.write_text(actions.read_text().replace("- id: brie\n", "- id: brie\n    value: 7\n"))
    return compile_rulebook(tmp_path / "rules")


def priority(terms):
    """P·C·V·L by hand."""
    return math.prod((terms.propensity, terms.context_weight, terms.business_value, terms.lever))


async def test_a_classic_priority_can_be_computed_by_hand(redis_process, rulebook):
    """Answers and explanations hold all four factors, V among them, and their product is the score."""
    question = decide_request("one", channel="call_centre", view=common_pb2.VIEW_FULL, max_results=25)
    async with started(redis_process, rulebook) as client:
        await client.put_snapshot(customer_snapshot("one", as_of=NOW, facts=regular()))
        answered = actions_of(await client.decide(question))
        explained = await client.explain(question)
    values = {result.action: result.breakdown.business_value for result in answered}
    assert values["brie"] == 7
    for result in answered:
        assert result.score == pytest.approx(priority(result.breakdown), rel=1e-12)
    scored = [c for c in explained.candidates if c.HasField("breakdown") and c.action != "do_nothing"]
    assert {c.action for c in scored} >= set(values)
    for candidate in scored:
        assert candidate.breakdown.score == pytest.approx(priority(candidate.breakdown), rel=1e-12)
