"""Every figure of one customer, put together from the naive oracles in the order the domain model gives."""

import math
from dataclasses import dataclass

from tests.naive import forgive, gap, ltv, overdue, stage, value
from tests.naive.grid import Grid, cell_of, counts_of
from tests.naive.quality import data_quality
from tests.naive.sketch import representative

DAY_S = 86400.0
IN_FORCE = 1
STAGES = ("know_me", "hear_me", "grow_me", "forgive_me")


@dataclass
class Settings:
    """What figures depend on besides the customer."""

    catalogue: object
    peer_dimensions: tuple[str, ...]
    activities: dict[str, float]
    benefits: dict[str, float]
    rates: dict[str, float]
    default_margin: float
    credibility_years: float
    stretch: list[float]
    gap_cap: float
    gap_floor: float
    referral_worth: float
    referral_weight: float
    ceiling_share: float
    forgive: dict[str, dict[str, object]]
    """How each input of the Forgive mode is read: fact, times, plus, otherwise, low and high."""
    retention: tuple[float, float] | None = None
    """α and β of contracts by tenure."""
    retention_rate: float | None = None
    contract_growth: float = 0.0
    premium_share: float | None = None
    """Of revenue; None = the strategy assumes no premium."""
    premium_level: int = 1
    bgnbd: tuple[float, ...] | None = None
    gamma_gamma: tuple[float, ...] | None = None
    yearly_discount: float = math.nan
    step_weeks: float = math.nan
    steps: int = 0
    frequency_bound: float | None = None
    grids: dict[str, Grid] | None = None
    """Of `value` and `profit`."""
    fitted_at: float = -math.inf


def fitted_grids(settings, customers, m):
    """Grids of everyone whose exposure is full; customers are (facts, as_of)."""
    full = [facts for facts, _ in customers if facts.get("exposure_share", 1.0) >= 1.0]
    codes = [codes_of(settings, facts) for facts in full]
    actual = [worth(settings, facts) for facts in full]
    return {name: Grid(counts_of(codes, [a[name] for a in actual]), m) for name in ("value", "profit")}


def codes_of(settings, facts):
    """Codes of the peer dimensions; NaN = missing."""
    found = []
    for name in settings.peer_dimensions:
        member = facts.get(name)
        found.append(math.nan if member is None else settings.catalogue[name].values.index(member))
    return found


def worth(settings, facts):
    """Actual value and profit of what was seen, before any credit; NaN = missing."""
    names = ["revenue_net", "cogs", "margin_rate", "points_earned", "immediate_rewards", "saved_rewards"]
    money = {name: facts.get(name) for name in [*names, "satisfaction"]}
    money |= {"minutes": facts.get("minutes_spent"), "complaints": facts.get("complaint_count")}
    counts = [[facts.get(n) for n in settings.activities], [facts.get(n) for n in settings.benefits]]
    money, (activities, benefits), _ = value.complete(money, counts, settings.default_margin)
    served = float(value.cost_to_serve(activities, list(settings.activities.values())))
    rates = settings.rates
    profit = value.profit_terms(money, served, rates["face"], rates["redemption_probability"])
    customer = value.value_terms(money, benefits, list(settings.benefits.values()), rates)
    return {"profit": sum(profit), "value": sum(customer), "cost_to_serve": served}


