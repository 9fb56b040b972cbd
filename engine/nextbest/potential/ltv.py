"""Lifetime value: what a customer is worth over the horizon, and how much may be spent on them.

Source: domain model, section 4. Buyers without a contract: BG/NBD purchases (`bgnbd`) times
Gamma-Gamma spend (Fader & Hardie 2013), discounted. Contract customers: closed forms (Gupta &
Lehmann; Berger & Nasr 1998). Both are taken over the same horizon before they are compared.
"""

import math
from enum import IntEnum

import numpy as np

from nextbest.kernels import kernel, lean_kernel
from nextbest.model import F64, Bools
from nextbest.potential.bgnbd import (
    alive_probability,
    expected_at,
    is_rfm,
)

WEEKS_A_YEAR = 52.0
"""Weeks in a year, as the model counts them."""
_NO_LOSS = 1e-300
"""1−ρ below this is none: its reciprocal overflows, and the sum is the number of years to the last digit."""


class LtvColumn(IntEnum):
    """Columns of what `ltv_rows` and `contract_rows` return."""

    ALIVE = 0
    """P(alive) now."""
    YEAR_PURCHASES = 1
    """Expected purchases in the next 52 weeks; NaN for a contract."""
    DISCOUNTED_PURCHASES = 2
    """Expected purchases over the horizon, discounted; NaN for a contract."""
    SPEND = 3
    """Expected value of a purchase, money; NaN for a contract."""
    LTV = 4
    """Lifetime value over the horizon, money."""
    MULTIPLIER = 5
    """Λ: what a lasting yearly gain of 1 is worth over the horizon; ≥ 1, and 1 if LTV is unknown."""
    LTV_IF_ALIVE = 6
    """LTV of a customer who is alive, or would be again: what there is to win back."""


N_COLUMNS = len(LtvColumn)
_ALIVE, _YEAR, _DISCOUNTED, _SPEND, _LTV, _MULTIPLIER, _IF_ALIVE = (int(c) for c in LtvColumn)


@lean_kernel
def expected_spend(x: float, zbar: float, p: float, q: float, v: float) -> float:
    """E[M | x, zbar], money per purchase, by Gamma-Gamma; `zbar` is not read when x = 0.

    NaN where the mean is infinite: q ≤ 1 for a customer without a repeat purchase.
    Oracle: `tests.naive.ltv.expected_spend`.
    """
    degrees = p * x + q - 1.0
    if not (x >= 0.0 and degrees > 0.0):
        return math.nan
    return p * v / degrees if x == 0.0 else p * (v + x * zbar) / degrees


@lean_kernel
def history_or_default(x: float, t_x: float, T: float) -> tuple[float, float, bool]:
    """One customer's x and t_x, and whether x was assumed; see `rfm_or_default`."""
    if math.isnan(x) and not math.isnan(T):
        return 0.0, 0.0, True
    return x, 0.0 if x == 0.0 and math.isnan(t_x) else t_x, False


@kernel
def rfm_or_default(x: F64, t_x: F64, T: F64) -> tuple[F64, F64, Bools]:
    """Read an unknown history as one without a repeat purchase (section 1), and say where.

    Args:
        x: (n,) repeat buying occasions.
        t_x: (n,) weeks from the first to the last purchase.
        T: (n,) weeks from the first purchase to now; where it is NaN nothing is assumed.

    Returns:
        x and t_x with x = t_x = 0 where x is NaN and T is not, and t_x = 0 where x = 0 and t_x
        is NaN; and (n,) whether x was assumed. All else is as it was.

    """
    known_x, known_t_x, assumed = np.empty(len(x)), np.empty(len(x)), np.empty(len(x), np.bool_)
    for i in range(len(x)):
        known_x[i], known_t_x[i], assumed[i] = history_or_default(x[i], t_x[i], T[i])
    return known_x, known_t_x, assumed


@kernel
def discount_weights(yearly_discount: float, step_weeks: float, steps: int) -> F64:
    """ω with Σ_k (E_k − E_{k−1})·v^k = Σ_k ω_k·E_k, v the discount factor of a step.

    Summing by parts leaves only positive terms; differences of E would cancel.
    """
    log_step = math.log1p(yearly_discount) * step_weeks / WEEKS_A_YEAR
    weights = np.empty(steps)
    for k in range(steps):
        weights[k] = math.exp(-log_step * (k + 1)) * -math.expm1(-log_step)
    weights[steps - 1] = math.exp(-log_step * steps)
    return weights


