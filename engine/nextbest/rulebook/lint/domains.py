"""What the facts of a condition can be, in words."""

import math
from collections.abc import Iterable

from nextbest.facts import Catalogue
from nextbest.rulebook.expressions.typed import Expr, Form
from nextbest.rulebook.samples import bounds_of

MOST = 3
"""Facts that are named."""


def domains(expr: Expr, catalogue: Catalogue) -> str:
    """The bounds of the numbers that an expression reads; empty if it reads none with bounds."""
    names = sorted({e.symbol.name for e in expr.walk() if e.form is Form.LOAD and e.symbol is not None})
    return _listed(filter(None, (_domain(name, catalogue) for name in names)))


def facts_in(expr: Expr) -> str:
    """The facts that an expression reads, listed."""
    names = {e.symbol.name for e in expr.walk() if e.symbol is not None}
    return _listed(f"`{name}`" for name in sorted(names - {"now"}))


def _domain(name: str, catalogue: Catalogue) -> str:
    low, high = bounds_of(name, catalogue)
    if math.isinf(low) and math.isinf(high):
        return ""
    if math.isinf(high):
        return f"`{name}` is at least {low:g}"
    return f"`{name}` is at most {high:g}" if math.isinf(low) else f"`{name}` is from {low:g} to {high:g}"


def _listed(words: Iterable[str]) -> str:
    listed = list(words)
    return ", ".join(listed[:MOST]) + " …" * (len(listed) > MOST)
