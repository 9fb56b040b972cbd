"""The bytes of a logged decision."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.decisions import record

from nextbest.decision_record import HANDLE_AT, DecisionRecord, read_record
from nextbest.errors import DecisionUnreadable
from nextbest.model import Degraded

BYTES = st.binary(max_size=40)
RECORDS = st.builds(
    record,
    customer_id=st.text(min_size=1, max_size=16),
    decision_id=st.binary(min_size=16, max_size=16),
    seed=st.integers(0, 2**64 - 1),
    now=st.floats(allow_nan=False),
    made_at=st.floats(allow_nan=False),
    degraded=st.none() | st.sampled_from(Degraded),
    masked=st.lists(st.text("abc_.", min_size=1), max_size=3).map(tuple),
    inline=st.booleans(),
    **dict.fromkeys(("request", "row", "contacts", "events", "state", "selection", "answer"), BYTES),
)


@given(RECORDS)
def test_what_is_written_is_read(one):
    """Every field comes back as it was."""
    assert read_record(one.to_bytes(), one.customer_id) == one


def test_the_handle_lies_where_erasing_reads_it():
    """The handle can be read without the rest."""
    one = record()
    assert one.to_bytes()[HANDLE_AT : HANDLE_AT + 16] == one.handle


def test_figures_and_ranking_are_read_as_numbers():
    """Figures and the ranking's terms are what was decided, NaN included."""
    one = read_record(record().to_bytes())
    assert np.array_equal(one.figure_values, [1.0, np.nan], equal_nan=True)
    assert (one.ranking.action.tolist(), one.ranking.treatment.tolist()) == ([3], [7])
    assert one.ranking.terms[0, 8] == 1.0


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not a logged decision"),
        (b"nbartfct", "not a logged decision"),
        (b"nbdl", "cut short"),
        (record().to_bytes()[:-1], "bytes where"),
        (record().to_bytes() + b"x", "bytes where"),
        (b"nbdl\2\0" + record().to_bytes()[6:], "format 2, not 1"),
        (record().to_bytes().replace(b"customer-1", b"customer-2"), "another customer"),
        (record(degraded=9).to_bytes(), "`9` is no reason"),
        (record().to_bytes().replace(b"small@", b"\xff\xffall@"), "not UTF-8"),
    ],
)
def test_damage_is_said(data, problem):
    """A record that is not what was written is refused with what is wrong."""
    with pytest.raises(DecisionUnreadable, match=problem):
        read_record(data)


def test_a_record_of_another_customer_is_refused():
    """Who asks for one customer's decision never reads another's."""
    with pytest.raises(DecisionUnreadable, match="another customer"):
        read_record(record("c1").to_bytes(), "c2")


@given(RECORDS, st.data())
def test_any_cut_is_refused(one, data):
    """No prefix of a record is a record."""
    whole = one.to_bytes()
    with pytest.raises(DecisionUnreadable):
        read_record(whole[: data.draw(st.integers(0, len(whole) - 1))])


def test_every_field_is_stored():
    """A field that is added is added to the bytes, too: no two records differ with equal bytes."""
    one = record()
    for field in dataclasses.fields(DecisionRecord):
        if field.name == "tombstone":  # for writing it only
            continue
        changed = dataclasses.replace(one, **{field.name: other(getattr(one, field.name))})
        assert changed.to_bytes() != one.to_bytes(), field.name


def other(value):
    """Another value of the same type and, for ids and digests, the same length."""
    match value:
        case None:
            return Degraded.DEADLINE
        case bool():
            return not value
        case int() | float():
            return value + 1
        case tuple():
            return (*value, "x")
        case str():
            return value[::-1]
        case _:
            return bytes([value[0] ^ 1, *value[1:]]) if value else b"8 bytes."
