"""How far a rulebook looks back, and what is not enough history for it."""

import dataclasses

import numpy as np
import pytest
from tests.builders.small import DIRECTORY

from nextbest.action.memory import longest_window, require_memory
from nextbest.errors import InvalidInput
from nextbest.model import DAY_S
from nextbest.rulebook.compile import compile_rulebook


@pytest.fixture(scope="module")
def rulebook():
    """The small rulebook."""
    return compile_rulebook(DIRECTORY)


def changed(rulebook, **tables):
    """The rulebook with other tables of actions."""
    return dataclasses.replace(rulebook, action_tables=dataclasses.replace(rulebook.action_tables, **tables))


def test_a_policy_looks_back_over_window_and_pause(rulebook):
    """A pause may come from an outcome that closed a window just before it began."""
    tables = rulebook.action_tables
    long = changed(
        rulebook,
        policy_within_s=np.full_like(tables.policy_within_s, 300 * DAY_S),
        policy_pause_s=np.full_like(tables.policy_pause_s, 200 * DAY_S),
    )
    assert longest_window(long) == ("a contact policy", 500 * DAY_S)


def test_caps_and_cool_downs_count(rulebook):
    """The longest of all that looks back counts, whatever it is; what never ends cannot be kept for."""
    tables = rulebook.action_tables
    capped = changed(rulebook, cap_within_s=np.full_like(tables.cap_within_s, 1000 * DAY_S))
    assert longest_window(capped) == ("a cap of an action", 1000 * DAY_S)
    endless = changed(rulebook, cap_within_s=np.full_like(tables.cap_within_s, np.inf))
    assert longest_window(endless).what != "a cap of an action"
    cooled = dataclasses.replace(
        rulebook, triggers=tuple(dataclasses.replace(t, cool_down_days=900.0) for t in rulebook.triggers)
    )
    assert longest_window(cooled).seconds == 900 * DAY_S


def test_pressure_is_always_remembered(rulebook):
    """No rulebook looks back less than contact pressure does."""
    assert longest_window(rulebook).seconds >= 70 * DAY_S


def test_too_short_a_retention_is_refused(rulebook):
    """History shorter than the longest window is refused, and says what needs how much."""
    longest = longest_window(rulebook)
    require_memory(rulebook, longest.seconds)
    require_memory(rulebook, np.inf)
    with pytest.raises(InvalidInput) as raised:
        require_memory(rulebook, longest.seconds - 1)
    (violation,) = raised.value.violations
    assert violation.field == "history_days"
    assert longest.what in violation.description
    assert f"looks back {longest.seconds / DAY_S:g} days" in violation.description
