"""The time that a command acts at: now, a time that was asked for, or that of the stored data."""

import contextlib
from typing import Annotated

import typer

from nextbest.batch.operations import data_time, newest_snapshot
from nextbest.cli.options import parse_time
from nextbest.clock import system_clock
from nextbest.data.store import Store
from nextbest.errors import FitError
from nextbest.model import DAY_S

OF_DATA = "data"
"""As a time to act at: that of the stored data."""
STALE_DAYS = 60.0
"""Data that are older than this are probably not meant to be looked at as of now."""

AsOfData = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        help="Time to act at: an ISO date or date-time (UTC), or that of the stored data: `data`."
        " Default: now.",
    ),
]


async def fitting_time(store: Store, as_of: str | None) -> float:
    """Epoch seconds at which a fit acts; `data` is the newest snapshot.

    Raises:
        InvalidInput: the text is no time.
        FitError: there are no data to take the time from.
    """
    if as_of == OF_DATA:
        return await newest_snapshot(store)
    return system_clock() if as_of is None else parse_time(as_of)


async def acting_time(store: Store, as_of: str | None) -> float:
    """Epoch seconds at which a report acts; `data` is what `serve` and `score` take it for.

    Where nothing was asked for and the data are old, that is said: ages, windows and recency would be those
    of customers who have been silent since.

    Raises:
        InvalidInput: the text is no time.
        FitError: that of the data was asked for, and there are none.
    """
    if as_of is not None and as_of != OF_DATA:
        return parse_time(as_of)
    if as_of == OF_DATA:
        return await data_time(store)
    now = system_clock()
    with contextlib.suppress(FitError):  # nobody's data are old
        _warn_of_age((now - await data_time(store)) / DAY_S)
    return now


def _warn_of_age(days: float) -> None:
    if days > STALE_DAYS:
        typer.echo(
            f"warning: the data are {days:.0f} days old, and are looked at as of now; `--as-of data` acts at"
            " their time",
            err=True,
        )
