"""The part of a decision's state that is logged."""

import numpy as np
import pytest

from nextbest.errors import DecisionUnreadable
from nextbest.learning.state_excerpt import excerpt, restored
from nextbest.model import DecisionState

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
