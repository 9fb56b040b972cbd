"""Phone and card numbers through the real service: put, resolved, and decided by."""

import hashlib

import grpc
import pytest
from tests.builders.command_line import nextbest
from tests.builders.small import DIRECTORY, NOW, regular

from loyalty.nextbest.v1 import common_pb2, decision_pb2, snapshot_pb2
from nextbest_client import Conflict, InvalidRequest, NotFound, customer_snapshot, decide_request

UNKNOWN = decision_pb2.FALLBACK_REASON_CUSTOMER_UNKNOWN
REPLACE, MERGE = snapshot_pb2.WRITE_MODE_REPLACE, snapshot_pb2.WRITE_MODE_MERGE
STRICT = common_pb2.STRICTNESS_STRICT


def identifier(kind, value):
    """An identifier as callers give it."""
    return common_pb2.Identifier(type=kind, value=value)


@pytest.fixture
def phone(request):
    """A phone number that no other test uses."""
    digest = hashlib.blake2b(request.node.nodeid.encode(), digest_size=4).digest()
    return identifier("phone", f"+45{int.from_bytes(digest, 'big'):010d}")


@pytest.fixture
def member(client, customer_id, phone):
    """A customer with that phone."""
    snapshot = customer_snapshot(customer_id, as_of=NOW, facts=regular())
    client.put_snapshot(snapshot, identifiers=[phone])
    return customer_id


def test_a_phone_resolves(client, member, phone):
    """A number resolves in any spelling; another one is NOT_FOUND."""
    assert client.resolve(phone) == member
    spelt = phone.value.replace("+45", "0045 ")
    assert client.resolve(identifier("phone", f"{spelt[:9]}-{spelt[9:]}")) == member
    with pytest.raises(NotFound, match="no customer has this card"):
        client.resolve(identifier("card", "nobody's"))
    with pytest.raises(InvalidRequest) as raised:
        client.resolve(identifier("Phone", "12345678"))
    assert [v.field for v in raised.value.violations] == ["identifier.type"]


def test_deciding_by_phone_is_deciding_by_id(client, member, phone):
    """A request by phone gets the customer's own decision, and a retry by either the same one."""
    by_phone = client.decide(decide_request(phone, channel="pos", request_id="by-phone"))
    assert by_phone.customer_id == member
    assert not by_phone.HasField("fallback")
    assert client.decide(decide_request(phone, channel="pos", request_id="by-phone")) == by_phone
    assert client.decide(decide_request(member, channel="pos", request_id="by-phone")) == by_phone


def test_nobodys_number(client, decisions):
    """A number that nobody has degrades, or is NOT_FOUND when strict; it is never repeated."""
    nobodys = identifier("phone", "+4500000000")
    decision = client.decide(decide_request(nobodys, channel="pos"))
    assert (decision.fallback.reason, decision.customer_id) == (UNKNOWN, "")
    assert [row.action for row in decision.results] == ["do_nothing"]
    with pytest.raises(NotFound, match="no customer has this phone") as raised:
        client.decide(decide_request(nobodys, channel="pos", strictness=STRICT))
    assert "00000000" not in str(raised.value)


def test_an_identifier_that_is_none_is_listed_with_the_rest(client):
    """What is wrong with an identifier is said together with all else that is wrong."""
    with pytest.raises(InvalidRequest) as raised:
        client.decide(decide_request(identifier("phone", "12345678"), channel="poss"))
    assert {v.field for v in raised.value.violations} == {"identifier.value", "channel"}


def test_batches_and_streams_by_phone(client, member, phone):
    """Identifiers serve in batches and on streams as well, beside ids."""
    nobodys = identifier("card", "nobody's")
    requests = [
        decide_request(customer, channel="pos", request_id=f"mixed-{i}", strictness=strictness)
        for i, (customer, strictness) in enumerate(((phone, 0), (nobodys, 0), (nobodys, STRICT), (member, 0)))
    ]
    items = client.decide_batch(requests).items
    assert [item.decision.customer_id for item in items] == [member, "", "", member]
    assert items[1].decision.fallback.reason == UNKNOWN
    assert items[2].status.code == grpc.StatusCode.NOT_FOUND.value[0]
    streamed = {answer.request_id: answer for answer in client.decide_stream(requests)}
    assert streamed["mixed-0"].decision == items[0].decision
    assert streamed["mixed-1"].decision.fallback.reason == UNKNOWN
    assert streamed["mixed-2"].status.code == grpc.StatusCode.NOT_FOUND.value[0]


