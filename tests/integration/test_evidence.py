"""Evidence in Redis: each case once, in any order, corrected and caught up on."""

import asyncio

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.naive.learning import case_counts

from nextbest.data import evidence as module
from nextbest.data.connection import RedisConnection
from nextbest.data.evidence import EvidenceStore
from nextbest.data.keys import Keys
from nextbest.learning.cases import Place, observations
from nextbest.model import NO_CODE, EntryFlag, Outcome
from nextbest.rings import new_entries
from nextbest.rulebook.strategy import Exploration, Learning

LEARNING = Learning(
    parent_weight=30,
    trials=1 << Outcome.PRESENTED | 1 << Outcome.CLICKED,
    successes=1 << Outcome.ACCEPTED,
    failures=1 << Outcome.REJECTED | 1 << Outcome.IGNORED,
    mature_at=0,
    least_reach=0.02,
    exploration=Exploration.NONE,
    share=0.05,
    salt="s",
)
NOTHING = 99
CELL = (("peer_segment", 1), ("household", 0))
HERE = Place(7, 1, CELL)


def entry(outcome, *, time=1.0, key=None, decision=b"d", action=7, channel=1, override=False):
    """One captured outcome; its key is its content unless given."""
    made = new_entries(1)
    made["time"], made["outcome"], made["action"] = time, Outcome[outcome.upper()], action
    made["decision_id"] = decision.ljust(16, b"\0") if decision else b"\0" * 16
    made["channel"] = channel
    made["flags"] = EntryFlag.OVERRIDE if override else 0
    made["idempotency_key"] = key if key is not None else abs(hash((outcome, time, decision, action))) + 1
    return made[0]


def seen(*entries, timed=True):
    """Their evidence."""
    made = new_entries(len(entries))
    for i, one in enumerate(entries):
        made[i] = one
    return observations(made, LEARNING, NOTHING, np.full(len(entries), timed))


def cases(*entries, timed=True):
    """How many cases they are."""
    return len({one.case for one in seen(*entries, timed=timed)})


def test_outcomes_of_one_event_are_one_case():
    """Without a decision, what is said of one action, channel and time is one trial, under whatever keys."""
    shown, taken = entry("presented", decision=b"", key=1), entry("accepted", decision=b"", key=2)
    assert cases(shown, taken) == 1
    assert cases(shown, entry("accepted", decision=b"", key=2, time=2.0)) == 2
    assert cases(shown, entry("accepted", decision=b"", key=2, channel=2)) == 2
    assert cases(shown, entry("accepted", decision=b"", key=2, action=8)) == 2
    assert cases(shown, entry("accepted", key=2)) == 2


def test_outcomes_without_a_time_are_cases_of_their_own():
    """A time that we put in is none to tell events by: a repetition would have another one."""
    shown = entry("presented", decision=b"", key=1)
    assert cases(shown, entry("presented", decision=b"", key=1, time=2.0), timed=False) == 1
    assert cases(shown, entry("accepted", decision=b"", key=2), timed=False) == 2


@pytest.fixture
def store(connection, keys):
    """Evidence under a prefix of the test's own."""
    return EvidenceStore(connection, keys)


async def learn(store, *entries, customer="c1", stage=1, cell=CELL):
    """Count outcomes of a customer."""
    return await store.learn(customer, seen(*entries), stage=stage, cell=cell, now=5.0)


async def test_an_impression_and_its_acceptance_are_one_success(store):
    """A trial counts as a failure until it is accepted; then it is one success."""
    await learn(store, entry("presented"))
    assert (await store.read()).counts == {HERE: (0.0, 1.0)}
    await learn(store, entry("accepted", time=2.0))
    assert (await store.read()).counts == {HERE: (1.0, 0.0)}


async def test_a_repeated_outcome_counts_once(store):
    """The same idempotency key changes nothing, whatever time the retry carries and whatever came between."""
    first = await learn(store, entry("accepted", time=2.0, key=5))
    assert await learn(store, entry("accepted", time=9.0, key=5)) == first
    await learn(store, entry("rejected", time=3.0))
    await learn(store, entry("accepted", time=9.0, key=5))
    assert (await store.read()).counts == {HERE: (0.0, 1.0)}


