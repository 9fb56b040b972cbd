"""Every figure of every customer in one pass: the scalar kernels of potential and behaviour in their order.

One call instead of two dozen: for a single customer the calls were most of the time.
"""

import math

import numpy as np

from nextbest.arena import Arena
from nextbest.assembly import LTV_FACTS, PROFIT, VALUE
from nextbest.behaviour.forgive import (
    ForgiveInput,
    damage_value,
    forgive_mode,
    forgive_term,
    win_back_value,
)
from nextbest.behaviour.index import YEAR_DAYS, LoyaltyInput, age_days, earlier, fact_at, read_standing
from nextbest.behaviour.overdue import gap_survival
from nextbest.behaviour.quality import quality_of
from nextbest.behaviour.stage import StageCause, effective_stage, loyalty_of
from nextbest.facts import Figure
from nextbest.figure_tables import FactColumn, FigureNumber, FigureTables, Flag, unpack_figures
from nextbest.kernels import lean_kernel
from nextbest.model import DAY_S, F64, I64, U64, Stage
from nextbest.potential.bgnbd import is_rfm
from nextbest.potential.cells import cell_of
from nextbest.potential.gap import gap_of, is_reached
from nextbest.potential.lifetime_table import purchases_by_table
from nextbest.potential.ltv import (
    LtvColumn,
    contract_multiplier,
    fill_lifetime,
    fill_renewed,
    fill_worth,
    history_or_default,
    investment_ceiling,
    price_premium,
    spent_or_default,
    word_of_mouth_ltv,
)
from nextbest.potential.retention import renewal_multiplier
from nextbest.potential.tables import PRIVACY_FLOOR, potential_of
from nextbest.potential.value import (
    ProfitTerm,
    ValueInput,
    ValueTerm,
    complete_row,
    credit_row,
    fill_profit_terms,
    fill_value_terms,
    money_ratio,
    served_cost,
    total_of,
)
from nextbest.standard_facts import CONTRACT_STATES

IN_FORCE = float(CONTRACT_STATES.index("in_force"))

_X, _T_X, _T, _ZBAR, _MARGIN, _CONTRACT, _CONTRACT_MARGIN, _RETENTION = range(len(LTV_FACTS))
_EXPOSURE, _LAST_PURCHASE, _POSITIVE, _NEGATIVE, _SPENT, _JOINED, _FIRST = (int(c) for c in FactColumn)
_COMPLAINT_OPEN, _LOCK_IN = (int(f) for f in Flag)
_DEFAULT_MARGIN, _YEARS, _CAP, _FLOOR = (
    int(FigureNumber.DEFAULT_MARGIN),
    int(FigureNumber.CREDIBILITY_YEARS),
    int(FigureNumber.GAP_CAP),
    int(FigureNumber.GAP_FLOOR),
)
_WORTH, _WEIGHT, _SHARE = (
    int(FigureNumber.REFERRAL_WORTH),
    int(FigureNumber.REFERRAL_WEIGHT),
    int(FigureNumber.CEILING_SHARE),
)
_DISCOUNT, _HORIZON, _FREQUENCY, _FITTED_AT = (
    int(FigureNumber.YEARLY_DISCOUNT),
    int(FigureNumber.HORIZON_YEARS),
    int(FigureNumber.FREQUENCY_BOUND),
    int(FigureNumber.FITTED_AT),
)
_HELD, _FORGIVE = int(LoyaltyInput.HELD_STAGE), int(Stage.FORGIVE_ME)
_REVENUE, _SERVED = int(ValueInput.REVENUE_NET), int(ProfitTerm.COST_TO_SERVE)

