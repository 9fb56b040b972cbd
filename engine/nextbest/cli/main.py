"""All commands in one tree, and one way of reporting what went wrong."""

import sys

import typer
from rich.console import Console

from nextbest.cli import ask, fit, load, rules, serve, stages
from nextbest.cli.demo import demo
from nextbest.errors import InvalidInput, NextBestError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Next best action by mutual value. Settings come from options or NEXTBEST_* variables.",
)
app.command()(load.load)
app.command("load-history")(load.load_history)
app.command()(serve.serve)
app.command()(serve.warm)
app.command()(ask.decide)
app.command()(ask.why)
app.command()(demo)
app.add_typer(fit.app, name="fit")
app.add_typer(rules.app, name="rules")
app.add_typer(stages.app, name="stages")


def main() -> None:
    """Run a command; an error of ours is said without a traceback and ends with exit code 1."""
    try:
        app()
    except InvalidInput as error:
        console = Console(stderr=True, highlight=False)
        for violation in error.violations:
            console.print(f"error: {violation.field}: {violation.description}", markup=False)
        sys.exit(1)
    except NextBestError as error:
        Console(stderr=True, highlight=False).print(f"error: {error}", markup=False)
        sys.exit(1)