@kernel
def ltv_horizons(yearly_discount: float, step_weeks: float, steps: int) -> tuple[F64, F64, int]:
    """The steps and one year, ascending, in weeks; ω with 0 for the year; the year's place."""
    each = discount_weights(yearly_discount, step_weeks, steps)
    year = min(int(WEEKS_A_YEAR / step_weeks), steps)
    horizons, weights = np.empty(steps + 1), np.zeros(steps + 1)
    horizons[year] = WEEKS_A_YEAR
    for k in range(steps):
        place = k if k < year else k + 1
        horizons[place] = (k + 1.0) * step_weeks
        weights[place] = each[k]
    return horizons, weights, year


@lean_kernel
def fill_lifetime(
    x: float,
    t_x: float,
    T: float,
    zbar: float,
    margin: float,
    parameters: F64,
    horizons: F64,
    weights: F64,
    year: int,
    expected: F64,
    scratch: F64,
    figures: F64,
) -> None:
    """Write one customer's figures by `LtvColumn` into `figures` (7,); see `ltv_rows`.

    Args:
        x: Repeat buying occasions; with the next four, one row of the arguments of `ltv_rows`.
        t_x: Weeks from the first to the last purchase.
        T: Weeks from the first purchase to now.
        zbar: Mean value of the repeat purchases.
        margin: Share of revenue.
        parameters: (10,) as `LtvParameters.to_array` gives them.
        horizons: (m,) with `weights` and `year` what `ltv_horizons` gives for the parameters.
        weights: (m,).
        year: Place of one year among the horizons.
        expected: (m,) is written.
        scratch: (3, m) is written.
        figures: (7,) is written.
    """
    if not is_rfm(x, t_x, T):
        figures[:] = math.nan
        figures[_MULTIPLIER] = 1.0
        return
    r, alpha, a, b = parameters[0], parameters[1], parameters[2], parameters[3]
    expected_at(x, alpha + T, horizons, r, a, b, expected, scratch)
    discounted = 0.0
    for k in range(len(horizons)):
        discounted += weights[k] * expected[k]
    fill_worth(x, t_x, T, zbar, margin, parameters, discounted, expected[year], figures)


@lean_kernel
def fill_worth(
    x: float,
    t_x: float,
    T: float,
    zbar: float,
    margin: float,
    parameters: F64,
    discounted: float,
    in_a_year: float,
    figures: F64,
) -> None:
    """Write the figures of a possible history into `figures` (7,) from its purchases if alive.

    Args:
        x: with the next five as in `fill_lifetime`.
        t_x: see there.
        T: see there.
        zbar: see there.
        margin: see there.
        parameters: see there.
        discounted: purchases over the horizon, discounted, if alive.
        in_a_year: purchases in the next 52 weeks, if alive.
        figures: (7,) is written.
    """
    alive = alive_probability(x, t_x, T, parameters[0], parameters[1], parameters[2], parameters[3])
    spend = expected_spend(x, zbar, parameters[4], parameters[5], parameters[6])
    figures[_ALIVE] = alive
    figures[_YEAR] = alive * in_a_year
    figures[_DISCOUNTED] = alive * discounted
    figures[_SPEND] = spend
    figures[_LTV] = margin * spend * (alive * discounted)
    figures[_MULTIPLIER] = discounted / in_a_year if discounted > in_a_year else 1.0
    figures[_IF_ALIVE] = margin * spend * discounted


@kernel
def ltv_rows(x: F64, t_x: F64, T: F64, zbar: F64, margin: F64, parameters: F64) -> F64:
    """Lifetime value of n customers without a contract.

    Args:
        x: (n,) repeat buying occasions.
        t_x: (n,) weeks from the first to the last purchase.
        T: (n,) weeks from the first purchase to now.
        zbar: (n,) mean value of the repeat purchases, money; not read where x = 0.
        margin: (n,) share of revenue that is margin.
        parameters: (10,) as `LtvParameters.to_array` gives them.

    Returns:
        (n, 7) figures by `LtvColumn`. An impossible or unknown history makes all NaN but the
        multiplier, which is 1; an unknown zbar or margin makes SPEND and LTV, or LTV, NaN.

    Cost: about 1.5 µs a customer at 39 steps; a customer with T near 0 several times that.
    Oracle: `tests.naive.ltv.lifetime_value`.

    """
    horizons, weights, year = ltv_horizons(parameters[7], parameters[8], int(parameters[9]))
    expected, scratch = np.empty(len(horizons)), np.empty((3, len(horizons)))
    figures = np.empty((len(x), N_COLUMNS))
    for i in range(len(x)):
        fill_lifetime(
            x[i],
            t_x[i],
            T[i],
            zbar[i],
            margin[i],
            parameters,
            horizons,
            weights,
            year,
            expected,
            scratch,
            figures[i],
        )
    return figures


