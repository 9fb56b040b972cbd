"""The committed JSON Schemas: up to date, complete, and of the same mind as the compiler."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from tests.naive.json_schema import draft_7_problems, violations

from nextbest.rulebook.documents.examples import example_of, models_below, whole_example
from nextbest.rulebook.schema import MODELS, render_schema, schema_of, schema_path, write_schemas
from nextbest.rulebook.source import FOLDERS, SINGLE_FILES, load_source

ROOT = Path(__file__).parents[2]
RULES = ROOT / "rules"
RULEBOOKS = sorted(path.parent.name for path in RULES.glob("*/strategy.yaml"))


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_committed_schema_is_the_generated_one(kind: str) -> None:
    """A change of the models is committed with its schemas: run `python -m nextbest.rulebook.schema`."""
    assert schema_path(RULES / ".schema", kind).read_text(encoding="utf-8") == render_schema(kind)


def test_every_kind_of_file_has_a_schema() -> None:
    """All that the reader reads, an editor can complete."""
    assert set(MODELS) == {*SINGLE_FILES, *FOLDERS}


def test_written_schemas_are_files_of_their_kind(tmp_path: Path) -> None:
    """Writing puts one file a kind into a directory that need not exist."""
    write_schemas(tmp_path / "new")
    assert {p.name for p in (tmp_path / "new").iterdir()} == {f"{kind}.schema.json" for kind in MODELS}


def _properties(schema: object) -> list[tuple[str, dict[str, Any]]]:
    """All properties of all objects in a schema."""
    if isinstance(schema, list):
        return [found for item in schema for found in _properties(item)]
    if not isinstance(schema, dict):
        return []
    own = list(schema.get("properties", {}).items()) if isinstance(schema.get("properties"), dict) else []
    return own + [found for value in schema.values() for found in _properties(value)]


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_every_key_is_described(kind: str) -> None:
    """An editor explains every key, with a sentence of its own."""
    found = _properties(schema_of(kind))
    assert found
    assert [name for name, schema in found if not schema.get("description", "").endswith((".", "..."))] == []


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_every_key_has_an_example_that_fits(kind: str) -> None:
    """An editor shows what may stand there, and what it shows is valid where it stands."""
    whole = schema_of(kind)
    for name, schema in _properties(whole):
        assert schema.get("examples"), name
        for example in schema["examples"]:
            assert violations(example, schema, whole) == [], (name, example)


@pytest.mark.parametrize("model", sorted({m for k in MODELS.values() for m in models_below(k)}, key=str))
def test_every_example_is_taken_by_its_model(model: type[BaseModel]) -> None:
    """The models, which are stricter than the schemas, take every example too."""
    for name, field in model.model_fields.items():
        for example in field.examples or [example_of(model, name)]:
            entry = whole_example(model) | {field.alias or name: example}
            model.model_validate({k: v for k, v in entry.items() if v is not None})


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_schemas_are_draft_7(kind: str) -> None:
    """The schemas are valid by draft 7's own rules: its keywords only, each of the right shape."""
    assert draft_7_problems(schema_of(kind)) == []


def test_draft_7_problems_are_seen() -> None:
    """Keywords of later drafts and of wrong shape are found, wherever they stand."""
    wrong = {"properties": {"a": {"$defs": {}, "items": [3], "minLength": "1"}}, "required": "a"}
    found = draft_7_problems(wrong)
    assert [line.rpartition(" ")[2] for line in found][:1] == ["required"]
    assert {"$.properties.a: $defs", "$.properties.a: items", "$.properties.a: minLength"} <= set(found)


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_references_stand_alone(kind: str) -> None:
    """Draft 7 ignores what stands beside a reference, so nothing does, and every reference resolves."""
    schema = schema_of(kind)
    text = render_schema(kind)
    assert "$defs" not in text
    for node in _nodes(schema):
        if "$ref" in node:
            assert list(node) == ["$ref"]
            assert node["$ref"].removeprefix("#/definitions/") in schema["definitions"]


def _nodes(schema: object) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [found for item in schema for found in _nodes(item)]
    if not isinstance(schema, dict):
        return []
    return [schema] + [found for value in schema.values() for found in _nodes(value)]


@pytest.mark.parametrize("rulebook", RULEBOOKS)
def test_shipped_rulebooks_satisfy_their_schemas(rulebook: str) -> None:
    """What the compiler takes, the schema takes too."""
    for file in load_source(RULES / rulebook).files:
        schema = schema_of(file.kind)
        assert violations(file.value, schema, schema) == [], file.path


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("segments", {"segment": []}),
        ("segments", {"segments": [{"id": "a b", "when": "true"}]}),
        ("segments", {"segments": [{"id": "a"}]}),
        ("segments", {"segments": [{"id": "a", "when": "true", "text": {"english": "x"}}]}),
        ("triggers", {"triggers": [{"id": "a", "when": "true", "cool_down": "3 days"}]}),
        ("facts", {"facts": [{"name": "Upper", "type": "int", "group": "profile", "description": "x"}]}),
        ("facts", {"standard": "some"}),
        ("stages", {"grow_indx": 1}),
        ("experiments", {"hold_out": {"share": 2, "salt": "x"}}),
        ("tests", {"tests": [{"name": "a", "now": "today", "request": {"channel": "pos"}, "expect": {}}]}),
    ],
)
def test_schema_refuses_what_the_compiler_refuses(kind: str, value: object) -> None:
    """A slip is underlined in the editor already."""
    schema = schema_of(kind)
    assert violations(value, schema, schema)
