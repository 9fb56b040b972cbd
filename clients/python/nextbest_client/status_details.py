"""Reads what is wrong with a request out of a gRPC status (google.rpc.Status with BadRequest details).

The three messages are declared in a private pool, field by field as google.rpc publishes them: the client
depends on no package of Google's protos, and clashes with none that the caller has loaded.
"""

from collections.abc import Iterable
from functools import cache
from typing import Protocol, cast

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from nextbest_client.errors import FieldViolation

DETAILS_KEY = "grpc-status-details-bin"
BAD_REQUEST_TYPE = "google.rpc.BadRequest"

_STRING = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
_BYTES = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
_INT32 = descriptor_pb2.FieldDescriptorProto.TYPE_INT32
_MESSAGE = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE


def status_details(code: grpc.StatusCode, message: str, violations: Iterable[FieldViolation]) -> bytes:
    """What a service puts into `DETAILS_KEY`: the inverse of `violations_of`, for the fake."""
    bad_request = _message_type("BadRequest")(
        field_violations=[{"field": v.field, "description": v.description} for v in violations]
    )
    detail = {"type_url": f"type.googleapis.com/{BAD_REQUEST_TYPE}", "value": bad_request.SerializeToString()}
    number: int = code.value[0]
    return _message_type("Status")(code=number, message=message, details=[detail]).SerializeToString()


class _Any(Protocol):
    type_url: str
    value: bytes


class _Status(Protocol):
    details: Iterable[_Any]


class _FieldViolation(Protocol):
    field: str
    description: str


class _BadRequest(Protocol):
    field_violations: Iterable[_FieldViolation]


def violations_of(trailing_metadata: Iterable[tuple[str, str | bytes]] | None) -> tuple[FieldViolation, ...]:
    """The violations that a call's trailing metadata carries; none if it carries none that can be read."""
    details = (value for key, value in trailing_metadata or () if key == DETAILS_KEY)
    return tuple(violation for value in details for violation in _violations_in(value))


def _violations_in(details: str | bytes) -> Iterable[FieldViolation]:
    try:
        status = cast("_Status", _message_type("Status").FromString(_as_bytes(details)))
        for detail in status.details:
            if detail.type_url.rpartition("/")[2] == BAD_REQUEST_TYPE:
                bad = cast("_BadRequest", _message_type("BadRequest").FromString(detail.value))
                yield from (FieldViolation(v.field, v.description) for v in bad.field_violations)
    except message.DecodeError:
        return  # a proxy's answer: the status code still says enough


def _as_bytes(details: str | bytes) -> bytes:
    return details.encode("latin-1") if isinstance(details, str) else details


@cache
def _message_type(name: str) -> type[message.Message]:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_rpc_file())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"google.rpc.{name}"))


def _rpc_file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="nextbest_client/status.proto", package="google.rpc", syntax="proto3"
    )
    _declare(file, "Any", ("type_url", _STRING, ""), ("value", _BYTES, ""))
    _declare(file, "Status", ("code", _INT32, ""), ("message", _STRING, ""), ("details", _MESSAGE, "Any"))
    _declare(file, "FieldViolation", ("field", _STRING, ""), ("description", _STRING, ""))
    _declare(file, "BadRequest", ("field_violations", _MESSAGE, "FieldViolation"))
    return file


def _declare(
    file: descriptor_pb2.FileDescriptorProto,
    name: str,
    *fields: tuple[str, descriptor_pb2.FieldDescriptorProto.Type.ValueType, str],
) -> None:
    declared = file.message_type.add(name=name)
    for number, (field, kind, of) in enumerate(fields, start=1):
        repeated = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
        single = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
        declared.field.add(
            name=field,
            number=number,
            type=kind,
            label=repeated if of else single,
            type_name=f".google.rpc.{of}" if of else None,
        )
