"""policies.yaml: channels, consent, relevance weights and contact limits that hold for every action."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag

from nextbest.rulebook.documents.common import (
    Cost,
    CountingWindow,
    Document,
    Duration,
    Factor,
    Identifier,
    Share,
    Texts,
    one_or_many,
)
from nextbest.rulebook.documents.facts import Member

OutcomeName = Literal[
    "presented",
    "clicked",
    "accepted",
    "rejected",
    "ignored",
    "problem_solved",
    "complained",
    "opted_out",
    "not_presented",
]
EvidenceName = Literal[
    "explicit_request",
    "declared_preference",
    "open_need",
    "inbound_topic",
    "peers_uptake",
    "own_interest",
    "season",
]
Outcomes: TypeAlias = Annotated[
    Annotated[OutcomeName, Tag("one")]
    | Annotated[Annotated[list[OutcomeName], Field(min_length=1)], Tag("many")],
    Discriminator(one_or_many),
]
Hour = Annotated[float, Field(ge=0, lt=24)]


class QuietHours(Document):
    """Local hours of the customer without outbound contact; may run over midnight."""

    start: Hour = Field(description="First quiet hour, such as 21 or 21.5.")
    end: Hour = Field(description="Hour at which contact may begin again.")


class Threshold(Document):
    """Least relevance an action needs in a channel."""

    inbound: Share | None = Field(default=None, description="When the customer starts the contact.")
    outbound: Share | None = Field(default=None, description="When the company does.")


class ChannelEntry(Document):
    """A way to reach the customer; known names have defaults for what is left out."""

    placements: list[Identifier] = Field(
        default=[],
        description="Places in the channel that a request may ask for.",
        examples=[["receipt", "display"]],
    )
    threshold: Threshold = Field(default=Threshold(), description="Least relevance.")
    pressure_weight: Factor | None = Field(
        default=None, description="Weight of an outbound contact in contact pressure."
    )
    quiet_hours: QuietHours | None = Field(default=None, description="Hours without outbound contact.")
    location_bound: bool | None = Field(
        default=None, description="A push bound to a place: at most one in 7 days."
    )
    max_text_length: Annotated[int, Field(gt=0, le=100_000)] | None = Field(
        default=None, description="Longest text for the customer, characters."
    )
    consent: list[Member] | None = Field(
        default=None,
        description="Members of the fact `consent` that an outbound contact needs, all of them; `[]` = none."
        " Default: `<channel>_<purpose of the action>`.",
    )


class PolicyLimit(Document):
    """Pause after outcomes: so many within a window, then silence for a while."""

    outcome: Outcomes = Field(description="Outcomes that count, one or several.")
    at_least: Annotated[int, Field(ge=1, le=10_000)] = Field(description="How many of them.")
    within: CountingWindow = Field(
        description="Window in which they count, on the time they happened: a duration up to now, or a"
        " calendar period.",
        examples=["15d", {"calendar": "month", "time_zone": "Europe/Copenhagen"}],
    )
    pause: Duration | None = Field(
        default=None,
        description="How long there is silence after the last of them. A calendar period has none: it pauses"
        " until it ends.",
    )
    scope: Literal["action", "group", "channel", "all"] = Field(
        default="action",
        description="Over what the outcomes count: this action, its group, a channel, or everything.",
    )
    channel: Identifier | None = Field(
        default=None, description="For scope `channel`: which one. Default: the channel of the treatment."
    )


class PoliciesFile(Document):
    """Channels and contact policy."""

    channels: dict[Identifier, ChannelEntry] = Field(
        default={},
        description="Channels by name. Without any, those that actions use, with their defaults.",
        examples=[{"pos": {"placements": ["receipt"]}, "email": {}}],
    )
    product_sets: dict[Identifier, Texts] = Field(
        default={},
        description="Product sets that offers are about, in words. Without any, offers name them freely; with"
        " some, a set that is not among them is an error, since the till would not know it.",
        examples=[{"coffee": {"en": "All coffee", "da": "Al kaffe"}}],
    )
    relevance: dict[EvidenceName, Share] = Field(
        default={}, description="Weight of each kind of evidence, where it differs from the default."
    )
    limits: list[PolicyLimit] = Field(default=[], description="Contact limits of every action.")
    survey_reward: Cost | None = Field(
        default=None,
        description="Most that answering a question may be rewarded with, money: an effort is thanked for,"
        " answers are not bought. Holds for actions with `survey` or the tag `survey`. Default: no limit.",
    )
