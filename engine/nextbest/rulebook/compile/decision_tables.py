"""tables/*.yaml → conditions of actions and segments, and weights of levers; overlaps are errors."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from nextbest.facts import Catalogue
from nextbest.rulebook.boxes import Box, Point, common_point
from nextbest.rulebook.compile.cells import Cell, CellError, Value, parse_cell
from nextbest.rulebook.compile.expressions import NONE, Expressions
from nextbest.rulebook.compile.reading import Read
from nextbest.rulebook.compile.report import At, Report
from nextbest.rulebook.compile.texts import Languages
from nextbest.rulebook.documents.tables import RowEntry, TableEntry, TablesFile
from nextbest.rulebook.expressions.folding import conjunction, negation
from nextbest.rulebook.expressions.typed import Expr, Form, TypedExpression
from nextbest.rulebook.expressions.types import BOOL, INT, UINT, Kind
from nextbest.rulebook.rulebook import Segment
from nextbest.rulebook.samples import bounds_of, number_samples

MAX_MEMBERS = 8
"""Members of one set that a table can tell apart: every combination of them is a value."""
MAX_SEGMENTS = 64
"""An action's segments are one word."""
MOST_SHOWN = 8
"""Earlier rows that are shown with a condition."""

_OPERAND = re.compile(r"[\w.]+(?:\([^()]*\))?", re.ASCII)
"""A name, or a function of names: what needs no parentheses."""

PlacedTable = tuple[TableEntry, At]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: what it asks, and values that stand for all it may have."""

    typed: TypedExpression
    values: Sequence[Value]
    """The last one is None: missing, which `-` accepts too."""
    asks_known: bool
    """Whether a cell asks if it is known: only then has a table without a row for the missing a gap."""

    @property
    def to_cover(self) -> int:
        """Bit set of the values that rows should have an answer for."""
        return (1 << len(self.values) - (not self.asks_known)) - 1

    @property
    def cel(self) -> str:
        """The column as an operand."""
        source = self.typed.source.strip()
        return source if _OPERAND.fullmatch(source) else f"({source})"


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its condition by itself, and as a box over the columns' values."""

    entry: RowEntry
    at: At
    box: Box
    condition: TypedExpression


@dataclass(frozen=True, slots=True)
class Table:
    """A table without errors."""

    entry: TableEntry
    at: At
    columns: Sequence[Column]
    rows: Sequence[Row]

    @property
    def everything(self) -> Box:
        """The box of all values that rows should have an answer for."""
        return tuple(column.to_cover for column in self.columns)

    def describe(self, point: Point) -> str:
        """A combination of values in words."""
        named = zip(self.columns, point, strict=True)
        return ", ".join(f"`{c.typed.source.strip()}` = {shown(c.values[at])}" for c, at in named)


@dataclass(frozen=True, slots=True)
class Choices:
    """What the tables decide."""

    tables: Sequence[Table] = ()
    segments: Mapping[str, TypedExpression] = field(default_factory=dict[str, TypedExpression])
    """Condition of each segment that a table declares."""
    gates: Mapping[str, TypedExpression] = field(default_factory=dict[str, TypedExpression])
    """Condition of each action that tables choose; of several tables, all."""
    levers: Mapping[str, Sequence[tuple[TypedExpression, float]]] = field(
        default_factory=dict[str, Sequence[tuple[TypedExpression, float]]]
    )
    """Conditional weights of actions, per cent."""


def ordered_tables(reads: Iterable[Read[TablesFile]], report: Report) -> list[PlacedTable]:
    """All tables by id, each once, so that the order of files does not matter."""
    tables: dict[str, PlacedTable] = {}
    for read in reads:
        for i, entry in enumerate(read.document.tables):
            at = read.at / "tables" / i
            if entry.id in tables:
                first = tables[entry.id][1].file.path
                message = f"table `{entry.id}` is declared twice"
                report.error(at / "id", "duplicate-id", message, f"first in `{first}`")
            tables.setdefault(entry.id, (entry, at))
    return [tables[name] for name in sorted(tables)]


