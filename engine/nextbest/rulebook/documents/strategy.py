"""strategy.yaml: what stands above all rules."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag, WithJsonSchema

from nextbest.rulebook.documents.common import (
    Amount,
    Cost,
    Day,
    Document,
    Duration,
    FactName,
    Factor,
    Identifier,
    Language,
    Share,
    StageName,
    Texts,
    form,
)

Measure = Literal[
    "revenue",
    "profit",
    "lifetime_value",
    "customer_value",
    "gap_closed",
    "retention",
    "churn",
    "relation_nps",
    "satisfaction",
    "share_of_wallet",
    "share_of_market",
    "share_of_life",
    "recommendations",
    "problems_solved",
    "cost_to_serve",
    "enrolments",
    "email_addresses",
    "app_downloads",
    "handle_time",
    "cross_sell_count",
]


Currency = Annotated[
    str,
    form("^[A-Z]{3}$", "expected an ISO 4217 code such as `DKK`"),
    WithJsonSchema({"type": "string", "pattern": "^[A-Z]{3}$"}),
]


REASON_CODES = (
    "price",
    "quality",
    "out_of_stock",
    "late_delivery",
    "wrong_bill",
    "fault",
    "waiting_time",
    "staff",
    "misunderstanding",
    "no_need",
    "competitor",
    "other",
)
"""Reasons of outcomes, where a strategy names none of its own."""


class Goal(Document):
    """What the programme is to reach."""

    id: Identifier = Field(description="Name of the goal.", examples=["close_gaps"])
    measure: Measure = Field(
        description="What tells whether it is reached. `handle_time` and `cross_sell_count` are refused as"
        " goals; `enrolments`, `email_addresses` and `app_downloads` are no goals on their own."
    )
    target: float | None = Field(default=None, description="Value aimed at, in the measure's unit.")
    by: Day | None = Field(default=None, description="Day by which the target is to be reached.")
    text: Texts = Field(description="The goal in words.")


class Priority(Document):
    """A business issue; the order of the list is the order of priority."""

    issue: Identifier = Field(description="Name that actions refer to.", examples=["repair"])
    text: Texts = Field(description="Why it stands where it stands.")
    lever: float = Field(
        default=0, ge=-100, le=1000, description="Per cent added to the lever of every action of this issue."
    )


class Step(Document):
    """One step of the action plan."""

    step: Texts = Field(description="What is done.")
    owner: Identifier = Field(description="Role that does it.")
    due: Day | None = Field(default=None, description="Day by which it is done.")


class RoleEntry(Document):
    """Who asks on a customer's behalf, or owns a step of the plan."""

    id: Identifier = Field(description="Name of the role, as requests give it.", examples=["agent"])
    authority: int = Field(
        default=0,
        ge=0,
        le=100,
        description="How far the role may go; an action needs at least its own `authority`.",
    )
    text: Texts = Field(description="Who has the role.")


class StageWeights(Document):
    """How one loyalty stage is treated."""

    customer_weight: Share | None = Field(
        default=None,
        description="λ: weight of the customer's gain against the company's. Default: .5, .6, .7 and .7 from"
        " Know me to Forgive me.",
    )
    stretch: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="τ: quantile of the peers that counts as the potential. Default: .7, .8, .9 and .5.",
    )
    pressure_cap: Factor | None = Field(
        default=None,
        description="Contact pressure above which outbound contact stops. Default: 4, 6, 8 and 3.",
    )


class ReachedWeights(Document):
    """How a customer is treated whose profit potential is reached: nothing is left to grow, so keep it."""

    customer_weight: Share | None = Field(
        default=None,
        description="λ of such a customer instead of the stage's, except in Forgive me, where repair comes"
        " first. Default: that of Grow me, the stage of retention.",
    )


class Stages(Document):
    """Weights of the four stages; what is left out keeps the domain model's default."""

    know_me: StageWeights = Field(default=StageWeights(), description="Cognitive: acquisition.")
    hear_me: StageWeights = Field(default=StageWeights(), description="Affective: development.")
    grow_me: StageWeights = Field(default=StageWeights(), description="Conative: retention, integration.")
    forgive_me: StageWeights = Field(
        default=StageWeights(), description="Repair, win-back or damage control."
    )
    reached: ReachedWeights = Field(
        default=ReachedWeights(),
        description="Whatever the stage, where the profit potential is reached: the goal is to keep.",
    )


