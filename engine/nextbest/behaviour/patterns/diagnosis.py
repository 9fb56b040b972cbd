"""Patterns that the library refuses, said where they stand in the rule files."""

from nextbest.behaviour.patterns.process import WORKER, WorkerLimits
from nextbest.behaviour.patterns.verify import RefusedPattern, verify_patterns
from nextbest.rulebook.compile.parts import Parts
from nextbest.rulebook.compile.report import At
from nextbest.rulebook.diagnostics import Diagnostic

CODE = "refused-pattern"


def refused_patterns(
    parts: Parts, limits: WorkerLimits | None = None, *, program: str = WORKER
) -> list[Diagnostic]:
    """Show a rulebook's patterns to the library, in a process of its own, and say which it cannot bear.

    Args:
        parts: a rulebook without errors.
        limits: what the process is allowed.
        program: module that it runs; another one for tests.

    Cost: half a second and one process for a rulebook with patterns, nothing for one without.
    """
    if not parts.patterns:
        return []
    places = {entry.id: at for entry, at in parts.patterns}
    _, first = parts.patterns[0]
    found = verify_patterns(parts.rulebook.patterns, limits, program=program)
    return [_diagnostic(refused, places.get(refused.pattern, first)) for refused in found]


def _diagnostic(refused: RefusedPattern, at: At) -> Diagnostic:
    place = at / "id"
    what = f"pattern `{refused.pattern}`" if refused.pattern else "this pattern and others together"
    return place.file.diagnostic(
        place.file.value_span(place.path),
        CODE,
        f"{what} cannot be borne by the library that finds them: it {refused.reason}",
        "write the pattern in a simpler way: fewer steps, shorter counts, fewer conditions",
    )
