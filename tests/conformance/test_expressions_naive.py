"""Generated expressions × customers with missing facts: the kernel against the tree-walking oracle."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import generated_expressions as gen
from tests.naive.expressions import UNKNOWN, evaluate

from nextbest.rulebook.builder import ProgramBuilder
from nextbest.rulebook.expressions import ExpressionError, compile_condition, compile_number, parse
from nextbest.rulebook.matching import holds, match

CUSTOMERS = 70
"""More than one block, the last one partly filled."""


def truth(matches, condition, n):
    """Python's True, False or UNKNOWN for each customer."""
    true, false = holds(matches.true, condition, n), holds(matches.false, condition, n)
    assert not (true & false).any()
    return [True if t else False if f else UNKNOWN for t, f in zip(true, false, strict=True)]


def same_number(ours, expected):
    """NaN stands for UNKNOWN and for a computed NaN alike."""
    if expected is UNKNOWN or math.isnan(expected):
        return math.isnan(ours)
    return ours == expected


def compiled(sources, compile_one, add):
    """The sources that are accepted, and where their outputs are."""
    kept = []
    for source in sources:
        try:
            kept.append((source, add(compile_one(source, gen.SCOPE))))
        except ExpressionError as error:
            # Only what fails for everyone may be refused: the generator writes well-typed CEL.
            if "always fails" not in error.message:
                raise
    assert len(kept) > len(sources) // 2, "too few are left to compare"
    return kept


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_conditions_agree_with_the_oracle(seed):
    """Every generated condition has the oracle's truth value for every customer, UNKNOWN included."""
    rng = random.Random(seed)
    builder = ProgramBuilder()
    sources = [gen.Generator(rng).boolean() for _ in range(25)]
    kept = compiled(sources, compile_condition, builder.add_condition)
    customers, contexts = gen.random_customers(rng, CUSTOMERS), gen.random_contexts(rng, CUSTOMERS)
    figures = gen.random_figures(rng, CUSTOMERS)
    matches = match(builder.build(), gen.inputs(customers, contexts, figures))
    for source, condition in kept:
        expected = [
            evaluate(parse(source), source, gen.situation(*each))
            for each in zip(customers, contexts, figures, strict=True)
        ]
        assert truth(matches, condition, CUSTOMERS) == expected, source


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_values_agree_with_the_oracle(seed):
    """Every generated number has the oracle's value, or NaN where that is UNKNOWN."""
    rng = random.Random(seed)
    builder = ProgramBuilder()
    sources = [gen.Generator(rng).number()[0] for _ in range(25)]
    kept = compiled(sources, compile_number, builder.add_value)
    customers, contexts = gen.random_customers(rng, CUSTOMERS), gen.random_contexts(rng, CUSTOMERS)
    figures = gen.random_figures(rng, CUSTOMERS)
    matches = match(builder.build(), gen.inputs(customers, contexts, figures))
    for source, value in kept:
        for i, each in enumerate(zip(customers, contexts, figures, strict=True)):
            expected = evaluate(parse(source), source, gen.situation(*each))
            assert same_number(matches.values[i, value], expected), (source, each)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_one_customer_gets_what_she_gets_among_many(seed):
    """The path for a single customer gives the same planes and values as the path for blocks."""
    rng = random.Random(seed)
    builder = ProgramBuilder()
    generator = gen.Generator(rng)
    compiled([generator.boolean() for _ in range(30)], compile_condition, builder.add_condition)
    compiled([generator.number()[0] for _ in range(10)], compile_number, builder.add_value)
    program = builder.build()
    customers, contexts = gen.random_customers(rng, 5), gen.random_contexts(rng, 5)
    figures = gen.random_figures(rng, 5)
    many = match(program, gen.inputs(customers, contexts, figures))
    for i in range(5):
        one = match(program, gen.inputs(customers[i : i + 1], contexts[i : i + 1], figures[i : i + 1]))
        assert np.array_equal((many.true[0] >> np.uint64(i)) & np.uint64(1), one.true[0])
        assert np.array_equal((many.false[0] >> np.uint64(i)) & np.uint64(1), one.false[0])
        assert np.array_equal(many.values[i], one.values[0], equal_nan=True)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_nothing(threads):
    """Blocks shared over threads give what one thread gives."""
    rng = random.Random(7)
    builder = ProgramBuilder()
    generator = gen.Generator(rng)
    compiled([generator.boolean() for _ in range(20)], compile_condition, builder.add_condition)
    program = builder.build()
    n = 64 * 9 + 5
    rows = gen.inputs(gen.random_customers(rng, n), gen.random_contexts(rng, n), gen.random_figures(rng, n))
    alone, shared = match(program, rows), match(program, rows, threads=threads)
    assert np.array_equal(alone.true, shared.true)
    assert np.array_equal(alone.false, shared.false)
