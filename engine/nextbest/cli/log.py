"""`nextbest log`: the decision log as a file."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from nextbest.batch.log_export import COLUMNS, ExportReport, export_log
from nextbest.batch.part_files import PartFiles
from nextbest.cli.options import DataDirectory, RedisUrl, parse_time, store_options
from nextbest.cli.progress import counting
from nextbest.data.store import open_past
from nextbest.errors import InvalidInput, Violation
from nextbest.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The decision log.")

Since = Annotated[
    str | None, typer.Option(help="Logged at this ISO date or date-time (UTC) or later, by Redis' clock.")
]
Until = Annotated[str | None, typer.Option(help="Logged before this ISO date or date-time (UTC).")]


@app.callback()
def log() -> None:
    """The decision log."""


@app.command()
def export(
    out: Annotated[Path | None, typer.Option(help="Parquet file to write; replaced if it is there.")] = None,
    since: Since = None,
    until: Until = None,
    columns: Annotated[
        bool, typer.Option("--columns", help="Say what the columns are; write nothing.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Forget what an interrupted export of the file has written.")
    ] = False,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
) -> None:
    """Write logged decisions to a Parquet file, the oldest first; run it again after an interruption."""
    if columns:
        for name, kind, meaning in COLUMNS:
            typer.echo(f"{name}: {kind}" + (f", {meaning}" if meaning else ""))
        return
    if out is None:
        raise InvalidInput([Violation("--out", "is required: the file to write")])
    options = store_options(Settings(), data_directory, redis_url)

    async def run() -> ExportReport:
        async with open_past(options) as past:
            # An upper bound: what has expired or was erased still has a place in the stream.
            with (
                PartFiles(out, overwrite=True, restart=restart) as parts,
                counting("decisions", await past.decisions.count()) as progress,
            ):
                bounds = {"since": time_of(since, "since"), "until": time_of(until, "until")}
                return await export_log(past.decisions, parts, **bounds, progress=progress)

    _print(asyncio.run(run()), out)


def _print(report: ExportReport, out: Path) -> None:
    """Say what was written, and what is not there and why."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if report.resumed:
        console.print(f"went on after {report.resumed:,} decisions of an interrupted export")
    console.print(f"{report.written:,} decisions written to {out}")
    if report.gone:
        console.print(
            f"{report.gone:,} entries of the log passed over: erased, expired, or made anew further on"
        )
    if report.missing:
        console.print(
            f"warning: {report.missing:,} decisions are missing: they made way for newer ones before they"
            " were read (NEXTBEST_DECISION_LOG_MOST, NEXTBEST_DECISION_LOG_RETENTION_S)"
        )


def time_of(text: str | None, option: str) -> float | None:
    """Epoch seconds of an option's time that may be left out.

    Raises:
        InvalidInput: the text is no time.
    """
    return None if text is None else parse_time(text, option)
