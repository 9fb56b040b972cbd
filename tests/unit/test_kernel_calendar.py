"""Calendar arithmetic of the kernel against Python's own calendar."""

import json
import math
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive.expressions import Instant, _months_since

from nextbest.rulebook.kernel_calendar import calendar_field, civil, day_number, months_between, span_field
from nextbest.rulebook.program import CalendarField
from nextbest.rulebook.zones import transitions

VECTORS = {v["name"]: v for v in json.loads((Path(__file__).parents[1] / "vectors.json").read_text())}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS = st.integers(-62_135_596_800, 253_402_300_799)
RECENT = st.integers(-2_000_000_000, 4_000_000_000)
READ = {
    CalendarField.FULL_YEAR: lambda at: at.year,
    CalendarField.MONTH: lambda at: at.month - 1,
    CalendarField.DATE: lambda at: at.day,
    CalendarField.DAY_OF_MONTH: lambda at: at.day - 1,
    CalendarField.DAY_OF_WEEK: lambda at: at.isoweekday() % 7,
    CalendarField.DAY_OF_YEAR: lambda at: at.timetuple().tm_yday - 1,
    CalendarField.HOURS: lambda at: at.hour,
    CalendarField.MINUTES: lambda at: at.minute,
    CalendarField.SECONDS: lambda at: at.second,
}


@given(SECONDS)
def test_fields_are_those_of_the_calendar(seconds):
    """Every field of every instant that CEL has is Python's."""
    at = EPOCH + timedelta(seconds=seconds)
    fields = {field: calendar_field(int(field), float(seconds)) for field in READ}
    assert fields == {field: float(read(at)) for field, read in READ.items()}


def test_a_survey_falls_due_by_the_calendar():
    """Three months after the end of November is the end of February (`survey_timing`)."""
    vector = VECTORS["survey_timing"]
    joined, due = (
        datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
        for day in (vector["in"]["joined"], vector["out"])
    )
    assert months_between(due, joined) == vector["in"]["plus_months"]
    assert months_between(due - 1.0, joined) == vector["in"]["plus_months"] - 1


@given(st.integers(-719_162, 2_932_896))
def test_dates_and_day_numbers_are_inverse(days):
    """A day number turned into a date and back is the same day."""
    assert day_number(*civil(days)) == days


@settings(deadline=None)
@given(RECENT, st.integers(-100_000_000, 100_000_000))
def test_months_are_counted_as_by_hand(now, age):
    """Whole months are those that can be added, clamped to the month's end, without passing now."""
    earlier = Instant(Fraction(now - age))
    assert months_between(float(now), float(now - age)) == _months_since(Fraction(now), earlier)


@pytest.mark.parametrize(
    ("earlier", "later", "months"),
    [
        ("2025-11-30", "2026-02-28", 3),
        ("2025-11-30", "2026-02-27", 2),
        ("2024-02-29", "2025-02-28", 12),
        ("2024-01-31", "2024-02-29", 1),
        ("2024-01-31", "2024-02-28", 0),
        ("2026-02-28", "2025-11-30", -3),
        ("2026-02-28", "2025-11-27", -4),
        ("2026-01-01", "2026-01-01", 0),
    ],
)
def test_months_clamp_to_the_months_end(earlier, later, months):
    """30 November plus 3 months is 28 February (domain model, section 12)."""
    first, last = (datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() for day in (earlier, later))
    assert months_between(last, first) == months


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, 1e300])
def test_what_is_no_time_has_no_fields(seconds):
    """Out of range is NaN, never an undefined conversion."""
    assert math.isnan(calendar_field(int(CalendarField.FULL_YEAR), seconds))
    assert math.isnan(months_between(seconds, 0.0))
    assert math.isnan(months_between(0.0, seconds))


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.321, 321.0), (-1.5, -500.0), (59.9999999, 999.0), (1_770_000_000.321, 321.0)]
)
def test_milliseconds_allow_for_the_floats_resolution(seconds, expected):
    """A thousandth that a float64 holds as just less than it is, is still counted."""
    assert span_field(int(CalendarField.MILLISECONDS), seconds) == expected


@pytest.mark.parametrize(
    "name", ["Europe/Copenhagen", "America/St_Johns", "Asia/Kathmandu", "Africa/Casablanca"]
)
def test_transitions_are_those_of_the_zone(name):
    """The table gives the zone's offset at every probed instant of two centuries."""
    zone = ZoneInfo(name)
    starts, offsets = transitions(zone)
    for seconds in range(-2_208_000_000, 4_102_000_000, 6_543_211):
        index = sum(start <= seconds for start in starts) - 1
        at = (EPOCH + timedelta(seconds=seconds)).astimezone(zone)
        assert offsets[index] == at.utcoffset().total_seconds()
