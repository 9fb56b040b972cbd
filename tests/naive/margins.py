"""By how much an action lost, to which, and by which term: section 9 with one term changed at a time."""

SHARED = (
    "customer_gain",
    "profit_gain",
    "relevance",
    "context_weight",
    "lever",
    "pressure_factor",
    "contact_cost",
    "accepted_cost",
    "contact_price",
)
FACTORS = ("relevance", "context_weight", "lever", "pressure_factor")
COSTS = ("contact_cost", "accepted_cost", "contact_price")


def score(t):
    """B = p(λ ΔC + (1 − λ) ΔP), times ρ W L q if positive; less (1 + π)·cost and the price of the contact."""
    p = t["propensity"] - t["base_propensity"]
    benefit = p * (t["customer_weight"] * t["customer_gain"] + (1 - t["customer_weight"]) * t["profit_gain"])
    if benefit > 0:
        benefit *= t["relevance"] * t["context_weight"] * t["lever"] * t["pressure_factor"]
    cost = t["contact_cost"] + t["accepted_cost"]
    return benefit - (1 + t["shadow_price"]) * cost - t["contact_price"]


def winner(rulebook, decision, name):
    """Id of the action that kept another one out; None where none did."""
    verdicts, action = decision.verdicts, {a.id: a for a in rulebook.actions}
    reason = verdicts[name].reason
    if reason == "BEATEN_IN_RANK":
        return decision.ranked[-1].action
    if reason == "BEATEN_IN_GROUP":
        rivals = [
            other
            for other, verdict in verdicts.items()
            if action[other].group == action[name].group
            and verdict.reason in ("CHOSEN", "MANDATORY", "BEATEN_IN_RANK")
        ]
        assert len(rivals) == 1
        return rivals[0]
    return None


def rises(loser, other):
    """By how much the loser's score would rise with each single term of the other's; None = doing nothing."""
    before = score(loser)
    found = {}
    for term in SHARED if other else (*FACTORS, *COSTS, "customer_gain", "profit_gain"):
        if other:
            value = other[term]
        elif term in FACTORS:
            value = max(loser[term], 1.0)
        elif term in COSTS:
            value = 0.0
        else:
            value = max(loser[term], 0.0)
        found[term] = score(loser | {term: value}) - before
    if other:
        p = loser["base_propensity"] + other["propensity"] - other["base_propensity"]
        ratio = p / loser["propensity"] if loser["propensity"] > 0 else 1.0
        likelier = {"propensity": p, "accepted_cost": loser["accepted_cost"] * ratio}
        found["propensity"] = score(loser | likelier) - before
    return found
