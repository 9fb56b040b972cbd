"""`nextbest report`: what the rules would do to the stored population, and what came of decisions."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from nextbest.assembly import Model
from nextbest.batch.fitting import Progress
from nextbest.batch.mix_report import MixReport, mix_of
from nextbest.batch.operations import load_model
from nextbest.batch.points_report import PointsReport, points_of
from nextbest.batch.recommendations import scenario
from nextbest.batch.relevance_report import ALARM_SHARE, RelevanceReport, relevance_of
from nextbest.batch.response_report import ResponseReport, responses_of
from nextbest.cli.log import Since, time_of
from nextbest.cli.moments import AsOfData, acting_time
from nextbest.cli.options import DataDirectory, RedisUrl, RulebookDirectory, store_options
from nextbest.cli.progress import counting
from nextbest.data.store import Store, open_store
from nextbest.rulebook.compile import compile_rulebook
from nextbest.rulebook.rulebook import Rulebook
from nextbest.settings import Settings

app = typer.Typer(no_args_is_help=True, help="What the rules would do to the stored population.")

Channel = Annotated[str, typer.Option(help="Channel of the contact; default: every channel.")]
Outbound = Annotated[
    bool | None, typer.Option("--outbound/--inbound", help="Who starts the contact; default: either.")
]
Document = Annotated[Path | None, typer.Option("--json", help="Write the report to this file.")]

R = TypeVar("R", MixReport, RelevanceReport, PointsReport, ResponseReport)


@app.command()
def mix(
    rulebook: RulebookDirectory = None,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
    as_of: AsOfData = None,
    channel: Channel = "",
    outbound: Outbound = None,
    document: Document = None,
) -> None:
    """Count actions, parameters of effort and rewards by stage; exit code 1 if a least share is not met."""
    book = _rulebook(rulebook)
    over = scenario(book, channel=channel, outbound=outbound)

    async def read(store: Store, model: Model, progress: Progress) -> MixReport:
        now = await acting_time(store, as_of)
        return await mix_of(store, model, over, now=now, progress=progress)

    report = _run(book, data_directory, redis_url, read)
    _write(document, report.document())
    _show_mix(Console(highlight=False), report)
    if any(check.is_met is False for check in report.checks):
        raise typer.Exit(1)


@app.command()
def relevance(
    rulebook: RulebookDirectory = None,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
    as_of: AsOfData = None,
    channel: Channel = "",
    outbound: Outbound = None,
    alarm: Annotated[
        float,
        typer.Option(
            help="Share of customers below the channel's threshold that raises an alarm.", min=0.0, max=1.0
        ),
    ] = ALARM_SHARE,
    document: Document = None,
) -> None:
    """Would those whom an action reaches have asked for it? Exit code 1 if an action raises an alarm."""
    book = _rulebook(rulebook)
    over = scenario(book, channel=channel, outbound=outbound)

    async def read(store: Store, model: Model, progress: Progress) -> RelevanceReport:
        now = await acting_time(store, as_of)
        return await relevance_of(store, model, over, now=now, alarm_share=alarm, progress=progress)

    report = _run(book, data_directory, redis_url, read)
    _write(document, report.document())
    _show_relevance(Console(highlight=False), report)
    if any(line.is_alarming for line in report.actions):
        raise typer.Exit(1)


@app.command()
def points(
    rulebook: RulebookDirectory = None,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
    document: Document = None,
) -> None:
    """What is owed to members for points that they have not redeemed."""

    def read(store: Store, model: Model, progress: Progress) -> Awaitable[PointsReport]:
        return points_of(store, model, progress=progress)

    report = _run(_rulebook(rulebook), data_directory, redis_url, read)
    _write(document, report.document())
    console = Console(highlight=False)
    console.print(
        f"{report.customers:,} customers, {report.unknown:,} of them with unknown points\n"
        f"{report.earned:,.0f} points earned, {report.redeemed:,.0f} redeemed, "
        f"{report.outstanding:,.0f} outstanding, in 12 months\n"
        f"liability {report.liability:,.2f} {report.currency} = {report.outstanding:,.0f} × "
        f"{report.face:g} face value × {report.redemption_probability:g} redemption probability"
    )


@app.command()
def response(
    rulebook: RulebookDirectory = None,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
    since: Since = None,
    document: Document = None,
) -> None:
    """Answers per contact by ask-likelihood, from the decision log and captured outcomes."""

    def read(store: Store, model: Model, progress: Progress) -> Awaitable[ResponseReport]:
        batches = store.decisions.scan(since=time_of(since, "since"))
        return responses_of(store, model.rulebook, batches, progress=progress)

    report = _run(_rulebook(rulebook), data_directory, redis_url, read, what="decisions")
    _write(document, report.document())
    _show_responses(Console(highlight=False), report)


def _show_responses(console: Console, report: ResponseReport) -> None:
    table = Table("ask-likelihood", "contacts", "answered", "share", "95 %", box=SIMPLE)
    for column in table.columns[1:]:
        column.justify = "right"
    for tenth in report.tenths:
        table.add_row(
            f"{tenth.lowest:.2f} to {tenth.highest:.2f}",
            f"{tenth.contacts:,}",
            f"{tenth.answered:,}",
            f"{tenth.share:.1%}",
            f"{tenth.low:.1%} to {tenth.high:.1%}",
        )
    console.print(table)
    console.print(
        f"{report.decisions:,} logged decisions, {report.contacts:,} contacts with an outcome,"
        f" {report.answered:,} answered; {report.unscored:,} without an ask-likelihood"
    )


def _rulebook(directory: Path | None) -> Rulebook:
    return compile_rulebook(directory or Settings().rulebook)


def _run(
    book: Rulebook,
    data_directory: Path | None,
    redis_url: str | None,
    read: Callable[[Store, Model, Progress], Awaitable[R]],
    *,
    what: str = "customers",
) -> R:
    async def run() -> R:
        async with open_store(store_options(Settings(), data_directory, redis_url), book.catalogue) as store:
            with counting(what) as progress:
                return await read(store, await load_model(store, book), progress)

    return asyncio.run(run())


def _write(path: Path | None, document: Mapping[str, object]) -> None:
    if path is not None:
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _show_mix(console: Console, report: MixReport) -> None:
    for title, counts in (("desired actions", report.desired), ("parameters of effort", report.parameters)):
        table = Table(title, "customers", box=SIMPLE)
        table.columns[1].justify = "right"
        for name, count in counts.items():
            table.add_row(name, f"{count:,}")
        console.print(table)
    kinds = list(next(iter(report.rewards.values())))
    table = Table("stage", *kinds, title="rewards recommended first", box=SIMPLE)
    for stage, counts in report.rewards.items():
        table.add_row(stage, *(f"{counts[kind]:,}" for kind in kinds))
    console.print(table)
    for check in report.checks:
        share = "nobody is recommended a reward" if check.share is None else f"{check.share:.0%}"
        word = {True: "met", False: "NOT MET", None: "open"}[check.is_met]
        console.print(f"{word}: {check.kind} rewards in {check.stage} at least {check.at_least:.0%}: {share}")
    console.print(f"{report.scenario}; {report.customers:,} customers, nothing for {report.idle:,}")


def _show_relevance(console: Console, report: RelevanceReport) -> None:
    table = Table("action", "channel", "", "customers", "mean", "below", "0 … 1", box=SIMPLE, pad_edge=False)
    table.columns[0].overflow = "fold"  # names that begin alike stay apart
    for column in table.columns[3:6]:
        column.justify = "right"
    for line in report.actions:
        alarm = "alarm" if line.is_alarming else ""
        table.add_row(
            line.action,
            f"{line.channel} {line.direction}",
            alarm,
            f"{line.customers:,}",
            f"{line.mean:.2f}",
            f"{line.below:.0%}",
            _bars(line.tenths),
        )
    console.print(table)
    console.print(
        "ask-likelihood of those for whom an action came as far as the relevance gate; `below` the channel's"
        f" threshold; alarm from {report.alarm_share:.0%}; {report.customers:,} customers"
    )
    if report.unseen:
        console.print(f"came to nobody: {', '.join(report.unseen)}")


def _bars(counts: tuple[int, ...]) -> str:
    """Ten bars, the highest full."""
    highest = max(counts)
    return "".join(" ▁▂▃▄▅▆▇█"[-(-8 * count // highest)] for count in counts)
