"""Tokens to a syntax tree: CEL's grammar by precedence climbing."""

from nextbest.rulebook.expressions.errors import ExpressionError, unsupported
from nextbest.rulebook.expressions.lexer import Kind, Token, tokenize
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
    children,
)

MAX_NESTING = 40
"""How deeply parentheses, lists, calls and prefixes may nest: ten Python frames each while parsing."""
MAX_DEPTH = 80
"""How deep the tree may be (a chain of n operators is n deep): bounds every later walk over it."""

_BINDING = {
    "<": 3,
    "<=": 3,
    ">": 3,
    ">=": 3,
    "==": 3,
    "!=": 3,
    "in": 3,
    "+": 4,
    "-": 4,
    "*": 5,
    "/": 5,
    "%": 5,
}
_RESERVED = frozenset(
    {
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    }
)
_AFTER_VALUE = frozenset({"&&", "||", ")", "?", ":", ",", "==", "!=", "<", ">", "<=", ">="})
_WORDS = {"and": "&&", "or": "||", "not": "!", "AND": "&&", "OR": "||", "NOT": "!", "is": "=="}

_INSTEAD = {
    "contains": 'turn it round: `"coffee" in customer.needs`',
    "includes": 'turn it round: `"coffee" in customer.needs`',
    "between": "write two comparisons: `customer.x >= 1.0 && customer.x <= 5.0`",
}


def parse(source: str) -> Node:
    """Parse an expression.

    Raises:
        ExpressionError: the text is no CEL, nests too deeply, or uses a form outside the subset.
    """
    node = _Parser(tokenize(source)).whole()
    _limit_depth(node)
    return node


