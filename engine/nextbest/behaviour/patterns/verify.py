"""Shows a new rulebook's patterns to the library before they go into use: in a process, with a time limit."""

from collections.abc import Sequence
from dataclasses import dataclass

from nextbest.behaviour.patterns.process import WORKER, WorkerDied, WorkerLimits, WorkerProcess
from nextbest.rulebook.patterns import Pattern

MOST_STARTS = 32
"""Processes that a search starts: a library that cannot be loaded refuses every pattern."""


@dataclass(frozen=True, slots=True)
class RefusedPattern:
    """A pattern that the library cannot bear."""

    pattern: str
    """Its id; empty if each alone is borne, but not all together."""
    reason: str


def verify_patterns(
    patterns: Sequence[Pattern], limits: WorkerLimits | None = None, *, program: str = WORKER
) -> list[RefusedPattern]:
    """Patterns that the library cannot be trusted with, found by halving; none if all is well.

    Cost: starts one process if all is well, some two dozen if one pattern of a thousand is at fault, and
    never more than `MOST_STARTS`: where more are at fault, some may be left unnamed.
    """
    return _Search(limits or WorkerLimits(), program).refused(patterns)


class _Search:
    """Halves the patterns until those at fault are alone."""

    def __init__(self, limits: WorkerLimits, program: str) -> None:
        self._limits = limits
        self._program = program
        self._starts = 0

    def refused(self, patterns: Sequence[Pattern]) -> list[RefusedPattern]:
        """Those at fault; one without a name if only all together are too much."""
        if self._starts == MOST_STARTS:
            return []
        reason = self._reason(patterns)
        if not reason:
            return []
        if len(patterns) == 1:
            return [RefusedPattern(patterns[0].id, reason)]
        middle = len(patterns) // 2
        found = [*self.refused(patterns[:middle]), *self.refused(patterns[middle:])] if middle else []
        return found or [RefusedPattern("", reason)]

    def _reason(self, patterns: Sequence[Pattern]) -> str:
        """Why a worker does not start with these patterns; empty if it does."""
        self._starts += 1
        try:
            WorkerProcess(patterns, self._limits, program=self._program).close()
        except WorkerDied as error:
            return str(error)
        return ""
