"""Captured outcomes: recorded once, shown in the history, and seen by the next decision."""

import asyncio
from datetime import UTC, timedelta

import pytest
from tests.builders.small import NOW, days_ago, regular

from loyalty.nextbest.v1 import common_pb2, explanation_pb2, interaction_pb2
from nextbest.data.address import RedisAddress
from nextbest.data.connection import RedisConnection
from nextbest.data.keys import Keys
from nextbest.data.registry import NameRegistries
from nextbest_client import InvalidRequest, decide_request, outcome_of, timestamp

INBOUND, OUTBOUND = common_pb2.DIRECTION_INBOUND, common_pb2.DIRECTION_OUTBOUND
RECORDED = interaction_pb2.RECORD_STATUS_RECORDED
DUPLICATE = interaction_pb2.RECORD_STATUS_DUPLICATE
PRESENTED, REJECTED = common_pb2.OUTCOME_PRESENTED, common_pb2.OUTCOME_REJECTED
ACCEPTED, IGNORED = common_pb2.OUTCOME_ACCEPTED, common_pb2.OUTCOME_IGNORED


def captured(treatment_id, outcome, when, *, direction=INBOUND, **changes):
    """An outcome of a treatment at a time."""
    return interaction_pb2.CapturedOutcome(
        treatment_id=treatment_id,
        outcome=outcome,
        direction=direction,
        event_time=timestamp(when),
        **changes,
    )


@pytest.fixture
def history(client):
    """Reads a customer's history, with filters."""

    def read(customer_id, **filters):
        return client.get_history(interaction_pb2.GetHistoryRequest(customer_id=customer_id, **filters))

    return read


def codes(response):
    """Reason by action."""
    return {candidate.action: candidate.code for candidate in response.candidates}


def test_outcome_of_a_decision(client, put, history, customer_id):
    """What is captured about a result shows in the history, under the decision it came from."""
    put(customer_id, regular())
    decision = client.decide(decide_request(customer_id, channel="call_centre"))
    best = decision.results[0]
    presented = outcome_of(decision, best, PRESENTED)
    accepted = outcome_of(decision, best, ACCEPTED, amount=80.0, override_reason="asked for it")
    results = client.capture_outcomes(customer_id, [presented, accepted])
    assert [result.status for result in results] == [RECORDED, RECORDED]
    latest, first = history(customer_id).entries
    assert (first.kind, latest.kind) == (
        interaction_pb2.HISTORY_KIND_CONTACT,
        interaction_pb2.HISTORY_KIND_OUTCOME,
    )
    assert (first.outcome, latest.outcome) == (common_pb2.OUTCOME_UNSPECIFIED, ACCEPTED)
    for entry in (first, latest):
        assert (entry.action, entry.treatment_id, entry.channel) == (
            "brie",
            "brie/call_centre",
            "call_centre",
        )
        assert entry.decision_id == decision.decision_id
        assert entry.direction == INBOUND
        assert NOW <= entry.event_time.ToDatetime(UTC) < NOW + timedelta(hours=12)
    assert (first.cost, latest.cost) == (0.5, 4.0)
    assert (latest.amount, latest.is_override, first.is_override) == (80.0, True, False)
    assert not first.HasField("amount")


def test_duplicate_is_recorded_once(client, put, history, customer_id):
    """An outcome that is sent twice, in one call or in two, counts once."""
    outcome = captured("brie/pos/display", REJECTED, days_ago(1), idempotency_key="k1")
    results = client.capture_outcomes(customer_id, [outcome, outcome])
    assert [(r.idempotency_key, r.status) for r in results] == [("k1", RECORDED), ("k1", DUPLICATE)]
    assert [r.status for r in client.capture_outcomes(customer_id, [outcome])] == [DUPLICATE]
    assert len(history(customer_id).entries) == 1


def test_key_is_made_of_the_decision(client, put, history, customer_id):
    """Without a key, decision, treatment and outcome identify an outcome."""
    put(customer_id, regular())
    decision = client.decide(decide_request(customer_id, channel="pos"))
    outcome = outcome_of(decision, decision.results[0], REJECTED)
    (first,) = client.capture_outcomes(customer_id, [outcome])
    (again,) = client.capture_outcomes(customer_id, [outcome])
    assert first.idempotency_key == again.idempotency_key
    assert (first.status, again.status) == (RECORDED, DUPLICATE)
    (other,) = client.capture_outcomes(customer_id, [outcome_of(decision, decision.results[0], ACCEPTED)])
    assert other.status == RECORDED


