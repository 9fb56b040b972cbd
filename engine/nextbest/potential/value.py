"""What a customer is worth to the company, and the company to the customer, in one year.

`complete` is the only place where a missing input is given a default, and it marks each one with a
`ValueFlag`; everything after it passes NaN on. Every total is the sum of signed components, in the
order of its enum, so that the components always add up to it.

Source: domain model, sections 1 and 2; Kaplan & Anderson, Time-Driven Activity-Based Costing,
Harvard Business Review 82(11), 2004.
"""

from enum import IntEnum, IntFlag

import numpy as np

from nextbest.kernels import kernel, lean_kernel
from nextbest.model import F64, I32


class ValueInput(IntEnum):
    """Columns of the inputs, each over the last 12 months, money in major units."""

    REVENUE_NET = 0
    """After immediate discounts."""
    COGS = 1
    """Cost of goods sold; if missing it follows from the margin rate."""
    MARGIN_RATE = 2
    """Share of revenue."""
    POINTS_EARNED = 3
    IMMEDIATE_REWARDS = 4
    """Rewards and discounts enjoyed at once, money."""
    SAVED_REWARDS = 5
    """Saved rewards at face value, money."""
    SATISFACTION = 6
    """0–100."""
    MINUTES = 7
    """The customer's own time."""
    COMPLAINTS = 8


class ValueFlag(IntFlag):
    """What was assumed for a customer because it was missing."""

    MARGIN_DEFAULTED = 1
    """Neither cost of goods nor margin rate was known: the rulebook's margin was used."""
    ACTIVITY_PARTIAL = 2
    """A count of activities, benefits, minutes or complaints was missing and taken as 0."""
    SATISFACTION_MISSING = 4
    """No quality surplus was counted."""
    REWARDS_PARTIAL = 8
    """Points or rewards were missing and taken as 0."""
    REVENUE_MISSING = 16
    """Actual profit is missing."""
    SHORT_HISTORY = 32
    """Less than a year was seen: the totals lean on the peers' mean."""


class ProfitTerm(IntEnum):
    """Signed components of the actual profit, money a year."""

    REVENUE = 0
    GOODS = 1
    COST_TO_SERVE = 2
    POINTS = 3
    PEERS = 4
    """What a short history borrows from the cell's mean; 0 after a full year."""


class ValueTerm(IntEnum):
    """Signed components of the actual customer value, money a year."""

    IMMEDIATE = 0
    SAVED = 1
    EMOTIONAL = 2
    QUALITY = 3
    EFFORT = 4
    PEERS = 5
    """What a short history borrows from the cell's mean; 0 after a full year."""


class ValueRate(IntEnum):
    """Places in the rates that the rulebook sets."""

    POINT_FACE = 0
    """Money a point is worth when redeemed."""
    REDEMPTION_PROBABILITY = 1
    QUALITY = 2
    """κ_q."""
    MINUTE = 3
    """Money per minute of the customer's own time."""
    COMPLAINT = 4
    """Money per complaint, to the customer."""
    DEFAULT_MARGIN = 5
    """Margin rate of customers of whom none is known."""
    CREDIBILITY_YEARS = 6
    """k of the credibility formula."""


NEUTRAL_SATISFACTION = 50.0
"""Satisfaction at which the quality surplus is nothing."""

