"""What may be captured, what is kept of it, and what duplicates and contradictions mean."""

import json
from datetime import UTC, timedelta

import pytest
from tests.builders.command_line import nextbest
from tests.builders.small import DIRECTORY, NOW, days_ago, offended, regular

from loyalty.nextbest.v1 import common_pb2, interaction_pb2
from nextbest_client import InvalidRequest, decide_request, outcome_of, timestamp

INBOUND = common_pb2.DIRECTION_INBOUND
RECORDED = interaction_pb2.RECORD_STATUS_RECORDED
DUPLICATE = interaction_pb2.RECORD_STATUS_DUPLICATE
ACCEPTED, REJECTED = common_pb2.OUTCOME_ACCEPTED, common_pb2.OUTCOME_REJECTED
PRESENTED = common_pb2.OUTCOME_PRESENTED
SOLVED = common_pb2.OUTCOME_PROBLEM_SOLVED


def captured(outcome, *, action="brie", when=None, **more):
    """An outcome of an action at the till, a day ago unless said otherwise."""
    return interaction_pb2.CapturedOutcome(
        action=action,
        channel="pos",
        direction=INBOUND,
        outcome=outcome,
        event_time=timestamp(when or days_ago(1)),
        **more,
    )


@pytest.fixture
def history(client, customer_id):
    """Reads the customer's history."""

    def read():
        request = interaction_pb2.GetHistoryRequest(customer_id=customer_id)
        return list(client.get_history(request).entries)

    return read


def violations(client, customer_id, *outcomes):
    """What is wrong with outcomes, by field."""
    with pytest.raises(InvalidRequest) as raised:
        client.capture_outcomes(customer_id, outcomes)
    return {v.field: v.description for v in raised.value.violations}


def test_words_are_kept_with_the_outcome(client, history, customer_id):
    """Reason, comment and code come back with the entry; a duplicate changes none of them."""
    outcome = captured(
        REJECTED,
        is_override=True,
        override_reason="kunden ville hellere have te ☕",
        comment="“har ingen ovn”",
        reason_code="no_oven",
        idempotency_key="k",
    )
    (result,) = client.capture_outcomes(customer_id, [outcome])
    again = interaction_pb2.CapturedOutcome()
    again.CopyFrom(outcome)
    again.comment, again.reason_code = "something else", "other"
    (repeated,) = client.capture_outcomes(customer_id, [again])
    assert (result.status, repeated.status) == (RECORDED, DUPLICATE)
    (entry,) = history()
    assert entry.is_override
    assert (entry.override_reason, entry.comment, entry.reason_code) == (
        "kunden ville hellere have te ☕",
        "“har ingen ovn”",
        "no_oven",
    )


def test_words_have_bounds(client, history, customer_id):
    """Texts that are too long and codes that are none are refused, all at once."""
    outcome = captured(
        REJECTED, is_override=True, override_reason="x" * 501, comment="æ" * 1001, reason_code="no_ovn"
    )
    assert violations(client, customer_id, outcome) == {
        "outcomes[0].override_reason": "is 501 bytes long, at most 500 are allowed",
        "outcomes[0].comment": "is 2002 bytes long, at most 2000 are allowed",
        "outcomes[0].reason_code": "`no_ovn` is not a reason code of the rulebook; did you mean `no_oven`?",
    }
    assert history() == []


def test_a_repair_is_closed_with_a_reason(client, put, history, customer_id):
    """That a repair solved the problem is recorded with the reason of the case; other actions need none."""
    put(customer_id, offended())
    solved = captured(SOLVED, action="apology")
    assert violations(client, customer_id, solved) == {
        "outcomes[0].reason_code": "is required when a repair has solved the problem, so that something is"
        " learnt from it"
    }
    solved.reason_code = "late_delivery"
    client.capture_outcomes(customer_id, [solved, captured(SOLVED)])
    assert {entry.action: entry.reason_code for entry in history()} == {
        "apology": "late_delivery",
        "brie": "",
    }


