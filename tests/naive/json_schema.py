"""JSON Schema draft 7 as far as the rulebook's schemas use it: slow and plain."""

import re

ANNOTATIONS = {"$schema", "title", "description", "default", "examples", "format", "definitions"}
TYPES = {
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "null": lambda v: v is None,
}


def violations(value, schema, root, path="$"):
    """Everything that keeps a value from being valid, as `path: keyword`; raises on unknown keywords."""
    found = []
    for keyword, argument in schema.items():
        if keyword in ANNOTATIONS:
            continue
        check = globals()[f"_{keyword.lstrip('$')}"]
        found += check(value, argument, schema, root, path)
    return found


def _fails(condition, path, keyword):
    return [f"{path}: {keyword}"] if condition else []


def _ref(value, argument, schema, root, path):
    target = root
    for part in argument.removeprefix("#/").split("/"):
        target = target[part]
    return violations(value, target, root, path)


def _type(value, argument, schema, root, path):
    names = argument if isinstance(argument, list) else [argument]
    return _fails(not any(TYPES[name](value) for name in names), path, "type")


def _enum(value, argument, schema, root, path):
    return _fails(value not in argument, path, "enum")


def _const(value, argument, schema, root, path):
    return _fails(value != argument, path, "const")


def _allOf(value, argument, schema, root, path):  # noqa: N802  (the keyword's own name)
    return [v for choice in argument for v in violations(value, choice, root, path)]


def _anyOf(value, argument, schema, root, path):  # noqa: N802
    return _fails(all(violations(value, choice, root, path) for choice in argument), path, "anyOf")


def _oneOf(value, argument, schema, root, path):  # noqa: N802
    valid = sum(not violations(value, choice, root, path) for choice in argument)
    return _fails(valid != 1, path, f"oneOf ({valid})")


def _properties(value, argument, schema, root, path):
    if not isinstance(value, dict):
        return []
    pairs = ((name, inner) for name, inner in argument.items() if name in value)
    return [v for name, inner in pairs for v in violations(value[name], inner, root, f"{path}.{name}")]


def _patternProperties(value, argument, schema, root, path):  # noqa: N802
    if not isinstance(value, dict):
        return []
    return [
        v
        for pattern, inner in argument.items()
        for name in value
        if re.search(pattern, name)
        for v in violations(value[name], inner, root, f"{path}.{name}")
    ]


def _additionalProperties(value, argument, schema, root, path):  # noqa: N802
    if not isinstance(value, dict):
        return []
    patterns = schema.get("patternProperties", {})
    extra = [
        name
        for name in value
        if name not in schema.get("properties", {}) and not any(re.search(p, name) for p in patterns)
    ]
    if argument is False:
        return [f"{path}.{name}: additionalProperties" for name in extra]
    return [v for name in extra for v in violations(value[name], argument, root, f"{path}.{name}")]


def _propertyNames(value, argument, schema, root, path):  # noqa: N802
    names = value if isinstance(value, dict) else ()
    return [v for name in names for v in violations(name, argument, root, f"{path}.{name}")]


def _required(value, argument, schema, root, path):
    return [f"{path}: required {n}" for n in argument if isinstance(value, dict) and n not in value]


def _items(value, argument, schema, root, path):
    items = enumerate(value) if isinstance(value, list) else ()
    return [v for i, item in items for v in violations(item, argument, root, f"{path}[{i}]")]


def _pattern(value, argument, schema, root, path):
    return _fails(isinstance(value, str) and not re.search(argument, value), path, "pattern")


def _bound(wanted, measure, breaks):
    def check(value, argument, schema, root, path):
        return _fails(isinstance(value, wanted) and breaks(measure(value), argument), path, "bound")

    return check


_minLength = _bound(str, len, lambda n, m: n < m)  # noqa: N816
_maxLength = _bound(str, len, lambda n, m: n > m)  # noqa: N816
_minItems = _bound(list, len, lambda n, m: n < m)  # noqa: N816
_maxItems = _bound(list, len, lambda n, m: n > m)  # noqa: N816
_minProperties = _bound(dict, len, lambda n, m: n < m)  # noqa: N816
_minimum = _bound((int, float), float, lambda n, m: n < m)
_maximum = _bound((int, float), float, lambda n, m: n > m)
_exclusiveMinimum = _bound((int, float), float, lambda n, m: n <= m)  # noqa: N816
_exclusiveMaximum = _bound((int, float), float, lambda n, m: n >= m)  # noqa: N816


def _is_schema(value):
    return isinstance(value, dict | bool)


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value):
    return isinstance(value, str)


def _is_pattern(value):
    return isinstance(value, str) and re.compile(value) is not None


def _is_list(value):
    return isinstance(value, list) and bool(value)


def _is_mapping(value):
    return isinstance(value, dict)


SHAPES = (
    dict.fromkeys(("additionalProperties", "propertyNames", "items", "contains", "not", "if"), _is_schema)
    | dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), _is_number)
    | dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties"), _is_count)
    | dict.fromkeys(("$schema", "$id", "$ref", "$comment", "title", "description", "format"), _is_text)
    | dict.fromkeys(("enum", "examples", "allOf", "anyOf", "oneOf"), _is_list)
    | dict.fromkeys(("properties", "patternProperties", "definitions"), _is_mapping)
    | {
        "pattern": _is_pattern,
        "default": lambda value: True,
        "const": lambda value: True,
        "required": lambda value: isinstance(value, list) and all(isinstance(v, str) for v in value),
        "type": lambda value: all(v in TYPES for v in (value if isinstance(value, list) else [value])),
    }
)
"""Draft 7's keywords (json-schema.org/draft-07/schema), as far as anyone here would use them."""


def draft_7_problems(schema, path="$"):
    """Keywords that draft 7 does not have, or whose value has the wrong shape."""
    if not _is_schema(schema):
        return [f"{path}: not a schema"]
    if isinstance(schema, bool):
        return []
    found = [
        f"{path}: {keyword}"
        for keyword, value in schema.items()
        if keyword not in SHAPES or not SHAPES[keyword](value)
    ]
    for keyword, value in schema.items():
        if keyword in ("properties", "patternProperties", "definitions") and isinstance(value, dict):
            children = value.items()
        elif keyword in ("allOf", "anyOf", "oneOf") and isinstance(value, list):
            children = enumerate(value)
        elif keyword in ("additionalProperties", "propertyNames", "items", "not", "if"):
            children = [("", value)]
        else:
            children = []
        for name, child in children:
            found += draft_7_problems(child, f"{path}.{keyword}.{name}")
    return found