_MONEY, _PROFIT_TERMS, _VALUE_TERMS = len(ValueInput), len(ProfitTerm), len(ValueTerm)
_ALIVE, _LTV, _MULTIPLIER = int(LtvColumn.ALIVE), int(LtvColumn.LTV), int(LtvColumn.MULTIPLIER)
_IF_ALIVE, _TABLE_FIRST = int(LtvColumn.LTV_IF_ALIVE), int(FigureNumber.TABLE_FIRST)
_GROWTH, _PREMIUM_SHARE, _PREMIUM_LEVEL = (
    int(FigureNumber.CONTRACT_GROWTH),
    int(FigureNumber.PREMIUM_SHARE),
    int(FigureNumber.PREMIUM_LEVEL),
)
_ALPHA, _BETA, _RATE = (
    int(FigureNumber.CHURN_ALPHA),
    int(FigureNumber.CHURN_BETA),
    int(FigureNumber.CONTRACT_RETENTION),
)
_FORGIVE_INPUTS, _BACK_LTV = len(ForgiveInput), int(ForgiveInput.BACK_LTV)
_HARM_WORTH = int(ForgiveInput.REFERRAL_WORTH)
_FIRST_CAUSE, _LAST_CAUSE = int(StageCause.OPEN_COMPLAINT), int(StageCause.LADDER_BOTTOM)


@lean_kernel
def _flag(tables: FigureTables, words: U64, known: U64, i: int, flag: int) -> float:
    """A bool fact as 1, 0 or NaN = unknown."""
    place = tables.flags[flag]
    if place[0] < 0 or (known[i, place[0]] >> np.uint64(place[1])) & np.uint64(1) == np.uint64(0):
        return math.nan
    return 1.0 if (words[i, place[2]] >> np.uint64(place[3])) & np.uint64(1) != np.uint64(0) else 0.0


@lean_kernel
def _take(numbers: F64, i: int, columns: I64, row: F64) -> None:
    for k in range(len(columns)):
        row[k] = fact_at(numbers, i, columns[k])


@lean_kernel
def _fill_buyer(
    tables: FigureTables,
    x: float,
    t_x: float,
    observed: float,
    zbar: float,
    margin: float,
    series: F64,
    row: F64,
) -> None:
    """Lifetime figures by table; what it does not cover, by the series that the table was made of."""
    parameters = tables.ltv
    if is_rfm(x, t_x, observed):
        start, first = parameters[1] + observed, tables.numbers[_TABLE_FIRST]
        discounted, in_a_year = purchases_by_table(x, start, first, tables.lifetimes)
        if not math.isnan(discounted):
            fill_worth(x, t_x, observed, zbar, margin, parameters, discounted, in_a_year, row)
            return
    fill_lifetime(
        x,
        t_x,
        observed,
        zbar,
        margin,
        parameters,
        tables.horizons,
        tables.horizon_weights,
        tables.places[0],
        series[3],
        series[:3],
        row,
    )


@lean_kernel
def _fill_contract(tables: FigureTables, numbers: F64, i: int, state: float, now: float, row: F64) -> None:
    """Lifetime figures of a contract: by tenure where that is fitted, else by one yearly retention.

    Who is won back starts anew, so a contract that has ended is valued as one without a renewal.
    """
    settings, facts = tables.numbers, tables.ltv_columns
    discount, years = settings[_DISCOUNT], settings[_HORIZON]
    start = earlier(fact_at(numbers, i, tables.facts[_JOINED]), fact_at(numbers, i, tables.facts[_FIRST]))
    renewals = np.floor(age_days(start, now) / YEAR_DAYS) if state == IN_FORCE else 0.0
    alpha, beta, growth = settings[_ALPHA], settings[_BETA], settings[_GROWTH]
    lasting = renewal_multiplier(renewals, alpha, beta, discount, 0.0, years)
    growing = lasting
    if growth != 0.0:
        growing = renewal_multiplier(renewals, alpha, beta, discount, growth, years)
    if math.isnan(lasting):
        retention = fact_at(numbers, i, facts[_RETENTION])
        if math.isnan(retention):
            retention = settings[_RATE]
        lasting = contract_multiplier(retention, discount, 0.0, years)
        growing = contract_multiplier(retention, discount, growth, years)
    fill_renewed(fact_at(numbers, i, facts[_CONTRACT_MARGIN]), lasting, growing, state == IN_FORCE, row)


