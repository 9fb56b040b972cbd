"""The part of what was learnt that a decision read, small enough to lie beside it in the log.

Posteriors back off from a stage to all stages, so an excerpt holds the counts of all stages, for the
actions that have any.
"""

import struct
import zlib
from functools import lru_cache

import numpy as np

from nextbest.errors import DecisionUnreadable
from nextbest.model import DecisionState

_LEVEL = 6


@lru_cache(maxsize=64)
def excerpt(state: DecisionState) -> bytes:
    """What candidates read of a state.

    Cost: nothing for the state that the last decisions were made with, else about 1 ms for 1,000 actions.
    """
    learnt = np.flatnonzero(state.posteriors.any(axis=(1, 2)))
    parts = (
        struct.pack("<dI", state.contact_price, len(state.stage_prices)),
        state.stage_prices.astype("<f8").tobytes(),
        struct.pack("<I", len(learnt)),
        learnt.astype("<u4").tobytes(),
        state.posteriors[learnt].astype("<f8").tobytes(),
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
        (n,) = struct.unpack_from("<I", plain, at)
        learnt = np.frombuffer(plain, "<u4", n, at + 4)
        counts = np.frombuffer(plain, "<f8", offset=at + 4 + learnt.nbytes).reshape(n, n_stages, 2)
        posteriors = state.posteriors.copy()
        posteriors[learnt] = counts
    except (zlib.error, struct.error, ValueError, IndexError) as cause:
        raise DecisionUnreadable(f"the logged state is damaged or another model's: {cause}") from None
    return DecisionState(posteriors, prices, contact_price)
