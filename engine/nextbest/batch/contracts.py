"""Renewals of contracts, counted from snapshots by how many came before, and the retention that follows."""

from dataclasses import dataclass, field

import numpy as np

from nextbest.batch.endless_contracts import EndlessContracts
from nextbest.behaviour.index import YEAR_DAYS
from nextbest.errors import InvalidInput, Violation
from nextbest.model import DAY_S, F64, Rows
from nextbest.potential.retention import RetentionModel, fit_contracts
from nextbest.rulebook.rulebook import Rulebook
from nextbest.standard_facts import CONTRACT_STATES
from nextbest.valuation import take_columns

CONTRACT_FACTS = ("contract_state", "joined", "first_purchase", "cancelled_at", "contract_margin")
"""Standard facts that cohorts are counted from."""
MOST_RENEWALS = 100
"""Renewals beyond this are an error in the data, not a customer."""
SHOWN = 100
"""Impossible contracts listed one by one; the rest is counted."""
_IN_FORCE = float(CONTRACT_STATES.index("in_force"))


@dataclass
class Contracts:
    """Renewals of the contracts seen so far. A contract is renewed once a year."""

    rulebook: Rulebook
    """Of the catalogue."""
    kept: F64 = field(default_factory=lambda: np.zeros(MOST_RENEWALS + 1))
    """By the number of the renewal, from the first on."""
    lost: F64 = field(default_factory=lambda: np.zeros(MOST_RENEWALS + 1))
    counted: int = 0
    undated: int = 0
    """Contracts whose beginning, or end, is unknown: not counted."""
    impossible: list[Violation] = field(default_factory=list[Violation])
    endless: EndlessContracts = field(init=False)

    def __post_init__(self) -> None:
        self.endless = EndlessContracts(self.rulebook, self.rulebook.strategy.ltv_discount_rate)

    def add(self, customers: list[str], rows: Rows) -> None:
        """Count the contracts among some customers; what cannot be is kept for the error.

        Args:
            customers: ids, for the error.
            rows: their snapshots.
        """
        self.endless.add(customers, rows)
        columns = np.array([self.rulebook.catalogue.column(name) for name in CONTRACT_FACTS], np.int64)
        state, joined, first, ended, margin = take_columns(rows.numbers, columns).T
        contract = state > 0.0
        begun = np.fmin(joined, first)
        runs = state == _IN_FORCE
        until = np.where(runs, rows.as_of, ended)
        self._check(customers, contract, begun, until, margin)
        dated = contract & ~np.isnan(begun) & ~np.isnan(until)
        self.undated += int((contract & ~dated).sum())
        years = np.floor((until[dated] - begun[dated]) / (DAY_S * YEAR_DAYS))
        renewals = np.clip(years, 0, MOST_RENEWALS).astype(np.int64)
        self.counted += len(renewals)
        reached = np.bincount(renewals, minlength=MOST_RENEWALS + 1)
        # Whoever has n renewals behind them kept the first n; whoever left did not make the next.
        self.kept += reached[::-1].cumsum()[::-1] - reached
        self.lost += np.bincount(renewals[~runs[dated]], minlength=MOST_RENEWALS + 1)

    def _check(self, customers: list[str], contract: np.ndarray, begun: F64, until: F64, margin: F64) -> None:
        longest = DAY_S * YEAR_DAYS * (MOST_RENEWALS + 1)
        problems = (
            (contract & (until < begun), "cancelled_at", "the contract ended before it began"),
            (contract & (until - begun >= longest), "joined", f"more than {MOST_RENEWALS} years"),
            (contract & np.isinf(margin), "contract_margin", "is not finite"),
        )
        for wrong, fact, text in problems:
            for i in np.flatnonzero(wrong).tolist():
                self.impossible.append(Violation(f"{customers[i]}.{fact}", text))

    def require_possible(self) -> None:
        """Refuse contracts that cannot be.

        Raises:
            InvalidInput: their customers and facts, `SHOWN` of them one by one.
        """
        if not self.impossible:
            return
        shown, more = self.impossible[:SHOWN], len(self.impossible) - SHOWN
        rest = [Violation("contracts", f"and `{more}` more impossible contracts")] if more > 0 else []
        raise InvalidInput([*shown, *rest])

    def fit(self) -> RetentionModel:
        """Retention by tenure, or one rate.

        Raises:
            InvalidInput: impossible contracts.
            FitError: too few contracts, no renewals yet, or no convergence.
        """
        self.require_possible()
        last = int(np.flatnonzero(self.kept + self.lost).max(initial=-1)) + 1
        return fit_contracts(self.kept[:last], self.lost[:last], self.counted)
