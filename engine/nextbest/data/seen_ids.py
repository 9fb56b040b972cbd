"""Which ids a stream has shown before, in eight bytes each, and up to twenty while they are merged."""

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
        fresh = fresh[~repeated[first]]
        if len(fresh):
            self._runs.append(fresh)
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            self._merge_last_two()
        return repeated

    def _merge_last_two(self) -> None:
        """Their union, for no check is in both; a stable sort merges sorted runs in little scratch."""
        last = self._runs.pop()
        merged = np.concatenate([self._runs.pop(), last])
        merged.sort(kind="stable")
        self._runs.append(merged)