@pytest.fixture
def lessons(data_directory):
    """Counts by code and outcome, of what happened a day ago."""

    def read():
        said = nextbest("lessons", "--json", "--rulebook", DIRECTORY, "--data-directory", data_directory)
        assert said.code == 0, said.err
        rows = [row for row in json.loads(said.out) if row["month"] == "2026-03"]
        return {(row["reason_code"], row["action"], row["outcome"]): row["count"] for row in rows}

    return read


def test_lessons_are_counted_by_code(client, lessons, customer_id):
    """Outcomes with a code are counted once each, and the counts outlive the customer."""
    before = lessons()
    solved = captured(SOLVED, action="apology", reason_code="other", idempotency_key="k1")
    rejected = captured(REJECTED, reason_code="other", idempotency_key="k2")
    client.capture_outcomes(customer_id, [solved, rejected])
    client.capture_outcomes(customer_id, [solved])
    client.erase(customer_id)
    after = lessons()
    for what in (("other", "apology", "problem_solved"), ("other", "brie", "rejected")):
        assert after[what] == before.get(what, 0) + 1


@pytest.mark.parametrize("code", ["c_4711", "+4512345678", "No oven!", "x" * 100_000])
def test_a_code_that_the_rulebook_lacks_is_refused(client, history, customer_id, code):
    """What is counted by code outlives the customer, so a code that may name somebody is taken by nobody."""
    text = violations(client, customer_id, captured(REJECTED, reason_code=code))["outcomes[0].reason_code"]
    assert "is not a reason code of the rulebook" in text
    assert history() == []


def test_contradictory_outcomes_of_one_decision_are_both_history(client, put, history, customer_id):
    """What was said is not unsaid: accepted, then rejected are two entries, and the rejection pauses."""
    put(customer_id, regular())
    request = decide_request(customer_id, channel="pos")
    decision = client.decide(request)
    best = decision.results[0]
    for outcome in (ACCEPTED, REJECTED):
        (result,) = client.capture_outcomes(customer_id, [outcome_of(decision, best, outcome)])
        assert result.status == RECORDED
    assert [entry.outcome for entry in history()] == [REJECTED, ACCEPTED]
    assert best.action not in [row.action for row in client.decide(request).results]


def test_an_outcome_of_a_decision_that_is_not_known(client, history, customer_id):
    """An outcome is recorded whether or not its decision is still logged."""
    client.capture_outcomes(customer_id, [captured(ACCEPTED, decision_id="ab" * 16)])
    assert history()[0].decision_id == "ab" * 16


def test_times_ahead_are_refused_and_old_ones_taken(client, history, customer_id):
    """Five minutes ahead may be another clock, more is refused; long before the customer is history."""
    client.capture_outcomes(customer_id, [captured(ACCEPTED, when=days_ago(20_000))])
    assert history()[0].event_time.ToDatetime(UTC) == days_ago(20_000)
    ahead = captured(REJECTED, when=NOW + timedelta(days=1))
    (text,) = violations(client, customer_id, ahead).values()
    assert text == "`2026-03-03T12:00:00+00:00` is in the future"


def test_a_clock_that_was_ahead(client, put, customer_id):
    """What was stamped by a clock ahead of ours counts nowhere until its time has come."""
    put(customer_id, regular())
    client.capture_outcomes(customer_id, [captured(REJECTED, when=days_ago(1))])
    before = decide_request(customer_id, channel="pos", evaluation_time=days_ago(1.5))
    after = decide_request(customer_id, channel="pos", evaluation_time=days_ago(0.5))
    assert client.decide(before).results[0].action == "brie"
    assert client.decide(after).results[0].action != "brie"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("amount", float("nan"), "is not a finite number"),
        ("amount", float("-inf"), "is not a finite number"),
        ("amount", 1e308, "`1e+308` is not within -1e+12 and 1e+12"),
        ("cost", float("inf"), "is not a finite number"),
        ("cost", 1e308, "`1e+308` is not within 0 and 1e+12"),
        ("cost", -0.01, "`-0.01` is not within 0 and 1e+12"),
    ],
)
def test_money_that_is_none(client, history, customer_id, name, value, text):
    """Money must be finite and within reason, and a cost not below nothing."""
    outcome = captured(ACCEPTED, **{name: value})
    assert violations(client, customer_id, outcome) == {f"outcomes[0].{name}": text}
    assert history() == []


