"""Decision tables that have no row for some customers."""

from collections.abc import Iterator

from nextbest.rulebook.boxes import uncovered_point
from nextbest.rulebook.lint.finding import Finding, Subject

CODE: str = "table-gap"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield tables of which one row is to hold, with an example for which none does."""
    for table in subject.parts.choices.tables:
        if table.entry.hit == "collect" or table.entry.otherwise == "nothing":
            continue
        point = uncovered_point(table.everything, [row.box for row in table.rows])
        if point is not None:
            message = f"no row of `{table.entry.id}` holds for {table.describe(point)}"
            hint = "add a row; if nothing is to be chosen there, give the table `otherwise: nothing`"
            yield Finding(table.at / "rows", message, hint, key=True)
