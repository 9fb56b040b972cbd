"""Conditions, and alternatives in them, that are never true."""

from collections.abc import Iterator

from nextbest.rulebook.expressions.typed import Expr
from nextbest.rulebook.expressions.types import Kind
from nextbest.rulebook.lint.finding import Finding, Subject

CODE: str = "never-true"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield what no customer makes true."""
    for use in subject.parts.uses:
        root = use.typed.root
        if root.type.kind is not Kind.BOOL:
            continue
        if True not in subject.reasoner.outcomes(root):
            yield Finding(use.at, "this is never true", _hint(subject, root))
            continue
        for part, outcomes in subject.reasoner.idle_parts(root):
            if True not in outcomes and not part.fails:
                span = (part.start, part.end)
                yield Finding(use.at, "this alternative is never true", _hint(subject, part), span)


def _hint(subject: Subject, expr: Expr) -> str:
    if expr.is_constant:
        return "it is the same for every customer"
    return subject.bounds_behind(expr) or "its parts exclude each other"
