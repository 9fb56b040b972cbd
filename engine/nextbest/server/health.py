"""Health as load balancers ask for it: SERVING only when warm, NOT_SERVING while draining."""

from collections.abc import Awaitable, Callable, Iterable
from importlib import import_module
from typing import Protocol, cast

import grpc.aio
from grpc_health.v1 import health_pb2


class _Servicer(Protocol):
    """The asyncio health servicer, which the type stubs do not know."""

    def set(self, service: str, status: int) -> Awaitable[None]: ...

    def enter_graceful_shutdown(self) -> Awaitable[None]: ...


_new_servicer = cast("Callable[[], _Servicer]", import_module("grpc_health.v1.health").aio.HealthServicer)
_add = cast(
    "Callable[[_Servicer, grpc.aio.Server], None]",
    import_module("grpc_health.v1.health_pb2_grpc").add_HealthServicer_to_server,
)


class Health:
    """The health service of every server of a process."""

    def __init__(self, services: Iterable[str]) -> None:
        self._servicer = _new_servicer()
        self._services = ("", *services)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Answer health checks on a server."""
        _add(self._servicer, server)

    async def starting(self) -> None:
        """Say that the service does not answer yet."""
        await self._set(health_pb2.HealthCheckResponse.NOT_SERVING)

    async def ready(self) -> None:
        """Say that the service answers."""
        await self._set(health_pb2.HealthCheckResponse.SERVING)

    async def draining(self) -> None:
        """Say, for good, that no new requests should come."""
        await self._servicer.enter_graceful_shutdown()

    async def _set(self, status: int) -> None:
        for name in self._services:
            await self._servicer.set(name, status)
