"""What an action earns: return, residual income, economic profit, payback.

Source: domain model, section 5. A figure that would divide by zero is absent (NaN in arrays,
None in `ActionFinance`), never infinite.
"""

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from nextbest.kernels import kernel
from nextbest.model import F64


class FinanceInput(IntEnum):
    """Columns of the amounts that `finance_rows` reads, money, one row an action."""

    GROSS_MARGIN = 0
    """dGM: incremental gross margin before action cost."""
    COST = 1
    """C_a: cost of the action."""
    CAPITAL = 2
    """K_c: capital tied up."""
    REVENUE = 3
    """ΔRev: incremental revenue."""
    CONTRIBUTION_MARGIN = 4
    """cm: share of the incremental revenue that is contribution."""
    YEARS = 5
    """n_y: years over which the cost is written off."""


class FinanceColumn(IntEnum):
    """Columns of what `finance_rows` returns; NaN = absent."""

    ROI = 0
    """(dGM − C)/C."""
    ROMI = 1
    """(ΔRev·cm − C)/C."""
    RI = 2
    """Residual income dGM − C − h·K, money."""
    NOPAT = 3
    """Net operating profit after tax, money."""
    EP = 4
    """Economic profit NOPAT − w·K, money."""
    EVA = 5
    """Economic value added, the cost written off over n_y years, money a year."""
    PAYBACK_MONTHS = 6
    """12·C/dGM; absent unless dGM > 0."""


N_INPUTS = len(FinanceInput)
N_FIGURES = len(FinanceColumn)
_ROI, _ROMI, _RI, _NOPAT, _EP, _EVA, _PAYBACK = (int(c) for c in FinanceColumn)


@dataclass(frozen=True, slots=True)
class Rates:
    """The company's yearly rates."""

    hurdle: float
    """h: return the owners ask for."""
    wacc: float
    """w: weighted average cost of capital."""
    tax: float
    """t."""

    def to_array(self) -> F64:
        """h, w, t as kernels read them: (3,)."""
        return np.array([self.hurdle, self.wacc, self.tax])


@dataclass(frozen=True, slots=True)
class ActionFinance:
    """Financial figures of one action or of all together; None = absent."""

    roi: float | None
    romi: float | None
    residual_income: float | None
    nopat: float | None
    economic_profit: float | None
    economic_value_added: float | None
    payback_months: float | None


@kernel
def ratio(numerator: float, denominator: float) -> float:
    """The quotient, NaN (absent) when the denominator is 0 or the quotient overflows."""
    if denominator == 0.0:
        return math.nan
    quotient = numerator / denominator
    return quotient if math.isfinite(quotient) else math.nan


@kernel
def payback_months(margin: float, cost: float) -> float:
    """12·C/dGM: months until the margin has paid the cost; NaN unless the margin is above 0."""
    return ratio(12.0 * cost, margin) if margin > 0.0 else math.nan


@kernel
def finance_rows(amounts: F64, rates: F64) -> F64:
    """Financial figures of n actions.

    Args:
        amounts: (n, 6) by `FinanceInput`; NaN = unknown.
        rates: (3,) h, w, t.

    Returns:
        (n, 7) by `FinanceColumn`, NaN = absent or resting on an unknown amount.

    Oracle: `tests.naive.finance.figures`.

    """
    hurdle, wacc, tax = rates[0], rates[1], rates[2]
    figures = np.empty((len(amounts), N_FIGURES))
    for i in range(len(amounts)):
        margin, cost, capital = amounts[i, 0], amounts[i, 1], amounts[i, 2]
        nopat = (margin - cost) * (1.0 - tax)
        figures[i, _ROI] = ratio(margin - cost, cost)
        figures[i, _ROMI] = ratio(amounts[i, 3] * amounts[i, 4] - cost, cost)
        figures[i, _RI] = margin - cost - hurdle * capital
        figures[i, _NOPAT] = nopat
        figures[i, _EP] = nopat - wacc * capital
        figures[i, _EVA] = (margin - ratio(cost, amounts[i, 5])) * (1.0 - tax) - wacc * (capital + cost)
        figures[i, _PAYBACK] = payback_months(margin, cost)
    return figures


@kernel
def portfolio_figures(amounts: F64, rates: F64) -> F64:
    """Financial figures of n actions taken together, such as those of a rulebook: (7,).

    Money adds up; ROI, ROMI and payback are those of the summed amounts, not means of ratios.
    Arguments as in `finance_rows`. No actions: every sum is 0, every ratio absent.

    Oracle: `tests.naive.finance.portfolio`.
    """
    each = finance_rows(amounts, rates)
    margin, cost, contribution = 0.0, 0.0, 0.0
    figures = np.zeros(N_FIGURES)
    for i in range(len(amounts)):
        margin += amounts[i, 0]
        cost += amounts[i, 1]
        contribution += amounts[i, 3] * amounts[i, 4]
        for column in range(_RI, _PAYBACK):
            figures[column] += each[i, column]
    figures[_ROI] = ratio(margin - cost, cost)
    figures[_ROMI] = ratio(contribution - cost, cost)
    figures[_PAYBACK] = payback_months(margin, cost)
    return figures


def action_finance(figures: F64) -> ActionFinance:
    """One row of `finance_rows`, or a portfolio's, as a value with None for absent."""
    values = [float(f) if math.isfinite(f) else None for f in figures.tolist()]
    return ActionFinance(*values)
