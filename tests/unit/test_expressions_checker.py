# ruff: noqa: E501  (tables of cases, one a line)
"""Names and types: what is accepted, what is refused, at which place and with which hint."""

import pytest

from nextbest.facts import Catalogue, Fact, FactGroup, FactType
from nextbest.rulebook.expressions import (
    ExpressionError,
    Scope,
    compile_condition,
    compile_expression,
    compile_number,
)
from nextbest.rulebook.expressions.types import Kind


def fact(name, kind, *values, unit=""):
    """A fact of the test catalogue."""
    return Fact(name=name, type=kind, group=FactGroup.MASTER, values=values, unit=unit)


SCOPE = Scope(
    Catalogue(
        (
            fact("nps", FactType.INT, unit="score"),
            fact("days_overdue", FactType.DOUBLE, unit="days"),
            fact("weeks_known", FactType.DOUBLE, unit="weeks"),
            fact("revenue", FactType.DOUBLE, unit="money"),
            fact("discount_share", FactType.DOUBLE, unit="share"),
            fact("n_calls", FactType.INT, unit="count"),
            fact("vip", FactType.BOOL),
            fact("tier", FactType.ENUM, "gold", "silver"),
            fact("geo", FactType.ENUM),
            fact("needs", FactType.SET, "coffee", "tea"),
            fact("joined", FactType.TIMESTAMP),
        )
    ),
    context_facts=(fact("basket_value", FactType.DOUBLE, unit="money"),),
    triggers=("overdue_purchase",),
    channels=("pos", "email"),
    placements=("receipt",),
    roles=("agent",),
)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("customer.nps > 6", Kind.BOOL),
        ("customer.nps > 6.5", Kind.BOOL),
        ("customer.nps + 1", Kind.INT),
        ("customer.revenue * 2.0", Kind.DOUBLE),
        ("customer.ltv", Kind.DOUBLE),
        ("customer.level", Kind.INT),
        ("customer.stage", Kind.STRING),
        ("customer.value_reached", Kind.BOOL),
        ("context.basket_value", Kind.DOUBLE),
        ("context.channel == 'pos'", Kind.BOOL),
        ("context.direction == 'inbound' && context.phase == 'before_payment'", Kind.BOOL),
        ("'receipt' in context.placement", Kind.BOOL),
        ("trigger.overdue_purchase", Kind.BOOL),
        ("customer.tier in ['gold']", Kind.BOOL),
        ("'tea' in customer.needs", Kind.BOOL),
        ("has(customer.geo)", Kind.BOOL),
        ("days_since(customer.joined)", Kind.DOUBLE),
        ("months_since(customer.joined)", Kind.INT),
        ("within(customer.joined, duration('36h'))", Kind.BOOL),
        ("customer.joined.getMonth()", Kind.INT),
        ("customer.joined - timestamp(0)", Kind.DURATION),
        ("max(customer.nps, 3, 7)", Kind.INT),
        ("customer.vip ? 'a' : 'b'", Kind.STRING),
        ("size(customer.needs)", Kind.INT),
        ("[1, 2][1]", Kind.INT),
    ],
)
def test_types(source, kind):
    """Every accepted expression has the type CEL gives it."""
    assert compile_expression(source, SCOPE).type.kind is kind