class Budget(Document):
    """How effort is split; sums to 1."""

    acquire: Share = Field(default=0.20, description="Share for Know me.")
    retain: Share = Field(default=0.58, description="Share for Hear me and Grow me.")
    repair: Share = Field(default=0.22, description="Share for Forgive me.")


class Group(Document):
    """Actions of one kind, of which a customer gets at most one at a time."""

    id: Identifier = Field(description="Name that actions refer to.", examples=["coupons"])
    issue: Identifier | None = Field(
        default=None, description="Issue of the group's actions, unless they say."
    )
    lever: float = Field(
        default=0, ge=-100, le=1000, description="Per cent added to the lever of every action."
    )


class Points(Document):
    """What points are worth."""

    face: Cost = Field(default=0, description="Money a point is worth when it is redeemed.")
    redemption_probability: Share = Field(default=1, description="Share of points that are ever redeemed.")


class Value(Document):
    """How actual value and profit are computed (domain model, section 2)."""

    activities: dict[FactName, Cost] = Field(
        default={},
        description="Cost of one unit of each activity, by the fact that counts it.",
        examples=[{"n_calls": 6}],
    )
    benefits: dict[FactName, Amount] = Field(
        default={}, description="Worth to the customer of one emotional benefit, by the fact that counts it."
    )
    points: Points = Field(default=Points(), description="Worth of the programme's points.")
    quality_rate: Factor = Field(default=0.25, description="κ_q: worth of satisfaction per unit of revenue.")
    value_of_time: Cost = Field(default=0, description="Money per minute of the customer's own time.")
    complaint_cost: Cost = Field(default=0, description="Money a complaint costs the customer.")
    default_margin_rate: float = Field(
        default=0.25,
        ge=-1,
        le=1,
        description="Margin share where neither `cogs` nor `margin_rate` is known; flagged.",
    )
    credibility_years: Factor = Field(
        default=0.25, description="k: years of the peers' mean a short history is mixed with."
    )


class Potential(Document):
    """Peers, potential and gaps (domain model, section 3)."""

    peer_dimensions: Annotated[list[FactName], Field(max_length=16)] = Field(
        default=[],
        description="Facts that make customers alike, most important first; a cell's parent drops the last."
        " None may follow from spend, profit or frequency.",
        examples=[["peer_segment", "household"]],
    )
    gap_cap: float = Field(
        default=5, gt=0, le=1000, description="κ: a gap is at most so many medians of the cell."
    )
    gap_floor: Cost = Field(default=100, description="Least median that `gap_cap` is applied to, money.")


class Lifetime(Document):
    """Lifetime value (domain model, section 4)."""

    step_weeks: int = Field(default=4, ge=1, le=52, description="Length of a period, weeks.")
    steps: int = Field(default=39, ge=1, le=1000, description="Number of periods.")
    discount_rate: float = Field(default=0.10, ge=0, lt=10, description="Yearly discount rate.")
    contract_growth: float = Field(
        default=0,
        gt=-1,
        lt=10,
        description="g: by how much a contract's margin grows a year. Retention and growth together must stay"
        " below the discount: r(1 + g) < 1 + d.",
    )


class Referral(Document):
    """Worth of word of mouth."""

    weight: Factor = Field(default=1, description="λ_ref: how much it counts in lifetime value.")
    worth: Cost = Field(default=0, description="v_ref: money a recommendation is worth.")


class PricePremium(Document):
    """What loyal customers of a brand pay above others for the same (an assumption of whoever writes it)."""

    share: Share = Field(
        description="π: part of a loyal customer's revenue that comes on top of what others would pay.",
        examples=[0.03],
    )
    from_level: int = Field(
        default=1, ge=-3, le=4, description="First step of the loyalty ladder that pays it."
    )


class FactTerm(Document):
    """A number that follows a fact: `times` · fact + `plus`."""

    fact: FactName = Field(description="A number of the catalogue.", examples=["negative_mentions"])
    times: Annotated[float, Field(ge=-1e9, le=1e9)] = Field(default=1, description="Its factor.")
    plus: Amount = Field(default=0, description="What is added.")
    otherwise: Amount | None = Field(
        default=None,
        description="What holds where the fact is unknown; left out, the number is unknown too.",
        examples=[1],
    )


def _term_kind(value: object) -> str:
    return "fact" if isinstance(value, Mapping) else "number"


