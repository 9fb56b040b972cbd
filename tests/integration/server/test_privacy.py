"""Export, erasure, and consent that is withdrawn, through the real service."""

import io
import json
import time
import zlib

import pytest
from tests.builders.command_line import nextbest
from tests.builders.small import NOW, days_ago, regular

from loyalty.nextbest.v1 import common_pb2, decision_pb2, interaction_pb2, snapshot_pb2
from nextbest_client import InvalidRequest, NotFound, customer_snapshot, decide_request, outcome_of, timestamp

OUTBOUND = common_pb2.DIRECTION_OUTBOUND
UNKNOWN = decision_pb2.FALLBACK_REASON_CUSTOMER_UNKNOWN
PRESENTED, REJECTED = common_pb2.OUTCOME_PRESENTED, common_pb2.OUTCOME_REJECTED


@pytest.fixture
def card(customer_id):
    """A card of the test's customer."""
    return common_pb2.Identifier(type="card", value=customer_id.upper().replace("-", ""))


@pytest.fixture
def told(client, customer_id, card):
    """A customer with everything: snapshot, card, a kept and logged decision, an outcome with words."""
    client.put_snapshot(customer_snapshot(customer_id, as_of=NOW, facts=regular()), identifiers=[card])
    decision = client.decide(decide_request(customer_id, channel="pos", request_id="kept"))
    outcome = outcome_of(
        decision, decision.results[0], REJECTED, override_reason="asked for tea", comment="has no oven"
    )
    client.capture_outcomes(customer_id, [outcome])
    return decision


def exported_once_logged(client, customer_id):
    """The document, as soon as the decision has reached the log behind the answer."""
    for _ in range(500):
        document = client.export(customer_id)
        if document.decisions:
            return document
        time.sleep(0.02)
    raise AssertionError("the decision was not logged")


def test_one_document_has_everything(client, told, customer_id, card):
    """Snapshot, identifiers, history with its words, and logged decisions come as one document."""
    document = exported_once_logged(client, customer_id)
    assert document.snapshot == client.get_snapshot(customer_id).snapshot
    assert list(document.identifiers) == [card]
    (entry,) = document.history
    assert (entry.outcome, entry.override_reason, entry.comment) == (REJECTED, "asked for tea", "has no oven")
    (logged,) = document.decisions
    assert logged.decision.decision_id == told.decision_id
    assert (logged.request.customer_id, logged.request.channel) == (customer_id, "pos")
    assert document.exported_at.ToDatetime().year == NOW.year


def test_the_document_of_nobody_is_empty(client, customer_id):
    """There is nothing to hand out about someone who is not known."""
    document = client.export(customer_id)
    assert not document.HasField("snapshot")
    assert [*document.identifiers, *document.history, *document.decisions] == []


def stored_under(store, key):
    """All that a key holds, whatever its type; not as DUMP gives it, which is compressed."""
    read = {
        b"string": lambda: store.get(key),
        b"hash": lambda: store.hgetall(key),
        b"list": lambda: store.lrange(key, 0, -1),
        b"set": lambda: store.smembers(key),
        b"zset": lambda: store.zrange(key, 0, -1),
        b"stream": lambda: store.xrange(key),
    }
    kind = store.type(key)
    found = None if kind == b"none" else read[kind]()
    return found if isinstance(found, bytes) else repr(found).encode()