@lean_kernel
def contract_multiplier(r: float, d: float, g: float, years: float) -> float:
    """ρ(1−ρ^N)/(1−ρ)/(1+g), ρ = r(1+g)/(1+d): a yearly 1 that grows by g, while the contract is renewed.

    Args:
        r: yearly retention.
        d: yearly discount.
        g: yearly growth, first felt in the second year; 0 = none.
        years: horizon N; inf gives r/(1+d−r(1+g)).

    Returns:
        NaN for r outside [0, 1], d < 0, g ≤ −1, a growth that diverges, r(1+g) ≥ 1+d, over any horizon, and
        without growth for r = 1 and d = 0 for ever.

    Oracle: `tests.naive.ltv.contract_multiplier`.
    """
    if not (0.0 <= r <= 1.0 and d >= 0.0 and g > -1.0 and years >= 0.0):
        return math.nan
    if r == 0.0 or years == 0.0:
        return 0.0
    # In this order a d far below 1 keeps its digits.
    loss = (1.0 - r) + d - r * g
    if loss < _NO_LOSS:
        return years if g == 0.0 and years < math.inf else math.nan
    shrinks = math.log1p(d) - math.log(r) - math.log1p(g)
    return r / loss * -math.expm1(-years * shrinks)


@kernel
def contract_ltv(m: float, r: float, d: float) -> float:
    """m·r/(1+d−r): yearly margin m, first received in a year, with retention r and discount d."""
    return m * contract_multiplier(r, d, 0.0, math.inf)


@kernel
def contract_ltv_immediate(m: float, r: float, d: float) -> float:
    """m(1+d)/(1+d−r): as `contract_ltv`, with a first margin at once."""
    return m + contract_ltv(m, r, d)


@kernel
def contract_ltv_growth(m: float, r: float, d: float, g: float) -> float:
    """m·r/(1+d−r(1+g)): margin growing by g a year; NaN where the sum diverges, r(1+g) ≥ 1+d."""
    return m * contract_multiplier(r, d, g, math.inf)


@kernel
def contract_ltv_horizon(m: float, r: float, d: float, g: float, years: float) -> float:
    """mρ(1−ρ^N)/(1−ρ)/(1+g), ρ = r(1+g)/(1+d): `contract_ltv_growth` over N years only."""
    return m * contract_multiplier(r, d, g, years)


@kernel
def berger_nasr_ltv(contribution: float, promotion: float, r: float, d: float, years: int) -> float:
    """Berger & Nasr (1998), case 1: margins at each cycle's start, promotion in its middle.

    Σ_{i=0}^n GC·r^i/(1+d)^i − Σ_{i=1}^n M·r^{i−1}/(1+d)^{i−½}, a cycle a year.
    Oracle: `tests.naive.ltv.berger_nasr_ltv`.
    """
    if not years >= 0:
        return math.nan
    margins = contribution * (1.0 + contract_multiplier(r, d, 0.0, years))
    cycles = 1.0 + contract_multiplier(r, d, 0.0, years - 1.0) if years >= 1 else 0.0
    return margins - promotion * cycles / math.sqrt(1.0 + d)


@kernel
def mean_lifetime_years(r: float) -> float:
    """1/(1−r): years until a contract of constant yearly retention r ends; NaN outside [0, 1)."""
    return 1.0 / (1.0 - r) if 0.0 <= r < 1.0 else math.nan


@lean_kernel
def fill_contract(
    margin: float,
    retention: float,
    in_force: bool,  # noqa: FBT001  (a kernel takes no keywords)
    yearly_discount: float,
    growth: float,
    years: float,
    figures: F64,
) -> None:
    """Write one contract customer's figures by `LtvColumn` into `figures` (7,); see `contract_rows`."""
    lasting = contract_multiplier(retention, yearly_discount, 0.0, years)
    growing = contract_multiplier(retention, yearly_discount, growth, years)
    fill_renewed(margin, lasting, growing, in_force, figures)


@lean_kernel
def fill_renewed(
    margin: float,
    lasting: float,
    growing: float,
    in_force: bool,  # noqa: FBT001  (a kernel takes no keywords)
    figures: F64,
) -> None:
    """Write a contract customer's figures into `figures` (7,).

    `lasting` and `growing` are those of one in force: what a yearly 1 comes to, constant for the multiplier
    and growing with the margin for lifetime value (section 4 gives Λ no growth).
    """
    alive = 1.0 if in_force else 0.0
    multiplier = alive * lasting
    figures[:] = math.nan
    figures[_ALIVE] = alive
    figures[_LTV] = margin * (alive * growing)
    figures[_MULTIPLIER] = multiplier if multiplier > 1.0 else 1.0
    figures[_IF_ALIVE] = margin * growing


