"""`nextbest replay`: make logged decisions again, and say what differs."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from nextbest.cli.log import Since, Until, time_of
from nextbest.cli.options import DataDirectory, RedisUrl, store_options
from nextbest.cli.progress import counting
from nextbest.data.store import Past, open_past
from nextbest.decision_record import DecisionRecord
from nextbest.errors import DecisionNotReplayable, DecisionUnknown, InvalidInput, Violation
from nextbest.rulebook.compile import compile_rulebook
from nextbest.server.replayer import Replayer, against_rulebook
from nextbest.server.replaying import KINDS, Changed, Replayed, Verdict, change
from nextbest.settings import Settings

EXIT_DIFFERENT, EXIT_NOT_REPLAYABLE = 3, 4
SHOWN = 20
"""Decisions that are shown one by one; the rest is counted."""


def replay(
    decision_id: Annotated[
        str | None, typer.Argument(help="One decision; else give --since or --customer.")
    ] = None,
    since: Since = None,
    until: Until = None,
    customer: Annotated[str | None, typer.Option(help="Only this customer's decisions.")] = None,
    against: Annotated[
        Path | None, typer.Option(help="Decide with this rulebook instead, and show what changes.")
    ] = None,
    data_directory: DataDirectory = None,
    redis_url: RedisUrl = None,
) -> None:
    """Make logged decisions again, bit for bit, or with another rulebook.

    Exit code: 0 all came out the same, 3 one did not, 4 one cannot be made again and the others came out
    the same; with --against 0.
    """
    wanted = Wanted(_id(decision_id), time_of(since, "since"), time_of(until, "until"), customer)
    options = store_options(Settings(), data_directory, redis_url)

    async def run() -> int:
        async with open_past(options) as past:
            if against is not None:
                return await _show_changes(past, wanted, against)
            return await _replay(past, wanted)

    raise typer.Exit(asyncio.run(run()))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which decisions."""

    decision_id: bytes | None
    since: float | None
    until: float | None
    customer: str | None

    async def records(self, past: Past) -> AsyncIterator[list[DecisionRecord]]:
        """The decisions, some hundred at a time.

        Raises:
            DecisionUnknown: the one that is named is not kept.
        """
        if self.decision_id is not None:
            yield [await self._one(past, self.decision_id)]
        elif self.customer is not None and self.since is None and self.until is None:
            yield await past.decisions.of_customer(self.customer)
        else:
            async for batch in past.decisions.scan(since=self.since, until=self.until):
                yield [e.record for e in batch if self.customer in (None, e.record.customer_id)]

    async def _one(self, past: Past, decision_id: bytes) -> DecisionRecord:
        if self.customer is None:
            record = await past.decisions.find(decision_id)
        else:
            record = await past.decisions.get(self.customer, decision_id)
        if record is None:
            raise DecisionUnknown(f"no decision `{decision_id.hex()}` is in the log, or no longer")
        return record


def _id(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 16:
        raise InvalidInput([Violation("decision_id", f"`{text}` is not 32 hexadecimal digits")])
    return found


def _console() -> Console:
    return Console(markup=False, highlight=False)


async def _replay(past: Past, wanted: Wanted) -> int:
    replayer, verdicts, console = Replayer(past), Counter[Verdict](), _console()
    with counting("decisions") as progress:
        async for records in wanted.records(past):
            for one in await replayer.replay(records):
                verdicts[one.verdict] += 1
                if (
                    one.verdict is not Verdict.IDENTICAL
                    and verdicts.total() - verdicts[Verdict.IDENTICAL] <= SHOWN
                ):
                    _show(console, one)
            progress(len(records))
    parts = [f"{verdicts[verdict]:,} {verdict}" for verdict in Verdict if verdicts[verdict]]
    console.print(f"replayed {verdicts.total():,} decisions: {', '.join(parts) or 'none are logged'}")
    if verdicts[Verdict.DIFFERENT]:
        return EXIT_DIFFERENT
    return EXIT_NOT_REPLAYABLE if verdicts[Verdict.NOT_REPLAYABLE] else 0


def _show(console: Console, one: Replayed) -> None:
    """Say what differs in a decision, or why it cannot be made again."""
    console.print(f"{one.record.decision_id.hex()} {one.verdict}{f': {one.why_not}' if one.why_not else ''}")
    for difference in one.differences[:SHOWN]:
        console.print(f"  {difference.what}: was {difference.was}, is {difference.now}")
    if len(one.differences) > SHOWN:
        console.print(f"  and {len(one.differences) - SHOWN} more")


@dataclass(slots=True)
class _Changes:
    """Counts of what another rulebook changes."""

    kinds: Counter[str] = field(default_factory=Counter[str])
    before: Counter[str] = field(default_factory=Counter[str])
    after: Counter[str] = field(default_factory=Counter[str])
    shown: list[Changed] = field(default_factory=list[Changed])
    missing: Counter[str] = field(default_factory=Counter[str])
    """Why decisions could not be made again."""

    def add(self, one: Changed) -> None:
        """Count a decision, and keep the first ones that differ."""
        self.kinds[one.kind] += 1
        if not one.problem:
            self.before[one.before or "do nothing"] += 1
            self.after[one.after or "do nothing"] += 1
        if one.kind != "same" and len(self.shown) < SHOWN:
            self.shown.append(one)


async def _show_changes(past: Past, wanted: Wanted, directory: Path) -> int:
    rulebook = compile_rulebook(directory)
    replayer, found = Replayer(past), _Changes()
    other = against_rulebook(replayer, rulebook)
    with counting("decisions") as progress:
        async for records in wanted.records(past):
            for record in records:
                try:
                    found.add(change(record, await other(record)))
                except DecisionNotReplayable as error:
                    found.missing[str(error)] += 1
            progress(len(records))
    _print_changes(_console(), found, rulebook.revision)
    return 0


def _print_changes(console: Console, found: _Changes, revision: str) -> None:
    total = found.kinds.total()
    if found.shown:
        table = Table("decision", "what", "first before", "first after", title="the first that differ")
        for one in found.shown:
            after = one.problem or one.after or "do nothing"
            table.add_row(one.record.decision_id.hex(), one.kind, one.before or "do nothing", after)
        console.print(table)
    table = Table("what", "decisions", "share", title=f"{total:,} decisions with {revision}")
    for kind in KINDS:
        if found.kinds[kind]:
            table.add_row(kind, f"{found.kinds[kind]:,}", f"{found.kinds[kind] / total:.1%}")
    console.print(table)
    table = Table("first action", "before", "after", "change", title="by action")
    for action in sorted({*found.before, *found.after}):
        was, now = found.before[action], found.after[action]
        table.add_row(action, f"{was:,}", f"{now:,}", f"{now - was:+,}")
    console.print(table)
    for why, count in found.missing.most_common():
        console.print(f"{count:,} left out: {why}")
