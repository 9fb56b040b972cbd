"""A progress bar that counts customers."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def counting(what: str, total: int | None = None) -> Generator[Callable[[int], None]]:
    """Show how many are done; the function given takes the number done since the last call."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.advance(task, done)


@dataclass(frozen=True, slots=True)
class Count:
    """A bar that learns on the way how many there are."""

    advance: Callable[[int], None]
    """Takes the number done since the last call."""
    expect: Callable[[int], None]
    """Takes how many there are."""


@contextmanager
def counting_up(what: str) -> Generator[Count]:
    """Show how many of how many are done, once it is known how many there are."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=None)
        yield Count(
            lambda done: progress.advance(task, done), lambda total: progress.update(task, total=total)
        )


@contextmanager
def through_file(what: str) -> Generator[Callable[[float, int], None]]:
    """Show how much of a file is read; the function given takes the share done and the rows so far."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]} rows"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=1.0, rows=0)
        yield lambda share, rows: progress.update(task, completed=share, rows=rows)
