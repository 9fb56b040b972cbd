"""Generated expressions × customers with missing facts: the kernel against Google's CEL in C++."""

import math
import random
import re

from cel_expr_python import cel
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conformance.test_expressions_naive import compiled, truth
from tests.naive import generated_expressions as gen
from tests.naive.expressions import UNKNOWN

from nextbest.rulebook.builder import ProgramBuilder
from nextbest.rulebook.expressions import compile_condition, compile_number
from nextbest.rulebook.matching import match

CUSTOMERS = 40
ENVIRONMENT = cel.NewEnv(variables={"customer": cel.Type.Map(cel.Type.STRING, cel.Type.DYN)})
"""A missing key is an error there, which `&&` and `||` absorb: exactly our UNKNOWN."""


def in_google(source):
    """The same expression where a timestamp is a map's epoch seconds, which its own types cannot hold."""
    return re.sub(r"(?<!has\()customer\.(t[12])", r"timestamp(customer.\1)", source)


def google_value(expression, customer):
    """Google's value; a runtime error is UNKNOWN."""
    data = {name: sorted(v) if isinstance(v, frozenset) else v for name, v in customer.items()}
    result = expression.eval(data={"customer": data})
    return UNKNOWN if result.type() == cel.Type.ERROR else result.value()


def without_others(n):
    """Contexts and figures that are all missing."""
    return [{} for _ in range(n)]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_conditions_agree_with_google(seed):
    """Every generated condition has Google's truth value, an error there being UNKNOWN here."""
    rng = random.Random(seed)
    builder = ProgramBuilder()
    sources = [gen.Generator(rng, plain=True).boolean() for _ in range(25)]
    kept = compiled(sources, compile_condition, builder.add_condition)
    customers = gen.random_customers(rng, CUSTOMERS)
    blank = without_others(CUSTOMERS)
    matches = match(builder.build(), gen.inputs(customers, blank, blank))
    for source, condition in kept:
        google = ENVIRONMENT.compile(in_google(source))
        expected = [google_value(google, customer) for customer in customers]
        assert truth(matches, condition, CUSTOMERS) == expected, source


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_values_agree_with_google(seed):
    """Every generated number has Google's value, or NaN where Google reports an error."""
    rng = random.Random(seed)
    builder = ProgramBuilder()
    sources = [gen.Generator(rng, plain=True).number()[0] for _ in range(25)]
    kept = compiled(sources, compile_number, builder.add_value)
    customers = gen.random_customers(rng, CUSTOMERS)
    blank = without_others(CUSTOMERS)
    matches = match(builder.build(), gen.inputs(customers, blank, blank))
    for source, value in kept:
        google = ENVIRONMENT.compile(in_google(source))
        for i, customer in enumerate(customers):
            expected = google_value(google, customer)
            ours = matches.values[i, value]
            if expected is UNKNOWN or math.isnan(expected):
                assert math.isnan(ours), (source, customer)
            else:
                assert ours == expected, (source, customer)