def lifetime(settings, facts, now):
    """P(alive), LTV, multiplier and survival; None = missing."""
    found = {"alive": None, "ltv": None, "ltv_back": None, "multiplier": 1.0, "overdue_survival": None}
    has_contract = facts.get("contract_state") not in (None, "none")
    if settings.bgnbd is None:
        return found | _contract(settings, facts, now) if has_contract else found
    x, t_x, weeks = (facts.get(n) for n in ("repeat_purchases", "recency_weeks", "observed_weeks"))
    if x is None and weeks is not None:
        x, t_x = 0, 0.0
    if x == 0 and t_x is None:
        t_x = 0.0
    r, alpha, _, _ = settings.bgnbd
    if None not in (x, t_x, weeks) and x > 0:
        found["overdue_survival"] = float(overdue.gap_survival(x, t_x, weeks - t_x, r, alpha))
    if has_contract:
        return found | _contract(settings, facts, now)
    if None in (x, t_x, weeks):
        return found
    found["alive"] = float(ltv.alive_probability(x, t_x, weeks, *settings.bgnbd))
    discounted = ltv.discounted_purchases(
        x, t_x, weeks, settings.bgnbd, settings.yearly_discount, settings.step_weeks, settings.steps
    )
    year = ltv.expected_purchases(x, t_x, weeks, 52.0, *settings.bgnbd)
    found["multiplier"] = max(1.0, float(discounted / year))
    zbar = facts.get("mean_repeat_value")
    if x == 0 or zbar is not None:
        margin = facts.get("margin_rate")
        margin = settings.default_margin if margin is None else margin
        found["ltv"] = float(margin * ltv.expected_spend(x, zbar or 0.0, *settings.gamma_gamma) * discounted)
        # Of the same customer if alive for certain: the expectation is P(alive) times that.
        chance = ltv.alive_probability(x, t_x, weeks, *settings.bgnbd)
        found["ltv_back"] = float(
            margin * ltv.expected_spend(x, zbar or 0.0, *settings.gamma_gamma) * discounted / chance
        )
    return found


def _lasting(settings, facts, now, growth=0.0):
    """What a yearly 1 that grows comes to while the contract is renewed; None = unknown."""
    years = settings.steps * settings.step_weeks / 52.0
    starts = [facts[name] for name in ("joined", "first_purchase") if name in facts]
    running = facts["contract_state"] == "in_force"
    if settings.retention is not None and (starts or not running):
        renewals = math.floor(max(0.0, now - min(starts)) / (365.25 * DAY_S)) if running else 0
        discount = settings.yearly_discount
        return float(ltv.renewal_multiplier(renewals, *settings.retention, discount, years, growth))
    retention = facts.get("contract_retention", settings.retention_rate)
    if retention is None:
        return None
    value = ltv.contract_multiplier(retention, settings.yearly_discount, round(years), growth)
    return None if value is None else float(value)


def _contract(settings, facts, now):
    alive = 1.0 if facts["contract_state"] == "in_force" else 0.0
    margin, renewed = facts.get("contract_margin"), _lasting(settings, facts, now)
    growing = _lasting(settings, facts, now, settings.contract_growth)
    found = {"alive": alive, "ltv": None, "ltv_back": None, "multiplier": 1.0}
    if renewed is not None:
        found["multiplier"] = max(1.0, alive * renewed)
    if margin is not None and growing is not None:
        found["ltv"], found["ltv_back"] = margin * alive * growing, margin * growing
    return found


def _loyalty(settings, facts, figures, as_of, now):
    quality, completeness = data_quality(settings.catalogue, facts, as_of=as_of, now=now)
    coded = dict(facts)
    if "contract_state" in facts:
        states = settings.catalogue["contract_state"].values
        coded["contract_state"] = states.index(facts["contract_state"])
    loyalty = stage.loyalty_figures(
        coded,
        complaint_open=facts.get("complaint_open"),
        lock_in=facts.get("lock_in"),
        alive=figures["alive"],
        completeness=completeness,
        now=now,
        frequency_bound=settings.frequency_bound,
    )
    held = facts.get("held_stage")
    code = None if held is None else STAGES.index(held)
    reason = forgive.cause(
        facts, loyalty, complaint_open=facts.get("complaint_open"), alive=figures["alive"], now=now
    )
    return {
        "forgive_cause": None if reason is None else forgive.CAUSES.index(reason),
        "data_quality": quality,
        "stage": stage.effective_stage(code, loyalty["raw_stage"]),
        "level": loyalty["level"],
        "loyalty_index": loyalty["index"],
        "false_loyalty": loyalty["false_loyalty"],
        "action_loyal": loyalty["action_loyal"],
        "tenure_days": loyalty["tenure_days"],
    }


