"""`nextbest demo`: the main job on a real shop's data, from files to answers and a back-test."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from nextbest.cli.options import DataDirectory, RulebookDirectory, store_options
from nextbest.demo import labels
from nextbest.demo.files import write_files
from nextbest.demo.history import condense
from nextbest.demo.panel import open_panel
from nextbest.demo.run import DemoOptions, demo_console, run_demo
from nextbest.errors import InvalidInput, Violation
from nextbest.settings import Settings
from nextbest.telemetry import configure_logging


def demo(
    figures: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
    prepare_only: Annotated[
        bool, typer.Option("--prepare-only", help="Load and fit, but ask nothing: for `nextbest serve`.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="A tenth of the bootstrap draws: rougher intervals.")
    ] = False,
    files: Annotated[
        Path | None,
        typer.Option(help="Only write the panel as files for `load` and `fit` into this directory."),
    ] = None,
    data_directory: DataDirectory = None,
    rulebook: RulebookDirectory = None,
) -> None:
    """Show the potential/action model on a public retail panel; ends by itself.

    Always on the embedded Redis: no Redis of yours is touched. Without a data directory everything is
    temporary and gone at the end.
    """
    if figures is not None and not figures.absolute().parent.is_dir():
        raise InvalidInput([Violation("--json", f"there is no directory `{figures.parent}`")])
    if files is not None:
        _write(files)
        return
    settings = Settings()
    configure_logging("warning")
    options = DemoOptions(
        rulebook=rulebook or settings.rulebook,
        store=store_options(settings, data_directory, redis_url=""),
        keep=data_directory is not None,
        prepare_only=prepare_only,
        quick=quick,
        figures=figures,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_demo(options, demo_console()))


def _write(directory: Path) -> None:
    console = demo_console()
    console.print(labels.DATA_SET, "", markup=False, highlight=False)
    for path in write_files(condense(open_panel()), directory):
        console.print(str(path), markup=False, highlight=False, soft_wrap=True)
