"""Over 10,000 generated decisions, by kernels and by plain Python; `make conformance` makes a million."""

import pytest
from tests.conformance.deciding import PER_RULEBOOK, Drawn, check_rulebook

from nextbest.model import Reason

DECISIONS = 10_200
TOGETHER = 5
"""Rulebooks of one test."""


@pytest.mark.parametrize("first", range(0, DECISIONS // PER_RULEBOOK, TOGETHER))
def test_kernels_decide_as_plain_python_does(first):
    """Every action of every customer ends for the same reason, with the same numbers and rank."""
    for seed in range(first, first + TOGETHER):
        check_rulebook(seed)


def test_generated_cases_reach_every_gate():
    """The generator draws cases that end at each gate that is built, by either verdict."""
    not_built = {"BUDGET_EXHAUSTED", "HELD_OUT"}
    missing = {reason.name for reason in Reason} - not_built
    for seed in range(DECISIONS // PER_RULEBOOK):
        drawn = Drawn(seed)
        for case in drawn.cases:
            missing -= {verdict.reason for verdict in drawn.oracle(case).verdicts.values()}
        if not missing:
            break
    assert not missing
