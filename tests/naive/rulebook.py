"""Rule files as plain Python: what marketing's YAML means, read key by key with the documented defaults."""

import datetime as dt

from tests.naive.decision_tables import asked_of, levers_of, segments_of, tables_by_id
from tests.naive.plain import (
    DAY_S,
    STAGES,
    Action,
    Cap,
    Channel,
    Evidence,
    Learning,
    Limit,
    Rulebook,
    Treatment,
    Trigger,
)
from tests.naive.score import lever

UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": DAY_S, "w": 7 * DAY_S}
CHANNELS = {
    "call_centre": Channel(0.2, 0.6, 3.0),
    "pos": Channel(0.3, 0.3, 0.0),
    "web": Channel(0.3, 0.5, 0.0),
    "email": Channel(0.5, 0.5, 1.0),
    "mail": Channel(0.5, 0.5, 1.0),
    "sms": Channel(0.6, 0.6, 2.0),
    "push": Channel(0.7, 0.7, 1.5),
    "location": Channel(0.8, 0.8, 2.0, location_bound=True),
}
"""Thresholds and weights of domain.md section 8; a letter counts as an e-mail, our own pages as the till."""
EVIDENCE = {
    "explicit_request": 1.0,
    "declared_preference": 0.8,
    "open_need": 0.6,
    "inbound_topic": 0.5,
    "peers_uptake": 0.35,
    "own_interest": 0.35,
    "season": 0.15,
}
CUSTOMER_WEIGHT = {"know_me": 0.5, "hear_me": 0.6, "grow_me": 0.7, "forgive_me": 0.7}
BY_OBJECTIVE = {"share_of_market": "short"}
"""Horizon of actions that name none: the share of the market is won now, wallets and lives over the years."""
PRESSURE_CAP = {"know_me": 4.0, "hear_me": 6.0, "grow_me": 8.0, "forgive_me": 3.0}
PURPOSE = {
    "service": "service",
    "information": "service",
    "repair": "service",
    "collect_information": "survey",
    "listen": "survey",
}


def seconds(duration):
    """`15d` in seconds."""
    unit = duration.lstrip("0123456789.")
    return float(duration[: -len(unit)]) * UNITS[unit]


def plain_rulebook(documents):
    """The rulebook that a directory of documents (file name → content) describes."""
    strategy = documents["strategy.yaml"]
    policies = documents.get("policies.yaml", {})
    stages = strategy.get("stages", {})
    entries = [a for name, d in sorted(documents.items()) if "actions" in d for a in d["actions"]]
    triggers = [t for name, d in sorted(documents.items()) if "triggers" in d for t in d["triggers"]]
    hold = strategy.get("sell_hold", {})
    tables = tables_by_id(documents)
    return Rulebook(
        actions=tuple(action(entry, strategy, policies, tables) for entry in entries),
        channels={name: channel(name, entry) for name, entry in policies["channels"].items()},
        triggers={t["id"]: Trigger(fires(t), seconds(t.get("cool_down", "0d"))) for t in triggers},
        segments={s["id"]: s["when"] for s in documents.get("segments.yaml", {}).get("segments", [])}
        | segments_of(tables),
        tables=tables,
        roles={role["id"]: role.get("authority", 0) for role in strategy["roles"]},
        customer_weight=tuple(stages.get(s, {}).get("customer_weight", CUSTOMER_WEIGHT[s]) for s in STAGES),
        reached_weight=stages.get("reached", {}).get(
            "customer_weight", stages.get("grow_me", {}).get("customer_weight", CUSTOMER_WEIGHT["grow_me"])
        ),
        pressure_cap=tuple(stages.get(s, {}).get("pressure_cap", PRESSURE_CAP[s]) for s in STAGES),
        data_quality_floor=strategy.get("data_quality", {}).get("floor", 0.4),
        sell_hold_score=hold.get("score", 6),
        sell_hold_s=seconds(hold.get("within", "14d")),
        time_zone=strategy.get("time_zone", "UTC"),
        value_of_time=strategy.get("value", {}).get("value_of_time", 0.0),
        classic=strategy.get("arbitration", "mutual") == "classic",
        learning=learning(strategy.get("learning", {})),
    )


def learning(entry):
    """How propensities learn and decisions explore."""
    maturity, explore = entry.get("maturity", {}), entry.get("explore", {})
    return Learning(
        parent_weight=entry.get("parent_weight", 30),
        mature_at=maturity.get("trials", 0),
        least_reach=maturity.get("least_reach", 0.02),
        method=explore.get("method", "none"),
        share=explore.get("share", 0.05),
    )


def fires(entry):
    """When a trigger fires: its condition, or so long after a worker found it."""
    if "fired_at" not in entry:
        return entry["when"]
    name, days = entry["fired_at"], seconds(entry["hold"]) / DAY_S
    return f"has(customer.{name}) && within(customer.{name}, {days})"


