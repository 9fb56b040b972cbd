"""Identifiers such as phone and card numbers in the one spelling they are stored and looked up by."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from nextbest.errors import Violation

MAX_VALUE_BYTES = 64
"""Longest value; the contract says so."""
_TYPE = re.compile(r"[a-z][a-z0-9_]{0,31}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PHONE = re.compile(r"\+[1-9][0-9]{5,14}")
"""E.164: at most fifteen digits, the country's first."""
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_SHORTEST_QUOTED = 5
"""What is shorter may stand in a text by chance, within another word."""
_NATIONAL_DIGITS = 8
"""By so many of its last digits a phone number is told without its country's code."""


@dataclass(frozen=True, slots=True, order=True)
class Identifier:
    """One identifier in its one spelling."""

    type: str
    value: str

    @property
    def text(self) -> str:
        """`type:value`; a type holds no colon, so it is unambiguous."""
        return f"{self.type}:{self.value}"

    @classmethod
    def of_text(cls, text: str) -> "Identifier":
        """The identifier that `text` gave."""
        kind, value = text.split(":", maxsplit=1)
        return cls(kind, value)


class _MisspeltError(ValueError):
    """A value that no identifier of its type can have; never repeats the value."""


def _phone(value: str) -> str:
    digits = re.sub(r"[\s().\-/]", "", value)
    digits = f"+{digits[2:]}" if digits.startswith("00") else digits
    if not _PHONE.fullmatch(digits):
        raise _MisspeltError("is not a phone number with `+` and its country's code")
    return digits


def _email(value: str) -> str:
    if not _EMAIL.fullmatch(value):
        raise _MisspeltError("is not an e-mail address")
    return value.lower()


def _card(value: str) -> str:
    return re.sub(r"[\s\-]", "", value).upper()


_FORMS: Mapping[str, Callable[[str], str]] = {"phone": _phone, "email": _email, "card": _card}


def checked(kind: str, value: str, field: str, found: list[Violation]) -> Identifier:
    """An identifier in its one spelling; what is wrong is added to `found` and never quotes the value.

    phone: blanks, brackets, dots, hyphens and slashes are dropped and a leading 00 becomes +; it must then
    be + and 6 to 15 digits. email: in lower case. card: without blanks and hyphens, in upper case. Any other
    type: as it is. All: Unicode's composed form (NFKC), outer blanks dropped.
    """
    if not _TYPE.fullmatch(kind):
        shown = kind if len(kind) <= MAX_VALUE_BYTES else f"{kind[:MAX_VALUE_BYTES]}…"
        found.append(
            Violation(f"{field}.type", f"`{shown}` is not a name in lower case, such as `phone` or `card`")
        )
    try:
        return Identifier(kind, _formed(kind, value))
    except _MisspeltError as misspelt:
        found.append(Violation(f"{field}.value", str(misspelt)))
        return Identifier(kind, value)


def _formed(kind: str, value: str) -> str:
    plain = unicodedata.normalize("NFKC", value).strip()
    if _CONTROL.search(plain):
        raise _MisspeltError("holds a control character")
    if not plain:
        raise _MisspeltError("is empty")
    formed = _FORMS.get(kind, str)(plain)
    if not formed:
        raise _MisspeltError("is empty")
    try:
        size = len(formed.encode())
    except UnicodeEncodeError:
        raise _MisspeltError("is not valid Unicode") from None
    if size > MAX_VALUE_BYTES:
        raise _MisspeltError(f"is {size} bytes long, at most {MAX_VALUE_BYTES} are allowed")
    return formed


def distinct(identifiers: Iterable[Identifier]) -> list[Identifier]:
    """Each identifier once, in order."""
    return list(dict.fromkeys(identifiers))


def naming(text: str, customer_id: str, identifiers: Iterable[Identifier]) -> list[str]:
    """By what a free text names a customer: `id`, or types of identifiers; in any spelling, never the value.

    An id counts as a word of its own, a phone number without its country's code, too.
    """
    found = ["id"] if _has_word(text, customer_id) else []
    return found + sorted({one.type for one in identifiers if _quotes(text, one)})


def _quotes(text: str, identifier: Identifier) -> bool:
    bare = _bare(identifier.value)
    if len(bare) < _SHORTEST_QUOTED:
        return _has_word(text, identifier.value)
    return (bare[-_NATIONAL_DIGITS:] if identifier.type == "phone" else bare) in _bare(text)


def _bare(text: str) -> str:
    """Letters and digits alone: how a number is grouped makes it no other."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", text).casefold())


def _has_word(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word.casefold())}(?!\w)", text.casefold()) is not None