async def test_a_correction_takes_back_what_it_corrects(store):
    """A later rejection turns the success into a failure; not presented after all leaves nothing."""
    await learn(store, entry("presented"), entry("accepted", time=2.0))
    await learn(store, entry("rejected", time=3.0))
    assert (await store.read()).counts == {HERE: (0.0, 1.0)}
    await learn(store, entry("not_presented", time=4.0))
    assert (await store.read()).counts == {HERE: (0.0, 0.0)}


async def test_contradictory_words_of_one_time_count_against_it(store):
    """Accepted and rejected at the same moment is no success, in either order."""
    await learn(store, entry("accepted"), entry("rejected"))
    await learn(store, entry("rejected"), entry("accepted"), customer="c2")
    assert (await store.read()).counts == {HERE: (0.0, 2.0)}


async def test_overrides_nothing_and_unlisted_outcomes_are_no_evidence(store):
    """Staff's own choice, doing nothing, no action, and what the rulebook does not list count nowhere."""
    assert seen(entry("accepted", override=True)) == []
    assert seen(entry("accepted", action=NOTHING)) == seen(entry("accepted", action=NO_CODE)) == []
    assert seen(entry("complained")) == []


async def test_a_case_counts_where_it_began(store):
    """An acceptance counts in the stage and cell of its impression, though the customer has moved."""
    await learn(store, entry("presented"))
    await learn(store, entry("accepted", time=2.0), stage=2, cell=())
    assert (await store.read()).counts == {HERE: (1.0, 0.0)}


async def test_decisions_actions_and_customers_are_cases_of_their_own(store):
    """So are events without a decision."""
    await learn(store, entry("accepted"), entry("accepted", decision=b"e"), entry("accepted", action=8))
    await learn(store, entry("accepted"), customer="c2")
    await learn(store, entry("presented", decision=b"", time=1.0), entry("accepted", decision=b"", time=2.0))
    assert (await store.read()).counts == {HERE: (4.0, 1.0), Place(8, 1, CELL): (1.0, 0.0)}


EVENTS = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.sampled_from(["presented", "clicked", "accepted", "rejected", "ignored", "not_presented"]),
    ),
    min_size=1,
    max_size=6,
)


