"""`nextbest patterns`: check event patterns, and run them over a file of events."""

import datetime as dt
import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Annotated

import typer
from rich.console import Console
from rich.table import Table

from nextbest.behaviour.patterns import (
    Event,
    PatternMatch,
    PatternSupervisor,
    Window,
    WindowResult,
    WorkerLimits,
    compile_patterns,
    verify_patterns,
)
from nextbest.cli.options import AsOf, RulebookDirectory, parse_time
from nextbest.cli.progress import through_file
from nextbest.data.event_files import LoadedEvents, load_events
from nextbest.errors import InvalidInput, Violation
from nextbest.rulebook.compile import compile_rulebook
from nextbest.rulebook.patterns import Pattern
from nextbest.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Find sequences, counts and absences of events.")

File = Annotated[Path, typer.Argument(help="Parquet or CSV file of events.", exists=True, dir_okay=False)]


@app.callback()
def patterns() -> None:
    """Find sequences, counts and absences of events."""


@app.command()
def check(rulebook: RulebookDirectory = None) -> None:
    """Compile a rulebook's patterns and show them to the library, in a process of its own."""
    found = _patterns_of(rulebook)
    refused = verify_patterns(found)
    for each in refused:
        where = f"pattern `{each.pattern}`" if each.pattern else "all patterns together"
        typer.echo(f"error: {where}: the library {each.reason}", err=True)
    if refused:
        raise typer.Exit(1)
    typer.echo(f"{len(found)} patterns, no problems")


@app.command()
def run(
    file: File,
    rulebook: RulebookDirectory = None,
    as_of: AsOf = None,
    since: Annotated[
        str | None, typer.Option(help="Only what fired later than this: an ISO date or date-time (UTC).")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every match, a line each.")] = None,
    shown: Annotated[int, typer.Option("--show", min=0, help="Matches to print.")] = 50,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0.1, help="Seconds for one customer's events.")
    ] = WorkerLimits().timeout_s,
) -> None:
    """Say for whom which patterns fired last, and by which events; time is the file's last event."""
    found = _patterns_of(rulebook)
    with through_file(file.name) as progress:
        loaded = load_events(file, found, progress=progress)
    windows = loaded.windows(
        loaded.latest if as_of is None else parse_time(as_of),
        float("-inf") if since is None else parse_time(since, "since"),
    )
    report = _Report(shown)
    limits = WorkerLimits(timeout_s=timeout_s)
    with ExitStack() as stack:
        lines = stack.enter_context(json_file.open("w", encoding="utf-8")) if json_file else None
        supervisor = stack.enter_context(PatternSupervisor(compile_patterns(found), limits))
        for window, result in _with_windows(supervisor, windows):
            report.add(window, result)
            if lines:
                _write(lines, window, result)
    report.print(found, loaded)
    if report.quarantined or loaded.rejects:
        raise typer.Exit(2)


def _patterns_of(rulebook: Path | None) -> tuple[Pattern, ...]:
    directory = rulebook or Settings().rulebook
    found = compile_rulebook(directory).patterns
    if not found:
        raise InvalidInput(
            [Violation("patterns", f"`{directory}` has none; they stand in `triggers/*.yaml`")]
        )
    return found


def _with_windows(
    supervisor: PatternSupervisor, windows: Iterable[Window]
) -> Iterator[tuple[Window, WindowResult]]:
    """Results together with what they are results of; only a batch of windows is kept."""
    waiting: deque[Window] = deque()

    def noted() -> Iterator[Window]:
        for window in windows:
            waiting.append(window)
            yield window

    for result in supervisor.match(noted()):
        yield waiting.popleft(), result


class _Report:
    """Collects what is printed."""

    def __init__(self, shown: int) -> None:
        self._shown = shown
        self._table = Table("customer", "pattern", "fired at", "by")
        self._customers = 0
        self._fired: Counter[str] = Counter()
        self._truncated: Counter[str] = Counter()
        self.quarantined: list[WindowResult] = []
        """Customers of whom nothing is known."""

    def add(self, window: Window, result: WindowResult) -> None:
        """Take a customer's result."""
        self._customers += 1
        self._truncated.update(result.truncated)
        if result.quarantined:
            self.quarantined.append(result)
        for match in result.matches:
            self._fired[match.pattern] += 1
            if self._table.row_count < self._shown:
                by = "\n".join(f"{name}: {_told(event)}" for name, event in _evidence(window, match))
                self._table.add_row(result.customer_id, match.pattern, _clock(match.fired_at), by)

    def print(self, patterns: Iterable[Pattern], loaded: LoadedEvents) -> None:
        """Print the matches, then how many there were, then what went wrong."""
        console = Console(highlight=False, markup=False)
        if self._table.row_count:
            console.print(self._table)
        total = self._fired.total()
        if total > self._table.row_count:
            console.print(f"and {total - self._table.row_count} more, not shown")
        console.print(f"{self._customers} customers with {len(loaded.frame)} events that matter")
        for pattern in patterns:
            cut = self._truncated[pattern.id]
            note = f"; {cut} have more events than are looked at" if cut else ""
            console.print(f"{pattern.id}: fired for {self._fired[pattern.id]}{note}")
        for attribute in loaded.absent:
            console.print(f"warning: no column `{attribute}`: comparisons with it never hold")
        for result in self.quarantined:
            console.print(f"warning: {result.customer_id} set aside: the library {result.quarantined}")
        if loaded.rejects:
            console.print(f"{loaded.rejected} rows rejected; which and why: {loaded.rejects}")


def _evidence(window: Window, match: PatternMatch) -> list[tuple[str, Event]]:
    events = {event.key: event for event in reversed(window.events)}
    return [(evidence.name, events[evidence.event]) for evidence in match.evidence]


def _told(event: Event) -> str:
    attributes = ", ".join(f"{name} {value}" for name, value in event.attributes.items())
    return f"{event.kind} {_clock(event.time)}" + (f" ({attributes})" if attributes else "")


def _clock(time: float) -> str:
    """A time in UTC, to the second."""
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    try:
        return f"{epoch + dt.timedelta(seconds=time):%Y-%m-%d %H:%M:%S}"
    except OverflowError:
        return f"{time:.0f} s"


def _write(lines: IO[str], window: Window, result: WindowResult) -> None:
    for match in result.matches:
        evidence = [
            {"name": name, "event": event.key, "kind": event.kind, "time": event.time}
            | {"attributes": dict(event.attributes)}
            for name, event in _evidence(window, match)
        ]
        line = {"customer_id": result.customer_id, "pattern": match.pattern, "fired_at": match.fired_at}
        lines.write(json.dumps(line | {"evidence": evidence}, ensure_ascii=False) + "\n")
