"""A small shop: a rulebook with peer dimensions and value, and customers whose purchases follow BG/NBD."""

import math
from pathlib import Path

import numpy as np
import polars as pl
from tests.builders.rulebooks import write

AS_OF = 1_700_000_000.0
WEEK = 7 * 86400.0
STANDARD = (
    "consent",
    "peer_segment",
    "household",
    "first_purchase",
    "last_purchase",
    "repeat_purchases",
    "recency_weeks",
    "observed_weeks",
    "mean_repeat_value",
    "revenue_net",
    "margin_rate",
    "immediate_rewards",
    "n_visits",
    "nps_relation",
    "nps_relation_at",
    "satisfaction",
    "satisfaction_at",
    "share_of_wallet",
    "complaint_severity",
    "complaint_open",
    "complaint_at",
    "owned_categories",
    "held_stage",
    "stage_since",
    "up_qualified_since",
)
CATEGORIES = ("coffee", "bread", "wine")
SEGMENTS = ("young", "middle", "old")
HOUSEHOLDS = ("one", "more")


def documents(dimensions=("peer_segment", "household"), more=()):
    """The rulebook's files."""
    return {
        "strategy.yaml": {
            "id": "shop",
            "currency": "EUR",
            "caveats": ["these customers are <made up>"],
            "languages": ["en"],
            "goals": [{"id": "g", "measure": "gap_closed", "text": "Close gaps"}],
            "priorities": [{"issue": "growth", "text": "Grow"}],
            "plan": [{"step": "Do", "owner": "agent"}],
            "roles": [{"id": "agent", "authority": 1, "text": "Agent"}],
            "promises": {"fair": "Fair"},
            "value": {"activities": {"n_visits": 0.5}, "default_margin_rate": 0.3},
            "potential": {"peer_dimensions": list(dimensions)},
        },
        "facts.yaml": {
            "standard": [*STANDARD, *more],
            "values": {
                "consent": ["email_marketing"],
                "peer_segment": list(SEGMENTS),
                "household": list(HOUSEHOLDS),
                "owned_categories": list(CATEGORIES),
            },
        },
        "segments.yaml": {
            "segments": [
                {"id": "families", "when": 'customer.household == "more"', "text": "Families"},
                {"id": "few", "when": "customer.revenue_net < 0.0", "text": "Hardly anybody"},
            ]
        },
        "actions/all.yaml": {
            "actions": [
                {
                    "id": "bread",
                    "desired_action": "cross_sell",
                    "reason": "Bread goes with it",
                    "issue": "growth",
                    "treatments": {"pos": {"say": "Try our bread"}},
                    "effect": {"customer_gap": 0.1, "profit_gap": 0.2, "recurring": 0.5},
                    "cost": {"contact": 0.1, "accepted": 1.0},
                    "propensity": {"successes": 4, "failures": 16},
                    "relevance": {"season": 1.0, "own_interest": 1.0},
                },
                {
                    "id": "visit",
                    "desired_action": "service",
                    "reason": "We come to you",
                    "issue": "growth",
                    "stages": ["grow_me"],
                    "treatments": {"pos": {"say": "Shall we come to you?"}},
                    "effect": {"yearly": 1.0, "recurring": 0.0},
                    "cost": {"contact": 90.0},
                    "propensity": {"successes": 10, "failures": 10},
                    "relevance": {"own_interest": 1.0},
                },
            ]
        },
    }


def write_shop(directory, **options):
    """Write the rulebook and return its directory."""
    write(documents(**options), Path(directory))
    return Path(directory)


def _iso(column):
    return [None if math.isnan(v) else v for v in column]


def customers(n, seed=0, *, later_weeks=0.0):
    """Snapshots of n customers; with `later_weeks` the same customers so much later.

    Segments differ in what customers spend; a tenth has unknown owned categories, and a twentieth no
    peer segment.
    """
    draw = np.random.default_rng(seed)
    T = draw.uniform(30, 80, n)
    rate, drop = draw.gamma(2.0, 1 / 12.0, n), draw.beta(0.5, 4.0, n)
    segment, household = draw.integers(0, 3, n), draw.integers(0, 2, n)
    spend = draw.gamma(4.0, 6.0, n)
    owned = draw.random((n, 3)) < np.array([0.9, 0.4, 0.2]) + 0.4 * (segment[:, None] == [9, 1, 2])
    unknown, lost = draw.random(n) < 0.1, draw.random(n) < 0.05
    rows = {"x": np.zeros(n), "t_x": np.zeros(n), "T": T + later_weeks}
    for i in range(n):
        one = np.random.default_rng(seed * 1_000_003 + i)
        time, count, last = 0.0, 0, 0.0
        while (time := time + one.exponential(1 / rate[i])) <= T[i] + later_weeks:
            count, last = count + 1, time
            if one.random() < drop[i]:
                break
        rows["x"][i], rows["t_x"][i] = count, last
    as_of = AS_OF + later_weeks * WEEK
    yearly = (rows["x"] + 1) / rows["T"] * 52 * spend * (1 + 0.5 * segment)
    return pl.DataFrame(
        {
            "customer_id": [f"c{i:06}" for i in range(n)],
            "as_of": [as_of] * n,
            "peer_segment": [None if gone else SEGMENTS[k] for k, gone in zip(segment, lost, strict=True)],
            "household": [HOUSEHOLDS[k] for k in household],
            "first_purchase": as_of - rows["T"] * WEEK,
            "last_purchase": as_of - (rows["T"] - rows["t_x"]) * WEEK,
            "repeat_purchases": rows["x"].astype(np.int64),
            "recency_weeks": rows["t_x"],
            "observed_weeks": rows["T"],
            "mean_repeat_value": _iso(np.where(rows["x"] > 0, spend, math.nan)),
            "revenue_net": yearly,
            "immediate_rewards": 0.05 * yearly,
            "n_visits": np.ceil(yearly / 40).astype(np.int64),
            "nps_relation": [
                None if u else int(v) for u, v in zip(unknown, 4 + 6 * draw.random(n), strict=True)
            ],
            "nps_relation_at": [as_of] * n,
            "satisfaction": 50 + 50 * draw.random(n),
            "satisfaction_at": [as_of] * n,
            "share_of_wallet": draw.random(n),
            "owned_categories": [
                None if gone else [c for c, has in zip(CATEGORIES, row, strict=True) if has]
                for row, gone in zip(owned, unknown, strict=True)
            ],
        },
        strict=False,
    )
