"""Generated rulebooks × customers × histories × contexts: the kernels against the plain-Python decision.

Rulebooks go through YAML and the real compiler, customers through the bytes of the store. Figures are
drawn, because other oracles cover them. `NEXTBEST_CONFORMANCE=n` decides about n cases instead of 300.
"""

import os
import random

import numpy as np
import pytest
from tests.builders import customers as build
from tests.builders.rulebooks import RulebookGenerator, write
from tests.naive.decide import naive_decide
from tests.naive.rulebook import plain_rulebook

import nextbest.decide as use_case
from nextbest.assembly import Artifacts, assemble
from nextbest.model import Reason, Term
from nextbest.rulebook.compile import compile_rulebook

CASES = int(os.environ.get("NEXTBEST_CONFORMANCE", "300"))
PER_RULEBOOK = 12
RULEBOOKS = -(-CASES // PER_RULEBOOK)
TOLERANCE = 1e-9


class World:
    """One rulebook with its customers, compiled and plain."""

    def __init__(self, seed, directory):
        rng = random.Random(seed)
        self.documents = RulebookGenerator(rng, windows=False).documents()
        write(self.documents, directory)
        self.plain = plain_rulebook(self.documents)
        self.model = assemble(compile_rulebook(directory), Artifacts())
        generator = build.CaseGenerator(rng, self.plain)
        self.cases = [generator.case() for _ in range(PER_RULEBOOK)]
        self.learnt = generator.learnt()
        self.limit = rng.choice((1, 2, 3, 25))

    def run(self, call, monkeypatch, cases=None):
        """Decide or explain with the drawn figures."""
        cases = self.cases if cases is None else cases
        rulebook = self.model.rulebook
        monkeypatch.setattr(use_case, "figures_of", lambda *_: build.figures_of(cases))
        return call(
            self.model,
            build.rows_of(cases, rulebook),
            build.histories_of(cases, rulebook),
            build.contexts_of(cases, rulebook),
            build.state_of(self.learnt, rulebook),
            np.array([case.request.now for case in cases]),
            np.zeros(len(cases), np.uint64),
            max_results=self.limit,
        )

    def oracle(self, case):
        """What plain Python decides."""
        answers = build.answers(case, self.plain)
        return naive_decide(self.plain, case.customer, case.request, answers, self.learnt, limit=self.limit)


def close(ours, expected):
    """Equal to the tolerance; NaN stands for None."""
    if expected is None:
        return np.isnan(ours)
    return ours == expected or abs(ours - expected) <= TOLERANCE * max(1.0, abs(expected))


def compare(world, row, decisions, trace, expected):
    """Every reason with its numbers, every term, the whole ranking."""
    rulebook = world.model.rulebook
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
def test_kernels_decide_as_plain_python_does(seed, tmp_path, monkeypatch):
    """Every action of every customer ends for the same reason, with the same numbers and rank."""
    world = World(seed, tmp_path)
    decisions, trace = world.run(use_case.explain, monkeypatch)
    for row, case in enumerate(world.cases):
        compare(world, row, decisions, trace, world.oracle(case))


def test_generated_cases_reach_every_gate(tmp_path_factory):
    """The generator draws cases that end at each gate that is built, by either verdict."""
    seen = set()
    for seed in range(60):
        world = World(seed, tmp_path_factory.mktemp("world"))
        for case in world.cases:
            seen |= {verdict.reason for verdict in world.oracle(case).verdicts.values()}
    not_built = {"BUDGET_EXHAUSTED", "HELD_OUT", "DUPLICATE_PLACEMENT"}
    assert {reason.name for reason in Reason} - not_built == seen
