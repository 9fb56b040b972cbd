"""Values as authors' tests write them → values as rows, figures and contexts hold them."""

import re
from datetime import datetime
from typing import cast

from nextbest.fact_values import FactValue, UnfitValueError, bits_of, number_of
from nextbest.facts import Fact, FactType
from nextbest.rulebook.documents.author_tests import MOMENT
from nextbest.rulebook.documents.common import DURATION_SECONDS

_MOMENT = re.compile(MOMENT, re.ASCII)
_AGO = re.compile(r"([0-9]+(?:\.[0-9]+)?)(s|min|h|d|w) ago", re.ASCII)
_AHEAD = re.compile(r"in ([0-9]+(?:\.[0-9]+)?)(s|min|h|d|w)", re.ASCII)


def fact_value(fact: Fact, value: object, now: float) -> FactValue:
    """A value as rows take it.

    Raises:
        UnfitValueError: it does not fit the fact.
    """
    if fact.type is FactType.TIMESTAMP:
        return time_value(value, now)
    if fact.type in (FactType.BOOL, FactType.SET):
        bits_of(fact, value)
        return value if isinstance(value, bool) else tuple(cast("list[str]", value))
    number_of(fact, value)
    return cast("FactValue", value)


def column_value(fact: Fact, value: object, now: float) -> float:
    """A value as a column of figures or of a context holds it: enums as codes, bools as 0 and 1.

    Raises:
        UnfitValueError: it does not fit the fact.
    """
    if fact.type is FactType.TIMESTAMP:
        return time_value(value, now)
    if fact.type is FactType.BOOL:
        return float(bits_of(fact, value))
    return number_of(fact, value)


def time_value(value: object, now: float) -> float:
    """Epoch seconds of a time, or of one relative to `now`.

    Raises:
        UnfitValueError: it is neither.
    """
    text = value if isinstance(value, str) else ""
    if _MOMENT.fullmatch(text):
        return moment(text)
    for form, sign in ((_AGO, -1.0), (_AHEAD, 1.0)):
        match = form.fullmatch(text)
        if match:
            return now + sign * float(match[1]) * DURATION_SECONDS[match[2]]
    raise UnfitValueError(f"`{value}` is no time such as `30d ago`, `in 2w` or `2025-06-01T12:00:00Z`")


def moment(text: str) -> float:
    """Epoch seconds of a time in UTC.

    Raises:
        UnfitValueError: there is no such day or hour.
    """
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise UnfitValueError(f"there is no time `{text}`") from None
