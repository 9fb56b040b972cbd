"""`nextbest evidence`: what captured outcomes say of actions, and forgetting it."""

import asyncio
import json
import math
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from nextbest.batch.evidence_rows import EvidenceRow, evidence_rows
from nextbest.batch.operations import load_model
from nextbest.cli.options import DataDirectory, RedisUrl, RulebookDirectory, store_options
from nextbest.data.learnt_state import load_state
from nextbest.data.store import Store, open_store
from nextbest.errors import InvalidInput, Violation
from nextbest.rulebook.compile import compile_rulebook
from nextbest.rulebook.suggest import did_you_mean
from nextbest.settings import Settings

app = typer.Typer(no_args_is_help=True, help="What captured outcomes say of actions.")


@app.callback()
def evidence() -> None:
    """What captured outcomes say of actions."""


@app.command()
def show(
    action: Annotated[str | None, typer.Argument(help="An action; none = all that were tried.")] = None,
    rulebook: RulebookDirectory = None,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list instead of a table.")] = False,
) -> None:
    """Show counts by action, stage and peer cell, and the propensity that decisions are made with there."""
    settings = Settings()
    book = compile_rulebook(rulebook or settings.rulebook)
    options = store_options(settings, data_directory, redis_url)
    if action is not None and action not in book.action_index:
        raise InvalidInput([_unknown(action, list(book.action_index))])

    async def run() -> list[EvidenceRow]:
        async with open_store(options, book.catalogue) as store:
            model = await load_model(store, book)
            return list(evidence_rows(model, await load_state(store, model), action))

    rows = asyncio.run(run())
    if as_json:
        typer.echo(json.dumps([_document(row) for row in rows]))
    else:
        _print(rows)


@app.command()
def reset(
    action: Annotated[str, typer.Argument(help="The action; also one that the rulebook no longer has.")],
    rulebook: RulebookDirectory = None,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget what was learnt of an action, for good, in all stages and peer cells: it begins at its prior."""
    settings = Settings()
    book = compile_rulebook(rulebook or settings.rulebook)
    options = store_options(settings, data_directory, redis_url)
    if not yes:
        typer.confirm(
            f"forget all successes and failures of `{action}`, for good? histories, lessons and the decision"
            " log stay, but nothing counts them again",
            abort=True,
        )

    async def run() -> _Lost:
        async with open_store(options, book.catalogue) as store:
            return _Lost(*await store.evidence.reset(await _code(store, action)))

    lost = asyncio.run(run())
    typer.echo(
        f"forgotten: {lost.successes} successes and {lost.failures} failures of `{action}`"
        f" in {lost.places} places; services begin again at its prior within seconds"
    )


class _Lost(NamedTuple):
    successes: int
    failures: int
    places: int


async def _code(store: Store, action: str) -> int:
    await store.names.refresh()
    codes = store.names.known("action").codes
    if action not in codes:
        raise InvalidInput([_unknown(action, list(codes))])
    return codes[action]


def _unknown(action: str, known: list[str]) -> Violation:
    hint = did_you_mean(action, known)
    return Violation("action", f"`{action}` is no known action" + (f"; {hint}" if hint else ""))


def _document(row: EvidenceRow) -> dict[str, object]:
    """As JSON, which has no NaN."""
    return {**row._asdict(), "propensity": None if math.isnan(row.propensity) else row.propensity}


def _print(rows: list[EvidenceRow]) -> None:
    table = Table("action", "stage", "peer cell", "successes", "trials", "propensity", "known from")
    for row in rows:
        p = "by model or expression" if math.isnan(row.propensity) else f"{row.propensity:.4f}"
        table.add_row(
            row.action, row.stage, row.cell, f"{row.successes:g}", f"{row.trials:g}", p, row.known_from
        )
    Console(markup=False, highlight=False).print(table)
