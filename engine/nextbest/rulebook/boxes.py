"""Rows of a decision table as boxes over the values of its columns: overlaps and what is left uncovered.

A column has finitely many values that stand for all (`samples`), so what a cell accepts is a bit mask over
them, and a row is one mask a column. The answers are exact for columns that have nothing to do with each
other.
"""

from collections.abc import Sequence
from typing import TypeAlias

Box: TypeAlias = tuple[int, ...]
"""Per column, a bit set over its values."""
Point: TypeAlias = tuple[int, ...]
"""Per column, the place of one value."""

MAX_STEPS = 20_000
"""Parts of a table that are looked into for what no row covers."""


def common_point(one: Box, other: Box) -> Point | None:
    """A combination of values that both boxes hold; None if they are apart."""
    both = [a & b for a, b in zip(one, other, strict=True)]
    return tuple(map(_lowest, both)) if all(both) else None


def uncovered_point(box: Box, covers: Sequence[Box]) -> Point | None:
    """A combination of a box's values that none of the covers holds; None if none was found.

    Cost: at most `MAX_STEPS` steps of as many bit operations as a column has values.
    """
    every = (1 << len(covers)) - 1
    return _Search(box, _rows_of_values(covers, box), every, MAX_STEPS).found if all(box) else None


def covered_by_earlier(boxes: Sequence[Box]) -> list[int]:
    """Which boxes hold nothing that the boxes before them do not surely hold; empty ones are left out.

    Cost: `MAX_STEPS` steps for all boxes together; those left over then count as not covered.
    """
    covered: list[int] = []
    rows_of_values, left = _rows_of_values(boxes, boxes[0]) if boxes else [], MAX_STEPS
    for row, box in enumerate(boxes):
        if all(box):
            search = _Search(box, rows_of_values, (1 << row) - 1, left)
            left -= search.steps
            covered += [row] if search.found is None and not search.gave_up else []
    return covered


def _rows_of_values(covers: Sequence[Box], box: Box) -> list[dict[int, int]]:
    """Per column, the covers that hold each of its values, as a bit set by the value's place."""
    columns: list[dict[int, int]] = [{} for _ in box]
    for row, cover in enumerate(covers):
        for rows, mask in zip(columns, cover, strict=True):
            for place in _places(mask):
                rows[place] = rows.get(place, 0) | 1 << row
    return columns


class _Search:
    """Column by column, the covers that are left; what was covered once is not looked into again."""

    def __init__(self, box: Box, rows_of_values: Sequence[dict[int, int]], rows: int, most: int) -> None:
        self._box = box
        self._most = most
        self._places = [
            _told_apart(mask, column, rows) for mask, column in zip(box, rows_of_values, strict=True)
        ]
        self._covered: set[tuple[int, int]] = set()
        self.gave_up = False
        """Whether something was left that was not looked into."""
        self.found = self._below(0, rows)
        """An uncovered point, if one was found."""

    @property
    def steps(self) -> int:
        """How much was looked into in vain."""
        return len(self._covered)

    def _below(self, column: int, rows: int) -> Point | None:
        """An uncovered point from a column on, given the covers that hold the values before it."""
        if not rows:
            return tuple(map(_lowest, self._box[column:]))
        if column == len(self._box) or (column, rows) in self._covered:
            return None
        if len(self._covered) >= self._most:
            self.gave_up = True
            return None
        for holding, place in self._places[column].items():
            rest = self._below(column + 1, rows & holding)
            if rest is not None:
                return place, *rest
        self._covered.add((column, rows))
        return None


def _told_apart(mask: int, rows_of_values: dict[int, int], rows: int) -> dict[int, int]:
    """One place of a column for every set of covers that hold it, by that set."""
    places: dict[int, int] = {}
    for place in _places(mask):
        places.setdefault(rows_of_values.get(place, 0) & rows, place)
    return places


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _places(mask: int) -> list[int]:
    return [place for place in range(mask.bit_length()) if mask >> place & 1]
