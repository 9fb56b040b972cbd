"""Trying a condition: which values tell its comparisons apart, and what it comes to for each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import isfinite, nan
from typing import TypeAlias, cast

from nextbest.facts import Catalogue
from nextbest.rulebook.expressions.evaluate import evaluate
from nextbest.rulebook.expressions.scope import NOW
from nextbest.rulebook.expressions.typed import Expr, Form
from nextbest.rulebook.expressions.types import BOOL, Kind
from nextbest.rulebook.expressions.values import Duration, Timestamp, Uint, Value
from nextbest.rulebook.program import WindowKind
from nextbest.rulebook.samples import ANY, NOT_NEGATIVE, Bounds, bounds_of, number_samples

MAX_VALUES = 64
"""Values of an enum that are tried one by one."""
MAX_MEMBERS = 6
"""Members of one set that are told apart."""
LARGEST = 2.0**53
"""Constants from here on are not reasoned about: whole numbers beyond are not exact."""

Truth: TypeAlias = bool | None
"""None = unknown."""
Outcomes: TypeAlias = frozenset[Truth]
Key: TypeAlias = tuple[object, ...]
"""Identity of something whose value is not known, wherever it stands."""
Sample: TypeAlias = float | str | bool | frozenset[str] | None
"""A value it may have; None = missing, or an error."""
Test: TypeAlias = Callable[[Mapping[Key, Sample]], Truth]

_ORDERS: Mapping[str, Callable[[float, float], bool]] = {
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
}
_WHOLE = frozenset({Kind.INT, Kind.UINT})
_NUMERIC = _WHOLE | {Kind.DOUBLE, Kind.TIMESTAMP, Kind.DURATION}


@dataclass(slots=True)
class _Variable:
    """A fact, a computed number, or a condition that is not looked into."""

    expr: Expr
    constants: set[float] = field(default_factory=set[float])
    """What it is compared with, if it is a number."""
    members: set[str] = field(default_factory=set[str])
    """Members that are asked for, if it is a set."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is taken for granted of the values that are tried."""

    all_known: bool = False
    """Nothing is missing."""
    unbounded: bool = False
    """Numbers may lie outside their declared bounds."""


