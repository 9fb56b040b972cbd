"""Rows that cannot be read: the till goes on with a fallback, the strict caller gets an error."""

import asyncio
import struct

import grpc
import pytest
from tests.builders.small import NOW, regular

from loyalty.nextbest.v1 import common_pb2, decision_pb2
from nextbest.data.address import RedisAddress
from nextbest.data.connection import RedisConnection
from nextbest.data.keys import Keys
from nextbest.data.snapshots import SnapshotStore
from nextbest.facts import Catalogue, Fact, FactGroup, FactType
from nextbest_client import NotFound, ServiceFailed, decide_request, is_fallback

STRICT = common_pb2.STRICTNESS_STRICT
UNREADABLE = decision_pb2.FALLBACK_REASON_SNAPSHOT_UNREADABLE


def row_key(customer_id):
    """Where a customer's row is."""
    return f"nextbest:{{{customer_id}}}:s"


def foreign(row, store):
    """Written under a catalogue that nobody registered."""
    return b"\x01\x02\x03\x04\x05\x06\x07\x08" + row[8:]


def cut_short(row, store):
    """Some of its end is lost."""
    return row[:-12]


def nearly_nothing(row, store):
    """Only a piece of its header is left."""
    return row[:5]


def of_another(row, store):
    """Another customer's row under this customer's key."""
    return store.get(row_key("p0001"))


def of_no_time(row, store):
    """Its time is none."""
    return row[:8] + struct.pack("<d", float("nan")) + row[16:]


SPOILERS = [foreign, cut_short, nearly_nothing, of_another, of_no_time]


@pytest.fixture(params=SPOILERS, ids=lambda spoil: spoil.__name__)
def spoilt(request, put, store, customer_id):
    """A customer whose stored row cannot be read."""
    put(customer_id, regular())
    store.set(row_key(customer_id), request.param(store.get(row_key(customer_id)), store))
    return customer_id


def test_unknown_customer_gets_a_fallback(client):
    """An unknown customer gets a fallback decision: do nothing, and why."""
    response = client.decide(decide_request("nobody", channel="pos"))
    assert response.fallback.reason == decision_pb2.FALLBACK_REASON_CUSTOMER_UNKNOWN
    assert response.fallback.message == "no snapshot of the customer is stored"
    assert [(r.rank, r.action, r.score) for r in response.results] == [(1, "do_nothing", 0.0)]
    assert not response.HasField("figures")
    assert not response.HasField("snapshot_as_of")
    assert response.decision_id
    assert response.currency == "DKK"


def test_unknown_customer_is_not_found_if_strict(client):
    """A strict request about an unknown customer is NOT_FOUND."""
    with pytest.raises(NotFound, match="no snapshot is stored for the customer"):
        client.decide(decide_request("nobody", channel="pos", strictness=STRICT))


def test_unreadable_row_gets_a_fallback(client, spoilt):
    """A row that is foreign, cut short or another's gives a fallback decision, never its content."""
    response = client.decide(decide_request(spoilt, channel="pos"))
    assert response.fallback.reason == UNREADABLE
    assert [result.action for result in response.results] == ["do_nothing"]
    assert not response.HasField("figures")
    assert client.decide(decide_request("p0001", channel="pos")).HasField("figures")


def test_unreadable_row_is_data_loss_if_strict(client, spoilt):
    """A strict request about it is DATA_LOSS, and says what is wrong with the row."""
    with pytest.raises(ServiceFailed) as raised:
        client.decide(decide_request(spoilt, channel="pos", strictness=STRICT))
    assert raised.value.code is grpc.StatusCode.DATA_LOSS
    assert "the stored snapshot" in raised.value.message


def test_unreadable_row_cannot_be_read_or_explained(client, spoilt):
    """Get and Explain of it say so; there is nothing to fall back on."""
    with pytest.raises(ServiceFailed) as raised:
        client.get_snapshot(spoilt)
    assert raised.value.code is grpc.StatusCode.DATA_LOSS
    with pytest.raises(ServiceFailed) as raised:
        client.explain(decide_request(spoilt, channel="pos"))
    assert raised.value.code is grpc.StatusCode.DATA_LOSS


def test_unreadable_row_is_replaced(client, put, spoilt):
    """Putting a snapshot over it makes the customer known again."""
    put(spoilt, regular())
    assert client.decide(decide_request(spoilt, channel="pos")).results[0].action == "brie"


def test_unreadable_row_in_a_batch_stays_alone(client, spoilt):
    """In a batch an unreadable row spoils only its own answer."""
    requests = [decide_request(customer, channel="pos") for customer in ("p0001", spoilt, "nobody", "p0002")]
    decisions = [item.decision for item in client.decide_batch(requests).items]
    assert [is_fallback(decision) for decision in decisions] == [False, True, True, False]
    assert decisions[1].fallback.reason == UNREADABLE


def test_row_of_a_newer_catalogue_is_read(client, put, store, data_directory, rulebook, customer_id):
    """Rows that others write under a grown catalogue are read, without a restart."""
    added = Fact(name="shoe_size", type=FactType.DOUBLE, group=FactGroup.PROFILE)
    grown = Catalogue((*rulebook.catalogue.facts, added))
    address = RedisAddress.of_socket(data_directory / "redis.sock")

    async def write():
        async with RedisConnection(address, timeout_s=20.0) as connection:
            newer = await SnapshotStore.open(connection, Keys("nextbest"), grown)
            await newer.put(customer_id, NOW.timestamp(), regular(shoe_size=43.0))

    put(customer_id, regular())
    asyncio.run(write())
    assert int.from_bytes(store.get(row_key(customer_id))[:8], "little") == grown.fingerprint
    assert client.decide(decide_request(customer_id, channel="pos")).results[0].action == "brie"
    found = client.get_snapshot(customer_id)
    assert found.catalogue_fingerprint == f"{grown.fingerprint:016x}"


def test_damaged_history_stops_what_needs_it(client, put, store, customer_id):
    """A history that cannot be read is unknown: nothing outbound, but the customer's own contact goes on."""
    put(customer_id, regular())
    store.set(f"nextbest:{{{customer_id}}}:c", b"broken")
    outbound = decide_request(customer_id, channel="email", direction=common_pb2.DIRECTION_OUTBOUND)
    assert [r.action for r in client.decide(outbound).results] == ["do_nothing"]
    assert client.decide(decide_request(customer_id, channel="pos")).results[0].action == "brie"