def test_nothing_is_left_after_an_erasure(client, told, store, service, customer_id, card):
    """Everything that names the customer is gone but the tombstone, and the answer says how much it was."""
    exported_once_logged(client, customer_id)
    assert any(card.value.encode() in stored_under(store, key) for key in store.scan_iter())
    assert any(customer_id.encode() in stored_under(store, key) for key in store.scan_iter())
    erased = client.erase(customer_id, reason="asked by letter")
    assert erased == snapshot_pb2.EraseResponse(
        snapshot_erased=True, identifiers_erased=1, history_entries_erased=1, decisions_erased=1
    )
    left = [key for key in store.scan_iter() if customer_id.encode() in key]
    assert left == [f"nextbest:{{{customer_id}}}:x".encode()]
    who = (customer_id.encode(), card.value.encode())
    assert not [key for key in store.scan_iter() if any(one in stored_under(store, key) for one in who)]
    record = json.loads(store.lindex("nextbest:erasures", 0))
    assert record["reason"] == "asked by letter"
    assert customer_id not in service.log.read_text()
    for gone in (lambda: client.get_snapshot(customer_id), lambda: client.resolve(card)):
        with pytest.raises(NotFound):
            gone()
    assert client.decide(decide_request(card, channel="pos")).fallback.reason == UNKNOWN
    assert client.erase(customer_id) == snapshot_pb2.EraseResponse()


@pytest.mark.parametrize(
    ("reason", "kinds"),
    [
        ("letter of {id}", ["id", "card"]),
        ("card {card} was lost", ["card"]),
        ("wants {spaced} gone, and {id}", ["id", "card"]),
        ("called from {national}", ["phone"]),
    ],
)
def test_a_reason_names_nobody(client, told, store, customer_id, card, reason, kinds):
    """A reason for an erasure that holds the customer's id or number, in any spelling, is refused."""
    digits = f"{zlib.crc32(customer_id.encode()) % 10**8:08d}"
    phone = common_pb2.Identifier(type="phone", value=f"+45{digits}")
    snapshot = customer_snapshot(customer_id, as_of=NOW, facts=regular())
    client.put_snapshot(snapshot, identifiers=[card, phone])
    spaced = "-".join(card.value[i : i + 3].lower() for i in range(0, len(card.value), 3))
    national = f"{digits[:2]}-{digits[2:4]} {digits[4:]}"
    said = reason.format(id=customer_id, card=card.value, spaced=spaced, national=national)
    with pytest.raises(InvalidRequest) as refused:
        client.erase(customer_id, reason=said)
    assert [(v.field, v.description) for v in refused.value.violations] == [
        ("reason", f"names the customer by their {kind}, and is kept when they are gone") for kind in kinds
    ]
    assert client.get_snapshot(customer_id)
    assert client.erase(customer_id, reason="letter 17 of the 4th").snapshot_erased


def test_a_retry_after_an_erasure_gets_no_old_answer(client, told, customer_id):
    """A kept answer is erased with the customer: the retry finds nobody."""
    client.erase(customer_id)
    again = client.decide(decide_request(customer_id, channel="pos", request_id="kept"))
    assert again.fallback.reason == UNKNOWN


def test_an_outcome_under_way_is_refused(client, told, customer_id):
    """An outcome of before the erasure is NOT_FOUND, whenever it comes; newer ones of a new put are kept."""
    client.erase(customer_id)
    late = outcome_of(told, told.results[0], PRESENTED, event_time=days_ago(1))
    with pytest.raises(NotFound, match="the customer was erased"):
        client.capture_outcomes(customer_id, [late])
    client.put_snapshot(customer_snapshot(customer_id, as_of=NOW, facts=regular()))
    with pytest.raises(NotFound, match="the customer was erased"):
        client.capture_outcomes(customer_id, [late])
    decision = client.decide(decide_request(customer_id, channel="pos", request_id="kept"))
    assert not decision.HasField("fallback")
    client.capture_outcomes(customer_id, [outcome_of(decision, decision.results[0], PRESENTED)])
    history = client.get_history(interaction_pb2.GetHistoryRequest(customer_id=customer_id))
    assert [entry.decision_id for entry in history.entries] == [decision.decision_id]


def outbound(customer_id, **more):
    """A mail to a customer."""
    return decide_request(customer_id, channel="email", direction=OUTBOUND, evaluation_time=NOW, **more)


def proposed(decision):
    """Actions of a decision but for doing nothing."""
    return [row.action for row in decision.results if row.action != "do_nothing"]


