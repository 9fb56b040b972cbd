"""Entries of rule files in words, key by key, so that nothing a file can say is left out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from enum import Enum
from typing import Annotated, Any, cast, get_args, get_origin

from pydantic import BaseModel, WithJsonSchema

from nextbest.model import DAY_S
from nextbest.rulebook.documents.common import DURATION, DURATION_SECONDS, Expression, Texts
from nextbest.rulebook.expressions import ExpressionError
from nextbest.rulebook.in_words import in_words

_EXPRESSION = get_args(Expression)[-1]
_UNITS = (("weeks", "w"), ("days", "d"), ("hours", "h"), ("minutes", "min"), ("seconds", "s"))


def told(entry: BaseModel, language: str, *, without: Iterable[str] = ()) -> dict[str, list[str]]:
    """What an entry says, by key: defaults included, what is absent or empty left out.

    Args:
        entry: an entry of a rule file.
        language: default language of the rulebook's texts.
        without: keys that are said elsewhere.
    """
    teller, skipped = _Teller(language), set(without)
    found: dict[str, list[str]] = {}
    for key, annotation, value in _fields(entry):
        if key not in skipped:
            lines = list(teller.lines(value, annotation))
            found |= {key.replace("_", " "): lines} if lines else {}
    return found


def duration_in_words(seconds: float) -> str:
    """`1209600` as `2 weeks`: the largest unit that fits evenly."""
    for word, unit in _UNITS:
        count = seconds / DURATION_SECONDS[unit]
        if count >= 1 and count == int(count) and not (unit == "w" and count < 2):
            return f"{count:g} {word if count != 1 else word[:-1]}"
    return f"{seconds / DAY_S:g} days"


def _fields(entry: BaseModel) -> Iterator[tuple[str, Any, object]]:
    for name, field in type(entry).model_fields.items():
        annotation = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation  # pyright: ignore[reportInvalidTypeForm]  # built at run time
        yield field.alias or name, annotation, getattr(entry, name)


class _Teller:
    def __init__(self, language: str) -> None:
        self._language = language

    def lines(self, value: object, annotation: object) -> Iterator[str]:
        """One line for a value, one for each item of a list or mapping of entries."""
        if _is_nothing(value):
            return
        if isinstance(value, BaseModel) and any(isinstance(v, BaseModel) for _, _, v in _fields(value)):
            for key, inner, item in _fields(value):
                if not _is_nothing(item):
                    yield f"{key.replace('_', ' ')}: {self.text(item, inner)}"
        elif isinstance(value, Mapping) and not _is_text(annotation):
            inner = _item_of(annotation)
            for key, item in cast("Mapping[str, object]", value).items():
                yield f"{key}: {self.text(item, inner)}"
        elif isinstance(value, list) and _has_entries(cast("list[object]", value)):
            for item in cast("list[object]", value):
                yield self.text(item, _item_of(annotation))
        else:
            yield self.text(cast("object", value), annotation)

    def text(self, value: object, annotation: object) -> str:
        """A value on one line."""
        if isinstance(value, BaseModel):
            return self._entry(value)
        if isinstance(value, Mapping):
            return self._mapping(cast("Mapping[str, object]", value), annotation)
        if isinstance(value, Sequence) and not isinstance(value, str):
            items = cast("Sequence[object]", value)
            return ", ".join(self.text(item, _item_of(annotation)) for item in items)
        return _scalar(value, annotation)

    def _entry(self, entry: BaseModel) -> str:
        said = [
            f"{key.replace('_', ' ')} {self.text(value, annotation)}"
            for key, annotation, value in _fields(entry)
            if not _is_nothing(value)
        ]
        return ", ".join(said)

    def _mapping(self, value: Mapping[str, object], annotation: object) -> str:
        if _is_text(annotation):
            return f"`{value.get(self._language, next(iter(value.values())))}`"
        inner = _item_of(annotation)
        return ", ".join(f"{key} ({self.text(item, inner)})" for key, item in value.items())


def _is_nothing(value: object) -> bool:
    if isinstance(value, BaseModel):
        return all(_is_nothing(inner) for _, _, inner in _fields(value))
    return value is None or (isinstance(value, str | Sequence | Mapping) and not value)


def _has_entries(items: Sequence[object]) -> bool:
    return any(isinstance(item, BaseModel) for item in items)


def _scalar(value: object, annotation: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, int | float):
        return duration_in_words(value) if _is_duration(annotation) else f"{value:.12g}"
    if isinstance(value, date):
        return value.isoformat()
    if _is_expression(annotation):
        return expression_in_words(str(value))
    return f"`{value}`" if _is_text(annotation) else str(value)


def expression_in_words(source: str) -> str:
    """In words, and as it is written if that is something else."""
    try:
        words = in_words(source)
    except ExpressionError:
        return f"[{source}]"
    return words if words == source else f"{words}  [{source}]"


def _parts(annotation: object) -> Iterator[object]:
    """A type and all that it is made of, decoration included, but not the items of lists and mappings."""
    yield annotation
    if get_origin(annotation) not in (list, dict, tuple):
        for argument in get_args(annotation):
            yield from _parts(argument)


def _is_duration(annotation: object) -> bool:
    return any(
        isinstance(p, WithJsonSchema) and (p.json_schema or {}).get("pattern") == DURATION
        for p in _parts(annotation)
    )


def _is_expression(annotation: object) -> bool:
    return any(part is _EXPRESSION or part == _EXPRESSION for part in _parts(annotation))


def _is_text(annotation: object) -> bool:
    return any(part == Texts for part in _parts(annotation))


def _item_of(annotation: object) -> object:
    """Type of what a list or mapping holds."""
    for part in _parts(annotation):
        if get_origin(part) in (list, tuple, dict):
            return get_args(part)[-1]
    return None
