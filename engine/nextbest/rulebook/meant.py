"""What a value that does not fit was probably meant to be: numbers, durations, days as people write them."""

import re
from datetime import date

_GROUPS = re.compile(r"([-+]?[0-9]{1,3})([.,' ])([0-9]{3})(?:\2[0-9]{3})*(?:[.,][0-9]+)?", re.ASCII)
_COMMA = re.compile(r"[-+]?[0-9]+,[0-9]+", re.ASCII)
_AMOUNT = re.compile(r"([-+]?[0-9]{1,9}(?:[.,][0-9]{1,9})?) ?%", re.ASCII)
_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([a-z]+)", re.ASCII | re.IGNORECASE)
_DAY = re.compile(r"([0-9]{1,2})[-./]([0-9]{1,2})[-./]([0-9]{4})", re.ASCII)
_UNITS = {
    **dict.fromkeys(("day", "days"), "d"),
    **dict.fromkeys(("hour", "hours", "hr", "hrs"), "h"),
    **dict.fromkeys(("minute", "minutes", "mins", "m"), "min"),
    **dict.fromkeys(("week", "weeks"), "w"),
    **dict.fromkeys(("second", "seconds", "sec", "secs"), "s"),
}
_IN_DAYS = {**dict.fromkeys(("month", "months"), 30), **dict.fromkeys(("year", "years", "y"), 365)}

_MOST_DAYS = 36_500


def number_hint(text: str) -> str:
    """Advice for a number with a comma or with thousands apart; empty for any other text."""
    groups = _GROUPS.fullmatch(text)
    if _COMMA.fullmatch(text) and groups:
        whole, decimal = text.replace(",", ""), float(text.replace(",", "."))
        return f"is it thousands, `{whole}`, or a decimal, `{decimal!r}`?"
    if groups:
        return f"write it without marks between thousands: `{_without_marks(text, groups[2])}`"
    return f"write a decimal with a point: `{text.replace(',', '.')}`" if _COMMA.fullmatch(text) else ""


def _without_marks(text: str, mark: str) -> str:
    return text.replace(mark, "").replace(",", ".")


def per_cent_amount_hint(text: str) -> str:
    """Advice for `20%` where the number itself is in per cent; empty for any other text."""
    match = _AMOUNT.fullmatch(text)
    return f"this is in per cent already: write `{match[1].replace(',', '.')}`" if match else ""


def duration_hint(text: str) -> str:
    """Advice for a duration in words, such as `15 days`; empty for any other text."""
    match = _SPAN.fullmatch(text)
    if match is None:
        return ""
    number, unit = match[1], match[2].lower()
    if unit in _IN_DAYS:
        days = float(number) * _IN_DAYS[unit]
        return f"count in days: `{days:g}d`" if days <= _MOST_DAYS else ""
    short = unit if unit in _UNITS.values() else _UNITS.get(unit)
    return f"write `{number}{short}`" if short else ""


def day_hint(text: str) -> str:
    """Advice for a day that begins with its day or month; empty for any other text."""
    match = _DAY.fullmatch(text)
    if match is None:
        return ""
    first, second, year = (int(part) for part in match.groups())
    day, month = (second, first) if second > 12 else (first, second)
    try:
        return f"write year, month, day: `{date(year, month, day)}`"
    except ValueError:
        return ""