def test_withdrawn_consent_counts_at_once(client, put, customer_id):
    """The next decision after consent is withdrawn proposes no contact that needs it."""
    put(customer_id, regular())
    assert proposed(client.decide(outbound(customer_id)))
    client.put_snapshot(
        customer_snapshot(customer_id, as_of=NOW, facts={"consent": []}), mode=snapshot_pb2.WRITE_MODE_MERGE
    )
    assert not proposed(client.decide(outbound(customer_id)))


@pytest.mark.parametrize("ask", ["alone", "batch", "stream"])
def test_a_kept_decision_without_consent_is_not_given_again(client, put, customer_id, ask):
    """A retry gets the same decision, until consent to it is withdrawn: then a new one, from then on that."""

    def decide(request):
        if ask == "batch":
            return client.decide_batch([request]).items[0].decision
        if ask == "stream":
            return next(iter(client.decide_stream([request]))).decision
        return client.decide(request)

    request = outbound(customer_id, request_id=f"withdrawn-{ask}")
    put(customer_id, regular())
    first = decide(request)
    assert proposed(first)
    assert decide(request) == first
    put(customer_id, regular(consent=["call_centre_marketing"]))
    second = decide(request)
    assert not proposed(second)
    assert second.decision_id != first.decision_id
    put(customer_id, regular())
    assert decide(request) == second


def test_consent_in_an_inline_snapshot_counts(client, put, customer_id):
    """With an inline snapshot its consents count, on retries as well, whatever is stored."""
    put(customer_id, regular(consent=[]))
    agreed = customer_snapshot(customer_id, as_of=NOW, facts=regular())
    first = client.decide(outbound(customer_id, snapshot=agreed, request_id="inline"))
    assert proposed(first)
    assert client.decide(outbound(customer_id, snapshot=agreed, request_id="inline")) == first
    withdrawn = customer_snapshot(customer_id, as_of=NOW, facts=regular(consent=[]))
    assert not proposed(client.decide(outbound(customer_id, snapshot=withdrawn, request_id="inline")))


def test_a_retry_of_who_calls_in_needs_no_consent(client, put, customer_id):
    """Contact that the customer starts needs no consent, so a retry gets the same decision."""
    put(customer_id, regular())
    first = client.decide(decide_request(customer_id, channel="pos", request_id="inbound"))
    put(customer_id, regular(consent=[]))
    assert client.decide(decide_request(customer_id, channel="pos", request_id="inbound")) == first


def test_timestamps_of_the_history_survive_an_export(client, put, customer_id):
    """The document's history is what GetHistory shows."""
    put(customer_id, regular())
    outcome = interaction_pb2.CapturedOutcome(
        action="brie", channel="pos", direction=1, outcome=REJECTED, event_time=timestamp(days_ago(3))
    )
    client.capture_outcomes(customer_id, [outcome])
    history = client.get_history(interaction_pb2.GetHistoryRequest(customer_id=customer_id))
    assert list(client.export(customer_id).history) == list(history.entries)


def test_export_and_erase_by_command(service, client, told, customer_id, tmp_path, monkeypatch):
    """The commands write the document for its owner only, ask before they erase, and say what went."""
    exported_once_logged(client, customer_id)
    file = tmp_path / "document.json"
    said = nextbest("export", customer_id, "--out", file, "--address", service.address)
    assert said.code == 0, said.err
    document = json.loads(file.read_text())
    assert document["snapshot"]["customer_id"] == customer_id
    assert document["history"][0]["comment"] == "has no oven"
    assert document["decisions"][0]["decision"]["decision_id"] == told.decision_id
    assert file.stat().st_mode & 0o077 == 0
    said = nextbest("export", customer_id, "--address", service.address)
    assert json.loads(said.out)["identifiers"] == document["identifiers"]
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert nextbest("erase", customer_id, "--address", service.address).code != 0
    assert client.get_snapshot(customer_id)
    said = nextbest("erase", customer_id, "--yes", "--reason", "letter", "--address", service.address)
    assert said.out == "erased: 1 snapshot, 1 identifiers, 1 entries of history, 1 logged decisions\n"
    with pytest.raises(NotFound):
        client.get_snapshot(customer_id)
