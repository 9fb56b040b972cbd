"""Read one customer's facts and figures by name, for explanations and for texts that quote them."""

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nextbest.facts import Catalogue, Fact, FactType, Figure, figure_fact
from nextbest.model import F64, Rows

FactValue = float | bool | str | frozenset[str] | dt.datetime

_PLACEHOLDER = re.compile(r"\{customer\.(\w+)\}")
_NAME = re.compile(r"\bcustomer\.(\w+)")
_FIGURES = {figure.name.lower(): figure for figure in Figure}


@dataclass(frozen=True, slots=True)
class FactsOf:
    """The facts and computed figures of one row."""

    catalogue: Catalogue
    rows: Rows
    figures: F64
    """(n, Figure)."""
    row: int

    def value(self, name: str) -> FactValue | None:
        """The value of a fact or figure; None if it is missing or there is no such name."""
        if name in self.catalogue:
            return self._stored(self.catalogue[name])
        figure = _FIGURES.get(name)
        return (
            None if figure is None else _decoded(figure_fact(figure), float(self.figures[self.row, figure]))
        )

    def _stored(self, fact: Fact) -> FactValue | None:
        column = self.catalogue.column(fact.name)
        if column >= 0:
            return _decoded(fact, float(self.rows.numbers[self.row, column]))
        place = self.catalogue.bits[fact.name]
        if not int(self.rows.known[self.row, place.known_word]) >> place.known_bit & 1:
            return None
        word = int(self.rows.words[self.row, place.word])
        if fact.type is FactType.BOOL:
            return bool(word >> place.shift & 1)
        return frozenset(member for i, member in enumerate(fact.values) if word >> i & 1)

    def text(self, name: str) -> str:
        """The value as a person reads it; `?` if it is missing."""
        return shown(self.value(name))

    def fill(self, template: str) -> str:
        """Replace every `{customer.<fact>}` of a text by its value."""
        return _PLACEHOLDER.sub(lambda match: self.text(match[1]), template)

    def quoted(self, expressions: Iterable[str]) -> str:
        """List every fact that the expressions read with its actual value."""
        names = dict.fromkeys(name for text in expressions for name in _NAME.findall(text))
        return ", ".join(f"{name} = {self.text(name)}" for name in names)


def _decoded(fact: Fact, number: float) -> FactValue | None:
    if np.isnan(number):
        return None
    if fact.type is FactType.ENUM:
        return fact.values[int(number)]
    if fact.type is FactType.BOOL:
        return number != 0.0
    if fact.type is FactType.TIMESTAMP:
        return dt.datetime.fromtimestamp(number, dt.UTC)
    return number


def shown(value: FactValue | None) -> str:
    """Format a value for people: four significant digits, dates without a time."""
    match value:
        case None:
            return "?"
        case bool():
            return "true" if value else "false"
        case float() | int():
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
        case frozenset():
            return "{" + ", ".join(sorted(value)) + "}"
        case dt.datetime():
            return value.date().isoformat()
        case str():
            return value
