"""Registers a service whose methods answer with bytes; typed, as grpc-stubs is here only in part."""

from collections.abc import Callable, Mapping
from typing import Protocol, cast

import grpc.aio


class _Server(Protocol):
    def add_generic_rpc_handlers(self, generic_rpc_handlers: tuple[object], /) -> None: ...


Method = object
"""What `unary` and `streaming` make."""

_unary = cast("Callable[..., Method]", vars(grpc)["unary_unary_rpc_method_handler"])
_streaming = cast("Callable[..., Method]", vars(grpc)["stream_stream_rpc_method_handler"])
_generic = cast("Callable[[str, dict[str, Method]], object]", vars(grpc)["method_handlers_generic_handler"])


def unary(
    method: Callable[..., object],
    parse: Callable[[bytes], object],
    serialize: Callable[..., bytes] | None = None,
) -> Method:
    """A method with one request and one answer; without `serialize` it answers with bytes."""
    return _unary(method, request_deserializer=parse, response_serializer=serialize)


def streaming(method: Callable[..., object], parse: Callable[[bytes], object]) -> Method:
    """A method with streams both ways, that answers with bytes."""
    return _streaming(method, request_deserializer=parse, response_serializer=None)


def add_service(server: grpc.aio.Server, name: str, methods: Mapping[str, Method]) -> None:
    """Serve the methods of a service under its full name."""
    cast("_Server", server).add_generic_rpc_handlers((_generic(name, dict(methods)),))
