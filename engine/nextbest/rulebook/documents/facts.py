"""facts.yaml: which facts a customer snapshot holds, and which keys a request may give."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from nextbest.facts import MAX_SET_MEMBERS, FactGroup, FactSource
from nextbest.rulebook.documents.common import Day, Document, Duration, FactName, Factor

Member = Annotated[str, Field(min_length=1, max_length=64)]
Members = Annotated[list[Member], Field(min_length=1, max_length=10_000)]
Unit = Literal["", "money", "share", "days", "weeks", "count", "score", "minutes"]


class FactEntry(Document):
    """A fact of this rulebook's own."""

    name: FactName = Field(
        description="Name, as `customer.<name>` in expressions.", examples=["private_label_share"]
    )
    type: Literal["int", "double", "bool", "enum", "set", "timestamp"] = Field(
        description=f"What the fact can be; a set has at most {MAX_SET_MEMBERS} members."
    )
    group: Annotated[FactGroup, Field(strict=False)] = Field(
        description="Box of the data basis it belongs to."
    )
    description: str = Field(min_length=1, description="What the fact says.")
    source: Annotated[FactSource, Field(strict=False)] = Field(
        default=FactSource.COMPANY, description="Who it comes from."
    )
    unit: Unit = Field(default="", description="Unit of a number.")
    values: Members | None = Field(
        default=None, description="Members of an enum or a set; append new ones, never remove or reorder."
    )
    observed_at: FactName | None = Field(
        default=None, description="Timestamp fact that says when this one was observed."
    )
    minimum: float | None = Field(default=None, description="Least value that is accepted.")
    maximum: float | None = Field(default=None, description="Greatest value that is accepted.")


class ContextEntry(Document):
    """A key that a request may give, as `context.<name>` in expressions."""

    name: FactName = Field(description="Name of the key.", examples=["intent"])
    type: Literal["int", "double", "bool", "enum", "timestamp"] = Field(description="What the key can be.")
    description: str = Field(min_length=1, description="What the key says.")
    unit: Unit = Field(default="", description="Unit of a number.")
    values: Members | None = Field(default=None, description="Members of an enum.")


class Quality(Document):
    """A fact that should be known, and how long it stays fresh."""

    weight: Factor = Field(default=1, description="Weight in the data-quality score.")
    fresh: Duration | None = Field(
        default=None,
        description="Age after which it no longer counts; needs a fact with `observed_at`. Default: never.",
    )


class SeriesEntry(Document):
    """A number a period, such as spend a week: what is usual for a customer is learnt, and changes found.

    The catalogue gets the facts of its state, the periods among them: `<id>_period_1` is the one completed
    last (of `spend`: `period_1`).
    """

    id: FactName = Field(description="Name that detectors refer to.", examples=["spend", "data_use"])
    period: Duration = Field(description="Length of a period.", examples=["7d"])
    starts: Day = Field(
        default=date(1970, 1, 5),
        description="A day on which a period begins, at midnight UTC. Default: a Monday.",
        json_schema_extra={"default": "1970-01-05"},
    )
    gaps: Literal["unknown", "zero"] = Field(
        default="unknown", description="What a completed period counts that no snapshot told of."
    )
    unit: Unit = Field(default="money", description="Unit of the numbers.")
    variance_floor: Annotated[float, Field(gt=0, le=1e18)] = Field(
        description="Least variance of a period, in squared units: what differs by less is no news.",
        examples=[25],
    )
    mad_floor: Annotated[float, Field(gt=0, le=1e9)] = Field(
        description="Least median absolute deviation, in units.", examples=[5]
    )


class FactsFile(Document):
    """The catalogue: standard facts that are used, their open values, own facts, and context keys."""

    standard: Literal["all"] | list[FactName] = Field(
        default="all",
        description="Standard facts to carry: `all`, or a list of names.",
        examples=[["consent", "last_purchase"]],
    )
    values: dict[FactName, Members] = Field(
        default={},
        description="Members of the standard enums and sets that leave them open.",
        examples=[{"household": ["1_adult", "2_adults"]}],
    )
    quality: dict[FactName, Quality] = Field(
        default={},
        description="Required facts: their weight in the data-quality score, and how long they stay fresh.",
    )
    facts: list[FactEntry] = Field(
        default=[], description="Facts of this rulebook's own; append new ones at the end."
    )
    series: Annotated[list[SeriesEntry], Field(max_length=16)] = Field(
        default=[],
        description="Series of periods that writers of snapshots follow; like facts, they stay.",
    )
    retired: dict[FactName, Day] = Field(
        default={},
        description="Facts that are not filled any more, and since when. They stay in the catalogue, which is"
        " append-only; what still reads them is reported.",
        examples=[{"fax_number": "2024-01-31"}],
    )
    context: list[ContextEntry] = Field(default=[], description="Keys that a request may give.")
    events: list[FactName] = Field(
        default=[],
        description="Kinds of business event that expressions may count.",
        examples=[["purchase", "web_visit"]],
    )
