"""Checked expressions to slots and planes.

Strings exist only while compiling: a string that depends on a customer has a known list of possible
values, so it is stored as a code, and a function of it is computed for every value beforehand by the
same exact code that folds constants.
"""

import math
from collections.abc import Callable, Mapping
from itertools import product
from typing import NamedTuple

from nextbest.facts import BitPlace
from nextbest.model import DAY_S
from nextbest.rulebook.expressions.errors import ExpressionError
from nextbest.rulebook.expressions.evaluate import evaluate
from nextbest.rulebook.expressions.evaluate_time import zone
from nextbest.rulebook.expressions.scope import NumberPlace, TriggerPlace
from nextbest.rulebook.expressions.typed import Expr, Form
from nextbest.rulebook.expressions.types import Kind
from nextbest.rulebook.expressions.values import Duration, Failure, Timestamp, Uint, Value
from nextbest.rulebook.numeric_ops import BINARY, BOUNDED, SAME, TIMESTAMP_BOUNDS, UINT_BOUNDS, UNARY
from nextbest.rulebook.program import TRUE_PLANE, UNKNOWN_PLANE, CalendarField, Op
from nextbest.rulebook.tables import FALSE_PLANE, MAX_MEMBER_CODES, Tables
from nextbest.rulebook.zones import transitions

MAX_COMBINATIONS = 65_536
"""Combinations of string values a function may be tabulated for."""


class Text(NamedTuple):
    """A string of a customer: a slot with a code, and the values the codes stand for."""

    slot: int
    values: tuple[str, ...]


_COMPARISONS = frozenset({"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"})
_MIRRORED = {
    "less": "greater",
    "greater": "less",
    "less_equal": "greater_equal",
    "greater_equal": "less_equal",
}


