"""What conditions can come to, by hand: contradictions are found, and nothing else is called one."""

import pytest
from tests.naive import generated_expressions as gen

from nextbest.facts import Catalogue, Fact, FactGroup, FactType
from nextbest.rulebook.expressions import Scope, compile_condition
from nextbest.rulebook.lint.outcomes import MAX_TRIES, Reasoner
from nextbest.rulebook.lint.trials import MAX_MEMBERS, Assumptions

T, F, U = True, False, None


def outcomes(source: str, assumptions: Assumptions | None = None) -> set[bool | None]:
    """The answers that are not ruled out."""
    return set(Reasoner(gen.CATALOGUE, assumptions).outcomes(compile_condition(source, gen.SCOPE).root))


@pytest.mark.parametrize(
    "source",
    [
        "customer.i1 > 3 && customer.i1 < 4",
        "customer.d1 > 0.5 && 0.5 > customer.d1",
        "customer.i1 in [1, 2] && customer.i1 > 2",
        "customer.tier == 'gold' && customer.tier in ['silver', 'bronze']",
        "customer.tier.startsWith('gol') && customer.tier != 'gold'",
        "'tea' in customer.drinks && !('tea' in customer.drinks)",
        "!has(customer.i1) && customer.i1 > 3",
        "!has(customer.t1) && days_since(customer.t1) > 3.0",
        "within(customer.t1, 0)",
        "customer.t1 < timestamp('2026-01-01T00:00:00Z') && customer.t1 > timestamp('2026-01-02T00:00:00Z')",
        "customer.level > 4",
        "count(history.contacts, 30) < 0",
        "customer.i1 + customer.i2 > 4 && customer.i1 + customer.i2 < 3",
        "(customer.b1 ? customer.i1 > 3 : customer.i1 > 5) && customer.i1 < 2",
        "(customer.b1 == true) && !customer.b1",
        "customer.b1 && customer.i2 > 0 && (customer.i1 > 3 && customer.i1 < 2)",
        "context.urgency > 2 && context.urgency < 2",
    ],
)
def test_contradictions_are_found(source: str) -> None:
    """A condition that contradicts itself is never true, whatever the customer."""
    assert T not in outcomes(source)


@pytest.mark.parametrize(
    "source",
    [
        "customer.d1 > 3.0 && customer.d1 < 4.0",
        "customer.i1 > 3 && customer.i2 < 3",
        "customer.tier == 'gold' && customer.colour == 'silver'",
        "'tea' in customer.drinks && !('coffee' in customer.drinks)",
        "has(customer.i1) && !has(customer.i2)",
        "within(customer.t1, 1)",
        "customer.ltv < 0.0",
        "customer.level == 4",
        "customer.d1 / customer.d2 != customer.d1 / customer.d2",
        "customer.i1 * 2 > 3 && customer.i1 > 5",
    ],
)
def test_what_can_be_true_is_left_alone(source: str) -> None:
    """No false alarm: what some customer makes true is not ruled out."""
    assert T in outcomes(source)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("has(customer.i1) || !has(customer.i1)", {T}),
        ("customer.i1 >= 3 || customer.i1 < 3", {T, U}),
        ("customer.i1 > 3 || 1 / 0 > 2", {T, U}),
        ("customer.i1 > 3 && 1 / 0 > 2", {F, U}),
        ("customer.b1", {T, F, U}),
        ("has(customer.b1)", {T, F}),
        ("has(customer.i1) ? customer.i1 > 3 : false", {T, F}),
    ],
)
def test_unknown_is_told_from_false(source: str, expected: set[bool | None]) -> None:
    """Missing facts make comparisons unknown, and `has` never is."""
    assert outcomes(source) == expected


def test_all_known_leaves_out_what_is_missing() -> None:
    """With everything known, a comparison is true or false, and `has` is true."""
    known = Assumptions(all_known=True)
    assert outcomes("customer.i1 >= 3 || customer.i1 < 3", known) == {T}
    assert outcomes("customer.i1 > 3", known) == {T, F}
    assert outcomes("has(customer.i1)", known) == {T}


def test_many_facts_are_taken_apart() -> None:
    """A condition with too many combinations is judged by its parts, and never wrongly."""
    facts = " && ".join(f"(customer.i{i % 2 + 1} > {i} || customer.d{i % 2 + 1} < {i}.0)" for i in range(20))
    assert MAX_TRIES < 10**4
    assert outcomes(facts) == {T, F, U}
    assert T not in outcomes(f"{facts} && customer.tier == 'gold' && customer.tier == 'none'")


def test_members_beyond_the_limit_are_not_told_apart() -> None:
    """Of a set only so many members are tried; more of them give no false alarm."""
    members = tuple(f"m{i}" for i in range(MAX_MEMBERS + 2))
    catalogue = Catalogue((Fact(name="many", type=FactType.SET, group=FactGroup.PROFILE, values=members),))
    each = [f"'{member}' in customer.many" for member in members]
    for source, contradicts in ((" && ".join(each), False), (f"{each[-1]} && !({each[-1]})", True)):
        found = Reasoner(catalogue).outcomes(compile_condition(source, Scope(catalogue)).root)
        assert (T not in found) is contradicts


def test_greatest_numbers_are_left_alone() -> None:
    """Beyond 2^53 whole numbers are not exact, so nothing is said about them."""
    assert outcomes("customer.i1 > 9007199254740993 && customer.i1 < 9007199254740994") == {T, F, U}


@pytest.mark.parametrize(
    ("source", "idle"),
    [
        ("customer.level >= -3 && customer.i1 > 3", ["customer.level >= -3"]),
        ("customer.level > 4 || customer.i1 > 3", ["customer.level > 4"]),
        (
            "customer.i1 > 3 && (customer.level > 4 || (customer.level >= -3 && customer.b1))",
            ["customer.level > 4", "customer.level >= -3"],
        ),
        ("customer.i1 > 3 && customer.b1", []),
    ],
)
def test_idle_parts_are_found_where_they_stand(source: str, idle: list[str]) -> None:
    """Parts that make no difference are found at any depth, with their own place in the source."""
    root = compile_condition(source, gen.SCOPE).root
    found = [part for part, _ in Reasoner(gen.CATALOGUE).idle_parts(root)]
    assert [source[part.start : part.end] for part in found] == idle


def test_conditions_that_cannot_hold_together() -> None:
    """Several conditions are taken as one."""
    reasoner = Reasoner(gen.CATALOGUE)
    low, high = (compile_condition(f"customer.i1 {c}", gen.SCOPE).root for c in ("< 3", "> 5"))
    assert reasoner.can_hold()
    assert reasoner.can_hold(low)
    assert not reasoner.can_hold(low, high)
