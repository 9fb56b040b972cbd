"""What was captured at each level of a customer's propensity, for explanations."""

import numpy as np

from nextbest.action.propensity_words import PropensityLevel
from nextbest.assembly import Model
from nextbest.facts import STAGE_NAMES
from nextbest.learning.state_excerpt import on_path
from nextbest.model import F64, DecisionState
from nextbest.rulebook.actions import PropensityKind


def propensity_levels(
    model: Model, state: DecisionState, action: int, stage: int, cell: int
) -> tuple[PropensityLevel, ...]:
    """Trials, successes and blended propensity of the action, the stage, and the cells down to the own one.

    Source: domain model, section 9. Oracle: tests/naive/learning.py `levels`.
    """
    tables, weight = model.rulebook.action_tables, model.rulebook.strategy.learning.parent_weight
    by_stage = state.posteriors[action]
    found: list[PropensityLevel] = []
    a, b = float(tables.prior_successes[action]), float(tables.prior_failures[action])
    is_posterior = tables.propensity_kind[action] == PropensityKind.POSTERIOR
    for kind, name, (successes, failures) in (
        ("action", model.rulebook.actions[action].id, by_stage.sum(axis=0).tolist()),
        ("stage", STAGE_NAMES[stage], by_stage[stage].tolist()),
        *(
            ("peer_cell", cell_name(model, c), counts.tolist())
            for c, counts in _below(model, state, action, stage, cell)
        ),
    ):
        trials = successes + failures
        total = a + b + trials
        p = (a + successes) / total if total > 0 else 0.0
        found.append(PropensityLevel(kind, name, successes, trials, p if is_posterior else float("nan")))
        a, b = weight * p, weight * (1.0 - p)
    return tuple(found)


def _below(model: Model, state: DecisionState, action: int, stage: int, cell: int) -> list[tuple[int, F64]]:
    """Counts of each cell on the way from below the root to the customer's, with all that lies below it."""
    if model.peers is None:
        return []
    tree = model.peers.tables.tree
    seen = on_path(state.cells, tree, cell)
    mine = (seen.action == action) & (seen.stage == stage)
    path: list[int] = []
    while cell > 0:
        path.append(cell)
        cell = int(tree.parent[cell])
    counts, below = list[tuple[int, F64]](), np.zeros(2)
    for c in path:
        below = below + seen.counts[mine & (seen.cell == c)].sum(axis=0)
        counts.append((c, below))
    return counts[::-1]


def cell_name(model: Model, cell: int) -> str:
    """A peer cell as `fact=member` of each dimension; empty for the root."""
    if model.peers is None:
        return ""
    catalogue, path = model.rulebook.catalogue, model.peers.tables.tree.paths[cell].tolist()
    dimensions = model.rulebook.strategy.peer_dimensions
    known = [(name, code) for name, code in zip(dimensions, path, strict=True) if code >= 0]
    return ", ".join(f"{name}={_member(catalogue[name].values, code)}" for name, code in known)


def _member(values: tuple[str, ...], code: int) -> str:
    return values[code] if code < len(values) else str(code)
