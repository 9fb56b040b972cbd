"""Health as load balancers ask for it: SERVING only when warm, NOT_SERVING while draining."""

from collections.abc import Iterable
from typing import Protocol, cast

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


class _Servicer(Protocol):
    async def set(self, service: str, status: int) -> None: ...

    async def enter_graceful_shutdown(self) -> None: ...


def _new_servicer() -> object:
    # grpc-stubs does not know the asyncio servicer
    make = health.aio.HealthServicer  # pyright: ignore
    return make()  # pyright: ignore


class Health:
    """The health service of every server of a process."""

    def __init__(self, services: Iterable[str]) -> None:
        self._servicer = cast("_Servicer", _new_servicer())
        self._services = ("", *services)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Answer health checks on a server."""
        servicer = cast("health_pb2_grpc.HealthServicer", self._servicer)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)

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
