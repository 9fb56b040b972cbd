"""History windows: the kernel against the oracle, and the edges that decide whether someone is called."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive.windows import window

from nextbest.facts import Catalogue, Fact, FactGroup, FactType
from nextbest.model import DAY_S, HISTORY_ENTRY, EntryKind, Histories, Outcome, Ring
from nextbest.rulebook.builder import ProgramBuilder
from nextbest.rulebook.expressions import ExpressionError, Scope, compile_condition, compile_number
from nextbest.rulebook.windows import fill_windows

NOW = 1_770_000_000.0
SCOPE = Scope(
    Catalogue(
        (
            Fact(
                name="owned_categories",
                type=FactType.SET,
                group=FactGroup.TRANSACTION,
                values=("coffee", "tea"),
            ),
        )
    ),
    channels=("email", "call"),
    placements=("top", "end"),
    actions=tuple(f"a{i}" for i in range(300)),
    treatments=("a0/email", "a1/call"),
    triggers=("overdue", "moved"),
    event_kinds=("purchase", "web_visit"),
)
SOURCES = (
    "count(history.contacts, 30)",
    'count(history.contacts, 7, entry.channel == "email")',
    'count(history.contacts, 30, entry.action == "a299")',
    'count(history.contacts, 30, entry.outcome in ["rejected", "ignored"], entry.kind == "outcome")',
    'count(history.contacts, 30, entry.action in ["a0", "a299"], entry.direction == "outbound")',
    'count(history.events, duration("36h"), entry.event == "purchase")',
    "sum(history.events.amount, 30)",
    'sum(history.contacts.cost, 90, entry.channel == "call")',
    'double(int(last(history.events, 365, entry.event == "web_visit")))',
    'double(int(last(history.contacts, 30, entry.trigger == "moved", entry.placement == "end")))',
    'double(int(last(history.contacts, 30, entry.treatment == "a1/call")))',
)


def program(*sources):
    """A program of number outputs."""
    builder = ProgramBuilder()
    for source in sources:
        builder.add_value(compile_number(source, SCOPE))
    return builder.build()


def ring(*customers, truncated=None):
    """A ring of entries given as dicts; a dict names only what matters."""
    entries = np.zeros(sum(len(c) for c in customers), HISTORY_ENTRY)
    entries["amount"] = entries["cost"] = np.nan
    for entry, given_ in zip(entries, (e for c in customers for e in c), strict=True):
        for name, value in given_.items():
            entry[name] = value
    starts = np.cumsum([0, *(len(c) for c in customers)]).astype(np.int64)
    lost = np.full(len(customers), -np.inf) if truncated is None else np.asarray(truncated, float)
    return Ring(entries, starts, lost)


def filled(source, contacts=((),), events=((),), **lost):
    """One column for customers with the given entries."""
    n = max(len(contacts), len(events))
    contacts = contacts if len(contacts) == n else ((),) * n
    events = events if len(events) == n else ((),) * n
    histories = Histories(
        ring(*contacts, truncated=lost.get("contacts_lost")), ring(*events, truncated=lost.get("events_lost"))
    )
    return fill_windows(program(source), histories, np.full(n, NOW))[:, 0].tolist()


AGES = (-10.0, 0.0, 1.0, 6.5 * DAY_S, 7 * DAY_S, 7 * DAY_S - 1e-3, 30 * DAY_S, 31 * DAY_S, 400 * DAY_S)
ENTRIES = st.lists(
    st.fixed_dictionaries(
        {
            "time": st.sampled_from([NOW - age for age in AGES]),
            "kind": st.sampled_from([int(k) for k in EntryKind]),
            "channel": st.sampled_from([0, 1, 255]),
            "direction": st.integers(0, 1),
            "placement": st.integers(0, 1),
            "outcome": st.sampled_from([int(o) for o in Outcome]),
            "action": st.sampled_from([0, 43, 299, 0xFFFFFFFF]),
            "treatment": st.integers(0, 1),
            "trigger": st.integers(0, 1),
            "event_kind": st.integers(0, 1),
            "amount": st.sampled_from([0.0, 1.5, -2.0, math.nan]),
            "cost": st.sampled_from([0.1, math.nan]),
        }
    ),
    max_size=6,
)
LOST = st.sampled_from([-np.inf, NOW - 7 * DAY_S, NOW - 30 * DAY_S, NOW - 20 * DAY_S])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(ENTRIES, ENTRIES, LOST, LOST), min_size=1, max_size=4))
def test_windows_agree_with_the_oracle(customers):
    """Every window column equals the entry-by-entry oracle, NaN included."""
    contacts, events, lost_contacts, lost_events = zip(*customers, strict=True)
    histories = Histories(ring(*contacts, truncated=lost_contacts), ring(*events, truncated=lost_events))
    tables = program(*SOURCES)
    columns = fill_windows(tables, histories, np.full(len(customers), NOW))
    expected = [[window(spec, histories, i, NOW) for spec in tables.windows] for i in range(len(customers))]
    np.testing.assert_allclose(columns, expected, rtol=1e-15)


def test_a_window_is_half_open():
    """What happened exactly W ago is out, what happens now is in, what is to come is out."""
    ages = [30 * DAY_S, 30 * DAY_S - 1e-3, 0.0, -1.0]
    counts = filled("count(history.contacts, 30)", contacts=[({"time": NOW - age},) for age in ages])
    assert counts == [0.0, 1.0, 1.0, 0.0]


def test_a_window_that_reaches_past_lost_entries_is_unknown():
    """Nobody is called on a count that may miss a call."""
    lost = [NOW - 30 * DAY_S, NOW - 30 * DAY_S + 1.0, -np.inf]
    counts = filled("count(history.contacts, 30)", contacts=((), (), ()), contacts_lost=lost)
    assert counts[0] == 0.0
    assert math.isnan(counts[1])
    assert counts[2] == 0.0


def test_an_entry_without_an_amount_adds_nothing():
    """A sum passes over entries that carry no amount."""
    entries = ({"time": NOW, "amount": 2.5}, {"time": NOW}, {"time": NOW, "amount": -1.0})
    assert filled("sum(history.events.amount, 1)", events=(entries,)) == [1.5]


def test_last_is_missing_when_nothing_happened():
    """`last` has no time to give when the window is empty."""
    assert math.isnan(filled("double(int(last(history.events, 10)))", events=((),))[0])


def test_last_takes_the_latest_even_out_of_order():
    """`last` is the greatest event time, whatever order the entries lie in."""
    entries = ({"time": NOW - 5.0}, {"time": NOW - 90.0})
    assert filled("double(int(last(history.events, 10)))", events=(entries,)) == [NOW - 5.0]


def test_equal_windows_share_a_column():
    """Two rules that count the same thing count it once."""
    tables = program(
        "count(history.contacts, 30) + 1",
        "count(history.contacts, duration('720h')) * 2",
        'count(history.contacts, 30, entry.kind == "contact", entry.channel == "email")',
        'count(history.contacts, 30, entry.channel in ["email"], entry.kind == "contact")',
    )
    assert tables.n_windows == 2


def test_peers_have_is_left_to_the_grid():
    """A `peers_have` column names its member and is UNKNOWN until the peer grid fills it."""
    builder = ProgramBuilder()
    builder.add_condition(compile_condition('peers_have("tea")', SCOPE))
    tables = builder.build()
    assert tables.windows[0].filters[0][1] == (1,)
    assert np.isnan(fill_windows(tables, Histories.empty(2), np.full(2, NOW))).all()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("count(history.contacts)", "`count` takes a history and a number of days"),
        ("count(history.visits, 3)", "`count` does not read this"),
        ("count(history.events.amount, 3)", "`count` does not read this"),
        ("sum(history.events, 3)", "`sum` does not read this"),
        ("count(history.contacts, 0)", "the window's length must be positive"),
        ("count(history.contacts, count(history.contacts, 3))", "the window's length must be constant"),
        ("count(history.contacts, 3, true)", "a window's filter is `entry.<field> == ...` or"),
        ('count(history.contacts, 3, entry.chanel == "email")', "an entry has no field `chanel`"),
        ('count(history.contacts, 3, entry.channel == "mail")', "unknown name `mail`"),
        ("count(history.contacts, 3, entry.channel == 3)", "a window's filter compares with a string"),
        ('count(history.contacts, 3, customer.x == "a")', "a window's filter starts with `entry.`"),
        ("peers_have(3)", "`peers_have` takes one member in quotation marks"),
        ('peers_have("milk")', "`customer.owned_categories` has no member `milk`"),
    ],
)
def test_a_malformed_window_is_refused(source, message):
    """What a window cannot mean is an error at its place."""
    with pytest.raises(ExpressionError) as caught:
        compile_number(source, SCOPE)
    assert caught.value.message.startswith(message)
    assert source[caught.value.start : caught.value.end]
