"""actions/*.yaml: what can be done for a customer, for whom, when, how, and what it is worth."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag, WithJsonSchema

from nextbest.model import DesiredAction
from nextbest.rulebook.documents.common import (
    Amount,
    Cost,
    CountingWindow,
    Day,
    Document,
    Duration,
    Expression,
    Factor,
    Identifier,
    Share,
    StageName,
    Texts,
    Words,
    form,
)
from nextbest.rulebook.documents.facts import Member
from nextbest.rulebook.documents.policies import EvidenceName, PolicyLimit

Capability = Literal[
    "payment",
    "data_update",
    "credit",
    "marketing",
    "points",
    "soft_benefit",
    "service",
    "co_creation",
    "survey",
]
TREATMENT_KEY = r"^[^\s/{}\[\]:,]+(/[^\s/{}\[\]:,]+)?$"


TreatmentKey = Annotated[
    str,
    form(TREATMENT_KEY, "expected `channel` or `channel/placement`"),
    WithJsonSchema({"type": "string", "pattern": TREATMENT_KEY}),
]


class OfferEntry(Document):
    """A typed payload that a till can act on."""

    type: Literal["percent_off", "amount_off", "points", "gift", "service", "information", "survey"] = Field(
        description="What is offered."
    )
    value: Cost = Field(default=0, description="Per cent, money or points, by type.")
    products: str = Field(default="", max_length=200, description="Product set it holds for.")
    code: str = Field(default="", max_length=64, description="Code that the till books.")


class TreatmentEntry(Document):
    """The action as it is carried out in one channel or placement."""

    say: Texts = Field(description="For the customer; shows no internals.")
    staff: Texts | None = Field(
        default=None, description="For staff; may quote facts, as `{customer.<fact>}`."
    )
    offer: OfferEntry | None = Field(default=None, description="Typed payload that a till can act on.")
    consent: list[Member] | None = Field(
        default=None, description="Consents an outbound contact needs, instead of the channel's; `[]` = none."
    )


class Effect(Document):
    """What the action changes for the customer and for the company if it is accepted."""

    customer_gap: Share = Field(default=0, description="f_C: share of the customer's value gap it closes.")
    profit_gap: Share = Field(default=0, description="f_P: share of the company's profit gap it closes.")
    recurring: Share | None = Field(
        default=None, description="ψ: share of the gain that recurs in later years; not together with `ltv`."
    )
    ltv: Amount | None = Field(
        default=None, description="ΔLTV: change of lifetime value, money; not together with `recurring`."
    )
    yearly: Amount = Field(default=0, description="Worth to the customer per year, less any price paid.")
    once: Amount | None = Field(
        default=None,
        description="Worth to the customer once, less any price paid. Default: the reward's worth.",
    )
    minutes: Factor = Field(default=0, description="Minutes of the customer's own time.")
    horizon: Literal["long", "short"] | None = Field(
        default=None,
        description="`short`: neither recurring gain nor lifetime value counts. Default: by the strategy's"
        " `objective`, `short` for share of market, else `long`.",
        examples=["short"],
    )


class CostEntry(Document):
    """What the action costs the company."""

    contact: Cost = Field(default=0, description="Money per contact.")
    accepted: Cost = Field(default=0, description="Money more if it is accepted.")


class Prior(Document):
    """A prior in terms of contacts that succeeded and failed; outcomes are added to it."""

    successes: Annotated[float, Field(gt=0, le=1e9)] = Field(description="Prior successes.")
    failures: Annotated[float, Field(gt=0, le=1e9)] = Field(description="Prior failures.")


class FittedModel(Document):
    """A propensity model fitted to data."""

    model: Identifier = Field(description="Name of the model.", examples=["redemption"])
    until_fitted: Prior | None = Field(
        default=None,
        description="What holds while the model is not fitted; without it the service does not start.",
    )


def _propensity_kind(value: object) -> str:
    if isinstance(value, Mapping):
        return "model" if "model" in value else "prior"
    return "expression"


def _authority_kind(value: object) -> str:
    return "number" if isinstance(value, int) else "role"


Authority: TypeAlias = Annotated[
    Annotated[Annotated[int, Field(ge=0, le=100)], Tag("number")] | Annotated[Identifier, Tag("role")],
    Discriminator(_authority_kind),
]
Propensity: TypeAlias = Annotated[
    Annotated[Prior, Tag("prior")]
    | Annotated[FittedModel, Tag("model")]
    | Annotated[Expression, Tag("expression")],
    Discriminator(_propensity_kind),
]


class Uplift(Document):
    """What happens without the action, so that only the difference counts."""

    base: Share = Field(description="p₀: share who do it anyway.")


class ContextWeight(Document):
    """A situation that makes the action better or worse."""

    when: Expression = Field(description="The situation.", examples=["context.intent == 'service'"])
    weight: float = Field(ge=-100, le=1000, description="Per cent added to W while it holds.")


class Validity(Document):
    """Days on which the action may be used, in the customer's time zone, else in the strategy's."""

    start: Day | None = Field(default=None, alias="from", description="First day.")
    through: Day | None = Field(default=None, description="Last day.")


class Cap(Document):
    """At most so many contacts of the action per customer."""

    at_most: Annotated[int, Field(ge=0, le=10_000)] = Field(description="How many.")
    within: CountingWindow = Field(
        description="Window in which they count: a duration up to now, or a calendar period.",
        examples=["7d", {"calendar": "week", "time_zone": "Europe/Copenhagen"}],
    )


class Reward(Document):
    """What the customer gets for it."""

    type: Literal["monetary", "emotional"] = Field(description="Money's worth, or recognition.")
    timing: Literal["immediate", "saved"] = Field(default="immediate", description="At once, or saved up.")
    worth: Cost = Field(description="Worth to the customer, money.")


class Survey(Document):
    """A question to the customer: one score and a free comment."""

    questions: Annotated[list[Texts], Field(min_length=1)] = Field(description="Scored questions; one.")
    comment: Texts | None = Field(default=None, description="Invitation to comment freely.")


class ActionEntry(Document):
    """Something that can be done for a customer."""

    id: Identifier = Field(description="Name; stays the same for ever.", examples=["win_back_basket"])
    desired_action: Annotated[DesiredAction, Field(strict=False)] = Field(
        description="What the action wants to bring about."
    )
    reason: Texts = Field(description="Why this is for the customer, in words for the customer.")
    treatments: Annotated[dict[TreatmentKey, TreatmentEntry], Field(min_length=1)] = Field(
        description="How it is carried out, by `channel` or `channel/placement`.",
        examples=[{"pos/receipt": {"say": {"en": "Your coffee is 20 % off"}}}],
    )
    issue: Identifier | None = Field(default=None, description="Priority of the strategy that it serves.")
    group: Identifier | None = Field(default=None, description="Group of the strategy that it belongs to.")
    benefit_group: Identifier | None = Field(
        default=None,
        description="Actions with the same benefit: new customers must not get more than loyal ones.",
    )
    purpose: Literal["marketing", "service", "survey"] | None = Field(
        default=None, description="Purpose for which consent is needed. Default: by `desired_action`."
    )
    stages: Annotated[list[StageName], Field(min_length=1)] | None = Field(
        default=None, description="Loyalty stages it is for. Default: all."
    )
    segments: list[Identifier] = Field(
        default=[], description="Segments, any of which must hold. Default: everybody."
    )
    triggers: list[Identifier] = Field(
        default=[], description="Triggers, any of which must have fired. Default: none is needed."
    )
    when: Expression | None = Field(
        default=None, description="Condition that must be true.", examples=["customer.discount_share < 0.5"]
    )
    topics: list[Member] = Field(default=[], description="Members of the fact `blocked_topics` that stop it.")
    mandatory: bool = Field(
        default=False, description="Comes first, and skips relevance, pressure and arbitration."
    )
    authority: Authority = Field(
        default=0, description="Role whose authority the caller needs at least, or the authority itself."
    )
    valid: Validity = Field(
        default=Validity(), description="Days on which it may be used, where the customer is."
    )
    max_snapshot_age: Duration | None = Field(
        default=None, description="Oldest snapshot it may be decided on."
    )
    effect: Effect = Field(default=Effect(), description="What it changes if it is accepted.")
    cost: CostEntry = Field(default=CostEntry(), description="What it costs the company.")
    propensity: Propensity = Field(
        description="Probability that it is accepted: a prior, an expression, or a fitted model.",
        examples=[{"successes": 2, "failures": 38}, "0.1", {"model": "redemption"}],
    )
    uplift: Uplift | None = Field(default=None, description="Count only what would not happen anyway.")
    relevance: dict[EvidenceName, Expression] = Field(
        default={},
        description="Evidence that the customer would have asked for it: a condition, or a strength"
        " from 0 to 1.",
        examples=[{"open_need": "'recipes' in customer.needs"}],
    )
    need: Literal["solve", "create"] = Field(
        default="solve", description="Whether it solves a need or creates one."
    )
    intent: Literal["outside_in", "inside_out"] = Field(
        default="outside_in",
        description="`inside_out`: pushes what we want to sell; its relevance is capped.",
    )
    context: list[ContextWeight] = Field(default=[], description="Situations that make it better or worse.")
    lever: float = Field(default=0, ge=-100, le=1000, description="Per cent added to the action's lever.")
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = Field(
        default=0, description="Decides between equal scores; higher first."
    )
    value: Cost = Field(default=1, description="V of classic arbitration; not used otherwise.")
    reward: Reward | None = Field(default=None, description="What the customer gets for it.")
    limits: list[PolicyLimit] = Field(default=[], description="Pauses after outcomes.")
    caps: list[Cap] = Field(default=[], description="Most contacts per customer.")
    survey: Survey | None = Field(default=None, description="The question, if the action is one.")
    promises: list[Identifier] = Field(default=[], description="Promises of the strategy that it keeps.")
    tags: list[Capability] = Field(default=[], description="Capabilities it needs.")
    owner: Words | None = Field(default=None, description="Who answers for it.")


class ActionsFile(Document):
    """Actions in any order."""

    actions: list[ActionEntry] = Field(description="The actions.")
