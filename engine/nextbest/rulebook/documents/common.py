"""Building blocks of the document models: names, durations, dates, texts, expressions."""

import re
import unicodedata
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal, LiteralString, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError


class Document(BaseModel):
    """Base of all models: unknown keys are errors, types are not coerced, values are final."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


MAX_ID = 64
MAX_EXPRESSION = 8192
"""Longest expression, characters."""
MAX_TEXT = 4000
ID = r"^[^\s/{}\[\]:,]+$"
"""For editors; the models are stricter."""
DURATION = r"^([0-9]+(?:\.[0-9]+)?)(s|min|h|d|w)$"
_DURATION = re.compile(DURATION, re.ASCII)
DURATION_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
"""Seconds of each unit of a duration."""
_PER_CENT = re.compile(r"([-+]?[0-9]{1,9}(?:[.,][0-9]{1,9})?) ?%", re.ASCII)
_LONGEST_S = 100 * 366 * 86400.0
FACT_NAME = r"^[a-z][a-z0-9_]{0,63}$"
LANGUAGE = r"^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8})*$"


def _identifier(value: object) -> object:
    if not isinstance(value, str):
        return value
    name = unicodedata.normalize("NFC", value)
    if not name or len(name) > MAX_ID:
        raise PydanticCustomError("id_length", "an id has 1 to {most} characters", {"most": MAX_ID})
    if not (name[0].isalnum() and all(c.isalnum() or c in "_-." for c in name)):
        raise PydanticCustomError("id_characters", "an id is made of letters, digits, `_`, `-` and `.`")
    return name


def form(pattern: str, words: LiteralString) -> BeforeValidator:
    """Check that a text has a certain form, and say so in words: few authors read patterns.

    Args:
        pattern: regular expression that Python and JavaScript read alike.
        words: what is expected.
    """
    compiled = re.compile(pattern, re.ASCII)

    def check(value: object) -> object:
        if isinstance(value, str) and compiled.fullmatch(value):
            return value
        raise PydanticCustomError("form", words)

    return BeforeValidator(check)


def _duration(value: object) -> object:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise PydanticCustomError("duration", "expected a duration such as `15d`, `8h`, `30min` or `2w`")
    seconds = float(match[1]) * DURATION_SECONDS[match[2]]
    if seconds > _LONGEST_S:
        raise PydanticCustomError("duration_range", "a duration is at most 100 years")
    return seconds


def _day(value: object) -> object:
    try:
        if isinstance(value, str) and len(value) == 10:
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise PydanticCustomError("date", "expected a date such as `2025-12-31`")


def _expression(value: object) -> object:
    """YAML reads `true` and `3` as what they are; both are expressions too."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and _PER_CENT.fullmatch(value):
        raise PydanticCustomError("per_cent", "expected a share")
    return str(value) if isinstance(value, int | float) else value


def share_hint(text: str) -> str:
    """Advice for a number of per cent; empty for any other text."""
    match = _PER_CENT.fullmatch(text)
    if match is None:
        return ""
    share = float(match[1].replace(",", ".")) / 100
    return f"per cent are written as a share: `{share:.6g}`"


def per_cent_hint(value: object) -> str:
    """Advice for a number that was probably meant as per cent where a share is asked for."""
    if isinstance(value, int | float) and 2 <= value <= 100:
        return share_hint(f"{value:.6g}%")
    return ""


def one_or_many(value: object) -> str:
    """Tag of a value that may stand alone or in a list."""
    return "many" if isinstance(value, list) else "one"


def _text_kind(value: object) -> str:
    return "by_language" if isinstance(value, Mapping) else "plain"


Identifier = Annotated[
    str,
    BeforeValidator(_identifier),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_ID, "pattern": ID}),
]
"""Name of something in the rulebook."""

FactName = Annotated[
    str,
    form(FACT_NAME, "expected a name in lower case: letters, digits and `_`, beginning with a letter"),
    WithJsonSchema({"type": "string", "pattern": FACT_NAME}),
]
"""Name of a fact: lower case, digits and underscores, as expressions write it."""

Duration = Annotated[
    float,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": DURATION, "examples": ["15d", "8h"]}),
]
"""Seconds, written `15d`, `8h`, `30min`, `90s` or `2w`."""


class CalendarPeriod(Document):
    """A day, week (from Monday), month, quarter or year of the calendar, from midnight in its time zone."""

    calendar: Literal["day", "week", "month", "quarter", "year"] = Field(description="Which part of it.")
    time_zone: str = Field(
        description="Where its days begin, an IANA name.", examples=["Europe/Copenhagen", "UTC"]
    )


def _window_kind(value: object) -> str:
    return "period" if isinstance(value, Mapping | CalendarPeriod) else "rolling"


CountingWindow: TypeAlias = Annotated[
    Annotated[Duration, Tag("rolling")] | Annotated[CalendarPeriod, Tag("period")],
    Discriminator(_window_kind),
]
"""So long up to now, or the part of the calendar that now lies in."""

Day = Annotated[
    date,
    BeforeValidator(_day),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2025-12-31"]}),
]

Language = Annotated[
    str,
    form(LANGUAGE, "expected a language such as `en`, `da` or `pt-BR`"),
    WithJsonSchema({"type": "string", "pattern": LANGUAGE, "examples": ["en", "da"]}),
]
"""BCP 47 language tag."""

Words = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]

Texts: TypeAlias = Annotated[
    Annotated[Words, Tag("plain")]
    | Annotated[Annotated[dict[Language, Words], Field(min_length=1)], Tag("by_language")],
    Discriminator(_text_kind),
]
"""One text in the default language, or a text per language."""

Expression = Annotated[
    str,
    BeforeValidator(_expression),
    Field(min_length=1, max_length=MAX_EXPRESSION),
    WithJsonSchema({"type": ["string", "boolean", "number"], "maxLength": MAX_EXPRESSION}),
]
"""A CEL expression over `customer.<fact>`, `context.<key>` and `trigger.<id>`."""

StageName = Literal["know_me", "hear_me", "grow_me", "forgive_me"]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=-1e12, le=1e12)]
"""Money in the rulebook's currency; may be negative."""
Cost = Annotated[float, Field(ge=0, le=1e12)]
Factor = Annotated[float, Field(ge=0, le=1e6)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
