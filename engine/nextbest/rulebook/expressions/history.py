"""History windows: `count(history.contacts, 30, entry.channel == "email")` and its like."""

from collections.abc import Callable

from nextbest.facts import FactType
from nextbest.model import DAY_S
from nextbest.rulebook.expressions.errors import ExpressionError, did_you_mean
from nextbest.rulebook.expressions.scope import Scope
from nextbest.rulebook.expressions.syntax import Binary, Call, ListOf, Literal, Name, Node, Select
from nextbest.rulebook.expressions.typed import Expr, Form
from nextbest.rulebook.expressions.types import BOOL, DOUBLE, INT, TIMESTAMP
from nextbest.rulebook.expressions.values import Duration
from nextbest.rulebook.program import EntryField, Ring, WindowKind, WindowSpec

_RINGS = {"contacts": Ring.CONTACTS, "events": Ring.EVENTS}
_MONEY = {"amount": EntryField.AMOUNT, "cost": EntryField.COST}
_RESULTS = {
    "count": (WindowKind.COUNT, INT, "count"),
    "sum": (WindowKind.SUM, DOUBLE, "money"),
    "last": (WindowKind.LAST, TIMESTAMP, ""),
}


def check_window(node: Call, scope: Scope, check: Callable[[Node], Expr]) -> Expr:
    """Check `count`, `sum` or `last` over a history ring.

    Raises:
        ExpressionError: the ring, the length or a filter is not of the form it must have.
    """
    if len(node.arguments) < 2:
        hint = f"such as `{_example(node.function)}`"
        raise ExpressionError(
            f"`{node.function}` takes a history and a number of days", node.function_start, node.end, hint
        )
    kind, result, unit = _RESULTS[node.function]
    ring, summed = _ring(node, node.arguments[0])
    seconds = _seconds(check(node.arguments[1]))
    filters = tuple(_filter(argument, scope) for argument in node.arguments[2:])
    spec = WindowSpec(kind, ring, seconds, summed, tuple(sorted(filters)))
    return Expr(Form.WINDOW, result, node.start, node.end, window=spec, unit=unit)


def check_peers(node: Call, scope: Scope) -> Expr:
    """Check `peers_have("member")`.

    Raises:
        ExpressionError: the argument is no member of the set that peers are compared by.
    """
    argument = node.arguments[0] if len(node.arguments) == 1 else None
    if not isinstance(argument, Literal) or not isinstance(argument.value, str):
        raise ExpressionError(
            "`peers_have` takes one member in quotation marks", node.function_start, node.end
        )
    members = scope.catalogue[scope.peer_set].values if scope.peer_set in scope.catalogue else ()
    known = scope.peer_set in scope.catalogue and scope.catalogue[scope.peer_set].type is FactType.SET
    if not known or argument.value not in members:
        raise ExpressionError(
            f"`customer.{scope.peer_set}` has no member `{argument.value}`",
            argument.start,
            argument.end,
            did_you_mean(argument.value, members),
        )
    code = members.index(argument.value)
    spec = WindowSpec(WindowKind.PEERS_HAVE, Ring.EVENTS, 0.0, filters=((EntryField.KIND, (code,)),))
    return Expr(Form.WINDOW, BOOL, node.start, node.end, window=spec)


def _example(function: str) -> str:
    field = ".amount" if function == "sum" else ""
    return f"{function}(history.events{field}, 30)"


def _ring(node: Call, argument: Node) -> tuple[Ring, EntryField]:
    summed: EntryField | None = None
    ring = argument
    if isinstance(ring, Select) and ring.field in _MONEY:
        summed, ring = _MONEY[ring.field], ring.operand
    known = isinstance(ring, Select) and isinstance(ring.operand, Name) and ring.operand.name == "history"
    if not known or not isinstance(ring, Select) or ring.field not in _RINGS:
        raise ExpressionError(
            f"`{node.function}` does not read this",
            argument.start,
            argument.end,
            "write `history.contacts` or `history.events`",
        )
    if (summed is not None) is not (node.function == "sum"):
        raise ExpressionError(
            f"`{node.function}` does not read this",
            argument.start,
            argument.end,
            f"such as `{_example(node.function)}`",
        )
    return _RINGS[ring.field], summed or EntryField.AMOUNT


def _seconds(length: Expr) -> float:
    value = length.value
    if isinstance(value, Duration):
        seconds = value.seconds
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value * DAY_S
    else:
        hint = 'a constant number of days, or `duration("36h")`'
        raise ExpressionError("the window's length must be constant", length.start, length.end, hint)
    if not 0 < seconds < float("inf"):
        raise ExpressionError("the window's length must be positive", length.start, length.end)
    return seconds


def _filter(node: Node, scope: Scope) -> tuple[EntryField, tuple[int, ...]]:
    if not isinstance(node, Binary) or node.operator not in ("==", "in"):
        raise ExpressionError(
            "a window's filter is `entry.<field> == ...` or `entry.<field> in [...]`", node.start, node.end
        )
    field, names = _entry_field(node.left, scope)
    items = node.right.items if isinstance(node.right, ListOf) and node.operator == "in" else (node.right,)
    return field, tuple(sorted({_code(item, names) for item in items}))


def _entry_field(node: Node, scope: Scope) -> tuple[EntryField, tuple[str, ...]]:
    fields = scope.entry_fields
    if isinstance(node, Select) and isinstance(node.operand, Name) and node.operand.name == "entry":
        if node.field in fields:
            return fields[node.field]
        hint = did_you_mean(node.field, fields) or f"one of {', '.join(fields)}"
        raise ExpressionError(f"an entry has no field `{node.field}`", node.field_start, node.end, hint)
    raise ExpressionError("a window's filter starts with `entry.`", node.start, node.end)


def _code(node: Node, names: tuple[str, ...]) -> int:
    if not isinstance(node, Literal) or not isinstance(node.value, str):
        raise ExpressionError("a window's filter compares with a string", node.start, node.end)
    if not node.value or node.value not in names:
        hint = did_you_mean(node.value, names)
        raise ExpressionError(f"unknown name `{node.value}`", node.start, node.end, hint)
    return names.index(node.value)
