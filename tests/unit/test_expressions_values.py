"""Constants: what folding computes is what Google's CEL computes, to the last digit."""

import math
import random
from datetime import timedelta

import pytest
from cel_expr_python import cel
from hypothesis import given, settings
from hypothesis import strategies as st

from nextbest.facts import Catalogue
from nextbest.rulebook.expressions import ExpressionError, Scope, compile_expression
from nextbest.rulebook.expressions.values import (
    Duration,
    Failure,
    Timestamp,
    TypeValue,
    Uint,
    format_duration,
    format_timestamp,
    parse_duration,
    parse_timestamp,
)

SCOPE = Scope(Catalogue(()))
GOOGLE = cel.NewEnv()
FAILED = "failed"
INTS = (0, 1, -1, 2, 7, -8, 2**31, 2**53 + 1, 2**62, -(2**63), 2**63 - 1)
DOUBLES = (0.0, -0.0, 1.5, -2.5, 0.1, 1e308, -1e308, 5e-324, 2.0**53, 1e19)


def ours(source):
    """Our value of a constant expression, or FAILED."""
    try:
        return compile_expression(source, SCOPE).root.value
    except ExpressionError as error:
        return FAILED if "always fails" in error.message else error


def google(source):
    """Google's value, or FAILED."""
    result = GOOGLE.compile(source).eval(data={})
    return FAILED if result.type() == cel.Type.ERROR else result.value()


def comparable(value):
    """Our value as Google's Python wrapper gives it."""
    match value:
        case Uint():
            return value.number
        case Duration():
            return timedelta(microseconds=value.nanos // 1000)
        case tuple():
            return [comparable(item) for item in value]
        case _:
            return value


def same(a, b):
    """Equal, NaN and the sign of zero included."""
    if isinstance(a, float) and isinstance(b, float):
        return (a == b and math.copysign(1, a) == math.copysign(1, b)) or (math.isnan(a) and math.isnan(b))
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def text_of(x):
    """A number as CEL source."""
    return f"({x!r})"


def constant(rng, kind, depth):
    """A constant expression of a kind."""
    if depth == 0:
        return _leaf(rng, kind)
    if rng.random() < 0.2:
        condition = constant(rng, "bool", depth - 1)
        return f"({condition} ? {constant(rng, kind, depth - 1)} : {constant(rng, kind, depth - 1)})"
    return _branch(rng, kind, depth - 1)


def _leaf(rng, kind):
    return {
        "int": lambda: text_of(rng.choice(INTS)),
        "uint": lambda: f"{rng.choice((0, 1, 3, 2**63, 2**64 - 1))}u",
        "double": lambda: text_of(rng.choice(DOUBLES)),
        "bool": lambda: rng.choice(("true", "false")),
        "string": lambda: rng.choice(("''", "'a'", "'Ab'", "'æ😀'", "'12'", "'1.5'", "'true'")),
    }[kind]()


def _branch(rng, kind, depth):
    def sub(other):
        return constant(rng, other, depth)

    if kind in ("int", "uint"):
        other = rng.choice(("int", "double", "uint", "string"))
        return rng.choice((f"({sub(kind)} {rng.choice('+-*/%')} {sub(kind)})", f"{kind}({sub(other)})"))
    if kind == "double":
        return rng.choice(
            (
                f"({sub('double')} {rng.choice('+-*/')} {sub('double')})",
                f"double({sub(rng.choice(('int', 'uint')))})",
            )
        )
    if kind == "string":
        return f"({sub('string')} + {sub('string')})"
    pair = rng.choice(("int", "uint", "double", "string", "bool"))
    return rng.choice(
        (
            f"({sub(pair)} {rng.choice(('==', '!=', '<', '<=', '>', '>='))} {sub(pair)})",
            f"(dyn({sub('int')}) {rng.choice(('==', '<', '>='))} dyn({sub(rng.choice(('double', 'uint')))}))",
            f"({sub('bool')} {rng.choice(('&&', '||'))} {sub('bool')})",
            f"!{sub('bool')}",
            f"({sub(pair)} in [{sub(pair)}, {sub(pair)}])",
            f"{sub('string')}.{rng.choice(('contains', 'startsWith', 'endsWith'))}({sub('string')})",
        )
    )


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(("bool", "int", "uint", "double", "string")))
def test_folding_agrees_with_google(seed, kind):
    """A constant expression has Google's value, and fails where Google reports an error."""
    source = constant(random.Random(seed), kind, 3)
    assert same(comparable(ours(source)), google(source)), (source, ours(source), google(source))


