"""`nextbest serve`: the service in the foreground; `nextbest warm`: kernels compiled ahead of time."""

import asyncio
from typing import Annotated

import typer
import uvloop

from nextbest.batch.operations import data_time
from nextbest.cli.moments import OF_DATA
from nextbest.cli.options import (
    DataDirectory,
    RedisUrl,
    RulebookDirectory,
    clock_at,
    log_options,
    serving_options,
    store_options,
)
from nextbest.clock import Clock, shifted_clock
from nextbest.data.store import StoreOptions, open_store
from nextbest.rulebook.compile import compile_rulebook
from nextbest.rulebook.rulebook import Rulebook
from nextbest.server.app import ServiceOptions, serve_until_stopped
from nextbest.server.warmup import warm_cache
from nextbest.settings import Settings
from nextbest.telemetry import configure_logging


def serve(
    rulebook: RulebookDirectory = None,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of decisions, interactions and snapshots.")] = None,
    rulebook_port: Annotated[int | None, typer.Option(help="Port of the rulebook service.")] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Shift the clock to this ISO time, or to that of the data: `data`.")
    ] = None,
) -> None:
    """Serve decisions until SIGTERM or Ctrl-C; logs are JSON lines on standard error."""
    settings = Settings()
    configure_logging(settings.log_level)
    book = compile_rulebook(rulebook or settings.rulebook)
    options = ServiceOptions(
        host=host or settings.host,
        port=settings.port if port is None else port,
        rulebook_port=settings.rulebook_port if rulebook_port is None else rulebook_port,
        drain_s=settings.drain_s,
        log=log_options(settings),
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if as_of == OF_DATA:
            clock = runner.run(_clock_of_data(store_options(settings, data_directory, redis_url), book))
        else:
            clock = clock_at(as_of)
        data = serving_options(settings, data_directory, redis_url)
        runner.run(serve_until_stopped(options, data, book, clock))


async def _clock_of_data(data: StoreOptions, rulebook: Rulebook) -> Clock:
    async with open_store(data, rulebook.catalogue) as store:
        return shifted_clock(await data_time(store))


def warm(rulebook: RulebookDirectory = None) -> None:
    """Compile every kernel into the cache, so that the first start is quick and starts can be parallel."""
    configure_logging("info")
    warm_cache(compile_rulebook(rulebook or Settings().rulebook))
