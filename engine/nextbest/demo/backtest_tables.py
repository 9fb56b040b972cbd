"""The back-test as tables: what predicts redemption within a mailing, and what the gap does not predict."""

import math
import textwrap

from rich.table import Table

from nextbest.demo import labels
from nextbest.demo.backtest import COUPON_BASKETS, RESPONSE, SCORES, BackTest, CampaignFigures
from nextbest.demo.peer_spend import NAME as SPEND_GAP
from nextbest.demo.tables import share, table
from nextbest.learning.validation import Interval

METHOD = (
    "Rolling origin over the campaigns of weeks 27 to 52: features as of each campaign's first day, models"
    " fitted on campaigns that had ended by then. Brackets: 95 % household bootstrap."
)


def interval(found: Interval | None, digits: int = 2) -> str:
    """A figure, and its bounds to two digits; `–` where it is not defined."""
    if found is None or math.isnan(found.value):
        return "–"
    value, low, high = share(found.value, digits), share(found.low), share(found.high)
    exact = math.isnan(found.low) or low == high == share(found.value)
    return value if exact else f"{value} [{low}, {high}]"


def score_table(found: BackTest) -> Table:
    """All test campaigns together, every score on the same rows."""
    shown = table(
        f"Back-test: {found.redeemed} redemptions of {found.mailings:,} mailings,"
        f" {len(found.campaigns)} campaigns",
        METHOD,
        f"Within-campaign AUC of the response model less that of {COUPON_BASKETS}:"
        f" {interval(found.advantage, 3)}.",
        f"Label: {labels.MEASURED}. {labels.REDEMPTION_NOT_UPLIFT.capitalize()}.",
    )
    shown.add_column("score", no_wrap=True)
    for name in ("AUC within\ncampaign", "redeemers in\ntop 20 %", "lift in\ntop 10 %", "calibration\nerror"):
        shown.add_column(name, justify="right", no_wrap=True)
    for figures in found.scores:
        shown.add_row(
            figures.score,
            interval(figures.auc_within, 3),
            interval(figures.redeemers_top_20, 3),
            interval(figures.lift_top_10),
            interval(figures.calibration_error, 3),
        )
    return shown


def auc_table(found: BackTest) -> Table:
    """AUC of every score within each campaign."""
    shown = _campaign_table("Within-campaign AUC")
    for campaign in found.campaigns:
        cells = [interval(campaign.scores[name].auc) for name in SCORES]
        shown.add_row(*_campaign(campaign), *cells)
    _add_total(shown, found, [interval(figures.auc_within) for figures in found.scores])
    return shown


def top_table(found: BackTest) -> Table:
    """Redeemers in the top 20 % of each mailing, by every score."""
    shown = _campaign_table("Redeemers in the top 20 % of the mailing")
    for campaign in found.campaigns:
        cells = [interval(campaign.scores[name].redeemers_top_20) for name in SCORES]
        shown.add_row(*_campaign(campaign), *cells)
    _add_total(shown, found, [interval(figures.redeemers_top_20) for figures in found.scores])
    return shown


def _campaign_table(title: str) -> Table:
    shown = table(title, f"* {labels.CUT_OFF}.")
    shown.add_column("campaign", no_wrap=True)
    for name in ("mailed", "redeemed"):
        shown.add_column(name, justify="right", no_wrap=True)
    for name in SCORES:
        shown.add_column(_two_lines(name), justify="right", no_wrap=True)
    return shown


def _two_lines(name: str) -> str:
    first, second = textwrap.wrap(name, math.ceil(len(name) / 2) + 3)
    return f"{first}\n{second}"


def _campaign(figures: CampaignFigures) -> tuple[str, str, str]:
    name = f"{figures.campaign} {figures.type.upper()} {figures.start:%d %b}{' *' if figures.cut_off else ''}"
    return name, f"{figures.mailed:,}", f"{figures.redeemed:,}"


def _add_total(shown: Table, found: BackTest, cells: list[str]) -> None:
    shown.add_section()
    shown.add_row("all", f"{found.mailings:,}", f"{found.redeemed:,}", *cells)


def gap_table(found: BackTest) -> Table:
    """What the gap does not predict."""
    gap = found.gap
    shown = table(
        "What the gap does not predict: a household's growth over the next 26 weeks",
        f"{gap.households:,} households; given own spend and whether demographics are known.",
        f"{labels.POTENTIAL_IS_A_BENCHMARK.capitalize()}.",
        f"Label: {labels.MEASURED}.",
    )
    shown.add_column("as of the first day after week 26")
    shown.add_column("partial correlation with growth", justify="right")
    shown.add_row(SPEND_GAP, interval(gap.gap, 3))
    shown.add_row("the household's own trend (8 weeks against 26)", interval(gap.trend, 3))
    return shown


def response_figures(found: BackTest) -> dict[str, float]:
    """The response model's figures of the whole back-test."""
    figures = next(f for f in found.scores if f.score == RESPONSE)
    error = figures.calibration_error
    return {
        "auc_within_campaign": figures.auc_within.value,
        "redeemers_in_top_20_percent": figures.redeemers_top_20.value,
        "calibration_error": math.nan if error is None else error.value,
    }
