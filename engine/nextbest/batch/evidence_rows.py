"""What was learnt as rows that a person reads: counts by action, stage and peer cell, and the propensity."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from nextbest.assembly import Model
from nextbest.facts import STAGE_NAMES
from nextbest.model import CellEvidence, DecisionState, Stage
from nextbest.propensity_levels import cell_name, propensity_levels


class EvidenceRow(NamedTuple):
    """One action in one stage, as a whole or in one peer cell."""

    action: str
    stage: str
    cell: str
    """`fact=member` of each dimension; empty = the stage as a whole."""
    successes: float
    """With those of the cells below."""
    trials: float
    propensity: float
    """That decisions are made with; NaN = a model or an expression gives it, whatever was captured."""
    known_from: str
    """The most precise level with outcomes: peer_cell, stage, action; prior = there is none."""


def evidence_rows(model: Model, state: DecisionState, action: str | None = None) -> Iterator[EvidenceRow]:
    """Rows of each action that was tried, or of one; every stage, then the cells that have outcomes in it.

    Args:
        model: rulebook and grid.
        state: what was learnt.
        action: an id; None = all that were tried.
    """
    for index, one in enumerate(model.rulebook.actions):
        if one.id == action or (action is None and state.posteriors[index].any()):
            mine = _of_action(state, index)
            for stage in range(len(Stage)):
                cells = sorted(set(mine.cells.cell[mine.cells.stage == stage].tolist()))
                for cell in (0, *cells):
                    yield _row(model, mine, index, stage, cell)


def _of_action(state: DecisionState, action: int) -> DecisionState:
    """The state with the cells of one action only."""
    cells, mine = state.cells, state.cells.action == action
    own = CellEvidence(cells.action[mine], cells.stage[mine], cells.cell[mine], cells.counts[mine])
    return replace(state, cells=own)


def _row(model: Model, state: DecisionState, action: int, stage: int, cell: int) -> EvidenceRow:
    levels = propensity_levels(model, state, action, stage, cell)
    tried = [level.kind for level in levels if level.trials > 0]
    last = levels[-1]
    return EvidenceRow(
        action=model.rulebook.actions[action].id,
        stage=STAGE_NAMES[stage],
        cell=cell_name(model, cell) if cell else "",
        successes=last.successes,
        trials=last.trials,
        propensity=last.propensity,
        known_from=tried[-1] if tried else "prior",
    )
