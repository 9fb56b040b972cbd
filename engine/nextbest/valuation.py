"""What customers are worth in a year, read from their snapshots: inputs of figures and of the peer grid."""

from dataclasses import dataclass

import numpy as np

from nextbest.kernels import kernel
from nextbest.model import F64, I32, I64, Rows
from nextbest.potential.value import (
    ValueInput,
    add_terms,
    complete,
    cost_to_serve,
    profit_terms,
    value_terms,
)
from nextbest.rulebook.rulebook import Rulebook

VALUE_FACTS = (
    "revenue_net",
    "cogs",
    "margin_rate",
    "points_earned",
    "immediate_rewards",
    "saved_rewards",
    "satisfaction",
    "minutes_spent",
    "complaint_count",
)
"""Standard facts in the order of `potential.value.ValueInput`."""


@dataclass(frozen=True, slots=True)
class WorthTables:
    """Where the inputs of value lie and what each counts; money in the rulebook's currency."""

    columns: I64
    """Columns of `VALUE_FACTS`, -1 = not in the catalogue."""
    activities: I64
    """Columns of the activities' counts."""
    activity_costs: F64
    benefits: I64
    """Columns of the emotional benefits' counts."""
    benefit_worths: F64
    rates: F64
    """In the order of `potential.value.ValueRate`."""
    default_margin_rate: float
    exposure: int
    """Column of `exposure_share`."""


@dataclass(frozen=True, slots=True)
class Valuation:
    """What n customers are worth in a year."""

    profit_terms: F64
    """(n, ProfitTerm), summing to the actual profit."""
    value_terms: F64
    """(n, ValueTerm), summing to the actual value."""
    cost_to_serve: F64
    """(n,)."""
    flags: I32
    """(n,) of `potential.value.ValueFlag`: what was assumed."""
    revenue: F64
    """(n,) NaN = missing."""
    exposure: F64
    """(n,) share of the fit window observed; unknown counts as all of it."""

    @property
    def profit(self) -> F64:
        """(n,) actual profit, NaN where revenue is missing."""
        return add_terms(self.profit_terms)

    @property
    def value(self) -> F64:
        """(n,) actual customer value."""
        return add_terms(self.value_terms)


@kernel
def take_columns(numbers: F64, columns: I64) -> F64:
    """(n, k) the named columns of a row matrix; NaN for column -1, a fact the catalogue lacks."""
    taken = np.empty((len(numbers), len(columns)))
    for i in range(len(numbers)):
        for k in range(len(columns)):
            taken[i, k] = numbers[i, columns[k]] if columns[k] >= 0 else np.nan
    return taken


def worth_tables(rulebook: Rulebook) -> WorthTables:
    """Lay out a rulebook's value model for the kernels."""
    value, column = rulebook.value, rulebook.catalogue.column
    return WorthTables(
        columns=np.array([column(name) for name in VALUE_FACTS], np.int64),
        activities=np.array([column(name) for name, _ in value.activities], np.int64),
        activity_costs=np.array([cost for _, cost in value.activities], np.float64),
        benefits=np.array([column(name) for name, _ in value.benefits], np.int64),
        benefit_worths=np.array([worth for _, worth in value.benefits], np.float64),
        rates=np.array(
            [
                value.point_face,
                value.redemption_probability,
                value.quality_rate,
                value.value_of_time,
                value.complaint_cost,
                value.default_margin_rate,
                value.credibility_years,
            ]
        ),
        default_margin_rate=value.default_margin_rate,
        exposure=column("exposure_share"),
    )


def valuation(tables: WorthTables, rows: Rows) -> Valuation:
    """Actual profit and customer value of the observed window, before any credit from peers.

    Source: domain model, section 2.
    """
    money = take_columns(rows.numbers, tables.columns)
    activities = take_columns(rows.numbers, tables.activities)
    benefits = take_columns(rows.numbers, tables.benefits)
    flags = complete(money, activities, benefits, tables.default_margin_rate)
    costs = cost_to_serve(activities, tables.activity_costs)
    return Valuation(
        profit_terms=profit_terms(money, costs, tables.rates),
        value_terms=value_terms(money, benefits, tables.benefit_worths, tables.rates),
        cost_to_serve=costs,
        flags=flags,
        revenue=money[:, ValueInput.REVENUE_NET],
        exposure=_exposure(rows, tables.exposure),
    )


def _exposure(rows: Rows, column: int) -> F64:
    if column < 0:
        return np.ones(len(rows))
    share = rows.numbers[:, column]
    return np.where(np.isnan(share), 1.0, share)
