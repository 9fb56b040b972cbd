"""Names and types: syntax tree to checked tree, with constants folded on the way."""

from nextbest.rulebook.expressions.calls import CallChecker
from nextbest.rulebook.expressions.errors import ExpressionError, Note, did_you_mean, unsupported
from nextbest.rulebook.expressions.folding import call, choose, conjunction, constant, negation
from nextbest.rulebook.expressions.overloads import (
    ARITHMETIC,
    COMPARISONS,
    DENOTATIONS,
    DOTTED_TYPES,
    NEGATION,
)
from nextbest.rulebook.expressions.parser import parse
from nextbest.rulebook.expressions.scope import ROOTS, Scope, Symbol
from nextbest.rulebook.expressions.syntax import (
    Binary,
    Call,
    Conditional,
    Index,
    ListOf,
    Literal,
    Logical,
    Name,
    Node,
    Select,
    Unary,
)
from nextbest.rulebook.expressions.typed import Expr, Form, TypedExpression
from nextbest.rulebook.expressions.types import (
    BOOL,
    INT,
    ORDERED,
    TYPE,
    Kind,
    Type,
    enum_type,
    list_type,
    value_type,
)
from nextbest.rulebook.expressions.units import combined_unit, unit_note
from nextbest.rulebook.expressions.values import Failure, TypeValue
from nextbest.standard_facts import STANDARD_FACTS


def compile_condition(source: str, scope: Scope) -> TypedExpression:
    """Check an expression that must be true or false.

    Raises:
        ExpressionError: it is no CEL of this subset, of another type, or fails for every customer.
    """
    checked = compile_expression(source, scope)
    if checked.type.kind is not Kind.BOOL:
        raise ExpressionError(
            f"the condition is {_article(checked.type)}, not a bool", 0, len(source), _bool_hint(checked)
        )
    return checked


def compile_number(source: str, scope: Scope) -> TypedExpression:
    """Check an expression that must be a number (or a bool, which counts 0 or 1).

    Raises:
        ExpressionError: it is no CEL of this subset, of another type, or fails for every customer.
    """
    checked = compile_expression(source, scope)
    if not (checked.type.is_number or checked.type.kind is Kind.BOOL):
        raise ExpressionError(f"the value is {_article(checked.type)}, not a number", 0, len(source))
    return checked


def compile_expression(source: str, scope: Scope) -> TypedExpression:
    """Parse and check an expression of any type.

    Raises:
        ExpressionError: it is no CEL of this subset, or fails for every customer.
    """
    checker = _Checker(scope)
    root = checker.check(parse(source))
    if isinstance(root.value, Failure):
        raise ExpressionError(f"the expression always fails: {root.value.message}", root.start, root.end)
    failing = (e for e in root.walk() if isinstance(e.value, Failure) and not e.arguments)
    notes = checker.notes + [
        Note("always_fails", f"this part always fails: {e.value.message}", e.start, e.end)
        for e in failing
        if isinstance(e.value, Failure)
    ]
    return TypedExpression(source, root, tuple(sorted(set(notes), key=lambda n: (n.start, n.end, n.message))))


def _article(kind: Type) -> str:
    text = str(kind)
    return f"an {text}" if text[0] in "aeiou" else f"a {text}"


def _bool_hint(checked: TypedExpression) -> str:
    if checked.type.is_number:
        return (
            f"compare it, such as `{checked.source.strip()} > 0`"
            if len(checked.source) < 40
            else "compare it"
        )
    return ""


_CONSTANTS = {
    **dict.fromkeys(("yes", "true", "on"), "write `true`"),
    **dict.fromkeys(("no", "false", "off"), "write `false`"),
    **dict.fromkeys(("none", "null", "nil"), "ask `has(customer.x)`: what is missing is no value"),
}
_OTHER_ROOTS: dict[str, str] = dict.fromkeys(
    ("segment", "segments"), "name segments under `segments:` of the action, or repeat the condition"
)
_STANDARD = frozenset(fact.name for fact in STANDARD_FACTS)
_NOT_CHOSEN = frozenset({Kind.LIST, Kind.SET, Kind.NULL, Kind.TYPE})