def test_contradiction_records_nothing(client, history, customer_id):
    """Another outcome under a recorded key is refused, and nothing of the call is recorded."""
    client.capture_outcomes(
        customer_id, [captured("brie/pos/display", REJECTED, days_ago(1), idempotency_key="k")]
    )
    with pytest.raises(InvalidRequest) as raised:
        client.capture_outcomes(
            customer_id,
            [
                captured("wine/pos/display", REJECTED, days_ago(1), idempotency_key="fresh"),
                captured("brie/pos/display", ACCEPTED, days_ago(1), idempotency_key="k"),
            ],
        )
    assert [v.field for v in raised.value.violations] == ["outcomes[1].idempotency_key"]
    assert "something else is recorded under this key" in raised.value.violations[0].description
    assert [entry.outcome for entry in history(customer_id).entries] == [REJECTED]


def test_doing_nothing_can_be_captured(client, put, history, customer_id):
    """That nothing was done is recorded as an outcome, and is no contact."""
    put(customer_id, regular())
    decision = client.decide(decide_request(customer_id, channel="call_centre"))
    nothing = outcome_of(decision, decision.results[-1], PRESENTED, channel="call_centre")
    (result,) = client.capture_outcomes(customer_id, [nothing])
    assert result.status == RECORDED
    (entry,) = history(customer_id).entries
    assert (entry.kind, entry.action) == (interaction_pb2.HISTORY_KIND_OUTCOME, "do_nothing")


def test_treatment_of_another_rulebook(client, history, data_directory, customer_id):
    """What a rulebook of before, or another process' newer one, has decided can be captured."""
    address = RedisAddress.of_socket(data_directory / "redis.sock")

    async def register():
        async with RedisConnection(address, timeout_s=20.0) as connection:
            await NameRegistries(connection, Keys("nextbest")).codes("treatment", ["gouda/pos/display"])

    outcome = captured("gouda/pos/display", ACCEPTED, days_ago(1))
    with pytest.raises(InvalidRequest):
        client.capture_outcomes(customer_id, [outcome])
    asyncio.run(register())
    client.capture_outcomes(customer_id, [outcome])
    (entry,) = history(customer_id).entries
    assert (entry.action, entry.channel, entry.placement) == ("gouda", "pos", "display")
    assert entry.cost == 0.0


def test_action_without_treatment(client, history, customer_id):
    """An action that was taken without asking is recorded by its action and channel."""
    outcome = interaction_pb2.CapturedOutcome(
        action="brie",
        channel="pos",
        placement="receipt",
        direction=INBOUND,
        outcome=ACCEPTED,
        idempotency_key="k",
        cost=7.5,
    )
    client.capture_outcomes(customer_id, [outcome])
    (entry,) = history(customer_id).entries
    assert (entry.action, entry.channel, entry.placement, entry.treatment_id) == (
        "brie",
        "pos",
        "receipt",
        "",
    )
    assert entry.cost == 7.5


def test_next_decision_sees_a_rejection(client, put, customer_id):
    """After a rejection the action's own limit pauses it, for this customer and for so long only."""
    put(customer_id, regular())
    request = decide_request(customer_id, channel="call_centre")
    assert codes(client.explain(request))["brie"] == explanation_pb2.REASON_CODE_CHOSEN
    client.capture_outcomes(customer_id, [captured("brie/pos/display", REJECTED, days_ago(1))])
    after = client.explain(request)
    assert codes(after)["brie"] == explanation_pb2.REASON_CODE_CONTACT_POLICY_PAUSED
    assert codes(after)["cheddar"] == explanation_pb2.REASON_CODE_CHOSEN
    (brie,) = [candidate for candidate in after.candidates if candidate.action == "brie"]
    assert brie.actual_value == pytest.approx(29.0, abs=0.5)
    much_later = decide_request(customer_id, channel="call_centre", evaluation_time=NOW + timedelta(days=40))
    assert codes(client.explain(much_later))["brie"] != explanation_pb2.REASON_CODE_CONTACT_POLICY_PAUSED


def test_next_decision_sees_contact_pressure(client, put, customer_id):
    """Contacts that we started press; ones that the customer started do not; pressure stops us only."""
    put(customer_id, regular())
    inbound = [captured("brie/email", PRESENTED, days_ago(i), idempotency_key=f"i{i}") for i in (1, 2)]
    client.capture_outcomes(customer_id, inbound)
    outbound = decide_request(customer_id, channel="email", direction=OUTBOUND)
    assert client.decide(outbound).results[0].breakdown.pressure_factor == 1.0
    calls = [
        captured("welcome/call_centre", PRESENTED, days_ago(1), direction=OUTBOUND, idempotency_key=f"o{i}")
        for i in (1, 2)
    ]
    client.capture_outcomes(customer_id, calls)
    found = client.explain(outbound)
    assert codes(found)["brie"] == explanation_pb2.REASON_CODE_PRESSURE_TOO_HIGH
    assert client.decide(decide_request(customer_id, channel="pos")).results[0].action == "brie"


