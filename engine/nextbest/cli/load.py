"""`nextbest load`, `load-history` and `load-identifiers`: files into the store, twice as well as once."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from nextbest.action.memory import require_memory
from nextbest.batch.operations import loading_model
from nextbest.batch.writing import watching
from nextbest.cli.options import (
    AsOf,
    DataDirectory,
    RedisUrl,
    RulebookDirectory,
    clock_at,
    parse_time,
    store_options,
)
from nextbest.cli.progress import through_file
from nextbest.data.history_loader import load_history as load_history_file
from nextbest.data.identifier_loader import load_identifiers as load_identifier_file
from nextbest.data.loader import load_file
from nextbest.data.store import open_store
from nextbest.rulebook.compile import compile_rulebook
from nextbest.settings import Settings

File = Annotated[Path, typer.Argument(help="Parquet or CSV file.", exists=True, dir_okay=False)]


def load(
    file: File,
    rulebook: RulebookDirectory = None,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
    as_of: AsOf = None,
) -> None:
    """Load customer snapshots and fire triggers of what has changed; bad rows go to a reject file."""
    settings = Settings()
    book = compile_rulebook(rulebook or settings.rulebook)
    options = store_options(settings, data_directory, redis_url)

    async def run() -> None:
        with through_file(file.name) as progress:
            async with open_store(options, book.catalogue) as store:
                time = None if as_of is None else parse_time(as_of)
                watched = watching(await loading_model(store, book), now=clock_at(as_of)())
                report = await load_file(
                    file, store.snapshots, as_of=time, progress=progress, watching=watched
                )
                fitted = "ltv" in (await store.artifacts.active()).digests
        if report.loaded and fitted:
            typer.echo("stages stay as they were: `nextbest stages advance` evaluates them")
        _say(report.loaded, report.unchanged, report.rejected, report.rejects)

    asyncio.run(run())


def load_history(
    file: File,
    rulebook: RulebookDirectory = None,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
) -> None:
    """Load contacts, outcomes and events; bad rows go to a reject file, good ones are loaded."""
    settings = Settings()
    book = compile_rulebook(rulebook or settings.rulebook)
    options = store_options(settings, data_directory, redis_url)
    require_memory(book, options.history_retention_s)

    async def run() -> None:
        with through_file(file.name) as progress:
            async with open_store(options, book.catalogue) as store:
                report = await load_history_file(file, store.histories, store.names, progress=progress)
        _say(report.recorded, report.unchanged, report.rejected, report.rejects)

    asyncio.run(run())


def load_identifiers(
    file: File,
    rulebook: RulebookDirectory = None,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
) -> None:
    """Load phone and card numbers: columns customer_id, type, value; those known stay."""
    settings = Settings()
    book = compile_rulebook(rulebook or settings.rulebook)
    options = store_options(settings, data_directory, redis_url)

    async def run() -> None:
        with through_file(file.name) as progress:
            async with open_store(options, book.catalogue) as store:
                report = await load_identifier_file(file, store.identifiers, progress=progress)
        console = Console(highlight=False)
        console.print(f"{report.loaded} loaded, {report.rejected} rejected")
        _point_to(report.rejects)

    asyncio.run(run())


def _say(loaded: int, unchanged: int, rejected: int, rejects: Path | None) -> None:
    console = Console(highlight=False)
    console.print(f"{loaded} loaded, {unchanged} unchanged, {rejected} rejected")
    _point_to(rejects)


def _point_to(rejects: Path | None) -> None:
    if rejects is not None:
        Console(highlight=False).print(f"rejected rows and why: {rejects}")
        raise typer.Exit(2)