def _limit_depth(root: Node) -> None:
    level: list[Node] = [root]
    depth = 0
    while level:
        level = [child for node in level for child in children(node)]
        depth += 1
    if depth > MAX_DEPTH:
        raise ExpressionError(
            f"the expression is more than {MAX_DEPTH} operators deep", root.start, root.end, "split it up"
        )


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._next = tokens[0]

    def whole(self) -> Node:
        if len(self._tokens) == 1:
            raise ExpressionError("the expression is empty", 0, self._next.end)
        node = self._expression()
        if self._at < len(self._tokens) - 1:
            raise self._unexpected()
        return node

    def _go_to(self, at: int) -> None:
        self._at = at
        self._next = self._tokens[at]

    def _take(self) -> Token:
        token = self._next
        if token.kind is not Kind.END:
            self._go_to(self._at + 1)
        return token

    def _accept(self, symbol: str) -> bool:
        if self._next.symbol == symbol:
            self._go_to(self._at + 1)
            return True
        return False

    def _expect(self, symbol: str) -> Token:
        if self._next.symbol != symbol:
            raise self._unexpected(f"`{symbol}`")
        return self._take()

    def _unexpected(self, expected: str = "", token: Token | None = None) -> ExpressionError:
        token = token or self._next
        what = "the expression ends too early" if token.kind is Kind.END else f"unexpected `{token.text}`"
        hint = f"{expected} is expected here" if expected else ""
        if token.text in _WORDS:
            hint = f"write `{_WORDS[token.text]}` for `{token.text}`"
        if token.text in _INSTEAD:
            hint = _INSTEAD[token.text]
        return ExpressionError(what, token.start, token.end, hint)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise ExpressionError(
                f"the expression nests more than {MAX_NESTING} levels deep", self._next.start, self._next.end
            )

    def _expression(self) -> Node:
        self._deeper()
        node = self._conditional()
        self._depth -= 1
        return node

    def _conditional(self) -> Node:
        condition = self._chain("||")
        if not self._accept("?"):
            return condition
        when_true = self._chain("||")
        self._expect(":")
        when_false = self._expression()
        return Conditional(condition.start, when_false.end, condition, when_true, when_false)

    def _chain(self, operator: str) -> Node:
        """A chain of `||`, whose operands are chains of `&&`, whose operands are comparisons."""
        operands = [self._operand(operator)]
        while self._accept(operator):
            operands.append(self._operand(operator))
        if len(operands) == 1:
            return operands[0]
        return Logical(operands[0].start, operands[-1].end, operator, tuple(operands))

    def _operand(self, operator: str) -> Node:
        return self._chain("&&") if operator == "||" else self._binary(3)

    def _binary(self, least: int) -> Node:
        left = self._unary()
        while _BINDING.get(self._next.symbol, 0) >= least:
            operator = self._take()
            self._refuse_per_cent(left, operator)
            right = self._binary(_BINDING[operator.text] + 1)
            left = Binary(left.start, right.end, operator.text, operator.start, left, right)
        return left

    def _refuse_per_cent(self, left: Node, operator: Token) -> None:
        """`20%` ends, or goes on with another operator, where a remainder needs a divisor."""
        ends = self._next.kind is Kind.END or self._next.symbol in _AFTER_VALUE
        if operator.text == "%" and ends and isinstance(left, Literal) and type(left.value) in (int, float):
            share = float(str(left.value)) / 100
            hint = f"per cent are written as a share: `{share:.6g}`"
            raise ExpressionError("`%` is no per cent here", operator.start, operator.end, hint)

    def _unary(self) -> Node:
        if self._next.symbol == "!":
            return self._prefix("!")
        if self._next.symbol != "-":
            return self._postfix()
        negated = self._tokens[self._at + 1]
        if negated.kind is Kind.LITERAL and type(negated.value) in (int, float):
            return self._postfix()
        return self._prefix("-")

    def _prefix(self, operator: str) -> Node:
        self._deeper()
        token = self._take()
        operand = self._unary()
        self._depth -= 1
        return Unary(token.start, operand.end, operator, operand)

    def _postfix(self) -> Node:
        node = self._primary()
        while True:
            if self._accept("."):
                node = self._member(node)
            elif self._accept("["):
                index = self._expression()
                node = Index(node.start, self._expect("]").end, node, index)
            elif self._next.symbol == "{":
                raise unsupported("messages", node.start, self._next.end)
            else:
                return node

    def _member(self, target: Node) -> Node:
        field = self._take()
        if field.kind is not Kind.NAME:
            raise self._unexpected("a name", field)
        if self._accept("("):
            arguments, end = self._arguments(")")
            return Call(target.start, end, field.text, field.start, target, arguments)
        return Select(target.start, field.end, target, field.text, field.start)

    def _arguments(self, closing: str) -> tuple[tuple[Node, ...], int]:
        items: list[Node] = []
        while self._next.symbol != closing:
            items.append(self._expression())
            if not self._accept(","):
                break
            if closing == ")" and self._next.symbol == closing:
                raise self._unexpected("an argument")
        return tuple(items), self._expect(closing).end

    def _primary(self) -> Node:
        token = self._take()
        if token.kind is Kind.LITERAL:
            return self._literal(token)
        if token.kind is Kind.NAME:
            return self._name(token)
        if token.text == "-":
            return self._negative(token)
        if token.text == "(":
            node = self._expression()
            self._expect(")")
            return node
        if token.text == "[":
            items, end = self._arguments("]")
            return ListOf(token.start, end, items)
        raise self._odd_start(token)

    def _odd_start(self, token: Token) -> ExpressionError:
        if token.text == "{":
            return unsupported("maps", token.start, token.end)
        if token.text == "." and self._next.kind is Kind.NAME:
            return unsupported("names with a leading dot", token.start, token.end)
        return self._unexpected("a value", token)

    @staticmethod
    def _literal(token: Token) -> Node:
        if token.value == 2**63 and type(token.value) is int:
            raise ExpressionError(f"`{token.text}` does not fit in a 64-bit integer", token.start, token.end)
        return Literal(token.start, token.end, token.value)

    def _negative(self, minus: Token) -> Node:
        """A minus before a number belongs to the literal, so that -2⁶³ can be written."""
        token = self._take()
        value = token.value
        assert isinstance(value, int | float)
        return Literal(minus.start, token.end, -value)

    def _name(self, token: Token) -> Node:
        if token.text in _RESERVED:
            raise ExpressionError(f"`{token.text}` is a reserved word", token.start, token.end)
        if token.text in _WORDS and self._next.kind is not Kind.END:
            raise self._unexpected(token=token)
        if self._accept("("):
            arguments, end = self._arguments(")")
            return Call(token.start, end, token.text, token.start, None, arguments)
        return Name(token.start, token.end, token.text)