ShareTerm: TypeAlias = Annotated[
    Annotated[Share, Tag("number")] | Annotated[FactTerm, Tag("fact")], Discriminator(_term_kind)
]
"""A share from 0 to 1, or a fact that gives one."""
CostTerm: TypeAlias = Annotated[
    Annotated[Cost, Tag("number")] | Annotated[FactTerm, Tag("fact")], Discriminator(_term_kind)
]
"""A number of at least 0, or a fact that gives one."""


class Forgive(Document):
    """What the choice between winning back, damage control and an apology is made with (section 6).

    What is left out is unknown, and what it leaves unknown is no reason to act.
    """

    back_probability: ShareTerm | None = Field(
        default=None, description="p_back: chance that an effort brings the customer back.", examples=[0.1]
    )
    back_cost: CostTerm | None = Field(default=None, description="Cost of that effort, money.", examples=[5])
    back_reward: CostTerm | None = Field(
        default=None, description="What a customer who comes back is given, money.", examples=[20]
    )
    reach: CostTerm | None = Field(
        default=None,
        description="People whom the customer's word reaches.",
        examples=[{"fact": "negative_mentions", "times": 10, "plus": 1, "otherwise": 1}],
    )
    harm_avoided: ShareTerm | None = Field(
        default=None,
        description="Δp: by how much damage control lowers the chance that each of them turns away.",
        examples=[0.02],
    )
    damage_cost: CostTerm | None = Field(
        default=None, description="Cost of damage control, money.", examples=[5]
    )


class DataQuality(Document):
    """What is asked of a snapshot before anything is sold on it."""

    floor: Share = Field(
        default=0.4,
        description="Below it only service, information, repair, listening and questions are allowed.",
    )


class SellHold(Document):
    """No selling shortly after a bad touchpoint."""

    score: int = Field(
        default=6, ge=0, le=10, description="A touchpoint score at or below it holds selling ..."
    )
    within: Duration = Field(
        default=14 * 86400.0, description="... for so long.", json_schema_extra={"default": "14d"}
    )


LearntOutcome = Literal[
    "presented", "clicked", "accepted", "rejected", "ignored", "problem_solved", "complained", "opted_out"
]


class Maturity(Document):
    """An action that was hardly tried reaches few customers, and more as it is tried."""

    trials: float = Field(
        default=0,
        ge=0,
        le=1e9,
        description="Trials from which an action is mature; 0 = no action is held back. Holds for actions"
        " with a prior, in contact that the company starts.",
        examples=[200],
    )
    least_reach: float = Field(
        default=0.02,
        gt=0,
        le=1,
        description="Share of decisions that may show an action without a trial; it rises in a straight line"
        " to 1 at maturity.",
    )


class Explore(Document):
    """How decisions try what is not known yet; never past a gate."""

    method: Literal["none", "epsilon", "thompson"] = Field(
        default="none",
        description="`epsilon`: a share of decisions shows an action drawn at random among those worth doing"
        " first; `thompson`: scores are made with propensities drawn from their posteriors.",
    )
    share: float = Field(
        default=0.05, gt=0, le=1, description="ε: share of decisions that explore, for `epsilon`."
    )
    salt: str = Field(
        default="",
        max_length=64,
        description="Part of every seed: another salt draws anew. Default: the rulebook's id.",
    )


class LearningEntry(Document):
    """How propensities learn from captured outcomes (domain model, section 9)."""

    parent_weight: float = Field(
        default=30,
        gt=0,
        le=1e6,
        description="m: trials that an action's propensity counts for in each stage, and a stage's in each"
        " peer cell.",
    )
    trial: Annotated[list[LearntOutcome], Field(min_length=1)] = Field(
        default=["presented"], description="Outcomes that say that an action was tried."
    )
    success: Annotated[list[LearntOutcome], Field(min_length=1)] = Field(
        default=["accepted"],
        description="Outcomes that say that the customer accepted; for service also `problem_solved`.",
    )
    failure: list[LearntOutcome] = Field(
        default=["rejected", "ignored"],
        description="Outcomes that say that the customer did not, and take an earlier success back.",
    )
    maturity: Maturity = Field(default=Maturity(), description="How far an untried action reaches.")
    explore: Explore = Field(default=Explore(), description="How decisions try what is not known yet.")


class RewardShareEntry(Document):
    """A least share of one kind among the rewards that customers of a stage are recommended first."""

    stages: Annotated[list[StageName], Field(min_length=1)] = Field(
        description="Stages it holds for.", examples=[["grow_me"]]
    )
    type: Literal["monetary", "emotional"] = Field(description="Kind of reward.", examples=["emotional"])
    timing: Literal["immediate", "saved"] | None = Field(
        default=None, description="At once, or saved up. Default: either."
    )
    at_least: Share = Field(description="Least share of the stage's rewards.", examples=[0.3])


