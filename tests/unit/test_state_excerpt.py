"""The part of a decision's state that is logged."""

import numpy as np
import pytest
from tests.builders.worlds import action, small

from nextbest.action.posteriors import posteriors_of
from nextbest.errors import DecisionUnreadable
from nextbest.learning.state_excerpt import excerpt, restored
from nextbest.model import CellEvidence, DecisionState
from nextbest.potential.cells import CellTree

ACTIONS = 50


def learnt(seed=1):
    """A state in which a third of the actions have outcomes."""
    rng = np.random.default_rng(seed)
    posteriors = rng.gamma(2.0, size=(ACTIONS, 4, 2)) * (rng.random((ACTIONS, 1, 1)) < 0.3)
    return DecisionState(posteriors, rng.random(4), 0.25)


@pytest.mark.parametrize("state", [learnt(), DecisionState.initial(ACTIONS)])
def test_a_state_comes_back_bit_for_bit(state):
    """What is restored decides as the state did: every count and price has the same bits."""
    again = restored(excerpt(state), ACTIONS)
    assert again.posteriors.tobytes() == state.posteriors.tobytes()
    assert again.stage_prices.tobytes() == state.stage_prices.tobytes()
    assert again.contact_price == state.contact_price


PATHS = [(), (0,), (1,), (1, 0), (1, 2), (1, 2, 3), (1, 2, 4)]
TREE = CellTree.of(np.array([[*p, *[-1] * (3 - len(p))] for p in PATHS], np.int32))
BOOK = small(*(action(f"a{i}", propensity={"successes": 2, "failures": 8}) for i in range(3))).rulebook


@pytest.mark.parametrize("seed", range(10))
def test_every_cell_of_the_tree_has_its_propensities_back(seed):
    """A customer's own cell, and those above, have the same posterior from the excerpt, bit for bit."""
    rng, k = np.random.default_rng(seed), 8
    cells = CellEvidence(
        rng.integers(0, 3, k).astype(np.int32),
        rng.integers(0, 4, k).astype(np.int32),
        rng.integers(1, len(PATHS), k).astype(np.int32),
        rng.integers(0, 50, (k, 2)).astype(np.float64),
    )
    posteriors = rng.integers(0, 100, (3, 4, 2)).astype(np.float64)
    np.add.at(posteriors, (cells.action, cells.stage), cells.counts)
    state = DecisionState(posteriors, rng.random(4), 0.25, cells)
    whole = posteriors_of(BOOK.action_tables, state, TREE.parent, 30.0)
    for cell in range(len(PATHS)):
        again = restored(excerpt(state, TREE, cell), 3)
        part = posteriors_of(BOOK.action_tables, again, TREE.parent, 30.0)
        place, its = int(whole.row_of_cell[cell]), int(part.row_of_cell[cell])
        assert (place < 0) == (its < 0)
        mine, theirs = (p if p >= 0 else -1 - p for p in (place, its))
        assert part.mean[theirs].tobytes() == whole.mean[mine].tobytes()
        assert part.strength[theirs].tobytes() == whole.strength[mine].tobytes()


def test_nothing_learnt_is_small():
    """Before anything is learnt an excerpt is a few bytes, however many actions there are."""
    assert len(excerpt(DecisionState.initial(10_000))) < 40


@pytest.mark.parametrize("data", [b"", b"x", excerpt(learnt())[:-9]])
def test_damage_is_said(data):
    """What is no excerpt is refused."""
    with pytest.raises(DecisionUnreadable):
        restored(data, ACTIONS)


def test_another_models_excerpt_is_refused():
    """An excerpt names actions by index, so that one of a larger model does not fit."""
    with pytest.raises(DecisionUnreadable):
        restored(excerpt(learnt()), 3)
