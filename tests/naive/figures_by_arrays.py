"""Every figure, one array kernel after the other: what `nextbest.figure_kernel` computes in one pass."""

import numpy as np

from nextbest.assembly import PROFIT, VALUE
from nextbest.behaviour.forgive import ForgiveInput, forgive_modes
from nextbest.behaviour.overdue import gap_survival_rows
from nextbest.behaviour.quality import data_quality
from nextbest.behaviour.stage import StageCause, effective_stages
from nextbest.facts import Figure
from nextbest.figures import loyalty_at, valued_of
from nextbest.model import DAY_S, Stage
from nextbest.potential.gap import peer_gaps
from nextbest.potential.ltv import (
    LtvColumn,
    contract_rows,
    investment_ceiling_rows,
    ltv_rows,
    rfm_or_default,
    word_of_mouth_rows,
)
from nextbest.potential.value import ProfitTerm
from nextbest.rulebook.strategy import FORGIVE_TERMS
from nextbest.standard_facts import CONTRACT_STATES


def figures_of(model, rows, now):
    """(n, Figure) of n snapshots."""
    figures = np.full((len(rows), len(Figure)), np.nan)
    _lifetime(model, rows, figures)
    _loyalty(model, rows, now, figures)
    figures[:, Figure.SNAPSHOT_AGE_DAYS] = (now - rows.as_of) / DAY_S
    figures[:, Figure.DAYS_SINCE_PURCHASE] = (now - _fact(model, rows, "last_purchase")) / DAY_S
    valued = valued_of(model, rows)
    figures[:, Figure.ACTUAL_VALUE] = valued.worth.value
    figures[:, Figure.ACTUAL_PROFIT] = valued.worth.profit
    figures[:, Figure.COST_TO_SERVE] = -valued.worth.profit_terms[:, ProfitTerm.COST_TO_SERVE]
    figures[:, Figure.VALUE_FOR_MONEY] = valued.value_for_money
    if valued.cells is not None:
        _potentials(model, rows, valued.cells, valued.worth.exposure, figures)
    _premium(model, rows, figures)
    _ceiling(model, rows, valued.cells, figures)
    _forgive(model, rows, figures)
    return figures


def _fact(model, rows, name):
    column = model.rulebook.catalogue.column(name)
    return np.ascontiguousarray(rows.numbers[:, column]) if column >= 0 else np.full(len(rows), np.nan)


def _lifetime(model, rows, figures):
    figures[:, Figure.MULTIPLIER] = 1.0
    lifetime = np.full((len(rows), len(LtvColumn)), np.nan)
    lifetime[:, LtvColumn.MULTIPLIER] = 1.0
    observed = _fact(model, rows, "observed_weeks")
    x, t_x, _ = rfm_or_default(
        _fact(model, rows, "repeat_purchases"), _fact(model, rows, "recency_weeks"), observed
    )
    if model.ltv_parameters is not None:
        margin = _fact(model, rows, "margin_rate")
        margin = np.where(np.isnan(margin), model.rulebook.value.default_margin_rate, margin)
        zbar = _fact(model, rows, "mean_repeat_value")
        lifetime = ltv_rows(x, t_x, observed, zbar, margin, model.ltv_parameters)
        r, alpha = (float(p) for p in model.ltv_parameters[:2])
        survival = gap_survival_rows(x, t_x, observed - t_x, r, alpha)
        figures[:, Figure.OVERDUE_SURVIVAL] = np.where(x > 0.0, survival, np.nan)
    state, strategy = _fact(model, rows, "contract_state"), model.rulebook.strategy
    of_contract = contract_rows(
        _fact(model, rows, "contract_margin"),
        _fact(model, rows, "contract_retention"),
        state == CONTRACT_STATES.index("in_force"),
        strategy.ltv_discount_rate,
        strategy.contract_growth,
        strategy.ltv_steps * strategy.ltv_step_weeks / 52.0,
    )
    lifetime[state > 0] = of_contract[state > 0]
    figures[:, Figure.ALIVE] = lifetime[:, LtvColumn.ALIVE]
    figures[:, Figure.LTV] = lifetime[:, LtvColumn.LTV]
    figures[:, Figure.LTV_BACK] = lifetime[:, LtvColumn.LTV_IF_ALIVE]
    figures[:, Figure.MULTIPLIER] = lifetime[:, LtvColumn.MULTIPLIER]


