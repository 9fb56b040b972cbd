"""tests/*_test.yaml: what the rulebook must answer. The shape is checked; running them comes later."""

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from nextbest.rulebook.documents.common import Document, FactName, Identifier, Words, form

FactValue = bool | int | float | str | list[str]


MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?Z$"
Moment = Annotated[
    str,
    form(MOMENT, "expected a time in UTC such as `2025-06-01T12:00:00Z`"),
    WithJsonSchema({"type": "string", "pattern": MOMENT}),
]


class Situation(Document):
    """The request."""

    channel: Identifier = Field(description="Channel that asks.")
    direction: Literal["inbound", "outbound"] = Field(
        default="inbound", description="Who starts the contact."
    )
    placements: list[Identifier] = Field(default=[], description="Placements asked for. Default: any.")
    role: Identifier | None = Field(default=None, description="Role that asks.")
    keys: dict[FactName, FactValue] = Field(default={}, description="Values of `context.<key>`.")


class Expectation(Document):
    """What must be true of the answer."""

    first: Identifier | None = Field(
        default=None, description="Action that ranks first; `do_nothing` for none."
    )
    includes: list[Identifier] = Field(default=[], description="Actions that are in the answer.")
    excludes: dict[Identifier, Words] | list[Identifier] = Field(
        default=[], description="Actions that are not, with the reason if it matters."
    )


class AuthorTest(Document):
    """A customer, a situation, and what must come of it."""

    name: Words = Field(description="What the test shows.")
    now: Moment = Field(description="Time of the request, UTC.", examples=["2025-06-01T12:00:00Z"])
    customer: dict[FactName, FactValue] = Field(default={}, description="Facts that are known.")
    figures: dict[FactName, FactValue] = Field(
        default={}, description="Computed figures to assume, such as `stage`."
    )
    request: Situation = Field(description="The situation.")
    expect: Expectation = Field(description="What the answer must be like.")


class TestsFile(Document):
    """Author's tests."""

    __test__ = False

    tests: list[AuthorTest] = Field(description="The tests.")
