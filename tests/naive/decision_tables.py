"""Decision tables by plain Python: walk the rows, ask each cell, choose. Written from docs/rules.md."""

import re

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
