"""`nextbest score`: the best actions for everybody in a file or in the store, into Parquet."""

import asyncio
import json
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from nextbest.assembly import Model, assemble
from nextbest.batch.operations import data_time, load_artifacts, names_of
from nextbest.batch.part_files import PartFiles
from nextbest.batch.score_runs import FileSource, Run, ScoreReport, Source, StoreSource, score
from nextbest.batch.scoring import SAMPLE, Scoring
from nextbest.batch.situation import situation_of
from nextbest.cli.options import DataDirectory, RedisUrl, RulebookDirectory, parse_time, store_options
from nextbest.cli.progress import through_file
from nextbest.clock import system_clock
from nextbest.data.history_files import HistoryFile, read_history_file
from nextbest.data.learnt_state import load_state
from nextbest.data.rejects import RejectFile, rejects_path
from nextbest.data.store import Store, StoreOptions, open_store
from nextbest.decide import DEFAULT_RESULTS
from nextbest.errors import InvalidInput, Violation
from nextbest.fitted import read_artifacts
from nextbest.model import DecisionState
from nextbest.rulebook.compile import compile_rulebook
from nextbest.rulebook.rulebook import Rulebook
from nextbest.settings import Settings


@dataclass(frozen=True, slots=True)
class _Order:
    """What was asked for on the command line."""

    book: Rulebook
    scoring: Scoring
    file: Path | None
    history: Path | None
    artifacts: Sequence[Path] | None
    stored: StoreOptions | None
    """None = no store."""
    as_of: str | None
    threads: int


def score_population(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="Snapshots, Parquet or CSV as `load` takes them; none = all stored customers.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    *,
    out: Annotated[
        Path,
        typer.Option(help="Where to write: a file if it ends with .parquet, else a directory of parts."),
    ],
    rulebook: RulebookDirectory = None,
    channel: Annotated[str, typer.Option(help="Channel of the contact, as the rulebook names it.")],
    outbound: Annotated[bool, typer.Option("--outbound", help="The company starts the contact.")] = False,
    placement: Annotated[
        list[str] | None, typer.Option(help="Placement asked for, the preferred one first; none = any.")
    ] = None,
    role: Annotated[str, typer.Option(help="Role of the caller.")] = "",
    phase: Annotated[str, typer.Option(help="Phase of the purchase, such as `at_payment`.")] = "unspecified",
    key: Annotated[list[str] | None, typer.Option(help="A context key, as `intent=service`.")] = None,
    max_results: Annotated[int, typer.Option(help="Rows a customer has at most.", min=1, max=25)] = (
        DEFAULT_RESULTS
    ),
    figures: Annotated[bool, typer.Option("--figures", help="Add the customer's figures.")] = False,
    reasons: Annotated[
        bool, typer.Option("--reasons", help="Count why actions ended, for every customer; takes longer.")
    ] = False,
    history: Annotated[
        Path | None,
        typer.Option(
            help="Contacts, outcomes and events as `load-history` takes them; default: those stored.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    artifact: Annotated[
        list[Path] | None,
        typer.Option(help="Fitted model (`.nbart`); default: those in use.", exists=True, dir_okay=False),
    ] = None,
    no_store: Annotated[
        bool,
        typer.Option("--no-store", help="Files alone: nothing learnt, no fits but --artifact."),
    ] = False,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
    as_of: Annotated[
        str | None,
        typer.Option(help="Time to decide at: an ISO date or date-time (UTC); `data` = of what is stored."),
    ] = None,
    salt: Annotated[int, typer.Option(help="Another number explores other actions.")] = 0,
    threads: Annotated[int | None, typer.Option(help="Threads that decide; default: cores.", min=1)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there already.")] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew, whatever an interrupted run has written.")
    ] = False,
    document: Annotated[Path | None, typer.Option("--json", help="Write the summary to this file.")] = None,
) -> None:
    """Decide for a whole population. An interrupted run goes on where it stopped, with its time.

    Bad rows go to a reject file, the others are decided for. Docs: docs/scoring.md.
    """
    settings = Settings()
    if file is None and no_store:
        raise InvalidInput([Violation("file", "is missing: without a store there is nobody to decide for")])
    book = compile_rulebook(rulebook or settings.rulebook)
    asked = situation_of(
        book,
        channel=channel,
        outbound=outbound,
        placements=placement or (),
        role=role,
        phase=phase,
        keys=key or (),
    )
    order = _Order(
        book=book,
        scoring=Scoring(asked, max_results, figures=figures, reasons=reasons, salt=salt),
        file=file,
        history=history,
        artifacts=artifact,
        stored=None if no_store else store_options(settings, data_directory, redis_url),
        as_of=as_of,
        threads=threads or os.cpu_count() or 1,
    )
    with PartFiles(out, overwrite=overwrite, restart=restart) as parts:
        report = asyncio.run(_scored(order, parts))
    if document is not None:
        document.write_text(json.dumps(_document(book, report), indent=1) + "\n", encoding="utf-8")
    _show(Console(highlight=False), book, report)
    if report.rejects is not None:
        raise typer.Exit(2)


