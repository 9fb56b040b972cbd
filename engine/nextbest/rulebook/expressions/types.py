"""Static types of expressions."""

from dataclasses import dataclass
from enum import StrEnum

from nextbest.facts import Fact, FactType
from nextbest.rulebook.expressions.values import Duration, Timestamp, TypeValue, Uint, Value


class Kind(StrEnum):
    """Kinds of type, spelled as an author would say them."""

    BOOL = "bool"
    INT = "int"
    UINT = "uint"
    DOUBLE = "double"
    STRING = "string"
    TIMESTAMP = "timestamp"
    DURATION = "duration"
    SET = "set"
    LIST = "list"
    NULL = "null"
    TYPE = "type"


@dataclass(frozen=True, slots=True)
class Type:
    """A static type. An enum is a string whose possible values are known."""

    kind: Kind
    values: tuple[str, ...] = ()
    """Members of an enum or a set, in code order."""
    item: "Type | None" = None
    """Type of a list's items; None for the empty list."""
    closed: bool = False
    """True for a string that comes from a closed list of values: an enum."""

    @property
    def is_number(self) -> bool:
        """True for int, uint and double."""
        return self.kind in NUMBERS

    @property
    def is_enum(self) -> bool:
        """True for a string that comes from a closed list."""
        return self.closed

    def __str__(self) -> str:
        if self.kind is Kind.LIST:
            return f"list of {self.item}" if self.item else "empty list"
        return "enum" if self.is_enum else str(self.kind)


NUMBERS = frozenset({Kind.INT, Kind.UINT, Kind.DOUBLE})
ORDERED = NUMBERS | {Kind.BOOL, Kind.STRING, Kind.TIMESTAMP, Kind.DURATION}

BOOL = Type(Kind.BOOL)
INT = Type(Kind.INT)
UINT = Type(Kind.UINT)
DOUBLE = Type(Kind.DOUBLE)
STRING = Type(Kind.STRING)
TIMESTAMP = Type(Kind.TIMESTAMP)
DURATION = Type(Kind.DURATION)
NULL = Type(Kind.NULL)
TYPE = Type(Kind.TYPE)

_OF_FACT = {
    FactType.INT: INT,
    FactType.DOUBLE: DOUBLE,
    FactType.BOOL: BOOL,
    FactType.TIMESTAMP: TIMESTAMP,
}


def enum_type(values: tuple[str, ...]) -> Type:
    """The type of a string that is one of `values`."""
    return Type(Kind.STRING, values, closed=True)


def list_type(item: Type | None) -> Type:
    """The type of a list of `item`."""
    return Type(Kind.LIST, item=item)


def fact_type(fact: Fact) -> Type:
    """The type an expression sees for a fact."""
    if fact.type is FactType.ENUM:
        return enum_type(fact.values)
    if fact.type is FactType.SET:
        return Type(Kind.SET, fact.values)
    return _OF_FACT[fact.type]


def value_type(value: Value) -> Type:
    """The type of a constant that is not a list."""
    match value:
        case bool():
            return BOOL
        case int():
            return INT
        case float():
            return DOUBLE
        case str():
            return STRING
        case Uint():
            return UINT
        case Timestamp():
            return TIMESTAMP
        case Duration():
            return DURATION
        case TypeValue():
            return TYPE
        case _:
            return NULL