def test_next_decision_sees_the_cool_down(client, put, customer_id):
    """A trigger that was acted on cools down: the action is not offered again at once."""
    put(customer_id, regular(last_purchase=days_ago(90), needs=["price"], favourite=None))
    request = decide_request(customer_id, channel="call_centre")
    assert client.decide(request).results[0].action == "win_back"
    client.capture_outcomes(customer_id, [captured("win_back/call_centre", PRESENTED, days_ago(3))])
    assert codes(client.explain(request))["win_back"] == explanation_pb2.REASON_CODE_TRIGGER_COOLING_DOWN
    later = decide_request(customer_id, channel="call_centre", evaluation_time=NOW + timedelta(days=26))
    assert client.decide(later).results[0].action == "win_back"


def test_next_decision_sees_the_cap(client, put, customer_id):
    """A cap counts contacts with the action, not other actions."""
    put(customer_id, regular())
    contacts = [
        captured("brie/pos/display", PRESENTED, days_ago(10 * i), idempotency_key=f"k{i}") for i in (1, 2, 3)
    ]
    client.capture_outcomes(customer_id, contacts)
    found = client.explain(decide_request(customer_id, channel="pos"))
    assert codes(found)["brie"] == explanation_pb2.REASON_CODE_CAP_REACHED
    assert codes(found)["cheddar"] == explanation_pb2.REASON_CODE_CHOSEN


def test_outcomes_after_the_decision_are_not_known_to_it(client, put, customer_id):
    """A decision for an earlier time knows nothing of what was captured later."""
    put(customer_id, regular())
    client.capture_outcomes(customer_id, [captured("brie/pos/display", REJECTED, days_ago(1))])
    earlier = decide_request(customer_id, channel="pos", evaluation_time=days_ago(2))
    assert client.decide(earlier).results[0].action == "brie"


def test_history_filters(client, history, customer_id):
    """Since is exclusive, until inclusive; kinds and a count narrow; the latest comes first."""
    outcomes = [
        captured("brie/pos/display", PRESENTED if i % 2 else IGNORED, days_ago(i), idempotency_key=f"k{i}")
        for i in range(1, 7)
    ]
    client.capture_outcomes(customer_id, outcomes)

    def ages(**filters):
        entries = history(customer_id, **filters).entries
        return [round((NOW - entry.event_time.ToDatetime(UTC)).total_seconds() / 86400) for entry in entries]

    assert ages() == [1, 2, 3, 4, 5, 6]
    assert ages(since=timestamp(days_ago(4))) == [1, 2, 3]
    assert ages(until=timestamp(days_ago(4))) == [4, 5, 6]
    assert ages(since=timestamp(days_ago(5)), until=timestamp(days_ago(2))) == [2, 3, 4]
    assert ages(kinds=[interaction_pb2.HISTORY_KIND_CONTACT]) == [1, 3, 5]
    assert ages(kinds=[interaction_pb2.HISTORY_KIND_OUTCOME]) == [2, 4, 6]
    assert ages(kinds=[interaction_pb2.HISTORY_KIND_EVENT]) == []
    assert ages(max_entries=2) == [1, 2]
    everything = history(customer_id)
    assert not everything.HasField("contacts_truncated_before")
    assert not everything.HasField("events_truncated_before")


def test_history_of_nobody_is_empty(history):
    """A customer without a history has an empty one."""
    assert not history("nobody").entries


def test_full_history_says_what_is_lost(client, history, put, customer_id):
    """The oldest entries of a full history make way, and until when they are lost is said."""
    for start in range(0, 140, 70):
        outcomes = [
            captured("brie/pos/display", IGNORED, days_ago(300 - i), idempotency_key=f"k{i}")
            for i in range(start, start + 70)
        ]
        client.capture_outcomes(customer_id, outcomes)
    response = history(customer_id)
    assert len(response.entries) == 128
    assert response.contacts_truncated_before.ToDatetime(UTC) == days_ago(289)
    too_old = captured("brie/pos/display", IGNORED, days_ago(900), idempotency_key="ancient")
    client.capture_outcomes(customer_id, [too_old])
    assert len(history(customer_id).entries) == 128


def test_damaged_history_is_all_lost(client, history, store, customer_id):
    """Of a history that cannot be read everything until now may be lost."""
    client.capture_outcomes(customer_id, [captured("brie/pos/display", REJECTED, days_ago(1))])
    store.append(f"nextbest:{{{customer_id}}}:c", b"broken")
    response = history(customer_id)
    assert not response.entries
    assert response.contacts_truncated_before.ToDatetime(UTC) >= NOW


def test_equal_times_come_in_reverse_order_of_arrival(client, history, customer_id):
    """Of entries at one time the one that arrived last comes first."""
    for outcome in (PRESENTED, IGNORED, ACCEPTED):
        client.capture_outcomes(customer_id, [captured("brie/pos/display", outcome, days_ago(1))])
    kinds = [(entry.kind, entry.outcome) for entry in history(customer_id).entries]
    assert [outcome for _, outcome in kinds] == [ACCEPTED, IGNORED, common_pb2.OUTCOME_UNSPECIFIED]
