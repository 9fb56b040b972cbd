"""strategy.yaml → the strategy, the value model, and the names that actions refer to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import tzinfo

import numpy as np

from nextbest.facts import STAGE_NAMES, Catalogue, FactType, Figure
from nextbest.model import F64, Outcome, Stage
from nextbest.rulebook.compile.clock import load_time_zone
from nextbest.rulebook.compile.reading import Read
from nextbest.rulebook.compile.report import At, Report, with_article
from nextbest.rulebook.compile.texts import Languages
from nextbest.rulebook.documents.strategy import (
    FactTerm,
    Forgive,
    Goal,
    Group,
    RewardShareEntry,
    StrategyFile,
)
from nextbest.rulebook.rulebook import Role
from nextbest.rulebook.strategy import (
    FORGIVE_TERMS,
    Arbitration,
    Exploration,
    Learning,
    RewardShare,
    Strategy,
    Term,
    ValueModel,
)

CUSTOMER_WEIGHTS = (0.5, 0.6, 0.7, 0.7)
"""λ by stage (domain model, section 9)."""
STRETCH = (0.70, 0.80, 0.90, 0.50)
"""τ by stage (section 3)."""
PRESSURE_CAPS = (4.0, 6.0, 8.0, 3.0)
"""Cap on contact pressure by stage (section 8)."""

SHARES = frozenset({"back_probability", "harm_avoided"})
"""Inputs of the Forgive mode that are at most 1."""
NEVER_A_GOAL = frozenset({"handle_time", "cross_sell_count"})
"""What staff must not be measured by: problems solved are the goal."""
NO_GOAL_ALONE = frozenset({"enrolments", "email_addresses", "app_downloads"})
"""Means that are often mistaken for goals."""

LEAKING_FACTS = frozenset(
    [
        "repeat_purchases",
        "recency_weeks",
        "observed_weeks",
        "mean_repeat_value",
        "revenue_net",
        "cogs",
        "margin_rate",
        "discount",
        "returns_value",
        "points_earned",
        "points_redeemed",
        "immediate_rewards",
        "saved_rewards",
        "n_visits",
        "spent_on_customer",
        "contract_margin",
        "baseline_mean",
        "baseline_variance",
    ]
)
"""Standard facts that the outcomes are computed from."""
LEAKING_WORDS = frozenset(
    [
        "spend",
        "spending",
        "spent",
        "revenue",
        "turnover",
        "sales",
        "profit",
        "margin",
        "profitability",
        "ltv",
        "clv",
        "lifetime",
        "value",
        "values",
        "rfm",
        "frequency",
        "monetary",
        "basket",
        "baskets",
        "money",
        "purchases",
        "visits",
        "wallet",
        "quintile",
        "decile",
        "tier",
        "gap",
        "potential",
        "zbar",
    ]
)
"""Words in a fact's name that say it is a function of the outcome."""


@dataclass(frozen=True, slots=True)
class Names:
    """What actions may refer to."""

    languages: Languages
    time_zone: tzinfo
    issues: Mapping[str, float]
    """Lever of each issue, per cent."""
    groups: Mapping[str, Group]
    group_index: dict[str, int]
    authority: Mapping[str, int]
    """By role."""
    promises: Mapping[str, str]
    arbitration: Arbitration
    is_short: bool
    """Whether the horizon is short of actions that name none: a share of the market is won now."""


def compile_names(read: Read[StrategyFile], report: Report) -> Names:
    """The names that the strategy declares, each once."""
    document, at = read.document, read.at
    _unique((goal.id for goal in document.goals), at / "goals", "goal", report)
    _unique(
        (entry.issue for entry in document.priorities), at / "priorities", "priority", report, key="issue"
    )
    _unique((role.id for role in document.roles), at / "roles", "role", report)
    _unique((group.id for group in document.groups), at / "groups", "group", report)
    _unique(document.languages, at / "languages", "language", report, key=None)
    languages = Languages(document.languages)
    promises = {
        name: languages.resolve(text, at / "promises" / name, report)[languages.default]
        for name, text in document.promises.items()
    }
    return Names(
        languages=languages,
        time_zone=load_time_zone(document.time_zone, at / "time_zone", report),
        issues={entry.issue: entry.lever for entry in document.priorities},
        groups={group.id: group for group in document.groups},
        group_index={group.id: i for i, group in enumerate(document.groups)},
        authority={role.id: role.authority for role in document.roles},
        promises=promises,
        arbitration=Arbitration[document.arbitration.upper()],
        is_short=document.objective == "share_of_market",
    )


