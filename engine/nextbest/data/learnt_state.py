"""Stored evidence → the state that decisions are made with, for the rulebook and peer grid in use."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from nextbest.action.posteriors import within_limit
from nextbest.assembly import Model
from nextbest.data.evidence import Evidence
from nextbest.data.store import Store
from nextbest.learning.cases import Counts
from nextbest.model import I32, CellEvidence, DecisionState, Rows, Stage
from nextbest.potential.cells import peer_code

ROOT = 0
Path = tuple[tuple[str, int], ...]
"""A peer cell by (dimension, code) from the root on."""


def state_of(model: Model, counts: Counts, action_names: Sequence[str]) -> DecisionState:
    """Lay out evidence by the model's actions, stages and cells.

    What the rulebook no longer names is left out and comes back with it. A place that was more precise than
    the grid is counts in the deepest cell that the grid has of it; without a grid, in the stage.

    Args:
        model: rulebook and grid.
        counts: successes and failures by place.
        action_names: registered names of actions in code order.
    """
    index = model.rulebook.action_index
    codes = {code: index[name] for code, name in enumerate(action_names) if name in index}
    kept = [place for place in counts if place.action in codes and place.stage < len(Stage)]
    action = np.array([codes[place.action] for place in kept], np.int32)
    stage = np.array([place.stage for place in kept], np.int32)
    amounts = np.array([counts[place] for place in kept], np.float64).reshape(-1, 2)
    initial = DecisionState.initial(len(model.rulebook.actions))
    np.add.at(initial.posteriors, (action, stage), amounts)
    cell = _cells(model, [place.cell for place in kept])
    order = np.lexsort((cell, stage, action))
    order = order[cell[order] != ROOT]
    cells = CellEvidence(action[order], stage[order], cell[order], amounts[order])
    if model.peers is not None:
        cells = within_limit(cells, model.peers.tables.tree.parent, len(initial.posteriors))
    return DecisionState(initial.posteriors, initial.stage_prices, initial.contact_price, cells)


def _cells(model: Model, paths: Sequence[Path]) -> I32:
    """(k,) the deepest cell of the grid that holds each path; the root for all without a grid."""
    known = _known_cells(model)
    if new := [path for path in dict.fromkeys(paths) if path not in known]:
        known |= zip(new, _located(model, new).tolist(), strict=True)
    return np.array([known[path] for path in paths], np.int32)


@lru_cache(maxsize=4)
def _known_cells(model: Model) -> dict[Path, int]:  # noqa: ARG001  (the cache's key)
    """Cells that were looked up: outcomes come from the same ones again and again."""
    return {}


def _located(model: Model, paths: Sequence[Path]) -> I32:
    if model.peers is None:
        return np.zeros(len(paths), np.int32)
    dimensions = model.rulebook.strategy.peer_dimensions
    codes = np.full((len(paths), len(dimensions)), np.nan)
    for row, path in zip(codes, paths, strict=True):
        for d, ((name, code), wanted) in enumerate(zip(path, dimensions, strict=False)):
            if name != wanted:
                break
            row[d] = code
    return model.peers.tables.locate(codes)


def cell_path(model: Model, rows: Rows, row: int) -> tuple[tuple[str, int], ...]:
    """A customer's peer cell by name, as precise as the customer is known: a later grid may be finer."""
    path: list[tuple[str, int]] = []
    for name in model.rulebook.strategy.peer_dimensions:
        code = peer_code(float(rows.numbers[row, model.rulebook.catalogue.column(name)]))
        if code < 0:
            break
        path.append((name, code))
    return tuple(path)


async def load_state(store: Store, model: Model) -> DecisionState:
    """What was learnt so far, for a run over the population or a command.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    state, _ = await read_state(store, model)
    return state


async def read_state(store: Store, model: Model) -> tuple[DecisionState, Evidence]:
    """`load_state`, and the evidence it was made of."""
    evidence = await store.evidence.read()
    await store.names.refresh()  # after the evidence, so that every action in it is known
    return state_of(model, evidence.counts, store.names.known("action").names), evidence