class Lowering:
    """Writes checked expressions into tables."""

    def __init__(self, tables: Tables, triggers: Mapping[int, int]) -> None:
        """`triggers` holds the plane of each trigger already added, by index."""
        self._tables = tables
        self._triggers = triggers

    # Bools

    def plane(self, expr: Expr) -> int:
        """Plane reference of a bool.

        Raises:
            ExpressionError: a function of strings has too many combinations to be tabulated.
        """
        match expr.form:
            case Form.CONSTANT:
                return _constant_plane(expr.value)
            case Form.LOAD:
                return self._loaded_plane(expr)
            case Form.HAS:
                return self._has(expr)
            case Form.KNOWN:
                return self._tables.known(self.number(expr.arguments[0]))
            case Form.WINDOW:
                return self._true_number(self.number(expr))
            case Form.NOT:
                return self.plane(expr.arguments[0]) ^ 1
            case Form.AND:
                return self._tables.conjunction([self.plane(a) for a in expr.arguments])
            case Form.CHOOSE:
                condition, one, other = (self.plane(a) for a in expr.arguments)
                return self._tables.choose(condition, one, other)
            case Form.IN_SET:
                return self._in_set(*expr.arguments)
            case _:
                return self._called_plane(expr)

    def _loaded_plane(self, expr: Expr) -> int:
        place = _place(expr)
        if isinstance(place, BitPlace):
            return self._tables.bit(place, 0)
        if isinstance(place, TriggerPlace):
            return self._tables.decide(Op.SUPPRESS, self._triggers[place.index], place.index)
        return self._true_number(self._tables.column(place))

    def _true_number(self, slot: int) -> int:
        return self._equal_numbers(slot, self._tables.constant(0.0)) ^ 1

    def _has(self, expr: Expr) -> int:
        place = _place(expr)
        if isinstance(place, BitPlace):
            return self._tables.known_bit(place)
        assert isinstance(place, NumberPlace)
        return self._tables.known(self._tables.column(place))

    def _in_set(self, item: Expr, holder: Expr) -> int:
        place = _place(holder)
        assert isinstance(place, BitPlace)
        members = holder.type.values
        if isinstance(item.value, str):
            return self._tables.bit(place, members.index(item.value))
        text = self.text(item)
        pairs = [
            self._tables.conjunction(
                (self._is_code(text.slot, code), self._tables.bit(place, members.index(v)))
            )
            for code, v in enumerate(text.values)
            if v in members
        ]
        both = self._tables.conjunction((self._tables.known(text.slot), self._tables.known_bit(place)))
        return self._tables.choose(both, self._tables.disjunction(pairs), UNKNOWN_PLANE)

    def _is_code(self, slot: int, code: int) -> int:
        return self._equal_numbers(slot, self._tables.constant(float(code)))

    def _called_plane(self, expr: Expr) -> int:
        if expr.function == "in_list":
            return self._in_list(*expr.arguments)
        left, *others = expr.arguments
        if left.type.kind is Kind.STRING:
            return self._text_plane(expr)
        return self._compared(expr.function, left, others[0])

    def _compared(self, function: str, left: Expr, right: Expr) -> int:
        assert function in _COMPARISONS
        if function == "not_equal":
            return self._compared("equal", left, right) ^ 1
        if function in ("greater", "greater_equal"):
            return self._compared(_MIRRORED[function], right, left)
        if left.type.kind is Kind.BOOL:
            return self._compared_bools(function, self.plane(left), self.plane(right))
        return self._compared_numbers(function, self.number(left), self.number(right))

    def _compared_bools(self, function: str, left: int, right: int) -> int:
        equal = self._tables.choose(left, right, right ^ 1)
        if function == "equal":
            return equal
        return self._tables.choose(equal, TRUE_PLANE if function == "less_equal" else FALSE_PLANE, right)

    def _compared_numbers(self, function: str, left: int, right: int) -> int:
        """Plane of `left < right`, `left <= right` or `left == right`."""
        if function == "equal":
            return self._equal_numbers(left, right)
        op = Op.LESS if function == "less" else Op.LESS_EQUAL
        below, above = self._tables.constant_value(right), self._tables.constant_value(left)
        if below is not None and self._tables.is_column(left):
            return self._tables.compare(op, left, below)
        if above is not None and self._tables.is_column(right) and not math.isnan(above):
            # c < x is not (x <= c): a stored number is never NaN when it is known.
            opposite = Op.LESS_EQUAL if op is Op.LESS else Op.LESS
            return self._tables.compare(opposite, right, above) ^ 1
        return self._tables.decide(op, left, right)

    def _equal_numbers(self, left: int, right: int) -> int:
        for slot, other in ((left, right), (right, left)):
            number = self._tables.constant_value(other)
            if number is not None and self._tables.is_column(slot):
                return self._tables.compare(Op.EQUAL, slot, number)
        return self._tables.decide(Op.EQUAL, *sorted((left, right)))

    def _in_list(self, item: Expr, holder: Expr) -> int:
        if item.type.kind is Kind.STRING and holder.is_constant:
            return self._text_plane(
                Expr(Form.CALL, item.type, item.start, item.end, (item, holder), function="in_list")
            )
        items = holder.arguments or tuple(
            Expr(Form.CONSTANT, holder.type.item or item.type, holder.start, holder.end, value=value)
            for value in (holder.value if isinstance(holder.value, tuple) else ())
        )
        equals = [self._equal(item, other) for other in items]
        if holder.is_constant and equals:
            return self._tables.disjunction(equals)
        return self._strict_disjunction(equals, self._known(item))

    def _equal(self, left: Expr, right: Expr) -> int:
        if left.type.kind is Kind.STRING:
            pair = Expr(Form.CALL, left.type, left.start, left.end, (left, right), function="equal")
            return self._text_plane(pair)
        return self._compared("equal", left, right)

    def _known(self, expr: Expr) -> int:
        if expr.type.kind is Kind.BOOL:
            return self._tables.choose(self.plane(expr), TRUE_PLANE, TRUE_PLANE)
        slot = self.text(expr).slot if expr.type.kind is Kind.STRING else self.number(expr)
        return self._tables.known(slot)

    def _strict_disjunction(self, planes: list[int], known: int) -> int:
        """Unlike `||`, a list is an error as soon as one of its items is."""
        result = self._tables.choose(known, FALSE_PLANE, UNKNOWN_PLANE)
        for plane in planes:
            both_known = self._tables.choose(result, TRUE_PLANE, TRUE_PLANE)
            result = self._tables.choose(plane, both_known, result)
        return result

    # Strings

    def text(self, expr: Expr) -> Text:
        """A string as a code."""
        match expr.form:
            case Form.CONSTANT if isinstance(expr.value, str):
                return Text(self._tables.constant(0.0), (expr.value,))
            case Form.CONSTANT:
                return Text(self._failing(), ("",))
            case Form.LOAD:
                place = _place(expr)
                assert isinstance(place, NumberPlace)
                return Text(self._tables.column(place), expr.type.values)
            case Form.CHOOSE:
                return self._chosen_text(expr)
            case _:
                return self._called_text(expr)

    def _chosen_text(self, expr: Expr) -> Text:
        one, other = self.text(expr.arguments[1]), self.text(expr.arguments[2])
        values = tuple(dict.fromkeys((*one.values, *other.values)))
        slots = (self._recoded(text, values) for text in (one, other))
        return Text(self._tables.compute(Op.SELECT, self.plane(expr.arguments[0]), *slots), values)

    def _recoded(self, text: Text, values: tuple[str, ...]) -> int:
        if values[: len(text.values)] == text.values:
            return text.slot
        return self._looked_up(text.slot, [float(values.index(value)) for value in text.values])

    def _called_text(self, expr: Expr) -> Text:
        if expr.function == "string_of_bool":
            truth = self.number(expr.arguments[0])
            return Text(truth, ("false", "true"))
        slot, results = self._tabulated(expr)
        places: dict[Value, float] = {}
        for result in results:
            if isinstance(result, str):
                places.setdefault(result, float(len(places)))
        codes = [places.get(result, math.nan) for result in results]
        return Text(self._looked_up(slot, codes), tuple(map(str, places)))

    def _text_plane(self, expr: Expr) -> int:
        slot, results = self._tabulated(expr)
        if not any(isinstance(result, Failure) for result in results):
            if self._tables.constant_value(slot) is not None:
                return _constant_plane(results[0])
            plane = self._member(slot, results) if self._tables.is_column(slot) else None
            if plane is not None:
                return plane
        numbers = [math.nan if isinstance(r, Failure) else float(bool(r)) for r in results]
        return self._true_number(self._looked_up(slot, numbers))

    def _member(self, slot: int, results: list[Value]) -> int | None:
        """Plane of an atom on a stored code; None where there are too many codes for one."""
        true = [code for code, result in enumerate(results) if result]
        false = [code for code, result in enumerate(results) if not result]
        if len(true) == 1:
            return self._tables.compare(Op.EQUAL, slot, float(true[0]))
        if len(false) == 1:
            return self._tables.compare(Op.EQUAL, slot, float(false[0])) ^ 1
        return self._tables.member(slot, true) if len(results) <= MAX_MEMBER_CODES else None

    def _text_number(self, expr: Expr) -> int:
        slot, results = self._tabulated(expr)
        return self._looked_up(slot, [_stored(result) for result in results])

    def _tabulated(self, expr: Expr) -> tuple[int, list[Value]]:
        """Slot of the arguments' common code, and the function's result for each code."""
        choices: list[tuple[Value, ...]] = []
        slot: int | None = None
        combinations = 1
        for argument in expr.arguments:
            if argument.is_constant and not argument.fails:
                choices.append((argument.value,))
                continue
            text = self.text(argument)
            choices.append(text.values)
            combinations *= len(text.values)
            self._limit(combinations, expr)
            slot = text.slot if slot is None else self._pair(slot, text)
        results = [evaluate(expr.function, arguments) for arguments in product(*choices)]
        return self._tables.constant(0.0) if slot is None else slot, results

    def _pair(self, slot: int, text: Text) -> int:
        return self._tables.compute(Op.PAIR, slot, text.slot, len(text.values))

    @staticmethod
    def _limit(combinations: int, expr: Expr) -> None:
        if combinations > MAX_COMBINATIONS:
            raise ExpressionError(
                f"the strings have {combinations} combinations, at most {MAX_COMBINATIONS} are tried",
                expr.start,
                expr.end,
            )

    def _looked_up(self, slot: int, numbers: list[float]) -> int:
        if not numbers:
            return self._failing()
        return self._tables.compute(Op.LOOKUP, slot, self._tables.table(numbers), len(numbers))

    # Numbers, timestamps and durations

    def number(self, expr: Expr) -> int:
        """Slot of a number, timestamp (epoch seconds), duration (seconds) or bool (0 or 1).

        Raises:
            ExpressionError: a function of strings has too many combinations to be tabulated.
        """
        match expr.form:
            case Form.WINDOW if expr.window is not None:
                return self._tables.window(expr.window)
            case Form.CONSTANT:
                return self._constant_number(expr.value)
            case _ if expr.type.kind is Kind.BOOL:
                one, zero = self._tables.constant(1.0), self._tables.constant(0.0)
                return self._tables.compute(Op.SELECT, self.plane(expr), one, zero)
            case Form.LOAD:
                place = _place(expr)
                assert isinstance(place, NumberPlace)
                return self._tables.column(place)
            case Form.CHOOSE:
                condition, one, other = expr.arguments
                slots = (self.number(one), self.number(other))
                return self._tables.compute(Op.SELECT, self.plane(condition), *slots)
            case _:
                return self._called_number(expr)

    def _constant_number(self, value: Value) -> int:
        if isinstance(value, Failure):
            return self._failing()
        return self._tables.constant(_stored(value))

    def _failing(self) -> int:
        """A slot that is an error for everyone."""
        zero = self._tables.constant(0.0)
        return self._tables.compute(Op.SELECT, UNKNOWN_PLANE, zero, zero)

    def _called_number(self, expr: Expr) -> int:
        function, arguments = expr.function, expr.arguments
        if arguments[0].type.kind is Kind.STRING:
            return self._text_number(expr)
        if function == "size_set":
            return self._set_size(arguments[0])
        slots = [self.number(argument) for argument in arguments if argument.type.kind is not Kind.STRING]
        if function in BINARY:
            return self._tables.compute(BINARY[function], *slots)
        if function in UNARY:
            return self._tables.compute(UNARY[function], *slots)
        if function in SAME:
            return slots[0]
        if function in BOUNDED:
            op, bounds = BOUNDED[function]
            return self._bounded(self._tables.compute(op, *slots), bounds)
        return self._special[function](slots[0], expr)

    def _set_size(self, holder: Expr) -> int:
        place = _place(holder)
        assert isinstance(place, BitPlace)
        return self._tables.compute(Op.COUNT_BITS, place.word, place.known_word, place.known_bit)

    def _bounded(self, slot: int, bounds: tuple[float, float]) -> int:
        return self._tables.compute(Op.BOUND, slot, self._tables.table(bounds))

    @property
    def _special(self) -> Mapping[str, Callable[[int, Expr], int]]:
        calendar = {field.name.lower(): self._calendar(field) for field in CalendarField}
        return {
            **calendar,
            "span_hours": self._span(CalendarField.HOURS),
            "span_minutes": self._span(CalendarField.MINUTES),
            "span_seconds": self._span(CalendarField.SECONDS),
            "span_milliseconds": self._span(CalendarField.MILLISECONDS),
            "negate_int": lambda slot, _: self._tables.compute(
                Op.INT_SUBTRACT, self._tables.constant(0.0), slot
            ),
            "uint_of_int": lambda slot, _: self._bounded(slot, UINT_BOUNDS),
            "uint_of_double": lambda slot, _: self._tables.compute(
                Op.TRUNCATE, self._bounded(slot, UINT_BOUNDS)
            ),
            "timestamp_of_int": lambda slot, _: self._bounded(slot, TIMESTAMP_BOUNDS),
            "days_of_duration": lambda slot, _: self._tables.compute(
                Op.DIVIDE, slot, self._tables.constant(DAY_S)
            ),
        }

    def _calendar(self, field: CalendarField) -> Callable[[int, Expr], int]:
        def read(slot: int, expr: Expr) -> int:
            return self._tables.compute(Op.CALENDAR, self._local(slot, expr), field)

        return read

    def _span(self, field: CalendarField) -> Callable[[int, Expr], int]:
        return lambda slot, _: self._tables.compute(Op.SPAN, slot, field)

    def _local(self, slot: int, expr: Expr) -> int:
        name = expr.arguments[1].value if len(expr.arguments) > 1 else "UTC"
        where = zone(str(name))
        assert where is not None
        starts, offsets = transitions(where)
        if offsets == (0.0,):
            return slot
        table = self._tables.table((*starts, *offsets))
        return self._tables.compute(Op.LOCAL, slot, table, len(starts))


def _place(expr: Expr) -> NumberPlace | BitPlace | TriggerPlace:
    assert expr.symbol is not None
    return expr.symbol.place


def _constant_plane(value: Value) -> int:
    if isinstance(value, bool):
        return TRUE_PLANE if value else FALSE_PLANE
    return UNKNOWN_PLANE


def _stored(value: Value) -> float:
    """A constant as the kernel stores it; NaN for a failure."""
    match value:
        case bool() | int() | float():
            return float(value)
        case Uint():
            return float(value.number)
        case Timestamp() | Duration():
            return value.seconds
        case _:
            return math.nan
