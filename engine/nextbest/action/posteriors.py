"""Beta posteriors of propensities: captured outcomes, backed off from peer cell to stage to action.

The root is the rule file's prior with the outcomes of all customers; a child's prior is its parent's mean
with a weight of m trials, so that a level with little evidence says what its parent says.

Source: domain model, section 9. Oracle: tests/naive/learning.py `propensity`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from nextbest.kernels import kernel
from nextbest.model import F64, I32, I64, CellEvidence, DecisionState
from nextbest.rulebook.actions import ActionTables, PropensityKind

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

    Cost: 3 ms for 200 actions and 1,000 cells, all with evidence; off the request path.
    """
    cells = _with_evidence(_trials(state.cells, parent))
    rows, root = _rows(cells, parent), state.posteriors.transpose(1, 0, 2)
    shape = (len(cells), *root.shape[:2])
    mean, strength = np.zeros(shape), np.zeros(shape)
    own = rows[state.cells.cell]
    _fill_posteriors(
        state.cells.action.astype(np.int64),
        state.cells.stage.astype(np.int64),
        np.where(own < 0, -1 - own, own),
        np.ascontiguousarray(state.cells.counts),
        np.searchsorted(cells, parent[cells]),
        np.ascontiguousarray(root),
        _root_means(tables, root[..., 0], root.sum(axis=-1)),
        weight,
        mean,
        strength,
    )
    mean[:, :, tables.propensity_kind != PropensityKind.POSTERIOR] = np.nan
    return Posteriors(mean, strength, rows, root.sum(axis=(0, 2)))


@kernel
def _fill_posteriors(
    action: I64,
    stage: I64,
    row: I64,
    counts: F64,
    up: I64,
    root: F64,
    means: F64,
    weight: float,
    mean: F64,
    strength: F64,
) -> None:
    """Count what was captured up the tree and blend it down; exactly the parent's mean without evidence.

    Args:
        action: (k,) of the evidence.
        stage: (k,).
        row: (k,) its place among the kept cells.
        counts: (k, 2) successes and failures.
        up: (R,) row of each cell's parent, which comes before it; the first is the root.
        root: (S, A, 2) successes and failures of all cells.
        means: (A,) of the actions over all stages.
        weight: trials that a parent's mean counts for.
        mean: (R, S, A) zeros; gets the means, successes on the way.
        strength: (R, S, A) zeros; gets the strengths, trials on the way.
    """
    rows, stages, actions = mean.shape
    for i in range(len(action)):
        mean[row[i], stage[i], action[i]] += counts[i, 0]
        strength[row[i], stage[i], action[i]] += counts[i, 0] + counts[i, 1]
    for r in range(rows - 1, 0, -1):
        for s in range(stages):
            for a in range(actions):
                mean[up[r], s, a] += mean[r, s, a]
                strength[up[r], s, a] += strength[r, s, a]
    for r in range(rows):
        for s in range(stages):
            for a in range(actions):
                parent = means[a] if r == 0 else mean[up[r], s, a]
                successes = root[s, a, 0] if r == 0 else mean[r, s, a]
                trials = root[s, a, 0] + root[s, a, 1] if r == 0 else strength[r, s, a]
                blended = (weight * parent + successes) / (weight + trials)
                mean[r, s, a] = blended if trials > 0.0 else parent
                strength[r, s, a] = weight + trials


def _root_means(tables: ActionTables, successes: F64, trials: F64) -> F64:
    """(A,) the actions' posterior means over all stages."""
    prior = tables.prior_successes + tables.prior_failures
    a, total = tables.prior_successes + successes.sum(axis=0), prior + trials.sum(axis=0)
    return np.divide(a, total, out=np.zeros_like(a), where=total > 0)


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


def _rows(cells: I64, parent: I32) -> I64:
    """(C,) row of each cell among the kept ones, −1−row where it is an ancestor's."""
    found = np.full(len(parent), -1, np.int64)
    found[cells] = np.arange(len(cells))
    own = found >= 0
    while (found < 0).any():
        found = np.where(found < 0, found[parent], found)
    return np.where(own, found, -1 - found)
