"""Trying what is not known yet: drawn propensities, a drawn first answer, and the reach of immature actions.

Exploration chooses among what the gates let through and never reopens one: gates read mean propensities.

Source: domain model, section 11. Oracle: tests/naive/exploration.py.
"""

import numpy as np

from nextbest.action.draws import Purpose, beta_draw, stream, uniform
from nextbest.action.tables import Batch, Code, Tables
from nextbest.action.terms import Terms, TermSetting
from nextbest.facts import Figure
from nextbest.kernels import lean_kernel
from nextbest.model import I32, Direction, Reason
from nextbest.rulebook.actions import PropensityKind
from nextbest.rulebook.strategy import Exploration

_METHOD, _SHARE, _WEIGHT = (
    int(TermSetting.EXPLORATION),
    int(TermSetting.SHARE),
    int(TermSetting.PARENT_WEIGHT),
)
_EPSILON, _THOMPSON = float(Exploration.EPSILON), float(Exploration.THOMPSON)
_EXPLORE, _LOT, _REACH, _PROPENSITY = (
    int(Purpose.EXPLORE),
    int(Purpose.LOT),
    int(Purpose.REACH),
    int(Purpose.PROPENSITY),
)
_KIND, _GROUP = int(Code.PROPENSITY_KIND), int(Code.GROUP)
_POSTERIOR, _OUTBOUND = int(PropensityKind.POSTERIOR), int(Direction.OUTBOUND)
_MANDATORY, _STILL_LEARNING = int(Code.MANDATORY), int(Reason.STILL_LEARNING)
_STAGE = int(Figure.STAGE)
_NO_KEY = np.uint64(0)


@lean_kernel
def strength(batch: Batch, terms: Terms, customer: int, action: int) -> float:
    """Strength of the posterior that a customer's propensity is the mean of, in trials."""
    place = batch.places[customer]
    if place < 0:  # nothing was captured in the customer's own cell
        return terms.settings[_WEIGHT]
    return terms.strength[place, np.int64(batch.figures[customer, _STAGE]), action]


@lean_kernel
def draws_propensity(tables: Tables, terms: Terms, action: int) -> bool:
    """Whether the rulebook explores an action by drawing its propensity (Thompson)."""
    return terms.settings[_METHOD] == _THOMPSON and tables.codes[action, _KIND] == _POSTERIOR


@lean_kernel
def explored(tables: Tables, batch: Batch, terms: Terms, customer: int, action: int, p: float) -> float:
    """The propensity to score with: drawn from its posterior if the rulebook explores so, else its mean."""
    if not draws_propensity(tables, terms, action):
        return p
    state = stream(batch.seeds[customer], np.uint64(terms.keys[action]), _PROPENSITY)
    return beta_draw(p, strength(batch, terms, customer, action), state)


@lean_kernel
def reach_gate(batch: Batch, terms: Terms, customer: int, action: int) -> tuple[int, float, float]:
    """An action that is still immature reaches a share of the contacts that the company starts.

    What is held against the share is the action's lot in this decision.
    """
    reach = terms.reach[action]
    if reach >= 1.0 or batch.requests[customer, 1] != _OUTBOUND:
        return 0, np.nan, np.nan
    lot = uniform(stream(batch.seeds[customer], np.uint64(terms.keys[action]), _REACH))
    if lot < reach:
        return 0, np.nan, np.nan
    return _STILL_LEARNING, lot, reach


@lean_kernel
def is_exploring(batch: Batch, terms: Terms, customer: int) -> bool:
    """Whether this decision shows an action drawn at random first (ε-greedy)."""
    if terms.settings[_METHOD] != _EPSILON:
        return False
    return uniform(stream(batch.seeds[customer], _NO_KEY, _EXPLORE)) < terms.settings[_SHARE]


@lean_kernel
def luckier(batch: Batch, terms: Terms, customer: int, one: int, other: int) -> int:
    """The one of two actions with the higher lot; -1 is none. All survivors are equally likely to be last."""
    if one < 0:
        return other
    seed = batch.seeds[customer]
    first = uniform(stream(seed, np.uint64(terms.keys[one]), _LOT))
    second = uniform(stream(seed, np.uint64(terms.keys[other]), _LOT))
    if first == second:
        return min(one, other)
    return one if first > second else other


@lean_kernel
def show_first(tables: Tables, ranked: I32, count: int, pick: int) -> int:
    """Put a drawn survivor first among the answers that are not mandatory; the others keep their order.

    It takes the place of its group's answer, or of the last one. Where mandatory actions leave no place, or
    one of them is of its group, nothing changes.

    Args:
        tables: The packed rulebook.
        ranked: (k,) answers, best first; changed.
        count: How many there are.
        pick: The drawn survivor.

    Returns:
        The new count.
    """
    first = 0
    while first < count and tables.codes[ranked[first], _MANDATORY] == 1:
        first += 1
    group = tables.codes[pick, _GROUP]
    gives_way = min(count, len(ranked) - 1)
    for place in range(count):
        if ranked[place] == pick or (group >= 0 and tables.codes[ranked[place], _GROUP] == group):
            gives_way = place
            break
    if gives_way < first:
        return count
    for place in range(gives_way, first, -1):
        ranked[place] = ranked[place - 1]
    ranked[first] = pick
    return max(count, gives_way + 1)
