"""The proto files: documented, and in step with the committed stubs and the engine's closed lists."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from loyalty.nextbest.v1 import common_pb2, customer_pb2, decision_pb2, explanation_pb2, interaction_pb2
from nextbest import model
from nextbest.facts import FIGURE_TYPES, FIGURE_VALUES, FactType, Figure

ROOT = Path(__file__).parents[2]
PACKAGE = "loyalty.nextbest.v1"
FieldProto = descriptor_pb2.FieldDescriptorProto

UNIT_WORDS = (
    "money",
    "currency",
    "unit",
    "days",
    "years",
    "0 to 1",
    "-1 to 1",
    "ratio",
    "factor",
    "percent",
    "in words",
)
"""A documented double says one of these."""
NEVER_MISSING = {
    ("ValueDriver", "amount"),
    ("FactInfo", "quality_weight"),
    ("PeerOffer", "penetration"),
    ("PeerOffer", "lower_bound"),
    ("PeerOffer", "lift"),
}
"""Doubles outside a oneof that are always known; any other may be missing, so it is optional."""
SERVICES = {
    "DecisionService": ["Decide", "DecideBatch", "DecideStream", "Explain", "GetHandOff"],
    "InteractionService": ["CaptureOutcomes", "RecordEvents", "GetHistory"],
    "SnapshotService": ["Put", "Get", "Resolve", "Export", "Erase"],
    "RulebookService": ["Describe", "Validate", "Publish", "Activate", "Rollback", "Simulate"],
}
PURPOSE_OF_PATH = {
    (4,): "message",
    (5,): "enum",
    (6,): "service",
    (4, 2): "field",
    (4, 8): "oneof",
    (5, 2): "enum value",
    (6, 2): "rpc",
}


def build_image() -> list[descriptor_pb2.FileDescriptorProto]:
    """The proto files as buf reads them, comments included."""
    buf = Path(sys.executable).parent / "buf"
    built = subprocess.run(
        [buf, "build", "--as-file-descriptor-set", "-o", "-#format=binpb"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    files = descriptor_pb2.FileDescriptorSet.FromString(built.stdout).file
    return [file for file in files if file.package == PACKAGE]


FILES = build_image()
MESSAGES = {message.name: message for file in FILES for message in file.message_type}
ENUMS = {enum.name: enum for file in FILES for enum in file.enum_type}


def documented_elements():
    """(kind, full name, leading comment) of everything that must be documented."""
    for file in FILES:
        comments = {tuple(at.path): at.leading_comments.strip() for at in file.source_code_info.location}
        for path, name in element_names(file):
            kind = PURPOSE_OF_PATH[path[::2]]
            yield kind, name, comments.get(path, "")


def element_names(file):
    """(path in the descriptor, dotted name) of every message, field, oneof, enum, value, service and rpc."""
    for i, message in enumerate(file.message_type):
        yield (4, i), message.name
        yield from (((4, i, 2, j), f"{message.name}.{field.name}") for j, field in enumerate(message.field))
        real = [oneof for oneof in message.oneof_decl if not oneof.name.startswith("_")]
        yield from (((4, i, 8, j), f"{message.name}.{oneof.name}") for j, oneof in enumerate(real))
    for i, enum in enumerate(file.enum_type):
        yield (5, i), enum.name
        yield from (((5, i, 2, j), value.name) for j, value in enumerate(enum.value))
    for i, service in enumerate(file.service):
        yield (6, i), service.name
        yield from (((6, i, 2, j), f"{service.name}.{rpc.name}") for j, rpc in enumerate(service.method))


ELEMENTS = list(documented_elements())
COMMENT_OF = {name: comment for _, name, comment in ELEMENTS}


def test_everything_is_documented():
    """Everything that can be named has a comment that ends as a sentence does."""
    assert len(ELEMENTS) > 400
    bare = [f"{kind} {name}" for kind, name, comment in ELEMENTS if not comment.endswith((".", ":"))]
    assert bare == []


def test_numbers_have_units():
    """Every double says its unit or range in its comment."""
    doubles = [
        f"{message.name}.{field.name}"
        for message in MESSAGES.values()
        for field in message.field
        if field.type == FieldProto.TYPE_DOUBLE and message.name not in ("Context", "Fact", "FactInfo")
    ]
    assert len(doubles) > 50
    bare = [name for name in doubles if not any(word in COMMENT_OF[name].lower() for word in UNIT_WORDS)]
    assert bare == []


def test_figures_that_may_be_missing_are_optional():
    """A double is optional or in a oneof, so that missing is never read as zero."""
    missing_is_zero = {
        (message.name, field.name)
        for message in MESSAGES.values()
        for field in message.field
        if field.type == FieldProto.TYPE_DOUBLE and not field.HasField("oneof_index")
    }
    assert missing_is_zero == NEVER_MISSING


def test_services_offer_what_was_agreed():
    """The four services have exactly the rpcs of the design, each with messages of its own."""
    offered = {
        service.name: [rpc.name for rpc in service.method] for file in FILES for service in file.service
    }
    assert offered == SERVICES
    for service in (service for file in FILES for service in file.service):
        for rpc in service.method:
            assert rpc.input_type == f".{PACKAGE}.{rpc.name}Request"
            assert rpc.output_type == f".{PACKAGE}.{rpc.name}Response"


def test_only_well_known_types_are_imported():
    """No proto file needs anything that does not come with every protobuf."""
    imported = {name for file in FILES for name in file.dependency}
    assert all(name.startswith(("google/protobuf/", "loyalty/nextbest/v1/")) for name in imported)


@pytest.mark.parametrize("file", FILES, ids=lambda file: Path(file.name).stem)
def test_committed_stubs_are_those_of_the_proto_files(file):
    """The committed stub describes the same messages as the proto file; if not, run the generator."""
    stub = import_module(file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
    committed = descriptor_pb2.FileDescriptorProto()
    stub.DESCRIPTOR.CopyToProto(committed)
    current = descriptor_pb2.FileDescriptorProto()
    current.CopyFrom(file)
    current.ClearField("source_code_info")
    for described in (committed, current):
        clear_json_names(described)
    assert committed == current


def clear_json_names(file):
    """Forget the JSON names, which one of two compilers writes down and the other leaves to be derived."""
    for message in file.message_type:
        for field in message.field:
            field.ClearField("json_name")


def names_of(enum: str, prefix: str) -> dict[str, int]:
    """Names of an enum without prefix, and their numbers, but for the unspecified one."""
    return {value.name.removeprefix(prefix): value.number for value in ENUMS[enum].value if value.number}


@pytest.mark.parametrize(
    ("enum", "prefix", "engine"),
    [
        ("Gate", "GATE_", model.Gate),
        ("ReasonCode", "REASON_CODE_", model.Reason),
        ("HistoryKind", "HISTORY_KIND_", model.EntryKind),
    ],
)
def test_numbered_lists_are_those_of_the_engine(enum, prefix, engine):
    """Gates, reasons and kinds of entries have the engine's names and numbers."""
    assert names_of(enum, prefix) == {member.name: member.value for member in engine}


