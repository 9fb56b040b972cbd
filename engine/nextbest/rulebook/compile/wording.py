"""What pydantic found wrong with a document → diagnostics in an author's words."""

import re
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from nextbest.rulebook.compile.report import At, Report
from nextbest.rulebook.documents.common import per_cent_hint, share_hint
from nextbest.rulebook.documents.examples import example_of
from nextbest.rulebook.meant import day_hint, duration_hint, number_hint, per_cent_amount_hint
from nextbest.rulebook.nodes import Mapping as MappingNode
from nextbest.rulebook.nodes import Scalar as ScalarNode
from nextbest.rulebook.source import PathLike, SourceFile
from nextbest.rulebook.suggest import did_you_mean

_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "`true` or `false`",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
}
_SHAPES = ("dict_type", "model_type", "model_attributes_type", "list_type")
_MEANT = {"duration": duration_hint, "date": day_hint}
LONGEST_EXAMPLE = 120
"""Longest example that is shown beside an error, characters."""
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?", re.ASCII)
_PER_CENT_KEYS = {("offer", "value"), ("context", "weight")}
_BARE = re.compile(r"[\w.-]+")
_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}


def report_details(
    file: SourceFile, model: type[BaseModel], details: Iterable[ErrorDetails], report: Report
) -> None:
    """Report every problem of a file, but not a missing key where a misspelt one stands in its place."""
    details = list(details)
    misspelt: set[PathLike] = set()
    for detail in details:
        if detail["type"] == "extra_forbidden":
            misspelt.add(_report_unknown_key(At(file), model, detail["loc"], report))
    for detail in details:
        if detail["type"] == "missing":
            if detail["loc"] not in misspelt and not _merges(file, detail["loc"]):
                _report_missing(At(file), model, detail["loc"], report)
        elif detail["type"] != "extra_forbidden":
            _report_value(At(file), model, detail, report)


def _merges(file: SourceFile, loc: PathLike) -> bool:
    """Whether the key may have been meant to come from elsewhere, by a merge key that was refused."""
    node = file.node(loc[:-1])
    return isinstance(node, MappingNode) and "<<" in node.entries


def _report_unknown_key(root: At, model: type[BaseModel], loc: PathLike, report: Report) -> PathLike:
    """Report it, and return where the key that was probably meant would stand."""
    name = str(loc[-1])
    hint = did_you_mean(name, _keys(model, loc[:-1]))
    report.key_error(root.down(loc), "unknown-key", f"unknown key `{name}`", hint)
    return (*loc[:-1], hint.split("`")[1]) if hint.startswith("did") else ()


def _report_missing(root: At, model: type[BaseModel], loc: PathLike, report: Report) -> None:
    hint = _description(model, loc)
    report.key_error(root.down(loc[:-1]), "missing-key", f"missing `{loc[-1]}`", hint)


def _report_value(root: At, model: type[BaseModel], detail: ErrorDetails, report: Report) -> None:
    message, hint = _wording(detail, _as_written(root.down(detail["loc"]), detail["input"]))
    hint = hint or _shape_hint(model, detail)
    if detail["loc"][-1:] == ("[key]",):
        message = message.replace("unknown value", "unknown key")
        report.key_error(root.down(detail["loc"][:-1]), "invalid-key", message, hint)
    else:
        report.error(root.down(detail["loc"]), "invalid-value", message, hint)


def _as_written(at: At, value: object) -> str:
    """The value as the file has it: `1e3` rather than `1000.0`."""
    node = at.file.node(at.path)
    written = isinstance(value, int | float) and isinstance(node, ScalarNode) and node.plain
    return _shown(node.text if written and isinstance(node, ScalarNode) else value)


def _wording(detail: ErrorDetails, found: str) -> tuple[str, str]:
    kind = detail["type"]
    context: dict[str, Any] = detail.get("ctx") or {}
    if kind in _KINDS:
        return f"expected {_KINDS[kind]}, found {found}", _quoting(kind, detail["input"], detail["loc"])
    if kind == "per_cent":
        return f"expected a share, found {found}", share_hint(str(detail["input"]))
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        hint = per_cent_hint(detail["input"]) if kind == "less_than_equal" and context[key] == 1 else ""
        return f"expected a number {words} {_plain(context[key])}, found {found}", hint
    if kind in ("literal_error", "enum"):
        return _choice(str(context["expected"]), detail["input"])
    if kind in ("too_short", "too_long", "string_too_short", "string_too_long"):
        return _length(kind, context)
    hint = _MEANT[kind](str(detail["input"])) if kind in _MEANT else ""
    return f"{detail['msg'][:1].lower()}{detail['msg'][1:].rstrip('.')}, found {found}", hint


def _quoting(kind: str, found: object, place: PathLike) -> str:
    """Advice where quotation marks are missing or too many, or a number is written in another way."""
    if kind == "string_type" and isinstance(found, bool | int | float):
        text = _shown(found).strip("`")
        return f"quote it: `'{text}'`"
    if kind not in ("int_type", "float_type", "int_from_float") or not isinstance(found, str):
        return ""
    if _NUMBER.fullmatch(found):
        return f"leave out the quotation marks: `{found}`"
    return number_hint(found) or (per_cent_amount_hint if _in_per_cent(place) else share_hint)(found)


