"""CEL's own conformance suite: the expected answer, or a compile error that names what is unsupported."""

import re
from pathlib import Path

import pytest
from tests.conformance.cel_suite import (
    ERROR,
    Lifted,
    Outcome,
    as_written,
    cases,
    lifted_variants,
    run,
    tally,
)
from tools.cel_table import ALLOWED, CATEGORIES, refusal_table, refused, table

from nextbest.rulebook.expressions import ExpressionError

SUITES = sorted({case.suite for case in cases()})
REQUIRED = ("comparisons", "logic", "fp_math", "integer_math", "string", "timestamps")
"""Suites of which everything is supported that needs no message, map, bytes or dynamic type."""
FEATURES = re.compile(
    r"^(bytes|maps|messages|names with a leading dot|lists of different types"
    r"|fields of values|macros such as .*) are not supported$"
    r"|^unknown (name|function|method) `\w+`$"
    r"|^`[<>=!]+` cannot compare an? .* with an? .*$"
    r"|^`(&&|\|\|)` takes bools, not \w+$"
    r"|^`\? :` chooses between an? \w+ and an? \w+$"
)
"""What a refusal says: the feature, or the types that only a dynamic type could reconcile."""
DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "expressions.md"


def of_suite(suite):
    """Cases of a suite."""
    return [case for case in cases() if case.suite == suite]


@pytest.mark.parametrize("suite", SUITES)
def test_no_case_gets_a_wrong_answer(suite):
    """Each case gives the expected answer or a compile error."""
    outcomes = [(case.id, *as_written(case)) for case in of_suite(suite)]
    assert [o for o in outcomes if o[1] is Outcome.WRONG] == []
    assert any(o[1] is Outcome.RIGHT for o in outcomes)


def refusals(suites):
    """Cases of some suites that are refused, each with what is said."""
    answers = [(case, *as_written(case)) for suite in suites for case in of_suite(suite)]
    return [(case, answer) for case, outcome, answer in answers if outcome is Outcome.REFUSED]


def test_a_refusal_names_the_feature():
    """What is not supported is said by name, in every case that is refused."""
    found = refusals(SUITES)
    assert len(found) == sum(count.refused for count in tally().values())
    assert len(found) > 200
    assert [(case.id, answer) for case, answer in found if not FEATURES.match(answer)] == []


def test_every_refusal_is_of_a_known_category():
    """Each refused case, in every suite, is counted under why; the document shows the counts."""
    found = refused()
    assert [case.id for case, why in found if why not in CATEGORIES] == []
    assert refusal_table(found) in DOCUMENT.read_text()


def test_whatever_needs_no_dynamic_type_is_supported():
    """In the suites that rules live on, messages, maps, bytes, dynamic types and lists are refused."""
    found = [(case, why) for case, why in refused() if case.suite in REQUIRED]
    assert {case.suite for case, _ in found} == {"comparisons", "logic", "string", "timestamps"}
    assert [(case.id, why) for case, why in found if why not in ALLOWED] == []


@pytest.mark.parametrize("suite", SUITES)
def test_lifted_cases_agree_through_the_kernel(suite):
    """With facts in the place of literals the kernel gives the expected answer, or nothing is compiled."""
    ran = 0
    for case in of_suite(suite):
        if case.bindings or as_written(case)[0] is not Outcome.RIGHT or case.expected is ERROR:
            continue
        for lifted in lifted_variants(case):
            try:
                outcome, answer = run(lifted, case.expected)
            except ExpressionError:
                continue
            ran += 1
            assert outcome is Outcome.RIGHT, (case.id, answer)
    assert ran > 20


def test_lifted_errors_are_unknown():
    """What must fail in CEL is UNKNOWN in the kernel: neither true nor false, and no number."""
    ran = 0
    for case in cases():
        if case.expected is not ERROR or as_written(case)[0] is not Outcome.RIGHT:
            continue
        for lifted in _variants(case):
            try:
                outcome, answer = run(lifted, case.expected)
            except ExpressionError:
                continue
            ran += 1
            assert outcome is Outcome.RIGHT, (case.id, answer)
    assert ran > 50


def _variants(case) -> list[Lifted]:
    try:
        return list(lifted_variants(case))
    except ExpressionError:
        return []


def test_the_table_in_the_documentation_is_what_was_measured():
    """docs/expressions.md shows today's counts; `tools/cel_table.py --write` renews them."""
    assert table(tally()) in DOCUMENT.read_text()
