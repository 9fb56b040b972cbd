"""The loyalty index as domain.md section 6 words it: dictionaries, None for missing, nothing clever."""

import math

DAY_S = 86400.0


def days_between(then, now):
    """Age in days; what lies in the future has age 0, an unknown time has none."""
    if then is None:
        return None
    return max(0.0, now - then) / DAY_S


def clip(value):
    """Components lie in [-1, 1]."""
    return value if math.isnan(value) else min(1.0, max(-1.0, value))


def tenure_days(facts, now):
    """Days since joining or the first purchase, whichever came first."""
    starts = [t for t in (facts.get("joined"), facts.get("first_purchase")) if t is not None]
    return days_between(min(starts), now) if starts else None


def repeat_purchases(facts):
    """Section 1: with RFM missing, x = 0."""
    x = facts.get("repeat_purchases")
    return 0.0 if x is None else x


def components(facts, *, complaint_open, alive, now):
    """Name → (score, decayed weight) of every component that is known."""
    found = {}
    nps, nps_age = facts.get("nps_relation"), days_between(facts.get("nps_relation_at"), now)
    if nps is not None and nps_age is not None:
        found["relation"] = (clip((nps - 7) / 3), 0.35 * 2 ** (-nps_age / 180))
    if facts.get("satisfaction") is not None:
        found["satisfaction"] = (clip((facts["satisfaction"] - 60) / 40), 0.20)
    if facts.get("share_of_wallet") is not None:
        found["wallet"] = (clip(2 * facts["share_of_wallet"] - 1), 0.15)
    pos, neg = facts.get("positive_mentions"), facts.get("negative_mentions")
    if pos is not None and neg is not None and pos + neg > 0:
        found["advocacy"] = (math.tanh((pos - 5 * neg) / 5), 0.10)
    # Codes: none, in_force, cancelled, expired.
    has_contract = facts.get("contract_state") in (1, 2, 3)
    if alive is not None and (repeat_purchases(facts) > 0 or has_contract):
        found["alive"] = (clip(2 * alive - 1), 0.10)
    tenure = tenure_days(facts, now)
    if tenure is not None:
        found["tenure"] = (1 - math.exp(-(tenure / 365.25) / 3), 0.05)
    severity, age = facts.get("complaint_severity"), days_between(facts.get("complaint_at"), now)
    if severity is not None and severity > 0 and age is not None:
        share = 1 if complaint_open is True else 0.4
        found["complaint"] = (clip(-severity / 3 * share * 2 ** (-age / 90)), 0.05)
    # Infinite inputs can cancel to no number at all, which is as good as missing.
    return {name: pair for name, pair in found.items() if not any(map(math.isnan, pair))}


def loyalty_index(facts, *, complaint_open=None, alive=None, now=0.0):
    """(index or None, sum of weights, contribution by component)."""
    found = components(facts, complaint_open=complaint_open, alive=alive, now=now)
    weight = math.fsum(w for _, w in found.values())
    if weight < 0.3 - 1e-12:
        return None, weight, {}
    contributions = {name: s * w / max(weight, 0.6) for name, (s, w) in found.items()}
    return math.fsum(contributions.values()), weight, contributions


def level(index):
    """The ladder."""
    if index is None:
        return 0
    if index < -0.6:
        return -3
    if index < -0.3:
        return -2
    if index < -0.1:
        return -1
    if index < 0.2:
        return 0
    if index < 0.4:
        return 1
    if index < 0.6:
        return 2
    if index < 0.8:
        return 3
    return 4


def frequency(facts):
    """Repeat purchases a week, None when the observation's length is unknown or nothing."""
    weeks = facts.get("observed_weeks")
    if weeks is None or weeks <= 0:
        return None
    rate = repeat_purchases(facts) / weeks
    return None if math.isnan(rate) else rate