class _Checker(CallChecker):
    """Checks one expression; calls are in the base class."""

    def check(self, node: Node) -> Expr:
        # The commonest first: a match tries its cases in turn.
        match node:
            case Select():
                return self._select(node)
            case Literal():
                return constant(node.value, value_type(node.value), node.start, node.end)
            case Binary():
                return self._binary(node)
            case Logical():
                return self._logical(node)
            case Unary():
                return self._unary(node)
            case Call():
                return self.call(node)
            case ListOf():
                return self._list(node)
            case Conditional():
                return self._conditional(node)
            case Name():
                return self._name(node)
            case Index():
                return self._index(node)

    def _name(self, node: Name) -> Expr:
        if node.name in DENOTATIONS:
            return constant(TypeValue(node.name), TYPE, node.start, node.end)
        if node.name in ROOTS:
            known = ", ".join(f"`{name}`" for name in sorted(self.scope.members(node.name))[:3])
            hint = f"write `{node.name}.<name>`, with names such as {known}" if known else ""
            raise ExpressionError(f"`{node.name}` is not a value", node.start, node.end, hint)
        raise ExpressionError(f"unknown name `{node.name}`", node.start, node.end, self._owner(node.name))

    def _owner(self, name: str) -> str:
        if name.casefold() in _CONSTANTS:
            return _CONSTANTS[name.casefold()]
        for root in ROOTS:
            if name in self.scope.members(root):
                return f"did you mean `{root}.{name}`?"
        candidates = {n: f"{root}.{n}" for root in ROOTS for n in self.scope.members(root)}
        near = did_you_mean(name, candidates)
        return (
            f"did you mean `{candidates[near.split('`')[1]]}`?" if near else f'is it a text? Write `"{name}"`'
        )

    def _select(self, node: Select) -> Expr:
        if (name := _dotted(node)) in DOTTED_TYPES:
            return constant(TypeValue(name), TYPE, node.start, node.end)
        symbol = self.symbol(node)
        return Expr(Form.LOAD, symbol.type, node.start, node.end, symbol=symbol, unit=symbol.unit)

    def symbol(self, node: Select) -> Symbol:
        """Resolve `customer.x`, `context.x` or `trigger.x`."""
        if not isinstance(node.operand, Name):
            raise unsupported("fields of values", node.field_start - 1, node.end)
        root = node.operand.name
        if root not in ROOTS:
            hint = (
                _OTHER_ROOTS.get(root)
                or did_you_mean(root, ROOTS)
                or "names start with `customer.`, `context.` or `trigger.`"
            )
            raise ExpressionError(f"unknown name `{root}`", node.operand.start, node.operand.end, hint)
        members = self.scope.members(root)
        if node.field not in members:
            kind = {"customer": "fact", "context": "context key", "trigger": "trigger"}[root]
            hint = self._elsewhere(root, node.field) or did_you_mean(node.field, members)
            if root == "customer" and node.field in _STANDARD:
                hint = f"add `{node.field}` to `standard` in facts.yaml"
            raise ExpressionError(f"unknown {kind} `{node.field}`", node.field_start, node.end, hint)
        return members[node.field]

    def _elsewhere(self, root: str, name: str) -> str:
        for other in ROOTS:
            if other != root and name in self.scope.members(other):
                return f"did you mean `{other}.{name}`?"
        return ""

    def _index(self, node: Index) -> Expr:
        operand, index = self.check(node.operand), self.check(node.place)
        if operand.type.kind is not Kind.LIST or not (operand.is_constant and index.is_constant):
            raise unsupported("indexes into anything but a constant list", node.start, node.end)
        if index.type != INT or operand.type.item is None:
            raise ExpressionError("a list is indexed by an int", index.start, index.end)
        return call("index", (operand, index), operand.type.item, node.start, node.end)

    def _list(self, node: ListOf) -> Expr:
        items = tuple(self.check(item) for item in node.items)
        item_type = self._item_type(items)
        if all(item.is_constant for item in items):
            failed = next((i.value for i in items if isinstance(i.value, Failure)), None)
            value = failed or tuple(item.value for item in items)
            # The items stay, so that an error can point at one of them.
            folded = constant(value, list_type(item_type), node.start, node.end)
            return folded._replace(arguments=items)
        return Expr(Form.LIST, list_type(item_type), node.start, node.end, items)

    @staticmethod
    def _item_type(items: tuple[Expr, ...]) -> Type | None:
        item_type: Type | None = None
        for item in items:
            item_type = item.type if item_type is None else common_type(item_type, item.type)
            if item_type is None:
                raise unsupported(
                    "lists of different types", item.start, item.end, "dynamic types are not supported"
                )
        return item_type

    def _unary(self, node: Unary) -> Expr:
        operand = self.check(node.operand)
        if node.operator == "!":
            self.require_bool(operand, "!")
            return negation(operand).at(node.start, node.end)
        overload = NEGATION.get(operand.type.kind)
        if overload is None:
            raise self.no_overload("-", node.start, node.end, operand)
        return call(overload.function, (operand,), overload.result, node.start, node.end, unit=operand.unit)

    def _logical(self, node: Logical) -> Expr:
        operands = tuple(self.check(operand) for operand in node.operands)
        for operand in operands:
            self.require_bool(operand, node.operator)
        if node.operator == "&&":
            return conjunction(operands, node.start, node.end)
        return negation(conjunction(tuple(negation(o) for o in operands), node.start, node.end)).at(
            node.start, node.end
        )

    def _conditional(self, node: Conditional) -> Expr:
        condition, one, other = (self.check(n) for n in (node.condition, node.when_true, node.when_false))
        self.require_bool(condition, "? :")
        result = common_type(one.type, other.type)
        if result is None:
            raise ExpressionError(
                f"`? :` chooses between {_article(one.type)} and {_article(other.type)}",
                one.start,
                other.end,
                "dynamic types are not supported: both must be of one type",
            )
        if not condition.is_constant and result.kind in _NOT_CHOSEN:
            raise unsupported(f"choices between values of type {result}", node.start, node.end)
        self.compare_units(one, other, one.start, other.end)
        return choose(condition, one, other, result, node.start, node.end)

    def _binary(self, node: Binary) -> Expr:
        left, right = self.check(node.left), self.check(node.right)
        if node.operator == "in":
            return self._membership(node, left, right)
        if node.operator in COMPARISONS:
            return self._comparison(node, left, right)
        return self._arithmetic(node, left, right)

    def _arithmetic(self, node: Binary, left: Expr, right: Expr) -> Expr:
        if node.operator == "+" and left.type.kind is right.type.kind is Kind.LIST:
            return self._joined_lists(node, left, right)
        overload = ARITHMETIC.get((node.operator, left.type.kind, right.type.kind))
        if overload is None:
            raise self.no_overload(node.operator, node.start, node.end, left, right)
        if node.operator in "+-":
            self.compare_units(left, right, node.start, node.end)
        unit = combined_unit(node.operator, left.unit, right.unit)
        return call(overload.function, (left, right), overload.result, node.start, node.end, unit=unit)

    @staticmethod
    def _joined_lists(node: Binary, left: Expr, right: Expr) -> Expr:
        items = left.type.item or right.type.item
        if not (left.is_constant and right.is_constant):
            raise unsupported("lists joined from facts", node.start, node.end)
        if left.type.item and right.type.item and common_type(left.type.item, right.type.item) is None:
            raise unsupported("lists of different types", node.start, node.end)
        return call("add_list", (left, right), list_type(items), node.start, node.end)

    def _comparison(self, node: Binary, left: Expr, right: Expr) -> Expr:
        ordered = node.operator not in ("==", "!=")
        if not comparable(left.type, right.type, ordered=ordered):
            raise self._incomparable(node, left, right)
        self._limit_lists(node, left, right)
        if not ordered:
            self.require_value(left, right)
            self.require_value(right, left)
        self.compare_units(left, right, node.start, node.end)
        return call(COMPARISONS[node.operator], (left, right), BOOL, node.start, node.end)

    @staticmethod
    def _limit_lists(node: Binary, left: Expr, right: Expr) -> None:
        if left.type.kind is Kind.LIST and not (left.is_constant and right.is_constant):
            raise unsupported("comparisons of lists that hold facts", node.start, node.end)

    def _incomparable(self, node: Binary, left: Expr, right: Expr) -> ExpressionError:
        hint = ""
        if Kind.NULL in (left.type.kind, right.type.kind):
            hint = _CONSTANTS["null"]
        elif Kind.STRING in (left.type.kind, right.type.kind) and (
            left.type.is_number or right.type.is_number
        ):
            hint = "write the number without quotation marks"
        elif Kind.SET in (left.type.kind, right.type.kind):
            hint = 'ask for a member: `"member" in customer.<set>`'
        elif {left.type.kind, right.type.kind} & {Kind.TIMESTAMP}:
            hint = 'use `days_since(...)`, or write `timestamp("2026-01-31T00:00:00Z")`'
        return ExpressionError(
            f"`{node.operator}` cannot compare {_article(left.type)} with {_article(right.type)}",
            node.start,
            node.end,
            hint,
        )

    def _membership(self, node: Binary, item: Expr, holder: Expr) -> Expr:
        if holder.type.kind is Kind.SET:
            return self._set_membership(node, item, holder)
        if holder.type.kind is not Kind.LIST:
            hint = "`in` takes a list such as `[1, 2]`, or a set fact"
            raise ExpressionError(
                f"`in` cannot search {_article(holder.type)}", holder.start, holder.end, hint
            )
        item_type = holder.type.item
        if item_type is not None and not comparable(item.type, item_type, ordered=False):
            raise self._incomparable(node, item, Expr(Form.LIST, item_type, 0, 0))
        for member in holder.arguments or _members(holder):
            self.require_value(item, member)
            self.compare_units(item, member, node.start, node.end)
        return call("in_list", (item, holder), BOOL, node.start, node.end)

    def _set_membership(self, node: Binary, item: Expr, holder: Expr) -> Expr:
        if item.type.kind is not Kind.STRING:
            hint = 'write a member in quotation marks: `"member" in customer.<set>`'
            raise ExpressionError(
                f"the members of a set are strings, not {_article(item.type)}", item.start, item.end, hint
            )
        if holder.form is not Form.LOAD:
            raise unsupported("computed sets", holder.start, holder.end)
        self.require_member(item, holder)
        if item.fails:
            return item
        return Expr(Form.IN_SET, BOOL, node.start, node.end, (item, holder))

    def compare_units(self, left: Expr, right: Expr, start: int, end: int) -> None:
        """Note when numbers of different units meet."""
        note = unit_note(left.unit, right.unit, start, end)
        if note:
            self.notes.append(note)


