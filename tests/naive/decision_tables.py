"""Decision tables by plain Python: walk the rows, ask each cell, choose. Written from docs/rules.md."""

import re
from dataclasses import dataclass

NUMBER = r"-?[0-9.]+"


def cell_holds(cell, value):
    """Whether a value (None = missing) fits a cell; None = unknown."""
    text = cell if isinstance(cell, str) else str(cell).lower()
    text = text.strip()
    if text == "-":
        return True
    if text in ("known", "unknown"):
        return (value is not None) == (text == "known")
    if value is None:
        return None
    if text.startswith("not "):
        return not any(one_holds(part.strip(), value) for part in text[4:].split(","))
    return any(one_holds(part.strip(), value) for part in text.split(","))


def one_holds(part, value):
    """One alternative of a cell against a known value."""
    if isinstance(value, frozenset):
        return part in value
    if isinstance(value, bool):
        return value == (part == "true")
    if isinstance(value, str):
        return value == part
    found = re.fullmatch(rf"([\[(]?)({NUMBER})\.\.({NUMBER})([\])]?)", part)
    if found:
        low, high = float(found[2]), float(found[3])
        above = value > low if found[1] == "(" else value >= low
        return above and (value < high if found[4] == ")" else value <= high)
    found = re.fullmatch(rf"(<=|>=|==|=|!=|<|>)?\s*({NUMBER})", part)
    number = float(found[2])
    return {
        "<": value < number,
        "<=": value <= number,
        ">": value > number,
        ">=": value >= number,
        "!=": value != number,
    }.get(found[1], value == number)


def row_holds(row, values):
    """Whether every cell of a row holds."""
    return all(cell_holds(cell, value) is True for cell, value in zip(row["when"], values, strict=True))


def rows_that_count(table, values):
    """Indices of the rows that count for a customer, given the columns' values."""
    holding = [i for i, row in enumerate(table["rows"]) if row_holds(row, values)]
    return holding[:1] if table["hit"] == "first" else holding


@dataclass(frozen=True)
class Chosen:
    """A row of a table that counts chooses an action, or puts the customer into a segment."""

    table: str
    kind: str
    """`actions` or `segments`."""
    name: str


@dataclass(frozen=True)
class RowCounts:
    """One row of a table counts."""

    table: str
    row: int


@dataclass(frozen=True)
class All:
    """An action's own condition, and every table that names it."""

    keys: tuple


def row_truths(table, values):
    """Whether each row counts; None where a missing value alone keeps it from being known.

    Of a `first` table, a row after one that holds does not count; one that is unknown holds nothing back.
    """
    truths = []
    for row in table["rows"]:
        cells = [cell_holds(cell, value) for cell, value in zip(row["when"], values, strict=True)]
        holds = False if False in cells else None if None in cells else True
        truths.append(False if table.get("hit") == "first" and True in truths else holds)
    return truths


def tables_by_id(documents):
    """All decision tables of a directory of documents."""
    return {t["id"]: t for _, document in sorted(documents.items()) for t in document.get("tables", ())}


def asked_of(action, when, tables):
    """What must hold for an action: its own condition, and a row of each table that names it."""
    named = [
        Chosen(name, "actions", action)
        for name, table in tables.items()
        if any(action in row.get("actions", ()) for row in table["rows"])
    ]
    keys = (*named, *([] if when is None else [when]))
    return None if not keys else keys[0] if len(keys) == 1 else All(keys)


def segments_of(tables):
    """Segments that tables declare, with what puts a customer into them."""
    return {
        segment: Chosen(name, "segments", segment)
        for name, table in tables.items()
        for row in table["rows"]
        for segment in row.get("segments", ())
    }


def levers_of(action, tables):
    """(what must hold, per cent added to W) of each row that has a lever for an action."""
    return tuple(
        (RowCounts(name, i), row["levers"][action])
        for name, table in tables.items()
        for i, row in enumerate(table["rows"])
        if action in row.get("levers", {})
    )


def key_holds(key, tables, value):
    """Whether what a key says holds, given the value of any expression (None = unknown)."""
    if isinstance(key, All):
        truths = [key_holds(part, tables, value) for part in key.keys]
        return False if False in truths else None if None in truths else True
    if isinstance(key, Chosen | RowCounts):
        table = tables[key.table]
        truths = row_truths(table, [value(column) for column in table["columns"]])
        if isinstance(key, RowCounts):
            return truths[key.row]
        choosing = [
            t for t, row in zip(truths, table["rows"], strict=True) if key.name in row.get(key.kind, ())
        ]
        return True if True in choosing else None if None in choosing else False
    return value(key)