def segments_of(placed: Iterable[PlacedTable]) -> dict[str, At]:
    """Where each segment that a table declares is named first."""
    found: dict[str, At] = {}
    for entry, at in placed:
        for i, row in enumerate(entry.rows):
            for k, name in enumerate(row.segments):
                found.setdefault(name, at / "rows" / i / "segments" / k)
    return found


def table_segments(
    placed: Iterable[PlacedTable],
    choices: Choices,
    declared: Sequence[Segment],
    expressions: Expressions,
    report: Report,
) -> tuple[Segment, ...]:
    """Segments as declared, then those of tables in the order of their names' first use."""
    taken = {segment.id for segment in declared}
    found: list[Segment] = []
    for name, at in segments_of(placed).items():
        if name in taken:
            report.error(at, "duplicate-id", f"segment `{name}` is declared in `segments.yaml` too")
        condition = choices.segments.get(name)
        if condition is None:
            found.append(Segment(name, NONE))
        else:
            found.append(Segment(name, expressions.composed(condition, at), condition.source))
    if len(declared) + len(found) > MAX_SEGMENTS and found:
        at = segments_of(placed)[found[-1].id]
        report.error(at, "too-many", f"at most {MAX_SEGMENTS} segments, not {len(declared) + len(found)}")
    return (*declared, *found)


def compile_tables(
    placed: Iterable[PlacedTable],
    actions: Iterable[str],
    expressions: Expressions,
    catalogue: Catalogue,
    languages: Languages,
    report: Report,
) -> Choices:
    """What tables decide, after reporting all that is wrong with them.

    Args:
        placed: entries and where they stand.
        actions: ids that rows may choose.
        expressions: checks what cells say.
        catalogue: for the values that facts may have.
        languages: of texts.
        report: receives the problems.
    """
    known = frozenset(actions)
    compiler = _TableCompiler(expressions, catalogue, report)
    tables: list[Table] = []
    for entry, at in placed:
        languages.resolve(entry.text, at / "text", report)
        _check_choices(entry, at, known, report)
        table = compiler.compile(entry, at)
        if table is not None:
            tables.append(table)
    return _choices(tables, report)


def _check_choices(entry: TableEntry, at: At, actions: frozenset[str], report: Report) -> None:
    for i, row in enumerate(entry.rows):
        place = at / "rows" / i
        for k, name in enumerate(row.actions):
            if name not in actions:
                report.unknown(place / "actions" / k, "action", name, actions)
        for name in row.levers:
            if name not in actions:
                report.unknown_key(place / "levers" / name, "action", name, actions)