def test_a_refund_is_an_amount_below_nothing(client, history, customer_id):
    """Money may go the other way."""
    client.capture_outcomes(customer_id, [captured(ACCEPTED, amount=-20.0)])
    assert history()[0].amount == -20.0


def test_unknown_names_are_listed_with_hints(client, customer_id):
    """An unknown action, channel or role is refused, with what it may have meant."""
    outcome = captured(ACCEPTED, action="bri")
    outcome.channel = "poss"
    assert violations(client, customer_id, outcome) == {
        "outcomes[0].action": "`bri` is not in the rulebook; did you mean `brie`?",
        "outcomes[0].channel": "`poss` is not in the rulebook; did you mean `pos`?",
    }
    with pytest.raises(InvalidRequest, match="`agnt` is not in the rulebook; did you mean `agent`"):
        client.decide(decide_request(customer_id, channel="pos", caller_role="agnt"))


def evidence_of(client, customer_id):
    """Successes and failures of brie so far, as an explanation tells them."""
    request = decide_request(customer_id, channel="pos")
    level = client.explain(request, actions=["brie"]).candidates[0].propensity_levels[0]
    return level.successes, level.trials - level.successes


def test_outcomes_of_one_event_are_one_trial(client, put, customer_id, history):
    """Two systems that report one event under keys of their own come to one trial, and two entries."""
    put(customer_id, regular())
    successes, failures = evidence_of(client, customer_id)
    by_till = captured(ACCEPTED, idempotency_key="till-1")
    by_office = captured(ACCEPTED, idempotency_key="office-1")
    client.capture_outcomes(customer_id, [by_till])
    client.capture_outcomes(customer_id, [by_office, captured(PRESENTED, idempotency_key="office-2")])
    assert evidence_of(client, customer_id) == (successes + 1, failures)
    assert len(history()) == 3
    client.capture_outcomes(customer_id, [captured(REJECTED, idempotency_key="office-3")])
    assert evidence_of(client, customer_id) == (successes, failures + 1)


def test_free_text_lies_where_erasing_finds_it(client, put, store, service, customer_id, history):
    """Whatever words name somebody, they are beside the customer's history, in no log and in no other key."""
    put(customer_id, regular())
    name = f"Fru Sørensen, tlf. 4711, {customer_id[-8:]}"
    decision = client.decide(decide_request(customer_id, channel="pos"))
    outcome = outcome_of(decision, decision.results[0], REJECTED)
    outcome.is_override, outcome.override_reason, outcome.comment = True, name, name
    client.capture_outcomes(customer_id, [outcome])
    wrong = captured(REJECTED, reason_code=name, comment=name)
    assert violations(client, customer_id, wrong)
    assert history()[0].comment == name
    assert holding(store, name) == [f"nextbest:{{{customer_id}}}:o".encode()]
    client.decide(decide_request(customer_id, channel="pos"))
    client.export(customer_id)
    client.erase(customer_id)
    assert holding(store, name) == []
    assert name.encode() not in service.log.read_bytes()
    assert customer_id not in service.log.read_text()


def holding(store, text):
    """The keys under which a text is kept, as it is or as JSON writes it."""
    found = []
    for key in store.scan_iter(count=1000):
        dump = repr(read_raw(store, key)).encode()
        if any(form in dump for form in (repr(text.encode())[2:-1].encode(), text.encode())):
            found.append(key)
    return found


def read_raw(store, key):
    """Everything under a key."""
    match store.type(key):
        case b"string":
            return store.get(key)
        case b"hash":
            return store.hgetall(key)
        case b"set":
            return store.smembers(key)
        case b"zset":
            return store.zrange(key, 0, -1)
        case b"list":
            return store.lrange(key, 0, -1)
        case _:
            return store.xrange(key)
