"""Properties of decisions over generated worlds: what a change may do, and what no decision may."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conformance.properties import CHECKS

WORLDS = 50


@pytest.mark.parametrize("name", CHECKS)
@given(seed=st.integers(1000, 2**40))
@settings(max_examples=WORLDS, deadline=None)
def test_holds_in_every_world(name, seed):
    """What the check of that name says holds in whatever world is drawn."""
    CHECKS[name](seed)


@pytest.mark.parametrize("name", CHECKS)
def test_the_check_compares_something(name):
    """In some twenty worlds the change that the check makes changes something that could break it."""
    assert sum(CHECKS[name](seed) for seed in range(20)) >= 20