@pytest.mark.parametrize(
    ("source", "marked", "message", "hint"),
    [
        ("customer.days_overdu > 3", "days_overdu", "unknown fact `days_overdu`", "did you mean `days_overdue`?"),
        ("custmer.nps > 3", "custmer", "unknown name `custmer`", "did you mean `customer`?"),
        ("nps > 3", "nps", "unknown name `nps`", "did you mean `customer.nps`?"),
        ("customer.stage == grow_me", "grow_me", "unknown name `grow_me`", 'is it a text? Write `"grow_me"`'),
        ("customer.basket_value > 3", "basket_value", "unknown fact `basket_value`", "did you mean `context.basket_value`?"),
        ("trigger.overdue", "overdue", "unknown trigger `overdue`", "did you mean `overdue_purchase`?"),
        ("context.chanel == 'pos'", "chanel", "unknown context key `chanel`", "did you mean `channel`?"),
        ("customer > 3", "customer", "`customer` is not a value",
         "write `customer.<name>`, with names such as `action_loyal`, `actual_profit`, `actual_value`"),
        ("customer.tier == 'glod'", "'glod'", "`customer.tier` has no value `glod`", "did you mean `gold`?"),
        ("customer.tier != 'x'", "'x'", "`customer.tier` has no value `x`", "it is one of `gold`, `silver`"),
        ("customer.tier in ['gold', 'x']", "'x'", "`customer.tier` has no value `x`", "it is one of `gold`, `silver`"),
        ("customer.geo == 'x'", "'x'", "`customer.geo` has no value `x`", "it has no values yet"),
        ("'milk' in customer.needs", "'milk'", "`customer.needs` has no member `milk`", "it is one of `coffee`, `tea`"),
        ("context.channel == 'sms'", "'sms'", "`context.channel` has no value `sms`", "it is one of `pos`, `email`"),
        ("customer.nps == '7'", "customer.nps == '7'", "`==` cannot compare an int with a string",
         "write the number without quotation marks"),
        ("customer.joined > 3", "customer.joined > 3", "`>` cannot compare a timestamp with an int",
         'use `days_since(...)`, or write `timestamp("2026-01-31T00:00:00Z")`'),
        ("customer.needs == 'tea'", "customer.needs == 'tea'", "`==` cannot compare a set with a string",
         'ask for a member: `"member" in customer.<set>`'),
        ("3 in customer.needs", "3", "the members of a set are strings, not an int",
         'write a member in quotation marks: `"member" in customer.<set>`'),
        ("customer.nps in 3", "3", "`in` cannot search an int", "`in` takes a list such as `[1, 2]`, or a set fact"),
        ("customer.revenue * 2 > 3", "customer.revenue * 2", "`*` does not take double and int",
         "write `2.0` for `2`, or `double(...)` around the int"),
        ("customer.vip + 1 > 2", "customer.vip + 1", "`+` does not take bool and int", ""),
        ("customer.nps && true", "customer.nps", "`&&` takes bools, not int", "compare it with something"),
        ("!customer.tier", "customer.tier", "`!` takes bools, not enum", ""),
        ("customer.vip ? 1 : 2.0", "1 : 2.0", "`? :` chooses between an int and a double",
         "dynamic types are not supported: both must be of one type"),
        ("daysince(customer.joined)", "daysince", "unknown function `daysince`", "did you mean `days_since`?"),
        ("startsWith(customer.tier, 'g')", "startsWith", "unknown function `startsWith`",
         "write it after the value: `customer.<fact>.startsWith(...)`"),
        ("customer.nps.abs()", "abs", "`abs` is no method", "write `abs(...)` around the value"),
        ("customer.tier.startWith('g')", "startWith", "unknown method `startWith`", "did you mean `startsWith`?"),
        ("customer.needs.exists(n, n == 'tea')", "exists(n, n == 'tea')", "macros such as `exists` are not supported", ""),
        ("days_since(customer.nps) > 3", "customer.nps", "`days_since` takes a timestamp, not int", ""),
        ("has(customer)", "customer", "`has` takes a name such as `customer.nps_relation`", ""),
        ("has(trigger.overdue_purchase)", "has(trigger.overdue_purchase)", "`has` of triggers are not supported", ""),
        ("min(1)", "min(1)", "`min` takes two or more numbers", ""),
        ("size(1, 2)", "size(1, 2)", "`size` takes 1 argument, not 2", ""),
        ("customer.joined.getHours('Mars')", "'Mars'", "unknown time zone `Mars`",
         "an IANA name such as `Europe/Copenhagen`, or an offset such as `+01:00`"),
        ("customer.joined.getHours('localtime')", "'localtime'", "unknown time zone `localtime`",
         "an IANA name such as `Europe/Copenhagen`, or an offset such as `+01:00`"),
        ("customer.joined.getHours(customer.tier)", "customer.tier", "the time zone must be a constant string", ""),
        ("[1, 'a'] == [1]", "'a'", "lists of different types are not supported", "dynamic types are not supported"),
        ("string(customer.nps) == '3'", "string(customer.nps)",
         "strings made from numbers and times of a customer are not supported", ""),
        ("customer.revenue", "customer.revenue", "the condition is a double, not a bool",
         "compare it, such as `customer.revenue > 0`"),
        ("1 / 0 > 2", "1 / 0", "the expression always fails: division by zero", ""),
        ("customer.tier.matches('(')", "'('", "`(` is no regular expression that RE2 accepts", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_is_marked(source, marked, message, hint):
    """An error names the author's own words, marks them, and hints at the nearest right ones."""
    with pytest.raises(ExpressionError) as caught:
        compile_condition(source, SCOPE)
    error = caught.value
    assert (error.message, error.hint) == (message, hint)
    assert source[error.start : error.end] == marked


def test_a_value_must_be_a_number():
    """A formula that is a string or a time is refused."""
    assert compile_number("customer.vip", SCOPE).type.kind is Kind.BOOL
    with pytest.raises(ExpressionError, match="the value is an enum, not a number"):
        compile_number("customer.tier", SCOPE)


@pytest.mark.parametrize(
    ("source", "messages"),
    [
        ("customer.days_overdue > customer.revenue", ["`days` meets `money`"]),
        ("customer.days_overdue < customer.weeks_known", ["`days` meets `weeks`"]),
        ("customer.days_overdue + customer.revenue > 1.0", ["`days` meets `money`"]),
        ("max(customer.ltv, customer.discount_share) > 1.0", ["`money` meets `share`"]),
        ("(customer.vip ? customer.ltv : customer.days_overdue) > 1.0", ["`money` meets `days`"]),
        ("days_since(customer.joined) > customer.weeks_known", ["`days` meets `weeks`"]),
        ("within(customer.joined, customer.weeks_known)", ["`days` meets `weeks`"]),
        ("customer.revenue in [customer.days_overdue]", ["`money` meets `days`"]),
        ("customer.days_overdue < customer.weeks_known * 7.0", []),
        ("days_since(customer.joined) / 7.0 < customer.weeks_known", []),
        ("customer.revenue * 2.0 > customer.days_overdue", ["`money` meets `days`"]),
        ("customer.revenue > 3", []),
        ("customer.revenue * customer.discount_share > customer.ltv", []),
        ("customer.revenue / customer.ltv > customer.discount_share", []),
        ("customer.revenue > customer.ltv * 0.1", []),
        ("customer.vip || customer.nps / 0 > 3 || 1 / 0 > 3", ["this part always fails: division by zero"]),
    ],
)
def test_oddities_are_noted(source, messages):
    """Units that do not fit, and parts that always fail, are notes at their place, not errors."""
    notes = compile_condition(source, SCOPE).notes
    assert [note.message for note in notes] == messages
    assert all(source[note.start : note.end] for note in notes)


@pytest.mark.parametrize(
    ("source", "constant"),
    [
        ("true", True),
        ("customer.vip && 1 > 2", False),
        ("customer.vip || 'a' < 'b'", True),
        ("1 / 0 > 2 || 2 > 1", True),
        ("(1 / 0 > 2 ? true : false) && false", False),
        ("customer.vip", None),
        ("!(customer.vip && false)", True),
    ],
)
def test_what_holds_for_everyone_is_known(source, constant):
    """A condition that is the same for every customer says so, even beside parts that fail."""
    assert compile_condition(source, SCOPE).constant is constant


def test_names_that_are_read():
    """Every fact, context key and trigger that is read is listed once, sorted."""
    source = "has(customer.nps) && customer.nps > 3 && (trigger.overdue_purchase || 'tea' in customer.needs)"
    assert compile_condition(source, SCOPE).names == (
        "customer.needs",
        "customer.nps",
        "trigger.overdue_purchase",
    )
