"""Checked trees built so that whatever is known without a customer is computed at once."""

from nextbest.rulebook.expressions.evaluate import evaluate
from nextbest.rulebook.expressions.typed import Expr, Form
from nextbest.rulebook.expressions.types import BOOL, Type
from nextbest.rulebook.expressions.values import Failure, Value


def constant(value: Value, kind: Type, start: int, end: int) -> Expr:
    """A constant of a given type."""
    return Expr(Form.CONSTANT, kind, start, end, value=value)


def call(
    function: str, arguments: tuple[Expr, ...], result: Type, start: int, end: int, *, unit: str = ""
) -> Expr:
    """A strict function: computed when all arguments are constant, an error when one always fails."""
    for argument in arguments:
        if isinstance(argument.value, Failure):
            return constant(argument.value, result, argument.start, argument.end)
    if all(argument.is_constant for argument in arguments):
        value = evaluate(function, tuple(argument.value for argument in arguments))
        return constant(value, result, start, end)
    return Expr(Form.CALL, result, start, end, arguments, function=function, unit=unit)


def negation(operand: Expr) -> Expr:
    """Not; UNKNOWN and errors stay what they are."""
    if operand.fails:
        return operand
    if operand.is_constant:
        return constant(not operand.value, BOOL, operand.start, operand.end)
    if operand.form is Form.NOT:
        return operand.arguments[0]
    return Expr(Form.NOT, BOOL, operand.start, operand.end, (operand,))


def conjunction(operands: tuple[Expr, ...], start: int, end: int) -> Expr:
    """And: false if any operand is, whatever the others are or fail with."""
    kept: list[Expr] = []
    for operand in operands:
        if operand.value is False:
            return constant(value=False, kind=BOOL, start=start, end=end)
        if operand.value is not True:
            kept += operand.arguments if operand.form is Form.AND else (operand,)
    if all(operand.fails for operand in kept):
        return kept[0] if kept else constant(value=True, kind=BOOL, start=start, end=end)
    if len(kept) == 1:
        return kept[0]
    return Expr(Form.AND, BOOL, start, end, tuple(kept))


def choose(condition: Expr, one: Expr, other: Expr, result: Type, start: int, end: int) -> Expr:
    """Choose one of two; the branch that is not taken may fail."""
    if condition.fails:
        return constant(condition.value, result, condition.start, condition.end)
    if condition.is_constant:
        chosen = one if condition.value else other
        return chosen.at(start, end)
    unit = one.unit or other.unit
    return Expr(Form.CHOOSE, result, start, end, (condition, one, other), unit=unit)