@dataclass(frozen=True)
class _TableCompiler:
    expressions: Expressions
    catalogue: Catalogue
    report: Report

    def compile(self, entry: TableEntry, at: At) -> Table | None:
        """One table; None if its columns or cells are not in order."""
        typed = [self.expressions.expression(c, at / "columns" / i) for i, c in enumerate(entry.columns)]
        cells = [self._cells(row, typed, entry, at / "rows" / i) for i, row in enumerate(entry.rows)]
        whole = [row for row in cells if row is not None]
        known = [column for column in typed if column is not None]
        if len(whole) < len(cells) or len(known) < len(typed):
            return None
        by_column = [[row[k] for row in whole] for k in range(len(known))]
        columns = [
            self._column(column, asked, at / "columns" / k)
            for k, (column, asked) in enumerate(zip(known, by_column, strict=True))
        ]
        rows = [
            row
            for i, (document, asked) in enumerate(zip(entry.rows, whole, strict=True))
            if (row := self._row(document, asked, columns, at / "rows" / i)) is not None
        ]
        table = Table(entry, at, columns, rows)
        if entry.hit == "unique":
            _check_unique(table, self.report)
        return table if len(rows) == len(entry.rows) else None

    def _cells(
        self, row: RowEntry, columns: Sequence[TypedExpression | None], entry: TableEntry, at: At
    ) -> list[Cell] | None:
        if len(row.when) != len(columns):
            if (at / "when").path not in at.kept:  # else a cell was reported, and left out
                self._report_count(row, entry, at)
            return None
        cells = [
            self._cell(text, column, at / "when" / k)
            for k, (text, column) in enumerate(zip(row.when, columns, strict=True))
        ]
        found = [cell for cell in cells if cell is not None]
        return found if len(found) == len(cells) else None

    def _report_count(self, row: RowEntry, entry: TableEntry, at: At) -> None:
        listed = ", ".join(f"`{column}`" for column in entry.columns)
        message = f"row has {_counted(len(row.when), 'cell')} for {_counted(len(entry.columns), 'column')}"
        hint = f'the columns are {listed}; write "-" where anything goes'
        self.report.key_error(at / "when", "table-cells", message, hint)

    def _cell(self, text: str, column: TypedExpression | None, at: At) -> Cell | None:
        if column is None:
            return None
        try:
            cell = parse_cell(text, column.type)
        except CellError as error:
            hint = _hint_for(column, error)
            self.report.within(at, error.span, "table-cell", error.message, hint)
            return None
        if cell.known is not None and column.root.form is not Form.LOAD:
            message = f"`{text.strip()}` can be asked of a fact only, not of `{column.source.strip()}`"
            self.report.error(at, "table-cell", message, "give the fact a column of its own")
            return None
        return cell

    def _column(self, typed: TypedExpression, cells: Sequence[Cell], at: At) -> Column:
        values = list(self._values(typed, cells, at))
        asked = any(cell.known is not None for cell in cells)
        return Column(typed, [*values, None], asked)

    def _values(self, typed: TypedExpression, cells: Sequence[Cell], at: At) -> Iterable[Value]:
        kind = typed.type
        if kind.is_number:
            constants = [c for cell in cells for test in cell.tests for c in test.constants]
            name = typed.root.symbol.name if typed.root.symbol is not None else ""
            return number_samples(
                constants, whole=kind in (INT, UINT), bounds=bounds_of(name, self.catalogue)
            )
        if kind.kind is Kind.BOOL:
            return (True, False)
        if kind.kind is Kind.SET:
            return self._subsets(cells, at)
        return kind.values

    def _subsets(self, cells: Sequence[Cell], at: At) -> Iterator[Value]:
        names = sorted({t.member for cell in cells for t in cell.tests})
        if len(names) > MAX_MEMBERS:
            message = f"a table tells {MAX_MEMBERS} members of a set apart, not {len(names)}"
            hint = "split the table, or ask for a member in a column of its own"
            self.report.error(at, "table-cell", message, hint)
            names = names[:MAX_MEMBERS]
        for size in range(len(names) + 1):
            yield from (frozenset(chosen) for chosen in combinations(names, size))

    def _row(self, entry: RowEntry, cells: Sequence[Cell], columns: Sequence[Column], at: At) -> Row | None:
        asked = list(zip(columns, cells, strict=True))
        box = tuple(
            sum(1 << place for place, value in enumerate(column.values) if cell.accepts(value))
            for column, cell in asked
        )
        parts = [text for column, cell in asked if (text := cell.cel(column.cel))]
        condition = self.expressions.generated(" && ".join(parts) or "true", at / "when")
        return None if condition is None else Row(entry, at, box, condition)


def _hint_for(column: TypedExpression, error: CellError) -> str:
    if column.type.kind is Kind.TIMESTAMP:
        return f"count days: `days_since({column.source.strip()})` as the column, and `< 30` in the cell"
    return error.hint


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _check_unique(table: Table, report: Report) -> None:
    """Report every row that holds together with an earlier one, with an example."""
    for j, row in enumerate(table.rows):
        for i in range(j):
            point = common_point(table.rows[i].box, row.box)
            if point is not None:
                message = f"rows {i + 1} and {j + 1} both hold for {table.describe(point)}"
                hint = "make them differ, or say which counts: `hit: first`, or both: `hit: collect`"
                report.key_error(row.at / "when", "table-overlap", message, hint)
                break