_REVENUE = int(ValueInput.REVENUE_NET)
_COGS = int(ValueInput.COGS)
_MARGIN = int(ValueInput.MARGIN_RATE)
_POINTS = int(ValueInput.POINTS_EARNED)
_IMMEDIATE = int(ValueInput.IMMEDIATE_REWARDS)
_SAVED = int(ValueInput.SAVED_REWARDS)
_SATISFACTION = int(ValueInput.SATISFACTION)
_MINUTES = int(ValueInput.MINUTES)
_COMPLAINTS = int(ValueInput.COMPLAINTS)
_FACE = int(ValueRate.POINT_FACE)
_REDEMPTION = int(ValueRate.REDEMPTION_PROBABILITY)
_QUALITY = int(ValueRate.QUALITY)
_MINUTE = int(ValueRate.MINUTE)
_COMPLAINT = int(ValueRate.COMPLAINT)
_DEFAULT_MARGIN = int(ValueRate.DEFAULT_MARGIN)
_MARGIN_DEFAULTED = int(ValueFlag.MARGIN_DEFAULTED)
_ACTIVITY_PARTIAL = int(ValueFlag.ACTIVITY_PARTIAL)
_SATISFACTION_MISSING = int(ValueFlag.SATISFACTION_MISSING)
_REWARDS_PARTIAL = int(ValueFlag.REWARDS_PARTIAL)
_REVENUE_MISSING = int(ValueFlag.REVENUE_MISSING)
_SHORT_HISTORY = int(ValueFlag.SHORT_HISTORY)


@lean_kernel
def _complete_counts(counts: F64) -> int:
    """Take missing counts as 0; return the flag if there was one."""
    flags = 0
    for j in range(counts.size):
        if np.isnan(counts[j]):
            counts[j] = 0.0
            flags = _ACTIVITY_PARTIAL
    return flags


@lean_kernel
def _complete_money(money: F64, default_margin: float) -> int:
    """Fill in the defaults of one customer's `ValueInput` columns; return what was assumed."""
    flags = 0
    if np.isnan(money[_REVENUE]):
        flags |= _REVENUE_MISSING
    if np.isnan(money[_COGS]):
        if np.isnan(money[_MARGIN]):
            money[_MARGIN] = default_margin
            flags |= _MARGIN_DEFAULTED
        money[_COGS] = money[_REVENUE] * (1 - money[_MARGIN])
    for column in (_POINTS, _IMMEDIATE, _SAVED):
        if np.isnan(money[column]):
            money[column] = 0.0
            flags |= _REWARDS_PARTIAL
    if np.isnan(money[_SATISFACTION]):
        money[_SATISFACTION] = NEUTRAL_SATISFACTION
        flags |= _SATISFACTION_MISSING
    return flags | _complete_counts(money[_MINUTES : _COMPLAINTS + 1])


@lean_kernel
def complete_row(money: F64, activities: F64, benefits: F64, default_margin: float) -> int:
    """`complete` for one customer: (9,), (J,) and (K,)."""
    found = _complete_money(money, default_margin)
    return found | _complete_counts(activities) | _complete_counts(benefits)


@kernel
def complete(money: F64, activities: F64, benefits: F64, default_margin: float) -> I32:
    """Fill in every default of missing inputs, in place, and say which were used.

    Args:
        money: (n, 9) columns of `ValueInput`; NaN = missing. Revenue stays missing.
        activities: (n, J) counts of cost activities; NaN = missing.
        benefits: (n, K) counts of emotional benefits; NaN = missing.
        default_margin: share of revenue kept where neither cost nor margin is known.

    Returns:
        (n,) bits of `ValueFlag`.

    Oracle: tests/naive/value.py `complete`.
    """
    flags = np.empty(money.shape[0], np.int32)
    for i in range(money.shape[0]):
        flags[i] = complete_row(money[i], activities[i], benefits[i], default_margin)
    return flags


@kernel
def activity_rates(minutes: F64, pool_cost: float, capacity_minutes: float) -> F64:
    """Return c_j = minutes_j × pool cost / practical capacity; NaN without capacity.

    Args:
        minutes: (J,) minutes one activity takes.
        pool_cost: money a year that the resource pool costs.
        capacity_minutes: minutes a year that the pool can really work.
    """
    rate = pool_cost / capacity_minutes if capacity_minutes > 0 else np.nan
    return minutes * rate


@lean_kernel
def served_cost(activities: F64, rates: F64) -> float:
    """Return Σ_j n_j·c_j of one customer's (J,) completed counts."""
    cost = 0.0
    for j in range(rates.size):
        cost += activities[j] * rates[j]
    return cost


