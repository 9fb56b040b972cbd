"""The back-test: who redeems a mailed campaign, predicted on its first day from what was known then.

Rolling origin over the campaigns that start in weeks 27 to 52 (10 to 22): features as of each
campaign's first day, models and their scalers fitted on campaigns that ended before it. Figures
compare households within one mailing, with household bootstrap intervals. The mailings were not
randomised: a good ranking is no uplift.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache

import numpy as np
import polars as pl

from nextbest.demo.campaigns import (
    RESPONSE_FACTS,
    RFM_FACTS,
    TYPE_FACTS,
    CampaignRows,
    base_rates,
    campaign_rows,
    fit_response,
)
from nextbest.demo.gap_forecast import GapForecast, PeerGap, gap_forecast, simple_peer_gap
from nextbest.demo.history import PanelHistory
from nextbest.demo.panel import week_start
from nextbest.learning.validation import Interval, Replicates, auc_within, calibration_error, captured
from nextbest.model import F64, Bools

FIRST_WEEK, LAST_WEEK = 27, 52
REPLICATES = 400
SEED = 20170626
TOP = 0.2
"""Top of each mailing in which redeemers are counted."""
LIFT_TOP = 0.1
"""Top of each mailing whose lift is reported."""

BASE_RATE = "base rate by type"
RFM = "RFM + type"
COUPON_BASKETS = "past coupon baskets a week"
RESPONSE = "response model"
SCORES = (BASE_RATE, RFM, COUPON_BASKETS, RESPONSE)
"""Scores compared, ours last."""
NO_PROBABILITY = (COUPON_BASKETS,)
"""Scores that rank but promise nothing."""
LABELS = (
    "redemption, not uplift: who was mailed was not randomised",
    "campaigns 15 and 20 to 22 run past the panel's end: their later redemptions are not seen",
)
"""What a screen says beside the figures."""


@dataclass(frozen=True, slots=True)
class ScoreFigures:
    """How well one score ranks the redeemers of all test campaigns."""

    score: str
    auc_pooled: Interval
    auc_within: Interval
    lift_top_10: Interval
    redeemers_top_20: Interval
    calibration_error: Interval | None
    """None for a score that is no probability."""

    def to_dict(self) -> dict[str, object]:
        """The figures for JSON."""
        error = self.calibration_error
        return {
            "score": self.score,
            "auc_pooled": self.auc_pooled.to_dict(),
            "auc_within_campaign": self.auc_within.to_dict(),
            "lift_top_10_percent": self.lift_top_10.to_dict(),
            "redeemers_in_top_20_percent": self.redeemers_top_20.to_dict(),
            "calibration_error": None if error is None else error.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class CampaignScore:
    """How well one score ranks within one campaign."""

    auc: Interval
    redeemers_top_20: Interval


@dataclass(frozen=True, slots=True)
class CampaignFigures:
    """One mailed campaign, every score on the same rows."""

    campaign: int
    type: str
    start: date
    cut_off: bool
    """It runs past the panel's end."""
    mailed: int
    redeemed: int
    scores: Mapping[str, CampaignScore]

    def to_dict(self) -> dict[str, object]:
        """The figures for JSON."""
        return {
            "campaign": self.campaign,
            "type": self.type,
            "start": self.start.isoformat(),
            "cut_off": self.cut_off,
            "mailed": self.mailed,
            "redeemed": self.redeemed,
            "scores": {
                name: {"auc": s.auc.to_dict(), "redeemers_in_top_20_percent": s.redeemers_top_20.to_dict()}
                for name, s in self.scores.items()
            },
        }


@dataclass(frozen=True, slots=True)
class BackTest:
    """All that the back-test found."""

    mailings: int
    redeemed: int
    scores: tuple[ScoreFigures, ...]
    """In the order of `SCORES`."""
    advantage: Interval
    """Within-campaign AUC of our model less that of past coupon baskets, on the same draws."""
    campaigns: tuple[CampaignFigures, ...]
    gap: GapForecast

    def to_dict(self) -> dict[str, object]:
        """The figures for JSON."""
        return {
            "mailings": self.mailings,
            "redeemed": self.redeemed,
            "labels": list(LABELS),
            "scores": [figures.to_dict() for figures in self.scores],
            "auc_advantage_over_coupon_baskets": self.advantage.to_dict(),
            "campaigns": [figures.to_dict() for figures in self.campaigns],
            "gap": self.gap.to_dict(),
        }

    def to_rows(self) -> list[dict[str, object]]:
        """One flat row a score, for a table; bounds stand beside their figure."""
        return [
            {
                "score": f.score,
                **_flat("auc_within", f.auc_within),
                **_flat("redeemers_top_20", f.redeemers_top_20),
                **_flat("lift_top_10", f.lift_top_10),
                **_flat("calibration_error", f.calibration_error),
                **_flat("auc_pooled", f.auc_pooled),
            }
            for f in self.scores
        ]

    def campaign_rows(self) -> list[dict[str, object]]:
        """One flat row a campaign and score."""
        return [
            {
                "campaign": c.campaign,
                "type": c.type,
                "start": c.start,
                "mailed": c.mailed,
                "redeemed": c.redeemed,
                "cut_off": c.cut_off,
                "score": name,
                **_flat("auc", s.auc),
                **_flat("redeemers_top_20", s.redeemers_top_20),
            }
            for c in self.campaigns
            for name, s in c.scores.items()
        ]


