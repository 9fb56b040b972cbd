"""Texts with a quotation mark at one end that has no partner."""

from collections.abc import Iterator

from nextbest.rulebook.lint.finding import Finding, Subject
from nextbest.rulebook.lint.texts import texts_of_actions

CODE: str = "stray-quote"

_STRAIGHT = '"'
_CURLY = "“”„‟"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield texts that begin or end with a quotation mark which customers would see alone."""
    for text, at in texts_of_actions(subject):
        mark = _stray(text.strip())
        if mark:
            hint = (
                "around a text in a rule file stand plain quotation marks, one at each end; or leave it out"
            )
            yield Finding(at, f"the `{mark}` at an end of the text is shown, and has no partner", hint)


def _stray(text: str) -> str:
    """The mark at an end that has no partner; empty if there is none."""
    for mark in (text[:1], text[-1:]):
        if mark == _STRAIGHT and text.count(_STRAIGHT) % 2:
            return mark
        if mark and mark in _CURLY and sum(c in _CURLY for c in text) % 2:
            return mark
    return ""
