"""`nextbest grid show`: where customers stand and what their peers reach, printed and drawn."""

import asyncio
import math
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from nextbest.assembly import PROFIT, VALUE
from nextbest.batch.grid_files import write_overview
from nextbest.batch.grid_page import QUINTILE_NAMES, cell_labels, number, share
from nextbest.batch.operations import load_model
from nextbest.batch.overview import CLASSES, LEVELS, NOT_A_FORECAST, Overview, overview
from nextbest.batch.portraits import read_portraits
from nextbest.batch.recommendations import scenario
from nextbest.cli.fit import DEFAULT_OUT, Out
from nextbest.cli.moments import AsOfData, acting_time
from nextbest.cli.options import DataDirectory, RedisUrl, RulebookDirectory, store_options
from nextbest.cli.progress import counting
from nextbest.data.store import open_store
from nextbest.errors import ArtifactError
from nextbest.facts import STAGE_NAMES
from nextbest.model import F64
from nextbest.potential.position import TASKS
from nextbest.rulebook.compile import compile_rulebook
from nextbest.settings import Settings

SHORT_DIGEST = 12

app = typer.Typer(no_args_is_help=True, help="The position grid and the peer grid.")


@app.callback()
def grid() -> None:
    """The position grid and the peer grid."""


@app.command()
def show(
    rulebook: RulebookDirectory = None,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
    as_of: AsOfData = None,
    channel: Annotated[
        str, typer.Option(help="Channel in which every customer would meet us; default: the best of all.")
    ] = "",
    outbound: Annotated[
        bool | None, typer.Option("--outbound/--inbound", help="Who starts the contact; default: either.")
    ] = None,
    market_size: Annotated[
        float | None,
        typer.Option(
            help="Money a year that the market is worth; default: the strategy's `market_size`.", min=0
        ),
    ] = None,
    cells: Annotated[int, typer.Option(help="Peer cells to print; all are in the data file.", min=0)] = 20,
    out: Out = DEFAULT_OUT,
) -> None:
    """Print both grids, and draw heat maps as PNG and HTML."""
    settings = Settings()
    book = compile_rulebook(rulebook or settings.rulebook)
    options = store_options(settings, data_directory, redis_url)
    over = scenario(book, channel=channel, outbound=outbound)

    async def run() -> tuple[Overview, list[Path]]:
        async with open_store(options, book.catalogue) as store:
            model = await load_model(store, book)
            if model.artifacts.grid is None:
                raise ArtifactError("no grid is in use: run `nextbest fit grid`")
            now = await acting_time(store, as_of)
            with counting("customers") as progress:
                people = await read_portraits(store, model, over, now=now, progress=progress)
        market = book.strategy.market_size if market_size is None else market_size
        found = overview(people, model.artifacts.grid, book, scenario=over.text, market=market)
        stem = f"grid-{model.artifacts.digests['grid'][:SHORT_DIGEST]}-overview"
        return found, write_overview(out, stem, found)

    found, written = asyncio.run(run())
    show_grid(Console(highlight=False), found, cells, written)


def show_grid(console: Console, found: Overview, cells: int, written: list[Path]) -> None:
    """Print an overview, with so many peer cells at most, and name the files that were written."""
    grid, money = found.positions, found.currency
    for title, values in (
        ("customers", grid.count.astype("float64")),
        (f"potential value, mean a customer ({money} a year)", grid.potential[VALUE]),
        (f"customer value gap, sum ({money} a year)", grid.gap[VALUE]),
        (f"potential profit, mean a customer ({money} a year{found.margin.mark})", grid.potential[PROFIT]),
        (f"company profit gap, sum ({money} a year{found.margin.mark})", grid.gap[PROFIT]),
    ):
        console.print(_position_table(title, values, found))
    console.print(
        f"[bold]{NOT_A_FORECAST}[/bold] Figures of fewer than ten customers are not shown, nor what would"
        " tell them: few."
    )
    for caveat in found.caveats:
        console.print(f"caveat: {caveat}", markup=False)
    if found.margin.note:
        console.print(found.margin.note, markup=False)
    console.print(_ladder(found))
    console.print(_effort(found))
    console.print(_mutual(found))
    console.print(_segments(found))
    console.print(_shares(found))
    console.print(_served(found))
    console.print(found.served.verdict)
    console.print(_cells(found, cells))
    if len(found.cells) > cells:
        console.print(f"{len(found.cells) - cells} more cells are in {written[-1]}", soft_wrap=True)
    console.print(
        f"{found.small_cells} cells of fewer than ten customers have the figures of the wider group"
    )
    for leak in found.leaks:
        console.print(f"warning: accepted at the fit: {leak}", markup=False)
    console.print("files: " + ", ".join(str(path) for path in written), soft_wrap=True)


