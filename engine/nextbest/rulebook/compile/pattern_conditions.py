"""`where` of an event: text → comparisons, or everything in it that a pattern cannot say."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from nextbest.rulebook.documents.common import FACT_NAME
from nextbest.rulebook.expressions.errors import ExpressionError
from nextbest.rulebook.expressions.parser import parse
from nextbest.rulebook.expressions.syntax import (
    Binary,
    Call,
    Conditional,
    ListOf,
    Literal,
    Logical,
    Name,
    Node,
    Select,
    Unary,
)
from nextbest.rulebook.patterns import Comparator, Constant, Join, OwnComparison
from nextbest.rulebook.suggest import did_you_mean

MAX_COMPARISONS = 12
"""Comparisons in one condition; the library takes 29 joins, time limits included."""

_ATTRIBUTE = re.compile(FACT_NAME, re.ASCII)
_TIME_WORDS = ("time", "timestamp", "event_time", "now")
_EVENT_WORDS = ("event", "kind", "event_type", "customer_id", "idempotency_key")
_ELSEWHERE = ("customer", "context", "trigger", "history")
_ONE_PATTERN_EACH = "write one pattern for each {}, and name the triggers of all in the action"
_OWN_ATTRIBUTE = "let the event carry the result as an attribute of its own"


@dataclass(frozen=True, slots=True)
class ConditionScope:
    """The events that a condition can speak of."""

    own: str | None
    """Name of the event that the condition stands on; None = it has none."""
    earlier: Mapping[str, int]
    """Steps before it, by name."""
    later: Sequence[str] = ()
    """Names of steps after it, for a better error."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """A condition, taken apart."""

    own: tuple[OwnComparison, ...]
    joins: tuple[Join, ...]
    errors: tuple[ExpressionError, ...]
    """What cannot be said; its comparisons are left out."""


@dataclass(frozen=True, slots=True)
class _Attribute:
    """One side of a comparison: an attribute of the event itself (step None) or of an earlier one."""

    step: int | None
    name: str


@dataclass(frozen=True, slots=True)
class _Value:
    constant: Constant


_Side: TypeAlias = _Attribute | _Value


def read_conditions(source: str, scope: ConditionScope) -> Conditions:
    """Take a condition apart; errors are collected, positions are offsets into the source."""
    try:
        parts = _conjuncts(parse(source))
    except ExpressionError as error:
        return Conditions((), (), (error,))
    own: list[OwnComparison] = []
    joins: list[Join] = []
    errors = [_too_many(part) for part in parts[MAX_COMPARISONS : MAX_COMPARISONS + 1]]
    for part in parts[:MAX_COMPARISONS]:
        try:
            comparison = _comparison(part, scope)
        except ExpressionError as error:
            errors.append(error)
            continue
        if isinstance(comparison, OwnComparison):
            own.append(comparison)
        else:
            joins.append(comparison)
    return Conditions(tuple(own), tuple(joins), tuple(errors))


def _too_many(part: Node) -> ExpressionError:
    return ExpressionError(
        f"more than {MAX_COMPARISONS} comparisons in one condition", part.start, part.end, "leave some out"
    )


def _conjuncts(node: Node) -> list[Node]:
    if isinstance(node, Logical) and node.operator == "&&":
        return [part for operand in node.operands for part in _conjuncts(operand)]
    return [node]


def _comparison(node: Node, scope: ConditionScope) -> OwnComparison | Join:
    if not isinstance(node, Binary):
        raise _no_comparison(node)
    if node.operator not in tuple(Comparator):
        raise _unsupported(node)
    left, right = _side(node.left, scope), _side(node.right, scope)
    comparator = Comparator(node.operator)
    if _is_own(right) and not _is_own(left):
        left, right, comparator = right, left, comparator.turned
    if not isinstance(left, _Attribute) or left.step is not None:
        raise _misplaced(node, left, right, scope)
    if isinstance(right, _Value):
        _require_comparable(node, comparator, right.constant)
        return OwnComparison(left.name, comparator, right.constant)
    if right.step is None:
        raise ExpressionError("both attributes are of the same event", node.start, node.end, _OWN_ATTRIBUTE)
    return Join(left.name, comparator, right.step, right.name)


def _is_own(side: _Side) -> bool:
    return isinstance(side, _Attribute) and side.step is None


def _misplaced(node: Node, left: _Side, right: _Side, scope: ConditionScope) -> ExpressionError:
    """Neither side is an attribute of the event that the condition stands on."""
    steps = [side.step for side in (left, right) if isinstance(side, _Attribute) and side.step is not None]
    if not steps:
        return ExpressionError("both sides are constants", node.start, node.end, "leave it out")
    names = {step: name for name, step in scope.earlier.items()}
    hint = f"write it in the `where` of `{names[max(steps)]}`"
    message = "the comparison says nothing about the event that it stands on"
    return ExpressionError(message, node.start, node.end, hint)


def _require_comparable(node: Binary, comparator: Comparator, constant: Constant) -> None:
    if not comparator.is_ordering or not isinstance(constant, bool | str):
        return
    what = "`true` and `false`" if isinstance(constant, bool) else "words"
    start = node.operator_start
    raise ExpressionError(
        f"`{comparator}` compares numbers, not {what}",
        start,
        start + len(comparator),
        "use `==` or `!=`",
    )


def _side(node: Node, scope: ConditionScope) -> _Side:
    match node:
        case Literal():
            return _Value(_constant(node))
        case Name():
            return _Attribute(None, _attribute(node.name, node.start, node.end, scope))
        case Select():
            return _of_step(node, scope)
        case _:
            raise _unsupported(node)


def _constant(node: Literal) -> Constant:
    value = node.value
    if not isinstance(value, bool | int | float | str):
        hint = "a comparison with an attribute that is not there never holds" if value is None else ""
        raise ExpressionError("a constant is a number, a word, `true` or `false`", node.start, node.end, hint)
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionError("the number is too large", node.start, node.end)
    return value


def _of_step(node: Select, scope: ConditionScope) -> _Attribute:
    operand = node.operand
    if not isinstance(operand, Name):
        hint = "attributes of events have no parts" if isinstance(operand, Select) else ""
        raise ExpressionError("expected `<step>.<attribute>`", node.start, node.end, hint)
    if operand.name != scope.own and operand.name not in scope.earlier:
        raise _unknown_step(operand, scope)
    step = None if operand.name == scope.own else scope.earlier[operand.name]
    return _Attribute(step, _attribute(node.field, node.field_start, node.end, scope))


def _unknown_step(node: Name, scope: ConditionScope) -> ExpressionError:
    if node.name in scope.later:
        hint = f"write the comparison in the `where` of `{node.name}`"
        return ExpressionError(f"`{node.name}` comes later", node.start, node.end, hint)
    if node.name in _ELSEWHERE:
        hint = "a pattern sees events only: write it in the `when` of the action"
        return ExpressionError(f"`{node.name}` is not known here", node.start, node.end, hint)
    known = [*scope.earlier, *([scope.own] if scope.own else [])]
    hint = did_you_mean(node.name, known) or "name a step by `as`"
    return ExpressionError(f"unknown step `{node.name}`", node.start, node.end, hint)


def _attribute(name: str, start: int, end: int, scope: ConditionScope) -> str:
    if name in _TIME_WORDS:
        raise ExpressionError(
            f"`{name}` cannot be compared", start, end, "say by `within` how close events are"
        )
    if name in _EVENT_WORDS:
        raise ExpressionError(f"`{name}` is no attribute", start, end, "say by `event` which kind it is")
    if name == scope.own or name in scope.earlier:
        raise ExpressionError(
            f"`{name}` is an event, not an attribute", start, end, f"write `{name}.<attribute>`"
        )
    if not _ATTRIBUTE.fullmatch(name):
        hint = "attributes are written in lower case, with digits and `_`"
        raise ExpressionError(f"`{name}` is no name of an attribute", start, end, hint)
    return name


def _no_comparison(node: Node) -> ExpressionError:
    if isinstance(node, Name | Select):
        text = node.name if isinstance(node, Name) else node.field
        hint = f"write `{text} == true`"
        return ExpressionError("expected a comparison", node.start, node.end, hint)
    if isinstance(node, Literal):
        return ExpressionError(
            "expected a comparison", node.start, node.end, "leave `where` out for all events"
        )
    return _unsupported(node)


def _unsupported(node: Node) -> ExpressionError:
    message, hint = _refusal(node)
    return ExpressionError(message, node.start, node.end, hint)


def _refusal(node: Node) -> tuple[str, str]:
    """What is wrong with a form that the library cannot be trusted with, and what to write instead."""
    match node:
        case Logical():
            return "`||` cannot be used on events", _ONE_PATTERN_EACH.format("case")
        case Binary(operator="in"):
            return "`in` cannot be used on events", _ONE_PATTERN_EACH.format("value")
        case Unary(operator="!"):
            return "`!` cannot be used on events", "turn the comparison round, or write `… == false`"
        case Binary(operator="==" | "!=" | "<" | "<=" | ">" | ">="):
            return "comparisons cannot be compared", "join comparisons by `&&`"
        case Binary() | Unary():
            return "events cannot be reckoned with", _OWN_ATTRIBUTE
        case Call(function="duration" | "timestamp" | "within"):
            return "times cannot be compared", "say by `within` how close events are"
        case Call(function="has"):
            return "functions cannot be used on events", "a comparison fails anyway if nothing is there"
        case Call():
            return "functions cannot be used on events", "compare attributes as they are"
        case Conditional():
            return "`?` cannot be used on events", _ONE_PATTERN_EACH.format("case")
        case ListOf():
            return "lists cannot be compared", "compare with one value"
        case _:
            return "attributes of events have no parts", "compare attributes as they are"
