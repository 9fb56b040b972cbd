"""Checking calls: CEL's standard functions and the few that are our own."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from nextbest.rulebook.expressions.errors import ExpressionError, Note, did_you_mean, unsupported
from nextbest.rulebook.expressions.evaluate import evaluate
from nextbest.rulebook.expressions.evaluate_time import zone
from nextbest.rulebook.expressions.folding import call, conjunction, constant
from nextbest.rulebook.expressions.history import check_peers, check_window
from nextbest.rulebook.expressions.overloads import (
    CONVERSIONS,
    CONVERTED,
    DURATION_FIELDS,
    FUNCTIONS,
    MACROS,
    METHODS,
    TEXT_TESTS,
    TIMESTAMP_FIELDS,
    TYPE_NAMES,
    WINDOWS,
)
from nextbest.rulebook.expressions.scope import NOW, Scope, Symbol, TriggerPlace
from nextbest.rulebook.expressions.syntax import Call, Node, Select
from nextbest.rulebook.expressions.typed import Expr, Form
from nextbest.rulebook.expressions.types import BOOL, DOUBLE, INT, STRING, TYPE, Kind
from nextbest.rulebook.expressions.units import unit_note
from nextbest.rulebook.expressions.values import Failure, TypeValue


class CallChecker(ABC):
    """Checks calls for a checker that knows the other forms."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.notes: list[Note] = []

    @abstractmethod
    def check(self, node: Node) -> Expr:
        """Check any node."""

    @abstractmethod
    def symbol(self, node: Select) -> Symbol:
        """Resolve a dotted name."""

    def call(self, node: Call) -> Expr:
        """Check a call.

        Raises:
            ExpressionError: the function is unknown, or takes other arguments.
        """
        if node.function in MACROS and node.target is not None:
            raise unsupported(f"macros such as `{node.function}`", node.function_start, node.end)
        if node.target is not None:
            return self._method(node)
        special = self._special.get(node.function)
        if special is not None:
            return special(node)
        if node.function in CONVERSIONS:
            return self._conversion(node)
        if node.function in WINDOWS:
            return self._window(node)
        raise self._unknown_function(node)

    @property
    def _special(self) -> Mapping[str, Callable[[Call], Expr]]:
        return {
            "has": self._has,
            "size": self._size,
            "dyn": lambda node: self._arguments(node, 1)[0],
            "type": self._type,
            "days_since": self._days,
            "days_until": self._days,
            "months_since": self._months,
            "within": self._within,
            "abs": self._absolute,
            "round": self._round,
            "min": self._extreme,
            "max": self._extreme,
        }

    def _unknown_function(self, node: Call) -> ExpressionError:
        end = node.function_start + len(node.function)
        if node.function in METHODS:
            hint = f"write it after the value: `customer.<fact>.{node.function}(...)`"
        else:
            hint = did_you_mean(node.function, FUNCTIONS)
        return ExpressionError(f"unknown function `{node.function}`", node.function_start, end, hint)

    def _arguments(self, node: Call, *counts: int) -> tuple[Expr, ...]:
        self._require_count(node, *counts)
        return tuple(self.check(argument) for argument in node.arguments)

    @staticmethod
    def _require_count(node: Call, *counts: int) -> None:
        if len(node.arguments) not in counts:
            wanted = " or ".join(str(count) for count in counts)
            plural = "" if counts == (1,) else "s"
            raise ExpressionError(
                f"`{node.function}` takes {wanted} argument{plural}, not {len(node.arguments)}",
                node.function_start,
                node.end,
            )

    # CEL's own

    def _has(self, node: Call) -> Expr:
        self._require_count(node, 1)
        argument = node.arguments[0]
        if not isinstance(argument, Select):
            raise ExpressionError(
                "`has` takes a name such as `customer.nps_relation`", argument.start, argument.end
            )
        symbol = self.symbol(argument)
        if isinstance(symbol.place, TriggerPlace):
            raise unsupported("`has` of triggers", node.start, node.end)
        return Expr(Form.HAS, BOOL, node.start, node.end, symbol=symbol)

    def _type(self, node: Call) -> Expr:
        (argument,) = self._arguments(node, 1)
        if argument.fails:
            return argument
        name = TYPE_NAMES.get(argument.type.kind, str(argument.type.kind))
        return constant(TypeValue(name), TYPE, node.start, node.end)

    def _size(self, node: Call) -> Expr:
        if node.target is None:
            (argument,) = self._arguments(node, 1)
        else:
            self._require_count(node, 0)
            argument = self.check(node.target)
        kind = argument.type.kind
        if kind is Kind.LIST and not argument.is_constant:
            return constant(len(argument.arguments), INT, node.start, node.end)
        functions = {Kind.STRING: "size_string", Kind.LIST: "size_list", Kind.SET: "size_set"}
        if kind not in functions:
            raise self.no_overload("size", node.start, node.end, argument)
        return call(functions[kind], (argument,), INT, node.start, node.end, unit="count")

    def _conversion(self, node: Call) -> Expr:
        (argument,) = self._arguments(node, 1)
        function = CONVERSIONS[node.function].get(argument.type.kind)
        if function is None:
            raise self.no_overload(node.function, node.start, node.end, argument)
        if not function:
            return argument
        result = CONVERTED[node.function]
        if result is STRING and not argument.is_constant and argument.type.kind is not Kind.BOOL:
            raise unsupported("strings made from numbers and times of a customer", node.start, node.end)
        return call(function, (argument,), result, node.start, node.end, unit=argument.unit)

    def _method(self, node: Call) -> Expr:
        assert node.target is not None
        if node.function in FUNCTIONS and node.function != "size":
            end = node.function_start + len(node.function)
            hint = f"write `{node.function}(...)` around the value"
            raise ExpressionError(f"`{node.function}` is no method", node.function_start, end, hint)
        if node.function not in METHODS:
            hint = did_you_mean(node.function, METHODS)
            end = node.function_start + len(node.function)
            raise ExpressionError(f"unknown method `{node.function}`", node.function_start, end, hint)
        if node.function == "size":
            return self._size(node)
        target = self.check(node.target)
        if node.function in TEXT_TESTS:
            return self._text_test(node, target)
        return self._time_field(node, target)

    def _text_test(self, node: Call, target: Expr) -> Expr:
        (argument,) = self._arguments(node, 1)
        if target.type.kind is not Kind.STRING or argument.type.kind is not Kind.STRING:
            raise self.no_overload(node.function, node.start, node.end, target, argument)
        if node.function == "matches" and isinstance(argument.value, str):
            self._require_pattern(argument, argument.value)
        return call(TEXT_TESTS[node.function], (target, argument), BOOL, node.start, node.end)

    @staticmethod
    def _require_pattern(argument: Expr, pattern: str) -> None:
        tried = evaluate("matches", ("", pattern))
        if isinstance(tried, Failure):
            raise ExpressionError(tried.message, argument.start, argument.end)

    def _time_field(self, node: Call, target: Expr) -> Expr:
        fields = {Kind.TIMESTAMP: TIMESTAMP_FIELDS, Kind.DURATION: DURATION_FIELDS}.get(target.type.kind, {})
        if node.function not in fields:
            raise self.no_overload(node.function, node.start, node.end, target)
        counts = (0, 1) if target.type.kind is Kind.TIMESTAMP else (0,)
        arguments = self._arguments(node, *counts)
        for argument in arguments:
            self._require_zone(argument)
        return call(fields[node.function], (target, *arguments), INT, node.start, node.end)

    @staticmethod
    def _require_zone(argument: Expr) -> None:
        if not isinstance(argument.value, str):
            raise ExpressionError("the time zone must be a constant string", argument.start, argument.end)
        if zone(argument.value) is None:
            hint = "an IANA name such as `Europe/Copenhagen`, or an offset such as `+01:00`"
            raise ExpressionError(f"unknown time zone `{argument.value}`", argument.start, argument.end, hint)

    # Our own

    def _days(self, node: Call) -> Expr:
        (time,) = self._arguments(node, 1)
        self._require_timestamp(node, time)
        now = _now(node)
        pair = (now, time) if node.function == "days_since" else (time, now)
        return call("days_between", pair, DOUBLE, node.start, node.end, unit="days")

    def _months(self, node: Call) -> Expr:
        (time,) = self._arguments(node, 1)
        self._require_timestamp(node, time)
        return call("months_between", (_now(node), time), INT, node.start, node.end, unit="months")

    def _within(self, node: Call) -> Expr:
        """(now − d, now] holds the time: not later than now, and less than d ago."""
        time, length = self._arguments(node, 2)
        self._require_timestamp(node, time)
        days = self._days_of(node, length)
        age = call("days_between", (_now(node), time), DOUBLE, node.start, node.end, unit="days")
        recent = call("less", (age, days), BOOL, node.start, node.end)
        zero = constant(0.0, DOUBLE, node.start, node.end)
        return conjunction(
            (recent, call("less_equal", (zero, age), BOOL, node.start, node.end)), node.start, node.end
        )

    def _days_of(self, node: Call, length: Expr) -> Expr:
        if length.type.kind is Kind.DURATION:
            return call("days_of_duration", (length,), DOUBLE, length.start, length.end, unit="days")
        if not length.type.is_number:
            hint = 'a number of days, or `duration("36h")`'
            raise ExpressionError(f"`{node.function}` needs a length", length.start, length.end, hint)
        note = unit_note("days", length.unit, length.start, length.end)
        self.notes += (note,) if note else ()
        return length

    def _require_timestamp(self, node: Call, time: Expr) -> None:
        if time.type.kind is not Kind.TIMESTAMP:
            raise ExpressionError(
                f"`{node.function}` takes a timestamp, not {time.type}", time.start, time.end
            )

    def _absolute(self, node: Call) -> Expr:
        (argument,) = self._arguments(node, 1)
        if not argument.type.is_number:
            raise self.no_overload("abs", node.start, node.end, argument)
        function = f"absolute_{argument.type.kind}"
        return call(function, (argument,), argument.type, node.start, node.end, unit=argument.unit)

    def _round(self, node: Call) -> Expr:
        (argument,) = self._arguments(node, 1)
        if argument.type != DOUBLE:
            raise self.no_overload("round", node.start, node.end, argument)
        return call("round", (argument,), DOUBLE, node.start, node.end, unit=argument.unit)

    def _extreme(self, node: Call) -> Expr:
        if len(node.arguments) < 2:
            raise ExpressionError(
                f"`{node.function}` takes two or more numbers", node.function_start, node.end
            )
        first, *others = (self.check(argument) for argument in node.arguments)
        for other in others:
            if not first.type.is_number or other.type != first.type:
                raise self.no_overload(node.function, node.start, node.end, first, other)
            note = unit_note(first.unit, other.unit, node.start, node.end)
            self.notes += (note,) if note else ()
            name = f"{node.function}imum"
            unit = first.unit or other.unit
            first = call(name, (first, other), first.type, node.start, node.end, unit=unit)
        return first

    def _window(self, node: Call) -> Expr:
        if node.function == "peers_have":
            return check_peers(node, self.scope)
        return check_window(node, self.scope, self.check)

    # What others ask for

    @staticmethod
    def require_bool(operand: Expr, operator: str) -> None:
        """Raise unless the operand is a bool."""
        if operand.type.kind is not Kind.BOOL:
            hint = "compare it with something" if operand.type.is_number else ""
            raise ExpressionError(
                f"`{operator}` takes bools, not {operand.type}", operand.start, operand.end, hint
            )

    @staticmethod
    def require_value(enum: Expr, other: Expr) -> None:
        """Raise when a constant is compared with an enum that can never have it."""
        if enum.type.closed and isinstance(other.value, str) and other.value not in enum.type.values:
            raise _no_such(other, enum, "value")

    @staticmethod
    def require_member(item: Expr, holder: Expr) -> None:
        """Raise when a constant cannot be in a set."""
        if isinstance(item.value, str) and item.value not in holder.type.values:
            raise _no_such(item, holder, "member")

    @staticmethod
    def no_overload(operator: str, start: int, end: int, *arguments: Expr) -> ExpressionError:
        """The error for arguments that an operator or function does not take."""
        kinds = " and ".join(str(argument.type) for argument in arguments)
        mixed = {argument.type.kind for argument in arguments} == {Kind.INT, Kind.DOUBLE}
        hint = "write `2.0` for `2`, or `double(...)` around the int" if mixed else ""
        return ExpressionError(f"`{operator}` does not take {kinds}", start, end, hint)


def _now(node: Call) -> Expr:
    return Expr(Form.LOAD, NOW.type, node.start, node.end, symbol=NOW)


def _no_such(constant_expr: Expr, closed: Expr, noun: str) -> ExpressionError:
    name = closed.symbol.name if closed.symbol else "the value"
    values = closed.type.values
    hint = did_you_mean(str(constant_expr.value), values)
    if not hint:
        shown = ", ".join(f"`{value}`" for value in values[:6])
        hint = (
            f"it is one of {shown}{' …' if len(values) > 6 else ''}" if values else f"it has no {noun}s yet"
        )
    return ExpressionError(
        f"`{name}` has no {noun} `{constant_expr.value}`", constant_expr.start, constant_expr.end, hint
    )
