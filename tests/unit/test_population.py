"""Decisions of a population: the same as in one call, whatever the parts and threads."""

import random

import numpy as np
import pytest
from tests.builders.customers import CaseGenerator
from tests.builders.rulebooks import RulebookGenerator
from tests.builders.worlds import World

from nextbest.batch import population
from nextbest.batch.population import decide_in_threads
from nextbest.decide import decide


def bits(decisions):
    """Every array of a decision as bytes."""
    return [getattr(decisions, name).tobytes() for name in decisions.__slots__]


@pytest.mark.parametrize(("seed", "part", "threads"), [(1, 64, 2), (2, 128, 3), (3, 1024, 1)])
def test_parts_and_threads_change_nothing(seed, part, threads, monkeypatch):
    """A population decided in parts on several threads gets what one call gives, bit for bit."""
    monkeypatch.setattr(population, "MOST", part)
    rng = random.Random(seed)
    world = World(RulebookGenerator(rng).documents(9))
    generator = CaseGenerator(rng, world.plain)
    arguments = world.arguments([generator.case() for _ in range(300)], generator.learnt())
    together = decide(world.model, *arguments, max_results=4)
    assert bits(decide_in_threads(world.model, *arguments, max_results=4, threads=threads)) == bits(together)


def test_memory_of_an_earlier_call_is_filled_anew():
    """Whoever hands over the decisions of an earlier call gets them back with what new ones would hold."""
    rng = random.Random(5)
    world = World(RulebookGenerator(rng).documents(9))
    generator = CaseGenerator(rng, world.plain)
    before, after = (world.arguments([generator.case() for _ in range(150)]) for _ in range(2))
    room = decide_in_threads(world.model, *before, threads=1)
    expected = bits(decide(world.model, *after))
    found = decide_in_threads(world.model, *after, threads=1, out=room)
    assert found is room
    assert bits(found) == expected


def test_nobody_is_a_population():
    """No customers get no answers."""
    world = World(RulebookGenerator(random.Random(4)).documents(2))
    found = decide_in_threads(world.model, *world.arguments([]))
    assert found.action.shape == (0, 3)
    assert found.fired.shape == (len(world.rulebook.triggers), 0)
    assert np.array_equal(found.count, [])