@lean_kernel
def _fill_lifetime(
    tables: FigureTables, numbers: F64, i: int, now: float, series: F64, row: F64, out: F64
) -> None:
    """P(alive), LTV, multiplier and survival of buyers; contract customers by their closed form."""
    out[Figure.MULTIPLIER] = 1.0
    parameters, facts = tables.ltv, tables.ltv_columns
    observed = fact_at(numbers, i, facts[_T])
    x, t_x, _ = history_or_default(fact_at(numbers, i, facts[_X]), fact_at(numbers, i, facts[_T_X]), observed)
    contract = fact_at(numbers, i, facts[_CONTRACT])
    if contract > 0.0:
        _fill_contract(tables, numbers, i, contract, now, row)
    elif len(parameters) > 0:
        margin = fact_at(numbers, i, facts[_MARGIN])
        if math.isnan(margin):
            margin = tables.numbers[_DEFAULT_MARGIN]
        _fill_buyer(tables, x, t_x, observed, fact_at(numbers, i, facts[_ZBAR]), margin, series, row)
    else:
        return
    out[Figure.ALIVE], out[Figure.LTV], out[Figure.MULTIPLIER] = row[_ALIVE], row[_LTV], row[_MULTIPLIER]
    out[Figure.LTV_BACK] = row[_IF_ALIVE]
    if x > 0.0 and len(parameters) > 0:
        out[Figure.OVERDUE_SURVIVAL] = gap_survival(x, t_x, observed - t_x, parameters[0], parameters[1])


@lean_kernel
def _fill_loyalty(
    tables: FigureTables,
    numbers: F64,
    words: U64,
    known: U64,
    i: int,
    as_of: float,
    now: float,
    scratch: F64,
    out: F64,
) -> None:
    """Data quality, loyalty index, level, flags and the stage that decisions use."""
    quality, completeness = quality_of(numbers, known, i, as_of, now, tables.quality)
    columns = tables.loyalty_columns
    standing = read_standing(
        numbers,
        i,
        columns,
        _flag(tables, words, known, i, _COMPLAINT_OPEN),
        _flag(tables, words, known, i, _LOCK_IN),
        out[Figure.ALIVE],
        completeness,
        now,
    )
    bound = tables.numbers[_FREQUENCY]
    loyalty = loyalty_of(standing, bound, tables.stage_parameters, scratch[0], scratch[1])
    out[Figure.DATA_QUALITY] = quality
    out[Figure.STAGE] = effective_stage(fact_at(numbers, i, columns[_HELD]), loyalty.raw_stage)
    if loyalty.cause <= _LAST_CAUSE:
        out[Figure.FORGIVE_CAUSE] = loyalty.cause - _FIRST_CAUSE
    out[Figure.LEVEL] = loyalty.level
    out[Figure.LOYALTY_INDEX] = loyalty.loyalty_index
    out[Figure.FALSE_LOYALTY] = loyalty.false_loyalty
    out[Figure.ACTION_LOYAL] = loyalty.action_loyal
    out[Figure.TENURE_DAYS] = loyalty.tenure_days


