"""The syntax tree: what was written, before anything is known about names and types."""

from typing import NamedTuple, TypeAlias

from nextbest.rulebook.expressions.values import Value


class Literal(NamedTuple):
    """A number, string, bool or null as written; a leading minus belongs to a number."""

    start: int
    end: int
    value: Value


class Name(NamedTuple):
    """A bare name."""

    start: int
    end: int
    name: str


class Select(NamedTuple):
    """`operand.field`."""

    start: int
    end: int
    operand: "Node"
    field: str
    field_start: int


class Index(NamedTuple):
    """`operand[place]`."""

    start: int
    end: int
    operand: "Node"
    place: "Node"


class Call(NamedTuple):
    """`function(arguments)`, or `target.function(arguments)`."""

    start: int
    end: int
    function: str
    function_start: int
    target: "Node | None"
    arguments: tuple["Node", ...]


class ListOf(NamedTuple):
    """`[items]`."""

    start: int
    end: int
    items: tuple["Node", ...]


class Unary(NamedTuple):
    """`!operand` or `-operand`."""

    start: int
    end: int
    operator: str
    operand: "Node"


class Binary(NamedTuple):
    """A comparison, `in`, or arithmetic."""

    start: int
    end: int
    operator: str
    operator_start: int
    left: "Node"
    right: "Node"


class Logical(NamedTuple):
    """A chain of `&&` or of `||`, flat because it is associative and chains grow long."""

    start: int
    end: int
    operator: str
    operands: tuple["Node", ...]


class Conditional(NamedTuple):
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
        case Select() | Unary():
            return (node.operand,)
        case Literal() | Name():
            return ()
        case Binary():
            return (node.left, node.right)
        case Logical():
            return node.operands
        case Call():
            return (*(() if node.target is None else (node.target,)), *node.arguments)
        case ListOf():
            return node.items
        case Conditional():
            return (node.condition, node.when_true, node.when_false)
        case Index():
            return (node.operand, node.place)