@kernel
def cost_to_serve(activities: F64, rates: F64) -> F64:
    """Return Σ_j n_j·c_j for each customer.

    Args:
        activities: (n, J) completed counts.
        rates: (J,) money per activity.

    Returns:
        (n,) money a year. Their sum is Σ_j N_j·c_j: see `cost_by_activity`.

    Oracle: tests/naive/value.py `cost_to_serve`.
    """
    costs = np.empty(activities.shape[0])
    for i in range(activities.shape[0]):
        costs[i] = served_cost(activities[i], rates)
    return costs


@kernel
def cost_by_activity(activities: F64, rates: F64) -> F64:
    """Return N_j·c_j, what each activity costs over all customers.

    Args:
        activities: (n, J) completed counts.
        rates: (J,) money per activity.

    Returns:
        (J,) money; their sum is that of all customers' cost to serve.
    """
    costs = np.zeros(rates.size)
    for i in range(activities.shape[0]):
        for j in range(rates.size):
            costs[j] += activities[i, j]
    return costs * rates


@lean_kernel
def fill_profit_terms(money: F64, cost: float, rates: F64, terms: F64) -> None:
    """Write one customer's components into `terms` (5,); see `profit_terms`."""
    terms[0] = money[_REVENUE]
    terms[1] = -money[_COGS]
    terms[2] = -cost
    terms[3] = -money[_POINTS] * (rates[_FACE] * rates[_REDEMPTION])
    terms[4] = 0.0


@kernel
def profit_terms(money: F64, costs: F64, rates: F64) -> F64:
    """Return the components of the actual profit.

    Args:
        money: (n, 9) completed columns of `ValueInput`.
        costs: (n,) cost to serve.
        rates: (7,) of `ValueRate`.

    Returns:
        (n, 5) columns of `ProfitTerm`; REVENUE and GOODS are NaN where revenue is missing.

    Oracle: tests/naive/value.py `profit_terms`.
    """
    terms = np.empty((money.shape[0], 5))
    for i in range(money.shape[0]):
        fill_profit_terms(money[i], costs[i], rates, terms[i])
    return terms


@lean_kernel
def fill_value_terms(money: F64, benefits: F64, worths: F64, rates: F64, terms: F64) -> None:
    """Write one customer's components into `terms` (6,); see `value_terms`."""
    terms[:] = 0.0
    terms[0] = money[_IMMEDIATE]
    terms[1] = money[_SAVED] * rates[_REDEMPTION]
    for k in range(worths.size):
        terms[2] += benefits[k] * worths[k]
    surplus = money[_SATISFACTION] - NEUTRAL_SATISFACTION
    if surplus != 0:
        terms[3] = rates[_QUALITY] * surplus / 100 * money[_REVENUE]
    terms[4] = -(money[_MINUTES] * rates[_MINUTE] + money[_COMPLAINTS] * rates[_COMPLAINT])


@kernel
def value_terms(money: F64, benefits: F64, worths: F64, rates: F64) -> F64:
    """Return the components of the actual customer value.

    Args:
        money: (n, 9) completed columns of `ValueInput`.
        benefits: (n, K) completed counts of emotional benefits.
        worths: (K,) money one of them is worth to the customer.
        rates: (7,) of `ValueRate`.

    Returns:
        (n, 6) columns of `ValueTerm`; QUALITY is NaN where revenue is missing, unless the
        satisfaction is neutral, which is worth nothing whatever the revenue.

    Oracle: tests/naive/value.py `value_terms`.
    """
    terms = np.empty((money.shape[0], 6))
    for i in range(money.shape[0]):
        fill_value_terms(money[i], benefits[i], worths, rates, terms[i])
    return terms


@lean_kernel
def total_of(terms: F64) -> float:
    """Return the total of one customer's (k,) components, added in their order."""
    total = 0.0
    for k in range(terms.size):
        total += terms[k]
    return total


