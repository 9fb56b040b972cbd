"""Whose margin is assumed: figures of profit that rest on it say so wherever they are shown."""

from collections.abc import Mapping
from dataclasses import dataclass

from nextbest.potential.tables import PRIVACY_FLOOR


@dataclass(frozen=True, slots=True)
class AssumedMargin:
    """How many customers have the strategy's default margin for want of one of their own."""

    customers: int
    of: int
    """Customers in all."""
    rate: float
    """The default, a share of revenue."""

    @property
    def shown(self) -> int | None:
        """How many; None where it or what is left of all is one to nine."""
        groups = (self.customers, self.of - self.customers)
        return None if any(0 < count < PRIVACY_FLOOR for count in groups) else self.customers

    @property
    def note(self) -> str:
        """All of it as a sentence; empty if nobody's is assumed."""
        if not self.customers:
            return ""
        few = "fewer than ten" if self.customers < PRIVACY_FLOOR else "all but fewer than ten"
        who = few if self.shown is None else f"{self.shown:,}"
        return (
            f"Assumed margin: of {who} of {self.of:,} customers neither cost of goods nor a margin is known;"
            f" their profit rests on the strategy's default, {self.rate:.0%} of revenue."
        )

    @property
    def mark(self) -> str:
        """What is added to the title of figures of profit."""
        return ", margin partly assumed" if self.customers else ""

    def document(self) -> Mapping[str, object]:
        """As plain JSON; null = too few of either kind to be told."""
        return {"customers": self.shown, "rate": self.rate, "note": self.note}
