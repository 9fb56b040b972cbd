"""`nextbest fit`: models from the stored population; what is in use stays in use if a fit fails."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from nextbest.batch.operations import fit_grid, fit_ltv
from nextbest.cli.options import AsOf, DataDirectory, RedisUrl, RulebookDirectory, clock_at, store_options
from nextbest.cli.progress import counting
from nextbest.data.store import open_store
from nextbest.rulebook.compile import compile_rulebook
from nextbest.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Fit models on the stored snapshots and put them into use.")


@app.command()
def ltv(
    rulebook: RulebookDirectory = None,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
    as_of: AsOf = None,
) -> None:
    """Fit lifetime value (BG/NBD and Gamma-Gamma)."""
    settings = Settings()
    book, options = (
        compile_rulebook(rulebook or settings.rulebook),
        store_options(settings, data_directory, redis_url),
    )

    async def run() -> None:
        with counting("customers") as progress:
            async with open_store(options, book.catalogue) as store:
                found = await fit_ltv(store, book, now=clock_at(as_of)(), progress=progress)
        table = Table("parameter", "value", "standard error", title="lifetime value")
        values = {**vars_of(found.bgnbd), **vars_of(found.gamma_gamma)}
        for name, value in values.items():
            error = found.standard_errors.get(name)
            table.add_row(name, f"{value:.4f}", "cannot tell" if error is None else f"{error:.4f}")
        console = Console()
        console.print(table)
        console.print(f"{found.n} buyers, ln L {found.log_likelihood:.1f}", highlight=False)
        for warning in found.warnings:
            console.print(f"warning: {warning}", markup=False)

    asyncio.run(run())


def vars_of(parameters: object) -> dict[str, float]:
    """A parameter bundle as name to value."""
    return {name: float(getattr(parameters, name)) for name in getattr(parameters, "__slots__", ())}


@app.command()
def grid(
    rulebook: RulebookDirectory = None,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
    as_of: AsOf = None,
    m: Annotated[
        float | None, typer.Option(help="Weight of a cell's parent, in customers; default: chosen.")
    ] = None,
) -> None:
    """Fit the peer grid."""
    settings = Settings()
    book = compile_rulebook(rulebook or settings.rulebook)
    options = store_options(settings, data_directory, redis_url)

    async def run() -> None:
        with counting("customers") as progress:
            async with open_store(options, book.catalogue) as store:
                found = await fit_grid(store, book, now=clock_at(as_of)(), progress=progress, m=m)
        console = Console()
        cells = len(found.fitted.grid.tree.parent)
        dimensions = " > ".join(found.fitted.grid.dimensions)
        console.print(f"{found.customers} customers in {cells} cells by {dimensions}", highlight=False)
        if found.choice is None:
            console.print(f"m = {found.fitted.grid.m:g}, as given or by default", highlight=False)
        else:
            table = Table("held-out pinball loss", *found.fitted.grid.outcomes, title="back-off")
            table.add_row("root alone", *(f"{loss:.1f}" for loss in found.choice.root))
            table.add_row("cells alone", *(f"{loss:.1f}" for loss in found.choice.cell))
            for weight, losses in zip(found.choice.candidates, found.choice.losses, strict=True):
                name = f"m = {weight:g}" + (" (chosen)" if weight == found.choice.m else "")
                table.add_row(name, *(f"{loss:.1f}" for loss in losses))
            console.print(table)
        console.print("Potential is a benchmark: what similar customers reach, not a forecast.")

    asyncio.run(run())
