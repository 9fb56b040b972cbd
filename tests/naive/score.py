"""Expected mutual value, term by term (domain.md section 9)."""

import math


def mean(prior, successes, trials):
    """Beta posterior mean: (a + successes) / (a + b + trials)."""
    return (prior[0] + successes) / (prior[0] + prior[1] + trials)


def or_zero(value):
    """A missing gap counts nothing."""
    return 0.0 if value is None or math.isnan(value) else value


def multiplier(action, life):
    """M = 1 + ψ(Λ − 1); 1 on a short horizon, and where ΔLTV is declared instead of ψ."""
    if action.short or action.recurring is None:
        return 1.0
    life = 1.0 if life is None else max(1.0, life)
    return 1.0 + action.recurring * (life - 1.0)


def customer_gain(action, value_gap, life):
    """ΔC = (f_C G^C + g_year) M + g_once."""
    yearly = action.customer_gap * or_zero(value_gap) + action.yearly
    return yearly * multiplier(action, life) + action.once


def profit_gain(action, profit_gap, life):
    """ΔP = f_P G^P M + ΔLTV."""
    return action.profit_gap * or_zero(profit_gap) * multiplier(action, life) + (
        0.0 if action.short else action.ltv
    )


def mutual_value(action, value_gap, p, value_of_time):
    """p(f_C G^C + g_year + g_once) − minutes · v_time: what the customer can expect."""
    gain = action.customer_gap * or_zero(value_gap) + action.yearly + action.once
    return p * gain - action.minutes * value_of_time


def expected_cost(action, p):
    """The contact, and what an acceptance costs as often as it comes: c + p c_accept."""
    return action.contact_cost + p * action.accepted_cost


def customer_weight(stage, reached, by_stage, keeping):
    """λ of the stage; of keeping where the profit potential is reached, unless there is something to repair.

    Args:
        stage: its name.
        reached: whether the profit potential is; None = not known, which is no reason.
        by_stage: λ by stage name.
        keeping: λ where it is reached.
    """
    if stage == "forgive_me":
        return by_stage[stage]
    return keeping if reached else by_stage[stage]


def score(
    action, *, p, value_gap, profit_gap, life, weight, relevance, context, lever, q, pi, mu, w_ch, mean=None
):
    """The score and its breakdown by name; `p` is what it is made with, `mean` what gates read."""
    d_c = customer_gain(action, value_gap, life)
    d_p = profit_gain(action, profit_gap, life)
    base = action.base or 0.0
    benefit = (p - base) * (weight * d_c + (1 - weight) * d_p)
    if benefit > 0:
        benefit *= relevance * context * lever * q
    total = benefit - (1 + pi) * expected_cost(action, p) - mu * w_ch
    return {
        "propensity": p,
        "mean_propensity": p if mean is None else mean,
        "base_propensity": base,
        "customer_gain": d_c,
        "profit_gain": d_p,
        "customer_weight": weight,
        "multiplier": multiplier(action, life),
        "relevance": relevance,
        "context_weight": context,
        "lever": lever,
        "pressure_factor": q,
        "benefit": benefit,
        "contact_cost": action.contact_cost,
        "accepted_cost": p * action.accepted_cost,
        "shadow_price": pi,
        "contact_price": mu * w_ch,
        "score": total,
    }


def context_factor(weights):
    """W or C = 1 + Σ matching weights / 100, at least 0: a situation cannot turn a gain into a loss."""
    return max(0.0, 1.0 + math.fsum(weights) / 100.0)


def lever(issue=0.0, group=0.0, action=0.0, *, classic=False):
    """L = 1 + (issue + group + action) / 100, within [.5, 2] unless classic."""
    factor = 1.0 + (issue + group + action) / 100.0
    return factor if classic else min(2.0, max(0.5, factor))


def classic_priority(propensity, context, value, lever):
    """P · C · V · L; a missing factor is 1."""
    product = 1.0
    for factor in (propensity, context, value, lever):
        if factor is not None and not math.isnan(factor):
            product *= factor
    return product
