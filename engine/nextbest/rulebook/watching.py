"""What the writers of snapshots watch: series of periods, and changes from one snapshot to the next."""

from dataclasses import dataclass

import numpy as np

from nextbest.facts import FactGroup
from nextbest.model import F64


@dataclass(frozen=True, eq=False)
class Series:
    """A number a period, and what is unusual for the customer (domain model, section 7)."""

    id: str
    period_s: float
    starts: float
    """Epoch seconds at which one of the periods begins."""
    counts_zero: bool
    """A completed period without a value is 0; else it is not known."""
    parameters: F64
    """(detector parameters,) with the floors of this series."""
    facts: tuple[str, ...]
    """Names of the facts that hold its state, as `standard_facts.series_names` gives them."""

    def completed_until(self, time: F64) -> F64:
        """(n,) end of the latest period that is complete at each time; NaN for NaN."""
        return self.starts + np.floor((time - self.starts) / self.period_s) * self.period_s


@dataclass(frozen=True, slots=True)
class Watch:
    """A change between two successive snapshots that fires a trigger."""

    name: str
    """Fact or figure that is watched; empty where a whole group is."""
    group: FactGroup | None
    kept: frozenset[str]
    """Facts of the group that are not watched: what writers of snapshots keep themselves."""
    change: str
    """`changed`, `rose`, `fell`, `appeared` or `vanished`."""
    by: float
    """A number rises or falls by at least so much ..."""
    by_share: float
    """... and by at least this share of what it was."""
    to: tuple[int, ...]
    """Codes of the members that an enum may change to; empty = any."""
    silent: bool
    """Only while the customer has not complained."""
