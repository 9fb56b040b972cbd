"""The demo's list of steps: each is named when it begins, and timed and summed up when it ends."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console

Say = Callable[[str], None]
"""Takes what a step found, in a few words."""


class Steps:
    """Prints steps as they are done, and keeps their times."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.seconds: dict[str, float] = {}
        """Time of each step, in their order."""

    @contextmanager
    def step(self, name: str) -> Generator[Say]:
        """Do one step; what it found is printed at its end."""
        found: list[str] = []
        started = time.perf_counter()
        yield found.append
        self.seconds[name] = time.perf_counter() - started
        number = len(self.seconds)
        self._console.print(f"{number:>2}. {name:<80}{self.seconds[name]:>6.1f} s")
        for text in found:
            self._console.print(f"    {text}")