Caveat = Annotated[str, Field(min_length=1, max_length=200)]


class StrategyFile(Document):
    """Goals, priorities, plan, roles and promises, and the numbers that stand above all rules."""

    id: Identifier = Field(description="Name of the rulebook.", examples=["grocery"])
    currency: Currency = Field(description="ISO 4217 code of all money.", examples=["USD"])
    languages: Annotated[list[Language], Field(min_length=1, max_length=64)] = Field(
        description="Languages of the texts; the first is the default.", examples=[["en", "da"]]
    )
    time_zone: str = Field(
        default="UTC",
        description="IANA time zone of dates in the rules, and of customers whose own is unknown.",
        examples=["Europe/Copenhagen"],
    )
    archetype: Literal["brand", "cluster", "licence"] = Field(
        default="cluster", description="Kind of company; a price premium is assumed for `brand` only."
    )
    objective: Literal["share_of_market", "share_of_wallet", "share_of_life"] = Field(
        default="share_of_wallet",
        description="Share that the strategy is to win: of the market (revenue), of each customer's wallet"
        " (growth), or of the customer's life (retention, lifetime value). A share of the market is won now:"
        " actions that name no `horizon` have a short one then, else a long one.",
    )
    market_size: Cost | None = Field(
        default=None,
        description="Money a year that the market is worth; needed for share of market.",
        examples=[2_000_000_000],
    )
    caveats: list[Caveat] = Field(
        default=[],
        description="What readers of figures must know of them: what is assumed, made up or missing. Said"
        " wherever figures of the population are shown.",
        examples=[["costs of activities are assumed"]],
    )
    goals: Annotated[list[Goal], Field(min_length=1)] = Field(description="What the programme is to reach.")
    priorities: Annotated[list[Priority], Field(min_length=1)] = Field(
        description="Business issues, most important first."
    )
    plan: Annotated[list[Step], Field(min_length=1)] = Field(description="The action plan: who does what.")
    roles: Annotated[list[RoleEntry], Field(min_length=1)] = Field(
        description="Who acts, and how far they may go."
    )
    promises: Annotated[dict[Identifier, Texts], Field(min_length=1)] = Field(
        description="What customers are promised, by name; actions cite the promises they keep."
    )
    reason_codes: Annotated[list[Identifier], Field(min_length=1, max_length=200)] = Field(
        default=list(REASON_CODES),
        description="Codes that captured outcomes may give as their reason; a closed list, because what is"
        " counted by code outlives the customers and must name nobody.",
        examples=[["late_delivery", "wrong_bill", "other"]],
    )
    stages: Stages = Field(default=Stages(), description="Weights by loyalty stage.")
    budget: Budget = Field(default=Budget(), description="Split of the effort.")
    groups: list[Group] = Field(default=[], description="Groups of actions.")
    value: Value = Field(default=Value(), description="How actual value and profit are computed.")
    potential: Potential = Field(default=Potential(), description="Peers, potential and gaps.")
    lifetime: Lifetime = Field(default=Lifetime(), description="Lifetime value.")
    referral: Referral = Field(default=Referral(), description="Word of mouth.")
    price_premium: PricePremium | None = Field(
        default=None,
        description="Price premium in lifetime value; left out, none is assumed. For archetype `brand` only.",
        examples=[{"share": 0.03}],
    )
    forgive: Forgive = Field(
        default=Forgive(), description="What a customer in Forgive me is worth winning back, or calming."
    )
    ceiling_share: Share = Field(
        default=0.10, description="Share of lifetime value that may be invested in a customer in 12 months."
    )
    data_quality: DataQuality = Field(default=DataQuality(), description="What is asked of a snapshot.")
    sell_hold: SellHold = Field(default=SellHold(), description="When selling pauses after a bad touchpoint.")
    rewards: list[RewardShareEntry] = Field(
        default=[],
        description="Least shares of kinds of reward by stage; `nextbest report mix` checks them on the"
        " population.",
    )
    learning: LearningEntry = Field(
        default=LearningEntry(), description="How propensities learn, and how decisions explore."
    )
    arbitration: Literal["mutual", "classic"] = Field(
        default="mutual",
        description="`mutual`: expected mutual value; `classic`: propensity × context × value × lever.",
    )
