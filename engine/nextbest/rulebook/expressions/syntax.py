"""The syntax tree: what was written, before anything is known about names and types."""

from dataclasses import dataclass
from typing import TypeAlias

from nextbest.rulebook.expressions.values import Value


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, string, bool or null as written; a leading minus belongs to a number."""

    start: int
    end: int
    value: Value


@dataclass(frozen=True, slots=True)
class Name:
    """A bare name."""

    start: int
    end: int
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """`operand.field`."""

    start: int
    end: int
    operand: "Node"
    field: str
    field_start: int


@dataclass(frozen=True, slots=True)
class Index:
    """`operand[index]`."""

    start: int
    end: int
    operand: "Node"
    index: "Node"


@dataclass(frozen=True, slots=True)
class Call:
    """`function(arguments)`, or `target.function(arguments)`."""

    start: int
    end: int
    function: str
    function_start: int
    target: "Node | None"
    arguments: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[items]`."""

    start: int
    end: int
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Unary:
    """`!operand` or `-operand`."""

    start: int
    end: int
    operator: str
    operand: "Node"


@dataclass(frozen=True, slots=True)
class Binary:
    """A comparison, `in`, or arithmetic."""

    start: int
    end: int
    operator: str
    operator_start: int
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Logical:
    """A chain of `&&` or of `||`, flat because it is associative and chains grow long."""

    start: int
    end: int
    operator: str
    operands: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Conditional:
    """`condition ? when_true : when_false`."""

    start: int
    end: int
    condition: "Node"
    when_true: "Node"
    when_false: "Node"


Node: TypeAlias = Literal | Name | Select | Index | Call | ListOf | Unary | Binary | Logical | Conditional


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below `node`, left to right."""
    match node:
        case Literal() | Name():
            return ()
        case Select():
            return (node.operand,)
        case Index():
            return (node.operand, node.index)
        case Call():
            return (*(() if node.target is None else (node.target,)), *node.arguments)
        case ListOf():
            return node.items
        case Unary():
            return (node.operand,)
        case Binary():
            return (node.left, node.right)
        case Logical():
            return node.operands
        case Conditional():
            return (node.condition, node.when_true, node.when_false)
