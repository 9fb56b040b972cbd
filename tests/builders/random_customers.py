"""Random customers with facts missing, and what the naive figures need to know of the small rulebook."""

import math

import numpy as np
from tests.builders.small import NOW
from tests.naive import figures as naive

from nextbest.facts import STAGE_NAMES
from nextbest.id_check import id_checks_of
from nextbest.potential.ltv_parameters import BgNbd, GammaGamma, LtvParameters
from nextbest.rows import RowCodec
from nextbest.rulebook.strategy import FORGIVE_TERMS

T0 = NOW.timestamp()
DAY = 86400.0
LTV = LtvParameters(
    bgnbd=BgNbd(0.9, 5.0, 0.7, 2.6),
    gamma_gamma=GammaGamma(6.0, 4.0, 500.0),
    margin=0.3,
    yearly_discount=0.1,
    step_weeks=26.0,
    steps=6,
    standard_errors={},
    log_likelihood=0.0,
    gamma_gamma_log_likelihood=0.0,
    penalised=False,
    n=1,
    n_repeat=1,
    frequency_top_quartile=0.35,
    warnings=(),
)
"""Three years in six steps: the oracle computes each with hundreds of digits."""


def settings_of(rulebook, **fitted):
    """The rulebook's numbers as the oracle takes them."""
    value, strategy = rulebook.value, rulebook.strategy
    return naive.Settings(
        catalogue=rulebook.catalogue,
        peer_dimensions=strategy.peer_dimensions,
        activities=dict(value.activities),
        benefits=dict(value.benefits),
        rates={
            "face": value.point_face,
            "redemption_probability": value.redemption_probability,
            "quality": value.quality_rate,
            "minute": value.value_of_time,
            "complaint": value.complaint_cost,
        },
        default_margin=value.default_margin_rate,
        credibility_years=value.credibility_years,
        stretch=strategy.stretch.tolist(),
        gap_cap=strategy.gap_cap,
        gap_floor=strategy.gap_floor,
        referral_worth=strategy.referral_worth,
        referral_weight=strategy.referral_weight,
        ceiling_share=strategy.ceiling_share,
        contract_growth=strategy.contract_growth,
        premium_share=None if math.isnan(strategy.premium_share) else strategy.premium_share,
        premium_level=strategy.premium_level,
        forgive={
            name: {
                "fact": term.fact,
                "times": term.times,
                "plus": term.plus,
                "otherwise": None if math.isnan(term.otherwise) else term.otherwise,
                "low": term.low,
                "high": term.high,
            }
            for name, term in zip(FORGIVE_TERMS, strategy.forgive, strict=True)
        },
        **{
            "yearly_discount": strategy.ltv_discount_rate,
            "step_weeks": strategy.ltv_step_weeks,
            "steps": strategy.ltv_steps,
        }
        | fitted,
    )


def somebody(random):
    """Facts of a random customer, each missing now and then, and when they were true."""
    as_of = T0 - random.uniform(0.0, 30.0) * DAY
    facts = {
        **_buying(random, as_of),
        **_money(random),
        **_attitude(random, as_of),
        **_standing(random, as_of),
    }
    known = random.random(len(facts)) < random.choice([0.5, 0.8, 0.95, 1.0])
    return {name: value for (name, value), kept in zip(facts.items(), known, strict=True) if kept}, as_of


def _buying(random, as_of):
    weeks = float(random.uniform(1.0, 120.0))
    x = int(random.choice([0, 0, 1, 3, 10, 60]))
    recency = float(random.uniform(0.1, 1.0) * weeks) if x else 0.0
    return {
        "first_purchase": as_of - weeks * 7 * DAY,
        "last_purchase": as_of - (weeks - recency) * 7 * DAY,
        "joined": as_of - float(random.uniform(0.0, 2000.0)) * DAY,
        "repeat_purchases": x,
        "recency_weeks": recency,
        "observed_weeks": weeks,
        "mean_repeat_value": float(random.gamma(4.0, 60.0)),
        "contract_state": str(random.choice(["none", "none", "none", "in_force", "cancelled", "expired"])),
        "contract_margin": float(random.uniform(100.0, 2000.0)),
        "contract_retention": float(random.uniform(0.3, 0.98)),
    }


def _money(random):
    return {
        "revenue_net": float(random.normal(3000.0, 3000.0)),
        "cogs": float(random.uniform(0.0, 4000.0)),
        "margin_rate": float(random.uniform(-0.1, 0.5)),
        "points_earned": float(random.integers(0, 5000)),
        "immediate_rewards": float(random.uniform(0.0, 200.0)),
        "saved_rewards": float(random.uniform(0.0, 200.0)),
        "minutes_spent": float(random.uniform(0.0, 300.0)),
        "complaint_count": int(random.integers(0, 4)),
        "n_calls": int(random.integers(0, 9)),
        "n_visits": int(random.integers(0, 60)),
        "n_events": int(random.integers(0, 5)),
        "exposure_share": float(random.choice([0.0, 0.2, 0.7, 1.0, 1.0, 1.0])),
        "spent_on_customer": float(random.uniform(0.0, 100.0)),
    }


def _attitude(random, as_of):
    return {
        "nps_relation": int(random.integers(0, 11)),
        "nps_relation_at": as_of - float(random.uniform(-5.0, 600.0)) * DAY,
        "satisfaction": float(random.uniform(0.0, 100.0)),
        "share_of_wallet": float(random.choice([random.uniform(), 0.6, 0.95, 1.0])),
        "positive_mentions": int(random.integers(0, 6)),
        "negative_mentions": int(random.integers(0, 4)),
        "complaint_severity": int(random.integers(0, 4)),
        "complaint_open": bool(random.random() < 0.3),
        "complaint_at": as_of - float(random.uniform(0.0, 200.0)) * DAY,
        "discount_share": float(random.uniform()),
        "lock_in": bool(random.random() < 0.3),
    }


def _standing(random, as_of):
    return {
        "consent": ["email_marketing"],
        "peer_segment": str(random.choice(["city", "country"])),
        "household": str(random.choice(["single", "family"])),
        "held_stage": str(random.choice(STAGE_NAMES)),
        "stage_since": as_of - 50 * DAY,
    }


def people(seed, n):
    """Random customers: (facts, as_of)."""
    random = np.random.default_rng(seed)
    return [somebody(random) for _ in range(n)]


def rows_of(rulebook, customers):
    """Their rows."""
    codec = RowCodec(rulebook.catalogue)
    ids = [b"%d" % i for i in range(len(customers))]
    rows = [codec.encode(i, as_of, facts) for i, (facts, as_of) in zip(ids, customers, strict=True)]
    decoded = codec.decode_batch(rows, id_checks_of(ids))
    assert not decoded.problems.any()
    return decoded.rows