@pytest.mark.parametrize(
    ("enum", "prefix", "engine", "beside"),
    [
        ("Outcome", "OUTCOME_", model.Outcome, {"NONE"}),
        ("PurchasePhase", "PURCHASE_PHASE_", model.PurchasePhase, {"UNSPECIFIED"}),
    ],
)
def test_numbered_lists_with_a_zero_are_those_of_the_engine(enum, prefix, engine, beside):
    """Outcomes and phases have the engine's names and numbers; the engine's zero is UNSPECIFIED here."""
    assert names_of(enum, prefix) == {m.name: m.value for m in engine if m.name not in beside}


@pytest.mark.parametrize(
    ("enum", "prefix", "engine"),
    [
        ("Stage", "STAGE_", model.Stage),
        ("Direction", "DIRECTION_", model.Direction),
        ("DesiredAction", "DESIRED_ACTION_", model.DesiredAction),
    ],
)
def test_named_lists_are_those_of_the_engine(enum, prefix, engine):
    """Stages, directions and desired actions have the engine's names in its order, numbered from 1."""
    assert list(names_of(enum, prefix)) == [member.name for member in engine]
    assert list(names_of(enum, prefix).values()) == list(range(1, len(engine) + 1))


def test_fallback_reasons_are_those_of_the_engine():
    """Fallback reasons are the engine's, and one more that only a client can have."""
    ours = names_of("FallbackReason", "FALLBACK_REASON_")
    assert ours.pop("SERVICE_UNAVAILABLE")
    assert ours == {member.name: member.value for member in model.Degraded}


