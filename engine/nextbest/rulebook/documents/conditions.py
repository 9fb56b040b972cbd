"""segments.yaml and triggers/*.yaml: named predicates, and the events that call for an action."""

from typing import Annotated, Literal

from pydantic import Field, Tag
from pydantic.types import Discriminator

from nextbest.facts import FactGroup
from nextbest.rulebook.documents.common import (
    Document,
    Duration,
    Expression,
    FactName,
    Factor,
    Identifier,
    Texts,
)
from nextbest.rulebook.documents.patterns import PatternEntry

Detected = Literal["drop", "rise", "silent_drop", "dip", "spike", "fewer_purchases", "more_purchases"]
"""What a detector can find."""


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


class DetectorEvidence(Document):
    """Number facts that hold why a detector fired last."""

    observed: FactName | None = Field(
        default=None, description="The period's value, or the count of purchases.", examples=["spend_week"]
    )
    expected: FactName | None = Field(
        default=None, description="What is usual for the customer.", examples=["spend_usual"]
    )
    z: FactName | None = Field(
        default=None, description="How far off that is, in standard deviations.", examples=["spend_z"]
    )
    robust_z: FactName | None = Field(
        default=None,
        description="The same, from the median of the latest periods.",
        examples=["spend_robust_z"],
    )
    probability: FactName | None = Field(
        default=None,
        description="How likely so few or so many purchases were.",
        examples=["purchases_probability"],
    )


class StoredTrigger(Document):
    """Fired by a worker off the request path, or by whoever writes the snapshot, which stores when."""

    id: Identifier = Field(description="Name that actions refer to.", examples=["spend_dropped"])
    kind: Literal["detector", "pattern"] = Field(
        description="`detector`: a change in a series; `pattern`: a sequence of events."
    )
    pattern: Identifier | None = Field(
        default=None, description="The event pattern that fires it. Default: the one with the trigger's id."
    )
    detects: Detected | None = Field(
        default=None,
        description="What fires a detector. In a series: `drop` and `rise`, its level changed; `silent_drop`,"
        " it fell without a complaint; `dip` and `spike`, one period was far off. Between two snapshots:"
        " `fewer_purchases` and `more_purchases` than the customer's rhythm. Default: `drop`.",
    )
    series: FactName | None = Field(
        default=None,
        description="Series in which it is found. Default: the only one that is declared.",
        examples=["spend"],
    )
    evidence: DetectorEvidence = Field(
        default=DetectorEvidence(),
        description="Facts that keep the numbers behind it.",
        examples=[{"observed": "spend_week", "expected": "spend_usual", "z": "spend_z"}],
    )
    fired_at: FactName = Field(description="Timestamp fact that holds when it fired last.")
    hold: Duration = Field(description="How long it holds after it fired.", examples=["14d"])
    cool_down: Duration = Field(
        default=0.0,
        description="After it fired, and after a contact it caused, it does not fire again for so long.",
        json_schema_extra={"default": "0d"},
    )
    text: Texts | None = Field(default=None, description="The trigger in words, for staff.")


class ChangeEvidence(Document):
    """Facts that hold what a change trigger saw last."""

    before: FactName | None = Field(
        default=None, description="The value before the change.", examples=["satisfaction_was"]
    )
    after: FactName | None = Field(
        default=None, description="The value after it.", examples=["satisfaction_is"]
    )


class ChangeTrigger(Document):
    """Fired by whoever writes a snapshot that differs from the one before. Give `watch` or `group`."""

    id: Identifier = Field(description="Name that actions refer to.", examples=["satisfaction_fell"])
    kind: Literal["change"] = Field(description="A difference between two successive snapshots.")
    watch: FactName | None = Field(
        default=None, description="Fact or figure that is compared.", examples=["satisfaction", "level"]
    )
    group: Annotated[FactGroup, Field(strict=False)] | None = Field(
        default=None, description="Box of the data basis: any of its facts.", examples=["service_level"]
    )
    change: Literal["changed", "rose", "fell", "appeared", "vanished"] = Field(
        default="changed",
        description="What counts. `changed` is any difference, appearing and vanishing included.",
    )
    by: Factor = Field(default=0.0, description="A number differs by at least so much.", examples=[20])
    by_share: Factor = Field(
        default=0.0, description="... and by at least this share of what it was.", examples=[0.3]
    )
    to: list[str | bool] = Field(
        default=[], description="Only a change to one of these values.", examples=[["grow_me"]]
    )
    silent: bool = Field(
        default=False, description="Only while no complaint is open or younger than 90 days."
    )
    evidence: ChangeEvidence = Field(
        default=ChangeEvidence(),
        description="Facts that keep what it saw; of the type of what is watched.",
        examples=[{"before": "satisfaction_was", "after": "satisfaction_is"}],
    )
    fired_at: FactName = Field(
        description="Timestamp fact that holds when it fired last.", examples=["satisfaction_fell_at"]
    )
    hold: Duration = Field(description="How long it holds after it fired.", examples=["14d"])
    cool_down: Duration = Field(
        default=0.0,
        description="After it fired, and after a contact it caused, it does not fire again for so long.",
        json_schema_extra={"default": "0d"},
    )
    text: Texts | None = Field(default=None, description="The trigger in words, for staff.")


def _trigger_kind(value: object) -> str:
    kind = value.get("kind", "snapshot") if isinstance(value, dict) else "snapshot"  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # any mapping
    if kind == "change":
        return "change"
    return "stored" if kind in ("detector", "pattern") else "snapshot"


TriggerEntry = Annotated[
    Annotated[SnapshotTrigger, Tag("snapshot")]
    | Annotated[StoredTrigger, Tag("stored")]
    | Annotated[ChangeTrigger, Tag("change")],
    Discriminator(_trigger_kind),
]


class TriggersFile(Document):
    """Events in a customer's behaviour that call for an action."""

    triggers: list[TriggerEntry] = Field(default=[], description="Triggers in any order.")
    patterns: list[PatternEntry] = Field(
        default=[], description="What events look like when a pattern trigger fires, in any order."
    )