class Trial:
    """Collects the variables of conditions, and turns conditions into tests of their values."""

    def __init__(self, catalogue: Catalogue, assumptions: Assumptions) -> None:
        self._catalogue = catalogue
        self._assumptions = assumptions
        self._variables: dict[Key, _Variable] = {}
        self._reads: dict[Key, frozenset[Key]] = {}
        """Of a computed number, the facts without which it is missing."""

    def keys(self) -> set[Key]:
        """The variables, and the facts that computed ones depend on."""
        return {*self._variables, *(key for reads in self._reads.values() for key in reads)}

    def order(self) -> list[Key]:
        """The variables in the order of `samples`."""
        return list(self._variables)

    def samples(self) -> list[Sequence[Sample]]:
        """Per variable, values that stand for all it may have."""
        missing = () if self._assumptions.all_known else (None,)
        return [[*self._samples(variable), *missing] for variable in self._variables.values()]

    def is_possible(self, values: Mapping[Key, Sample]) -> bool:
        """False where a number is known although a fact it is computed from is missing."""
        return not any(
            values[key] is not None and any(values.get(fact, True) is None for fact in reads)
            for key, reads in self._reads.items()
        )

    def build(self, expr: Expr) -> Test:
        """The condition as a test of its variables' values."""
        match expr.form:
            case Form.CONSTANT:
                value = expr.value if isinstance(expr.value, bool) else None
                return lambda _: value
            case Form.LOAD:
                return self._truth_of(self._fact(expr))
            case Form.HAS:
                key = self._fact(expr)
                return lambda values: values[key] is not None
            case Form.KNOWN if expr.arguments[0].type.kind is Kind.BOOL:
                asked = self.build(expr.arguments[0])
                return lambda values: asked(values) is not None
            case Form.NOT:
                return _not(self.build(expr.arguments[0]))
            case Form.AND:
                return _and([self.build(argument) for argument in expr.arguments])
            case Form.CHOOSE:
                return _choose(*(self.build(argument) for argument in expr.arguments))
            case Form.IN_SET if isinstance(expr.arguments[0].value, str):
                return self._member(expr.arguments[0].value, expr.arguments[1])
            case Form.CALL:
                return self._call(expr) or self._opaque(expr)
            case _:
                return self._opaque(expr)

    def _samples(self, variable: _Variable) -> Sequence[Sample]:
        expr = variable.expr
        if expr.type.kind is Kind.BOOL:
            return (True, False)
        if expr.type.kind is Kind.SET:
            members = sorted(variable.members)
            chosen = (combinations(members, size) for size in range(len(members) + 1))
            return [frozenset(subset) for subsets in chosen for subset in subsets]
        if expr.type.kind not in _NUMERIC:
            words = expr.type.values or ("",)
            return words if len(words) <= MAX_VALUES else words[:1]
        numbers: list[Sample] = [
            *number_samples(variable.constants, whole=expr.type.kind in _WHOLE, bounds=self._bounds(expr))
        ]
        computed = expr.form is not Form.LOAD and expr.type.kind is Kind.DOUBLE
        return [*numbers, nan] if computed else numbers

    def _bounds(self, expr: Expr) -> Bounds:
        if self._assumptions.unbounded:
            return ANY
        if expr.symbol is not None:
            return bounds_of(expr.symbol.name, self._catalogue)
        counts = expr.window is not None and expr.window.kind is WindowKind.COUNT
        return NOT_NEGATIVE if counts or expr.function.startswith(("size_", "absolute_")) else ANY

    def _fact(self, expr: Expr) -> Key:
        assert expr.symbol is not None
        key: Key = ("fact", expr.symbol.name)
        load = Expr(Form.LOAD, expr.symbol.type, expr.start, expr.end, symbol=expr.symbol)
        self._variables.setdefault(key, _Variable(load))
        return key

    def _term(self, expr: Expr) -> Key:
        """A number as a variable: a fact, or something computed from facts."""
        if expr.form is Form.LOAD:
            return self._fact(expr)
        key = identity(expr)
        self._variables.setdefault(key, _Variable(expr))
        if all(e.form in (Form.CALL, Form.LOAD, Form.CONSTANT) for e in expr.walk()):
            names = {e.symbol.name for e in expr.walk() if e.symbol is not None}
            self._reads[key] = frozenset(("fact", name) for name in names - {NOW.name})
        return key

    def _opaque(self, expr: Expr) -> Test:
        key = identity(expr)
        self._variables.setdefault(key, _Variable(expr))
        return self._truth_of(key)

    @staticmethod
    def _truth_of(key: Key) -> Test:
        return lambda values: cast("Truth", values[key])

    def _member(self, member: str, holder: Expr) -> Test:
        key = self._fact(holder)
        members = self._variables[key].members
        if member not in members and len(members) == MAX_MEMBERS:
            return self._opaque(Expr(Form.IN_SET, BOOL, 0, 0, (holder,), value=member))
        members.add(member)

        def test(values: Mapping[Key, Sample]) -> Truth:
            held = values[key]
            return None if held is None else member in cast("frozenset[str]", held)

        return test

    def _call(self, expr: Expr) -> Test | None:
        """A comparison that can be looked into; None if it cannot."""
        kinds = {argument.type.kind for argument in expr.arguments}
        if expr.function in _ORDERS and kinds <= _NUMERIC:
            return self._comparison(expr.function, *expr.arguments)
        if expr.function == "in_list" and expr.arguments[0].type.kind in _NUMERIC:
            return self._listed(*expr.arguments)
        if expr.function in ("equal", "not_equal") and kinds == {Kind.BOOL}:
            return self._same(expr.function, *(self.build(argument) for argument in expr.arguments))
        return self._text_test(expr)

    def _comparison(self, function: str, left: Expr, right: Expr) -> Test | None:
        test = _ORDERS[function]
        for term, other, swapped in ((left, right, False), (right, left, True)):
            number = plain_number(other.value) if other.is_constant else None
            if number is not None and not term.is_constant:
                key = self._term(term)
                self._variables[key].constants.add(number)
                return _compared(key, number, (lambda a, b: test(b, a)) if swapped else test)
        return None

    def _listed(self, item: Expr, holder: Expr) -> Test | None:
        items = holder.value if isinstance(holder.value, tuple) else ()
        numbers = [plain_number(value) for value in items]
        if not numbers or item.is_constant or None in numbers:
            return None
        key = self._term(item)
        listed = frozenset(number for number in numbers if number is not None)
        self._variables[key].constants |= listed

        def test(values: Mapping[Key, Sample]) -> Truth:
            return None if values[key] is None else values[key] in listed

        return test

    @staticmethod
    def _same(function: str, left: Test, right: Test) -> Test:
        def test(values: Mapping[Key, Sample]) -> Truth:
            one, other = left(values), right(values)
            return None if one is None or other is None else (one == other) is (function == "equal")

        return test

    def _text_test(self, expr: Expr) -> Test | None:
        """A function of one enum fact and constants."""
        changing = [a for a in expr.arguments if not a.is_constant]
        if len(changing) != 1 or changing[0].form is not Form.LOAD or any(a.fails for a in expr.arguments):
            return None
        enum = changing[0]
        if not enum.type.is_enum or not 0 < len(enum.type.values) <= MAX_VALUES:
            return None
        key = self._fact(enum)

        def test(values: Mapping[Key, Sample]) -> Truth:
            word = values[key]
            if word is None:
                return None
            arguments = tuple(cast("Value", word) if a is enum else a.value for a in expr.arguments)
            result = evaluate(expr.function, arguments)
            return result if isinstance(result, bool) else None

        return test


def identity(expr: Expr) -> Key:
    """What an expression is, wherever it stands."""
    name = "" if expr.symbol is None else expr.symbol.name
    constant = f"{expr.type.kind} {expr.value!r}"
    return expr.form, expr.function, name, constant, expr.window, *(identity(a) for a in expr.arguments)


def plain_number(value: Value) -> float | None:
    """A constant as a number that can be compared; None if it is none, or not to be relied on."""
    match value:
        case bool():
            return None
        case int() | float():
            number = float(value)
        case Uint():
            number = float(value.number)
        case Timestamp() | Duration():
            number = value.seconds
        case _:
            return None
    return number if isfinite(number) and abs(number) < LARGEST else None


def _compared(key: Key, number: float, test: Callable[[float, float], bool]) -> Test:
    return lambda values: None if values[key] is None else test(cast("float", values[key]), number)


def _not(test: Test) -> Test:
    def negated(values: Mapping[Key, Sample]) -> Truth:
        truth = test(values)
        return None if truth is None else not truth

    return negated


def _and(tests: Sequence[Test]) -> Test:
    def joined(values: Mapping[Key, Sample]) -> Truth:
        truths = [test(values) for test in tests]
        return False if False in truths else None if None in truths else True

    return joined


def _choose(condition: Test, one: Test, other: Test) -> Test:
    def chosen(values: Mapping[Key, Sample]) -> Truth:
        truth = condition(values)
        return None if truth is None else one(values) if truth else other(values)

    return chosen