def test_explaining_by_phone(client, member, phone):
    """A request by phone is explained as one by id."""
    by_phone = client.explain(decide_request(phone, channel="pos", evaluation_time=NOW))
    assert by_phone.decision.customer_id == member
    by_id = client.explain(decide_request(member, channel="pos", evaluation_time=NOW))
    assert [c.action for c in by_phone.candidates] == [c.action for c in by_id.candidates]
    with pytest.raises(NotFound):
        client.explain(decide_request(identifier("card", "nobody's"), channel="pos"))


def test_an_inline_snapshot_of_the_customer_behind_a_phone(client, member, phone):
    """An inline snapshot goes with a phone if it is the customer's, or says not whose it is."""
    for whose in ("", member):
        inline = customer_snapshot(whose, as_of=NOW, facts=regular(favourite=None, needs=[]))
        decision = client.decide(decide_request(phone, channel="pos", snapshot=inline))
        assert decision.customer_id == member
    strangers = customer_snapshot("stranger", as_of=NOW, facts=regular())
    with pytest.raises(InvalidRequest, match="is not the request's customer"):
        client.decide(decide_request(phone, channel="pos", snapshot=strangers))


def test_a_second_owner_is_a_conflict(client, member, phone):
    """A number stays with its customer: a second one fails with ALREADY_EXISTS, and nothing is written."""
    other = customer_snapshot(f"{member}-2", as_of=NOW, facts=regular())
    card = identifier("card", member)
    with pytest.raises(Conflict) as raised:
        client.put_snapshot(other, identifiers=[card, phone])
    assert raised.value.code is grpc.StatusCode.ALREADY_EXISTS
    assert [(v.field, v.description) for v in raised.value.violations] == [
        ("identifiers[1]", "another customer has this phone")
    ]
    for left in (lambda: client.get_snapshot(f"{member}-2"), lambda: client.resolve(card)):
        with pytest.raises(NotFound):
            left()
    assert client.resolve(phone) == member


def test_replacing_and_merging(client, member, phone):
    """A merge adds identifiers, a replacement leaves those given only."""
    card = identifier("card", member)
    snapshot = customer_snapshot(member, as_of=NOW, facts={})
    client.put_snapshot(snapshot, mode=MERGE, identifiers=[card])
    assert (client.resolve(card), client.resolve(phone)) == (member, member)
    client.put_snapshot(customer_snapshot(member, as_of=NOW, facts=regular()), identifiers=[card])
    assert client.resolve(card) == member
    with pytest.raises(NotFound):
        client.resolve(phone)


def test_a_put_that_fails_leaves_no_identifier(client, customer_id, phone):
    """A merge into nothing, or of facts that contradict each other, leaves the number free."""
    for mode, facts in ((MERGE, {"satisfaction": 90.0}), (REPLACE, regular(recency_weeks=500.0))):
        with pytest.raises((NotFound, InvalidRequest)):
            client.put_snapshot(
                customer_snapshot(customer_id, as_of=NOW, facts=facts), mode=mode, identifiers=[phone]
            )
    with pytest.raises(NotFound):
        client.resolve(phone)
    with pytest.raises(InvalidRequest) as raised:
        client.put_snapshot(
            customer_snapshot(customer_id, as_of=NOW, facts={"nonsense": 1.0}),
            identifiers=[phone, identifier("phone", "1")],
        )
    assert {v.field for v in raised.value.violations} == {"snapshot.facts.nonsense", "identifiers[1].value"}


def test_an_index_entry_that_is_not_confirmed_by_the_customer(client, store, member, phone):
    """The index alone is not believed: without the number in the customer's own list nobody has it."""
    store.delete(f"nextbest:{{{member}}}:i")
    assert client.decide(decide_request(phone, channel="pos")).fallback.reason == UNKNOWN
    with pytest.raises(NotFound):
        client.decide(decide_request(phone, channel="pos", strictness=STRICT))
    with pytest.raises(NotFound):
        client.resolve(phone)


def test_numbers_are_in_no_key_and_no_log(store, service, member, phone, client):
    """Neither keys nor logs show a number."""
    client.decide(decide_request(phone, channel="pos"))
    digits = phone.value.removeprefix("+")
    assert not [key for key in store.scan_iter() if digits.encode() in key]
    assert digits not in service.log.read_text()


def test_loading_by_command(client, data_directory, customer_id, tmp_path):
    """A file of identifiers is loaded by a command that says how many, and points to what it refused."""
    file = tmp_path / "cards.csv"
    file.write_text(f"customer_id,type,value\n{customer_id},card,{customer_id}\n{customer_id},phone,1\n")
    where = ("--rulebook", DIRECTORY, "--data-directory", data_directory)
    said = nextbest("load-identifiers", file, *where)
    assert said.code == 2
    assert "1 loaded, 1 rejected" in said.out
    assert client.resolve(identifier("card", customer_id)) == customer_id
