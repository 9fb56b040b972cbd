"""`nextbest rules`: check a rulebook."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nextbest.rulebook.compile import check_rulebook
from nextbest.rulebook.diagnostics import errors_in, render_github, render_json, render_text, summary
from nextbest.rulebook.source import load_source

app = typer.Typer(no_args_is_help=True, help="Check rulebooks.")


class Format(StrEnum):
    """How diagnostics are written."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


@app.callback()
def rules() -> None:
    """Check rulebooks."""


@app.command()
def check(
    directory: Annotated[Path, typer.Argument(help="Directory of the rulebook.")],
    form: Annotated[Format, typer.Option("--format", help="How problems are written.")] = Format.TEXT,
) -> None:
    """Say everything that is wrong with a rulebook; exit code 1 if it does not compile."""
    diagnostics = check_rulebook(directory)
    match form:
        case Format.JSON:
            text = render_json(diagnostics)
        case Format.GITHUB:
            text = render_github(diagnostics, prefix=str(directory))
        case Format.TEXT:
            text = render_text(diagnostics, load_source(directory).by_path) if diagnostics else "no problems"
    typer.echo(text)
    if errors_in(diagnostics):
        typer.echo(summary(diagnostics), err=True)
        raise typer.Exit(1)
