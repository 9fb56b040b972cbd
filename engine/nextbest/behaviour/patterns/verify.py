"""Shows a new rulebook's patterns to the library before they go into use: in a process, with a time limit."""

from collections.abc import Sequence
from dataclasses import dataclass

from nextbest.behaviour.patterns.process import WorkerDied, WorkerLimits, WorkerProcess
from nextbest.rulebook.patterns import Pattern


@dataclass(frozen=True, slots=True)
class RefusedPattern:
    """A pattern that the library cannot bear."""

    pattern: str
    """Its id; empty if each alone is borne, but not all together."""
    reason: str


def verify_patterns(patterns: Sequence[Pattern], limits: WorkerLimits | None = None) -> list[RefusedPattern]:
    """Patterns that the library cannot be trusted with, found by halving; none if all is well.

    Cost: starts one process if all is well, some two dozen if one pattern of a thousand is at fault.
    """
    limits = limits or WorkerLimits()
    reason = _reason(patterns, limits)
    if not reason:
        return []
    return _refused(patterns, reason, limits) or [RefusedPattern("", reason)]


def _refused(patterns: Sequence[Pattern], reason: str, limits: WorkerLimits) -> list[RefusedPattern]:
    """Those at fault among patterns that are refused together."""
    if len(patterns) == 1:
        return [RefusedPattern(patterns[0].id, reason)]
    middle = len(patterns) // 2
    found: list[RefusedPattern] = []
    for half in (patterns[:middle], patterns[middle:]):
        if half and (reason := _reason(half, limits)):
            found += _refused(half, reason, limits)
    return found


def _reason(patterns: Sequence[Pattern], limits: WorkerLimits) -> str:
    """Why a worker does not start with these patterns; empty if it does."""
    try:
        WorkerProcess(patterns, limits).close()
    except WorkerDied as error:
        return str(error)
    return ""
