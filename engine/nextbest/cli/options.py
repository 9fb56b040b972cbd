"""Options that several commands share; what is not given comes from the settings."""

import datetime as dt
import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from nextbest.clock import Clock, shifted_clock, system_clock
from nextbest.data.decision_log import LogLimits
from nextbest.data.store import StoreOptions
from nextbest.errors import InvalidInput, Violation
from nextbest.model import DAY_S
from nextbest.server.decision_log import LogOptions, WhenFull
from nextbest.settings import Settings
from nextbest_client import ClientOptions, NextBestClient

DataDirectory = Annotated[
    Path | None, typer.Option(help="Directory of the embedded Redis; not used with --redis-url.")
]
RedisUrl = Annotated[str | None, typer.Option(help="Your Redis instead of the embedded one.")]
RulebookDirectory = Annotated[Path | None, typer.Option("--rulebook", help="Directory of the rulebook.")]
AsOf = Annotated[str | None, typer.Option(help="Time to act at: an ISO date or date-time (UTC).")]
Address = Annotated[str | None, typer.Option(help="host:port of the service.")]

_AT_A_TERMINAL = ClientOptions(
    timeout_ms=30_000.0, channel_options={"grpc.max_receive_message_length": 256 * 1024 * 1024}
)
"""A person waits longer than a till; and all that is kept about a customer may be more than clients take."""


def service_client(address: str | None) -> NextBestClient:
    """A client of the service at an address, host:port; None = where the settings say."""
    settings = Settings()
    return NextBestClient(address or f"{settings.host}:{settings.port}", options=_AT_A_TERMINAL)


def store_options(settings: Settings, data_directory: Path | None, redis_url: str | None) -> StoreOptions:
    """Where the data are, for work on a population; `serving_options` is for a service.

    A directory that is not there yet is said on standard error: it may be a misspelt one, and holds nobody.
    """
    options = _store_options(settings, data_directory, redis_url)
    if not options.redis_url and not options.data_directory.exists():
        typer.echo(
            f"note: the data directory {options.data_directory} is new: nothing is stored in it", err=True
        )
    return options


def _store_options(settings: Settings, data_directory: Path | None, redis_url: str | None) -> StoreOptions:
    return StoreOptions(
        redis_url=settings.redis_url if redis_url is None else redis_url,
        data_directory=data_directory or settings.data_directory,
        prefix=settings.prefix,
        timeout_s=settings.batch_timeout_ms / 1000,
        history_entries=settings.history_entries,
        kept_decisions_s=settings.kept_decisions_s,
        log=LogLimits(settings.decision_log_retention_s, settings.decision_log_most),
        history_retention_s=settings.history_days * DAY_S or math.inf,
        snapshot_expiry_s=int(settings.snapshot_days * DAY_S),
        erasure_guard_s=settings.erasure_guard_s,
    )


def serving_options(settings: Settings, data_directory: Path | None, redis_url: str | None) -> StoreOptions:
    """Where the data are, for a service: a store that is slow is as good as one that is away."""
    options = _store_options(settings, data_directory, redis_url)
    return replace(options, timeout_s=settings.store_timeout_ms / 1000)


def log_options(settings: Settings) -> LogOptions:
    """How a service logs its decisions."""
    return LogOptions(
        sampling=settings.decision_log_sampling,
        when_full=WhenFull(settings.decision_log_when_full),
        queue=settings.decision_log_queue,
        masked=tuple(filter(None, map(str.strip, settings.decision_log_masked.split(",")))),
    )


def clock_at(as_of: str | None) -> Clock:
    """The system's clock, or one that shows `as_of` now.

    Raises:
        InvalidInput: the text is no time.
    """
    return system_clock if as_of is None else shifted_clock(parse_time(as_of))


def parse_time(text: str, option: str = "as_of") -> float:
    """Epoch seconds of an ISO date or date-time, given as an option; UTC unless it says otherwise.

    Raises:
        InvalidInput: the text is no time.
    """
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput([Violation(option, f"`{text}` is not an ISO date or date-time")]) from None
    return (time if time.tzinfo else time.replace(tzinfo=dt.UTC)).timestamp()