def compile_strategy(
    read: Read[StrategyFile], names: Names, catalogue: Catalogue, report: Report
) -> Strategy:
    """The strategy with every default of the domain model."""
    document, at = read.document, read.at
    _check_goals(document.goals, at / "goals", report)
    _check_references(read, names, report)
    if document.objective == "share_of_market" and not document.market_size:
        hint = "add `market_size`, the money a year that it is worth"
        report.error(at / "objective", "invalid-value", "a share of the market needs the market's size", hint)
    weights = _by_stage(document, "customer_weight", CUSTOMER_WEIGHTS)
    reached, split = document.stages.reached.customer_weight, document.budget
    premium = document.price_premium
    if premium is not None and document.archetype != "brand":
        message = f"a price premium is assumed of a brand, not of a {document.archetype}"
        hint = "leave `price_premium` out; if customers pay more for your own name, say `archetype: brand`"
        report.error(at / "price_premium", "premium-without-brand", message, hint)
    if abs(split.acquire + split.retain + split.repair - 1) > 1e-9:
        total = split.acquire + split.retain + split.repair
        report.error(at / "budget", "budget-split", f"the split sums to {total:g}, not to 1")
    return Strategy(
        goals=tuple(goal.id for goal in document.goals),
        priorities=tuple(entry.issue for entry in document.priorities),
        promises=names.promises,
        reason_codes=tuple(dict.fromkeys(document.reason_codes)),
        archetype=document.archetype,
        arbitration=names.arbitration,
        customer_weight=weights,
        reached_weight=float(weights[Stage.GROW_ME] if reached is None else reached),
        stretch=_by_stage(document, "stretch", STRETCH),
        pressure_cap=_by_stage(document, "pressure_cap", PRESSURE_CAPS),
        budget_split=np.array([split.acquire, split.retain, split.repair]),
        gap_cap=document.potential.gap_cap,
        gap_floor=document.potential.gap_floor,
        data_quality_floor=document.data_quality.floor,
        sell_hold_score=float(document.sell_hold.score),
        sell_hold_days=document.sell_hold.within / 86400.0,
        ceiling_share=document.ceiling_share,
        time_zone=document.time_zone,
        referral_weight=document.referral.weight,
        referral_worth=document.referral.worth,
        premium_share=float("nan") if premium is None else premium.share,
        premium_level=1.0 if premium is None else float(premium.from_level),
        objective=document.objective,
        market_size=float("nan") if document.market_size is None else document.market_size,
        caveats=tuple(document.caveats),
        forgive=_forgive_terms(document.forgive, at / "forgive", catalogue, report),
        peer_dimensions=_peer_dimensions(read, catalogue, report),
        ltv_step_weeks=document.lifetime.step_weeks,
        ltv_steps=document.lifetime.steps,
        ltv_discount_rate=document.lifetime.discount_rate,
        contract_growth=document.lifetime.contract_growth,
        learning=_learning(document, at / "learning", report),
        reward_shares=_reward_shares(document.rewards, at / "rewards", report),
    )


def _reward_shares(entries: list[RewardShareEntry], at: At, report: Report) -> tuple[RewardShare, ...]:
    """Least shares stage by stage; those of one stage must leave room for each other."""
    shares = [
        RewardShare(stage, entry.type, entry.timing or "", entry.at_least)
        for entry in entries
        for stage, name in enumerate(STAGE_NAMES)
        if name in entry.stages
    ]
    for stage, name in enumerate(STAGE_NAMES):
        total = sum(share.at_least for share in shares if share.stage == stage)
        if total > 1 + 1e-9:
            report.error(at, "reward-shares", f"the least shares of `{name}` sum to {total:g}, more than 1")
    return tuple(shares)


def _forgive_terms(document: Forgive, at: At, catalogue: Catalogue, report: Report) -> tuple[Term, ...]:
    terms: list[Term] = []
    for name in FORGIVE_TERMS:
        given, high = getattr(document, name), 1.0 if name in SHARES else float("inf")
        if isinstance(given, FactTerm):
            _check_number(given.fact, at / name / "fact", catalogue, report)
            otherwise = float("nan") if given.otherwise is None else given.otherwise
            terms.append(Term(given.fact, given.times, given.plus, otherwise, 0.0, high))
        else:
            terms.append(Term(otherwise=float("nan") if given is None else float(given), high=high))
    return tuple(terms)


def _check_number(name: str, at: At, catalogue: Catalogue, report: Report) -> None:
    numbers = (FactType.INT, FactType.DOUBLE)
    if name not in catalogue:
        report.unknown(at, "fact", name, [f.name for f in catalogue.facts if f.type in numbers])
    elif catalogue[name].type not in numbers:
        report.error(at, "invalid-value", f"`{name}` is {with_article(catalogue[name].type)}, not a number")


def compile_value(read: Read[StrategyFile], catalogue: Catalogue, report: Report) -> ValueModel:
    """How value and profit are computed."""
    value, at = read.document.value, read.at / "value"
    for key, counted in (("activities", value.activities), ("benefits", value.benefits)):
        for name in counted:
            _check_count(name, at / key / name, catalogue, report)
    return ValueModel(
        activities=tuple((name, float(cost)) for name, cost in value.activities.items()),
        benefits=tuple((name, float(worth)) for name, worth in value.benefits.items()),
        point_face=value.points.face,
        redemption_probability=value.points.redemption_probability,
        quality_rate=value.quality_rate,
        value_of_time=value.value_of_time,
        complaint_cost=value.complaint_cost,
        default_margin_rate=value.default_margin_rate,
        credibility_years=value.credibility_years,
    )