def _dotted(node: Node) -> str:
    """The whole name of `a.b.c`; empty for anything else."""
    if isinstance(node, Name):
        return node.name
    return f"{_dotted(node.operand)}.{node.field}" if isinstance(node, Select) else ""


def _members(holder: Expr) -> tuple[Expr, ...]:
    values = holder.value if isinstance(holder.value, tuple) else ()
    return tuple(constant(value, value_type(value), holder.start, holder.end) for value in values)


def common_type(one: Type, other: Type) -> Type | None:
    """The type of a value that is either; None if there is no such type."""
    if one.kind is not other.kind:
        return None
    if one.kind is Kind.STRING:
        both = one.closed and other.closed
        return enum_type(tuple(dict.fromkeys((*one.values, *other.values)))) if both else Type(Kind.STRING)
    if one.kind is Kind.LIST and one.item and other.item:
        item = common_type(one.item, other.item)
        return list_type(item) if item else None
    return one


def comparable(one: Type, other: Type, *, ordered: bool) -> bool:
    """Whether CEL compares values of these types; numbers of different kinds compare by value."""
    if one.is_number and other.is_number:
        return True
    if one.kind is Kind.LIST and other.kind is Kind.LIST and not ordered:
        return not (one.item and other.item) or comparable(one.item, other.item, ordered=False)
    if one.kind is Kind.SET:
        return False
    return one.kind is other.kind and (not ordered or one.kind in ORDERED)
