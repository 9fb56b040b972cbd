"""The customer's hour of the day, across changes of clocks and for zones that nobody knows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.small import DIRECTORY

from nextbest.batch.population import rows_part
from nextbest.facts import Catalogue
from nextbest.id_check import id_checks_of
from nextbest.local_time import local_hours, second_of_day
from nextbest.model import Contexts, Direction
from nextbest.rows import RowCodec
from nextbest.rulebook.compile import compile_rulebook

COPENHAGEN, NEW_YORK = "Europe/Copenhagen", "America/New_York"


@pytest.fixture(scope="module")
def rulebook():
    """A rulebook with quiet hours, at home in Copenhagen."""
    return compile_rulebook(DIRECTORY)


def with_zones(rulebook, *zones):
    """The rulebook with other members of `time_zone`."""
    facts = [replace(f, values=zones) if f.name == "time_zone" else f for f in rulebook.catalogue.facts]
    return replace(rulebook, catalogue=Catalogue(tuple(facts)))


def hours(rulebook, moments, *, zone=None, direction=Direction.OUTBOUND):
    """Local hours of one customer at several moments."""
    codec = RowCodec(rulebook.catalogue)
    facts = {} if zone is None else {"time_zone": zone}
    row, n = codec.encode(b"c", 0.0, facts), len(moments)
    rows = codec.decode_batch([row] * n, id_checks_of([b"c"] * n)).rows
    codes = np.zeros(n, np.int32)
    contexts = Contexts(
        channel=codes,
        direction=np.full(n, direction, np.int32),
        placements=np.zeros(n, np.uint64),
        preference=np.empty((n, 0), np.int32),
        phase=codes,
        role=codes - 1,
        numbers=np.empty((n, 0)),
    )
    return local_hours(rulebook, rows, contexts, np.array([m.timestamp() for m in moments])).tolist()


def wall(moment, zone):
    """Hour on the wall, from the standard library."""
    local = moment.astimezone(ZoneInfo(zone))
    return local.hour + local.minute / 60 + (local.second + local.microsecond / 1e6) / 3600


@pytest.mark.parametrize("zone", [COPENHAGEN, NEW_YORK])
def test_hour_is_that_on_the_wall(rulebook, zone):
    """Around both changes of clocks, in both zones, the hour is that on the customer's wall."""
    for change in (datetime(2026, 3, 8, 7), datetime(2026, 3, 29, 1), datetime(2026, 10, 25, 1)):
        start = change.replace(tzinfo=UTC) - timedelta(hours=3)
        moments = [start + timedelta(minutes=7 * i) for i in range(60)]
        assert hours(rulebook, moments, zone=zone) == pytest.approx([wall(m, zone) for m in moments])


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "Pacific/Chatham", "Australia/Lord_Howe", "UTC"])
def test_odd_offsets(rulebook, zone):
    """Offsets of three quarters of an hour, and clocks that change by half an hour, are right too."""
    moments = [datetime(2026, 4, 4, 12, tzinfo=UTC) + timedelta(minutes=11 * i) for i in range(100)]
    found = hours(with_zones(rulebook, zone), moments, zone=zone)
    assert found == pytest.approx([wall(m, zone) for m in moments])


def test_many_in_one_slot_are_as_one_alone(rulebook):
    """Customers of all zones whom one moment or one quarter of an hour finds get the hour each gets alone."""
    members = (COPENHAGEN, NEW_YORK, "Asia/Kathmandu", "Pacific/Chatham")
    zoned = with_zones(rulebook, *members)
    column = zoned.catalogue.columns["time_zone"]
    codec, start = RowCodec(zoned.catalogue), datetime(2026, 3, 29, 22, 15, tzinfo=UTC).timestamp()
    for step in (0.0, 1.7, 97.3):  # all at once, within a quarter, over hours and midnights
        rows = codec.decode_batch([codec.encode(b"c", 0.0, {})] * 600, id_checks_of([b"c"] * 600)).rows
        numbers = rows.numbers.copy()
        numbers[:, column] = np.arange(600) % 6 - 1.0
        rows = replace(rows, numbers=numbers)
        now = start + np.arange(600) % 500 * step
        contexts = Contexts(*_outbound(600))
        together = local_hours(zoned, rows, contexts, now)
        alone = [
            local_hours(zoned, rows_part(rows, i, i + 1), Contexts(*_outbound(1)), now[i : i + 1])[0]
            for i in range(600)
        ]
        assert together.tolist() == alone


def _outbound(n):
    codes = np.zeros(n, np.int32)
    no_places = np.zeros(n, np.uint64), np.empty((n, 0), np.int32)
    return codes, codes + 1, *no_places, codes, codes - 1, np.empty((n, 0))


@given(
    st.lists(st.integers(-200_000, 200_000), min_size=1, max_size=20),
    st.sampled_from((-1e-6, -(2.0**-22), -0.0, 0.0, 2.0**-22, 0.1, 86399.999)),
)
@settings(max_examples=100)
def test_second_of_the_day_has_the_bits_of_the_remainder(days, beside):
    """Beside and on midnight, before and after 1970, the second of the day has the bits of the remainder."""
    local = np.array([day * 86400.0 + beside for day in days])
    assert [second_of_day(value) for value in local.tolist()] == [value % 86400.0 for value in local.tolist()]


def test_without_a_zone_the_strategys_holds(rulebook):
    """A customer whose zone is not known is taken to live where the strategy says."""
    moment = datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert hours(rulebook, [moment]) == [14.0]


def test_zone_that_nobody_knows(rulebook):
    """A member that is no zone of the pinned database counts as unknown, whatever the machine has."""
    moment = datetime(2026, 7, 1, 12, tzinfo=UTC)
    for nonsense in ("Mars/Olympus", "../etc/passwd", "", "localtime"):
        assert hours(with_zones(rulebook, nonsense), [moment], zone=nonsense) == [14.0]


def test_code_beyond_the_members(rulebook):
    """A code that this rulebook has no member for counts as unknown."""
    moment = datetime(2026, 7, 1, 12, tzinfo=UTC)
    codec = RowCodec(rulebook.catalogue)
    row = bytearray(codec.encode(b"c", 0.0, {"time_zone": NEW_YORK}))
    place = 8 * (3 + rulebook.catalogue.columns["time_zone"])
    row[place : place + 8] = np.float64(99.0).tobytes()
    rows = codec.decode_batch([bytes(row)], id_checks_of([b"c"])).rows
    one = np.zeros(1, np.int32)
    contexts = Contexts(
        one, one + 1, np.zeros(1, np.uint64), np.empty((1, 0), np.int32), one, one, np.empty((1, 0))
    )
    assert local_hours(rulebook, rows, contexts, np.array([moment.timestamp()])).tolist() == [14.0]


def test_nothing_is_looked_up_unless_a_gate_asks(rulebook):
    """A contact that the customer starts, and a rulebook without quiet hours, need no hour."""
    moment = datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert np.isnan(hours(rulebook, [moment], direction=Direction.INBOUND)).all()
    tables = rulebook.channel_tables
    never = replace(tables, quiet_from=np.full_like(tables.quiet_from, np.nan))
    assert np.isnan(hours(replace(rulebook, channel_tables=never), [moment])).all()
