"""The reference of every key of the rule files, as Markdown, from the same schemas that editors use."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from nextbest.rulebook.documents.actions import TREATMENT_KEY
from nextbest.rulebook.documents.common import DURATION, FACT_NAME, ID, LANGUAGE
from nextbest.rulebook.schema import MODELS, schema_of
from nextbest.rulebook.source import FOLDERS

HEADER = """\
# Rule files: every key

Generated from the document models by `python -m nextbest.rulebook.reference`; the guide is
[rules.md](rules.md). `*` marks required keys. Durations are written `15d`, `8h`, `30min`, `90s` or `2w`;
texts are a sentence in the default language or one per language, `{en: …, da: …}`; expressions are CEL
over `customer.<fact>`, `context.<key>` and `trigger.<id>`.
"""

_NOUNS = {DURATION: "duration", LANGUAGE: "language", FACT_NAME: "fact", ID: "id", TREATMENT_KEY: "treatment"}
"""What texts of a certain form are called."""

Schema = dict[str, Any]


def render_reference() -> str:
    """The whole reference."""
    return HEADER + "".join(_section(kind) for kind in MODELS)


def write_reference(path: Path) -> None:
    """Write the reference into a file."""
    path.write_text(render_reference(), encoding="utf-8")


def _section(kind: str) -> str:
    schema = schema_of(kind)
    name = f"{kind}/*{'_test' * (kind == 'tests')}.yaml" if kind in FOLDERS else f"{kind}.yaml"
    rows = "".join(
        f"| `{path}`{star} | {shape} | {text} |\n" for path, star, shape, text in _rows(schema, schema, "")
    )
    return f"\n## {name}\n{schema['description']}\n\n| key | value | meaning |\n|---|---|---|\n{rows}"


def _rows(schema: Schema, root: Schema, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """(path, mark, shape, meaning) of every key below an object."""
    required = set(schema.get("required", ()))
    for name, inner in cast("dict[str, Schema]", schema.get("properties", {})).items():
        path = f"{prefix}{name}"
        meaning = str(inner.get("description", "")).replace("|", "\\|")
        yield path, "\\*" if name in required else "", _shape(inner, root), meaning
        for suffix, nested in _objects(inner, root):
            yield from _rows(nested, root, f"{path}{suffix}.")


def _resolved(schema: Schema, root: Schema) -> Schema:
    """The schema itself, behind references and wrappers."""
    if "$ref" in schema:
        return _resolved(root["definitions"][schema["$ref"].rsplit("/", 1)[1]], root)
    wrapped = cast("list[Schema]", schema.get("allOf", ()))
    return _resolved(wrapped[0], root) if len(wrapped) == 1 else schema


def _choices(schema: Schema, root: Schema) -> list[Schema]:
    resolved = _resolved(schema, root)
    variants = cast("list[Schema]", resolved.get("oneOf") or resolved.get("anyOf") or [])
    return [inner for choice in variants for inner in _choices(choice, root)] if variants else [resolved]


def _objects(schema: Schema, root: Schema) -> Iterator[tuple[str, Schema]]:
    """Objects that lie under a key, with what stands between the key and theirs."""
    for choice in _choices(schema, root):
        values = _values_of(choice)
        if "properties" in choice:
            yield "", choice
        elif choice.get("type") == "array" and "items" in choice:
            yield from ((f"[]{suffix}", inner) for suffix, inner in _objects(choice["items"], root))
        elif values:
            yield from ((f".<name>{suffix}", inner) for suffix, inner in _objects(values, root))


def _values_of(schema: Schema) -> Schema:
    """What lies under the free names of a mapping; empty if it has none."""
    named = next(iter(schema.get("patternProperties", {}).values()), None)
    return cast("Schema", schema.get("additionalProperties") or named or {})


def _shape(schema: Schema, root: Schema) -> str:
    shapes = dict.fromkeys(_plain_shape(choice, root) for choice in _choices(schema, root))
    default = schema.get("default")
    shown = (
        f"; default `{_literal(default)}`"
        if default not in (None, [], {}, "") and not isinstance(default, dict)
        else ""
    )
    return " or ".join(shapes) + shown


def _literal(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain_shape(schema: Schema, root: Schema) -> str:
    if "enum" in schema or "const" in schema:
        values = cast("list[object]", schema.get("enum") or [schema["const"]])
        return ", ".join(f"`{value}`" for value in values)
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_shape(schema['items'], root)}" if _is_simple(schema["items"], root) else "list"
    if kind == "object":
        if LANGUAGE in schema.get("patternProperties", ()):
            return "text per language"
        values = _values_of(schema)
        if "enum" in values:
            return f"mapping to {_plain_shape(values, root)}"
        names = cast("list[str]", schema.get("propertyNames", {}).get("enum", ()))
        return f"mapping of {', '.join(f'`{name}`' for name in names)}" if names else "mapping"
    if isinstance(kind, list):
        return "expression"
    if kind in ("number", "integer"):
        return _range("number" if kind == "number" else "whole number", schema)
    if kind == "boolean":
        return "`true` or `false`"
    return "date" if schema.get("format") == "date" else _NOUNS.get(schema.get("pattern", ""), "text")


def _is_simple(schema: Schema, root: Schema) -> bool:
    return not any("properties" in choice for choice in _choices(schema, root))


def _range(noun: str, schema: Schema) -> str:
    bounds = [
        (schema.get("minimum"), "≥"),
        (schema.get("exclusiveMinimum"), ">"),
        (schema.get("maximum"), "≤"),
        (schema.get("exclusiveMaximum"), "<"),
    ]
    shown = [f"{sign} {bound:g}" for bound, sign in bounds if bound is not None and abs(bound) < 1e6]
    return " ".join([noun, ", ".join(shown)]).strip()


if __name__ == "__main__":
    write_reference(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/rules-reference.md"))
