"""Selection probabilities: they sum to 1, and are the frequencies with which seeds make an action first."""

import random
from dataclasses import replace

import numpy as np
import pytest
from tests.builders.customers import CaseGenerator
from tests.builders.rulebooks import RulebookGenerator
from tests.builders.worlds import World, action, customer, small
from tests.naive.plain import Learnt

from nextbest.model import Stage
from nextbest.selection import selection_probabilities

SEEDS = 3000


def explore(method, share=0.3, **maturity):
    """A strategy that explores."""
    return {"learning": {"explore": {"method": method, "share": share}, "maturity": maturity}}


def probabilities(world, cases, learnt=None, *, limit=25):
    """(n, A + 1) as computed from a traced decision."""
    learnt = learnt or Learnt()
    decisions, trace = world.explain(cases, learnt, limit=limit)
    rows, _, contexts, state, *_ = world.arguments(cases, learnt)
    return selection_probabilities(world.model, state, rows, contexts, decisions, trace)


def frequencies(world, case, learnt=None, *, limit=25):
    """(A + 1,) how often seeds make each action the first that is not mandatory; the last = nothing."""
    cases = [replace(case, request=replace(case.request, seed=seed)) for seed in range(SEEDS)]
    decisions = world.decide(cases, learnt, limit=limit)
    mandatory = world.rulebook.action_tables.mandatory == 1
    found = np.zeros(len(mandatory) + 1)
    for ranked, count in zip(decisions.action, decisions.count, strict=True):
        free = [a for a in ranked[:count] if not mandatory[a]]
        found[free[0] if free else -1] += 1
    return found / SEEDS


def assert_close(world, case, learnt=None):
    """Within five standard errors and the error of quadrature."""
    found = probabilities(world, [case], learnt)[0]
    seen = frequencies(world, case, learnt)
    chance = np.where(np.append(world.rulebook.action_tables.mandatory, 0) == 1, 0.0, found)
    assert chance.sum() == pytest.approx(1.0, abs=1e-9)
    error = 5 * np.sqrt(np.maximum(chance * (1 - chance), 1e-4) / SEEDS) + 0.003
    assert (np.abs(chance - seen) < error).all(), (chance, seen)


def prior(successes, failures, name, **changes):
    """An action with a prior."""
    return action(name, propensity={"successes": successes, "failures": failures}, **changes)


ACTIONS = (
    prior(2, 8, "a"),
    prior(3, 12, "b", group="g0"),
    prior(1, 4, "c", group="g0", effect={"customer_gap": 0.1, "profit_gap": 0.12}),
    prior(1, 30, "d", cost={"contact": 6.0, "accepted": 20.0}),
    action("e", propensity="0.18"),
)


@pytest.mark.parametrize("method", ["none", "epsilon", "thompson"])
@pytest.mark.parametrize("maturity", [{}, {"trials": 300, "least_reach": 0.2}])
@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_probabilities_are_the_frequencies_over_seeds(method, maturity, direction):
    """Whatever explores, however immature: what is computed is what 3,000 seeds do."""
    world = small(*ACTIONS, strategy=explore(method, **maturity))
    learnt = Learnt(outcomes={("a", "hear_me"): (20.0, 60.0), ("b", "grow_me"): (3.0, 100.0)})
    assert_close(world, customer(direction=direction), learnt)


@pytest.mark.parametrize("method", ["epsilon", "thompson"])
def test_a_mandatory_action_is_no_matter_of_chance(method):
    """It has 1, bars its group, and the others' probabilities still sum to 1."""
    must = action("must", mandatory=True, group="g0")
    world = small(*ACTIONS, must, strategy=explore(method, share=0.5))
    case = customer()
    assert_close(world, case)
    found = probabilities(world, [case])[0]
    index = world.rulebook.action_index
    assert found[index["must"]] == 1.0
    assert found[index["b"]] == found[index["c"]] == 0.0


def test_without_exploration_the_first_has_all_of_it():
    """Nothing is left to chance: the first answer has 1, or doing nothing if there is none."""
    world = small(*ACTIONS)
    case = customer()
    index = world.rulebook.action_index
    found = probabilities(world, [case, customer(figures={"value_gap": 0.0, "profit_gap": 0.0})])
    assert found[0].tolist() == [float(i == index[world.ranking(case)[0]]) for i in range(6)]
    assert found[1].tolist() == [0.0] * 5 + [1.0]


def test_equal_scores_are_told_apart_as_in_the_ranking():
    """Among twins priority and id decide, and one of them has the whole probability."""
    world = small(action("a"), action("b"), action("c", priority=3))
    assert probabilities(world, [customer()])[0].tolist() == [0.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize("seed", range(12))
def test_generated_rulebooks_are_judged_as_their_seeds_fall(seed):
    """Random rulebooks with every gate, group and mandatory action: probabilities are frequencies."""
    rng = random.Random(seed)
    documents = RulebookGenerator(rng).documents()
    method = ("epsilon", "thompson")[seed % 2]
    documents["strategy.yaml"] |= explore(method, trials=150.0, least_reach=0.3)
    world = World(documents)
    generator = CaseGenerator(rng, world.plain)
    learnt, cases = generator.learnt(), [generator.case() for _ in range(40)]
    chances = probabilities(world, cases, learnt)
    risky = [i for i in range(40) if chances[i].max() > 0 and ((chances[i] > 0) & (chances[i] < 1)).any()]
    for i in risky[:2]:
        assert_close(world, cases[i], learnt)


def test_the_strength_of_a_posterior_narrows_its_chances():
    """The more is known, the rarer the worse one is tried; a sure thing is first for certain."""
    world = small(prior(10, 10, "a"), prior(9, 11, "b"), strategy=explore("thompson"))
    chances = []
    for n in (0, 100, 10_000):
        stage = Stage.HEAR_ME.name.lower()
        learnt = Learnt(outcomes={("a", stage): (0.50 * n, 0.50 * n), ("b", stage): (0.45 * n, 0.55 * n)})
        chances.append(probabilities(world, [customer()], learnt)[0].tolist())
    assert chances[0][0] < chances[1][0] < chances[2][0]
    assert chances[2][0] > 0.999


@pytest.mark.parametrize("method", ["none", "epsilon", "thompson"])
def test_probabilities_are_frequencies_where_places_are_asked_for(method):
    """What only fits a place that must show something else is never first, and draws its lot for nothing."""
    receipt, either = {"pos/receipt": {"say": "Hello"}}, {"pos": {"say": "Hello"}}
    world = small(
        action("m", mandatory=True, treatments=receipt),
        prior(2, 8, "a", treatments=receipt, effect={"customer_gap": 0.2, "profit_gap": 0.2}),
        prior(3, 12, "b", treatments=either, group="g0"),
        prior(1, 4, "c", treatments={"pos/display": {"say": "Hello"}}, group="g0"),
        prior(2, 9, "d", treatments=either),
        strategy=explore(method),
    )
    case = customer(placements=("receipt", "display"))
    assert_close(world, case)
    assert probabilities(world, [case])[0, world.rulebook.action_index["a"]] == 0.0
