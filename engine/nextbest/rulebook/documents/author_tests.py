"""tests/*_test.yaml: what the rulebook must answer. `nextbest rules test` lets the real decision answer."""

from typing import Annotated, Literal, TypeAlias, cast

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from nextbest.model import Reason
from nextbest.rulebook.documents.common import (
    Amount,
    Document,
    Duration,
    FactName,
    Identifier,
    Words,
    form,
    one_or_many,
)
from nextbest.rulebook.documents.policies import OutcomeName

MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?Z$"
Moment = Annotated[
    str,
    form(MOMENT, "expected a time in UTC such as `2025-06-01T12:00:00Z`"),
    WithJsonSchema({"type": "string", "pattern": MOMENT}),
]
REASONS = tuple(reason.name.lower() for reason in Reason)
"""Why an action may not be in an answer, as `excludes` names it."""


def _fact_value(value: object) -> object:
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in cast("list[object]", value)):
        return cast("object", value)
    raise PydanticCustomError("fact_value", "expected a value, or a list of members of a set")


FactValue = Annotated[
    object,
    BeforeValidator(_fact_value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": ["string", "number", "boolean"]},
                {"type": "array", "items": {"type": "string"}},
            ],
            "examples": [9, "gold", ["coffee", "tea"], "30d ago"],
        }
    ),
]
"""A value as a person writes it. Times are UTC, or relative to the test's `now`: `30d ago`, `in 2w`."""

ReasonName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(REASONS)})]


class Happening(Document):
    """Something that has happened between the customer and the company."""

    ago: Duration = Field(description="How long before `now`.", examples=["3d"])
    event: Identifier | None = Field(
        default=None, description="Kind of business event. Without it: a contact, or its outcome."
    )
    outcome: OutcomeName | None = Field(
        default=None, description="What came of a contact. Without it the entry is the contact itself."
    )
    channel: Identifier | None = Field(default=None, description="Channel.")
    direction: Literal["inbound", "outbound"] = Field(
        default="outbound", description="Who started the contact."
    )
    placement: Identifier | None = Field(default=None, description="Placement.")
    action: Identifier | None = Field(default=None, description="Action that was presented.")
    trigger: Identifier | None = Field(default=None, description="Trigger that called for it.")
    amount: Amount | None = Field(default=None, description="Money.")
    cost: Amount | None = Field(default=None, description="What it cost, money.")


class Situation(Document):
    """The request."""

    channel: Identifier = Field(description="Channel that asks.")
    direction: Literal["inbound", "outbound"] = Field(
        default="inbound", description="Who starts the contact."
    )
    placements: list[Identifier] = Field(
        default=[], description="Placements asked for, in order of preference. Default: any."
    )
    phase: Literal[
        "unspecified", "before_visit", "browsing", "before_payment", "at_payment", "after_purchase"
    ] = Field(default="unspecified", description="When in the purchase the customer is identified.")
    role: Identifier | None = Field(default=None, description="Role that asks.")
    keys: dict[FactName, FactValue] = Field(default={}, description="Values of `context.<key>`.")
    results: Annotated[int, Field(ge=1, le=25)] = Field(default=3, description="Most actions in the answer.")


def _exclusions(value: object) -> str:
    return "names" if isinstance(value, list) else "reasons"


Exclusions: TypeAlias = Annotated[
    Annotated[list[Identifier], Tag("names")] | Annotated[dict[Identifier, ReasonName], Tag("reasons")],
    Discriminator(_exclusions),
]
Answer: TypeAlias = Annotated[
    Annotated[Identifier, Tag("one")] | Annotated[list[Identifier], Tag("many")], Discriminator(one_or_many)
]


class Expectation(Document):
    """What must be true of the answer."""

    answer: Answer | None = Field(
        default=None,
        description="The whole answer: its actions in order, or `do_nothing`.",
        examples=["do_nothing", ["apology", "repair_gesture"]],
    )
    first: Identifier | None = Field(
        default=None, description="Action that ranks first; `do_nothing` for none."
    )
    includes: list[Identifier] = Field(default=[], description="Actions that are in the answer.")
    excludes: Exclusions = Field(
        default=[],
        description="Actions that are not, as a list, or with the reason: `{coffee_card: condition_false}`.",
    )
    fired: list[Identifier] = Field(default=[], description="Triggers that have fired.")
    not_fired: list[Identifier] = Field(default=[], description="Triggers that have not.")


class Background(Document):
    """What the tests of a file have in common; a test's own values come first."""

    now: Moment | None = Field(default=None, description="Time of the requests, UTC.")
    customer: dict[FactName, FactValue] = Field(default={}, description="Facts that are known.")
    figures: dict[FactName, FactValue] = Field(default={}, description="Computed figures to assume.")


class AuthorTest(Document):
    """A customer, a situation, and what must come of it."""

    name: Words = Field(description="What the test shows.")
    now: Moment | None = Field(
        default=None,
        description="Time of the request, UTC; from the file's `background` if left out.",
        examples=["2025-06-01T12:00:00Z"],
    )
    customer: dict[FactName, FactValue] = Field(
        default={},
        description="Facts that are known. Times may be relative: `30d ago`, `in 2w`.",
        examples=[{"nps_relation": 9, "last_purchase": "30d ago", "needs": ["coffee"]}],
    )
    unknown: list[FactName] = Field(
        default=[], description="Facts and figures of the background that are not known here."
    )
    snapshot_age: Duration = Field(
        default=0.0,
        description="How old the customer's snapshot is.",
        json_schema_extra={"default": "0d"},
    )
    figures: dict[FactName, FactValue] = Field(
        default={},
        description="Computed figures to assume. Those that need a fitted model (`ltv`, `alive`, gaps) are"
        " unknown otherwise.",
        examples=[{"stage": "grow_me", "value_gap": 400}],
    )
    history: list[Happening] = Field(default=[], description="What has happened, in any order.")
    request: Situation = Field(description="The situation.")
    expect: Expectation = Field(description="What the answer must be like.")


class TestsFile(Document):
    """Author's tests."""

    __test__ = False

    background: Background = Field(
        default=Background(), description="What the tests have in common; their own values come first."
    )
    tests: list[AuthorTest] = Field(description="The tests.")