@kernel
def contract_rows(
    margin: F64, retention: F64, in_force: Bools, yearly_discount: float, growth: float, years: float
) -> F64:
    """Lifetime value of n contract customers, over the horizon of those without a contract.

    Args:
        margin: (n,) yearly margin, money.
        retention: (n,) yearly retention r, in [0, 1].
        in_force: (n,) whether the contract runs: P(alive) is 1 or 0.
        yearly_discount: d.
        growth: g, of the margin a year; 0 = none.
        years: `LtvParameters.horizon_years`, so that both kinds compare; inf for the closed form.

    Returns:
        (n, 7) figures by `LtvColumn`; LTV is NaN and the multiplier 1 where a term is unknown
        or outside its range.

    Oracle: `tests.naive.ltv.contract_multiplier`.

    """
    figures = np.empty((len(margin), N_COLUMNS))
    for i in range(len(margin)):
        fill_contract(margin[i], retention[i], in_force[i], yearly_discount, growth, years, figures[i])
    return figures


@lean_kernel
def price_premium(
    revenue: float, alive: float, multiplier: float, level: float, share: float, from_level: float
) -> float:
    """π·max(R, 0)·P(alive)·Λ from a step of the loyalty ladder on, else 0: what loyal customers pay more.

    The domain model allows the term for brands and gives no formula; this is ours, and an assumption.

    Args:
        revenue: R, net revenue of 12 months, money; unknown, there is no term.
        alive: P(alive).
        multiplier: Λ, discounted years over the horizon of lifetime value.
        level: of the loyalty ladder.
        share: π, part of the revenue that comes on top of what others pay for the same; NaN = no term.
        from_level: the first step of the ladder that pays it.

    Returns:
        Money, at least 0; NaN where a term is unknown.

    Source: domain model, section 12; Reichheld, The Loyalty Effect (1996): a price premium is one of the
    components of what a loyal customer brings. Oracle: `tests.naive.ltv.price_premium`.
    """
    paid = 0.0 if revenue < 0.0 else revenue
    premium = share * paid * alive * multiplier
    return premium if level >= from_level or math.isnan(premium) else 0.0


@lean_kernel
def word_of_mouth_ltv(ltv: float, positive: float, negative: float, worth: float, weight: float) -> float:
    """LTV*: LTV + λ_ref·(pos − 5·neg)·v_ref, the added term clamped to ±|LTV|.

    Args:
        ltv: lifetime value, money; NaN gives NaN.
        positive: recommendations given; unknown, the term drops out (section 1, loyalty facts).
        negative: mentions against us, each outweighing five for us; unknown likewise.
        worth: v_ref, money a recommendation is worth.
        weight: λ_ref.

    Oracle: `tests.naive.ltv.word_of_mouth_ltv`.

    """
    added = weight * worth * (positive - 5.0 * negative)
    if math.isnan(added):
        added = 0.0
    bound = abs(ltv)
    return ltv + min(max(added, -bound), bound)


@lean_kernel
def spent_or_default(spent: float) -> float:
    """Money spent on a customer in 12 months; 0 where nobody counted it, as every activity (section 1).

    Answers with figures name it among what was defaulted.
    """
    return 0.0 if math.isnan(spent) else spent


@lean_kernel
def investment_ceiling(value: float, spent: float, share: float) -> float:
    """max(0, share·value − spent): what may still be spent on a customer, money.

    Args:
        value: LTV*; in Forgive the larger of it and the LTV of a customer won back, for a
            prospect the look-alike value. NaN: the ceiling is unknown.
        spent: money spent on the customer in the last 12 months.
        share: share of the value that may be invested in a year.

    Oracle: `tests.naive.ltv.investment_ceiling`.

    """
    left = share * value - spent
    return 0.0 if left < 0.0 else left


@kernel
def word_of_mouth_rows(ltv: F64, positive: F64, negative: F64, worth: float, weight: float) -> F64:
    """LTV* of n customers; see `word_of_mouth_ltv`."""
    values = np.empty(len(ltv))
    for i in range(len(ltv)):
        values[i] = word_of_mouth_ltv(ltv[i], positive[i], negative[i], worth, weight)
    return values


@kernel
def investment_ceiling_rows(value: F64, spent: F64, share: float) -> F64:
    """Investment ceilings of n customers; see `investment_ceiling`."""
    ceilings = np.empty(len(value))
    for i in range(len(value)):
        ceilings[i] = investment_ceiling(value[i], spent[i], share)
    return ceilings
