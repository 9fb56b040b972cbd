"""What lints rule out never happens: on generated conditions and customers, whole and part by part."""

import contextlib
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import generated_expressions as gen
from tests.naive.expressions import UNKNOWN, evaluate

from nextbest.rulebook.builder import ProgramBuilder
from nextbest.rulebook.expressions import ExpressionError, TypedExpression, compile_condition, parse
from nextbest.rulebook.lint.outcomes import Reasoner
from nextbest.rulebook.matching import holds, match

CUSTOMERS = 64
REASONER = Reasoner(gen.CATALOGUE)


def conditions(rng, count):
    """Generated conditions that are accepted; those that fail for everyone are not."""
    for _ in range(count):
        source = gen.Generator(rng).boolean()
        with contextlib.suppress(ExpressionError):
            yield compile_condition(source, gen.SCOPE)


def population(rng):
    """Customers with contexts and figures."""
    return (
        gen.random_customers(rng, CUSTOMERS),
        gen.random_contexts(rng, CUSTOMERS),
        gen.random_figures(rng, CUSTOMERS),
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_an_answer_that_is_ruled_out_never_comes(seed):
    """The oracle's answer for any customer is among those the reasoner allows."""
    rng = random.Random(seed)
    people = population(rng)
    for typed in conditions(rng, 12):
        allowed = REASONER.outcomes(typed.root)
        for each in zip(*people, strict=True):
            answer = evaluate(parse(typed.source), typed.source, gen.situation(*each))
            assert (None if answer is UNKNOWN else answer) in allowed, (typed.source, each)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_an_idle_part_is_idle(seed):
    """A part that is said to make no difference has, in the kernel, only the answers it is said to have."""
    rng = random.Random(seed)
    builder = ProgramBuilder()
    parts = [
        (typed.source, allowed, builder.add_condition(TypedExpression(typed.source, part, ())))
        for typed in conditions(rng, 12)
        for part, allowed in REASONER.idle_parts(typed.root)
    ]
    matches = match(builder.build(), gen.inputs(*population(rng)))
    for source, allowed, condition in parts:
        true, false = holds(matches.true, condition, CUSTOMERS), holds(matches.false, condition, CUSTOMERS)
        assert True in allowed or not true.any(), source
        assert False in allowed or not false.any(), source
        assert None in allowed or (true | false).all(), source