def shown(value: Value) -> str:
    """A value as an author would write it."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    return f"{{{', '.join(sorted(value))}}}" if isinstance(value, frozenset) else str(value)


def _choices(tables: Sequence[Table], report: Report) -> Choices:
    segments: dict[str, TypedExpression] = {}
    gates: dict[str, list[TypedExpression]] = {}
    levers: dict[str, list[tuple[TypedExpression, float]]] = {}
    for table in tables:
        conditions = row_conditions(table)
        for name, chosen in _chosen_by(table, conditions, lambda entry: entry.segments).items():
            if name in segments:
                at = segments_of([(table.entry, table.at)])[name]
                report.error(at, "duplicate-id", f"segment `{name}` is declared by two tables")
            segments[name] = _either(chosen)
        for name, chosen in _chosen_by(table, conditions, lambda entry: entry.actions).items():
            gates.setdefault(name, []).append(_either(chosen))
        for row, condition in zip(table.rows, conditions, strict=True):
            for name, weight in row.entry.levers.items():
                levers.setdefault(name, []).append((condition, weight))
    return Choices(tables, segments, {name: all_of(found) for name, found in gates.items()}, levers)


def _chosen_by(
    table: Table, conditions: Sequence[TypedExpression], names: Callable[[RowEntry], Iterable[str]]
) -> dict[str, list[TypedExpression]]:
    """Per name that rows choose, the conditions of those rows."""
    chosen: dict[str, list[TypedExpression]] = {}
    for row, condition in zip(table.rows, conditions, strict=True):
        for name in dict.fromkeys(names(row.entry)):
            chosen.setdefault(name, []).append(condition)
    return chosen


def row_conditions(table: Table) -> list[TypedExpression]:
    """When each row counts. With `first`, no earlier row may hold: unknown is not enough to hold it back."""
    if table.entry.hit != "first":
        return [row.condition for row in table.rows]
    passed = [negation(_surely(row)) for row in table.rows]
    return [_first(table, i, passed) for i in range(len(table.rows))]


def _first(table: Table, index: int, passed: Sequence[Expr]) -> TypedExpression:
    """The row's condition where none of the earlier rows that it has values in common with holds."""
    row = table.rows[index]
    earlier = [i for i in range(index) if common_point(table.rows[i].box, row.box)]
    root = conjunction((row.condition.root, *(passed[i] for i in earlier)), 0, 0)
    source = " && ".join(
        [row.condition.source, *(f"!({table.rows[i].condition.source})" for i in earlier[:MOST_SHOWN])]
    )
    if len(earlier) > MOST_SHOWN:
        source += f" && no other earlier row of {table.entry.id}"
    return TypedExpression(source, root, ())


def _surely(row: Row) -> Expr:
    """The row's condition, false instead of unknown unless a history window is what is unknown."""
    root = row.condition.root
    if root.is_constant:
        return root
    windows = [_known(e) for e in root.walk() if e.form is Form.WINDOW]
    guessed = conjunction((negation(_known(root)), *windows), 0, 0)
    return conjunction((root, negation(guessed)), 0, 0)


def _known(expr: Expr) -> Expr:
    return Expr(Form.KNOWN, BOOL, 0, 0, (expr,))


def _either(conditions: Sequence[TypedExpression]) -> TypedExpression:
    """Any of some conditions."""
    if len(conditions) == 1:
        return conditions[0]
    root = negation(conjunction(tuple(negation(c.root) for c in conditions), 0, 0))
    return TypedExpression(" || ".join(f"({c.source})" for c in conditions), root, ())


def all_of(conditions: Sequence[TypedExpression]) -> TypedExpression:
    """All of some conditions."""
    if len(conditions) == 1:
        return conditions[0]
    root = conjunction(tuple(c.root for c in conditions), 0, 0)
    return TypedExpression(" && ".join(f"({c.source})" for c in conditions), root, ())
