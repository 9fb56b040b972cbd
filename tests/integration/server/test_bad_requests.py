"""Bad requests: each gets an answer that lists all that is wrong, and the service goes on."""

import re

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status
from tests.builders.small import NOW, regular

from loyalty.nextbest.v1 import common_pb2, customer_pb2, decision_pb2, interaction_pb2, snapshot_pb2
from nextbest_client import InvalidRequest, context, decide_request, fact

INBOUND = common_pb2.DIRECTION_INBOUND
BEYOND = 253_402_300_800
"""Epoch seconds of the year 10000."""


@pytest.fixture(autouse=True)
def goes_on(client, put, customer_id):
    """After each of these tests a normal request is answered."""
    yield
    put(customer_id, regular())
    assert client.decide(decide_request(customer_id, channel="pos")).results[0].action == "brie"


def asking(**changes):
    """A request that is right but for the changes."""
    fields = {"customer_id": "p0001", "channel": "pos", "direction": INBOUND} | changes
    return decision_pb2.DecideRequest(**fields)


def refusal(call, request):
    """Status and violations of a call that is refused."""
    with pytest.raises(grpc.RpcError) as raised:
        call(request)
    status = rpc_status.from_call(raised.value)
    info, bad = ErrorInfo(), BadRequest()
    details = {detail.TypeName(): detail for detail in status.details}
    details["google.rpc.ErrorInfo"].Unpack(info)
    if "google.rpc.BadRequest" in details:
        details["google.rpc.BadRequest"].Unpack(bad)
    return raised.value.code(), info.reason, {v.field: v.description for v in bad.field_violations}


def violations(call, request):
    """Violations by field of a request that is not valid."""
    code, reason, found = refusal(call, request)
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT")
    return found


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"customer_id": ""}, "customer_id", "is empty"),
        ({"customer_id": "x" * 65}, "customer_id", "is 65 bytes long, at most 64 are allowed"),
        ({"customer_id": "æ" * 33}, "customer_id", "is 66 bytes long, at most 64 are allowed"),
        ({"customer_id": "a{b}"}, "customer_id", "holds a control character or a brace"),
        ({"customer_id": "a\nb"}, "customer_id", "holds a control character or a brace"),
        ({"request_id": "r" * 65}, "request_id", "is 65 bytes long, at most 64 are allowed"),
        ({"request_id": "a\x00"}, "request_id", "holds a control character"),
        ({"channel": ""}, "channel", "is required"),
        ({"channel": "poss"}, "channel", "`poss` is not in the rulebook; did you mean `pos`?"),
        (
            {"channel": "telegram"},
            "channel",
            "`telegram` is not in the rulebook; known: `call_centre`, `email`, `pos`",
        ),
        ({"direction": 0}, "direction", "is required"),
        ({"direction": 9}, "direction", "`9` is not a value of this contract"),
        ({"purchase_phase": 77}, "purchase_phase", "`77` is not a value of this contract"),
        ({"strictness": 3}, "strictness", "`3` is not a value of this contract"),
        ({"view": 5}, "view", "`5` is not a value of this contract"),
        ({"caller_role": "agnet"}, "caller_role", "`agnet` is not in the rulebook; did you mean `agent`?"),
        ({"placements": ["display", "wall"]}, "placements[1]", "`wall` is not in the rulebook"),
        ({"placements": ["display", "receipt", "display"]}, "placements[2]", "`display` is given twice"),
        ({"max_results": 10_000}, "max_results", "`10000` is not within 0 and 25"),
        ({"max_results": 26}, "max_results", "`26` is not within 0 and 25"),
        ({"max_results": -1}, "max_results", "`-1` is not within 0 and 25"),
        ({"evaluation_time": Timestamp(seconds=BEYOND)}, "evaluation_time", "is not a time within years"),
        ({"evaluation_time": Timestamp(seconds=-(2**62))}, "evaluation_time", "is not a time within years"),
        ({"contexts": [context("intnt", "shopping")]}, "contexts[0].key", "did you mean `intent`?"),
        ({"contexts": [context("intent", "steal")]}, "contexts[0].value", "`steal` is not one of `shopping`"),
        ({"contexts": [context("intent", 3)]}, "contexts[0].value", "a value of type enum goes into `text`"),
        ({"contexts": [context("gift", 1)]}, "contexts[0].value", "a value of type bool goes into `flag`"),
        ({"contexts": [context("items", 2.5)]}, "contexts[0].value", "`2.5` is not a whole number"),
        ({"contexts": [context("items", float("nan"))]}, "contexts[0].value", "is not a finite number"),
        (
            {"contexts": [context("basket_value", NOW)]},
            "contexts[0].value",
            "a value of type double goes into `number`",
        ),
        (
            {"contexts": [context("parked_at", 7)]},
            "contexts[0].value",
            "a value of type timestamp goes into `time`",
        ),
        ({"contexts": [context("gift", True)] * 2}, "contexts[1].key", "`gift` is given twice"),
        ({"contexts": [context("gift", True)] * 65}, "contexts", "65 are given, at most 64 are allowed"),
    ],
)
def test_violation(decisions, changes, field, says):
    """What is wrong with a field is said of that field, with a hint where one is near."""
    found = violations(decisions.Decide, asking(**changes))
    assert list(found) == [field]
    assert says in found[field]