def test_every_reason_names_its_gate():
    """The comment of a reason that stops names the gate that the engine has for it."""
    for reason, gate in model.GATE_OF.items():
        if reason in (model.Reason.CHOSEN, model.Reason.MANDATORY):
            continue
        comment = COMMENT_OF[f"REASON_CODE_{reason.name}"]
        assert comment.startswith(f"Gate {gate.name}: "), reason


def test_gates_are_in_the_order_of_the_model():
    """Gates are numbered without holes in the order in which they are passed."""
    numbers = [value.number for value in explanation_pb2.DESCRIPTOR.enum_types_by_name["Gate"].values]
    assert numbers == list(range(22))


PROTO_TYPE = {FactType.INT: FieldProto.TYPE_INT32, FactType.BOOL: FieldProto.TYPE_BOOL}


@pytest.mark.parametrize("figure", Figure, ids=lambda figure: figure.name.lower())
def test_every_figure_is_in_the_answer(figure):
    """Every computed figure has a field of its own name and type, optional but for enums."""
    field = next(f for f in MESSAGES["CustomerFigures"].field if f.name == figure.name.lower())
    if figure in FIGURE_VALUES:
        enum = figure.name.title().replace("_", "")
        assert field.type_name == f".{PACKAGE}.{enum}"
        values = (
            customer_pb2.DESCRIPTOR.enum_types_by_name.get(enum)
            or common_pb2.DESCRIPTOR.enum_types_by_name[enum]
        )
        names = [f"{figure.name}_{name.upper()}" for name in FIGURE_VALUES[figure]]
        assert [value.name for value in values.values] == [f"{figure.name}_UNSPECIFIED", *names]
        return
    assert field.proto3_optional
    assert field.type == PROTO_TYPE.get(FIGURE_TYPES.get(figure), FieldProto.TYPE_DOUBLE)


def test_absent_is_not_zero_on_the_wire():
    """A figure of zero survives the wire as zero, and an absent one as absent."""
    figures = customer_pb2.CustomerFigures(value_gap=0.0)
    read = customer_pb2.CustomerFigures.FromString(figures.SerializeToString())
    assert read.HasField("value_gap")
    assert not read.HasField("profit_gap")
    entry = interaction_pb2.HistoryEntry(amount=0.0)
    assert interaction_pb2.HistoryEntry.FromString(entry.SerializeToString()).HasField("amount")


def test_known_empty_set_is_not_unknown():
    """A set that is known to be empty survives the wire; a fact without a value is unknown."""
    empty = customer_pb2.Fact(name="needs", members=common_pb2.StringSet())
    read = customer_pb2.Fact.FromString(empty.SerializeToString())
    assert read.WhichOneof("value") == "members"
    assert customer_pb2.Fact(name="needs").WhichOneof("value") is None


def test_customer_is_an_id_or_an_identifier():
    """A request names its customer in one way; setting the other replaces it."""
    request = decision_pb2.DecideRequest(customer_id="4711")
    request.identifier.value = "99"
    assert request.WhichOneof("customer") == "identifier"


def test_proto_files_stay_readable():
    """No proto file grows beyond what a reader takes in."""
    for path in (ROOT / "proto").rglob("*.proto"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 420, path.name