@lean_kernel
def _fill_worth(
    tables: FigureTables, numbers: F64, i: int, cell: int, exposure: float, scratch: F64, out: F64
) -> None:
    """Actual value and profit; a short history borrows from its peers once there is a grid.

    Value for money is read before that: what was paid and what was got must be of the same time.
    """
    money, profit, value = scratch[0, :_MONEY], scratch[3, :_PROFIT_TERMS], scratch[4, :_VALUE_TERMS]
    activities, benefits = scratch[1, : len(tables.activities)], scratch[2, : len(tables.benefits)]
    _take(numbers, i, tables.value_columns, money)
    _take(numbers, i, tables.activities, activities)
    _take(numbers, i, tables.benefits, benefits)
    complete_row(money, activities, benefits, tables.numbers[_DEFAULT_MARGIN])
    fill_profit_terms(money, served_cost(activities, tables.activity_costs), tables.rates, profit)
    fill_value_terms(money, benefits, tables.benefit_worths, tables.rates, value)
    out[Figure.VALUE_FOR_MONEY] = money_ratio(money[_REVENUE], total_of(value))
    if cell >= 0:
        years = tables.numbers[_YEARS]
        credit_row(value, exposure, tables.peers.means[VALUE, cell], years)
        credit_row(profit, exposure, tables.peers.means[PROFIT, cell], years)
    out[Figure.ACTUAL_VALUE], out[Figure.ACTUAL_PROFIT] = total_of(value), total_of(profit)
    out[Figure.COST_TO_SERVE] = -profit[_SERVED]


@lean_kernel
def _fill_gap(
    tables: FigureTables,
    outcome: int,
    cell: int,
    stage: int,
    own: float,
    in_fit: bool,  # noqa: FBT001  (a kernel takes no keywords)
    found: F64,
) -> None:
    """Potential at the stage's stretch quantile, gap and reached of one outcome into `found` (3,)."""
    peers, numbers = tables.peers, tables.numbers
    potential = potential_of(peers.quantiles[outcome, cell, peers.tau_of_stage[stage]], own, in_fit)
    median = peers.quantiles[outcome, cell, tables.places[1], 0]
    gap = gap_of(own, potential, median, numbers[_CAP], numbers[_FLOOR])
    found[0], found[1] = potential, gap
    found[2] = gap if math.isnan(gap) else (1.0 if is_reached(own, potential) else 0.0)


@lean_kernel
def _fill_potentials(
    tables: FigureTables, cell: int, exposure: float, as_of: float, row: F64, out: F64
) -> None:
    """Potentials, gaps and the size of the peer cell, unless it is too small to be shown."""
    stage = int(out[Figure.STAGE])
    in_fit = as_of <= tables.numbers[_FITTED_AT] and exposure >= 1.0
    _fill_gap(tables, VALUE, cell, stage, out[Figure.ACTUAL_VALUE], in_fit, row)
    out[Figure.POTENTIAL_VALUE], out[Figure.VALUE_GAP], out[Figure.VALUE_REACHED] = row[0], row[1], row[2]
    _fill_gap(tables, PROFIT, cell, stage, out[Figure.ACTUAL_PROFIT], in_fit, row)
    out[Figure.POTENTIAL_PROFIT], out[Figure.PROFIT_GAP], out[Figure.PROFIT_REACHED] = row[0], row[1], row[2]
    size = tables.peers.sizes[PROFIT, cell]
    if size >= PRIVACY_FLOOR:
        out[Figure.PEER_CELL_SIZE] = size


@lean_kernel
def _fill_premium(tables: FigureTables, numbers: F64, i: int, out: F64) -> None:
    """What a loyal customer of a brand pays above others, in lifetime value too; unknown, it drops out."""
    settings, revenue = tables.numbers, fact_at(numbers, i, tables.value_columns[_REVENUE])
    premium = price_premium(
        revenue,
        out[Figure.ALIVE],
        out[Figure.MULTIPLIER],
        out[Figure.LEVEL],
        settings[_PREMIUM_SHARE],
        settings[_PREMIUM_LEVEL],
    )
    out[Figure.PRICE_PREMIUM] = premium
    if premium > 0.0:
        out[Figure.LTV] += premium


