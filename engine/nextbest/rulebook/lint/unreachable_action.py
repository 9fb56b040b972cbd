"""Actions that nobody can get, as their conditions exclude each other, or give, as no role may."""

from collections.abc import Iterator

from nextbest.rulebook.lint.finding import Finding, Subject

CODE: str = "unreachable-action"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield actions whose audience is empty although each part of it is not, or that no role may use."""
    book = subject.parts.rulebook
    most = max((role.authority for role in book.roles), default=0)
    for index, entry, at in subject.actions():
        if book.action_tables.authority[index] > most:
            hint = f"the most that a role of the strategy has is {most}"
            yield Finding(at / "authority", f"no role may use `{entry.id}`", hint)
        parts = subject.audience(index)
        alone = all(subject.reasoner.can_hold(part) for part in parts)
        if alone and not subject.reasoner.can_hold(*parts):
            hint = "its `stages`, `segments` and `when` exclude each other"
            yield Finding(at / "id", f"no customer can be offered `{entry.id}`", hint)
