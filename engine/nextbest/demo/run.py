"""The demo end to end: a real panel in, positions, answers, a "why not" and a back-test out.

It starts what it needs, shows what it does, and leaves nothing running.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from nextbest.batch.operations import load_model
from nextbest.clock import shifted_clock
from nextbest.data.embedded import open_redis
from nextbest.data.store import StoreOptions, open_store, past_of
from nextbest.demo import labels
from nextbest.demo.answers import (
    AGENT,
    SITUATIONS,
    Answers,
    WhyNot,
    ask,
    counts_by_stage,
    first_answers,
    why_not,
)
from nextbest.demo.backtest import REPLICATES, BackTest, run_backtest
from nextbest.demo.backtest_tables import auc_table, gap_table, score_table, top_table
from nextbest.demo.history import PanelHistory, condense
from nextbest.demo.panel import open_panel
from nextbest.demo.peer_spend import NAME as SPEND_GAP
from nextbest.demo.peer_spend import spend_gap
from nextbest.demo.population import (
    Chosen,
    Households,
    Positions,
    choose_contrasts,
    positions,
    read_households,
    stage_sizes,
)
from nextbest.demo.prepare import Prepared, prepare
from nextbest.demo.steps import Steps
from nextbest.demo.tables import (
    FORMULA,
    WIDTH,
    answer,
    household_line,
    population_table,
    position_table,
    why_table,
)
from nextbest.facts import STAGE_NAMES, Figure
from nextbest.rulebook.compile import compile_rulebook
from nextbest.rulebook.rulebook import Rulebook
from nextbest.server.app import RunningService, ServiceOptions, running_service
from nextbest.server.replayer import Replayer
from nextbest_client import AsyncNextBestClient

STORE_TIMEOUT_S = 30.0
"""A busy machine may be slow; nobody waits in a queue here."""
QUICK_REPLICATES = 40


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What to run, and where."""

    rulebook: Path = Path("rules/grocery")
    store: StoreOptions = field(default_factory=StoreOptions)
    keep: bool = False
    """Keep the data in the store's directory; else a temporary one is used."""
    prepare_only: bool = False
    quick: bool = False
    """Fewer bootstrap draws: the same figures, rougher intervals."""
    figures: Path | None = None
    """File for the figures, as JSON."""


@dataclass(frozen=True, slots=True)
class Served:
    """What the running service answered."""

    positions: Positions
    households: Households
    counts: dict[str, dict[str, Counter[int]]]
    answers: list[Answers]
    why: WhyNot | None

    def to_dict(self) -> dict[str, object]:
        """The answers for JSON."""
        return {
            "stages": stage_sizes(self.households),
            "position_grid": self.positions.to_dict(),
            "first_answers": {
                situation: {
                    action: {STAGE_NAMES[s]: n for s, n in sorted(by_stage.items())}
                    for action, by_stage in by_action.items()
                }
                for situation, by_action in self.counts.items()
            },
            "households": [answers.to_dict() for answers in self.answers],
            "why_not": None if self.why is None else self.why.to_dict(),
        }


async def run_demo(options: DemoOptions, console: Console) -> dict[str, object]:
    """Run the demo, or its preparation alone.

    Returns:
        The figures that were shown, as they are written to `options.figures`.

    Raises:
        PanelMissing: the panel is not installed.
        NextBestError: something does not fit together; the text says what.
    """
    steps = Steps(console)
    console.print(labels.DATA_SET, "", markup=False, highlight=False)
    rulebook = compile_rulebook(options.rulebook)
    with steps.step("read the panel") as say:
        history = condense(open_panel())
        say(f"{history.baskets.height:,} baskets, {history.mailings.height:,} mailings")
    with _data_directory(options) as directory:
        store = replace(options.store, data_directory=directory, timeout_s=STORE_TIMEOUT_S)
        with open_redis(store.redis_url, directory):
            prepared = await _prepare(store, rulebook, history, directory, steps)
            _say_prepared(console, prepared)
            served = None if options.prepare_only else await _serve(store, rulebook, prepared, steps)
    figures: dict[str, object] = {"labels": list(labels.ALL), "prepared": prepared.to_dict()}
    if served is not None:
        back_test = _back_test(rulebook, history, prepared, steps, quick=options.quick)
        _show(console, served, back_test, rulebook.currency)
        figures |= served.to_dict() | {"backtest": back_test.to_dict(), "gap_tested": SPEND_GAP}
    figures["seconds"] = steps.seconds
    if options.figures is not None:
        options.figures.write_text(json.dumps(figures, indent=1, allow_nan=False) + "\n")
    return figures