def test_all_violations_at_once(decisions):
    """Everything that is wrong with a request is said in one answer."""
    request = decision_pb2.DecideRequest(
        customer_id="x" * 65, channel="poss", max_results=10_000, placements=["wall"], caller_role="boss"
    )
    found = violations(decisions.Decide, request)
    assert set(found) == {
        "customer_id", "channel", "direction", "max_results", "placements[0]", "caller_role"
    }  # fmt: skip


def test_customer_is_required(decisions):
    """A request without a customer is refused."""
    found = violations(decisions.Decide, decision_pb2.DecideRequest(channel="pos", direction=INBOUND))
    assert found == {"customer_id": "is empty"}


def test_malformed_inline_snapshot(decisions):
    """All that is wrong with an inline snapshot is listed, fact by fact."""
    snapshot = customer_pb2.Snapshot(
        customer_id="somebody-else",
        facts=[
            fact("nps_relation", 11),
            fact("satisfacton", 50),
            fact("household", "castle"),
            fact("needs", ["cheese", "gold"]),
            fact("veteran", 1),
            fact("last_purchase", 1.5e9),
            fact("revenue_net", float("inf")),
            fact("repeat_purchases", 2.5),
            fact("share_of_wallet", 0.2),
            fact("share_of_wallet", 0.3),
        ],
    )
    found = violations(decisions.Decide, asking(snapshot=snapshot))
    wrong = "is given as `number`, but a value of type"
    assert found == {
        "snapshot.customer_id": "is not the request's customer",
        "snapshot.as_of": "is required",
        "snapshot.facts.nps_relation": "`11` is above 10",
        "snapshot.facts.satisfacton": "is not a fact of this catalogue: did you mean `satisfaction`?",
        "snapshot.facts.household": "`castle` is not one of `single`, `family`",
        "snapshot.facts.needs": "`gold` is not one of `cheese`, `wine`, `price`",
        "snapshot.facts.veteran": f"{wrong} bool goes into `flag`",
        "snapshot.facts.last_purchase": f"{wrong} timestamp goes into `time`",
        "snapshot.facts.revenue_net": "`inf` is not a finite number",
        "snapshot.facts.repeat_purchases": "`2.5` is not a whole number",
        "snapshot.facts[9].name": "`share_of_wallet` is given twice",
    }


def test_contradictory_purchases_in_an_inline_snapshot(decisions):
    """Purchase facts that contradict each other are refused."""
    facts = [fact("repeat_purchases", 3), fact("recency_weeks", 20), fact("observed_weeks", 10)]
    as_of = Timestamp()
    as_of.FromDatetime(NOW)
    snapshot = customer_pb2.Snapshot(as_of=as_of, facts=facts)
    found = violations(decisions.Decide, asking(snapshot=snapshot))
    assert found == {"snapshot.facts.recency_weeks": "`20` must not be later than `observed_weeks`"}


def test_client_lists_the_violations(client):
    """The client's exception carries every violation."""
    with pytest.raises(InvalidRequest) as raised:
        client.decide(decide_request("x" * 65, channel="poss"))
    assert {violation.field for violation in raised.value.violations} == {"customer_id", "channel"}


