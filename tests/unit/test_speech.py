"""Numbers, money and times as people read them in English and Danish."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextbest.action.speech import Speech

ENGLISH, DANISH = Speech("en", "DKK", "Europe/Copenhagen"), Speech("da", "DKK", "Europe/Copenhagen")


@pytest.mark.parametrize(
    ("value", "english", "danish"),
    [
        (1234.5, "DKK 1,234.50", "1.234,50 kr."),
        (-1234567.891, "DKK -1,234,567.89", "-1.234.567,89 kr."),
        (0.0, "DKK 0.00", "0,00 kr."),
        (-0.0, "DKK 0.00", "0,00 kr."),
        (7.0, "DKK 7.00", "7,00 kr."),
        (0.5, "DKK 0.50", "0,50 kr."),
        (0.0034, "DKK 0.0034", "0,0034 kr."),
        (-0.0034, "DKK -0.0034", "-0,0034 kr."),
        (float("nan"), "?", "?"),
        (float("inf"), "∞", "∞"),
    ],
)
def test_money_has_separators_and_its_currency(value, english, danish):
    """Two decimals, more where these would hide a small amount; kroner by their sign in Danish."""
    assert (ENGLISH.money(value), DANISH.money(value)) == (english, danish)


def test_other_currencies_go_by_their_code():
    """Euros are not called kroner."""
    euro = Speech("da", "EUR", "UTC")
    assert euro.money(1234.5) == "1.234,50 EUR"


@pytest.mark.parametrize(
    ("value", "english", "danish"),
    [
        (0, "0 days", "0 dage"),
        (1, "1 day", "1 dag"),
        (0.99996, "1 day", "1 dag"),
        (2.5, "2.5 days", "2,5 dage"),
        (1000.25, "1,000 days", "1.000 dage"),
    ],
)
def test_days_agree_with_their_number(value, english, danish):
    """One day, any other number of days."""
    assert (ENGLISH.days(value), DANISH.days(value)) == (english, danish)


@pytest.mark.parametrize(("value", "english", "danish"), [(1, "1 time", "1 gang"), (0, "0 times", "0 gange")])
def test_times_agree_with_their_number(value, english, danish):
    """One time, any other number of times."""
    assert (ENGLISH.times(value), DANISH.times(value)) == (english, danish)


def test_shares_are_per_cent():
    """With a space before the sign in Danish, without one in English."""
    assert (ENGLISH.share(0.175), DANISH.share(0.175)) == ("17.5%", "17,5 %")
    assert (ENGLISH.share(0.3), DANISH.share(1.0)) == ("30%", "100 %")


def test_hours_are_told_as_a_clock_shows_them():
    """Half past eight in the evening."""
    assert (ENGLISH.hour(20.5), DANISH.hour(20.5)) == ("20:30", "20.30")
    assert ENGLISH.hour(23.99) == "23:59"
    assert ENGLISH.hour(0.0) == "00:00"


def test_moments_are_told_where_the_customer_is():
    """In the customer's zone, day and month by name, and never earlier than they are."""
    at = dt.datetime(2026, 3, 29, 0, 30, 1, tzinfo=dt.UTC).timestamp()
    assert ENGLISH.moment(at) == "29 March 2026 at 01:31 (Europe/Copenhagen)"
    assert DANISH.moment(at) == "29. marts 2026 kl. 01.31 (Europe/Copenhagen)"
    assert DANISH.moment(at + 3600) == "29. marts 2026 kl. 03.31 (Europe/Copenhagen)"
    assert ENGLISH.moment(float("inf")) == ""
    assert Speech("en", "DKK", "no/zone").moment(at) == "29 March 2026 at 00:31 (UTC)"


def test_other_languages_are_spoken_in_english():
    """English stands in."""
    assert Speech("fr", "DKK", "UTC").money(1234.5) == "DKK 1,234.50"


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.sampled_from(["money", "share", "days", "count", ""]))
def test_two_different_values_read_differently(actual, required, unit):
    """As many digits as it takes, unless they are the same to fifteen of them."""
    one, other = DANISH.pair(actual, required, unit)
    if abs(actual - required) > 1e-12 * max(1.0, abs(actual), abs(required)):
        assert one != other


@given(st.floats(-1e12, 1e12), st.integers(3, 12))
def test_numbers_read_back_as_what_they_were(value, digits):
    """The Danish text is the number to its significant digits."""
    text = DANISH.number(value, digits).replace(".", "").replace(",", ".")
    assert float(text) == pytest.approx(value, rel=10.0 ** (1 - digits), abs=0)