@given(events=EVENTS, data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_and_repeats_come_to_the_same(redis_server, events, data):
    """What a case comes to is a matter of what was captured, not of when it arrived nor how often."""
    order = data.draw(st.permutations(events + events[:2]))
    expected = case_counts(events, {"presented", "clicked"}, {"accepted"}, {"rejected", "ignored"})

    async def run():
        async with RedisConnection(redis_server.address, timeout_s=10.0) as connection:
            keys = Keys(f"order{abs(hash((tuple(events), tuple(order))))}")
            store = EvidenceStore(connection, keys)
            for time, outcome in order:
                await learn(store, entry(outcome, time=float(time), key=hash((time, outcome)) % 2**60 + 1))
            counts = (await store.read()).counts.get(HERE, (0.0, 0.0))
            for key in (keys.cases("c1"), keys.evidence, keys.evidence_version, keys.evidence_changes):
                await connection.execute("DEL", key)
            return counts

    assert asyncio.run(run()) == expected


async def test_changes_lead_from_any_version_to_the_counts_of_now(store):
    """Catching up gives what reading everything gives, from the beginning and from between."""
    nothing = await store.read()
    await learn(store, entry("presented"))
    between = await store.since(nothing)
    await learn(store, entry("accepted", time=2.0), entry("presented", action=8))
    whole = await store.read()
    assert await store.since(nothing) == await store.since(between) == whole
    assert await store.since(whole) is whole


async def test_a_reset_forgets_one_action_and_everyone_notices(store):
    """Counts of the action are gone, others stay; who follows finds the same as who reads everything."""
    await learn(store, entry("accepted"), entry("presented", action=8), entry("presented", action=77))
    await learn(store, entry("presented"), customer="c2", stage=2, cell=())
    before = await store.read()
    assert await store.reset(7) == (1, 1, 2)
    left = {Place(8, 1, CELL): (0.0, 1.0), Place(77, 1, CELL): (0.0, 1.0)}
    assert (await store.read()).counts == left
    assert await store.since(before) == await store.read()
    await learn(store, entry("presented"), customer="c3")
    assert (await store.since(before)).counts == left | {HERE: (0.0, 1.0)}
    assert await store.reset(5) == (0, 0, 0)


async def test_a_case_from_before_a_reset_counts_anew_and_takes_nothing_back(store):
    """Its next outcome counts, a repeat does not, and no count falls below zero."""
    shown = entry("presented", key=5)
    for customer in ("c1", "c2", "c3"):
        await learn(store, shown, customer=customer)
    await store.reset(7)
    await learn(store, shown)
    assert (await store.read()).counts == {}
    await learn(store, entry("accepted", time=2.0))
    assert (await store.read()).counts == {HERE: (1.0, 0.0)}
    await learn(store, entry("rejected", time=3.0))
    assert (await store.read()).counts == {HERE: (0.0, 1.0)}
    await learn(store, entry("not_presented", time=2.0), customer="c2")
    assert (await store.read()).counts == {HERE: (0.0, 1.0)}
    await learn(store, entry("rejected", time=2.0), customer="c3")
    assert (await store.read()).counts == {HERE: (0.0, 2.0)}


async def test_who_is_too_far_behind_reads_everything(store, connection, keys):
    """Changes that are no longer kept, or counts that began anew, are no reason to be wrong."""
    nothing = await store.read()
    await learn(store, entry("presented"), entry("presented", decision=b"e"))
    await connection.execute("XTRIM", keys.evidence_changes, "MAXLEN", 1)
    assert await store.since(nothing) == await store.read()
    ahead = await store.read()
    for key in (keys.evidence, keys.evidence_version, keys.evidence_changes):
        await connection.execute("DEL", key)
    assert (await store.since(ahead)).counts == {}


async def test_many_cases_of_a_customer_forget_the_oldest(store, connection, keys, monkeypatch):
    """The ledger is bounded; what was counted stays counted."""
    monkeypatch.setattr(module, "MOST_CASES", 8)
    for i in range(12):
        one = seen(entry("presented", decision=b"d%d" % i))
        await store.learn("c1", one, stage=1, cell=CELL, now=float(i))
    assert await connection.execute("HLEN", keys.cases("c1")) <= 8
    assert (await store.read()).counts == {HERE: (0.0, 12.0)}
    latest = seen(entry("accepted", time=2.0, decision=b"d11"))
    await store.learn("c1", latest, stage=1, cell=CELL, now=20.0)
    assert (await store.read()).counts == {HERE: (1.0, 11.0)}
    assert 0 < await connection.execute("TTL", keys.cases("c1")) <= module.CASES_KEPT_S


async def test_nothing_is_learnt_of_a_customer_who_was_erased(store, connection, keys):
    """What happened before the erasure counts nowhere and leaves no case behind; counts of others stay."""
    await learn(store, entry("presented"), customer="c2")
    await connection.execute("SET", keys.tombstone("c1"), 3)
    await learn(store, entry("accepted", time=9.0))
    await connection.execute("SET", keys.snapshot("c1"), "put anew")
    await learn(store, entry("accepted", time=2.0))
    assert await connection.execute("EXISTS", keys.cases("c1")) == 0
    assert (await store.read()).counts == {HERE: (0.0, 1.0)}
    await learn(store, entry("accepted", time=9.0))
    assert (await store.read()).counts == {HERE: (1.0, 1.0)}


async def test_concurrent_outcomes_are_all_counted(store):
    """Fifty customers at once, in one step each."""
    await asyncio.gather(*(learn(store, entry("accepted"), customer=f"c{i}") for i in range(50)))
    assert (await store.read()).counts == {HERE: (50.0, 0.0)}


def test_places_are_written_and_read():
    """The text of a place says what it is, with and without a cell."""
    for place in (HERE, Place(0, 3, ())):
        assert Place.parse(str(place)) == place