@contextmanager
def _data_directory(options: DemoOptions) -> Generator[Path]:
    """The store's directory, or a temporary one that is gone afterwards."""
    if options.keep:
        yield options.store.data_directory
        return
    with tempfile.TemporaryDirectory(prefix="nextbest-demo-") as directory:
        yield Path(directory)


async def _prepare(
    options: StoreOptions, rulebook: Rulebook, history: PanelHistory, directory: Path, steps: Steps
) -> Prepared:
    async with open_store(options, rulebook.catalogue) as store:
        return await prepare(store, rulebook, history, directory / "files", steps)


def _say_prepared(console: Console, prepared: Prepared) -> None:
    if prepared.changes == 0:
        console.print("    Prepared before: this run changed nothing.", highlight=False)


async def _serve(options: StoreOptions, rulebook: Rulebook, prepared: Prepared, steps: Steps) -> Served:
    """Start the service on the prepared data, at the data's time, and ask it."""
    async with open_store(options, rulebook.catalogue) as store:
        with steps.step("place every household on the grid") as say:
            model = await load_model(store, rulebook)
            households = await read_households(store, model, prepared.time)
            say(f"{len(households.customer_ids):,} households")
    clock = shifted_clock(prepared.time)
    with steps.step("start the service, ask for every household, stop it") as say:
        async with (
            running_service(ServiceOptions(drain_s=1.0), options, rulebook, clock) as service,
            AsyncNextBestClient(service.address) as client,
        ):
            served = await _ask(client, households)
            replayed = await _replayed(service, served.answers)
        say(f"over gRPC at {service.address}")
        say(f"logged decisions about {len(served.answers)} of them made again: {replayed}")
    return served


async def _replayed(service: RunningService, answers: list[Answers]) -> str:
    """What comes of making the logged decisions on the shown households again."""
    await service.log.caught_up(STORE_TIMEOUT_S)
    past = past_of(service.store)
    shown = [await past.decisions.of_customer(one.chosen.customer_id) for one in answers]
    again = await Replayer(past).replay([record for records in shown for record in records])
    verdicts = Counter(str(one.verdict) for one in again)
    return ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()) or "none are logged"


async def _ask(client: AsyncNextBestClient, households: Households) -> Served:
    first = {s.name: await first_answers(client, households.customer_ids, s) for s in SITUATIONS}
    stages = households.figure(Figure.STAGE).astype(int).tolist()
    chosen = choose_contrasts(households, first)
    answers = [await ask(client, one) for one in chosen]
    return Served(
        positions(households),
        households,
        {name: counts_by_stage(found, stages) for name, found in first.items()},
        answers,
        await _why(client, chosen),
    )


async def _why(client: AsyncNextBestClient, chosen: list[Chosen]) -> WhyNot | None:
    """Of the household that comes last: why it is left alone."""
    return await why_not(client, chosen[-1], AGENT) if chosen else None


def _back_test(
    rulebook: Rulebook, history: PanelHistory, prepared: Prepared, steps: Steps, *, quick: bool
) -> BackTest:
    with steps.step("back-test on weeks 27 to 52") as say:
        replicates = QUICK_REPLICATES if quick else REPLICATES
        gap = spend_gap(prepared.fits.grid.fitted, rulebook.strategy)
        found = run_backtest(history, peer_gap=gap, replicates=replicates)
        say(f"{len(found.campaigns)} campaigns, {replicates} bootstrap draws")
    return found


def _show(console: Console, served: Served, back_test: BackTest, currency: str) -> None:
    console.print("", position_table(served.positions, currency), "", population_table(served.counts), "")
    for answers in served.answers:
        _show_household(console, answers, currency)
    console.print(FORMULA, labels.MODELLED, "", sep="\n")
    if served.why is not None:
        console.print(why_table(served.why), labels.MODELLED, "")
    for shown in (score_table, auc_table, top_table, gap_table):
        console.print(shown(back_test), "")
    shown_ids = [answers.chosen.customer_id for answers in served.answers]
    for customer_id in shown_ids[:1]:
        console.print("Ask yourself: `make serve`, and in a second terminal")
        console.print(f"    .venv/bin/nextbest decide {customer_id} --channel pos")


def _show_household(console: Console, answers: Answers, currency: str) -> None:
    figures = next(iter(answers.by_situation.values())).figures
    console.rule(f"{answers.chosen.customer_id}: {answers.chosen.rule}", align="left", characters="─")
    console.print(household_line(figures, currency))
    for situation in answers.by_situation:
        console.print(answer(answers, situation))


def demo_console() -> Console:
    """A console of 100 columns that marks nothing by colour."""
    return Console(width=WIDTH, highlight=False, markup=False, emoji=False, color_system=None)
