"""Texts by language."""

from collections.abc import Mapping

Texts = Mapping[str, str]
"""A text by BCP 47 language; always has the rulebook's default language."""


def text_in(texts: Texts, language: str) -> str:
    """The text in the language, or in the first language it has; empty if there is none."""
    return texts.get(language) or next(iter(texts.values()), "")
