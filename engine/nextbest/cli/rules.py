"""`nextbest rules`: check a rulebook, and keep the editor's schemas in step."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nextbest.author_tests import (
    render_report,
    render_report_github,
    render_report_json,
    run_tests,
)
from nextbest.behaviour.patterns import WorkerLimits
from nextbest.behaviour.patterns.diagnosis import refused_patterns
from nextbest.rulebook.diagnostics import (
    Diagnostic,
    errors_in,
    in_order,
    render_github,
    render_json,
    render_text,
    summary,
)
from nextbest.rulebook.schema import MODELS, render_schema, schema_path, write_schemas
from nextbest.rulebook.source import RulebookSource, load_source
from nextbest.rulebook.starting import stale_schemas, write_own_schemas
from nextbest.rulebook.verify import verified_parts

app = typer.Typer(no_args_is_help=True, help="Check and test rulebooks.")

PATTERN_TIMEOUT_S = 20.0
"""A thousand patterns get ready in some three seconds on a busy machine."""


class Format(StrEnum):
    """How diagnostics are written."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


@app.command()
def check(
    directory: Annotated[Path, typer.Argument(help="Directory of the rulebook.")],
    form: Annotated[Format, typer.Option("--format", help="How problems are written.")] = Format.TEXT,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    no_patterns: Annotated[
        bool,
        typer.Option("--no-patterns", help="Do not show event patterns to their library, in a process."),
    ] = False,
    pattern_timeout_s: Annotated[
        float, typer.Option("--pattern-timeout", min=0.01, help="Seconds that the process may take.")
    ] = PATTERN_TIMEOUT_S,
) -> None:
    """Say everything that is wrong or doubtful in a rulebook; exit code 1 if it does not compile."""
    source = load_source(directory)
    parts, diagnostics = verified_parts(source)
    if parts is not None and not no_patterns:
        limits = WorkerLimits(start_timeout_s=pattern_timeout_s)
        diagnostics = in_order([*diagnostics, *refused_patterns(parts, limits)])
    typer.echo(_rendered(diagnostics, form, source, directory).rstrip("\n"))
    if errors_in(diagnostics) or (strict and diagnostics):
        if form is not Format.TEXT:  # text ends with it already
            typer.echo(summary(diagnostics), err=True)
        raise typer.Exit(1)


def _rendered(diagnostics: list[Diagnostic], form: Format, source: RulebookSource, directory: Path) -> str:
    match form:
        case Format.JSON:
            return render_json(diagnostics)
        case Format.GITHUB:
            return render_github(diagnostics, prefix=str(directory))
        case Format.TEXT:
            return render_text(diagnostics, source.by_path) or "no problems"


@app.command("test")
def run_author_tests(
    directory: Annotated[Path, typer.Argument(help="Directory of the rulebook.")],
    form: Annotated[Format, typer.Option("--format", help="How the outcome is written.")] = Format.TEXT,
) -> None:
    """Run the tests in tests/*_test.yaml through the real decision; exit code 1 if one fails."""
    source = load_source(directory)
    report = run_tests(source)
    match form:
        case Format.JSON:
            text = render_report_json(report)
        case Format.GITHUB:
            text = render_report_github(report, prefix=str(directory))
        case Format.TEXT:
            text = render_report(report, source)
    typer.echo(text, nl=False)
    if not report.passed:
        raise typer.Exit(1)


@app.command()
def schema(
    directory: Annotated[Path, typer.Argument(help="Where the schemas lie.")] = Path("rules/.schema"),
    check: Annotated[
        bool, typer.Option("--check", help="Only compare; exit code 1 on a difference.")
    ] = False,
    rulebook: Annotated[
        Path | None,
        typer.Option("--for", help="Rulebook whose names to fill in; its `.schema` folder is written."),
    ] = None,
) -> None:
    """Write the JSON Schema of every kind of rule file, by which editors complete and explain."""
    if rulebook is not None:
        _own_schema(rulebook, check=check)
        return
    if not check:
        write_schemas(directory)
        return
    stale = [path for kind in MODELS if not _is_current(path := schema_path(directory, kind), kind)]
    _fail_on(stale)


def _own_schema(rulebook: Path, *, check: bool) -> None:
    if check:
        _fail_on(stale_schemas(rulebook))
    else:
        typer.echo(write_own_schemas(rulebook))


def _fail_on(stale: list[Path]) -> None:
    for path in stale:
        typer.echo(f"{path} is not what `nextbest rules schema` writes", err=True)
    if stale:
        raise typer.Exit(1)


def _is_current(path: Path, kind: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == render_schema(kind)
