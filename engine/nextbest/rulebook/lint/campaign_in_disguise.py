"""Triggers and actions that nothing a customer does calls for."""

from collections.abc import Iterator

from nextbest.facts import Catalogue, FactGroup
from nextbest.rulebook.expressions.scope import NOW
from nextbest.rulebook.expressions.typed import Expr, Form
from nextbest.rulebook.lint.always_true import holds_when_known
from nextbest.rulebook.lint.finding import Finding, Subject

CODE: str = "campaign-in-disguise"
STANDING = frozenset(
    {
        FactGroup.MASTER,
        FactGroup.PROFILE,
        FactGroup.EXTERNAL_REGISTRY,
        FactGroup.EXTERNAL_GEO,
        FactGroup.EXTERNAL_PARTNER,
    }
)
"""Boxes of facts that say who a customer is rather than what they do."""
HINT = "say what has changed, happened or come due: a process answers behaviour, a campaign does not"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield triggers that fire without behaviour, and actions that wait for none."""
    catalogue = subject.parts.rulebook.catalogue
    for entry, at in subject.parts.triggers:
        typed = subject.conditions_of_triggers.get(entry.id)
        if typed is None:
            continue
        if holds_when_known(subject, typed.root):
            yield Finding(at / "when", f"`{entry.id}` fires for everybody", HINT)
        elif not reads_behaviour(typed.root, catalogue):
            yield Finding(at / "when", f"`{entry.id}` fires for who a customer is, whatever they do", HINT)
    for index, entry, at in subject.actions():
        if not entry.triggers and not any(reads_behaviour(e, catalogue) for e in subject.grounds(index)):
            message = f"nothing that a customer does calls for `{entry.id}`"
            yield Finding(at / "id", message, "name a trigger; an action that answers behaviour has one")


def reads_behaviour(expr: Expr, catalogue: Catalogue) -> bool:
    """Whether an expression reads history, time, the situation, or a fact or figure that behaviour moves.

    Asking whether something is known counts: what is missing calls for a question.
    """
    return any(_is_behaviour(part, catalogue) for part in expr.walk())


def _is_behaviour(part: Expr, catalogue: Catalogue) -> bool:
    if part.form in (Form.WINDOW, Form.HAS):
        return True
    if part.symbol is None:
        return False
    root, _, name = part.symbol.name.partition(".")
    if part.symbol is NOW or root != "customer" or name not in catalogue:
        return True
    return catalogue[name].group not in STANDING
