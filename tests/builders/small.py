"""Customers of the small rulebook (tests/rulebooks/small), and the time that its tests play at."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

DIRECTORY = Path(__file__).parents[1] / "rulebooks" / "small"
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""A Monday, 13:00 in Copenhagen: no quiet hours there."""
CUSTOMERS = 400


def days_ago(days):
    """So many days before `NOW`."""
    return NOW - timedelta(days=days)


def regular(**changes):
    """Facts of a customer in Hear me who likes cheese; None leaves a fact out."""
    facts = {
        "consent": ["email_marketing", "email_service", "call_centre_marketing"],
        "time_zone": "Europe/Copenhagen",
        "peer_segment": "city",
        "household": "family",
        "first_purchase": days_ago(700),
        "last_purchase": days_ago(7),
        "repeat_purchases": 40,
        "recency_weeks": 99.0,
        "observed_weeks": 100.0,
        "mean_repeat_value": 200.0,
        "revenue_net": 6000.0,
        "margin_rate": 0.3,
        "discount_share": 0.1,
        "nps_relation": 8,
        "nps_relation_at": days_ago(100),
        "satisfaction": 70.0,
        "complaint_open": False,
        "needs": ["cheese"],
        "blocked_topics": [],
        "favourite": "brie",
    } | changes
    return {name: value for name, value in facts.items() if value is not None}


def newcomer(**changes):
    """Facts of a customer in Know me."""
    unknown = dict.fromkeys(["mean_repeat_value", "nps_relation", "nps_relation_at", "satisfaction"])
    young = {
        "first_purchase": days_ago(10),
        "last_purchase": days_ago(10),
        "repeat_purchases": 0,
        "recency_weeks": 0.0,
        "observed_weeks": 1.5,
    }
    return regular(**(unknown | young | changes))


def offended(**changes):
    """Facts of a customer in Forgive me: a grave complaint is open."""
    complaint = {"complaint_open": True, "complaint_severity": 3, "complaint_at": days_ago(2)}
    return regular(**(complaint | changes))


def population(n=CUSTOMERS):
    """Facts by customer id: buyers of BG/NBD and Gamma-Gamma, in four peer cells, some facts missing."""
    random = np.random.default_rng(20260302)
    return {f"p{i:04d}": _member(random) for i in range(n)}


def _member(random):
    weeks = random.uniform(20.0, 110.0)
    times = _purchase_times(random, weeks)
    last = times[-1] if times else 0.0
    spend = random.gamma(6.0, 1.0) * 100.0 / random.gamma(4.0, 1.0)
    single = random.random() < 0.5
    revenue = float((len(times) + 1) * spend * (1.0 if single else 1.6) * 52.0 / weeks)
    return regular(
        peer_segment=str(random.choice(["city", "country"])),
        household="single" if single else "family",
        first_purchase=NOW - timedelta(weeks=weeks),
        last_purchase=NOW - timedelta(weeks=weeks - last),
        repeat_purchases=len(times),
        recency_weeks=last,
        observed_weeks=float(weeks),
        mean_repeat_value=float(spend) if times else None,
        revenue_net=None if random.random() < 0.05 else revenue,
        margin_rate=None if random.random() < 0.3 else float(random.uniform(0.2, 0.4)),
        satisfaction=None if random.random() < 0.4 else float(random.uniform(20.0, 95.0)),
        nps_relation=None if random.random() < 0.5 else int(random.integers(0, 11)),
        share_of_wallet=None if random.random() < 0.5 else float(random.uniform(0.1, 1.0)),
        n_visits=int(len(times) + 1),
        exposure_share=float(min(1.0, weeks / 52.0)),
    )


def _purchase_times(random, weeks):
    """Weeks of the repeat purchases: a rate of one's own, and a chance to leave after each."""
    rate, leaves = random.gamma(1.2, 1.0) / 5.0, random.beta(1.0, 6.0)
    times, time = [], 0.0
    while random.random() >= leaves:
        time += random.exponential(1.0 / rate)
        if time > weeks:
            break
        times.append(float(time))
    return times
