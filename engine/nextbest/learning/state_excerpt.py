"""The part of what was learnt that a decision read, small enough to lie beside it in the log.

Posteriors back off from a peer cell to a stage to all stages, so an excerpt holds the counts of all stages,
for the actions that have any, and those of the cells on the customer's way down the tree of peers.
"""

import struct
import zlib
from functools import lru_cache

import numpy as np

from nextbest.errors import DecisionUnreadable
from nextbest.model import CellEvidence, DecisionState
from nextbest.potential.cells import CellTree

_LEVEL = 6


@lru_cache(maxsize=256)
def excerpt(state: DecisionState, tree: CellTree | None = None, cell: int = 0) -> bytes:
    """What candidates read of a state.

    Args:
        state: what was learnt.
        tree: the peer grid's; None = there is none.
        cell: the customer's in it.

    Cost: nothing for the state and cell that the last decisions were made with, else about 1 ms for 1,000
    actions.
    """
    cells = CellEvidence.none() if tree is None else on_path(state.cells, tree, cell)
    learnt = np.flatnonzero(state.posteriors.any(axis=(1, 2)))
    parts = (
        struct.pack("<dI", state.contact_price, len(state.stage_prices)),
        state.stage_prices.astype("<f8").tobytes(),
        struct.pack("<II", len(learnt), len(cells.cell)),
        learnt.astype("<u4").tobytes(),
        state.posteriors[learnt].astype("<f8").tobytes(),
        np.array([cells.action, cells.stage, cells.cell], "<u4").tobytes(),
        cells.counts.astype("<f8").tobytes(),
    )
    return zlib.compress(b"".join(parts), _LEVEL)


def restored(data: bytes, actions: int) -> DecisionState:
    """A state with which the decision comes out again; all that it did not read is as if nothing was learnt.

    Args:
        data: what `excerpt` made.
        actions: count of the model's actions.

    Raises:
        DecisionUnreadable: the excerpt is damaged, or of a model with other actions.
    """
    state = DecisionState.initial(actions)
    try:
        plain = zlib.decompress(data)
        contact_price, n_stages = struct.unpack_from("<dI", plain)
        prices = np.frombuffer(plain, "<f8", n_stages, 12)
        at = 12 + prices.nbytes
        n, n_cells = struct.unpack_from("<II", plain, at)
        learnt = np.frombuffer(plain, "<u4", n, at + 8)
        at += 8 + learnt.nbytes
        counts = np.frombuffer(plain, "<f8", n * n_stages * 2, at).reshape(n, n_stages, 2)
        posteriors = state.posteriors.copy()
        posteriors[learnt] = counts
        at += counts.nbytes
        action, stage, cell = (
            np.frombuffer(plain, "<u4", 3 * n_cells, at).reshape(3, n_cells).astype(np.int32)
        )
        amounts = np.frombuffer(plain, "<f8", offset=at + 12 * n_cells).reshape(n_cells, 2)
    except (zlib.error, struct.error, ValueError, IndexError) as cause:
        raise DecisionUnreadable(f"the logged state is damaged or another model's: {cause}") from None
    return DecisionState(posteriors, prices, contact_price, CellEvidence(action, stage, cell, amounts))


def on_path(evidence: CellEvidence, tree: CellTree, cell: int) -> CellEvidence:
    """The evidence as someone in one cell sees it: what lies beside their way down counts where it leaves it.

    Posteriors of the cells on the way are the same, bit for bit.
    """
    path = [cell]
    while path[-1] > 0:
        path.append(int(tree.parent[path[-1]]))
    at = evidence.cell
    while not (seen := np.isin(at, path)).all():
        at = np.where(seen, at, tree.parent[at])
    below = at > 0
    keys = np.stack([evidence.action[below], evidence.stage[below], at[below]], axis=1).astype(np.int32)
    found, place = np.unique(keys, axis=0, return_inverse=True)
    counts = np.zeros((len(found), 2))
    np.add.at(counts, place.ravel(), evidence.counts[below])
    return CellEvidence(found[:, 0], found[:, 1], found[:, 2], counts)
