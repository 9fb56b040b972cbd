"""Actions that a better one of the same group always beats.

Of a group at most one action is shown. `a` shadows `b` where it is open to everybody that `b` is open to,
in the same places, never pauses by itself, and is declared at least as good in every term of the score
(domain model, section 9). What has been learnt since may change that; the rule files then say so wrongly.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import permutations

import numpy as np

from nextbest.model import Bools
from nextbest.rulebook.actions import ActionTables, PolicyScope, PropensityKind
from nextbest.rulebook.documents.actions import ActionEntry, Prior
from nextbest.rulebook.lint.finding import Finding, Subject

CODE: str = "shadowed-action"
MAX_GROUP = 400
"""Greater groups are not looked into: every pair is compared."""

_AT_LEAST = (
    "customer_gap_share",
    "profit_gap_share",
    "yearly_gain",
    "once_gain",
    "ltv_gain",
    "lever",
    "classic_value",
    "cares",
    "mandatory",
    "valid_until",
    "max_snapshot_age_days",
)
"""Columns in which the better action has as much or more."""
_AT_MOST = (
    "contact_cost",
    "accepted_cost",
    "minutes",
    "base_propensity",
    "uses_uplift",
    "creates_need",
    "inside_out",
    "sells",
    "authority",
    "reward_worth",
    "valid_from",
)
"""Columns in which it has as much or less."""
_EQUAL = ("short_horizon", "propensity_kind")


def check(subject: Subject) -> Iterator[Finding]:
    """Yield actions that another of their group leaves no place for."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, entry, _ in subject.actions():
        if entry.group is not None:
            groups[entry.group].append(index)
    tables = subject.parts.rulebook.action_tables
    for group, members in groups.items():
        if not 1 < len(members) <= MAX_GROUP:
            continue
        better = _better_numbers(tables, members)
        for (i, a), (j, b) in permutations(enumerate(members), 2):
            if better[i, j] and _shadows(subject, a, b):
                yield _finding(subject, group, a, b)
                break


def _finding(subject: Subject, group: str, a: int, b: int) -> Finding:
    better, worse = subject.parts.actions[a].entry.id, subject.parts.actions[b]
    message = f"`{worse.entry.id}` is always beaten by `{better}` of group `{group}`"
    return Finding(worse.at / "id", message, "give them different audiences, or take one out of the group")


def _better_numbers(tables: ActionTables, members: Sequence[int]) -> Bools:
    """(n, n) whether member i is at least as good in numbers as member j."""
    better = ~np.eye(len(members), dtype=np.bool_)
    for names, holds in ((_AT_LEAST, np.greater_equal), (_AT_MOST, np.less_equal), (_EQUAL, np.equal)):
        for name in names:
            column = getattr(tables, name)[members]
            better &= holds(column[:, None], column[None, :])
    return better


def _shadows(subject: Subject, a: int, b: int) -> bool:
    tables = subject.parts.rulebook.action_tables
    one, other = subject.parts.actions[a].entry, subject.parts.actions[b].entry
    return (
        _wins_ties(tables, a, b)
        and _recurs_alike(tables, a, b)
        and _never_pauses(tables, a)
        and _likelier(tables, one, other, a, b)
        and _same_situation(one, other)
        and _open_to_all_of(one, other)
        and _alike_in_tables(subject, one, other)
        and _in_all_places_of(tables, a, b)
        and int(tables.topics[a]) & ~int(tables.topics[b]) == 0
    )


def _wins_ties(tables: ActionTables, a: int, b: int) -> bool:
    first, second = int(tables.priority[a]), int(tables.priority[b])
    return first > second or (first == second and int(tables.id_order[a]) < int(tables.id_order[b]))


def _recurs_alike(tables: ActionTables, a: int, b: int) -> bool:
    first, second = float(tables.recurring[a]), float(tables.recurring[b])
    return first == second or (np.isnan(first) and np.isnan(second))


def _never_pauses(tables: ActionTables, action: int) -> bool:
    """No cap, and no limit that its own outcomes set off: otherwise the other gets its turn."""
    policies = slice(int(tables.policy_starts[action]), int(tables.policy_starts[action + 1]))
    own = (tables.policy_scope[policies] == PolicyScope.ACTION).any()
    return not own and int(tables.cap_starts[action]) == int(tables.cap_starts[action + 1])


def _likelier(tables: ActionTables, one: ActionEntry, other: ActionEntry, a: int, b: int) -> bool:
    """As likely to be accepted or likelier, and not dearer for it."""
    if isinstance(one.propensity, Prior) and isinstance(other.propensity, Prior):
        first, second = _mean(one.propensity), _mean(other.propensity)
        return first >= second and first * one.cost.accepted <= second * other.cost.accepted
    same = tables.propensity_index[a] == tables.propensity_index[b]
    return bool(same) and int(tables.propensity_kind[a]) != PropensityKind.POSTERIOR


def _mean(prior: Prior) -> float:
    return prior.successes / (prior.successes + prior.failures)


def _same_situation(one: ActionEntry, other: ActionEntry) -> bool:
    """What makes them relevant, fitting and fair is the same."""
    keys: tuple[Callable[[ActionEntry], object], ...] = (
        lambda e: e.relevance,
        lambda e: e.context,
        lambda e: e.benefit_group,
        lambda e: e.desired_action == "repair",
    )
    return all(key(one) == key(other) for key in keys)


def _open_to_all_of(one: ActionEntry, other: ActionEntry) -> bool:
    return (
        (one.stages is None or (other.stages is not None and set(one.stages) >= set(other.stages)))
        and _covers(one.segments, other.segments)
        and _covers(one.triggers, other.triggers)
        and (one.when is None or one.when == other.when)
    )


def _alike_in_tables(subject: Subject, one: ActionEntry, other: ActionEntry) -> bool:
    """Decision tables let the better one in wherever they let the other in, and weigh both alike."""
    gates, levers = subject.parts.choices.gates, subject.parts.choices.levers
    open_to_all = one.id not in gates or gates.get(other.id) == gates[one.id]
    return open_to_all and levers.get(one.id) == levers.get(other.id)


def _covers(one: Sequence[str], other: Sequence[str]) -> bool:
    """Of lists any of whose names must hold, where an empty one lets everybody in."""
    return not one or (bool(other) and set(one) >= set(other))


def _in_all_places_of(tables: ActionTables, a: int, b: int) -> bool:
    return all(any(_serves(tables, x, y) for x in tables.treatments_of(a)) for y in tables.treatments_of(b))


def _serves(tables: ActionTables, one: int, other: int) -> bool:
    """Whether one treatment fits every request that the other fits, and needs no more consent."""
    placement, consent = tables.treatment_placement, tables.treatment_consent
    return bool(
        tables.treatment_channel[one] == tables.treatment_channel[other]
        and placement[one] in (-1, placement[other])
        and int(consent[one]) & ~int(consent[other]) == 0
    )
