"""DecideBatch: what is wrong with one request stays with it."""

import grpc
import pytest
from tests.builders.small import NOW, population

from loyalty.nextbest.v1 import common_pb2, decision_pb2
from nextbest.server.batches import within_bounds
from nextbest_client import InvalidRequest, decide_request

STRICT = common_pb2.STRICTNESS_STRICT


def test_good_and_bad_items(client):
    """Every request of a batch gets its own answer, in their order: a decision, a fallback or a status."""
    requests = [
        decide_request("p0001", channel="pos"),
        decide_request("x" * 65, channel="poss"),
        decide_request("nobody", channel="pos"),
        decide_request("nobody", channel="pos", strictness=STRICT),
        decide_request(common_pb2.Identifier(type="phone", value="+4512345678"), channel="pos"),
        decide_request("p0002", channel="call_centre"),
    ]
    items = client.decide_batch(requests).items
    kinds = [item.WhichOneof("result") for item in items]
    assert kinds == ["decision", "status", "decision", "status", "decision", "decision"]
    assert items[0].decision.customer_id == "p0001"
    assert items[1].status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert {v.field for v in items[1].status.violations} == {"customer_id", "channel"}
    assert items[2].decision.HasField("fallback")
    assert items[3].status.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert items[4].decision.fallback.reason == decision_pb2.FALLBACK_REASON_CUSTOMER_UNKNOWN
    assert items[5].decision.customer_id == "p0002"


def test_batch_of_bad_items_only(client):
    """A batch in which everything is wrong is answered item by item."""
    items = client.decide_batch([decide_request("", channel="poss")] * 3).items
    assert [item.WhichOneof("result") for item in items] == ["status"] * 3


def test_batch_answers_like_single_calls(client):
    """The decision for a customer in a batch is the one that Decide gives, whatever the others ask for."""
    customers = list(population(70))
    requests = [
        decide_request(
            customer,
            channel=("pos", "call_centre", "email")[i % 3],
            contexts={"basket_value": 100.0 * i},
            max_results=1 + i % 4,
            evaluation_time=NOW,
            view=(common_pb2.VIEW_BASIC, common_pb2.VIEW_FULL)[i % 2],
            language=("en", "da")[i % 2],
        )
        for i, customer in enumerate(customers)
    ]
    items = client.decide_batch(requests).items
    for request, item in zip(requests, items, strict=True):
        single = client.decide(request)
        for decision in (single, item.decision):
            decision.ClearField("decision_id")
            decision.ClearField("request_id")
        assert item.decision == single


@pytest.mark.parametrize("count", [0, 1001])
def test_size_of_a_batch(client, count):
    """1 to 1,000 requests are taken at once."""
    with pytest.raises(InvalidRequest) as raised:
        client.decide_batch([decide_request("p0001", channel="pos")] * count)
    assert [tuple(v) for v in raised.value.violations] == [
        ("requests", f"{count} are given, 1 to 1000 are allowed")
    ]
    assert client.decide(decide_request("p0001", channel="pos")).HasField("figures")


def test_a_full_batch(decisions):
    """A thousand requests are answered at once."""
    customers = list(population(400))
    requests = [
        decide_request(customers[i % 400], channel="pos", view=common_pb2.VIEW_BASIC) for i in range(1000)
    ]
    response = decisions.DecideBatch(decision_pb2.DecideBatchRequest(requests=requests))
    assert [item.decision.customer_id for item in response.items] == [r.customer_id for r in requests]


def test_answers_beyond_what_clients_take():
    """Answers that would not fit what plain clients take say so, item by item; the others arrive."""
    small = decision_pb2.DecideBatchItem(decision=decision_pb2.DecideResponse(currency="DKK"))
    large = decision_pb2.DecideBatchItem(decision=decision_pb2.DecideResponse(currency="x" * 1_000_000))
    items = [item.SerializeToString() for item in (small, large, large, large, large, small)]
    answer = b"".join(within_bounds(items))
    assert len(answer) < 4 * 1024 * 1024
    found = decision_pb2.DecideBatchResponse.FromString(answer).items
    assert list(found[:4]) == [small, large, large, large]
    for item in found[4:]:
        assert item.status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
        assert "ask again in a smaller batch, with VIEW_BASIC" in item.status.message