def _peers(settings, facts, actual, code, as_of):
    """Credit of a short history, potentials and gaps."""
    if settings.grids is None:
        return actual, {}
    exposure = facts.get("exposure_share")
    exposure = 1.0 if exposure is None else exposure
    found, credited = {}, dict(actual)
    for name, grid in settings.grids.items():
        path = cell_of(grid.cells, codes_of(settings, facts))
        k = settings.credibility_years
        credited[name] = value.annual_rate(actual[name], exposure, grid.star_mean(path), k)
        in_fit = as_of <= settings.fitted_at and exposure >= 1.0
        potential = grid.potential_of(path, settings.stretch[code], credited[name], in_fit=in_fit)
        median = grid.quantile(path, 0.5)
        median = math.nan if median is None else float(representative(median))
        found[f"potential_{name}"] = potential
        found[f"{name}_gap"] = gap.gap(
            credited[name], potential, median, settings.gap_cap, settings.gap_floor
        )
        found[f"{name}_reached"] = gap.reached(credited[name], potential)
        found["look_alike"] = grid.star_mean(path)
    size = settings.grids["profit"].n(cell_of(settings.grids["profit"].cells, codes_of(settings, facts)))
    found["peer_cell_size"] = size if size >= 10 else None
    if exposure < 1.0:
        credited["cost_to_serve"] = actual["cost_to_serve"] / (exposure + settings.credibility_years)
    return credited, found


def figures(settings, facts, *, as_of, now):
    """All figures by name; None or NaN = missing."""
    found = lifetime(settings, facts, now)
    found |= _loyalty(settings, facts, found, as_of, now)
    actual = worth(settings, facts)
    revenue = facts.get("revenue_net")
    found["value_for_money"] = (revenue + actual["value"]) / revenue if revenue and revenue > 0 else None
    credited, peers = _peers(settings, facts, actual, found["stage"], as_of)
    look_alike = peers.pop("look_alike", None)
    found |= peers
    found["actual_value"], found["actual_profit"] = credited["value"], credited["profit"]
    found["cost_to_serve"] = credited["cost_to_serve"]
    found |= _premium(settings, facts, found)
    found |= _ceiling(settings, facts, found, look_alike)
    found |= _forgive(settings, facts, found)
    found["snapshot_age_days"] = (now - as_of) / DAY_S
    last = facts.get("last_purchase")
    found["days_since_purchase"] = None if last is None else (now - last) / DAY_S
    return found


def _premium(settings, facts, found):
    """A price premium is part of lifetime value; one that is unknown drops out."""
    terms = (facts.get("revenue_net"), found["alive"], found["multiplier"], found["level"])
    premium = ltv.price_premium(*terms, settings.premium_share, settings.premium_level)
    if not premium or found["ltv"] is None:
        return {"price_premium": premium}
    return {"price_premium": premium, "ltv": found["ltv"] + premium}


def _forgive(settings, facts, found):
    """Both expected values and the mode, in Forgive me only."""
    if found["stage"] != STAGES.index("forgive_me"):
        return {}
    case = {"back_ltv": found["ltv_back"], "referral_worth": settings.referral_worth}
    for name, how in settings.forgive.items():
        numbers = {key: part for key, part in how.items() if key != "fact"}
        case[name] = forgive.term(facts.get(how["fact"]), **numbers)
    mode, win, damage = forgive.forgive_mode(case)
    return {
        "ev_win_back": win,
        "ev_damage_control": damage,
        "forgive_mode": forgive.MODES.index(mode),
    }


def _ceiling(settings, facts, found, look_alike):
    plain = math.nan if found["ltv"] is None else found["ltv"]
    mentions = [facts.get(name) for name in ("positive_mentions", "negative_mentions")]
    positive, negative = (math.nan if count is None else count for count in mentions)
    starred = ltv.word_of_mouth_ltv(
        plain, positive, negative, settings.referral_worth, settings.referral_weight
    )
    worth_now = starred
    if math.isnan(starred) and look_alike is not None:
        worth_now = look_alike
    back = found["ltv_back"]
    if found["stage"] == STAGES.index("forgive_me") and back is not None:
        worth_now = back if math.isnan(worth_now) else max(worth_now, back)
    spent = facts.get("spent_on_customer") or 0.0
    return {
        "ltv_with_referrals": starred,
        "investment_ceiling": ltv.investment_ceiling(worth_now, spent, settings.ceiling_share),
    }
