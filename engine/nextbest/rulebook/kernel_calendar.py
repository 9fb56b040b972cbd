"""Calendar arithmetic on epoch seconds, for the kernel. The proleptic Gregorian calendar, UTC."""

import numpy as np

from nextbest.kernels import kernel
from nextbest.model import F64
from nextbest.rulebook.program import CalendarField

FULL_YEAR = int(CalendarField.FULL_YEAR)
MONTH = int(CalendarField.MONTH)
DATE = int(CalendarField.DATE)
DAY_OF_MONTH = int(CalendarField.DAY_OF_MONTH)
DAY_OF_WEEK = int(CalendarField.DAY_OF_WEEK)
DAY_OF_YEAR = int(CalendarField.DAY_OF_YEAR)
HOURS = int(CalendarField.HOURS)
MINUTES = int(CalendarField.MINUTES)
SECONDS = int(CalendarField.SECONDS)

DAY = 86400.0
RANGE = 4.0e11
"""Epoch seconds beyond which no timestamp lies; keeps the conversions to int64 defined."""


@kernel
def whole_days(seconds: float) -> int:
    """Day number since 1970-01-01 of a timestamp within `RANGE`."""
    return int(np.floor(seconds / DAY))


@kernel
def civil(days: int) -> tuple[int, int, int]:
    """Year, month 1–12 and day 1–31 of a day number since 1970-01-01.

    Counts in eras of 400 years that start on 1 March, so that the leap day is the last of its year
    (Howard Hinnant, chrono-compatible low-level date algorithms).
    """
    shifted = days + 719468
    era = shifted // 146097
    of_era = shifted - era * 146097
    year_of_era = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    day_of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    return year, month, day


@kernel
def day_number(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01; the inverse of `civil`."""
    shifted = year - (1 if month <= 2 else 0)
    era = shifted // 400
    year_of_era = shifted - era * 400
    shifted_month = month - 3 if month > 2 else month + 9
    of_year = (153 * shifted_month + 2) // 5 + day - 1
    return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + of_year - 719468


@kernel
def month_length(year: int, month: int) -> int:
    """Days in a month."""
    if month == 2:
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        return 29 if leap else 28
    return 30 if month in (4, 6, 9, 11) else 31


@kernel
def months_between(later: float, earlier: float) -> float:
    """The largest k such that `earlier` plus k months is not after `later`; NaN if either is out of range.

    Adding months clamps the day to the month's end: 30 November plus 3 months is 28 February.
    """
    if not (abs(later) < RANGE and abs(earlier) < RANGE):
        return np.nan
    late_day, early_day = whole_days(later), whole_days(earlier)
    late_year, late_month, late_date = civil(late_day)
    early_year, early_month, early_date = civil(early_day)
    months = (late_year - early_year) * 12 + late_month - early_month
    clamped = min(early_date, month_length(late_year, late_month))
    late_time, early_time = later - late_day * DAY, earlier - early_day * DAY
    if clamped > late_date or (clamped == late_date and early_time > late_time):
        months -= 1
    return float(months)


@kernel
def calendar_field(field: int, seconds: float) -> float:
    """One field of a timestamp, counted as CEL counts it; NaN if out of range."""
    if not abs(seconds) < RANGE:
        return np.nan
    day = whole_days(seconds)
    if field == DAY_OF_WEEK:
        return float((day + 4) % 7)
    if field >= HOURS:
        return _time_field(field, seconds - day * DAY)
    year, month, date = civil(day)
    if field == FULL_YEAR:
        return float(year)
    if field == MONTH:
        return float(month - 1)
    if field == DATE:
        return float(date)
    if field == DAY_OF_MONTH:
        return float(date - 1)
    return float(day - day_number(year, 1, 1))


@kernel
def _time_field(field: int, of_day: float) -> float:
    whole = np.floor(of_day)
    if field == HOURS:
        return np.floor(whole / 3600.0)
    if field == MINUTES:
        return np.floor(whole / 60.0) % 60.0
    if field == SECONDS:
        return whole % 60.0
    return _milliseconds(of_day - whole)


@kernel
def _milliseconds(fraction: float) -> float:
    # A float64 of this century resolves a quarter of a microsecond: half a microsecond of grace, so
    # that .321 s, stored as .32099…, has 321 milliseconds.
    return min(np.floor(fraction * 1000.0 + 0.0005), 999.0)


@kernel
def span_field(field: int, seconds: float) -> float:
    """One field of a duration, truncated towards zero as CEL does."""
    if field == HOURS:
        return np.trunc(seconds / 3600.0) + 0.0
    if field == MINUTES:
        return np.trunc(seconds / 60.0) + 0.0
    if field == SECONDS:
        return np.trunc(seconds) + 0.0
    fraction = abs(seconds) - np.floor(abs(seconds))
    return np.copysign(_milliseconds(fraction), seconds) + 0.0


@kernel
def local_seconds(seconds: float, tables: F64, start: int, size: int) -> float:
    """Epoch seconds shifted by the zone's offset at that instant."""
    low, high = 0, size
    while high - low > 1:
        middle = (low + high) // 2
        if tables[start + middle] <= seconds:
            low = middle
        else:
            high = middle
    return seconds + tables[start + size + low]
