"""The expression language: a statically typed subset of CEL."""

from nextbest.rulebook.expressions.checker import compile_condition, compile_expression, compile_number
from nextbest.rulebook.expressions.errors import ExpressionError, Note
from nextbest.rulebook.expressions.parser import parse
from nextbest.rulebook.expressions.scope import Scope
from nextbest.rulebook.expressions.typed import TypedExpression

__all__ = [
    "ExpressionError",
    "Note",
    "Scope",
    "TypedExpression",
    "compile_condition",
    "compile_expression",
    "compile_number",
    "parse",
]