@pytest.mark.parametrize(
    "source",
    [
        "string(1.0)",
        "string(1e22)",
        "string(-0.5)",
        "string(123456789012345680.0)",
        "string(7u)",
        "string(true)",
        "string(timestamp('2009-02-13T23:31:30.5Z'))",
        "string(duration('-1.5s'))",
        "string(timestamp('0099-02-13T23:31:30Z'))",
        "int('0x10')",
        "int('+5')",
        "int(-0.5)",
        "uint(-0.5)",
        "double('1e5')",
        "bool('t')",
        "size('æ😀')",
        "duration('1h30m') == duration('5400s')",
        "duration('-1.5h') < duration('0')",
        "duration('1us') + duration('1ns') > duration('1us')",
        "duration('200000000000s') == duration('200000000000s')",
        "duration('-1.5s').getMilliseconds()",
        "duration('-1.5s').getSeconds()",
        "timestamp('1969-12-31T23:59:59.5Z').getMilliseconds()",
        "int(timestamp('1969-12-31T23:59:59.5Z'))",
        "timestamp('2009-02-13T23:31:30+01:00') == timestamp('2009-02-13T22:31:30Z')",
        "timestamp('2024-02-29T00:00:00Z').getDayOfYear()",
        "timestamp('2024-12-31T23:00:00Z').getFullYear('Europe/Copenhagen')",
        "timestamp('2024-02-29T12:00:00+23:59') < timestamp('2024-02-29T12:00:00-23:59')",
        "timestamp('2024-02-29T12:00:00+24:00')",
        "timestamp('2024-02-29T12:00:00+00:60')",
        "'a.b'.matches('^a\\\\.b$')",
        "'a\\nb'.matches('a.b')",
        "1 in [1, 2 / 0]",
        "[1, 2] + [3] == [1, 2, 3]",
        "-9223372036854775808 % -1",
        "-9223372036854775808 / -1",
    ],
)
def test_conversions_agree_with_google(source):
    """Texts, times and conversions come out as Google's do."""
    assert same(comparable(ours(source)), google(source))


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31",
        "2026-01-31T00:00:00",
        "2026-13-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "x",
        "2026-01-31T00:00:00+1:00",
    ],
)
def test_what_is_no_timestamp(text):
    """A timestamp is RFC 3339 with a zone, in the years 1 to 9999."""
    assert isinstance(parse_timestamp(text), Failure)


@pytest.mark.parametrize("text", ["", "1", "1d", "s", "1h 2m", "1e3s", "--1s", "1.s.s", "320000000000s"])
def test_what_is_no_duration(text):
    """A duration is numbers with units, within ten thousand years."""
    assert isinstance(parse_duration(text), Failure)


@given(st.integers(-62_135_596_800 * 10**9, 253_402_300_799 * 10**9))
def test_timestamps_survive_their_text(nanos):
    """A timestamp written and read is the same to the nanosecond."""
    assert parse_timestamp(format_timestamp(Timestamp(nanos))) == Timestamp(nanos)


@given(st.integers(-(10**20), 10**20))
def test_durations_survive_their_text(nanos):
    """A duration written and read is the same to the nanosecond."""
    assert parse_duration(format_duration(Duration(nanos))) == Duration(nanos)


def test_types_are_values():
    """`type` gives the static type, by CEL's name."""
    assert ours("type(1)") == TypeValue("int")
    assert ours("type(timestamp(0)) == google.protobuf.Timestamp") is True
