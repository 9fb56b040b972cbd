"""All commands in one tree, and one way of reporting what went wrong."""

import sys
from collections.abc import Sequence

import typer
from pydantic import ValidationError
from rich.console import Console

from nextbest.cli import (
    ask,
    behaviour,
    customers,
    evidence,
    fit,
    grid,
    load,
    log,
    patterns,
    propensity,
    replay,
    report,
    rules,
    rules_authoring,
    rules_balance,
    rules_show,
    rules_why,
    serve,
    stages,
)
from nextbest.cli.demo import demo
from nextbest.cli.finance import finance
from nextbest.cli.score import score_population
from nextbest.errors import InvalidInput, NextBestError
from nextbest_client import ClientError

_NOT_WRITTEN = "what is in use stays in use; free space, or name another place, and run it again"
_OUT_OF_MEMORY = (
    "what is in use stays in use, and nothing unfinished is; let the process take more, and run it again"
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Next best action by mutual value. Settings come from options or NEXTBEST_* variables.",
)
app.command()(load.load)
app.command("load-history")(load.load_history)
app.command("load-identifiers")(load.load_identifiers)
app.command()(serve.serve)
app.command()(serve.warm)
app.command()(ask.decide)
app.command()(ask.why)
app.command()(customers.export)
app.command()(customers.erase)
app.command()(customers.lessons)
app.command()(replay.replay)
app.command()(demo)
app.command()(finance)
app.command("score")(score_population)
fit.app.command()(propensity.propensity)
rules.app.command()(rules_authoring.new)
rules.app.command("new-action")(rules_authoring.new_action)
rules.app.command()(rules_authoring.fmt)
rules.app.command()(rules_show.show)
rules.app.command()(rules_balance.balance)
rules.app.command()(rules_why.why)
app.add_typer(fit.app, name="fit")
app.add_typer(grid.app, name="grid")
app.add_typer(report.app, name="report")
app.add_typer(log.app, name="log")
app.add_typer(evidence.app, name="evidence")
app.add_typer(rules.app, name="rules")
app.add_typer(behaviour.app, name="behaviour")
app.add_typer(patterns.app, name="patterns")
app.add_typer(stages.app, name="stages")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; an error of ours is said without a traceback and ends with exit code 1."""
    try:
        app(args=arguments)
    except (NextBestError, ClientError, ValidationError, MemoryError, OSError) as error:
        console = Console(stderr=True, highlight=False)
        for line in _lines(error):
            console.print(f"error: {line}", markup=False, soft_wrap=True)
        sys.exit(1)


def _lines(error: NextBestError | ClientError | ValidationError | MemoryError | OSError) -> list[str]:
    """One line for each thing that is wrong."""
    match error:
        case InvalidInput() | ClientError() if error.violations:
            return [f"{v.field}: {v.description}" for v in error.violations]
        case ValidationError():
            return [f"NEXTBEST_{e['loc'][0]}".upper() + f": {e['msg']}" for e in error.errors()]
        case OSError() if error.filename is not None:
            return [f"`{error.filename}`: {error.strerror}: {_NOT_WRITTEN}"]
        case OSError():
            return [f"{error}: {_NOT_WRITTEN}"]
        case MemoryError():
            return [f"out of memory ({error}): {_OUT_OF_MEMORY}".replace(" ()", "")]
        case _:
            return [str(error)]
