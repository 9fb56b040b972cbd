"""What the programme owes its members: points that are earned and not redeemed yet.

Liability = points × face value × redemption probability, over the 12 months that snapshots hold.

Source: domain model, section 2.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from nextbest.assembly import Model
from nextbest.batch.fitting import Progress
from nextbest.batch.operations import no_progress, population
from nextbest.data.store import Store
from nextbest.model import F64
from nextbest.rulebook.strategy import ValueModel
from nextbest.valuation import take_columns

FACTS: Final = ("points_earned", "points_redeemed")


@dataclass(frozen=True, slots=True)
class PointsReport:
    """Points of all customers."""

    currency: str
    customers: int
    unknown: int
    """Customers whose earned points are not known: they are owed nothing here."""
    earned: float
    redeemed: float
    outstanding: float
    """Earned and not redeemed, customer by customer; nobody is below zero."""
    face: float
    redemption_probability: float

    @property
    def liability(self) -> float:
        """Money that the outstanding points are expected to cost."""
        return self.outstanding * self.face * self.redemption_probability

    def document(self) -> Mapping[str, object]:
        """As plain JSON."""
        return asdict(self) | {"liability": self.liability}


class PointsLedger:
    """Adds up points batch by batch."""

    def __init__(self) -> None:
        self._customers = self._unknown = 0
        self._sums = np.zeros(3)

    def add(self, points: F64) -> None:
        """Add n customers: (n, 2) points earned and redeemed, NaN = missing; unknown redemptions are none."""
        known = ~np.isnan(points[:, 0])
        self._customers += len(points)
        self._unknown += int(len(points) - known.sum())
        earned, redeemed = points[known, 0], np.nan_to_num(points[known, 1])
        self._sums += (earned.sum(), redeemed.sum(), np.maximum(earned - redeemed, 0.0).sum())

    def report(self, value: ValueModel, currency: str) -> PointsReport:
        """What came of it."""
        earned, redeemed, outstanding = self._sums.tolist()
        return PointsReport(
            currency=currency,
            customers=self._customers,
            unknown=self._unknown,
            earned=earned,
            redeemed=redeemed,
            outstanding=outstanding,
            face=value.point_face,
            redemption_probability=value.redemption_probability,
        )


async def points_of(store: Store, model: Model, *, progress: Progress = no_progress) -> PointsReport:
    """Add up the points of all stored customers; nothing is written.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    catalogue, ledger = model.rulebook.catalogue, PointsLedger()
    columns = np.array([catalogue.column(name) for name in FACTS], np.int64)
    async for batch in population(store):
        ledger.add(take_columns(batch.rows.numbers, columns))
        progress(len(batch.rows))
    return ledger.report(model.rulebook.value, model.rulebook.currency)
