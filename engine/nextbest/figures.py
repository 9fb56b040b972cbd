"""Every figure of a customer that decisions, explanations and reports read, from one snapshot.

Order (design, decision 1): lifetime value and P(alive) → index, level and stage → τ → potential and
gaps → investment ceiling. Nothing here is fitted or looked up outside the arguments.
"""

from dataclasses import dataclass

import numpy as np

from nextbest.assembly import PROFIT, VALUE, Model, Peers
from nextbest.behaviour.overdue import gap_survival_rows
from nextbest.behaviour.quality import data_quality
from nextbest.behaviour.stage import LoyaltyFigures, effective_stages, loyalty_figures
from nextbest.facts import Figure
from nextbest.model import DAY_S, F64, I32, Bools, Rows, Stage
from nextbest.potential.gap import peer_gaps
from nextbest.potential.ltv import (
    LtvColumn,
    contract_rows,
    investment_ceiling_rows,
    ltv_rows,
    rfm_or_default,
    word_of_mouth_rows,
)
from nextbest.potential.value import ProfitTerm, credit_terms, value_for_money
from nextbest.standard_facts import CONTRACT_STATES
from nextbest.valuation import Valuation, take_columns, valuation

IN_FORCE = float(CONTRACT_STATES.index("in_force"))


@dataclass(frozen=True, slots=True)
class Valued:
    """What n customers are worth in a year, and whom they are compared with."""

    worth: Valuation
    """Of a short history after it has borrowed from its peers: its terms sum to the actual figures."""
    value_for_money: F64
    """(n,) NaN = missing."""
    cells: I32 | None
    """(n,) peer cells; None without a grid."""


def figures_of(model: Model, rows: Rows, now: F64) -> F64:
    """Compute every figure.

    Args:
        model: Rulebook and artifacts.
        rows: n snapshots.
        now: (n,) epoch seconds.

    Returns:
        (n, Figure), NaN = missing.

    Cost: about 2 µs a customer, most of it lifetime value.
    """
    figures = np.full((len(rows), len(Figure)), np.nan)
    _lifetime(model, rows, figures)
    _loyalty(model, rows, now, figures)
    _ages(model, rows, now, figures)
    valued = valued_of(model, rows)
    figures[:, Figure.ACTUAL_VALUE] = valued.worth.value
    figures[:, Figure.ACTUAL_PROFIT] = valued.worth.profit
    figures[:, Figure.COST_TO_SERVE] = -valued.worth.profit_terms[:, ProfitTerm.COST_TO_SERVE]
    figures[:, Figure.VALUE_FOR_MONEY] = valued.value_for_money
    if model.peers is not None and valued.cells is not None:
        _potentials(model, model.peers, rows, valued.cells, valued.worth.exposure, figures)
    _ceiling(model, rows, valued.cells, figures)
    return figures


def valued_of(model: Model, rows: Rows) -> Valued:
    """Actual value and profit with their components, and peer cells.

    A short history borrows from its peers once there is a grid. Value for money is read before that:
    what was paid and what was got must be of the same time.

    Source: domain model, section 2.
    """
    worth = valuation(model.worth, rows)
    money = value_for_money(np.ascontiguousarray(worth.revenue), worth.value)
    if model.peers is None:
        return Valued(worth, money, None)
    cells = model.peers.tables.locate(take_columns(rows.numbers, model.peers.columns))
    if (worth.exposure < 1.0).any():
        mean, years = model.peers.tables.backed_off_mean, model.rulebook.value.credibility_years
        credit_terms(worth.value_terms, worth.exposure, mean[VALUE, cells], years, worth.flags)
        credit_terms(worth.profit_terms, worth.exposure, mean[PROFIT, cells], years, worth.flags)
    return Valued(worth, money, cells)


def _loyalty(model: Model, rows: Rows, now: F64, figures: F64) -> None:
    """Data quality, loyalty index, level, flags and the stage that decisions use."""
    quality = data_quality(rows.numbers, rows.known, rows.as_of, now, model.quality)
    loyalty = loyalty_at(model, rows, figures[:, Figure.ALIVE], quality.completeness, now)
    figures[:, Figure.DATA_QUALITY] = quality.quality
    figures[:, Figure.STAGE] = effective_stages(rows.numbers, model.loyalty_columns, loyalty.raw_stage)
    figures[:, Figure.LEVEL] = loyalty.level
    figures[:, Figure.LOYALTY_INDEX] = loyalty.loyalty_index
    figures[:, Figure.FALSE_LOYALTY] = loyalty.false_loyalty
    figures[:, Figure.ACTION_LOYAL] = loyalty.action_loyal
    figures[:, Figure.TENURE_DAYS] = loyalty.tenure_days


def _ages(model: Model, rows: Rows, now: F64, figures: F64) -> None:
    figures[:, Figure.SNAPSHOT_AGE_DAYS] = (now - rows.as_of) / DAY_S
    last_purchase = model.rulebook.catalogue.column("last_purchase")
    if last_purchase >= 0:
        figures[:, Figure.DAYS_SINCE_PURCHASE] = (now - rows.numbers[:, last_purchase]) / DAY_S


def loyalty_at(model: Model, rows: Rows, alive: F64, completeness: F64, now: F64) -> LoyaltyFigures:
    """Index, level, raw stage and flags; also what `advance_stages` takes."""
    bound = np.nan if model.artifacts.ltv is None else model.artifacts.ltv.frequency_top_quartile
    return loyalty_figures(
        rows.numbers,
        model.loyalty_columns,
        bool_fact(model, rows, "complaint_open"),
        bool_fact(model, rows, "lock_in"),
        alive,
        completeness,
        now,
        float(bound),
        model.rulebook.stages.array,
    )


