"""Parts of expressions that are an error for every customer."""

from collections.abc import Iterator

from nextbest.rulebook.lint.finding import Finding, Subject, noted

CODE: str = "always-fails"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield what the checker could not compute, beside parts that it could."""
    return noted(subject, CODE)
