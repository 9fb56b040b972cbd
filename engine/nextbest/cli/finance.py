"""`nextbest finance`: what each action and the whole rulebook would earn on the stored population."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from nextbest.batch.finance_report import Assumptions, FinanceReport, Horizon, Line, finance_of
from nextbest.batch.operations import load_model
from nextbest.batch.recommendations import scenario
from nextbest.cli.moments import AsOfData, acting_time
from nextbest.cli.options import DataDirectory, RedisUrl, RulebookDirectory, store_options
from nextbest.cli.progress import counting
from nextbest.data.store import open_store
from nextbest.potential.finance import Rates
from nextbest.rulebook.compile import compile_rulebook
from nextbest.settings import Settings

SHARES = ("action", "customers", "margin", "cost", "ROI", "ROMI", "months to pay back")
MONEY = ("action", "RI", "NOPAT", "EP", "EVA")


def _rate(text: str) -> typer.models.OptionInfo:
    return typer.Option(help=f"{text}, a share from 0 to 1.", min=0.0, max=1.0)


def finance(
    rulebook: RulebookDirectory = None,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
    as_of: AsOfData = None,
    channel: Annotated[
        str, typer.Option(help="Channel in which every customer would meet us; default: the best of all.")
    ] = "",
    outbound: Annotated[
        bool | None, typer.Option("--outbound/--inbound", help="Who starts the contact; default: either.")
    ] = None,
    horizon: Annotated[Horizon, typer.Option(help="Margin of the first year, or over the lifetime.")] = (
        Horizon.SHORT
    ),
    hurdle: Annotated[float, _rate("Return that the owners ask for")] = 0.10,
    wacc: Annotated[float, _rate("Weighted average cost of capital")] = 0.08,
    tax: Annotated[float, _rate("Tax rate")] = 0.22,
    years: Annotated[float, typer.Option(help="Years over which the cost is written off.", min=0.0)] = 1.0,
    capital_rate: Annotated[
        float, typer.Option(help="Capital tied up for each unit of cost.", min=0.0)
    ] = 0.0,
    contribution_margin: Annotated[
        float | None, _rate("Contribution margin of revenue for ROMI; default: the margin rates")
    ] = None,
    document: Annotated[Path | None, typer.Option("--json", help="Write the report to this file.")] = None,
) -> None:
    """Return on investment, residual income, economic profit and payback, by action and in all."""
    settings = Settings()
    book = compile_rulebook(rulebook or settings.rulebook)
    options = store_options(settings, data_directory, redis_url)
    over = scenario(book, channel=channel, outbound=outbound)
    assumptions = Assumptions(
        rates=Rates(hurdle, wacc, tax),
        years=years,
        capital_rate=capital_rate,
        contribution_margin=contribution_margin,
        horizon=horizon,
    )

    async def run() -> FinanceReport:
        async with open_store(options, book.catalogue) as store:
            model = await load_model(store, book)
            now = await acting_time(store, as_of)
            with counting("customers") as progress:
                return await finance_of(store, model, over, assumptions, now=now, progress=progress)

    report = asyncio.run(run())
    if document is not None:
        document.write_text(json.dumps(report.document(), indent=1) + "\n", encoding="utf-8")
    _show(Console(highlight=False), report)


def _show(console: Console, report: FinanceReport) -> None:
    for heads, row, title in (
        (SHARES, _shares, f"finance in {report.currency}"),
        (MONEY, _money, "residual income, profit after tax, economic profit, economic value added"),
    ):
        table = Table(*heads, title=title, box=SIMPLE, pad_edge=False, collapse_padding=True)
        table.columns[0].no_wrap = True
        for column in table.columns[1:]:
            column.justify = "right"
            column.overflow = "fold"  # an amount is never cut
        for line in report.actions:
            table.add_row(*row(line))
        table.add_section()
        table.add_row(*row(report.total))
        console.print(table)
    console.print(report.scenario)
    idle = report.customers - report.total.customers
    console.print(f"{report.customers} customers; for {idle} doing nothing is best")
    if report.never:
        console.print(f"recommended first to nobody: {', '.join(report.never)}")
    for text in report.assumptions:
        console.print(f"assumed: {text}", markup=False)
    console.print("– = absent: it would divide by zero, or nothing is earned back")


def _shares(line: Line) -> tuple[str, ...]:
    f = line.finance
    return (
        line.id,
        f"{line.customers:,}",
        f"{line.margin:,.2f}",
        f"{line.cost:,.2f}",
        *("–" if share is None else f"{share:.0%}" for share in (f.roi, f.romi)),
        "–" if f.payback_months is None else f"{f.payback_months:.1f}",
    )


def _money(line: Line) -> tuple[str, ...]:
    f = line.finance
    amounts = (f.residual_income, f.nopat, f.economic_profit, f.economic_value_added)
    return (line.id, *("–" if amount is None else f"{amount:,.2f}" for amount in amounts))
