"""Calendar periods: bounds against an oracle that looks at clocks, at every edge that clocks have."""

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import periods as naive

from nextbest.fact_values import FIRST_TIME_S, LAST_TIME_S
from nextbest.model import DAY_S
from nextbest.rulebook.periods import Period, fill_periods

CALENDARS = ("day", "week", "month", "quarter", "year")
ZONES = (
    "UTC",
    "Europe/Copenhagen",
    "America/New_York",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
)
"""São Paulo changed its clocks at midnight, Lord Howe by half an hour, Apia left out a whole day."""
EDGES = (
    "2011-12-29T23:00",
    "2011-12-31T01:00",
    "2017-10-15T00:30",
    "2018-02-17T23:30",
    "2024-02-29T12:00",
    "2024-03-31T02:30",
    "2024-10-27T02:30",
    "2024-12-31T23:59",
    "2025-01-01T00:00",
    "1969-12-31T23:00",
)


def expected(calendar, zone, now):
    """As `fill_periods` gives them."""
    first, following = naive.bounds(calendar, now, zone)
    return [np.nextafter(first, -np.inf), following]


@pytest.mark.parametrize("calendar", CALENDARS)
@pytest.mark.parametrize("zone", ZONES)
def test_bounds_at_the_edges_of_clocks(calendar, zone):
    """A period begins at its first second there is, also where clocks skip or repeat midnight."""
    local = [dt.datetime.fromisoformat(edge).replace(tzinfo=ZoneInfo(zone)).timestamp() for edge in EDGES]
    now = np.array([*local, *(t - 1 for t in local)])
    found = fill_periods([Period(calendar, zone)], now)
    assert found.tolist() == [expected(calendar, zone, t) for t in now.tolist()]


@pytest.mark.parametrize("calendar", CALENDARS)
@pytest.mark.parametrize(
    ("zone", "set_back"),
    [("America/St_Johns", 1289098860), ("America/Goose_Bay", 1289100660), ("Antarctica/Casey", 1267714800)],
)
def test_clocks_set_back_after_midnight(calendar, zone, set_back):
    """A day to which clocks are set back goes on until midnight comes again; every moment is in a period."""
    now = set_back + np.arange(-7200.0, 4 * 3600.0, 59.0)
    found = fill_periods([Period(calendar, zone)], now)
    assert (found[:, 0] < now).all()
    assert (now < found[:, 1]).all()
    ends = {dt.datetime.fromtimestamp(end, ZoneInfo(zone)).time() for end in found[:, 1].tolist()}
    assert ends == {dt.time()}


@pytest.mark.parametrize("calendar", CALENDARS)
def test_the_last_periods_of_all(calendar):
    """At the first and the last time that may be asked for, in the year 9999, a period holds it."""
    now = np.array([FIRST_TIME_S + DAY_S, LAST_TIME_S - DAY_S])
    for zone in ("UTC", "Pacific/Kiritimati", "Pacific/Niue"):
        found = fill_periods([Period(calendar, zone)], now)
        assert (found[:, 0] < now).all()
        assert (now < found[:, 1]).all()


@given(
    st.lists(st.tuples(st.sampled_from(CALENDARS), st.sampled_from(ZONES)), min_size=1, max_size=3),
    st.lists(st.integers(0, 2**31), min_size=1, max_size=6),
)
@settings(max_examples=40, deadline=None)
def test_bounds_equal_the_oracle(periods, moments):
    """Each moment has the bounds of its own period, whatever the others are."""
    found = fill_periods([Period(*period) for period in periods], np.array(moments, float))
    assert found.tolist() == [
        [bound for calendar, zone in periods for bound in expected(calendar, zone, now)] for now in moments
    ]


def test_no_period_is_longer_than_said():
    """What history must be kept for a period is enough for the longest one."""
    moments = np.arange(0, 40 * 366 * 86400, 86400 * 5 + 12345, dtype=float)
    for zone in ZONES:
        for calendar in CALENDARS:
            period = Period(calendar, zone)
            bounds = fill_periods([period], moments)
            assert (bounds[:, 1] - bounds[:, 0]).max() <= period.longest_s
