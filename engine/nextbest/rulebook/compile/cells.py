"""Cells of decision tables: what they say, as CEL, and which values they accept."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from nextbest.rulebook.expressions.types import Kind, Type
from nextbest.rulebook.suggest import did_you_mean

ANYTHING = "-"
KNOWN, UNKNOWN = "known", "unknown"
Value: TypeAlias = float | bool | str | frozenset[str] | None
"""A value that a column may have; None = missing."""

NUMBER = r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_COMPARISON = re.compile(rf"(<=|>=|==|!=|<|>|=)\s*({NUMBER})", re.ASCII)
_RANGE = re.compile(rf"([\[(]?)\s*({NUMBER})\s*\.\.\s*({NUMBER})\s*([\])]?)", re.ASCII)
_NUMBER = re.compile(NUMBER, re.ASCII)
_DECIMAL_COMMA = re.compile(r"([0-9]+),([0-9]+)", re.ASCII)
_NEGATION = re.compile(r"\s*(?:not\s+|!(?!=)\s*)")
_NEGATION_OF_WORDS = re.compile(r"\s*(?:not\s+|!=?\s*)")
_ORDERS: Mapping[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


class CellError(Exception):
    """A cell says nothing that its column can be asked; offsets are into the cell's text."""

    def __init__(self, message: str, span: tuple[int, int], hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.span = span
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Test:
    """One alternative of a cell."""

    cel: Callable[[str], str]
    """The test of a column, which is given as CEL."""
    accepts: Callable[[Value], bool]
    """Whether a known value of the column passes."""
    constants: tuple[float, ...] = ()
    """Numbers that the column is compared with."""
    member: str = ""
    """Member that a set is asked for."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A condition on a column: any of some tests, or none of them, or whether the column is known."""

    tests: tuple[Test, ...] = ()
    negated: bool = False
    known: bool | None = None
    """Asks only whether the column is known."""

    @property
    def is_free(self) -> bool:
        """True for `-`: anything goes, missing values too."""
        return not self.tests and self.known is None

    def accepts(self, value: Value) -> bool:
        """Whether a value passes; a missing one passes only where it is asked for."""
        if self.known is not None:
            return (value is not None) is self.known
        return self.is_free or (
            value is not None and any(t.accepts(value) for t in self.tests) is not self.negated
        )

    def cel(self, column: str) -> str:
        """The condition as CEL; empty if anything goes."""
        if self.known is not None:
            return f"has({column})" if self.known else f"!has({column})"
        either = " || ".join(test.cel(column) for test in self.tests)
        if self.negated:
            return f"!({either})"
        return f"({either})" if len(self.tests) > 1 else either


def parse_cell(text: str, kind: Type) -> Cell:
    """Read a cell of a column of some type.

    Raises:
        CellError: it is no condition on such a column.
    """
    stripped = text.strip()
    if stripped == ANYTHING:
        return Cell()
    if stripped in (KNOWN, UNKNOWN) and stripped not in kind.values:
        return Cell(known=stripped == KNOWN)
    if kind.is_number and (doubtful := _DECIMAL_COMMA.search(text)):
        one, other = doubtful.groups()
        hint = f"write `{one}.{other}`, or `{one}, {other}` for either"
        raise CellError(f"`{doubtful[0]}` is a decimal, or two numbers", doubtful.span(), hint)
    negation = (_NEGATION if kind.is_number else _NEGATION_OF_WORDS).match(text)
    start = negation.end() if negation else 0
    read = _reader(kind, text)
    return Cell(tuple(read(part, span) for part, span in _parts(text, start)), negated=negation is not None)


def _parts(text: str, start: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """The alternatives, between commas, each with its place."""
    for part in text[start:].split(","):
        word = part.strip()
        first = start + part.index(word)
        if not word:
            raise CellError("nothing stands between the commas", (start, start + 1), "leave the comma out")
        yield word, (first, first + len(word))
        start += len(part) + 1


Reader: TypeAlias = Callable[[str, tuple[int, int]], Test]


def _reader(kind: Type, text: str) -> Reader:
    if kind.is_number:
        return _number_test
    if kind.kind is Kind.BOOL:
        return _truth_test
    if kind.is_enum or kind.kind is Kind.SET:
        return _word_reader(kind)
    raise CellError(f"a {kind} can only be `known`, `unknown` or `-`", (0, len(text)))


def _number_test(word: str, span: tuple[int, int]) -> Test:
    if any(math.isinf(float(number)) for number in _NUMBER.findall(word)):
        raise CellError(f"number `{word}` is out of range", span)
    if _NUMBER.fullmatch(word):
        return _compared("==", word)
    comparison = _COMPARISON.fullmatch(word)
    if comparison:
        return _compared("==" if comparison[1] == "=" else comparison[1], comparison[2])
    found = _RANGE.fullmatch(word)
    if found is None:
        hint = "write `>= 3`, `3`, `3..5` with both ends, or `[3..5)` without the last"
        raise CellError(f"`{word}` is no condition on a number", span, hint)
    if float(found[2]) > float(found[3]):
        raise CellError(f"`{word}` is empty", span, f"write `{found[3]}..{found[2]}`")
    low = _compared(">" if found[1] == "(" else ">=", found[2])
    high = _compared("<" if found[4] == ")" else "<=", found[3])
    return Test(
        lambda column: f"({low.cel(column)} && {high.cel(column)})",
        lambda value: low.accepts(value) and high.accepts(value),
        constants=low.constants + high.constants,
    )


def _compared(operator: str, text: str) -> Test:
    order, number = _ORDERS[operator], float(text)
    return Test(
        lambda column: f"{column} {operator} {_literal(text)}",
        lambda value: isinstance(value, float) and order(value, number),
        constants=(number,),
    )


def _literal(text: str) -> str:
    """A number as CEL writes it."""
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    digits = f"0{digits}" if digits.startswith(".") else digits
    if re.fullmatch(r"[0-9]+", digits):
        return f"{sign}{int(digits)}" if len(digits) < 19 else f"{sign}{float(digits)!r}"
    return f"{sign}{float(digits)!r}"


def _truth_test(word: str, span: tuple[int, int]) -> Test:
    if word not in ("true", "false"):
        raise CellError(f"`{word}` is neither `true` nor `false`", span)
    holds = word == "true"
    return Test(lambda column: column if holds else f"!{column}", lambda value: value is holds)


def _word_reader(kind: Type) -> Reader:
    test = _member if kind.kind is Kind.SET else _word

    def read(word: str, span: tuple[int, int]) -> Test:
        bare = word if word in kind.values else _unquoted(word.removeprefix("==").removeprefix("=").strip())
        if bare not in kind.values:
            raise CellError(f"unknown value `{bare}`", span, did_you_mean(bare, kind.values))
        return test(bare)

    return read


def _word(word: str) -> Test:
    return Test(lambda column: f"{column} == {_quoted(word)}", lambda value: value == word)


def _member(word: str) -> Test:
    return Test(
        lambda column: f"{_quoted(word)} in {column}",
        lambda value: isinstance(value, frozenset) and word in value,
        member=word,
    )


def _unquoted(word: str) -> str:
    quotes: Sequence[str] = ('"', "'")
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in quotes else word


def _quoted(word: str) -> str:
    """A word as a CEL string."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
