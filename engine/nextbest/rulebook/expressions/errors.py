"""What can be wrong, or merely odd, in an expression."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from nextbest.errors import NextBestError


class ExpressionError(NextBestError):
    """An expression cannot be used; `start` and `end` are offsets into its source.

    The message is a lower-case fragment with the author's own words in backticks; the hint, empty
    if there is none, says what to write instead.
    """

    def __init__(self, message: str, start: int, end: int, hint: str = "") -> None:
        self.message = message
        self.start = start
        self.end = end
        self.hint = hint
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Note:
    """Something that is allowed but probably a mistake; a lint shows it, it stops nothing."""

    code: str
    """`unit_mismatch`, `always_fails`, `never_true` or `always_true`."""
    message: str
    start: int
    end: int
    hint: str = ""


def unsupported(feature: str, start: int, end: int, hint: str = "") -> ExpressionError:
    """The error for what CEL has and this subset has not; names the feature."""
    return ExpressionError(f"{feature} are not supported", start, end, hint)


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """A hint that names the likeliest of `candidates`, or empty when none is close."""
    near = get_close_matches(word, list(candidates), n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else ""
