"""`nextbest export`, `erase` and `lessons`: what is kept about customers, out, away, and learnt from."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.table import Table

from nextbest.cli.options import (
    Address,
    DataDirectory,
    RedisUrl,
    RulebookDirectory,
    service_client,
    store_options,
)
from nextbest.data.lessons import Lesson
from nextbest.data.store import open_store
from nextbest.rulebook.compile import compile_rulebook
from nextbest.settings import Settings

Customer = Annotated[str, typer.Argument(help="The customer's id.")]


def export(
    customer: Customer,
    out: Annotated[Path | None, typer.Option(help="JSON file to write; none = standard output.")] = None,
    address: Address = None,
) -> None:
    """Hand out all that is kept about a customer as one JSON document."""
    with service_client(address) as client:
        document = MessageToDict(client.export(customer), preserving_proto_field_name=True)
    text = json.dumps(document, indent=2, ensure_ascii=False)
    if out is None:
        typer.echo(text)
        return
    out.touch(mode=0o600)
    out.write_text(f"{text}\n", encoding="utf-8")
    typer.echo(f"written to {out}; it is readable by you only, as it holds personal data")


def erase(
    customer: Customer,
    reason: Annotated[str, typer.Option(help="For the record of erasures; must not identify anyone.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    address: Address = None,
) -> None:
    """Remove all that is kept about a customer, for good; may be repeated."""
    if not yes:
        typer.confirm(f"erase all that is kept about `{customer}`, for good?", abort=True)
    with service_client(address) as client:
        erased = client.erase(customer, reason=reason)
    typer.echo(
        f"erased: {int(erased.snapshot_erased)} snapshot, {erased.identifiers_erased} identifiers,"
        f" {erased.history_entries_erased} entries of history, {erased.decisions_erased} logged decisions"
    )


def lessons(
    rulebook: RulebookDirectory = None,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list instead of a table.")] = False,
) -> None:
    """Count outcomes by reason code, action and month: what there is to learn from."""
    settings = Settings()
    book = compile_rulebook(rulebook or settings.rulebook)
    options = store_options(settings, data_directory, redis_url)

    async def counted() -> dict[Lesson, int]:
        async with open_store(options, book.catalogue) as store:
            return await store.lessons.counts()

    counts = asyncio.run(counted())
    if as_json:
        typer.echo(json.dumps([{**lesson._asdict(), "count": count} for lesson, count in counts.items()]))
        return
    table = Table("reason code", "action", "outcome", "month", "count")
    for lesson, count in counts.items():
        table.add_row(lesson.reason_code, lesson.action, lesson.outcome, lesson.month, str(count))
    Console(markup=False, highlight=False).print(table)