async def _scored(order: _Order, parts: PartFiles) -> ScoreReport:
    async with AsyncExitStack() as stack:
        store = None
        if order.stored is not None:
            store = await stack.enter_async_context(open_store(order.stored, order.book.catalogue))
        model = await _model(order, store)
        fresh = Run(
            model,
            await _learnt(model, store),
            order.scoring,
            await _time(order, store),
        )
        run = fresh.taken_up(parts.run, same_time=order.as_of is None)
        source = _source(order, model, store, run.now)
        with through_file(order.file.name if order.file else "customers") as progress:
            return await score(run, source, parts, threads=order.threads, progress=progress)


async def _learnt(model: Model, store: Store | None) -> DecisionState:
    if store is None:
        return DecisionState.initial(len(model.rulebook.actions))
    return await load_state(store, model)


async def _time(order: _Order, store: Store | None) -> float:
    if order.as_of == "data" and store is not None:
        return await data_time(store)
    return system_clock() if order.as_of is None else parse_time(order.as_of)


async def _model(order: _Order, store: Store | None) -> Model:
    if store is None or order.artifacts is not None:
        return assemble(order.book, read_artifacts([path.read_bytes() for path in order.artifacts or ()]))
    return assemble(order.book, await load_artifacts(store))


def _source(order: _Order, model: Model, store: Store | None, now: float) -> Source:
    histories = None if order.history is None else _histories(order.history, model)
    if order.file is not None:
        return FileSource(order.file, model, now=now, histories=histories, store=store)
    if store is None:
        raise InvalidInput([Violation("file", "is missing")])
    return StoreSource(store, model, histories=histories)


def _histories(path: Path, model: Model) -> HistoryFile:
    """The file's histories; its bad rows are listed beside it."""
    with through_file(path.name) as progress:
        found = read_history_file(path, names_of(model.rulebook), progress=progress)
    with RejectFile(rejects_path(path)) as rejects:
        rejects.add(found.faults)
    if rejects.rows:
        Console(stderr=True, highlight=False).print(
            f"{rejects.rows} rows of {path.name} are left out: {rejects.path}", soft_wrap=True
        )
    return found


def _show(console: Console, book: Rulebook, report: ScoreReport) -> None:
    tally = report.tally
    customers = int(tally.customers)
    if report.resumed:
        console.print(f"went on after {report.resumed:,} customers of an interrupted run")
    console.print(_actions_table(book, report))
    console.print(
        f"{customers:,} customers; for {_part(int(tally.nothing), customers)} doing nothing is best"
    )
    console.print(_funnel_table(report))
    explained = int(tally.explained)
    if explained < customers:
        console.print(
            f"funnel of {explained:,} customers, a fixed sample of one in {SAMPLE}; `--reasons` looks at all"
        )
    if report.unreadable:
        console.print(f"warning: {report.unreadable:,} stored snapshots cannot be read")
    console.print("expected, with the rulebook's propensities and effects: no measurement")
    console.print(f"written: {report.out}", soft_wrap=True)
    if report.rejects is not None:
        console.print(f"{report.rejected:,} rows left out, and why: {report.rejects}", soft_wrap=True)


def _actions_table(book: Rulebook, report: ScoreReport) -> Table:
    tally = report.tally
    heads = ("action", "first for", "in the answer of", "score, sum", "cost, sum")
    table = Table(*heads, title=f"recommended, money in {book.currency}", box=SIMPLE)
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    customers = int(tally.customers)
    used = [a for a in range(len(book.actions)) if tally.ranked[a]]
    for action in sorted(used, key=lambda a: (-tally.first[a], -tally.ranked[a], book.actions[a].id)):
        table.add_row(
            book.actions[action].id,
            _part(int(tally.first[action]), customers),
            f"{tally.ranked[action]:,}",
            f"{tally.value[action]:,.2f}",
            f"{tally.cost[action]:,.2f}",
        )
    table.add_section()
    table.add_row(
        "all",
        _part(int(tally.first.sum()), customers),
        f"{tally.ranked.sum():,}",
        f"{tally.value.sum():,.2f}",
        f"{tally.cost.sum():,.2f}",
    )
    return table


def _funnel_table(report: ScoreReport) -> Table:
    table = Table("gate", "entered", "stopped", title="actions × customers", box=SIMPLE)
    for column in table.columns[1:]:
        column.justify = "right"
    for step in report.tally.funnel():
        if step.stopped:
            table.add_row(step.gate.name.lower(), f"{step.entered:,}", _part(step.stopped, step.entered))
    return table


def _part(count: int, total: int) -> str:
    return f"{count:,} ({count / total:.1%})" if total else f"{count:,}"


def _document(book: Rulebook, report: ScoreReport) -> dict[str, object]:
    tally = report.tally
    return {
        "customers": int(tally.customers),
        "doing_nothing_is_best": int(tally.nothing),
        "resumed": report.resumed,
        "unreadable": report.unreadable,
        "rejected": report.rejected,
        "currency": book.currency,
        "actions": {
            action.id: {
                "first": int(tally.first[a]),
                "ranked": int(tally.ranked[a]),
                "score_sum": float(tally.value[a]),
                "cost_sum": float(tally.cost[a]),
            }
            for a, action in enumerate(book.actions)
        },
        "explained": int(tally.explained),
        "funnel": [
            {"gate": step.gate.name.lower(), "entered": step.entered, "stopped": step.stopped}
            for step in tally.funnel()
        ],
        "out": str(report.out),
    }
