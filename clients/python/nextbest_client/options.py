"""Settings of the client."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

RETRIED_SERVICES = (
    "loyalty.nextbest.v1.DecisionService",
    "loyalty.nextbest.v1.InteractionService",
    "loyalty.nextbest.v1.SnapshotService",
)
"""Every call of these may be repeated: requests, outcomes and events carry an identity."""
MIN_BACKOFF_MS = 5.0
"""With 1 ms gRPC loses the retry and the call hangs until its deadline (grpc/grpc#41036, grpcio 1.85)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """How the client behaves; the defaults suit a desktop, a till wants a shorter `timeout_ms`."""

    timeout_ms: float = 1000.0
    """Time for a whole call, retries included; a call may be given its own."""
    max_attempts: int = 3
    """Most attempts of a call within its time, 1 to 5; 1 = no retry. Only UNAVAILABLE is retried."""
    initial_backoff_ms: float = 10.0
    """Mean pause before the first retry, at least 5 ms; doubles with each."""
    max_backoff_ms: float = 250.0
    """Longest mean pause between two attempts."""
    reconnect_backoff_ms: int = 200
    """Pause before the first attempt to connect again; until then calls fail at once, none waits."""
    max_reconnect_backoff_ms: int = 5000
    """Longest pause between two attempts to connect: how late the end of an outage may be noticed."""
    max_message_bytes: int = 16 * 1024 * 1024
    """Largest answer that is accepted; a batch of 1,000 full decisions takes about 3 MB."""
    channel_options: Mapping[str, str | int] = field(default_factory=dict[str, str | int])
    """Further gRPC channel options, by name; they win over those made from the settings above."""

    def __post_init__(self) -> None:
        """Refuse what gRPC would take and then not do.

        Raises:
            ValueError: a setting is out of range.
        """
        if not 1 <= self.max_attempts <= 5:
            raise ValueError(f"max_attempts is 1 to 5, not `{self.max_attempts}`")
        if not MIN_BACKOFF_MS <= self.initial_backoff_ms <= self.max_backoff_ms:
            raise ValueError(
                f"backoff goes up from at least {MIN_BACKOFF_MS:g} ms, "
                f"not from `{self.initial_backoff_ms:g}` to `{self.max_backoff_ms:g}`"
            )

    def as_channel_options(self) -> list[tuple[str, str | int]]:
        """The settings as gRPC channel options."""
        made: dict[str, str | int] = {
            "grpc.service_config": self.service_config(),
            "grpc.initial_reconnect_backoff_ms": self.reconnect_backoff_ms,
            "grpc.min_reconnect_backoff_ms": self.reconnect_backoff_ms,
            "grpc.max_reconnect_backoff_ms": self.max_reconnect_backoff_ms,
            "grpc.max_receive_message_length": self.max_message_bytes,
        }
        return list((made | dict(self.channel_options)).items())

    def service_config(self) -> str:
        """The retry and load-balancing policy as gRPC's service config, in JSON."""
        calls: dict[str, object] = {"name": [{"service": service} for service in RETRIED_SERVICES]}
        if self.max_attempts > 1:
            calls["retryPolicy"] = {
                "maxAttempts": self.max_attempts,
                "initialBackoff": _seconds(self.initial_backoff_ms),
                "maxBackoff": _seconds(self.max_backoff_ms),
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            }
        return json.dumps({"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": [calls]})


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.6f}s"
