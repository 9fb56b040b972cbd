"""Lexer and parser: the grammar, positions, limits, and nothing but their own error."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.facts import Catalogue
from nextbest.rulebook.expressions import ExpressionError, Scope, compile_expression, parse
from nextbest.rulebook.expressions.syntax import (
    Binary,
    Call,
    Conditional,
    Literal,
    Logical,
    Name,
    Select,
    Unary,
    children,
)
from nextbest.rulebook.expressions.values import Uint


def shape(node):
    """The tree as nested tuples, without positions."""
    match node:
        case Literal():
            return node.value
        case Name():
            return node.name
        case Select():
            return (".", shape(node.operand), node.field)
        case Unary() | Binary():
            return (node.operator, *(shape(child) for child in children(node)))
        case Logical():
            return (node.operator, *(shape(child) for child in children(node)))
        case Conditional():
            return ("?", *(shape(child) for child in children(node)))
        case Call():
            return (node.function, *(shape(child) for child in children(node)))
        case _:
            return ("[]", *(shape(child) for child in children(node)))


def refused(source):
    """The error of a source that must not parse."""
    with pytest.raises(ExpressionError) as caught:
        parse(source)
    error = caught.value
    assert 0 <= error.start <= error.end <= len(source)
    return error


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a || b && c", ("||", "a", ("&&", "b", "c"))),
        ("a && b && c", ("&&", "a", "b", "c")),
        ("!a && b", ("&&", ("!", "a"), "b")),
        ("a + b * c - d", ("-", ("+", "a", ("*", "b", "c")), "d")),
        ("a - b - c", ("-", ("-", "a", "b"), "c")),
        ("(a - b) < c == d", ("==", ("<", ("-", "a", "b"), "c"), "d")),
        ("a ? b : c ? d : e", ("?", "a", "b", ("?", "c", "d", "e"))),
        ("-a.b", ("-", (".", "a", "b"))),
        ("-2.5", -2.5),
        ("- 7", -7),
        ("3 -1", ("-", 3, 1)),
        ("--1", ("-", -1)),
        ("-9223372036854775808", -(2**63)),
        ("0x1F", 31),
        ("42u", Uint(42)),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("'a' in b.c", ("in", "a", (".", "b", "c"))),
        ("f(1, x).g()", ("g", ("f", 1, "x"))),
        ("[1, 2,][0]", ("[]", ("[]", 1, 2), 0)),
        ("a.in_b", (".", "a", "in_b")),
        ("a.package", (".", "a", "package")),
        ("a // why\n && b", ("&&", "a", "b")),
        (r"'\u00e6\x41\101\n\''", "æAA\n'"),
        (r"r'\n'", r"\n"),
        ('"""a\n"b"""', 'a\n"b'),
    ],
)
def test_grammar(source, expected):
    """Precedence, literals and forms are those of CEL's grammar."""
    assert shape(parse(source)) == expected


@pytest.mark.parametrize(
    ("source", "marked", "message", "hint"),
    [
        ("", "", "the expression is empty", ""),
        ("a &&", "", "the expression ends too early", "a value is expected here"),
        ("a = 3", "=", "unexpected character `=`", "did you mean `==`?"),
        ("a & b", "&", "unexpected character `&`", "did you mean `&&`?"),
        ("a and b", "and", "unexpected `and`", "write `&&` for `and`"),
        ("not a", "not", "unexpected `not`", "write `!` for `not`"),
        (
            "x > 15d",
            "15d",
            "`15d` is neither a number nor a name",
            'write a number of days, or `duration("36h")`',
        ),
        ("(a", "", "the expression ends too early", "`)` is expected here"),
        ("a b", "b", "unexpected `b`", ""),
        ("f(1,)", ")", "unexpected `)`", "an argument is expected here"),
        ("'abc", "'abc", "the string is not closed: ' is missing", ""),
        ("'a\nb'", "'a", "the string is not closed: ' is missing", ""),
        (r"'\q'", r"\q", r"unknown escape `\q`", r"write `\\` for a backslash"),
        (r"'\ud800'", r"\ud800", r"`\ud800` is no Unicode character", ""),
        ("b'x'", "b'x'", "bytes are not supported", "write a string without the `b`"),
        ("{1: 2}", "{", "maps are not supported", ""),
        ("a.B{c: 1}", "a.B{", "messages are not supported", ""),
        (
            "9223372036854775808",
            "9223372036854775808",
            "`9223372036854775808` does not fit in a 64-bit integer",
            "",
        ),
        ("1" * 50, "1" * 50, "the integer does not fit in 64 bits", ""),
        ("while", "while", "`while` is a reserved word", ""),
        ("“a”", "“", "unexpected character `“`", "use plain quotation marks"),
        ("a.3", ".3", "unexpected `.3`", ""),
    ],
)
def test_what_is_wrong_is_marked(source, marked, message, hint):
    """An error says what is wrong, marks exactly that, and hints at what to write."""
    error = refused(source)
    assert (error.message, error.hint) == (message, hint)
    assert source[error.start : error.end] == marked


@pytest.mark.parametrize(
    "source",
    [
        "(" * 1000 + "1" + ")" * 1000,
        "[" * 1000,
        "!" * 1000 + "a",
        "-" * 1000 + "a",
        "f(" * 1000,
        "a ? b : " * 1000 + "c",
        "1" + " + 1" * 5000,
        "a" + ".b" * 5000,
        "a" + "[0]" * 5000,
        "x" * 70_000,
    ],
)
def test_depth_and_length_are_bounded(source):
    """Whatever nests or chains too far is refused, in no time and without exhausting the stack."""
    assert refused(source).message


def test_long_chains_of_logic_are_flat():
    """A thousand alternatives are no nesting."""
    assert len(parse(" || ".join(["a"] * 1000)).operands) == 1000


SCRAPS = (
    "customer context trigger . x nps ( ) [ ] { } , ? : + - * / % ! != == < <= > >= && || in true false"
    " null 1 2.5 3u 0x 'a' \"b\" r'c' b'd' ''' \\ has size days_since count history entry duration timestamp"
    " matches // \n and = & | # $ æ 1e999 99999999999999999999 '\\u12' 😀"
)
WORDS = st.sampled_from(SCRAPS.split(" "))


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=25).map(" ".join)))
def test_nothing_but_its_own_error(source):
    """Any text is an expression or an ExpressionError with a place inside the text."""
    try:
        compile_expression(source, Scope(Catalogue(())))
    except ExpressionError as error:
        assert 0 <= error.start <= error.end <= len(source)  # noqa: PT017  (no error is fine as well)
