"""Settings of a running service, from `NEXTBEST_*` environment variables and command-line options."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where things are and how long they may take."""

    model_config = SettingsConfigDict(env_prefix="NEXTBEST_", frozen=True, extra="ignore")

    redis_url: str = ""
    """Your Redis, such as redis://host:6379/0 or unix:///path; empty = a private embedded server."""
    data_directory: Path = Path("var/data")
    """Where the embedded Redis keeps its data."""
    prefix: str = "nextbest"
    """First part of every key; one per deployment."""
    rulebook: Path = Path("rules/grocery")
    """Directory of the rulebook to serve."""
    host: str = "127.0.0.1"
    port: int = Field(default=50051, ge=0, le=65535)
    """Port of the decision, interaction and snapshot services; 0 = any free one."""
    rulebook_port: int = Field(default=50052, ge=0, le=65535)
    """Port of the rulebook service, so that it can be firewalled apart."""
    store_timeout_ms: int = Field(default=200, gt=0)
    """After so long without a reply from Redis a request degrades."""
    batch_timeout_ms: int = Field(default=30_000, gt=0)
    """As long a command that loads, fits or advances a population waits for a reply."""
    kept_decisions_s: int = Field(default=600, gt=0)
    """A decision is kept so long for retries with the same request_id."""
    history_entries: int = Field(default=128, gt=0, le=4096)
    """Entries kept in each of a customer's two histories."""
    decision_log_sampling: float = Field(default=1.0, ge=0, le=1)
    """Share of decisions that are logged, chosen by decision id; 0 = none."""
    decision_log_when_full: Literal["drop_oldest", "wait", "refuse"] = "drop_oldest"
    """When the log does not keep up: lose the oldest waiting decision, hold answers up until shortly before
    their deadline, or refuse to decide."""
    decision_log_queue: int = Field(default=4096, gt=0)
    """Decisions that may wait to be written; some 5 KB of memory each."""
    decision_log_retention_s: int = Field(default=7 * 86400, gt=0)
    """Logged decisions are kept so long."""
    decision_log_most: int = Field(default=100_000, gt=0)
    """Logged decisions kept at most; the oldest make way. Some 4 KB of Redis each."""
    decision_log_masked: str = ""
    """Facts, and context keys as `context.<key>`, that are not logged, with commas between; decisions logged
    without them cannot be replayed."""
    history_days: float = Field(default=0.0, ge=0)
    """History older than this is dropped, at least the rulebook's longest window; 0 = only what overflows."""
    snapshot_days: int = Field(default=0, ge=0)
    """A snapshot that is not put anew for so long is dropped; 0 = it stays until it is erased."""
    erasure_guard_s: int = Field(default=86_400, gt=0)
    """After an erasure nothing that was under way is recorded for so long; at least kept_decisions_s."""
    drain_s: float = Field(default=10.0, ge=0)
    """Grace for requests in flight when the service is asked to stop."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe events that are logged."""
