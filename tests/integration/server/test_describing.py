"""What the service says of itself: its rulebook, its services, and what it cannot do yet."""

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tests.integration.server.test_bad_requests import refusal

from loyalty.nextbest.v1 import (
    common_pb2,
    interaction_pb2,
    rulebook_pb2,
)
from nextbest_client import decide_request, outcome_of

PACKAGE = "loyalty.nextbest.v1"
SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture(scope="module")
def described(rulebooks):
    """The active rulebook, described."""
    return rulebooks.Describe(rulebook_pb2.DescribeRequest())


def test_revision_and_digests(described, rulebook, client):
    """The description names the revision and the digests that decisions carry, and the artifacts in use."""
    decision = client.decide(decide_request("p0001", channel="pos"))
    assert described.revision.revision == rulebook.revision == decision.rulebook_revision
    assert described.revision.state == rulebook_pb2.RULEBOOK_STATE_ACTIVE
    assert described.model_digest == decision.model_digest
    assert {(a.kind, a.name) for a in described.artifacts} == {("ltv", "ltv"), ("grid", "grid")}
    assert (described.name, described.currency, list(described.languages)) == ("small", "DKK", ["en", "da"])
    assert list(described.roles) == ["till", "agent", "lead"]


def test_reason_codes(described, client):
    """Describe lists the codes that captured outcomes may give as their reason, and each is taken."""
    assert list(described.reason_codes) == ["late_delivery", "no_oven", "other"]
    decision = client.decide(decide_request("p0001", channel="pos"))
    rejected, first = common_pb2.OUTCOME_REJECTED, decision.results[0]
    outcomes = [outcome_of(decision, first, rejected, reason_code=code) for code in described.reason_codes]
    for outcome in outcomes:
        outcome.idempotency_key = outcome.reason_code
    results = client.capture_outcomes("p0001", outcomes)
    assert [r.status for r in results] == [interaction_pb2.RECORD_STATUS_RECORDED] * 3


def test_channels(described):
    """Channels come with placements, weights, thresholds and the longest text."""
    channels = {channel.name: channel for channel in described.channels}
    assert set(channels) == {"pos", "call_centre", "email"}
    assert set(channels["pos"].placements) == {"display", "receipt"}
    assert channels["pos"].max_text_length == 120
    assert not channels["call_centre"].HasField("max_text_length")
    assert channels["call_centre"].contact_weight == 3.0
    assert channels["call_centre"].inbound_relevance_threshold == pytest.approx(0.2)
    assert channels["call_centre"].outbound_relevance_threshold == pytest.approx(0.6)


def test_facts_and_contexts(described, rulebook):
    """Every fact and context is described with type, members and bounds."""
    facts = {fact.name: fact for fact in described.facts}
    assert list(facts) == [fact.name for fact in rulebook.catalogue.facts]
    assert described.catalogue_fingerprint == f"{rulebook.catalogue.fingerprint:016x}"
    nps = facts["nps_relation"]
    assert (nps.type, nps.minimum, nps.maximum) == (rulebook_pb2.VALUE_TYPE_INT, 0.0, 10.0)
    assert nps.observed_at == "nps_relation_at"
    assert list(facts["favourite"].values) == ["brie", "cheddar"]
    assert facts["revenue_net"].quality_weight == 2.0
    contexts = {context.name: context for context in described.contexts}
    assert contexts["intent"].type == rulebook_pb2.VALUE_TYPE_ENUM
    assert list(contexts["intent"].values) == ["shopping", "question", "complaint"]


