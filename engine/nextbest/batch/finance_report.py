"""What a rulebook would earn on the stored population: finance of each action and of all together.

Each customer counts once, with what is recommended to them first. An action's margin is its uplift times
the company's gain that the score counts, p − p₀ times ΔP; its cost is what is expected to be paid, with
the full p. These are expectations under the rulebook's own propensities and effects, no measurements.

Source: domain model, sections 5 and 9.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np

from nextbest.assembly import Model
from nextbest.batch.fitting import Progress
from nextbest.batch.operations import no_progress
from nextbest.batch.portraits import known_customers
from nextbest.batch.recommendations import Recommended, Scenario, expected_cost, first_recommendations
from nextbest.data.learnt_state import load_state
from nextbest.data.store import Store
from nextbest.model import F64, Histories, Rows, Term
from nextbest.potential.finance import (
    ActionFinance,
    FinanceInput,
    Rates,
    action_finance,
    finance_rows,
    portfolio_figures,
)
from nextbest.valuation import take_columns


class Horizon(StrEnum):
    """Over what the margin is counted."""

    SHORT = "short"
    """The first year."""
    LTV = "ltv"
    """The lifetime horizon, as the score counts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What the report rests on beside the rulebook."""

    rates: Rates
    years: float = 1.0
    """n_y: years over which the cost is written off."""
    capital_rate: float = 0.0
    """Capital tied up for each unit of cost."""
    contribution_margin: float | None = None
    """cm; None = the customers' own margin rates, with which ROMI equals ROI."""
    horizon: Horizon = Horizon.SHORT

    def lines(self, currency: str, default_margin: float) -> list[str]:
        """All of it in words."""
        rates = self.rates
        gain = (
            "margin of the first year: f_P × profit gap; declared LTV gains are left out"
            if self.horizon is Horizon.SHORT
            else "margin over the lifetime horizon, LTV gains included: a payback in months means little"
        )
        margin = (
            f"each customer's own margin rate, {default_margin:.0%} where it is unknown or not above 0"
            " (then ROMI equals ROI)"
            if self.contribution_margin is None
            else f"{self.contribution_margin:.0%}"
        )
        return [
            f"hurdle {rates.hurdle:.1%}, WACC {rates.wacc:.1%}, tax {rates.tax:.1%} a year",
            f"cost written off over {self.years:g} years; capital tied up: {self.capital_rate:g} × cost",
            f"{gain}, in {currency}, times the propensity's uplift",
            f"incremental revenue: margin over margin rate; contribution margin {margin}",
            "expected, with the rulebook's propensities and effects: no measurement",
        ]


@dataclass(frozen=True, slots=True)
class Line:
    """One action, or all together."""

    id: str
    customers: int
    """To whom it is recommended first."""
    acceptances: float
    """Expected."""
    margin: float
    """dGM, money."""
    cost: float
    """C_a, money."""
    finance: ActionFinance


@dataclass(frozen=True, slots=True)
class FinanceReport:
    """Finance of a rulebook over a population."""

    currency: str
    scenario: str
    customers: int
    """All customers looked at."""
    actions: tuple[Line, ...]
    """Actions recommended to anybody, by residual income."""
    never: tuple[str, ...]
    """Actions recommended first to nobody."""
    total: Line
    assumptions: tuple[str, ...]

    def document(self) -> Mapping[str, object]:
        """As plain JSON; null = absent."""
        return asdict(self)