def bool_fact(model: Model, rows: Rows, name: str) -> F64:
    """(n,) a bool fact as 1, 0 or NaN = unknown."""
    place = model.rulebook.catalogue.bits.get(name)
    if place is None:
        return np.full(len(rows), np.nan)
    known = (rows.known[:, place.known_word] >> np.uint64(place.known_bit)) & np.uint64(1)
    flag = (rows.words[:, place.word] >> np.uint64(place.shift)) & np.uint64(1)
    return np.where(known == 1, flag.astype(np.float64), np.nan)


def alive_of(model: Model, rows: Rows) -> F64:
    """(n,) P(alive), NaN where it is unknown; without a lifetime-value fit it is for all."""
    figures = np.full((len(rows), len(Figure)), np.nan)
    _lifetime(model, rows, figures)
    return figures[:, Figure.ALIVE].copy()


def _lifetime(model: Model, rows: Rows, figures: F64) -> None:
    """P(alive), LTV, multiplier and survival of buyers; contract customers by their closed form."""
    figures[:, Figure.MULTIPLIER] = 1.0
    if model.ltv_parameters is None or model.artifacts.ltv is None:
        return
    inputs = take_columns(rows.numbers, model.ltv_columns)
    x, t_x, observed, zbar, margin = (np.ascontiguousarray(inputs[:, k]) for k in range(5))
    x, t_x, _ = rfm_or_default(x, t_x, observed)
    margin = np.where(np.isnan(margin), model.rulebook.value.default_margin_rate, margin)
    lifetime = ltv_rows(x, t_x, observed, zbar, margin, model.ltv_parameters)
    contract = inputs[:, 5] > 0.0
    if contract.any():
        of_contract = contract_rows(
            np.ascontiguousarray(inputs[:, 6]),
            np.ascontiguousarray(inputs[:, 7]),
            inputs[:, 5] == IN_FORCE,
            model.artifacts.ltv.yearly_discount,
            model.artifacts.ltv.horizon_years,
        )
        lifetime[contract] = of_contract[contract]
    figures[:, Figure.ALIVE] = lifetime[:, LtvColumn.ALIVE]
    figures[:, Figure.LTV] = lifetime[:, LtvColumn.LTV]
    figures[:, Figure.MULTIPLIER] = lifetime[:, LtvColumn.MULTIPLIER]
    r, alpha = model.ltv_parameters[0], model.ltv_parameters[1]
    survival = gap_survival_rows(x, t_x, observed - t_x, float(r), float(alpha))
    figures[:, Figure.OVERDUE_SURVIVAL] = np.where(x > 0.0, survival, np.nan)


def _potentials(model: Model, peers: Peers, rows: Rows, cells: I32, exposure: F64, figures: F64) -> None:
    """Potential at the stage's stretch quantile, gap and reached, for value and for profit."""
    tau = peers.tau_of_stage[figures[:, Figure.STAGE].astype(np.int64)]
    in_fit: Bools = (rows.as_of <= peers.fitted_at) & (exposure >= 1.0)
    strategy = model.rulebook.strategy
    for outcome, actual, target, gap, hit in (
        (VALUE, Figure.ACTUAL_VALUE, Figure.POTENTIAL_VALUE, Figure.VALUE_GAP, Figure.VALUE_REACHED),
        (PROFIT, Figure.ACTUAL_PROFIT, Figure.POTENTIAL_PROFIT, Figure.PROFIT_GAP, Figure.PROFIT_REACHED),
    ):
        own = np.ascontiguousarray(figures[:, actual])
        found = peer_gaps(
            peers.tables.quantiles[outcome],
            cells,
            tau,
            peers.median,
            own,
            in_fit,
            strategy.gap_cap,
            strategy.gap_floor,
        )
        figures[:, target], figures[:, gap], figures[:, hit] = found[:, 0], found[:, 1], found[:, 2]
    figures[:, Figure.PEER_CELL_SIZE] = peers.tables.sizes(PROFIT, cells)


def _ceiling(model: Model, rows: Rows, cells: I32 | None, figures: F64) -> None:
    """LTV* and the investment ceiling; a prospect is worth what its peers' mean profit is."""
    strategy, column = model.rulebook.strategy, model.rulebook.catalogue.column
    mentions = take_columns(
        rows.numbers, np.array([column("positive_mentions"), column("negative_mentions")], np.int64)
    )
    ltv = np.ascontiguousarray(figures[:, Figure.LTV])
    starred = word_of_mouth_rows(
        ltv,
        np.ascontiguousarray(mentions[:, 0]),
        np.ascontiguousarray(mentions[:, 1]),
        strategy.referral_worth,
        strategy.referral_weight,
    )
    figures[:, Figure.LTV_WITH_REFERRALS] = starred
    worth = starred
    if cells is not None and model.peers is not None:
        look_alike = model.peers.tables.look_alike(PROFIT, cells)
        worth = np.where(np.isnan(starred), look_alike, starred)
    forgive = figures[:, Figure.STAGE] == Stage.FORGIVE_ME
    worth = np.where(forgive, np.fmax(worth, ltv), worth)
    spent = take_columns(rows.numbers, np.array([column("spent_on_customer")], np.int64))[:, 0]
    spent = np.where(np.isnan(spent), 0.0, spent)
    figures[:, Figure.INVESTMENT_CEILING] = investment_ceiling_rows(
        worth, np.ascontiguousarray(spent), strategy.ceiling_share
    )
