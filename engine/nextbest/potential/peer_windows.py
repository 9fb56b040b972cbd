"""What `peers_have` reads in expressions: whether peers own something, and whether that is no accident.

Source: domain model, section 3. Oracle: tests/naive/peers.py.
"""

from typing import Final

import numpy as np

from nextbest.kernels import kernel
from nextbest.model import F64, I32
from nextbest.potential.peers import PeerFigure
from nextbest.rulebook.program import Program, WindowKind

_OFFER: Final = int(PeerFigure.OFFER)


def asks_peers(program: Program) -> bool:
    """Whether any expression of the program asks what peers have."""
    return bool((program.window_shape[:, 0] == WindowKind.PEERS_HAVE).any())


def fill_peers_have(program: Program, rates: F64, cells: I32, columns: F64) -> None:
    """Fill the `peers_have` columns of a program.

    Args:
        program: says which columns.
        rates: (C, J, 4) by `PeerFigure` for the J members of the peer set.
        cells: (n,) cells of the customers.
        columns: (n, windows) is written: 1 where the peers' habit is no accident, 0 where it is not
            known to be one, NaN = UNKNOWN where too few peers are known.

    Cost: a few ns a customer and column.
    """
    for w in np.flatnonzero(program.window_shape[:, 0] == WindowKind.PEERS_HAVE).tolist():
        member = int(program.filter_codes[program.filter_code_starts[program.filter_starts[w]]])
        _fill(rates, cells, member, columns, w)


@kernel
def _fill(rates: F64, cells: I32, member: int, columns: F64, w: int) -> None:
    for i in range(cells.size):
        columns[i, w] = rates[cells[i], member, _OFFER]
