"""Texts that a new action begins with, and that nobody has written yet."""

from collections.abc import Iterator

from nextbest.rulebook.lint.finding import Finding, Subject
from nextbest.rulebook.lint.texts import texts_of_actions
from nextbest.rulebook.placeholders import PLACEHOLDERS

CODE: str = "unfinished-text"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield texts of actions that are still the words of the template."""
    for text, at in texts_of_actions(subject):
        if text in PLACEHOLDERS:
            hint = "customers or staff would read it: write the text"
            yield Finding(at, f"`{text}` is what a new action begins with", hint)
