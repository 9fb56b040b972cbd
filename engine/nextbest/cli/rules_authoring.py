"""`nextbest rules new`, `new-action` and `fmt`: rule files begun from templates, and laid out alike."""

import os
from pathlib import Path
from typing import Annotated

import typer

from nextbest.rulebook.diagnostics import errors_in, render_text
from nextbest.rulebook.formatting import FormattingError, formatted
from nextbest.rulebook.source import SourceFile, load_source
from nextbest.rulebook.starting import start_action, start_rulebook, write_own_schemas
from nextbest.rulebook.verify import verify_source

Rulebook = Annotated[Path, typer.Argument(help="Directory of the rulebook.")]


def new(
    directory: Annotated[Path, typer.Argument(help="Directory to begin; must be empty or absent.")],
    template: Annotated[str, typer.Option(help="`minimal`, or `grocery` for a full example.")] = "minimal",
) -> None:
    """Begin a rulebook that compiles, with schemas for the editor beside it."""
    for path in start_rulebook(directory, template):
        typer.echo(path)
    _check(directory)
    typer.echo(f"next: `nextbest rules check {directory}`")


def new_action(
    directory: Rulebook,
    action: Annotated[str, typer.Argument(help="Id of the new action; stays the same for ever.")],
) -> None:
    """Begin an action in a file of its own, in the rulebook's languages."""
    path = start_action(directory, action)
    write_own_schemas(directory)
    typer.echo(path)
    _check(directory)


def fmt(
    directory: Rulebook,
    check: Annotated[
        bool, typer.Option("--check", help="Only say which files differ; exit code 1 if any does.")
    ] = False,
) -> None:
    """Lay rule files out alike: white space only, never comments, quotes or meaning."""
    source = load_source(directory)
    failed = [d for d in source.diagnostics if not any(d.file == f.path for f in source.files)]
    for diagnostic in failed:
        typer.echo(f"{diagnostic.file}: {diagnostic.message}", err=True)
    outcomes = [_format(file, directory, check=check) for file in source.files]
    if failed or not all(outcomes):
        raise typer.Exit(1)


def _format(file: SourceFile, directory: Path, *, check: bool) -> bool:
    """Format a file; False if it cannot be, or, when only checking, if it would change."""
    path = directory / file.path
    try:
        text = formatted(file.text)
    except FormattingError as error:
        typer.echo(f"{path}: left as it is: {error}", err=True)
        return False
    if path.read_bytes() == text.encode():
        return True
    typer.echo(f"would change {path}" if check else f"changed {path}")
    if not check:
        _replace(path, text)
    return not check


def _replace(path: Path, text: str) -> None:
    """Write beside the file and put it in its place: a crash leaves the old one."""
    target = path.resolve()
    fresh = target.with_name(f".{target.name}.new")
    fresh.write_bytes(text.encode())
    fresh.chmod(target.stat().st_mode)
    os.replace(fresh, target)  # noqa: PTH105  (says that it overwrites)


def _check(directory: Path) -> None:
    source = load_source(directory)
    diagnostics = verify_source(source)
    if diagnostics:
        typer.echo(render_text(diagnostics, source.by_path), err=True)
    if errors_in(diagnostics):
        raise typer.Exit(1)
