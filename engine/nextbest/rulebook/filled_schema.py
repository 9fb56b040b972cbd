"""JSON Schemas that know one rulebook's own names, so that an editor completes, explains and checks them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

from nextbest.facts import Fact, FactType, Figure, figure_fact
from nextbest.rulebook.own_names import Names, OwnNames, own_names
from nextbest.rulebook.schema import MODELS, schema_of, schema_path
from nextbest.rulebook.source import RulebookSource

Schema: TypeAlias = dict[str, Any]

_PLACES: Mapping[tuple[str, str], str] = {
    ("ActionEntry", "issue"): "issue",
    ("ActionEntry", "group"): "group",
    ("ActionEntry", "segments"): "segment",
    ("ActionEntry", "triggers"): "trigger",
    ("ActionEntry", "topics"): "topic",
    ("ActionEntry", "authority"): "role",
    ("ActionEntry", "promises"): "promise",
    ("ActionEntry", "treatments"): "treatment",
    ("TreatmentEntry", "consent"): "consent",
    ("OfferEntry", "products"): "product_set",
    ("ChannelEntry", "consent"): "consent",
    ("PolicyLimit", "channel"): "channel",
    ("StoredTrigger", "fired_at"): "timestamp",
    ("StoredTrigger", "pattern"): "pattern",
    ("ChangeTrigger", "fired_at"): "timestamp",
    ("DetectorEvidence", "observed"): "number",
    ("DetectorEvidence", "expected"): "number",
    ("DetectorEvidence", "z"): "number",
    ("DetectorEvidence", "robust_z"): "number",
    ("DetectorEvidence", "probability"): "number",
    ("ChangeEvidence", "before"): "fact",
    ("ChangeEvidence", "after"): "fact",
    ("RowEntry", "actions"): "action",
    ("RowEntry", "levers"): "action",
    ("FactEntry", "observed_at"): "timestamp",
    ("facts", "quality"): "fact",
    ("Group", "issue"): "issue",
    ("Step", "owner"): "role",
    ("Potential", "peer_dimensions"): "fact",
    ("Value", "activities"): "number",
    ("Value", "benefits"): "number",
    ("Happening", "event"): "event",
    ("Happening", "channel"): "channel",
    ("Happening", "placement"): "placement",
    ("Happening", "action"): "action",
    ("Happening", "trigger"): "trigger",
    ("Situation", "channel"): "channel",
    ("Situation", "placements"): "placement",
    ("Situation", "role"): "role",
    ("Experiment", "segment"): "segment",
    ("Arm", "without"): "action",
    ("Expectation", "fired"): "trigger",
    ("Expectation", "not_fired"): "trigger",
    ("Expectation", "includes"): "action",
    ("Expectation", "excludes"): "action",
    ("Expectation", "answer"): "answer",
    ("Expectation", "first"): "answer",
}
"""Where names of the rulebook stand: (definition or kind of file, key) to what they name."""

_VALUES: Mapping[tuple[str, str], str] = {
    ("AuthorTest", "customer"): "facts",
    ("Background", "customer"): "facts",
    ("AuthorTest", "figures"): "figures",
    ("Background", "figures"): "figures",
    ("Situation", "keys"): "context",
}
"""Where facts, figures and context keys have values."""

MAX_EXAMPLES = 500
"""Most names that an expression offers."""


def filled_schema(kind: str, own: OwnNames) -> Schema:
    """The schema of one kind of file with the rulebook's names in it; draft 7.

    Where a kind of name is not declared at all, anything goes, as in the general schema.
    """
    schema = schema_of(kind)
    expressions = own.in_expressions()[:MAX_EXAMPLES]
    for name, model in [(kind, schema), *cast("dict[str, Schema]", schema.get("definitions", {})).items()]:
        for key, value in cast("dict[str, Schema]", model.get("properties", {})).items():
            if (name, key) in _VALUES:
                _fill_values(value, _valued(own, _VALUES[name, key]))
            else:
                _fill(value, own.of(_PLACES.get((name, key), "")))
            _offer(value, expressions)
    return schema


def render_filled_schema(kind: str, own: OwnNames) -> str:
    """The schema of one kind of file as it is written."""
    return json.dumps(filled_schema(kind, own), ensure_ascii=False, indent=2) + "\n"


def filled_files(source: RulebookSource, directory: Path) -> dict[Path, str]:
    """What to write into a directory of schemas for this rulebook."""
    own = own_names(source)
    return {schema_path(directory, kind): render_filled_schema(kind, own) for kind in MODELS}


def _fill(node: Schema, names: Names) -> None:
    """Let a value, each item of a list, or each key of a mapping be one of the names."""
    if not names:
        return
    node.pop("examples", None)  # they name what other rulebooks have
    for branch in cast("list[Schema]", [*node.get("oneOf", ()), *node.get("anyOf", ())]):
        _fill(branch, names)
    if node.get("type") == "array":
        _fill(cast("Schema", node["items"]), names)
    elif node.get("type") == "object":
        _fill_keys(node, names)
    elif node.get("type") == "string":
        for keyword in ("pattern", "minLength", "maxLength"):
            node.pop(keyword, None)
        _explain(node, names)


def _explain(node: Schema, names: Names) -> None:
    """An `enum`, with what each name means where the editor can show it."""
    node["enum"] = list(names)
    if any(names.values()):
        described = [f"`{name}`: {words}" for name, words in names.items() if words]
        node["description"] = "\n\n".join([*filter(None, [node.get("description")]), *described])


def _fill_keys(node: Schema, names: Names) -> None:
    patterns = cast("dict[str, Schema]", node.pop("patternProperties", {}))
    value = next(iter(patterns.values()), node.get("additionalProperties"))
    if not isinstance(value, dict):
        return
    shared = cast("Schema", value)
    node["properties"] = {name: _described(shared, words) for name, words in names.items()}
    node["additionalProperties"] = False


def _described(value: Schema, words: str) -> Schema:
    if not words:
        return value
    return {"allOf": [value], "description": words}


def _valued(own: OwnNames, kind: str) -> Sequence[Fact]:
    if kind == "figures":
        return [figure_fact(figure) for figure in Figure]
    return own.context if kind == "context" else own.facts


def _fill_values(node: Schema, facts: Sequence[Fact]) -> None:
    """A mapping of facts to values of the right kind; tests may write times relative to their now."""
    if facts:
        node.pop("patternProperties", None)
        node["properties"] = {fact.name: _value_of(fact) for fact in facts}
        node["additionalProperties"] = False


def _value_of(fact: Fact) -> Schema:
    schemas: Mapping[FactType, Schema] = {
        FactType.BOOL: {"type": "boolean"},
        FactType.INT: {"type": "integer"},
        FactType.DOUBLE: {"type": "number"},
        FactType.ENUM: {"enum": list(fact.values)},
        FactType.SET: {"type": "array", "items": {"enum": list(fact.values)}},
        FactType.TIMESTAMP: {"type": ["string", "number"]},
    }
    words = f"{fact.description} ({fact.unit})" if fact.unit else fact.description
    return schemas[fact.type] | ({"description": words} if words else {})


def _offer(node: Schema, names: list[str]) -> None:
    """Offer what an expression may read, below the examples there are."""
    if _is_expression(node):
        node["examples"] = [*node.get("examples", ()), *names]
    for branch in cast("list[Schema]", node.get("oneOf", ())):
        _offer(branch, names)
    for key in ("additionalProperties", "items"):
        if _is_expression(inner := node.get(key)):
            _offer(cast("Schema", inner), names)


def _is_expression(node: object) -> bool:
    return isinstance(node, dict) and cast("Schema", node).get("type") == ["string", "boolean", "number"]
