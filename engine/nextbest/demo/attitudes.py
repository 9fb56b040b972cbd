"""SYNTHETIC attitudes: what the panel does not hold, drawn from a hash so that the demo can show it.

Nothing here is measured. A household's draws depend on its id and a seed alone, never on what it
bought, so no finding about behaviour can rest on them, and none about attitudes means anything.
Every screen that shows them must call them synthetic.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import NormalDist

import polars as pl

from nextbest.demo.panel import day_start

LABEL = "synthetic attitudes: drawn from a hash of the household id, not measured"
"""What a screen shows beside these figures."""
SEED = 20170626
CHANNELS = ("mail", "email", "call_centre", "sms", "push")
PURPOSES = ("marketing", "service", "survey")

NEEDS = ("save_money", "eat_healthier", "cook_faster", "baby_and_child", "pet_care", "less_waste")
TOPICS = ("alcohol", "tobacco", "baby_and_child", "pet_care", "cosmetics")

ATTITUDE_VALUES: dict[str, tuple[str, ...]] = {
    "consent": tuple(f"{channel}_{purpose}" for channel in CHANNELS for purpose in PURPOSES),
    "needs": NEEDS,
    "blocked_topics": TOPICS,
}
"""Members of the sets below, for the rulebook's `facts.yaml`."""

_CONSENT_SHARE = {"mail": 0.9, "email": 0.65, "call_centre": 0.45, "sms": 0.35, "push": 0.2}
_PURPOSE_FACTOR = {"marketing": 1.0, "service": 1.08, "survey": 0.9}
_NORMAL = NormalDist()

SCHEMA: dict[str, pl.DataType] = {
    "household_id": pl.Int64(),
    "nps_relation": pl.Int64(),
    "nps_relation_at": pl.Datetime("us", "UTC"),
    "touchpoint_score": pl.Int64(),
    "touchpoint_score_at": pl.Datetime("us", "UTC"),
    "satisfaction": pl.Float64(),
    "satisfaction_at": pl.Datetime("us", "UTC"),
    "share_of_wallet": pl.Float64(),
    "complaint_count": pl.Int64(),
    "complaint_severity": pl.Int64(),
    "complaint_open": pl.Boolean(),
    "complaint_at": pl.Datetime("us", "UTC"),
    "needs": pl.List(pl.String()),
    "blocked_topics": pl.List(pl.String()),
    "consent": pl.List(pl.String()),
}
"""Columns of `synthetic_attitudes`."""


@dataclass(frozen=True, slots=True)
class _Draws:
    """Independent uniform numbers in (0, 1) for one household, by name."""

    seed: int
    household: int

    def __call__(self, name: str) -> float:
        text = f"{self.seed}:{self.household}:{name}".encode()
        number = int.from_bytes(hashlib.blake2b(text, digest_size=7).digest(), "big")
        return (number + 0.5) / 2**56

    def members(self, name: str, values: Sequence[str], share: float) -> list[str]:
        """Keep each value with the given probability."""
        return [value for value in values if self(f"{name}:{value}") < share]


def synthetic_attitudes(
    household_ids: Sequence[int] | pl.Series, as_of: date, *, seed: int = SEED
) -> pl.DataFrame:
    """Draw attitudes, complaints, declared needs and consent. SYNTHETIC, see the module.

    Answers to surveys exist for a part of the households only, so that collecting information has a
    point. Satisfaction, scores and complaints share a latent mood; shares are chosen so that all four
    loyalty stages occur.

    Args:
        household_ids: one row each, in this order.
        as_of: local day the draws are dated back from; all times lie before it.
        seed: another seed is another world.

    Returns:
        A frame of `SCHEMA`; null = never asked, or no complaint.
    """
    now = day_start(as_of)
    rows = [_attitudes(_Draws(seed, int(household)), now) for household in household_ids]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _attitudes(draw: _Draws, now: datetime) -> dict[str, object]:
    mood = _NORMAL.inv_cdf(draw("mood"))
    return {
        "household_id": draw.household,
        **_relation_nps(draw, mood, now),
        **_touchpoint(draw, mood, now),
        **_satisfaction(draw, mood, now),
        "share_of_wallet": _share_of_wallet(draw, mood),
        **_complaint(draw, mood, now),
        "needs": draw.members("needs", NEEDS, 0.25) if draw("needs_asked") < 0.5 else None,
        "blocked_topics": draw.members("blocked", TOPICS, 0.08),
        "consent": [
            f"{channel}_{purpose}"
            for channel in CHANNELS
            for purpose in PURPOSES
            if draw(f"consent:{channel}") < _CONSENT_SHARE[channel] * _PURPOSE_FACTOR[purpose]
        ],
    }


def _relation_nps(draw: _Draws, mood: float, now: datetime) -> dict[str, object]:
    if draw("nps_asked") > 0.8:
        return {"nps_relation": None, "nps_relation_at": None}
    return {"nps_relation": _score(draw, mood, "nps"), "nps_relation_at": _ago(draw, "nps", now, 365)}


def _touchpoint(draw: _Draws, mood: float, now: datetime) -> dict[str, object]:
    if draw("touchpoint_asked") > 0.5:
        return {"touchpoint_score": None, "touchpoint_score_at": None}
    score = _score(draw, 0.5 * mood, "touchpoint")
    return {"touchpoint_score": score, "touchpoint_score_at": _ago(draw, "touchpoint", now, 120)}


def _satisfaction(draw: _Draws, mood: float, now: datetime) -> dict[str, object]:
    if draw("satisfaction_asked") > 0.7:
        return {"satisfaction": None, "satisfaction_at": None}
    level = 70 + 13 * mood + 7 * _NORMAL.inv_cdf(draw("satisfaction"))
    return {
        "satisfaction": round(min(max(level, 0.0), 100.0), 1),
        "satisfaction_at": _ago(draw, "satisfaction", now, 365),
    }


def _share_of_wallet(draw: _Draws, mood: float) -> float | None:
    if draw("wallet_asked") > 0.7:
        return None
    return round(_NORMAL.cdf(0.3 + 0.5 * mood + 0.7 * _NORMAL.inv_cdf(draw("wallet"))), 3)


def _complaint(draw: _Draws, mood: float, now: datetime) -> dict[str, object]:
    if draw("complaint") > 0.16 * (1.0 - 0.5 * min(max(mood, -2.0), 2.0)):
        return {
            "complaint_count": 0,
            "complaint_severity": None,
            "complaint_open": None,
            "complaint_at": None,
        }
    at = _ago(draw, "complaint", now, 180)
    return {
        "complaint_count": 1 + (draw("complaints") > 0.85),
        "complaint_severity": 1 + int(3 * draw("severity")),
        "complaint_open": now - at < timedelta(days=90) and draw("open") < 0.7,
        "complaint_at": at,
    }


def _score(draw: _Draws, mood: float, name: str) -> int:
    """A 0-10 score, most often 7 to 9."""
    return min(max(round(7.6 + 1.9 * mood + 1.2 * _NORMAL.inv_cdf(draw(name))), 0), 10)


def _ago(draw: _Draws, name: str, now: datetime, days: int) -> datetime:
    """A second in the days before `now`."""
    return now - timedelta(seconds=1 + int(draw(f"{name}_at") * days * 86400))
