"""triggers/*.yaml, `patterns`: what a customer's events look like when a pattern trigger fires."""

from typing import Annotated

from pydantic import Field

from nextbest.rulebook.documents.common import Document, Duration, FactName, Identifier

MAX_CONDITION = 2000
"""Longest condition on an event, characters."""

EventCondition = Annotated[str, Field(min_length=1, max_length=MAX_CONDITION)]
"""Comparisons joined by `&&`, of the event's own attributes with constants or with earlier events."""

_WHERE = "Comparisons joined by `&&`: of the event's attributes with constants, or with earlier events."


class StepEntry(Document):
    """One event of a sequence."""

    event: FactName = Field(description="Kind of event.", examples=["return_goods"])
    name: FactName | None = Field(
        default=None,
        alias="as",
        description="Name for later conditions to use.",
        examples=["first"],
    )
    where: EventCondition | None = Field(
        default=None, description=_WHERE, examples=["amount > 50 && channel == 'pos'"]
    )
    within: Duration | None = Field(
        default=None, description="Less than so long after the step before it.", examples=["14d"]
    )


class CountEntry(Document):
    """Events of one kind that pile up."""

    event: FactName = Field(description="Kind of event.", examples=["complaint"])
    name: FactName | None = Field(
        default=None, alias="as", description="Name of the event that completes the count."
    )
    where: EventCondition | None = Field(default=None, description="Comparisons with constants.")
    same: list[FactName] = Field(
        default=[], description="Attributes in which the events are equal.", examples=[["product"]]
    )
    at_least: int = Field(description="How many events.", examples=[3])
    within: Duration = Field(
        description="The last comes less than so long after the first.", examples=["30d"]
    )


class AbsenceEntry(Document):
    """An event that did not come in time."""

    event: FactName = Field(description="Kind of event.", examples=["purchase"])
    where: EventCondition | None = Field(default=None, description=_WHERE)
    within: Duration = Field(
        description="How long nothing of the kind followed the last event.", examples=["30d"]
    )


class PatternEntry(Document):
    """A sequence or a count of events, and what must not follow. Give `sequence` or `count`."""

    id: Identifier = Field(
        description="Name that pattern triggers refer to.", examples=["returns_then_silence"]
    )
    sequence: list[StepEntry] | None = Field(default=None, description="Events in the order of their times.")
    count: CountEntry | None = Field(default=None, description="Events of one kind that pile up.")
    within: Duration | None = Field(
        default=None, description="A whole sequence is over in less than so long.", examples=["30d"]
    )
    then_no: AbsenceEntry | None = Field(
        default=None, description="Fires only if no such event follows; at the end of the wait."
    )
