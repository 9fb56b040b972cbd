"""What it costs to serve a population, and whether known customers cost less, as is often said.

Source: domain model, sections 2 and 11.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nextbest.facts import STAGE_NAMES
from nextbest.model import F64, I64, Stage

KNOWN: Final = (Stage.HEAR_ME, Stage.GROW_ME)
"""Stages of customers who are known; repair costs for other reasons."""


@dataclass(frozen=True, slots=True)
class Served:
    """Cost to serve by stage and activity; NaN = a stage of fewer than ten customers."""

    activities: tuple[str, ...]
    customers: I64
    """(stages,)."""
    cost: F64
    """(stages, activities) sum, money a year."""

    def per_customer(self, *stages: Stage) -> float:
        """Mean over the customers of some stages, money a year; NaN = nobody, or too few to show."""
        customers = sum(int(self.customers[stage]) for stage in stages)
        cost = sum(float(self.cost[stage].sum()) for stage in stages)
        return cost / customers if customers else math.nan

    @property
    def known_cost_less(self) -> bool | None:
        """Whether customers in Hear me and Grow me cost less each than those in Know me; None = cannot tell.

        A comparison of who is where now, with no cause behind it.
        """
        new, known = self.per_customer(Stage.KNOW_ME), self.per_customer(*KNOWN)
        return None if math.isnan(new) or math.isnan(known) else known < new

    @property
    def verdict(self) -> str:
        """The claim and what the figures say of it."""
        found = self.known_cost_less
        said = (
            "cannot be told: too few customers" if found is None else "holds here" if found else "fails here"
        )
        return f"That known customers cost less each to serve {said}."

    def document(self) -> Mapping[str, object]:
        """What is told of the claim, as plain JSON."""
        means = {stage: self.per_customer(stage) for stage in Stage}
        return {
            "per_customer": {
                STAGE_NAMES[stage]: None if math.isnan(mean) else mean for stage, mean in means.items()
            },
            "known_customers_cost_less": self.known_cost_less,
        }
