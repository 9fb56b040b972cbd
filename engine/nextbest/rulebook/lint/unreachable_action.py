"""Actions that no customer can get, because their stages, segments and conditions exclude each other."""

from collections.abc import Iterator

from nextbest.rulebook.lint.finding import Finding, Subject

CODE: str = "unreachable-action"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield actions whose audience is empty although each part of it is not."""
    for index, entry, at in subject.actions():
        parts = subject.audience(index)
        alone = all(subject.reasoner.can_hold(part) for part in parts)
        if alone and not subject.reasoner.can_hold(*parts):
            hint = "its `stages`, `segments` and `when` exclude each other"
            yield Finding(at / "id", f"no customer can be offered `{entry.id}`", hint)
