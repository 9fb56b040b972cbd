"""Days, weeks, months, quarters and years of the calendar, which begin at local midnight in a named zone."""

import datetime as dt
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nextbest.model import DAY_S, F64
from nextbest.rulebook.zones import zone_named

_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_DAYS = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}


class Period(NamedTuple):
    """A recurring part of the calendar."""

    calendar: str
    """`day`, `week` (from Monday), `month`, `quarter` or `year`."""
    time_zone: str
    """IANA name."""

    @property
    def longest_s(self) -> float:
        """No such period lasts longer: the day on which the clock is set back included."""
        return (_DAYS[self.calendar] + 1) * DAY_S


def fill_periods(periods: Sequence[Period], now: F64) -> F64:
    """(n, 2·periods) the last moment before the period in which each `now` lies, and when it ends.

    A window after the first holds what happened from the period's first second on. Epoch seconds; `now` (n,).
    Oracle: tests/naive/periods.py.
    """
    bounds = np.empty((len(now), 2 * len(periods)))
    for i, period in enumerate(periods):
        bounds[:, 2 * i : 2 * i + 2] = _bounds(period, now)
    return bounds


def _bounds(period: Period, now: F64) -> F64:
    """Those of one period; all who share it are done at once, which mostly is everybody."""
    bounds, left = np.empty((len(now), 2)), np.arange(len(now))
    while len(left):
        begins, ends = _around(period, float(now[left[0]]))
        inside = (now[left] >= begins) & (now[left] < ends)
        bounds[left[inside]] = np.nextafter(begins, -np.inf), ends
        left = left[~inside]
    return bounds


def _around(period: Period, now: float) -> tuple[float, float]:
    """When the period that holds `now` begins and ends, epoch seconds."""
    zone = zone_named(period.time_zone) or dt.UTC
    first = _first_day(period.calendar, dt.datetime.fromtimestamp(now, zone).date())
    return _midnight(first, zone), _ends(period.calendar, first, zone, now)


def _first_day(calendar: str, day: dt.date) -> dt.date:
    if calendar in _MONTHS:
        months = _MONTHS[calendar]
        return day.replace(month=(day.month - 1) // months * months + 1, day=1)
    return day - dt.timedelta(days=day.weekday() if calendar == "week" else 0)


def _first_day_after(calendar: str, first: dt.date) -> dt.date:
    if calendar in _MONTHS:
        return (first + dt.timedelta(days=31 * _MONTHS[calendar])).replace(day=1)
    return first + dt.timedelta(days=_DAYS[calendar])


def _ends(calendar: str, first: dt.date, zone: dt.tzinfo, now: float) -> float:
    """When the period that began on a day ends; inf after the year 9999."""
    try:
        after = _first_day_after(calendar, first)
    except OverflowError:
        return math.inf
    ends = _midnight(after, zone)
    # Where clocks are set back soon after midnight, the day before goes on until midnight comes again.
    return ends if now < ends else _midnight(after, zone, fold=1)


def _midnight(day: dt.date, zone: dt.tzinfo, *, fold: int = 0) -> float:
    """Where clocks skip midnight, the moment they do; where it comes twice, `fold` says which one."""
    return dt.datetime.combine(day, dt.time(fold=fold), zone).timestamp()
