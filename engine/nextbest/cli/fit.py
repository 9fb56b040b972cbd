"""`nextbest fit`: models from the stored population; what is in use stays in use if a fit fails."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from nextbest.batch.calibration import read_later
from nextbest.batch.grid_runs import GridOptions, GridRun, Told, fit_grid, fit_grid_of_file
from nextbest.batch.ltv_runs import BuyersFit, LtvRun, fit_and_check_ltv, fit_ltv_of_file
from nextbest.batch.purchase_histories import Purchases
from nextbest.cli.moments import AsOfData, fitting_time
from nextbest.cli.options import DataDirectory, RedisUrl, RulebookDirectory, store_options
from nextbest.cli.progress import counting, counting_up, through_file
from nextbest.data.artifacts import ArtifactFiles
from nextbest.data.store import Store, open_store
from nextbest.errors import InvalidInput, Violation
from nextbest.potential.ltv_calibration import class_names
from nextbest.potential.retention import RetentionModel, retention_rows
from nextbest.potential.selection import BackOffChoice
from nextbest.rows import RowCodec
from nextbest.rulebook.compile import compile_rulebook
from nextbest.rulebook.rulebook import Rulebook
from nextbest.settings import Settings

BENCHMARK = "Potential is a benchmark: what similar customers reach, not a forecast."

_RENEWALS_SHOWN = 6

app = typer.Typer(no_args_is_help=True, help="Fit models on the stored snapshots and put them into use.")

Out = Annotated[Path, typer.Option("--out", help="Directory for the artifact, plots and their data.")]
DEFAULT_OUT = Path("var/fits")
Source = Annotated[
    Path | None,
    typer.Option(
        "--from",
        help="Fit on a Parquet or CSV file of snapshots, of any size, instead of those stored.",
        exists=True,
        dir_okay=False,
    ),
]


@app.command()
def ltv(
    rulebook: RulebookDirectory = None,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
    as_of: AsOfData = None,
    source: Source = None,
    hold_out: Annotated[
        Path | None,
        typer.Option(
            help="Later snapshots of the same customers, Parquet or CSV: what they bought since is"
            " compared with what the fit expects.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    out: Out = DEFAULT_OUT,
) -> None:
    """Fit lifetime value: buyers by BG/NBD and Gamma-Gamma, checked; contracts by retention."""
    settings = Settings()
    book = compile_rulebook(rulebook or settings.rulebook)
    options = store_options(settings, data_directory, redis_url)
    later = None if hold_out is None else _later(hold_out, book)

    async def run() -> LtvRun:
        async with open_store(options, book.catalogue) as store:
            now = await fitting_time(store, as_of)
            if source is None:
                with counting("customers") as progress:
                    return await fit_and_check_ltv(
                        store, book, now=now, directory=out, later=later, progress=progress
                    )
            time = None if as_of is None else now
            with through_file(source.name) as share:
                return await fit_ltv_of_file(
                    store, book, source, now=now, directory=out, as_of=time, later=later, progress=share
                )

    found = asyncio.run(run())
    _show_ltv(Console(), found)
    if found.rejects is not None:
        raise typer.Exit(2)


def _later(path: Path, book: Rulebook) -> Purchases:
    later, bad = read_later(path, RowCodec(book.catalogue))
    if bad:
        Console(stderr=True).print(f"{bad} rows of {path.name} are bad and left out", highlight=False)
    return later


def _show_ltv(console: Console, run: LtvRun) -> None:
    if run.buyers is not None:
        _show_buyers(console, run.buyers)
    if run.contracts is not None:
        _show_contracts(console, run.contracts)
    for warning in run.warnings:
        console.print(f"warning: {warning}", markup=False, highlight=False)
    if run.rejects is not None:
        _show_rejects(console, run.rejected, run.rejects)
    for role, digest in run.digests.items():
        console.print(f"in use: {role} {digest[:12]}", highlight=False)
    if run.buyers is not None:
        base = run.directory / run.buyers.stem
        console.print(f"files: {base}.png, .json, .csv", highlight=False, soft_wrap=True)


def _show_rejects(console: Console, rows: int, path: Path) -> None:
    console.print(f"{rows} rows left out, listed with why in {path}", highlight=False, soft_wrap=True)


def _show_buyers(console: Console, run: BuyersFit) -> None:
    found = run.parameters
    table = Table("parameter", "value", "standard error", title="lifetime value")
    for name, value in {**asdict(found.bgnbd), **asdict(found.gamma_gamma)}.items():
        error = found.standard_errors.get(name)
        table.add_row(name, f"{value:.4f}", "cannot tell" if error is None else f"{error:.4f}")
    console.print(table)
    console.print(f"{found.n} buyers, ln L {found.log_likelihood:.1f}", highlight=False)
    seen, held = run.check.in_sample, run.check.held_out
    table = Table("repeat purchases", "customers", "expected")
    for k, name in enumerate(class_names(seen.width)):
        table.add_row(name, str(seen.customers[k]), f"{seen.expected_customers[k]:.0f}")
    console.print(table)
    if held is None:
        return
    table = Table("repeat purchases at the fit", "bought in the hold-out, mean", "expected")
    for k, name in enumerate(class_names(held.width)):
        table.add_row(name, f"{held.purchases[k]:.2f}", f"{held.expected[k]:.2f}")
    console.print(table)
    text = (
        f"held out, {held.weeks:.1f} weeks: {held.total:.0f} purchases,"
        f" {held.expected_total:.0f} expected; off by {held.mean_absolute_error:.2f} a customer,"
        f" correlation {held.correlation:.2f}; {run.check.unmatched} buyers are not in the file"
    )
    console.print(text, highlight=False)


def _show_contracts(console: Console, found: RetentionModel) -> None:
    text = f"{found.contracts} contracts, {found.renewals:.0f} renewals came up, {found.rate:.3f} were made"
    console.print(text, highlight=False)
    if found.alpha is None or found.beta is None:
        return
    table = Table("renewal", *(str(k + 1) for k in range(_RENEWALS_SHOWN)), title="retention by tenure")
    rates = retention_rows(np.arange(float(_RENEWALS_SHOWN)), found.alpha, found.beta)
    table.add_row(f"alpha {found.alpha:.3f}, beta {found.beta:.3f}", *(f"{rate:.3f}" for rate in rates))
    console.print(table)


@app.command()
def grid(
    rulebook: RulebookDirectory = None,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
    as_of: AsOfData = None,
    source: Source = None,
    m: Annotated[
        float | None, typer.Option(help="Weight of a cell's parent, in customers; default: chosen.", min=0)
    ] = None,
    accept_leak: Annotated[
        list[str] | None, typer.Option(help="A peer dimension that may follow an outcome all the same.")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Count anew, whatever an interrupted fit had counted.")
    ] = False,
    out: Out = DEFAULT_OUT,
) -> None:
    """Fit the peer grid. An interrupted fit goes on where it stopped."""
    settings = Settings()
    book = compile_rulebook(rulebook or settings.rulebook)
    unknown = set(accept_leak or ()) - set(book.strategy.peer_dimensions)
    if unknown:
        problems = [Violation("accept_leak", f"`{name}` is no peer dimension") for name in sorted(unknown)]
        raise InvalidInput(problems)
    options = GridOptions(m=m, accepted_leaks=accept_leak or (), restart=restart, files=ArtifactFiles(out))
    stored = store_options(settings, data_directory, redis_url)

    async def run() -> GridRun:
        async with open_store(stored, book.catalogue) as store:
            now = await fitting_time(store, as_of)
            if source is None:
                return await _from_redis(store, book, now, options)
            with through_file(source.name) as progress:
                time = None if as_of is None else now
                return await fit_grid_of_file(
                    store, book, source, now=now, as_of=time, options=options, progress=progress
                )

    found = asyncio.run(run())
    _show_grid(Console(), found)
    if found.rejects is not None:
        raise typer.Exit(2)


def _idle(choice: BackOffChoice | None, outcomes: Sequence[str]) -> list[str]:
    """What the peer dimensions tell nothing of."""
    if choice is None:
        return []
    names = [name for name, idle in zip(outcomes, choice.idle.tolist(), strict=False) if idle]
    return [
        f"peers say nothing of `{name}`: held out, everybody's quantile is as close as that of the own cell;"
        " choose other `potential.peer_dimensions`"
        for name in names
    ]


async def _from_redis(store: Store, book: Rulebook, now: float, options: GridOptions) -> GridRun:
    with counting_up("customers") as bar:
        return await fit_grid(store, book, now=now, options=options, told=Told(bar.advance, bar.expect))


def _show_grid(console: Console, run: GridRun) -> None:
    fit, found = run.fit, run.fit.fitted.grid
    cells, dimensions = len(found.tree.parent), " > ".join(found.dimensions)
    if run.resumed:
        console.print(
            f"went on after {run.resumed} customers of an interrupted fit (`--restart` counts anew)",
            highlight=False,
        )
    text = f"{fit.customers} of {run.seen} customers counted, in {cells} cells by {dimensions}"
    console.print(text, highlight=False)
    if run.gone:
        text = f"{run.gone} customers were removed while they were counted, and are not in it"
        console.print(text, highlight=False)
    if run.unreadable:
        console.print(f"warning: {run.unreadable} snapshots cannot be read", highlight=False)
    if fit.choice is None:
        console.print(f"m = {found.m:g}, as given or by default", highlight=False)
    else:
        table = Table("held-out pinball loss", *found.outcomes[: fit.choice.root.size], title="back-off")
        table.add_row("root alone", *(f"{loss:.1f}" for loss in fit.choice.root))
        table.add_row("cells alone", *(f"{loss:.1f}" for loss in fit.choice.cell))
        for weight, losses in zip(fit.choice.candidates, fit.choice.losses, strict=True):
            name = f"m = {weight:g}" + (" (chosen)" if weight == fit.choice.m else "")
            table.add_row(name, *(f"{loss:.1f}" for loss in losses))
        console.print(table)
    for warning in (*fit.leaks, *fit.warnings, *_idle(fit.choice, found.outcomes)):
        console.print(f"warning: {warning}", markup=False, highlight=False)
    if run.rejects is not None:
        _show_rejects(console, run.rejected, run.rejects)
    console.print(f"in use: grid {run.digest[:12]}", highlight=False)
    console.print(BENCHMARK)
