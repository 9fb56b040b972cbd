"""Segments that nothing asks for."""

from collections.abc import Iterator

from nextbest.rulebook.lint.finding import Finding, Subject

CODE: str = "unused-segment"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield segments that no action is for, and no experiment."""
    read = subject.parts.segments
    used = {name for _, entry, _ in subject.actions() for name in entry.segments}
    used |= {e.segment for r in subject.parts.experiments for e in r.document.experiments if e.segment}
    for i, segment in enumerate(read.document.segments if read and subject.parts.actions else ()):
        if segment.id not in used:
            assert read is not None
            hint = "name it under `segments` of an action, or leave it out"
            yield Finding(read.at / "segments" / i / "id", f"no action is for `{segment.id}`", hint)
