"""segments.yaml and triggers/*.yaml: named predicates, and the events that call for an action."""

from typing import Annotated, Literal

from pydantic import Field, Tag
from pydantic.types import Discriminator

from nextbest.rulebook.documents.common import Document, Duration, Expression, FactName, Identifier, Texts
from nextbest.rulebook.documents.patterns import PatternEntry


class SegmentEntry(Document):
    """A named predicate over customers; segments may overlap."""

    id: Identifier = Field(description="Name that actions refer to.", examples=["families"])
    when: Expression = Field(
        description="Who belongs to it.", examples=["customer.household in ['1_adult_kids', '2_adults_kids']"]
    )
    text: Texts | None = Field(default=None, description="The segment in words.")


class SegmentsFile(Document):
    """Segments, most important first."""

    segments: Annotated[list[SegmentEntry], Field(max_length=64)] = Field(
        default=[], description="At most 64 segments."
    )


class SnapshotTrigger(Document):
    """Fires while an expression holds."""

    id: Identifier = Field(description="Name that actions refer to.", examples=["overdue_purchase"])
    kind: Literal["snapshot"] = Field(default="snapshot", description="An expression over the snapshot.")
    when: Expression = Field(
        description="What has changed in the customer's behaviour.",
        examples=["customer.overdue_survival < 0.05"],
    )
    cool_down: Duration = Field(
        default=0.0,
        description="After a contact it caused, the trigger does not fire again for so long.",
        json_schema_extra={"default": "0d"},
    )
    text: Texts | None = Field(default=None, description="The trigger in words, for staff.")


class StoredTrigger(Document):
    """Fired by a worker off the request path, which stores when."""

    id: Identifier = Field(description="Name that actions refer to.", examples=["spend_dropped"])
    kind: Literal["detector", "pattern"] = Field(
        description="`detector`: a change in a series; `pattern`: a sequence of events."
    )
    pattern: Identifier | None = Field(
        default=None, description="The event pattern that fires it. Default: the one with the trigger's id."
    )
    detects: Literal["drop", "rise", "silent_drop"] | None = Field(
        default=None,
        description="What fires a detector: spend a period fell, rose, or fell without a complaint."
        " Default: `drop`.",
    )
    fired_at: FactName = Field(description="Timestamp fact that holds when it fired last.")
    hold: Duration = Field(description="How long it holds after it fired.", examples=["14d"])
    cool_down: Duration = Field(
        default=0.0,
        description="After a contact it caused, the trigger does not fire again for so long.",
        json_schema_extra={"default": "0d"},
    )
    text: Texts | None = Field(default=None, description="The trigger in words, for staff.")


def _trigger_kind(value: object) -> str:
    kind = value.get("kind", "snapshot") if isinstance(value, dict) else "snapshot"  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # any mapping
    return "stored" if kind in ("detector", "pattern") else "snapshot"


TriggerEntry = Annotated[
    Annotated[SnapshotTrigger, Tag("snapshot")] | Annotated[StoredTrigger, Tag("stored")],
    Discriminator(_trigger_kind),
]


class TriggersFile(Document):
    """Events in a customer's behaviour that call for an action."""

    triggers: list[TriggerEntry] = Field(default=[], description="Triggers in any order.")
    patterns: list[PatternEntry] = Field(
        default=[], description="What events look like when a pattern trigger fires, in any order."
    )
