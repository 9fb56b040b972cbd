"""`nextbest fit propensity`: who accepts, learnt from contacts and how they ended."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from nextbest.batch.labelled_rows import Columns
from nextbest.batch.propensity_runs import PropensityOptions, PropensityRun, run_propensity_fit
from nextbest.cli.options import AsOf, DataDirectory, RedisUrl, RulebookDirectory, clock_at, store_options
from nextbest.data.store import open_store
from nextbest.errors import InvalidInput, Violation
from nextbest.learning.rolling_origin import TOP
from nextbest.learning.validation import Interval
from nextbest.rulebook.compile import compile_rulebook
from nextbest.settings import Settings

CAVEAT = "Acceptance, not uplift: unless the contacts were made at random, some would have bought anyway."
SHOWN_FACTS = 12


def propensity(
    model: Annotated[str, typer.Argument(help="Name of the model, as rule files say it.")],
    file: Annotated[
        Path,
        typer.Argument(
            help="Parquet or CSV: one row a contact, facts as of the contact.", exists=True, dir_okay=False
        ),
    ],
    rulebook: RulebookDirectory = None,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
    as_of: AsOf = None,
    outcome: Annotated[
        str, typer.Option(help="Column: 1 or true if accepted, else 0 or false.")
    ] = "accepted",
    group: Annotated[str, typer.Option(help="Column: what is held out together, as a campaign.")] = "group",
    time: Annotated[str, typer.Option(help="Column: when the contact was made.")] = "time",
    known: Annotated[
        str | None, typer.Option(help="Column: when the outcome was known. Default: at once.")
    ] = None,
    customer: Annotated[
        str | None, typer.Option(help="Column: the customer; intervals are drawn over customers.")
    ] = None,
    fact: Annotated[
        list[str] | None, typer.Option(help="A fact to read; repeat. Default: all other columns.")
    ] = None,
    bind: Annotated[
        list[str] | None,
        typer.Option(help="COLUMN=VALUE: says what was offered; fixed at this value in the model."),
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option(help="A fact to read by its logarithm besides money, counts and skew ones."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Directory for artifact and report.")] = Path("var/fits"),
) -> None:
    """Fit a propensity model, check it on later groups than it learnt from, and put it into use."""
    settings = Settings()
    book = compile_rulebook(rulebook or settings.rulebook)
    columns = Columns(outcome, group, time, known, customer, tuple(fact or ()), _bound(bind or []))
    options = PropensityOptions(model, file, columns, out, tuple(log or ()))
    stored = store_options(settings, data_directory, redis_url)

    async def run() -> PropensityRun:
        async with open_store(stored, book.catalogue) as store:
            return await run_propensity_fit(store, book, options, now=clock_at(as_of)())

    _show(Console(), asyncio.run(run()))


def _bound(texts: list[str]) -> dict[str, float]:
    bound, problems = dict[str, float](), list[Violation]()
    for text in texts:
        name, _, value = text.partition("=")
        try:
            bound[name] = float(value)
        except ValueError:
            problems.append(Violation("bind", f"`{text}` is not COLUMN=NUMBER"))
    if problems:
        raise InvalidInput(problems)
    return bound


def _show(console: Console, run: PropensityRun) -> None:
    checked, trained = run.validation, run.model.trained_on
    _say(console, f"{run.model.id}: {trained['rows']} contacts, {trained['accepted']} accepted")
    _say(
        console,
        f"checked on {checked.rows} contacts, {checked.accepted} accepted, of {len(checked.groups)} groups,"
        " each by a model of the groups that had ended before it:",
    )
    table = Table("out of time", "value", "95 % interval", "no better than chance")
    table.add_row("AUC within groups", *_interval(checked.auc_within), "0.500")
    table.add_row(f"accepted in the top {TOP:.0%} of a group", *_interval(checked.top), f"{TOP:.3f}")
    table.add_row("calibration error", *_interval(checked.calibration_error), "")
    console.print(table)
    table = Table("tenth", *(str(i + 1) for i in range(len(checked.promised))))
    table.add_row("promised, %", *(f"{100 * share:.1f}" for share in checked.promised))
    table.add_row("came, %", *(f"{100 * share:.1f}" for share in checked.came))
    console.print(table)
    table = Table("fact", "log-odds per standard deviation")
    for name, weight in run.weights[:SHOWN_FACTS]:
        table.add_row(name, f"{weight:+.3f}")
    console.print(table)
    for name, reason in checked.skipped.items():
        _say(console, f"not tested: `{name}`: {reason}")
    for warning in run.warnings:
        _say(console, f"warning: {warning}")
    _say(console, f"in use: propensity/{run.model.id} {run.digest[:12]}")
    _say(console, f"report: {run.report}")
    _say(console, CAVEAT)


def _interval(figure: Interval) -> tuple[str, str]:
    return f"{figure.value:.3f}", f"{figure.low:.3f} to {figure.high:.3f}"


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