def channel(name, entry):
    """A channel as declared, over what is known by its name."""
    known, given = CHANNELS[name], entry.get("threshold", {})
    quiet = entry.get("quiet_hours")
    return Channel(
        given.get("inbound", known.inbound_threshold),
        given.get("outbound", known.outbound_threshold),
        entry.get("pressure_weight", known.weight),
        entry.get("location_bound", known.location_bound),
        None if quiet is None else (quiet["start"], quiet["end"]),
    )


def action(entry, strategy, policies, tables):
    """An action with everything that its group, its issue and the policies add."""
    effect, cost, valid = entry.get("effect", {}), entry.get("cost", {}), entry.get("valid", {})
    worth = entry.get("reward", {}).get("worth", 0.0)
    propensity = entry["propensity"]
    prior = isinstance(propensity, dict)
    age = entry.get("max_snapshot_age")
    return Action(
        id=entry["id"],
        desired_action=entry["desired_action"],
        treatments=tuple(treatment(entry, key, policies) for key in entry["treatments"]),
        group=entry.get("group"),
        benefit_group=entry.get("benefit_group"),
        stages=frozenset(entry.get("stages", STAGES)),
        segments=tuple(entry.get("segments", ())),
        triggers=tuple(entry.get("triggers", ())),
        when=asked_of(entry["id"], entry.get("when"), tables),
        topics=frozenset(entry.get("topics", ())),
        mandatory=entry.get("mandatory", False),
        authority=authority(entry.get("authority", 0), strategy),
        valid=(day(valid.get("from")), day(valid.get("through"))),
        max_snapshot_age_days=float("inf") if age is None else seconds(age) / DAY_S,
        customer_gap=effect.get("customer_gap", 0.0),
        profit_gap=effect.get("profit_gap", 0.0),
        recurring=effect.get("recurring"),
        ltv=effect.get("ltv", 0.0),
        yearly=effect.get("yearly", 0.0),
        once=effect.get("once", worth),
        minutes=effect.get("minutes", 0.0),
        short=effect.get("horizon", BY_OBJECTIVE.get(strategy.get("objective"), "long")) == "short",
        contact_cost=cost.get("contact", 0.0),
        accepted_cost=cost.get("accepted", 0.0),
        prior=(propensity["successes"], propensity["failures"]) if prior else None,
        propensity=None if prior else propensity,
        base=entry.get("uplift", {}).get("base"),
        evidence=tuple(
            Evidence(kind, policies.get("relevance", {}).get(kind, EVIDENCE[kind]), key)
            for kind, key in entry.get("relevance", {}).items()
        ),
        creates_need=entry.get("need", "solve") == "create",
        inside_out=entry.get("intent", "outside_in") == "inside_out",
        context=tuple((c["when"], c["weight"]) for c in entry.get("context", ()))
        + levers_of(entry["id"], tables),
        lever=lever_of(entry, strategy),
        priority=entry.get("priority", 0),
        value=entry.get("value", 1.0),
        reward_worth=worth,
        limits=tuple(limit(given) for given in (*entry.get("limits", ()), *policies.get("limits", ()))),
        caps=tuple(Cap(c["at_most"], *window(c["within"])) for c in entry.get("caps", ())),
    )


def lever_of(entry, strategy):
    """L with the weights of issue, group and action; an action without an issue has its group's."""
    group = next((g for g in strategy.get("groups", ()) if g["id"] == entry.get("group")), {})
    issue = entry.get("issue") or group.get("issue")
    weights = {p["issue"]: p.get("lever", 0.0) for p in strategy["priorities"]}
    return lever(
        weights.get(issue, 0.0),
        group.get("lever", 0.0),
        entry.get("lever", 0.0),
        classic=strategy.get("arbitration", "mutual") == "classic",
    )


def authority(given, strategy):
    """A number, or that of the role named."""
    if isinstance(given, int):
        return given
    return next(role.get("authority", 0) for role in strategy["roles"] if role["id"] == given)


def day(given):
    """A date, None where there is none."""
    return None if given is None else dt.date.fromisoformat(given)


def treatment(entry, key, policies):
    """The action in one channel and placement, with the consents an outbound contact needs."""
    name, _, placement = key.partition("/")
    given = entry["treatments"][key].get("consent")
    if given is None:
        given = policies["channels"][name].get("consent")
    if given is None:
        purpose = entry.get("purpose", PURPOSE.get(entry["desired_action"], "marketing"))
        given = [] if name in ("pos", "web") else [f"{name}_{purpose}"]
    return Treatment(f"{entry['id']}/{key}", name, placement or None, frozenset(given))


def limit(given):
    """A contact limit."""
    outcomes = [given["outcome"]] if isinstance(given["outcome"], str) else given["outcome"]
    within_s, period = window(given["within"])
    return Limit(
        frozenset(outcomes),
        given["at_least"],
        within_s,
        seconds(given.get("pause", "0d")),
        given.get("scope", "action"),
        given.get("channel"),
        period,
    )


def window(given):
    """(seconds, None) of a window that rolls, (None, (calendar, zone)) of a calendar period."""
    return (
        (seconds(given), None) if isinstance(given, str) else (None, (given["calendar"], given["time_zone"]))
    )
