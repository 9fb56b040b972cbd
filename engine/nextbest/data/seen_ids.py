"""Which ids a stream has shown before, in eight bytes each."""

import numpy as np

from nextbest.model import U64, Bools


class SeenIds:
    """A growing set of id checks: sorted runs, merged when the last two are of like size.

    Two ids with one check would count as one: about 3 in 10^8 for a million customers.
    """

    def __init__(self) -> None:
        self._runs: list[U64] = []

    def repeated(self, checks: U64) -> Bools:
        """Where a check was seen before, in this call or an earlier one; (n,). All count as seen now."""
        fresh, first = np.unique(checks, return_index=True)
        repeated = np.ones(len(checks), np.bool_)
        repeated[first] = False
        for run in self._runs:
            places = np.minimum(np.searchsorted(run, checks), len(run) - 1)
            repeated |= run[places] == checks
        if len(fresh):
            self._runs.append(fresh)
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            last = self._runs.pop()
            self._runs[-1] = np.union1d(self._runs[-1], last)
        return repeated
