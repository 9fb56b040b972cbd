"""How long a rulebook looks back: history that is dropped sooner would change decisions unseen."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from nextbest.action.contact import LOCATION_WINDOW_DAYS, PRESSURE_MEMORY_DAYS, REJECTED_DAYS_S
from nextbest.errors import InvalidInput, Violation
from nextbest.model import DAY_S
from nextbest.rulebook.program import WindowKind
from nextbest.rulebook.rulebook import Rulebook

_OF_HISTORY = (WindowKind.COUNT, WindowKind.SUM, WindowKind.LAST)


class Window(NamedTuple):
    """Something that looks back."""

    what: str
    seconds: float


def longest_window(rulebook: Rulebook) -> Window:
    """What of a rulebook looks back furthest.

    A contact policy pauses from an outcome that closed a window, so it looks back pause + within.
    """
    return max(_windows(rulebook), key=lambda window: window.seconds)


def require_memory(rulebook: Rulebook, retention_s: float) -> None:
    """Refuse to drop history that the rulebook still looks at.

    Args:
        rulebook: the rulebook in use.
        retention_s: how long history is kept, inf = for ever.

    Raises:
        InvalidInput: it is shorter than the longest window.
    """
    longest = longest_window(rulebook)
    if retention_s < longest.seconds:
        problem = (
            f"`{retention_s / DAY_S:g}` days are kept, but {longest.what} looks back"
            f" {longest.seconds / DAY_S:g} days; keep as many, or 0 for all"
        )
        raise InvalidInput([Violation("history_days", problem)])


def _windows(rulebook: Rulebook) -> Iterator[Window]:
    tables = rulebook.action_tables
    yield Window("contact pressure", PRESSURE_MEMORY_DAYS * DAY_S)
    yield Window("relevance after a rejection", REJECTED_DAYS_S)
    yield Window("location pushes", LOCATION_WINDOW_DAYS * DAY_S)
    policies = zip(tables.policy_within_s.tolist(), tables.policy_pause_s.tolist(), strict=True)
    yield from (Window("a contact policy", within + pause) for within, pause in policies)
    yield from (
        Window("a cap of an action", within)
        for within in tables.cap_within_s.tolist()
        if math.isfinite(within)
    )
    yield from (
        Window(f"the cool-down of trigger `{trigger.id}`", trigger.cool_down_days * DAY_S)
        for trigger in rulebook.triggers
        if math.isfinite(trigger.cool_down_days)
    )
    yield from (
        Window("a history window of an expression", window.seconds)
        for window in rulebook.program.windows
        if window.kind in _OF_HISTORY and math.isfinite(window.seconds)
    )
