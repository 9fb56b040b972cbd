"""Every figure of every customer in one pass: the scalar kernels of potential and behaviour in their order.

One call instead of two dozen: for a single customer the calls were most of the time.
"""

import math

import numpy as np

from nextbest.arena import Arena
from nextbest.assembly import LTV_FACTS, PROFIT, VALUE
from nextbest.behaviour.index import LoyaltyInput, fact_at, read_standing
from nextbest.behaviour.overdue import gap_survival
from nextbest.behaviour.quality import quality_of
from nextbest.behaviour.stage import effective_stage, loyalty_of
from nextbest.facts import Figure
from nextbest.figure_tables import FactColumn, FigureNumber, FigureTables, Flag, unpack_figures
from nextbest.kernels import lean_kernel
from nextbest.model import DAY_S, F64, I64, U64, Stage
from nextbest.potential.cells import cell_of
from nextbest.potential.gap import gap_of, is_reached
from nextbest.potential.ltv import (
    LtvColumn,
    fill_contract,
    fill_lifetime,
    history_or_default,
    investment_ceiling,
    word_of_mouth_ltv,
)
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
_EXPOSURE, _LAST_PURCHASE, _POSITIVE, _NEGATIVE, _SPENT = (int(c) for c in FactColumn)
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
def _fill_lifetime(tables: FigureTables, numbers: F64, i: int, series: F64, row: F64, out: F64) -> None:
    """P(alive), LTV, multiplier and survival of buyers; contract customers by their closed form."""
    out[Figure.MULTIPLIER] = 1.0
    parameters, settings = tables.ltv, tables.numbers
    if len(parameters) == 0:
        return
    facts = tables.ltv_columns
    observed = fact_at(numbers, i, facts[_T])
    x, t_x, _ = history_or_default(fact_at(numbers, i, facts[_X]), fact_at(numbers, i, facts[_T_X]), observed)
    contract = fact_at(numbers, i, facts[_CONTRACT])
    if contract > 0.0:
        margin, retention = (
            fact_at(numbers, i, facts[_CONTRACT_MARGIN]),
            fact_at(numbers, i, facts[_RETENTION]),
        )
        discount, years = settings[_DISCOUNT], settings[_HORIZON]
        fill_contract(margin, retention, contract == IN_FORCE, discount, years, row)
    else:
        margin = fact_at(numbers, i, facts[_MARGIN])
        if math.isnan(margin):
            margin = settings[_DEFAULT_MARGIN]
        fill_lifetime(
            x,
            t_x,
            observed,
            fact_at(numbers, i, facts[_ZBAR]),
            margin,
            parameters,
            tables.horizons,
            tables.horizon_weights,
            tables.places[0],
            series[3],
            series[:3],
            row,
        )
    out[Figure.ALIVE], out[Figure.LTV], out[Figure.MULTIPLIER] = row[_ALIVE], row[_LTV], row[_MULTIPLIER]
    if x > 0.0:
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
        worth = np.fmax(worth, ltv)
    spent = fact_at(numbers, i, facts[_SPENT])
    spent = 0.0 if math.isnan(spent) else spent
    out[Figure.INVESTMENT_CEILING] = investment_ceiling(worth, spent, settings[_SHARE])


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
        _fill_lifetime(tables, numbers, i, series, scratch[5], out)
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
        _fill_ceiling(tables, numbers, i, cell, out)
