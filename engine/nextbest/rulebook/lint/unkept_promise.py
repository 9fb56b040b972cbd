"""Promises that nothing keeps."""

from collections.abc import Iterator

from nextbest.rulebook.lint.finding import Finding, Subject

CODE: str = "unkept-promise"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield promises of the strategy that no action cites."""
    kept = {promise for _, entry, _ in subject.actions() for promise in entry.promises}
    for name in subject.parts.strategy.document.promises:
        if name not in kept and subject.parts.actions:
            hint = "cite it under `promises` of the actions that keep it"
            at = subject.parts.strategy.at / "promises" / name
            yield Finding(at, f"no action keeps `{name}`", hint, key=True)
