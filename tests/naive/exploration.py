"""Exploring decisions in plain Python: the drawn first answer and the probability of being first."""

from dataclasses import replace

from tests.naive import draws

EXPLORE, LOT, REACH, PROPENSITY = 1, 2, 3, 4


def is_exploring(seed, share):
    """Whether an ε-greedy decision explores."""
    return draws.uniform(draws.stream(seed, 0, EXPLORE)) < share


def lot(seed, key):
    """The lot of an action."""
    return draws.uniform(draws.stream(seed, key, LOT))


def reaches(seed, key, reach):
    """Whether an immature action may be shown in outbound contact."""
    return draws.uniform(draws.stream(seed, key, REACH)) < reach


def drawn_first(decision, actions, keys, seed, limit):
    """Ids of the answers once a survivor with the highest lot is put first.

    Args:
        decision: the greedy `Decision` with room for everyone.
        actions: the plain rulebook's actions by id.
        keys: of the actions' draws, by id.
        seed: the decision's.
        limit: answers wanted.
    """
    ranked = [verdict.action for verdict in decision.ranked]
    mandatory = [name for name in ranked if actions[name].mandatory]
    others = [name for name in ranked if not actions[name].mandatory]
    survivors = [
        name
        for name, verdict in decision.verdicts.items()
        if not actions[name].mandatory and verdict.reason in ("CHOSEN", "BEATEN_IN_GROUP", "BEATEN_IN_RANK")
    ]
    if not survivors or len(mandatory) >= limit:
        return (mandatory + others)[:limit]
    pick = max(survivors, key=lambda name: lot(seed, keys[name]))
    group = actions[pick].group
    if group is not None and group in {actions[name].group for name in mandatory}:
        return (mandatory + others)[:limit]
    rest = [n for n in others if n != pick and (group is None or actions[n].group != group)]
    return [*mandatory, pick, *rest][:limit]


def with_propensity(action, p):
    """The action with a certain propensity, as drawn."""
    return replace(action, propensity=repr(p), prior=None)
