"""Numbers of different units that are compared or added."""

from collections.abc import Iterator

from nextbest.rulebook.lint.finding import Finding, Subject, noted

CODE: str = "unit-mismatch"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield where the checker saw two units meet."""
    return noted(subject, CODE)
