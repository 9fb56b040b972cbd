"""Numbers, money and times as people read them, in English and Danish: what sentences are filled with.

Digits are grouped as the language does, money names its currency, days and times agree with their number,
and moments are told in the zone of the customer. Nothing here is for machines: those read the plain values.
"""

import datetime as dt
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nextbest.facts_of import MISSING
from nextbest.rulebook.zones import zone_named

_DIGITS = 4
"""Significant digits of a plain number."""
_MOST_DIGITS = 15
_CENTS = 2
_DANISH = str.maketrans(",.", ".,")
_KRONER = "DKK"
_MONTHS: Mapping[str, tuple[str, ...]] = {
    "en": (
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
    "da": (
        *("januar", "februar", "marts", "april", "maj", "juni"),
        *("juli", "august", "september", "oktober", "november", "december"),
    ),
}
_MOMENT: Mapping[str, str] = {
    "en": "{day} {month} {year} at {hour:02}:{minute:02} ({zone})",
    "da": "{day}. {month} {year} kl. {hour:02}.{minute:02} ({zone})",
}
_HOUR: Mapping[str, str] = {"en": "{hour:02}:{minute:02}", "da": "{hour:02}.{minute:02}"}
_COUNTED: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "days": {"en": ("day", "days"), "da": ("dag", "dage")},
    "count": {"en": ("time", "times"), "da": ("gang", "gange")},
}
"""What is counted: the word for one, and for any other number."""


@dataclass(frozen=True, slots=True)
class Speech:
    """How one customer's explanation is spoken."""

    language: str
    """`da`; anything else is spoken in English."""
    currency: str
    """ISO 4217 code of all money."""
    zone: str
    """IANA name of the zone that times are told in."""

    @property
    def _tongue(self) -> str:
        return self.language if self.language in _MONTHS else "en"

    def number(self, value: float, digits: int = _DIGITS) -> str:
        """A plain number with so many significant digits."""
        if math.isnan(value):
            return MISSING
        if math.isinf(value):
            return "∞" if value > 0 else "-∞"
        return self._local(_grouped(value, _decimals(value, digits), 0))

    def money(self, value: float, digits: int = _DIGITS) -> str:
        """An amount with its currency; two decimals, and more where these would hide a small one."""
        if math.isnan(value) or math.isinf(value):
            return self.number(value)
        more = _decimals(value, digits - 2) if abs(value) < 1 or digits > _DIGITS else _CENTS
        amount = self._local(_grouped(value, max(_CENTS, more), _CENTS))
        if self._tongue == "da":
            return f"{amount} {'kr.' if self.currency == _KRONER else self.currency}"
        return f"{self.currency} {amount}"

    def share(self, value: float, digits: int = _DIGITS) -> str:
        """A share of 1 as per cent."""
        return self.number(100.0 * value, digits) + (" %" if self._tongue == "da" else "%")

    def days(self, value: float, digits: int = _DIGITS) -> str:
        """So many days."""
        return self._counted("days", value, digits)

    def times(self, value: float, digits: int = _DIGITS) -> str:
        """So many times."""
        return self._counted("count", value, digits)

    def hour(self, hour: float, _digits: int = _DIGITS) -> str:
        """An hour of the day as a clock shows it."""
        whole, minute = divmod(math.floor(hour * 60.0 + 1e-6), 60)
        return _HOUR[self._tongue].format(hour=whole, minute=minute)

    def moment(self, seconds: float, *, minute: Callable[[float], int] = math.ceil) -> str:
        """A moment where the customer is, to the minute and never earlier; empty for none."""
        zone = zone_named(self.zone)
        try:
            at = dt.datetime.fromtimestamp(60 * minute(seconds / 60), zone or dt.UTC)
        except (OverflowError, OSError, ValueError):  # beyond any calendar, or never
            return ""
        month = _MONTHS[self._tongue][at.month - 1]
        name = self.zone if zone else "UTC"
        return _MOMENT[self._tongue].format(
            day=at.day, month=month, year=at.year, hour=at.hour, minute=at.minute, zone=name
        )

    def quantity(self, unit: str) -> Callable[[float, int], str]:
        """How a value of a unit is told."""
        return {
            "money": self.money,
            "share": self.share,
            "days": self.days,
            "count": self.times,
            "hours": self.hour,
        }.get(unit, self.number)

    def pair(self, actual: float, required: float, unit: str) -> tuple[str, str]:
        """Both values of a gate, with as many digits as it takes to tell them apart."""
        told = self.quantity(unit)
        for digits in range(_DIGITS, _MOST_DIGITS):
            texts = told(actual, digits), told(required, digits)
            if texts[0] != texts[1] or actual == required:
                return texts
        return told(actual, _MOST_DIGITS), told(required, _MOST_DIGITS)

    def _counted(self, what: str, value: float, digits: int) -> str:
        amount, (one, other) = self.number(value, digits), _COUNTED[what][self._tongue]
        return f"{amount} {one if amount == '1' else other}"

    def _local(self, text: str) -> str:
        return text.translate(_DANISH) if self._tongue == "da" else text


def _decimals(value: float, digits: int) -> int:
    """Decimals that leave so many significant digits."""
    if value == 0.0:
        return 0
    return max(0, digits - 1 - math.floor(math.log10(abs(value))))


def _grouped(value: float, decimals: int, least: int) -> str:
    """With English separators; zeros at the end go, but for the `least` decimals."""
    text = f"{value:,.{decimals}f}"
    if decimals > least:
        whole, _, fraction = text.partition(".")
        fraction = fraction.rstrip("0").ljust(least, "0")
        text = f"{whole}.{fraction}" if fraction else whole
    return text if float(text.replace(",", "")) else text.removeprefix("-")
