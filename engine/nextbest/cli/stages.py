"""`nextbest stages`: the stage state that snapshots hold."""

import asyncio
from collections.abc import Mapping

import typer
from rich.console import Console

from nextbest.assembly import yearly_discount
from nextbest.batch.endless_contracts import EndlessContracts
from nextbest.batch.operations import advance_all_stages, load_model
from nextbest.cli.moments import AsOfData, acting_time
from nextbest.cli.options import DataDirectory, RedisUrl, RulebookDirectory, store_options
from nextbest.cli.progress import counting
from nextbest.data.store import open_store
from nextbest.rulebook.compile import compile_rulebook
from nextbest.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The stage state that snapshots hold.")


@app.callback()
def stages() -> None:
    """The stage state that snapshots hold."""


@app.command()
def advance(
    rulebook: RulebookDirectory = None,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
    as_of: AsOfData = None,
) -> None:
    """Advance every customer's stage: after a fit, or after a change of the rulebook."""
    settings = Settings()
    book = compile_rulebook(rulebook or settings.rulebook)
    options = store_options(settings, data_directory, redis_url)

    async def run() -> tuple[Mapping[str, int], EndlessContracts]:
        with counting("customers") as progress:
            async with open_store(options, book.catalogue) as store:
                model, now = await load_model(store, book), await acting_time(store, as_of)
                endless = EndlessContracts(book, yearly_discount(book, model.artifacts))
                counts = await advance_all_stages(store, model, now=now, endless=endless, progress=progress)
                return counts, endless

    counts, endless = asyncio.run(run())
    Console().print(
        ", ".join(f"{count} {what}" for what, count in counts.items()) or "no customers", highlight=False
    )
    if endless.note:
        Console(stderr=True).print(f"warning: {endless.note}", markup=False, highlight=False)
