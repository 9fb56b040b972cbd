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
    return _Search(box, covers).found if all(box) else None


def is_covered(box: Box, covers: Sequence[Box]) -> bool:
    """Whether the covers surely hold every combination of a box's values; an empty box is not covered."""
    if not all(box):
        return False
    search = _Search(box, covers)
    return search.found is None and not search.gave_up


class _Search:
    """Column by column, the covers that are left; what was covered once is not looked into again."""

    def __init__(self, box: Box, covers: Sequence[Box]) -> None:
        self._box = box
        self._places = [self._told_apart(column, covers) for column in range(len(box))]
        self._covered: set[tuple[int, int]] = set()
        self.gave_up = False
        """Whether something was left that was not looked into."""
        self.found = self._below(0, (1 << len(covers)) - 1)
        """An uncovered point, if one was found."""

    def _told_apart(self, column: int, covers: Sequence[Box]) -> dict[int, int]:
        """One place of the column for every set of covers that hold it, by that set."""
        places: dict[int, int] = {}
        for place in _places(self._box[column]):
            holding = sum(1 << row for row, cover in enumerate(covers) if cover[column] >> place & 1)
            places.setdefault(holding, place)
        return places

    def _below(self, column: int, rows: int) -> Point | None:
        """An uncovered point from a column on, given the covers that hold the values before it."""
        if not rows:
            return tuple(map(_lowest, self._box[column:]))
        if column == len(self._box) or (column, rows) in self._covered:
            return None
        if len(self._covered) >= MAX_STEPS:
            self.gave_up = True
            return None
        for holding, place in self._places[column].items():
            rest = self._below(column + 1, rows & holding)
            if rest is not None:
                return place, *rest
        self._covered.add((column, rows))
        return None


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _places(mask: int) -> list[int]:
    return [place for place in range(mask.bit_length()) if mask >> place & 1]
