"""The checked tree: every name resolved, every type known, constants folded."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from nextbest.rulebook.expressions.errors import Note
from nextbest.rulebook.expressions.scope import Symbol
from nextbest.rulebook.expressions.types import Type
from nextbest.rulebook.expressions.values import Failure, Value
from nextbest.rulebook.program import WindowSpec


class Form(Enum):
    """Forms of checked expression. Calls are strict: an UNKNOWN argument makes an UNKNOWN result."""

    CONSTANT = "constant"
    LOAD = "load"
    """Read a fact, figure, context key or trigger."""
    HAS = "has"
    """Is it known?"""
    KNOWN = "known"
    """Is the argument neither UNKNOWN nor an error? Not written by authors: rows of tables need it."""
    WINDOW = "window"
    """Read a history column."""
    NOT = "not"
    AND = "and"
    CHOOSE = "choose"
    """condition ? one : other."""
    LIST = "list"
    IN_SET = "in_set"
    """Is the first argument a member of the set in the second?"""
    CALL = "call"
    """A strict function of `evaluate.FUNCTIONS`, or one of days_between, months_between, size_set."""


class Expr(NamedTuple):
    """A checked expression."""

    form: Form
    type: Type
    start: int
    end: int
    arguments: tuple["Expr", ...] = ()
    value: Value = None
    """Of a CONSTANT; a `Failure` where the part always fails."""
    symbol: Symbol | None = None
    """Of LOAD and HAS."""
    function: str = ""
    """Of a CALL."""
    window: WindowSpec | None = None
    unit: str = ""
    """Unit of a number, empty if it has none or it is not known."""

    @property
    def is_constant(self) -> bool:
        """True when the value is known without any customer."""
        return self.form is Form.CONSTANT

    @property
    def fails(self) -> bool:
        """True when it is an error for every customer."""
        return self.is_constant and isinstance(self.value, Failure)

    def walk(self) -> Iterator["Expr"]:
        """Yield the expression and all below it, parents first."""
        waiting: list[Expr] = [self]
        while waiting:
            expr = waiting.pop()
            yield expr
            waiting.extend(reversed(expr.arguments))

    def at(self, start: int, end: int) -> "Expr":
        """The same expression with another place in the source."""
        return self._replace(start=start, end=end)


@dataclass(frozen=True, slots=True)
class TypedExpression:
    """A checked expression with its source, ready for `ProgramBuilder`."""

    source: str
    root: Expr
    notes: tuple[Note, ...]
    """Oddities in source order: unit mismatches, parts that always fail."""

    @property
    def type(self) -> Type:
        """Static type of the whole."""
        return self.root.type

    @property
    def constant(self) -> Value:
        """The value if it is the same for every customer, else None."""
        return self.root.value if self.root.is_constant else None

    @property
    def names(self) -> tuple[str, ...]:
        """Every `customer.x`, `context.x` and `trigger.x` it reads, sorted."""
        return tuple(sorted({e.symbol.name for e in self.root.walk() if e.symbol is not None}))