@kernel
def add_terms(terms: F64) -> F64:
    """Return the (n,) totals of (n, k) components, added in their order."""
    totals = np.empty(terms.shape[0])
    for i in range(terms.shape[0]):
        totals[i] = total_of(terms[i])
    return totals


@kernel
def annual_rate(amount: float, exposure: float, mean: float, k: float) -> float:
    """Return (amount + k·mean)/(exposure + k), the amount itself from a full year on (scalar kernel).

    Args:
        amount: money seen, annualised as if the whole fit window had been seen.
        exposure: share of the fit window seen; NaN gives NaN.
        mean: the cell's mean, from `PotentialTables.backed_off_mean`.
        k: years of history that the mean weighs as much as.

    Oracle: tests/naive/value.py `annual_rate`.
    """
    if exposure >= 1:
        return amount
    return np.nan if np.isnan(exposure) else (amount + k * mean) / (max(exposure, 0.0) + k)


@lean_kernel
def credit_row(terms: F64, exposure: float, mean: float, k: float) -> None:
    """Scale one customer's (t,) components in place; see `credit_terms`. A full year is left as it is."""
    if exposure >= 1:
        return
    last = terms.size - 1
    years = np.nan if np.isnan(exposure) else max(exposure, 0.0) + k
    for term in range(last):
        terms[term] /= years
    terms[last] = k * mean / years


@kernel
def credit_terms(terms: F64, exposure: F64, mean: F64, k: float, flags: I32) -> F64:
    """Scale components to annual rates, the last one taking what is borrowed from the peers.

    Args:
        terms: (n, t) components, whose last column is 0; changed in place.
        exposure: (n,) share of the fit window seen; NaN gives NaN.
        mean: (n,) the cells' means.
        k: years of history that the mean weighs as much as.
        flags: (n,) bits of `ValueFlag`; SHORT_HISTORY is added where it applies.

    Returns:
        (n,) totals, equal to `annual_rate` of the totals before.
    """
    for i in range(terms.shape[0]):
        if not exposure[i] >= 1:
            flags[i] |= _SHORT_HISTORY
            credit_row(terms[i], exposure[i], mean[i], k)
    return add_terms(terms)


@lean_kernel
def money_ratio(revenue: float, customer_value: float) -> float:
    """Return (revenue + A^C)/revenue of one customer; see `value_for_money`."""
    return (revenue + customer_value) / revenue if revenue > 0 else np.nan


@kernel
def value_for_money(revenue: F64, customer_value: F64) -> F64:
    """Return (revenue + A^C)/revenue; NaN where revenue is not above 0 or a figure is missing.

    Args:
        revenue: (n,) revenue_net.
        customer_value: (n,) actual customer value.
    """
    ratios = np.empty(revenue.size)
    for i in range(revenue.size):
        ratios[i] = money_ratio(revenue[i], customer_value[i])
    return ratios


@kernel
def mutual_segments(customer_value: F64, profit: F64, bounds: F64) -> I32:
    """Return the mutual value segment, 3·(tercile of customer value) + (tercile of profit).

    Args:
        customer_value: (n,) actual customer value; NaN = missing.
        profit: (n,) actual profit; NaN = missing.
        bounds: (2, 2) lower and upper tercile bound of value and of profit, from `PeerGrid.thirds`.

    Returns:
        (n,) 0 (both low) to 8 (both high), −1 where a figure or a bound is missing.

    Oracle: tests/naive/value.py `mutual_segment`.
    """
    segments = np.full(profit.size, -1, np.int32)
    if np.isnan(bounds).any():
        return segments
    for i in range(profit.size):
        a, p = customer_value[i], profit[i]
        if not (np.isnan(a) or np.isnan(p)):
            rows = int(a > bounds[0, 0]) + int(a > bounds[0, 1])
            segments[i] = 3 * rows + int(p > bounds[1, 0]) + int(p > bounds[1, 1])
    return segments