@lean_kernel
def _fill_ceiling(tables: FigureTables, numbers: F64, i: int, cell: int, out: F64) -> None:
    """LTV* and the investment ceiling; a prospect is worth what its peers' mean profit is."""
    facts, settings = tables.facts, tables.numbers
    positive, negative = fact_at(numbers, i, facts[_POSITIVE]), fact_at(numbers, i, facts[_NEGATIVE])
    ltv = out[Figure.LTV]
    starred = word_of_mouth_ltv(ltv, positive, negative, settings[_WORTH], settings[_WEIGHT])
    out[Figure.LTV_WITH_REFERRALS] = starred
    worth = starred
    if cell >= 0 and math.isnan(starred):
        worth = tables.peers.means[PROFIT, cell]
    if out[Figure.STAGE] == _FORGIVE:
        worth = np.fmax(worth, out[Figure.LTV_BACK])
    spent = spent_or_default(fact_at(numbers, i, facts[_SPENT]))
    out[Figure.INVESTMENT_CEILING] = investment_ceiling(worth, spent, settings[_SHARE])


@lean_kernel
def _fill_forgive(tables: FigureTables, numbers: F64, i: int, case: F64, out: F64) -> None:
    """In Forgive me: what winning back and damage control are worth, and which of them is done."""
    if out[Figure.STAGE] != _FORGIVE:
        return
    for k in range(_FORGIVE_INPUTS):
        case[k] = forgive_term(fact_at(numbers, i, tables.forgive_facts[k]), tables.forgive_terms[k])
    case[_BACK_LTV], case[_HARM_WORTH] = out[Figure.LTV_BACK], tables.numbers[_WORTH]
    win, damage = win_back_value(case), damage_value(case, tables.stage_parameters)
    out[Figure.EV_WIN_BACK], out[Figure.EV_DAMAGE_CONTROL] = win, damage
    out[Figure.FORGIVE_MODE] = forgive_mode(win, damage)


@lean_kernel
def fill_figures(
    arena: Arena,
    numbers: F64,
    words: U64,
    known: U64,
    as_of: F64,
    now: F64,
    series: F64,
    scratch: F64,
    figures: F64,
) -> None:
    """Fill `figures` (n, Figure) for n customers.

    Args:
        arena: the model, by `pack_figures`.
        numbers: (n, facts) row matrix, NaN = missing.
        words: (n, words) of the rows.
        known: (n, known words) of the rows.
        as_of: (n,) epoch seconds.
        now: (n,) epoch seconds.
        series: (4, horizons) with `scratch` what `new_scratch` gives.
        scratch: (7, widest row).
        figures: (n, Figure) is written; NaN = missing.

    Source: domain model, sections 2 to 7 and 12. Oracle: those of the kernels it calls.
    """
    tables = unpack_figures(arena)
    facts = tables.facts
    for i in range(len(now)):
        out = figures[i]
        out[:] = math.nan
        _fill_lifetime(tables, numbers, i, now[i], series, scratch[5], out)
        _fill_loyalty(tables, numbers, words, known, i, as_of[i], now[i], scratch, out)
        out[Figure.SNAPSHOT_AGE_DAYS] = (now[i] - as_of[i]) / DAY_S
        out[Figure.DAYS_SINCE_PURCHASE] = (now[i] - fact_at(numbers, i, facts[_LAST_PURCHASE])) / DAY_S
        exposure = fact_at(numbers, i, facts[_EXPOSURE])
        exposure = 1.0 if math.isnan(exposure) else exposure
        peers = tables.peers
        cell = -1
        if len(peers.sizes) > 0:
            cell = cell_of(numbers, i, peers.columns, peers.pointers, peers.codes, peers.cells)
        _fill_worth(tables, numbers, i, cell, exposure, scratch, out)
        if cell >= 0:
            _fill_potentials(tables, cell, exposure, as_of[i], scratch[5], out)
        _fill_premium(tables, numbers, i, out)
        _fill_ceiling(tables, numbers, i, cell, out)
        _fill_forgive(tables, numbers, i, scratch[5], out)
