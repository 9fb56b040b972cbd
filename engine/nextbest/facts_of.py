"""Read one customer's facts and figures by name, for explanations and for texts that quote them."""

import datetime as dt
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from nextbest.fact_values import FactValue, UnfitValueError, value_of_bits, value_of_number
from nextbest.facts import Catalogue, Fact, FactType, Figure, figure_fact
from nextbest.model import F64, Rows

MISSING = "?"
"""Stands for what is not known, in texts for people."""

_DANISH = str.maketrans(",.", ".,")

_PLACEHOLDER = re.compile(r"\{customer\.(\w+)\}")
_NAME = re.compile(r"\bcustomer\.(\w+)")
_FIGURES = {figure.name.lower(): figure for figure in Figure}


class FactsOf(NamedTuple):
    """The facts and computed figures of one row."""

    catalogue: Catalogue
    rows: Rows
    figures: F64
    """(n, Figure)."""
    row: int

    def value(self, name: str) -> FactValue | None:
        """The value of a fact or figure; None if it is missing or there is no such name."""
        fact = self._fact(name)
        return None if fact is None else self._value(fact)

    def text(self, name: str, language: str = "en") -> str:
        """The value as a person reads it, numbers as the language writes them; `?` if it is missing."""
        fact = self._fact(name)
        value = None if fact is None else self._value(fact)
        if fact is not None and fact.type is FactType.TIMESTAMP and isinstance(value, float):
            return _day(value)
        return shown(value, language)

    def fill(self, template: str, language: str = "en") -> str:
        """Replace every `{customer.<fact>}` of a text by its value, numbers as the language writes them."""
        return Template.of(template, self.catalogue, language).fill(self)

    def quoted(self, expressions: Iterable[str]) -> str:
        """List every fact that the expressions read with its actual value."""
        names = dict.fromkeys(name for text in expressions for name in _NAME.findall(text))
        return ", ".join(f"{name} = {self.text(name)}" for name in names)

    def _fact(self, name: str) -> Fact | None:
        if name in self.catalogue:
            return self.catalogue[name]
        return figure_named(name)

    def _value(self, fact: Fact) -> FactValue | None:
        if fact.name not in self.catalogue:
            return _of_number(fact, float(self.figures[self.row, _FIGURES[fact.name]]))
        place = self.catalogue.bits.get(fact.name)
        if place is None:
            return _of_number(fact, float(self.rows.numbers[self.row, self.catalogue.columns[fact.name]]))
        if not int(self.rows.known[self.row, place.known_word]) >> place.known_bit & 1:
            return None
        return value_of_bits(fact, int(self.rows.words[self.row, place.word]) >> place.shift)


@dataclass(frozen=True, slots=True)
class Template:
    """A text that may quote facts, cut at its placeholders so that filling it is cheap."""

    before: str
    """What stands before the first quoted fact."""
    quoted: tuple[tuple[int, str, str], ...]
    """Column of a plain number or -1, name, and what stands between the fact and the next."""
    language: str
    """How numbers are written: `da` with a decimal comma, any other with a point."""

    @classmethod
    def of(cls, text: str, catalogue: Catalogue, language: str = "en") -> "Template":
        """Cut a text in which `{customer.<fact>}` stands for the fact's value."""
        before, *rest = _PLACEHOLDER.split(text)
        names, after = rest[::2], rest[1::2]
        columns = [_number_column(name, catalogue) for name in names]
        return cls(before, tuple(zip(columns, names, after, strict=True)), language)

    def fill(self, facts: FactsOf) -> str:
        """The text with the values of one customer."""
        filled = self.before
        for column, name, after in self.quoted:
            if column < 0:
                filled += facts.text(name, self.language) + after
            else:
                filled += _number(facts.rows.numbers.item(facts.row, column), self.language) + after
        return filled


def _number_column(name: str, catalogue: Catalogue) -> int:
    plain = name in catalogue and catalogue[name].type in (FactType.DOUBLE, FactType.INT)
    return catalogue.columns[name] if plain else -1


def is_quoting(text: str) -> bool:
    """Whether a text quotes a fact."""
    return _PLACEHOLDER.search(text) is not None


@cache
def figure_named(name: str) -> Fact | None:
    """A figure as a fact, by its name in expressions."""
    figure = _FIGURES.get(name)
    return None if figure is None else figure_fact(figure)


def _of_number(fact: Fact, number: float) -> FactValue | None:
    if math.isnan(number):
        return None
    if fact.type is FactType.BOOL:  # a figure: bools among facts are bits
        return number != 0.0
    try:
        return value_of_number(fact, number)
    except UnfitValueError:  # a code of members that this catalogue does not know
        return None


def _day(seconds: float) -> str:
    try:
        return dt.datetime.fromtimestamp(seconds, dt.UTC).date().isoformat()
    except (OverflowError, OSError, ValueError):  # beyond any calendar: a damaged row
        return MISSING


def shown(value: FactValue | None, language: str = "en") -> str:
    """Format a value for people as the language writes it: four significant digits; `?` if missing."""
    match value:
        case None:
            return MISSING
        case bool():
            return "true" if value else "false"
        case float() | int():
            return _number(value, language)
        case tuple():
            return "{" + ", ".join(sorted(value)) + "}"
        case str():
            return value


def _number(value: float, language: str) -> str:
    value += 0.0  # -0.0 becomes 0.0
    if math.isnan(value):
        return MISSING
    text = f"{value:.4g}" if -1000 < value < 1000 else f"{value:,.0f}"
    return text.translate(_DANISH) if language == "da" else text