def _flat(name: str, figure: Interval | None) -> dict[str, object]:
    values = (None, None, None) if figure is None else (figure.value, figure.low, figure.high)
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def run_backtest(
    history: PanelHistory,
    *,
    peer_gap: PeerGap = simple_peer_gap,
    replicates: int = REPLICATES,
    seed: int = SEED,
) -> BackTest:
    """Run the whole back-test (about 10 s on two cores).

    Args:
        history: the condensed panel.
        peer_gap: gives the gap to peers in weeks 1 to 26; the demo passes the peer grid's.
        replicates: household bootstrap draws.
        seed: seed of the draws.

    Raises:
        FitError: too few redemptions before a campaign to fit on.
    """
    first, until = week_start(FIRST_WEEK), week_start(LAST_WEEK + 1)
    rows = campaign_rows(history, until=until)
    test = rows.started(first, until)
    scores = rolling_scores(rows, test)
    draws = Replicates.of_households(test.households, replicates=replicates, seed=seed)
    return BackTest(
        mailings=test.frame.height,
        redeemed=int(test.accepted().sum()),
        scores=tuple(_score_figures(name, scores[name], test, draws) for name in SCORES),
        advantage=_advantage(scores[RESPONSE], scores[COUPON_BASKETS], test, draws),
        campaigns=tuple(_campaign_figures(test, scores, draws, last_day=_last_day(history))),
        gap=gap_forecast(history, first, peer_gap, replicates=replicates, seed=seed),
    )


def rolling_scores(rows: CampaignRows, test: CampaignRows) -> dict[str, F64]:
    """Score each test row by what had been learnt when its campaign started.

    Args:
        rows: mailings to learn from; those that had not ended by then are not looked at.
        test: mailings to score.

    Returns:
        (n,) scores by name.
    """

    @cache
    def model(day: date, facts: Sequence[str]) -> F64:
        names = (*facts, *TYPE_FACTS)
        return fit_response(rows, day, facts).score(test.facts(names))

    days = test.frame["start"].to_list()
    rates = {day: base_rates(rows, day) for day in sorted(set(days))}
    kinds = test.frame["type"].to_list()
    return {
        BASE_RATE: np.array([rates[day][kind] for day, kind in zip(days, kinds, strict=True)]),
        RFM: np.array([model(day, RFM_FACTS)[i] for i, day in enumerate(days)]),
        COUPON_BASKETS: test.facts(["coupon_baskets_per_week"])[:, 0],
        RESPONSE: np.array([model(day, RESPONSE_FACTS)[i] for i, day in enumerate(days)]),
    }


def _score_figures(name: str, score: F64, test: CampaignRows, draws: Replicates) -> ScoreFigures:
    accepted, campaigns = test.accepted(), test.campaigns
    lift = captured(score, accepted, campaigns, draws, share=LIFT_TOP) / LIFT_TOP
    top = captured(score, accepted, campaigns, draws, share=TOP)
    promises = name not in NO_PROBABILITY
    return ScoreFigures(
        score=name,
        auc_pooled=draws.interval(auc_within(score, accepted, np.zeros_like(campaigns), draws)),
        auc_within=draws.interval(auc_within(score, accepted, campaigns, draws)),
        lift_top_10=draws.interval(lift),
        redeemers_top_20=draws.interval(top),
        calibration_error=draws.interval(calibration_error(score, accepted, draws)) if promises else None,
    )


def _advantage(ours: F64, other: F64, test: CampaignRows, draws: Replicates) -> Interval:
    accepted, campaigns = test.accepted(), test.campaigns
    difference = auc_within(ours, accepted, campaigns, draws) - auc_within(other, accepted, campaigns, draws)
    return draws.interval(difference)


def _campaign_figures(
    test: CampaignRows, scores: Mapping[str, F64], draws: Replicates, *, last_day: date
) -> list[CampaignFigures]:
    described = test.frame.select("campaign_id", "type", "start", "end").unique(maintain_order=True)
    figures: list[CampaignFigures] = []
    for campaign, kind, start, end in described.iter_rows():
        mask = test.campaigns == campaign
        figures.append(
            CampaignFigures(
                campaign=campaign,
                type=kind,
                start=start,
                cut_off=end > last_day,
                mailed=int(mask.sum()),
                redeemed=int(test.accepted()[mask].sum()),
                scores={name: _within_one(scores[name], test, draws, mask) for name in SCORES},
            )
        )
    return figures


def _within_one(score: F64, test: CampaignRows, draws: Replicates, mask: Bools) -> CampaignScore:
    some = draws.take(mask)
    rows = score[mask], test.accepted()[mask], test.campaigns[mask]
    return CampaignScore(
        auc=some.interval(auc_within(*rows, some)),
        redeemers_top_20=some.interval(captured(*rows, some, share=TOP)),
    )


def _last_day(history: PanelHistory) -> date:
    return history.baskets.select(pl.max("day")).item()