def test_explain_is_checked_alike(decisions):
    """Explain refuses what Decide refuses, no subject, another customer, and unknown actions."""
    explain = decisions.Explain
    found = violations(explain, decision_pb2.ExplainRequest(request=asking(channel="poss")))
    assert "did you mean `pos`?" in found["channel"]
    assert "subject" in violations(explain, decision_pb2.ExplainRequest(customer_id="p0001"))
    other = decision_pb2.ExplainRequest(customer_id="p0002", request=asking())
    assert violations(explain, other) == {"customer_id": "is not the customer of the request"}
    unknown = decision_pb2.ExplainRequest(request=asking(), actions=["bri", "wine", "gold"])
    found = violations(explain, unknown)
    assert found["actions[0]"] == "`bri` is not in the rulebook; did you mean `brie`?"
    assert set(found) == {"actions[0]", "actions[2]"}


def test_put_is_checked(snapshots):
    """Put lists all that is wrong with mode, id, time, facts and cleared facts."""
    facts = [fact("nps_relation", 11), fact("needs", ["gold"]), fact("unheard", 1), fact("favourite", "brie")]
    request = snapshot_pb2.PutRequest(
        snapshot=customer_pb2.Snapshot(customer_id="{x}", facts=facts),
        mode=7,
        cleared_facts=["favourite", "nonsense"],
    )
    assert set(violations(snapshots.Put, request)) == {
        "snapshot.customer_id",
        "snapshot.as_of",
        "mode",
        "cleared_facts",
        "cleared_facts[0]",
        "cleared_facts[1]",
        "snapshot.facts.nps_relation",
        "snapshot.facts.needs",
        "snapshot.facts.unheard",
    }


def test_put_beyond_the_calendar(snapshots):
    """A snapshot of no possible time is refused."""
    snapshot = customer_pb2.Snapshot(customer_id="late", as_of=Timestamp(seconds=BEYOND))
    assert set(violations(snapshots.Put, snapshot_pb2.PutRequest(snapshot=snapshot))) == {"snapshot.as_of"}


def test_get_is_checked(snapshots):
    """Get refuses an impossible id and unknown facts, with a hint."""
    request = snapshot_pb2.GetRequest(facts=["nps_relation", "nps_relaton"])
    assert violations(snapshots.Get, request) == {
        "customer_id": "is empty",
        "facts[1]": "`nps_relaton` is not a fact of this catalogue: did you mean `nps_relation`?",
    }


def test_get_history_is_checked(interactions):
    """GetHistory refuses an impossible id, count and kind."""
    request = interaction_pb2.GetHistoryRequest(customer_id="}", max_entries=-1, kinds=[1, 9])
    assert set(violations(interactions.GetHistory, request)) == {"customer_id", "max_entries", "kinds[1]"}


def outcome(**changes):
    """A captured outcome that is right but for the changes."""
    fields = {
        "treatment_id": "brie/pos/display",
        "direction": INBOUND,
        "outcome": common_pb2.OUTCOME_REJECTED,
        "idempotency_key": "k",
    }
    return interaction_pb2.CapturedOutcome(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"treatment_id": "brie/pos"}, "treatment_id", "did you mean `brie/pos/"),
        ({"treatment_id": ""}, "treatment_id", "is required without an action"),
        ({"treatment_id": "", "action": "bri", "channel": "pos"}, "action", "did you mean `brie`?"),
        ({"treatment_id": "", "action": "brie"}, "channel", "is required"),
        ({"treatment_id": "", "action": "do_nothing"}, "channel", "is required"),
        ({"action": "wine"}, "action", "`wine` is not that of the treatment, `brie`"),
        ({"channel": "email"}, "channel", "`email` is not that of the treatment, `pos`"),
        ({"placement": "receipt"}, "placement", "`receipt` is not that of the treatment, `display`"),
        ({"direction": 0}, "direction", "is required"),
        ({"direction": 4}, "direction", "`4` is not a value of this contract"),
        ({"outcome": 0}, "outcome", "is required"),
        ({"outcome": 44}, "outcome", "`44` is not a value of this contract"),
        ({"is_override": True}, "override_reason", "is required with is_override"),
        ({"amount": float("nan")}, "amount", "is not a finite number"),
        ({"cost": float("inf")}, "cost", "is not a finite number"),
        ({"decision_id": "nonsense"}, "decision_id", "`nonsense` is not a decision id"),
        ({"idempotency_key": "k" * 65}, "idempotency_key", "is over 64 bytes long"),
        ({"idempotency_key": ""}, "idempotency_key", "is required without a decision_id or an event_time"),
        ({"event_time": Timestamp(seconds=BEYOND)}, "event_time", "is not a time within years"),
        ({"event_time": Timestamp(seconds=4_000_000_000)}, "event_time", "is in the future"),
    ],
)
def test_outcome_is_checked(interactions, changes, field, says):
    """What is wrong with an outcome is said of its field, and nothing is recorded."""
    request = interaction_pb2.CaptureOutcomesRequest(
        customer_id="checked", outcomes=[outcome(idempotency_key="fine"), outcome(**changes)]
    )
    found = violations(interactions.CaptureOutcomes, request)
    assert list(found) == [f"outcomes[1].{field}"]
    assert says in found[f"outcomes[1].{field}"]
    recorded = interactions.GetHistory(interaction_pb2.GetHistoryRequest(customer_id="checked"))
    assert not recorded.entries