def test_actions(described):
    """Actions come with stages, segments, triggers, treatments and the roles that may take them."""
    actions = {action.action: action for action in described.actions}
    wine = actions["wine"]
    assert list(wine.stages) == [common_pb2.STAGE_HEAR_ME, common_pb2.STAGE_GROW_ME]
    assert (list(wine.segments), list(wine.triggers)) == (["families"], ["big_basket"])
    assert {t.treatment_id for t in wine.treatments} == {"wine/pos/display", "wine/call_centre"}
    assert wine.treatments[0].offer.code == "WINE25" or wine.treatments[1].offer.code == "WINE25"
    assert list(actions["gesture"].roles) == ["lead"]
    assert list(actions["wine"].roles) == ["till", "agent", "lead"]
    assert actions["apology"].mandatory
    assert actions["apology"].promises == ["put_right"]
    assert {segment.name for segment in described.segments} == {"families"}
    assert {trigger.name for trigger in described.triggers} == {"overdue", "big_basket", "complaint_pending"}


def test_language(rulebooks):
    """Texts come in the language asked for, with the placeholders that marketing wrote."""
    described = rulebooks.Describe(rulebook_pb2.DescribeRequest(language="da"))
    (brie,) = [action for action in described.actions if action.action == "brie"]
    says = {treatment.treatment_id: treatment.say for treatment in brie.treatments}
    assert says["brie/pos/display"] == "Brie, 20 % rabat i dag"
    assert {treatment.language for treatment in brie.treatments} == {"da"}


def test_active_revision_by_name(rulebooks, rulebook):
    """The active revision may be asked for by name; there is no other."""
    request = rulebook_pb2.DescribeRequest(revision=rulebook.revision)
    assert rulebooks.Describe(request).revision.revision == rulebook.revision
    with pytest.raises(grpc.RpcError) as raised:
        rulebooks.Describe(rulebook_pb2.DescribeRequest(revision="old"))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_reflection_lists_the_services(service):
    """Reflection lists every service of a port, health included, and describes them."""
    for address, names in (
        (service.address, {"DecisionService", "InteractionService", "SnapshotService"}),
        (service.rulebook_address, {"RulebookService"}),
    ):
        with grpc.insecure_channel(address) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            listed = set(database.get_services())
            assert listed == {f"{PACKAGE}.{name}" for name in names} | {
                "grpc.health.v1.Health",
                "grpc.reflection.v1alpha.ServerReflection",
            }
            pool = DescriptorPool(database)
            for name in names:
                assert pool.FindServiceByName(f"{PACKAGE}.{name}").methods


def test_health_of_every_service(service):
    """The process and every service in it are SERVING on either port; what it does not know is NOT_FOUND."""
    for address in (service.address, service.rulebook_address):
        with grpc.insecure_channel(address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            for name in ("", f"{PACKAGE}.DecisionService", f"{PACKAGE}.RulebookService"):
                assert health.Check(health_pb2.HealthCheckRequest(service=name)).status == SERVING
            with pytest.raises(grpc.RpcError) as raised:
                health.Check(health_pb2.HealthCheckRequest(service="nonsense"))
            assert raised.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("stub", "method", "request_message", "what"),
    [
        (
            "interactions",
            "RecordEvents",
            interaction_pb2.RecordEventsRequest(customer_id="c"),
            "recording business events",
        ),
        ("rulebooks", "Validate", rulebook_pb2.ValidateRequest(), "validating over the wire"),
        ("rulebooks", "Publish", rulebook_pb2.PublishRequest(), "publishing"),
        ("rulebooks", "Activate", rulebook_pb2.ActivateRequest(), "activating"),
        ("rulebooks", "Rollback", rulebook_pb2.RollbackRequest(), "rolling back"),
        ("rulebooks", "Simulate", rulebook_pb2.SimulateRequest(), "simulating"),
    ],
)
def test_not_built_yet(request, stub, method, request_message, what):
    """What is not built yet is UNIMPLEMENTED, and says what it is."""
    call = getattr(request.getfixturevalue(stub), method)
    code, reason, _ = refusal(call, request_message)
    assert (code, reason) == (grpc.StatusCode.UNIMPLEMENTED, "NOT_BUILT")
    with pytest.raises(grpc.RpcError, match=f"{what} is not built yet"):
        call(request_message)
