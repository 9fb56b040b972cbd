"""Rows of decision tables that never count."""

from collections.abc import Iterator

from nextbest.rulebook.boxes import covered_by_earlier
from nextbest.rulebook.compile.decision_tables import Table
from nextbest.rulebook.lint.finding import Finding, Subject

CODE: str = "idle-table-row"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield cells that no value fits, and rows that earlier ones of a `first` table leave nothing."""
    for table in subject.parts.choices.tables:
        first = table.entry.hit == "first"
        covered = frozenset(covered_by_earlier([row.box for row in table.rows]) if first else ())
        for index, row in enumerate(table.rows):
            yield from _empty_cells(table, index)
            if index in covered:
                message = (
                    f"row {index + 1} of `{table.entry.id}` never counts: earlier rows hold wherever it does"
                )
                yield Finding(row.at / "when", message, "move it up, or leave it out", key=True)


def _empty_cells(table: Table, index: int) -> Iterator[Finding]:
    row = table.rows[index]
    for k, column in enumerate(table.columns):
        if not row.box[k]:
            cell, name = row.entry.when[k].strip(), column.typed.source.strip()
            yield Finding(row.at / "when" / k, f"no value of `{name}` fits `{cell}`", "the row never holds")