class Ledger:
    """Adds up customers batch by batch; one row an action."""

    _ACCEPTED: Final = 0
    _MARGIN: Final = 1
    _COST: Final = 2
    _REVENUE: Final = 3

    def __init__(self, model: Model, assumptions: Assumptions) -> None:
        self._model = model
        self._assumptions = assumptions
        n = len(model.rulebook.actions)
        self._sums = np.zeros((n, 4))
        self._count = np.zeros(n, np.int64)
        self._margin_rate = np.array([model.rulebook.catalogue.column("margin_rate")], np.int64)
        self.customers = 0
        """Customers added."""

    def add(self, rows: Rows, first: Recommended) -> None:
        """Add n customers and what is recommended to them first."""
        self.customers += len(rows)
        some = first.action >= 0
        action, terms = first.action[some], first.terms[some]
        margin = (terms[:, Term.PROPENSITY] - terms[:, Term.BASE_PROPENSITY]) * self._gain(action, terms)
        rate = take_columns(rows.numbers, self._margin_rate)[some, 0]
        rate = np.where(rate > 0, rate, self._model.rulebook.value.default_margin_rate)
        revenue = np.divide(margin, rate, out=np.full(len(rate), np.nan), where=rate > 0)
        columns = (terms[:, Term.PROPENSITY], margin, expected_cost(terms), revenue)
        n = len(self._count)
        self._count += np.bincount(action, minlength=n)
        for place, column in enumerate(columns):
            # what is unknown for one makes the sum unknown: nothing reads it as 0
            self._sums[:, place] += np.bincount(action, column, minlength=n)

    def _gain(self, action: np.ndarray[tuple[int], np.dtype[np.int32]], terms: F64) -> F64:
        """(k,) what the company gains of an acceptance."""
        if self._assumptions.horizon is Horizon.LTV:
            return terms[:, Term.PROFIT_GAIN]
        tables = self._model.rulebook.action_tables
        once = np.where(tables.short_horizon[action] == 1, 0.0, tables.ltv_gain[action])
        return (terms[:, Term.PROFIT_GAIN] - once) / terms[:, Term.MULTIPLIER]

    def report(self, scenario: str) -> FinanceReport:
        """What came of it."""
        rulebook = self._model.rulebook
        amounts, rates = self._amounts(), self._assumptions.rates.to_array()
        figures = finance_rows(amounts, rates)
        used = np.flatnonzero(self._count)
        names = [action.id for action in rulebook.actions]
        lines = [self._line(names[a], [a], action_finance(figures[a])) for a in used.tolist()]
        total = action_finance(portfolio_figures(amounts[used], rates))
        return FinanceReport(
            currency=rulebook.currency,
            scenario=scenario,
            customers=self.customers,
            actions=tuple(sorted(lines, key=lambda line: (-(line.finance.residual_income or 0.0), line.id))),
            never=tuple(names[a] for a in np.flatnonzero(self._count == 0).tolist()),
            total=self._line(rulebook.id, used.tolist(), total),
            assumptions=(
                *self._assumptions.lines(rulebook.currency, rulebook.value.default_margin_rate),
                *rulebook.strategy.caveats,
            ),
        )

    def _amounts(self) -> F64:
        """(A, FinanceInput) of all actions."""
        amounts = np.empty((len(self._count), len(FinanceInput)))
        margin, cost, revenue = (self._sums[:, k] for k in (self._MARGIN, self._COST, self._REVENUE))
        given = self._assumptions.contribution_margin
        own = np.divide(margin, revenue, out=np.zeros(len(margin)), where=revenue != 0)
        amounts[:, FinanceInput.GROSS_MARGIN] = margin
        amounts[:, FinanceInput.COST] = cost
        amounts[:, FinanceInput.CAPITAL] = self._assumptions.capital_rate * cost
        amounts[:, FinanceInput.REVENUE] = revenue
        amounts[:, FinanceInput.CONTRIBUTION_MARGIN] = own if given is None else given
        amounts[:, FinanceInput.YEARS] = self._assumptions.years
        return amounts

    def _line(self, name: str, actions: Sequence[int], finance: ActionFinance) -> Line:
        sums = self._sums[actions].sum(axis=0)
        customers = int(self._count[actions].sum())
        return Line(
            name,
            customers,
            float(sums[self._ACCEPTED]),
            float(sums[self._MARGIN]),
            float(sums[self._COST]),
            finance,
        )


async def finance_of(
    store: Store,
    model: Model,
    over: Scenario,
    assumptions: Assumptions,
    *,
    now: float,
    progress: Progress = no_progress,
) -> FinanceReport:
    """Compute the finance of a rulebook over all stored customers; nothing is written.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    ledger, over = Ledger(model, assumptions), replace(over, learnt=await load_state(store, model))
    async for known in known_customers(store, model, now):
        rows = known.batch.rows
        ledger.add(rows, first_recommendations(model, rows, known.histories, known.now, over))
        progress(len(rows))
    return ledger.report(over.text)


def finance_of_rows(
    model: Model,
    batches: Iterable[tuple[Rows, Histories]],
    over: Scenario,
    assumptions: Assumptions,
    now: float,
) -> FinanceReport:
    """The same for customers at hand."""
    ledger = Ledger(model, assumptions)
    for rows, histories in batches:
        times = np.full(len(rows), now)
        ledger.add(rows, first_recommendations(model, rows, histories, times, over))
    return ledger.report(over.text)