def _in_per_cent(place: PathLike) -> bool:
    """Whether a key's number is in per cent; the others are shares."""
    above = next((key for key in reversed(place[:-1]) if isinstance(key, str)), "")
    return place[-1] == "lever" or above == "levers" or (above, place[-1]) in _PER_CENT_KEYS


def _shape_hint(model: type[BaseModel], detail: ErrorDetails) -> str:
    """Advice where one value stands for a list or a mapping: the same as a list, or an example."""
    kind, found = detail["type"], detail["input"]
    if not detail["loc"] and isinstance(found, list) and (first := next(iter(model.model_fields), "")):
        return f"begin the file with a line `{first}:`"
    if kind == "list_type" and isinstance(found, str) and found and found.isprintable() and len(found) < 60:
        return f"write a list: `[{found.strip('()')}]`"
    if kind not in _SHAPES and not (kind == "string_type" and isinstance(found, list | dict)):
        return ""
    place = detail["loc"]
    return _example_at(model, place) or _example_at(model, place[:-1])  # the last may name a variant


def _example_at(model: type[BaseModel], place: PathLike) -> str:
    """An example of the key at a place; empty if there is no such key or its example is long."""
    for candidate in _models(_types_at(model, place[:-1])) if place else ():
        for name, field in candidate.model_fields.items():
            if (field.alias or name) == place[-1]:
                shown = f"{place[-1]}: {_flow(example_of(candidate, name))}"
                return f"for example `{shown}`" if len(shown) <= LONGEST_EXAMPLE else ""
    return ""


def _flow(value: object) -> str:
    """A value as YAML on one line."""
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, object]", value).items()
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in entries) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in cast("list[object]", value)) + "]"
    plain = isinstance(value, bool | int | float) or (isinstance(value, str) and _BARE.fullmatch(value))
    return str(value).lower() if isinstance(value, bool) else str(value) if plain else f'"{value}"'


def _plain(number: float) -> str:
    return f"{number:.0f}" if number == int(number) else f"{number:g}"


def _choice(expected: str, found: object) -> tuple[str, str]:
    names = [name.strip("' ") for name in expected.replace(" or ", ", ").split(",")]
    if not isinstance(found, str):
        return f"expected one of {_listed(names)}, found {_shown(found)}", ""
    hint = did_you_mean(found, names)
    if hint.startswith("did"):
        return f"unknown value {_shown(found)}", hint
    return f"unknown value {_shown(found)}", f"expected one of {_listed(names)}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _length(kind: str, context: Mapping[str, Any]) -> tuple[str, str]:
    noun = "characters" if kind.startswith("string") else "entries"
    if kind.endswith("short"):
        least = context["min_length"]
        return (f"expected at least {least} {noun}" if least > 1 else "must not be empty"), ""
    return f"expected at most {context['max_length']} {noun}", ""


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    cleaned = "".join(c if c.isprintable() else " " for c in text)
    return f"`{cleaned[:60]}…`" if len(cleaned) > 60 else f"`{cleaned}`"


def _keys(model: type[BaseModel], path: PathLike) -> set[str]:
    """Keys that the models at a path take."""
    return {
        field.alias or name
        for candidate in _models(_types_at(model, path))
        for name, field in candidate.model_fields.items()
    }


def _description(model: type[BaseModel], path: PathLike) -> str:
    for candidate in _models(_types_at(model, path[:-1])):
        for name, field in candidate.model_fields.items():
            if (field.alias or name) == path[-1] and field.description:
                return f"`{path[-1]}`: {field.description[0].lower()}{field.description[1:].rstrip('.')}"
    return ""


def _types_at(model: type[BaseModel], path: PathLike) -> list[Any]:
    types: list[Any] = [model]
    for label in path:
        found = [inner for t in types for inner in _step(t, label)]
        types = found or types
    return types


def _step(annotation: object, label: str | int) -> list[Any]:
    """Types of what lies under a label; none when the label only names a variant."""
    steps: list[Any] = []
    for plain in _alternatives(annotation):
        origin, arguments = get_origin(plain), get_args(plain)
        if isinstance(plain, type) and issubclass(plain, BaseModel):
            steps += [f.annotation for n, f in plain.model_fields.items() if (f.alias or n) == label]
        elif origin is list and isinstance(label, int):
            steps.append(arguments[0])
        elif origin is dict and isinstance(label, str):
            steps.append(arguments[1])
    return steps


def _models(types: Iterable[object]) -> list[type[BaseModel]]:
    plain = [inner for annotation in types for inner in _alternatives(annotation)]
    return [t for t in plain if isinstance(t, type) and issubclass(t, BaseModel)]


def _alternatives(annotation: object) -> list[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _alternatives(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [inner for member in get_args(annotation) for inner in _alternatives(member)]
    return [] if origin is Literal else [annotation]