def compile_roles(read: Read[StrategyFile]) -> tuple[Role, ...]:
    """The roles in the order of the file."""
    return tuple(Role(role.id, role.authority) for role in read.document.roles)


def _learning(document: StrategyFile, at: At, report: Report) -> Learning:
    entry = document.learning
    sets = [entry.trial, entry.success, entry.failure]
    for i, outcome in enumerate(entry.failure):
        if outcome in entry.success:
            message = f"`{outcome}` cannot be both a success and a failure"
            report.error(at / "failure" / i, "contradiction", message)
    trials, successes, failures = (sum(1 << Outcome[name.upper()] for name in set(names)) for names in sets)
    return Learning(
        parent_weight=entry.parent_weight,
        trials=trials,
        successes=successes,
        failures=failures,
        mature_at=entry.maturity.trials,
        least_reach=entry.maturity.least_reach,
        exploration=Exploration[entry.explore.method.upper()],
        share=entry.explore.share,
        salt=entry.explore.salt or document.id,
    )


def _unique(names: Iterable[str], at: At, noun: str, report: Report, *, key: str | None = "id") -> None:
    seen: set[str] = set()
    for i, name in enumerate(names):
        if name in seen:
            place = at / i / key if key else at / i
            report.error(place, "duplicate-id", f"{noun} `{name}` is declared twice")
        seen.add(name)


def _check_goals(goals: list[Goal], at: At, report: Report) -> None:
    for i, goal in enumerate(goals):
        if goal.measure in NEVER_A_GOAL:
            message = f"`{goal.measure}` is no goal: it rewards getting rid of customers"
            report.error(at / i / "measure", "no-goal", message, "measure `problems_solved` instead")
    alone = bool(goals) and all(goal.measure in NO_GOAL_ALONE | NEVER_A_GOAL for goal in goals)
    for i, goal in enumerate(goals):
        if alone and goal.measure in NO_GOAL_ALONE:
            message = f"`{goal.measure}` is a means, not a goal"
            report.error(at / i / "measure", "no-goal", message, "add what it is for, such as `retention`")


def _check_references(read: Read[StrategyFile], names: Names, report: Report) -> None:
    for i, step in enumerate(read.document.plan):
        if step.owner not in names.authority:
            report.unknown(read.at / "plan" / i / "owner", "role", step.owner, names.authority)
    for i, group in enumerate(read.document.groups):
        if group.issue is not None and group.issue not in names.issues:
            report.unknown(read.at / "groups" / i / "issue", "priority", group.issue, names.issues)


def _by_stage(document: StrategyFile, key: str, defaults: tuple[float, ...]) -> F64:
    given = [getattr(getattr(document.stages, stage), key) for stage in STAGE_NAMES]
    return np.array([d if g is None else g for g, d in zip(given, defaults, strict=True)], np.float64)


def _peer_dimensions(read: Read[StrategyFile], catalogue: Catalogue, report: Report) -> tuple[str, ...]:
    at = read.at / "potential" / "peer_dimensions"
    names = read.document.potential.peer_dimensions
    _unique(names, at, "dimension", report, key=None)
    for i, name in enumerate(names):
        leak = _leak(name, catalogue)
        if leak:
            hint = (
                "peers must be alike in who they are, not in what they spend: every gap would collapse to 0"
            )
            report.error(at / i, "leaking-dimension", f"peer dimension `{name}` {leak}", hint)
        elif name not in catalogue:
            known = [fact.name for fact in catalogue.facts if fact.type is FactType.ENUM]
            report.unknown(at / i, "fact", name, known)
        elif catalogue[name].type is not FactType.ENUM:
            message = f"peer dimension `{name}` is {with_article(catalogue[name].type)}, not an enum"
            report.error(at / i, "invalid-dimension", message, "store it as bands, in a fact of type enum")
    return tuple(names)


def _leak(name: str, catalogue: Catalogue) -> str:
    """Why a dimension is a function of the outcome; empty if nothing says so."""
    unit = catalogue[name].unit if name in catalogue else ""
    if name in LEAKING_FACTS or name.upper() in Figure.__members__:
        return "is part of the outcome"
    if unit == "money":
        return "is money"
    words = sorted(LEAKING_WORDS.intersection(name.split("_")))
    return f"follows from the outcome, by its name (`{words[0]}`)" if words else ""


def _check_count(name: str, at: At, catalogue: Catalogue, report: Report) -> None:
    if name not in catalogue:
        known = [f.name for f in catalogue.facts if f.unit in ("count", "minutes")]
        report.unknown_key(at, "fact", name, known)
    elif catalogue[name].type not in (FactType.INT, FactType.DOUBLE):
        report.key_error(
            at, "invalid-value", f"`{name}` is {with_article(catalogue[name].type)} and counts nothing"
        )
