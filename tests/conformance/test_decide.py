"""Generated rulebooks × customers × histories × contexts: the kernels against the plain-Python decision.

Rulebooks go through YAML and the real compiler, customers through the bytes of the store. Figures are
drawn, because other oracles cover them. `NEXTBEST_CONFORMANCE=n` decides about n cases instead of 300.
"""

import math
import os
import random
from itertools import pairwise

import numpy as np
import pytest
from tests.builders.customers import CaseGenerator
from tests.builders.rulebooks import RulebookGenerator
from tests.builders.worlds import World

from nextbest.model import Reason, Term

CASES = int(os.environ.get("NEXTBEST_CONFORMANCE", "300"))
PER_RULEBOOK = 12
RULEBOOKS = -(-CASES // PER_RULEBOOK)
TOLERANCE = 1e-9


class Drawn:
    """One generated rulebook with its customers."""

    def __init__(self, seed):
        rng = random.Random(seed)
        self.world = World(RulebookGenerator(rng).documents())
        generator = CaseGenerator(rng, self.world.plain)
        self.cases = [generator.case() for _ in range(PER_RULEBOOK)]
        self.learnt = generator.learnt()
        self.limit = rng.choice((1, 2, 3, 25))

    def oracle(self, case):
        """What plain Python decides."""
        return self.world.oracle(case, self.learnt, limit=self.limit)


def close(ours, expected):
    """Equal to the tolerance, relative but for what is next to 0; NaN stands for None."""
    if expected is None:
        return np.isnan(ours)
    return ours == expected or abs(ours - expected) <= TOLERANCE * max(1e-3, abs(expected))


def nearly_tied(expected):
    """Whether two scores differ by rounding alone, so that sums in another order may rank otherwise."""
    scores = sorted(v.terms["score"] for v in expected.verdicts.values() if v.terms is not None)
    return any(low < high <= low + 1e-13 * abs(low) for low, high in pairwise([*scores, math.inf]))


def compare(world, row, decisions, trace, expected):
    """Every reason with its numbers, every term, the whole ranking."""
    rulebook = world.rulebook
    for index, action in enumerate(rulebook.actions):
        verdict, where = expected.verdicts[action.id], (world.documents, action.id)
        assert Reason(trace.reason[row, index]).name == verdict.reason, where
        treatment = int(trace.treatment[row, index])
        assert (rulebook.treatments[treatment].id if treatment >= 0 else None) == verdict.treatment, where
        if verdict.actual is not None:
            assert close(trace.actual[row, index], verdict.actual), where
        if verdict.required is not None:
            assert close(trace.required[row, index], verdict.required), where
        for name, value in (verdict.terms or {}).items():
            assert close(trace.terms[row, index, Term[name.upper()]], value), (name, *where)
    count = int(decisions.count[row])
    ranked = [rulebook.actions[a].id for a in decisions.action[row, :count]]
    assert ranked == [verdict.action for verdict in expected.ranked]
    assert (decisions.action[row, count:] == -1).all()
    for place, verdict in enumerate(expected.ranked):
        assert rulebook.treatments[decisions.treatment[row, place]].id == verdict.treatment
        assert close(decisions.terms[row, place, Term.SCORE], verdict.terms["score"])


@pytest.mark.parametrize("seed", range(RULEBOOKS))
def test_kernels_decide_as_plain_python_does(seed):
    """Every action of every customer ends for the same reason, with the same numbers and rank."""
    drawn = Drawn(seed)
    decisions, trace = drawn.world.explain(drawn.cases, drawn.learnt, limit=drawn.limit)
    for row, case in enumerate(drawn.cases):
        expected = drawn.oracle(case)
        if not nearly_tied(expected):
            compare(drawn.world, row, decisions, trace, expected)


def test_generated_cases_reach_every_gate():
    """The generator draws cases that end at each gate that is built, by either verdict."""
    seen = set()
    for seed in range(160):
        drawn = Drawn(seed)
        for case in drawn.cases:
            seen |= {verdict.reason for verdict in drawn.oracle(case).verdicts.values()}
    not_built = {"BUDGET_EXHAUSTED", "HELD_OUT", "DUPLICATE_PLACEMENT"}
    assert {reason.name for reason in Reason} - not_built == seen