def _loyalty(model, rows, now, figures):
    quality = data_quality(rows.numbers, rows.known, rows.as_of, now, model.quality)
    loyalty = loyalty_at(model, rows, figures[:, Figure.ALIVE], quality.completeness, now)
    figures[:, Figure.DATA_QUALITY] = quality.quality
    figures[:, Figure.STAGE] = effective_stages(rows.numbers, model.loyalty_columns, loyalty.raw_stage)
    figures[:, Figure.LEVEL] = loyalty.level
    reason = loyalty.cause - StageCause.OPEN_COMPLAINT
    figures[:, Figure.FORGIVE_CAUSE] = np.where(loyalty.cause <= StageCause.LADDER_BOTTOM, reason, np.nan)
    figures[:, Figure.LOYALTY_INDEX] = loyalty.loyalty_index
    figures[:, Figure.FALSE_LOYALTY] = loyalty.false_loyalty
    figures[:, Figure.ACTION_LOYAL] = loyalty.action_loyal
    figures[:, Figure.TENURE_DAYS] = loyalty.tenure_days


def _potentials(model, rows, cells, exposure, figures):
    peers, strategy = model.peers, model.rulebook.strategy
    tau = peers.tau_of_stage[figures[:, Figure.STAGE].astype(np.int64)]
    in_fit = (rows.as_of <= peers.fitted_at) & (exposure >= 1.0)
    for outcome, actual, *found in (
        (VALUE, Figure.ACTUAL_VALUE, Figure.POTENTIAL_VALUE, Figure.VALUE_GAP, Figure.VALUE_REACHED),
        (PROFIT, Figure.ACTUAL_PROFIT, Figure.POTENTIAL_PROFIT, Figure.PROFIT_GAP, Figure.PROFIT_REACHED),
    ):
        own = np.ascontiguousarray(figures[:, actual])
        quantiles = peers.tables.quantiles[outcome]
        cap, floor = strategy.gap_cap, strategy.gap_floor
        figures[:, found] = peer_gaps(quantiles, cells, tau, peers.median, own, in_fit, cap, floor)
    figures[:, Figure.PEER_CELL_SIZE] = peers.tables.sizes(PROFIT, cells)


def _forgive(model, rows, figures):
    strategy = model.rulebook.strategy
    cases = np.full((len(rows), len(ForgiveInput)), np.nan)
    for name, term in zip(FORGIVE_TERMS, strategy.forgive, strict=True):
        read = _fact(model, rows, term.fact) * term.times + term.plus
        read = np.where(np.isnan(read), term.otherwise, read)
        cases[:, ForgiveInput[name.upper()]] = np.clip(read, term.low, term.high)
    cases[:, ForgiveInput.BACK_LTV] = figures[:, Figure.LTV_BACK]
    cases[:, ForgiveInput.REFERRAL_WORTH] = strategy.referral_worth
    choice = forgive_modes(cases, model.rulebook.stages.array)
    forgive = figures[:, Figure.STAGE] == Stage.FORGIVE_ME
    figures[:, Figure.EV_WIN_BACK] = np.where(forgive, choice.win_back_value, np.nan)
    figures[:, Figure.EV_DAMAGE_CONTROL] = np.where(forgive, choice.damage_value, np.nan)
    figures[:, Figure.FORGIVE_MODE] = np.where(forgive, choice.mode, np.nan)


def _premium(model, rows, figures):
    strategy = model.rulebook.strategy
    revenue = np.maximum(_fact(model, rows, "revenue_net"), 0.0)
    lasting = figures[:, Figure.ALIVE] * figures[:, Figure.MULTIPLIER]
    premium = strategy.premium_share * revenue * lasting
    too_low = (figures[:, Figure.LEVEL] < strategy.premium_level) & ~np.isnan(premium)
    figures[:, Figure.PRICE_PREMIUM] = np.where(too_low, 0.0, premium)
    figures[:, Figure.LTV] += np.nan_to_num(figures[:, Figure.PRICE_PREMIUM])


def _ceiling(model, rows, cells, figures):
    strategy, ltv = model.rulebook.strategy, np.ascontiguousarray(figures[:, Figure.LTV])
    starred = word_of_mouth_rows(
        ltv,
        _fact(model, rows, "positive_mentions"),
        _fact(model, rows, "negative_mentions"),
        strategy.referral_worth,
        strategy.referral_weight,
    )
    figures[:, Figure.LTV_WITH_REFERRALS] = starred
    worth = starred
    if cells is not None:
        worth = np.where(np.isnan(starred), model.peers.tables.look_alike(PROFIT, cells), starred)
    forgive = figures[:, Figure.STAGE] == Stage.FORGIVE_ME
    worth = np.where(forgive, np.fmax(worth, figures[:, Figure.LTV_BACK]), worth)
    spent = np.nan_to_num(_fact(model, rows, "spent_on_customer"), nan=0.0)
    share = strategy.ceiling_share
    figures[:, Figure.INVESTMENT_CEILING] = investment_ceiling_rows(worth, spent, share)
