"""Facts and figures by name, as texts for people quote them."""

from datetime import UTC, datetime

import numpy as np
import pytest

from nextbest.facts import Catalogue, Fact, FactGroup, FactType, Figure
from nextbest.facts_of import FactsOf, shown
from nextbest.id_check import id_checks_of
from nextbest.rows import RowCodec

GROUP = FactGroup.PROFILE
CATALOGUE = Catalogue(
    (
        Fact(name="spent", type=FactType.DOUBLE, group=GROUP),
        Fact(name="visits", type=FactType.INT, group=GROUP),
        Fact(name="veteran", type=FactType.BOOL, group=GROUP),
        Fact(name="household", type=FactType.ENUM, group=GROUP, values=("single", "family")),
        Fact(name="needs", type=FactType.SET, group=GROUP, values=("wine", "cheese", "price")),
        Fact(name="joined", type=FactType.TIMESTAMP, group=GROUP),
    )
)
JOINED = datetime(2024, 5, 17, 22, 30, tzinfo=UTC)
KNOWN = {
    "spent": 1234.5,
    "visits": 12,
    "veteran": True,
    "household": "family",
    "needs": ["price", "wine"],
    "joined": JOINED,
}


def facts_of(facts, **figures):
    """One customer's facts and figures."""
    codec = RowCodec(CATALOGUE)
    rows = codec.decode_batch([codec.encode(b"c", 0.0, facts)], id_checks_of([b"c"])).rows
    numbers = np.full((1, len(Figure)), np.nan)
    for name, value in figures.items():
        numbers[0, Figure[name.upper()]] = value
    return FactsOf(CATALOGUE, rows, numbers, 0)


def test_values_are_what_was_put():
    """Every type comes back as the value that went in; times as epoch seconds, sets in code order."""
    found = facts_of(KNOWN)
    assert found.value("spent") == 1234.5
    assert found.value("visits") == 12
    assert found.value("veteran") is True
    assert found.value("household") == "family"
    assert found.value("needs") == ("wine", "price")
    assert found.value("joined") == JOINED.timestamp()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("spent", "1,234"),
        ("visits", "12"),
        ("veteran", "true"),
        ("household", "family"),
        ("needs", "{price, wine}"),
        ("joined", "2024-05-17"),
        ("stage", "hear_me"),
        ("level", "-2"),
        ("ltv", "0.1235"),
        ("false_loyalty", "false"),
        ("unheard_of", "?"),
    ],
)
def test_texts(name, text):
    """Numbers have four significant digits, times show their day, members their names."""
    found = facts_of(KNOWN, stage=1.0, level=-2.0, ltv=0.123456, false_loyalty=0.0)
    assert found.text(name) == text


def test_what_is_missing():
    """A missing fact or figure has no value and is shown as a question mark; an empty set is known."""
    found = facts_of({"needs": []})
    for name in ("spent", "veteran", "household", "joined", "ltv", "stage"):
        assert found.value(name) is None
        assert found.text(name) == "?"
    assert found.value("needs") == ()
    assert found.text("needs") == "{}"


def test_code_without_a_member():
    """A code that the catalogue has no member for is missing, not an error."""
    assert facts_of({}, stage=9.0).text("stage") == "?"


def test_templates_are_filled():
    """Placeholders are replaced by texts; other braces stay."""
    found = facts_of(KNOWN, ltv=50.0)
    text = "{customer.household} of {customer.visits} visits, worth {customer.ltv} {x} {customer.nps}"
    assert found.fill(text) == "family of 12 visits, worth 50 {x} ?"


def test_expressions_are_quoted_once_each():
    """Every fact that expressions read is listed once, in order of appearance, with its value."""
    found = facts_of(KNOWN)
    quoted = found.quoted(["customer.visits > 3 && customer.spent < 5.0", "has(customer.visits)"])
    assert quoted == "visits = 12, spent = 1,234"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "?"),
        (float("nan"), "?"),
        (True, "true"),
        (0.0, "0"),
        (-0.0, "0"),
        (999.96, "1000"),
        (1000.4, "1,000"),
        (-1234567.8, "-1,234,568"),
        (0.00001234, "1.234e-05"),
        ("plain", "plain"),
        ((), "{}"),
    ],
)
def test_shown(value, text):
    """Values are shown as people write them."""
    assert shown(value) == text


def test_numbers_are_written_as_the_language_does():
    """Danish quotes numbers with a decimal comma and points between thousands; words stay as they are."""
    found = facts_of({**KNOWN, "visits": None}, ltv=0.5)
    text = "{customer.spent}, {customer.ltv}, {customer.household}, {customer.joined}, {customer.visits}"
    assert found.fill(text, "da") == "1.234, 0,5, family, 2024-05-17, ?"
    assert found.fill(text) == "1,234, 0.5, family, 2024-05-17, ?"
