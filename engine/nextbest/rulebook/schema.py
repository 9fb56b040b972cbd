"""JSON Schemas of the rulebook's files, generated from the document models, for editors (draft 7)."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from nextbest.rulebook.documents.actions import ActionsFile
from nextbest.rulebook.documents.author_tests import TestsFile
from nextbest.rulebook.documents.common import Document
from nextbest.rulebook.documents.conditions import SegmentsFile, TriggersFile
from nextbest.rulebook.documents.examples import example_of, models_below
from nextbest.rulebook.documents.experiments import ExperimentsFile
from nextbest.rulebook.documents.facts import FactsFile
from nextbest.rulebook.documents.policies import PoliciesFile
from nextbest.rulebook.documents.stages import StagesFile
from nextbest.rulebook.documents.strategy import StrategyFile
from nextbest.rulebook.documents.tables import TablesFile

DIALECT = "http://json-schema.org/draft-07/schema#"
"""What YAML editors understand best."""

MODELS: Mapping[str, type[Document]] = {
    "strategy": StrategyFile,
    "facts": FactsFile,
    "stages": StagesFile,
    "segments": SegmentsFile,
    "triggers": TriggersFile,
    "actions": ActionsFile,
    "tables": TablesFile,
    "policies": PoliciesFile,
    "experiments": ExperimentsFile,
    "tests": TestsFile,
}
"""Model of each kind of file."""


def schema_of(kind: str) -> dict[str, Any]:
    """The schema of one kind of file as plain data."""
    schema = MODELS[kind].model_json_schema()
    _show_examples(schema, MODELS[kind])
    plain = cast("dict[str, Any]", _draft_7(schema))
    return {"$schema": DIALECT, "title": f"{kind} of a nextbest rulebook"} | plain


def _show_examples(schema: dict[str, Any], root: type[BaseModel]) -> None:
    """Give every key an example that has none of its own."""
    for model in models_below(root):
        node = schema if model is root else schema["$defs"][model.__name__]
        for name, field in model.model_fields.items():
            node["properties"][field.alias or name].setdefault("examples", [example_of(model, name)])


def render_schema(kind: str) -> str:
    """The schema of one kind of file as it is committed."""
    return json.dumps(schema_of(kind), ensure_ascii=False, indent=2) + "\n"


def schema_path(directory: Path, kind: str) -> Path:
    """Where the schema of a kind of file lies."""
    return directory / f"{kind}.schema.json"


def write_schemas(directory: Path) -> None:
    """Write the schema of every kind of file into a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for kind in MODELS:
        schema_path(directory, kind).write_text(render_schema(kind), encoding="utf-8")


def _draft_7(node: object) -> object:
    """Pydantic's dialect as draft 7: `definitions`, no generated titles, nothing beside a `$ref`.

    Keys without a value are errors, so null is no alternative; unknown keys are errors too.
    """
    if isinstance(node, list):
        return [_draft_7(item) for item in cast("list[object]", node)]
    if not isinstance(node, dict):
        return node
    entries = _without_null(cast("dict[str, object]", node))
    if isinstance(entries.get("$ref"), str):
        return _reference(entries)
    if "patternProperties" in entries:
        entries = {k: v for k, v in entries.items() if k != "propertyNames"} | {"additionalProperties": False}
    return {
        "definitions" if key == "$defs" else key: _value(key, value)
        for key, value in entries.items()
        if not (key == "title" and isinstance(value, str))
    }


def _without_null(entries: dict[str, object]) -> dict[str, object]:
    rest = {key: value for key, value in entries.items() if not (key == "default" and value is None)}
    given = rest.pop("anyOf", None)
    if given is None:
        return rest
    choices = [choice for choice in cast("list[dict[str, object]]", given) if choice.get("type") != "null"]
    return choices[0] | rest if len(choices) == 1 else rest | {"anyOf": choices}


_BY_NAME = frozenset({"properties", "patternProperties", "$defs"})
"""Keywords whose keys are names of the author's, not keywords."""
_VERBATIM = frozenset({"examples", "default", "enum", "const"})
"""Keywords whose values are an author's data, not schemas."""


def _value(keyword: str, value: object) -> object:
    if keyword in _VERBATIM:
        return value
    return _names(value) if keyword in _BY_NAME else _draft_7(value)


def _names(node: object) -> object:
    return {name: _draft_7(value) for name, value in cast("dict[str, object]", node).items()}


def _reference(entries: dict[str, object]) -> dict[str, object]:
    """Draft 7 ignores what stands beside a `$ref`, so a reference with a description is wrapped."""
    reference: dict[str, object] = {"$ref": str(entries["$ref"]).replace("#/$defs/", "#/definitions/")}
    beside = {key: _value(key, value) for key, value in entries.items() if key not in ("$ref", "title")}
    return {"allOf": [reference]} | beside if beside else reference


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1] if len(sys.argv) > 1 else "rules/.schema"))
