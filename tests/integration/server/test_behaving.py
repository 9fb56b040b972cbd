"""A snapshot that says less than the one before: the very next decision sees it, and can say why."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from tests.builders.small import NOW
from tests.integration.server.conftest import TIMEOUT_MS, serving

from loyalty.nextbest.v1 import customer_pb2, snapshot_pb2
from nextbest_client import ClientOptions, NextBestClient, customer_snapshot, decide_request, fact

TELECOM = Path(__file__).parents[3] / "rules" / "telecom"
CUSTOMER = {
    "contract_state": "in_force",
    "joined": NOW - timedelta(days=900),
    "first_purchase": NOW - timedelta(days=900),
    "consent": ["call_centre_marketing", "call_centre_survey"],
    "nps_relation": 8,
    "nps_relation_at": NOW - timedelta(days=60),
    "needs": ["save_money"],
    "complaint_open": False,
}
USAGE = [14.0, 15.0, 14.5, 13.5, 14.0, 15.5, 14.0, 14.5]


@pytest.fixture(scope="module")
def telecom(tmp_path_factory):
    """The telecom rulebook, served on a store of its own."""
    place = tmp_path_factory.mktemp("telecom")
    with (
        serving(place / "data", place / "log", rulebook=TELECOM) as service,
        NextBestClient(service.address, options=ClientOptions(timeout_ms=TIMEOUT_MS)) as client,
    ):
        yield client


def put(client, customer_id, facts, *, days_ago=0.0):
    """Replaces a snapshot."""
    as_of = NOW - timedelta(days=days_ago)
    client.put_snapshot(customer_snapshot(customer_id, as_of=as_of, facts=CUSTOMER | facts))


def why(client, customer_id, language="en"):
    """What is said of the action that listens."""
    request = decide_request(
        customer_id,
        channel="call_centre",
        caller_role="agent",
        contexts={"intent": "question"},
        language=language,
    )
    (candidate,) = client.explain(request, actions=["ask_what_changed"], language=language).candidates
    return candidate.sentence


def stored(client, customer_id):
    """Numbers of the snapshot by name."""
    return {f.name: f.number for f in client.get_snapshot(customer_id).snapshot.facts if f.HasField("number")}


def test_a_put_fires_a_change_trigger_at_once(telecom):
    """Satisfaction that falls by 20 points is told to the next caller, with old and new value, once."""
    put(telecom, "fell", {"satisfaction": 80.0}, days_ago=30)
    assert "because of" not in why(telecom, "fell")
    put(telecom, "fell", {"satisfaction": 60.0})
    assert "satisfaction_fell: Satisfaction has fallen by 20 points or more (from 80 to 60, found on" in why(
        telecom, "fell"
    )
    assert "(fra 80 til 60, fundet" in why(telecom, "fell", "da")
    before = stored(telecom, "fell")
    put(telecom, "fell", {"satisfaction": 60.0})
    assert stored(telecom, "fell") == before


def test_a_merge_fires_too(telecom):
    """A single fact that is merged is compared with what is stored; a complaint makes it no silent fall."""
    for name, complaint in (("quiet", False), ("loud", True)):
        put(telecom, name, {"satisfaction": 80.0, "complaint_open": complaint}, days_ago=3)
        merged = customer_pb2.Snapshot(customer_id=name, facts=[fact("satisfaction", 41.0)])
        telecom.put_snapshot(merged, mode=snapshot_pb2.WRITE_MODE_MERGE)
    assert "satisfaction_fell:" in why(telecom, "quiet")
    assert "satisfaction_fell:" not in why(telecom, "loud")


def test_months_that_fall_silently_are_found(telecom):
    """Four-week periods told one by one make a baseline; one far below it is a reason to listen."""
    for i, used in enumerate([*USAGE, 2.0]):
        put(telecom, "uses", {"data_use_period_1": used}, days_ago=28 * (len(USAGE) + 1 - i))
    # One period counts at most 4 standard deviations, and the limit lies above what is left of that.
    assert "because of" not in why(telecom, "uses")
    put(telecom, "uses", {"data_use_period_1": 1.0})
    found = stored(telecom, "uses")
    assert (found["data_use_now"], found["data_use_period_2"], found["data_use_baseline_n"]) == (
        1.0,
        2.0,
        0.0,
    )
    assert "data_use_fell: Uses far less data than usual and has not complained (1 where" in why(
        telecom, "uses"
    )


def test_concurrent_puts_of_a_period_take_it_once(telecom):
    """However many say the same at once, a period counts once and a trigger fires once."""
    put(telecom, "busy", {f"data_use_period_{i}": y for i, y in enumerate(USAGE, start=1)}, days_ago=28)
    before = stored(telecom, "busy")["data_use_baseline_n"]
    snapshot = customer_snapshot("busy", as_of=NOW, facts=CUSTOMER | {"data_use_period_1": 14.2})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: telecom.put_snapshot(snapshot), range(24)))
    assert stored(telecom, "busy")["data_use_baseline_n"] == before + 1
