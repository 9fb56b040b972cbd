"""Exploring decisions in plain Python: drawn propensities, a drawn first answer, the reach of the untried."""

import hashlib

from tests.naive import draws, learning

EXPLORE, LOT, REACH, PROPENSITY = 1, 2, 3, 4


def key(action_id):
    """The key of an action's draws: half of the hash of its id."""
    digest = hashlib.blake2b(action_id.encode(), digest_size=8, person=b"nextbest-draw").digest()
    return int.from_bytes(digest, "little") // 2


def number(seed, purpose, action_id=None):
    """Draw a number for an action, or for the decision."""
    return draws.uniform(draws.stream(seed, 0 if action_id is None else key(action_id), purpose))


def reach(settings, outcomes):
    """Share of outbound decisions that may show an action with these outcomes."""
    trials = sum(s + f for s, f in outcomes.values())
    if settings.mature_at == 0 or trials >= settings.mature_at:
        return 1.0
    return settings.least_reach + (1 - settings.least_reach) * trials / settings.mature_at


def may_be_shown(action, request, share):
    """Whether an action with a prior is within its reach; mandatory ones and answers to a customer are."""
    if action.mandatory or action.prior is None or request.direction == "inbound":
        return True
    return share >= 1 or number(request.seed, REACH, action.id) < share


def scored_propensity(case, outcomes):
    """The mean, or what Thompson sampling draws instead."""
    settings = case.rulebook.learning
    if settings.method != "thompson" or case.action.prior is None:
        return case.p
    strength = learning.strength(case.action.prior, outcomes, case.stage, (), settings.parent_weight)
    return draws.beta(case.p, strength, draws.stream(case.request.seed, key(case.action.id), PROPENSITY))


def order(rulebook, everyone, seed, limit):
    """Ids of all answers in order: as ranked, or with a survivor of the highest lot first.

    Args:
        rulebook: the plain rulebook.
        everyone: the greedy decision with room for all.
        seed: the decision's.
        limit: answers wanted.
    """
    actions = {action.id: action for action in rulebook.actions}
    ranked = [verdict.action for verdict in everyone.ranked]
    mandatory = [name for name in ranked if actions[name].mandatory]
    survivors = [
        name
        for name, verdict in everyone.verdicts.items()
        if not actions[name].mandatory and verdict.reason in ("CHOSEN", "BEATEN_IN_GROUP")
    ]
    explores = number(seed, EXPLORE) < rulebook.learning.share
    if not explores or not survivors or len(mandatory) >= limit:
        return ranked
    pick = max(survivors, key=lambda name: number(seed, LOT, name))
    group = actions[pick].group
    if group is not None and any(actions[name].group == group for name in mandatory):
        return ranked
    rest = [n for n in ranked if n not in (*mandatory, pick) and (group is None or actions[n].group != group)]
    return [*mandatory, pick, *rest]


def lead(rulebook, ranked, seed):
    """Ids in order of rank, but that an exploring decision puts a drawn one before all that need not be.

    Args:
        rulebook: the plain rulebook.
        ranked: ids of all survivors.
        seed: the decision's.
    """
    mandatory = {action.id for action in rulebook.actions if action.mandatory}
    free = [name for name in ranked if name not in mandatory]
    explores = rulebook.learning.method == "epsilon" and number(seed, EXPLORE) < rulebook.learning.share
    if not explores or not free:
        return ranked
    pick = max(free, key=lambda name: number(seed, LOT, name))
    return [*(n for n in ranked if n in mandatory), pick, *(n for n in free if n != pick)]
