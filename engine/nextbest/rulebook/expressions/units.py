"""Units of numbers: what may be compared with what. A mismatch is a note, never an error."""

from collections.abc import Mapping

from nextbest.rulebook.expressions.errors import Note

_HINTS: Mapping[frozenset[str], str] = {
    frozenset(("days", "weeks")): "multiply the weeks by 7",
    frozenset(("days", "minutes")): "a day has 1440 minutes",
    frozenset(("days", "months")): "use days_since or months_since on both sides",
}
_TIMES = frozenset({"days", "weeks", "months", "minutes"})


def unit_note(left: str, right: str, start: int, end: int) -> Note | None:
    """A note when two known units differ; a number without a unit goes with anything."""
    if not left or not right or left == right:
        return None
    message = f"`{left}` meets `{right}`"
    return Note("unit_mismatch", message, start, end, _HINTS.get(frozenset((left, right)), ""))


def combined_unit(operator: str, left: str, right: str) -> str:
    """Unit of a sum, difference, product or quotient; empty where it is not known."""
    if operator in "+-":
        return left or right
    if operator == "%":
        return left
    if not (left and right) and _TIMES.intersection((left, right)):
        # A plain factor may have turned weeks into days, as the hint asks.
        return ""
    return _product(left, right) if operator == "*" else _quotient(left, right)


def _product(left: str, right: str) -> str:
    if left in ("", "share"):
        return right or left
    return left if right in ("", "share") else ""


def _quotient(left: str, right: str) -> str:
    if left and left == right:
        return "share"
    return left if right in ("", "share") else ""
