"""The one place that reads a clock; everything else is handed one."""

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Gives the time in epoch seconds."""


def system_clock() -> float:
    """Epoch seconds now."""
    return time.time()  # noqa: TID251  (the one place)


def shifted_clock(start: float) -> Clock:
    """A clock that shows `start` now and runs on from there: for data of another time."""
    shift = start - system_clock()
    return lambda: system_clock() + shift
