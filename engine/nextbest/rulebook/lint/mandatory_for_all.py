"""Actions that come first for everybody, at every request."""

from collections.abc import Iterator

from nextbest.rulebook.lint.finding import Finding, Subject

CODE: str = "mandatory-for-all"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield mandatory actions that wait for no trigger, stage, segment or condition."""
    for index, entry, at in subject.actions():
        if entry.mandatory and not entry.triggers and not subject.audience(index):
            hint = "say for whom or when: `triggers`, `stages`, `segments` or `when`"
            yield Finding(at / "mandatory", f"`{entry.id}` comes first for every customer", hint)
