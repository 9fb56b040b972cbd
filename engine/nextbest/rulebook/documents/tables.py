"""tables/*.yaml: decision tables. Columns are facts, rows choose actions, levers or segments."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from nextbest.rulebook.documents.common import Document, Expression, Identifier, Texts

MAX_COLUMNS = 32
MAX_ROWS = 200
MAX_CELL = 500
"""Longest cell, characters."""


def _cell(value: object) -> object:
    """YAML reads `true` and `3` as what they are; both are cells too."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value}"
    if isinstance(value, str) and value.strip() and len(value) <= MAX_CELL:
        return value
    raise PydanticCustomError("cell", "expected a condition such as `>= 3`, `2..5`, `gold, silver` or `-`")


Cell = Annotated[
    str,
    BeforeValidator(_cell),
    WithJsonSchema(
        {
            "type": ["string", "number", "boolean"],
            "examples": [">= 3", "2..5", "gold, silver", "not gold", "-"],
        }
    ),
]
"""Condition on a column; `-` = anything."""


class RowEntry(Document):
    """A row: what must hold in each column, and what is chosen then."""

    when: list[Cell] = Field(
        description="One condition a column: `>= 3`, `2..5` (ends included), `gold, silver`, `not gold`,"
        " `known`, `unknown`, or `-` for anything. Quote all but plain words and numbers.",
        examples=[["in_force", "< 60", "-"]],
    )
    actions: list[Identifier] = Field(
        default=[], description="Actions that may be offered then. Nothing: deliberately none."
    )
    segments: list[Identifier] = Field(
        default=[], description="Segments the customer belongs to then; the table declares them."
    )
    levers: dict[Identifier, Annotated[float, Field(ge=-100, le=1000)]] = Field(
        default={}, description="Per cent added to the context weight W of actions then, by action."
    )


class TableEntry(Document):
    """A decision table. An action that it names anywhere is offered only where one of its rows says so."""

    id: Identifier = Field(description="Name of the table.", examples=["renewals"])
    text: Texts | None = Field(default=None, description="The table in words.")
    hit: Literal["unique", "first", "collect"] = Field(
        default="unique",
        description="`unique`: no two rows may hold at once, which is checked; `first`: the first row that"
        " holds counts; `collect`: every row that holds counts.",
    )
    otherwise: Literal["report", "nothing"] = Field(
        default="report",
        description="Where no row of a `unique` or `first` table holds: `report`: the check shows an example;"
        " `nothing`: that is meant.",
    )
    columns: Annotated[list[Expression], Field(min_length=1, max_length=MAX_COLUMNS)] = Field(
        description="Facts, or expressions over them, that rows have conditions on.",
        examples=[["customer.contract_state", "days_until(customer.renewal)"]],
    )
    rows: Annotated[list[RowEntry], Field(min_length=1, max_length=MAX_ROWS)] = Field(
        description="The rows, in order."
    )


class TablesFile(Document):
    """Decision tables in any order."""

    tables: list[TableEntry] = Field(description="The tables.")
