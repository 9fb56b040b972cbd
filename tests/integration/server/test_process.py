"""The service as a process of its own: its log, its clock, its end."""

import re
import signal

from tests.builders.small import NOW, offended, regular
from tests.integration.server.conftest import PATIENCE_S, serving

from loyalty.nextbest.v1 import common_pb2
from nextbest_client import ClientError, ClientOptions, NextBestClient, decide_request

STRICT = common_pb2.STRICTNESS_STRICT
SECRET = "anna-4512345678"
"""An id that must not be found in any log."""
A_DAY_S = 86400.0
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")


def make_trouble(client, put):
    """Everything about one customer that is worth a line in the log."""
    client.decide(decide_request(SECRET, channel="pos", request_id="log-unknown"))
    for request in (
        decide_request(
            SECRET, channel="pos", request_id="log-strict", strictness=common_pb2.STRICTNESS_STRICT
        ),
        decide_request(SECRET, channel="nowhere", request_id="log-refused"),
    ):
        try:
            client.decide(request)
        except ClientError:
            continue
        raise AssertionError("it was to be refused")
    put(SECRET, regular())
    client.decide(decide_request(SECRET, channel="pos", request_id="log-fine"))
    try:
        client.explain(decide_request(SECRET, channel="nowhere", request_id="log-explain"))
    except ClientError:
        put(SECRET, offended())


def test_log_names_requests_not_customers(service, client, put):
    """Every line is JSON with time, level and event; requests are named by id, customers never."""
    make_trouble(client, put)
    events = service.events()
    assert all({"event", "level", "timestamp"} <= event.keys() for event in events)
    assert all(TIME.fullmatch(event["timestamp"]) for event in events)
    by_request = {event["request_id"]: event for event in events if event.get("request_id")}
    assert by_request["log-unknown"]["event"] == "degraded"
    assert by_request["log-unknown"]["reason"] == "absent"
    assert by_request["log-unknown"]["method"] == "Decide"
    assert by_request["log-strict"]["error"] == "CustomerUnknown"
    assert by_request["log-refused"]["error"] == "InvalidInput"
    assert by_request["log-explain"]["method"] == "Explain"
    assert SECRET not in service.log.read_text()
    assert "p0001" not in service.log.read_text()


def test_customers_have_stable_stand_ins(service, client):
    """The same customer is the same stand-in in every line, another customer another."""
    for request_id, customer in (("a1", "ghost-a"), ("a2", "ghost-a"), ("b1", "ghost-b")):
        client.decide(decide_request(customer, channel="pos", request_id=f"stand-in-{request_id}"))
    stand_ins = {event["request_id"]: event["customer"] for event in service.events() if "customer" in event}
    assert stand_ins["stand-in-a1"] == stand_ins["stand-in-a2"] != stand_ins["stand-in-b1"]


def test_start_is_logged(service, rulebook):
    """The log says where the service answers, with what, and at what time it plays."""
    (event,) = [event for event in service.events() if event["event"] == "serving"]
    assert (event["address"], event["rulebook_address"]) == (service.address, service.rulebook_address)
    assert event["rulebook"] == rulebook.revision
    assert 0.0 <= event["time"] - NOW.timestamp() < A_DAY_S
    names = [event["event"] for event in service.events()]
    assert names.index("warm") < names.index("serving")


def test_ends_on_sigterm(data_directory, tmp_path):
    """SIGTERM ends the process with code 0, after it has said so; at the data's time if asked."""
    with serving(data_directory, tmp_path / "log", "--as-of", "data") as service:
        with NextBestClient(service.address, options=ClientOptions(timeout_ms=60_000.0)) as client:
            decision = client.decide(decide_request("p0001", channel="pos"))
        assert decision.HasField("figures")
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(PATIENCE_S) == 0
    assert [event["event"] for event in service.events()][-2:] == ["draining", "stopped"]
    assert 0.0 <= decision.evaluation_time.seconds - NOW.timestamp() < A_DAY_S
