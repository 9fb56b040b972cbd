"""Conditions, and parts of them, that exclude nobody."""

from collections.abc import Iterator

from nextbest.rulebook.compile.expressions import Use
from nextbest.rulebook.expressions.typed import Expr
from nextbest.rulebook.expressions.types import Kind
from nextbest.rulebook.lint.domains import facts_in
from nextbest.rulebook.lint.finding import Finding, Subject
from nextbest.rulebook.lint.trials import Outcomes

CODE: str = "always-true"
ONLY_TRUE: Outcomes = frozenset((True,))


def check(subject: Subject) -> Iterator[Finding]:
    """Yield what every customer makes true, or everyone of whom the facts are known."""
    for use in subject.parts.uses:
        root = use.typed.root
        if root.type.kind is not Kind.BOOL:
            continue
        if holds_when_known(subject, root):
            if _must_tell_apart(use):
                yield _finding(subject, use, root, None)
        else:
            for part, _ in subject.reasoner.idle_parts(root):
                if holds_when_known(subject, part):
                    yield _finding(subject, use, part, (part.start, part.end))


def holds_when_known(subject: Subject, expr: Expr) -> bool:
    """Whether a condition is never false, and true for every customer of whom everything is known."""
    if False in subject.reasoner.outcomes(expr):
        return False
    return subject.with_all_known.outcomes(expr) == ONLY_TRUE


def _must_tell_apart(use: Use) -> bool:
    """Evidence may hold for everybody, and a trigger that does is another lint's."""
    return use.at.path[0] in ("segments", "actions") and use.at.path[-1] == "when"


def _finding(subject: Subject, use: Use, expr: Expr, span: tuple[int, int] | None) -> Finding:
    what = "this" if span is None else "this part"
    if subject.reasoner.outcomes(expr) == ONLY_TRUE:
        return Finding(use.at, f"{what} is always true", "leave it out", span)
    hint = "; ".join(filter(None, (subject.bounds_behind(expr), _advice(facts_in(expr)))))
    return Finding(use.at, f"{what} is true whenever it is known", hint, span)


def _advice(facts: str) -> str:
    """What to write instead; `facts` as `facts_in` lists them."""
    if facts.count("`") == 2:
        return f"if it is to ask whether it is known, write `has({facts.strip('`')})`"
    return "leave it out, or ask with `has(...)` what must be known"