@pytest.mark.parametrize("count", [0, 101])
def test_count_of_outcomes(interactions, count):
    """Between 1 and 100 outcomes are taken at once."""
    outcomes = [outcome(idempotency_key=str(i)) for i in range(count)]
    request = interaction_pb2.CaptureOutcomesRequest(customer_id="", outcomes=outcomes)
    found = violations(interactions.CaptureOutcomes, request)
    assert found == {"customer_id": "is empty", "outcomes": f"{count} are given, 1 to 100 are allowed"}


LONG = "x" * 1_000_000


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"channel": LONG}, "channel"),
        ({"caller_role": LONG}, "caller_role"),
        ({"placements": [LONG] * 3}, "placements[0]"),
        ({"customer_id": LONG}, "customer_id"),
        ({"request_id": LONG}, "request_id"),
        ({"contexts": [context(LONG, 1)]}, "contexts[0].key"),
        ({"contexts": [context("intent", LONG)]}, "contexts[0].value"),
        ({"placements": [f"nowhere{i}" for i in range(10_000)]}, "placements"),
    ],
)
def test_monstrous_values(decisions, changes, field):
    """What is far too long or too much is refused as anything wrong is, and repeated only in part."""
    found = violations(decisions.Decide, asking(**changes))
    assert field in found
    assert all(len(description) < 300 for description in found.values())


def test_more_violations_than_a_status_can_carry(decisions, rulebook):
    """Headers are small: as many violations as fit are listed, and the others counted."""
    wrong = [fact(f.name, "nonsense") for f in rulebook.catalogue.facts]
    as_of = Timestamp(seconds=int(NOW.timestamp()))
    snapshot = customer_pb2.Snapshot(as_of=as_of, facts=wrong)
    found = violations(decisions.Decide, asking(snapshot=snapshot))
    listed, more = len(found) - 1, int(re.fullmatch(r"and (\d+) more", found[""])[1])
    assert listed >= 20
    assert listed + more == len(wrong)


def test_more_facts_than_there_are(decisions, snapshots):
    """A snapshot cannot hold more facts than the catalogue, nor can Get or Put name more."""
    facts = [fact(f"f{i}", 1) for i in range(5000)]
    snapshot = customer_pb2.Snapshot(customer_id="c", facts=facts)
    assert "snapshot.facts" in violations(decisions.Decide, asking(customer_id="c", snapshot=snapshot))
    assert "snapshot.facts" in violations(snapshots.Put, snapshot_pb2.PutRequest(snapshot=snapshot))
    names = [f"f{i}" for i in range(5000)]
    assert "facts" in violations(snapshots.Get, snapshot_pb2.GetRequest(customer_id="c", facts=names))
    unknown = decision_pb2.ExplainRequest(request=asking(), actions=names)
    assert set(violations(decisions.Explain, unknown)) == {"actions"}


def test_request_larger_than_any(decisions):
    """A request beyond 16 MB is not even read."""
    with pytest.raises(grpc.RpcError) as raised:
        decisions.Decide(asking(language="x" * (17 * 1024 * 1024)))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
