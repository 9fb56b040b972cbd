"""request_id: the same id gets the same decision, whatever has changed in between."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.builders.small import NOW, newcomer, offended, regular

from loyalty.nextbest.v1 import common_pb2, decision_pb2
from nextbest_client import decide_request


def asking(customer_id, request_id, **changes):
    """A request with an identity."""
    fields = {"channel": "pos", "direction": common_pb2.DIRECTION_INBOUND} | changes
    return decision_pb2.DecideRequest(customer_id=customer_id, request_id=request_id, **fields)


def test_retry_gets_the_same_bytes(decisions, put, customer_id):
    """A retry is answered byte for byte as before, also when the snapshot has changed."""
    put(customer_id, regular())
    first = decisions.Decide(asking(customer_id, "r1")).SerializeToString(deterministic=True)
    put(customer_id, offended())
    assert decisions.Decide(asking(customer_id, "r1")).SerializeToString(deterministic=True) == first
    fresh = decisions.Decide(asking(customer_id, "r2"))
    assert fresh.results[0].action == "apology"


def test_no_request_id_no_memory(decisions, put, customer_id):
    """Without a request_id every decision is new."""
    put(customer_id, regular())
    one, other = decisions.Decide(asking(customer_id, "")), decisions.Decide(asking(customer_id, ""))
    assert one.decision_id != other.decision_id


def test_request_ids_belong_to_customers(decisions, put, customer_id):
    """The same request_id of another customer is another request."""
    put(customer_id, regular())
    put("somebody", newcomer())
    mine, theirs = decisions.Decide(asking(customer_id, "r")), decisions.Decide(asking("somebody", "r"))
    assert (mine.customer_id, theirs.customer_id) == (customer_id, "somebody")
    assert mine.decision_id != theirs.decision_id


def test_concurrent_duplicates_get_one_answer(decisions, put, customer_id):
    """Duplicates that race each other, while the snapshot changes, all get the one decision that is kept."""
    put(customer_id, regular())

    def ask(turn):
        if turn % 5 == 0:
            put(customer_id, regular() if turn % 2 else offended())
        return decisions.Decide(asking(customer_id, "race")).SerializeToString(deterministic=True)

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(ask, range(40)))
    assert len(answers) == 1


def test_fallback_is_kept_too(decisions, put, customer_id):
    """A retry of a question about an unknown customer gets the same fallback."""
    first = decisions.Decide(asking(customer_id, "r"))
    assert first.HasField("fallback")
    put(customer_id, regular())
    assert decisions.Decide(asking(customer_id, "r")) == first
    assert not decisions.Decide(asking(customer_id, "r2")).HasField("fallback")


def test_kept_for_a_while_only(decisions, put, store, customer_id):
    """Kept decisions expire, so that they cost memory for a while only."""
    put(customer_id, regular())
    decisions.Decide(asking(customer_id, "expiring"))
    assert 0 < store.ttl(f"nextbest:{{{customer_id}}}:r:expiring") <= 600


def test_retry_within_and_across_batches(decisions, put, customer_id):
    """A batch answers a request_id as Decide has, and twice the same within itself."""
    put(customer_id, regular())
    single = decisions.Decide(asking(customer_id, "b1"))
    put(customer_id, offended())
    batch = decision_pb2.DecideBatchRequest(
        requests=[asking(customer_id, "b1"), asking(customer_id, "b2"), asking(customer_id, "b2")]
    )
    items = decisions.DecideBatch(batch).items
    assert items[0].decision == single
    assert items[1].decision == items[2].decision
    assert items[1].decision.results[0].action == "apology"
    put(customer_id, regular())
    assert decisions.DecideBatch(batch).items == items
    assert decisions.Decide(asking(customer_id, "b2")) == items[1].decision


def test_wrong_type_under_one_request_of_a_batch(decisions, put, store, customer_id):
    """What another program left under one request's key keeps no other of the batch from being decided."""
    put(customer_id, regular())
    store.rpush(f"nextbest:{{{customer_id}}}:r:theirs", "x")
    requests = [asking(customer_id, "theirs"), asking(customer_id, "mine")]
    theirs, mine = decisions.DecideBatch(decision_pb2.DecideBatchRequest(requests=requests)).items
    assert not theirs.decision.HasField("fallback")
    assert not mine.decision.HasField("fallback")
    assert decisions.Decide(asking(customer_id, "mine")) == mine.decision


@pytest.mark.parametrize("request_id", ["{x}", "a:b", "r" * 64, "æøå"])
def test_any_printable_request_id(decisions, put, customer_id, request_id):
    """Braces, colons and Unicode are fine in a request_id."""
    put(customer_id, regular())
    first = decisions.Decide(asking(customer_id, request_id))
    assert decisions.Decide(asking(customer_id, request_id)) == first


def test_client_identifies_its_requests(client, put, customer_id):
    """A request without an identity gets one from the client, and the answer repeats it."""
    put(customer_id, regular())
    request = decide_request(customer_id, channel="pos", evaluation_time=NOW)
    assert len(client.decide(request).request_id) == 32
