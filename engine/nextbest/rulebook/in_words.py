"""Expressions read aloud: plain English for people who do not write them."""

from collections.abc import Mapping

from nextbest.rulebook.expressions.parser import parse
from nextbest.rulebook.expressions.syntax import (
    Binary,
    Call,
    Conditional,
    ListOf,
    Literal,
    Logical,
    Node,
    Select,
    Unary,
)

_OPERATORS: Mapping[str, str] = {
    "==": "is",
    "!=": "is not",
    "<": "is below",
    "<=": "is at most",
    ">": "is above",
    ">=": "is at least",
    "+": "plus",
    "-": "minus",
    "*": "times",
    "/": "divided by",
    "%": "modulo",
}
_CALLS: Mapping[str, str] = {
    "days_since": "days since {}",
    "days_until": "days until {}",
    "months_since": "months since {}",
    "min": "the smaller of {}",
    "max": "the larger of {}",
    "abs": "the size of {}",
    "round": "{} rounded",
    "double": "{}",
    "int": "{}",
}


def in_words(source: str) -> str:
    """An expression in plain English; what has no words for it stays as it is written."""
    return _words(parse(source), source)


def _words(node: Node, source: str) -> str:
    match node:
        case Literal():
            return _literal(node)
        case Select():
            return _name(node, source)
        case Logical():
            word = " and " if node.operator == "&&" else " or "
            return word.join(_nested(operand, source) for operand in node.operands)
        case Unary(operator="!"):
            return _not(node.operand, source)
        case Unary():
            return f"minus {_nested(node.operand, source)}"
        case Binary():
            return _binary(node, source)
        case Call():
            return _call(node, source)
        case ListOf():
            return " or ".join(_words(item, source) for item in node.items) or "nothing"
        case Conditional():
            parts = [_nested(n, source) for n in (node.condition, node.when_true, node.when_false)]
            return f"if {parts[0]} then {parts[1]} else {parts[2]}"
        case _:
            return source[node.start : node.end]


def _not(node: Node, source: str) -> str:
    match node:
        case Binary(operator="in"):
            return _membership(node, source, "is not", "do not include")
        case Call(function="has", arguments=[name]):
            return f"{_words(name, source)} is not known"
        case _:
            return f"not {_nested(node, source)}"


def _nested(node: Node, source: str) -> str:
    text = _words(node, source)
    return f"({text})" if isinstance(node, Logical | Conditional) else text


def _literal(node: Literal) -> str:
    if isinstance(node.value, bool):
        return "true" if node.value else "false"
    return f"`{node.value}`" if isinstance(node.value, str) else f"{node.value}"


def _name(node: Select, source: str) -> str:
    written = source[node.start : node.end]
    root, _, name = written.partition(".")
    spoken = name.replace("_", " ")
    match root:
        case "customer":
            return spoken
        case "context":
            return f"the request's {spoken}"
        case "trigger":
            return f"trigger `{name}` has fired"
        case _:
            return written


def _binary(node: Binary, source: str) -> str:
    if node.operator != "in":
        left, right = _words(node.left, source), _words(node.right, source)
        return f"{_arithmetic(node.left, left)} {_OPERATORS[node.operator]} {_arithmetic(node.right, right)}"
    return _membership(node, source, "is", "include")


def _membership(node: Binary, source: str, one_of: str, include: str) -> str:
    left, right = _words(node.left, source), _words(node.right, source)
    return f"{left} {one_of} {right}" if isinstance(node.right, ListOf) else f"{right} {include} {left}"


def _arithmetic(node: Node, text: str) -> str:
    return f"({text})" if isinstance(node, Binary | Logical | Conditional) else text


def _call(node: Call, source: str) -> str:
    arguments = [_words(argument, source) for argument in node.arguments]
    if node.target is not None or not arguments:
        return source[node.start : node.end]
    if node.function == "has":
        return f"{arguments[0]} is known"
    if node.function == "within" and len(arguments) == 2:
        return f"{arguments[0]} lies within the last {arguments[1]} days"
    if node.function == "peers_have":
        return f"customers alike have {arguments[0]}"
    if node.function in _CALLS:
        return _CALLS[node.function].format(" and ".join(arguments))
    return source[node.start : node.end]
