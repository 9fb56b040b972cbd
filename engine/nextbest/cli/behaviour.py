"""`nextbest behaviour`: changes in customers' own behaviour, and how often they are found by mistake."""

import asyncio
import datetime as dt
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from nextbest.batch.detection_runs import DetectionReport, advance_behaviour, fired_lines
from nextbest.batch.operations import load_model
from nextbest.behaviour.false_alarms import false_alarm_rate
from nextbest.cli.options import AsOf, DataDirectory, RedisUrl, RulebookDirectory, clock_at, store_options
from nextbest.data.store import open_store
from nextbest.parameters import default_detector_parameters
from nextbest.rulebook.compile import compile_rulebook
from nextbest.settings import Settings
from nextbest.standard_facts import SPEND

CUSTOMERS_SIMULATED = 2_000
"""Series of noise on which false alarms are measured; takes less than a second."""

app = typer.Typer(no_args_is_help=True, help="Changes in customers' own behaviour.")


@app.command()
def advance(
    file: Annotated[
        Path,
        typer.Argument(
            help="Parquet or CSV: customer_id, value (of the period just completed).",
            exists=True,
            dir_okay=False,
        ),
    ],
    rulebook: RulebookDirectory = None,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
    as_of: AsOf = None,
    series: Annotated[str, typer.Option(help="Series that the values are of.")] = SPEND,
    out: Annotated[Path, typer.Option("--out", help="Directory for the evidence of alarms.")] = Path(
        "var/behaviour"
    ),
) -> None:
    """Take one completed period into a series of every customer named, and fire detector triggers."""
    settings = Settings()
    book = compile_rulebook(rulebook or settings.rulebook)
    options = store_options(settings, data_directory, redis_url)
    now = clock_at(as_of)()
    stamp = dt.datetime.fromtimestamp(now, dt.UTC).strftime("%Y%m%dT%H%M%SZ")

    async def run() -> DetectionReport:
        async with open_store(options, book.catalogue) as store:
            evidence = out / f"alarms-{stamp}.csv"
            model = await load_model(store, book)
            return await advance_behaviour(store, model, series, file, now=now, evidence=evidence)

    _show(asyncio.run(run()))


def _show(report: DetectionReport) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"{report.advanced} advanced, {report.taken_before} taken before,"
        f" {report.drops} drops, {report.rises} rises, {report.rejected} rejected"
    )
    if report.drops + report.rises:
        rate = false_alarm_rate(default_detector_parameters(), n_series=CUSTOMERS_SIMULATED).rate
        console.print(
            f"if nobody had changed, about {rate * report.advanced:.1f} of the {report.advanced} would have"
            f" alarmed: {rate:.2%} of watched periods do on normal noise (`behaviour false-alarms`)",
            markup=False,
        )
    for line in fired_lines(report.fired):
        console.print(f"fired {line}", markup=False)
    if report.evidence is not None:
        console.print(f"evidence: {report.evidence}", markup=False)
    if report.rejects is not None:
        console.print(f"rejected rows and why: {report.rejects}", markup=False)
        raise typer.Exit(2)


@app.command("false-alarms")
def false_alarms(
    series: Annotated[
        int, typer.Option(help="Customers simulated.", min=1, max=100_000)
    ] = CUSTOMERS_SIMULATED,
    periods: Annotated[int, typer.Option(help="Periods of each.", min=7, max=1000)] = 104,
    mean: Annotated[float, typer.Option(help="Level of the noise.")] = 100.0,
    deviation: Annotated[float, typer.Option(help="Its standard deviation.", min=0.0)] = 20.0,
) -> None:
    """Measure how often the detector alarms on noise that does not change."""
    rate = false_alarm_rate(
        default_detector_parameters(), n_series=series, n_periods=periods, mean=mean, deviation=deviation
    )
    noise = f"normal noise, mean {mean:g}, deviation {deviation:g}, {series} series of {periods} periods"
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{noise}:\n{rate}", markup=False)
