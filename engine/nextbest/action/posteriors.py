"""Beta posteriors of propensities: captured outcomes, backed off from peer cell to stage to action.

The root is the rule file's prior with the outcomes of all customers; a child's prior is its parent's mean
with a weight of m trials, so that a level with little evidence says what its parent says.

Source: domain model, section 9. Oracle: tests/naive/learning.py `propensity`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from nextbest.model import F64, I32, I64, CellEvidence, DecisionState
from nextbest.rulebook.rulebook import ActionTables, PropensityKind

MOST_VALUES: Final = 1 << 23
"""Values a table of posteriors may hold, 64 MB; beyond it the cells with the least evidence back off."""
ROOT_ONLY = np.full(1, -1, np.int32)
"""Parents of a tree that is a root: there is no peer grid."""


@dataclass(frozen=True, slots=True, eq=False)
class Posteriors:
    """Posteriors of A actions in S stages for R cells: the root, and the cells with evidence."""

    mean: F64
    """(R, S, A) NaN where the propensity is no posterior."""
    strength: F64
    """(R, S, A) a + b of the Beta posterior, in trials."""
    row_of_cell: I64
    """(C,) row of each cell; −1−row where the cell has no evidence of its own and takes its ancestor's."""
    trials: F64
    """(A,) outcomes captured in all stages, without the prior."""


def posteriors_of(tables: ActionTables, state: DecisionState, parent: I32, weight: float) -> Posteriors:
    """Blend what was captured, level by level from the root.

    Args:
        tables: the rulebook's, for the priors.
        state: evidence by action, stage and cell.
        parent: (C,) parent of each cell, −1 for the root; parents come first. The evidence names these cells.
        weight: m > 0, how many trials a parent's mean counts for in its child.

    Cost: 65 ms for 200 actions and 1,000 cells, all with evidence; off the request path.
    """
    cells = _with_evidence(_trials(state.cells, parent))
    counts = _counts(state, cells, parent)
    successes, trials = counts[..., 0], counts.sum(axis=-1)
    mean, row = np.empty(successes.shape), np.searchsorted(cells, parent[cells[1:]])
    root = _root_means(tables, successes[0], trials[0])
    mean[0] = _blended(root, successes[0], trials[0], weight)
    for r, up in enumerate(row.tolist(), 1):
        mean[r] = _blended(mean[up], successes[r], trials[r], weight)
    mean[:, :, tables.propensity_kind != PropensityKind.POSTERIOR] = np.nan
    return Posteriors(mean, weight + trials, _rows(cells, parent), trials[0].sum(axis=0))


def _root_means(tables: ActionTables, successes: F64, trials: F64) -> F64:
    """(A,) the actions' posterior means over all stages."""
    prior = tables.prior_successes + tables.prior_failures
    a, total = tables.prior_successes + successes.sum(axis=0), prior + trials.sum(axis=0)
    return np.divide(a, total, out=np.zeros_like(a), where=total > 0)


def _blended(parent: F64, successes: F64, trials: F64, weight: float) -> F64:
    """Means of a level; exactly the parent's where nothing was captured."""
    return np.where(trials > 0, (weight * parent + successes) / (weight + trials), parent)


def within_limit(evidence: CellEvidence, parent: I32, actions: int) -> CellEvidence:
    """Evidence that tables hold: beyond `MOST_VALUES` the cells with the fewest trials count in those above.

    Args:
        evidence: by cell.
        parent: (C,) as `posteriors_of` takes it.
        actions: of the model.
    """
    trials, most = _trials(evidence, parent), max(MOST_VALUES // max(4 * actions, 1) - 1, 0)
    some = _with_evidence(trials)[1:]
    if len(some) <= most:
        return evidence
    # INVARIANT: an ancestor has at least its descendants' trials and comes before them
    kept = np.sort(some[np.argsort(-trials[some], kind="stable")[:most]])
    rows = _rows(np.concatenate([[0], kept]), parent)[evidence.cell]
    cell = np.concatenate([[0], kept])[np.where(rows < 0, -1 - rows, rows)].astype(np.int32)
    below = cell != 0
    return CellEvidence(evidence.action[below], evidence.stage[below], cell[below], evidence.counts[below])


def _trials(evidence: CellEvidence, parent: I32) -> F64:
    """(C,) trials captured in each cell and below it."""
    trials = np.zeros(len(parent))
    np.add.at(trials, evidence.cell, evidence.counts.sum(axis=1))
    for cell in range(len(parent) - 1, 0, -1):
        trials[parent[cell]] += trials[cell]
    return trials


def _with_evidence(trials: F64) -> I64:
    """The root and the cells with trials below it, ascending."""
    return np.concatenate([[0], np.flatnonzero(trials[1:] > 0) + 1]).astype(np.int64)


def _counts(state: DecisionState, cells: I64, parent: I32) -> F64:
    """(R, S, A, 2) successes and failures of the kept cells with all that lies below each."""
    stages = state.posteriors.shape[1]
    counts = np.zeros((len(cells), stages, len(state.posteriors), 2))
    rows = _rows(cells, parent)[state.cells.cell]
    rows = np.where(rows < 0, -1 - rows, rows)
    np.add.at(counts, (rows, state.cells.stage, state.cells.action), state.cells.counts)
    for r in range(len(cells) - 1, 0, -1):
        counts[int(np.searchsorted(cells, parent[cells[r]]))] += counts[r]
    counts[0] = state.posteriors.transpose(1, 0, 2)
    return counts


def _rows(cells: I64, parent: I32) -> I64:
    """(C,) row of each cell among the kept ones, −1−row where it is an ancestor's."""
    found = np.full(len(parent), -1, np.int64)
    found[cells] = np.arange(len(cells))
    own = found >= 0
    while (found < 0).any():
        found = np.where(found < 0, found[parent], found)
    return np.where(own, found, -1 - found)