def _position_table(title: str, values: F64, found: Overview) -> Table:
    table = Table("task", *QUINTILE_NAMES, title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    labels = cell_labels(values, found)
    for band in reversed(range(len(TASKS))):
        table.add_row(TASKS[band], *labels[band])
    return table


def _ladder(found: Overview) -> Table:
    table = Table("level", "step", "band", "customers", title="steps of the ladder")
    table.columns[3].justify = "right"
    for step in reversed(found.ladder):
        table.add_row(step.signed_level, step.name.replace("_", " "), TASKS[step.band], step.text)
    return table


def _effort(found: Overview) -> Table:
    effort = found.effort
    title = f"effort: expected cost {number(effort.money)} {found.currency}, {found.scenario}"
    table = Table("effort", "strategy's target", "customers", "expected cost", title=title)
    for k, name in enumerate(CLASSES):
        shares = (effort.target[k], effort.customers[k], effort.cost[k])
        table.add_row(name, *(share(float(value)) for value in shares))
    return table


def _mutual(found: Overview) -> Table:
    title = f"mutual value segments ({found.without_segment} customers without figures{found.margin.mark})"
    table = Table("customers", *(f"{level} profit" for level in LEVELS), title=title)
    for k in reversed(range(len(LEVELS))):
        counts = ("few" if math.isnan(value) else number(value) for value in found.mutual[k].tolist())
        table.add_row(f"{LEVELS[k]} customer value", *counts)
    return table


def _segments(found: Overview) -> Table:
    heads = ("segment", "customers", "attitude known", "in Grow me", "benefit B", "cost", "strategy")
    table = Table(*heads, title="segments")
    for s in found.segments:
        table.add_row(
            s.id,
            "few" if s.customers is None else number(s.customers),
            share(s.attitude),
            "few" if s.growing is None else number(s.growing),
            number(s.benefit, 2),
            number(s.cost, 2),
            {None: "–", True: "integrate", False: "grow"}[s.integrate],
        )
    return table


def _shares(found: Overview) -> Table:
    table = Table("share", "mean", title="share of market, of wallet, of life")
    s = found.shares
    known = f"of wallet (goal: growth), known of {s.wallet_known_customers}"
    for objective, text, value in (
        ("share_of_market", "of market (goal: revenue)", s.market),
        ("share_of_wallet", known, s.wallet_known),
        ("share_of_wallet", "of wallet, estimated from peers", s.wallet_estimated),
        ("share_of_life", "of life (goal: retention)", s.life),
    ):
        mark = " (the strategy's objective)" if objective == found.objective else ""
        table.add_row(text + mark, share(value))
    return table


def _served(found: Overview) -> Table:
    table = Table("stage", *found.served.activities, "sum", title=f"cost to serve ({found.currency} a year)")
    for column in table.columns[1:]:
        column.justify = "right"
    for stage, costs in zip(STAGE_NAMES, found.served.cost, strict=True):
        table.add_row(stage, *("few" if math.isnan(c) else number(c) for c in [*costs, costs.sum()]))
    return table


def _cells(found: Overview, cells: int) -> Table:
    tau = f"{found.tau:.0%}"
    heads = ("peers", "customers", "value, half", f"value, {tau}", "profit, half", f"profit, {tau}")
    unit = f"{found.currency} a year{found.margin.mark}"
    table = Table(*heads, title=f"peer cells: what half and {tau} of the peers stay below ({unit})")
    for column in table.columns[1:]:
        column.justify = "right"
    for cell in found.cells[:cells]:
        figures = (cell.median[VALUE], cell.potential[VALUE], cell.median[PROFIT], cell.potential[PROFIT])
        table.add_row(
            " > ".join(cell.path) or "everybody", number(cell.n[PROFIT]), *(number(v) for v in figures)
        )
    return table
