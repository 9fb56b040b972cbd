"""Stored contracts that are worth endlessly much: they have no lifetime value until somebody acts.

A snapshot of such a contract is refused, but those stored before `lifetime.contract_growth` was raised stay.
"""

from collections.abc import Sequence

import numpy as np

from nextbest.model import Rows
from nextbest.rulebook.growth import RETENTION, diverging_retention
from nextbest.rulebook.rulebook import Rulebook
from nextbest.valuation import take_columns

ENDLESS_FACTS = ("contract_state", RETENTION)
SHOWN = 3
"""Customers named in the note."""


class EndlessContracts:
    """Counts contracts whose margin grows at least as fast as it is discounted and lost."""

    def __init__(self, rulebook: Rulebook, discount: float) -> None:
        """Args: what names the facts and the growth; the yearly discount of lifetime value."""
        self.count = 0
        self._first: list[str] = []
        self._columns = np.array([rulebook.catalogue.column(name) for name in ENDLESS_FACTS], np.int64)
        self._growth, self._discount = rulebook.strategy.contract_growth, discount

    def add(self, customers: Sequence[str], rows: Rows) -> None:
        """Count those of some customers."""
        if self._growth <= 0.0 or self._growth < self._discount:  # no retention is too high then
            return
        state, retention = take_columns(rows.numbers, self._columns).T
        endless = (state > 0.0) & (1.0 - retention + self._discount - retention * self._growth <= 0.0)
        found = np.flatnonzero(endless).tolist()
        self.count += len(found)
        self._first += [customers[i] for i in found[: SHOWN - len(self._first)]]

    @property
    def note(self) -> str:
        """How many, who the first are, and what to do; empty if there are none."""
        if not self.count:
            return ""
        bound = diverging_retention(self._discount, self._growth)
        names = ", ".join(f"`{customer}`" for customer in self._first)
        return (
            f"`{self.count}` contracts have no lifetime value ({names}{', …' * (self.count > SHOWN)}): with"
            f" `lifetime.contract_growth` {self._growth:g} and a discount of {self._discount:g} a"
            f" `{RETENTION}` from {bound:.6g} on is worth endlessly much; lower the growth below the discount"
            " in strategy.yaml, or put lower retentions"
        )
