"""Broken rule files: whatever is done to them, the compiler answers with diagnostics."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nextbest.facts import Catalogue
from nextbest.rulebook.diagnostics import render_github, render_json, render_text
from nextbest.rulebook.expressions import ExpressionError, Scope, compile_expression
from nextbest.rulebook.source import load_source
from nextbest.rulebook.verify import verify_source
from nextbest.standard_facts import STANDARD_FACTS

RULES = Path(__file__).parents[2] / "rules"
FILES = sorted(str(path.relative_to(RULES)) for path in RULES.glob("[a-z]*/**/*.yaml"))
SNIPPETS = [
    "'",
    '"',
    ":",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "- ",
    "\n",
    "\t",
    "#",
    "&a ",
    "*a ",
    "!x ",
    "|",
    ">",
    "0",
    "-1",
]
SNIPPETS += [
    "null",
    "1e999",
    "æ",
    "\x00",
    "true",
    "[[",
    "999999999999",
    "customer.",
    " && ",
    "trigger.x",
    "~",
    ",",
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the shipped rulebooks to break."""
    target = tmp_path_factory.mktemp("fuzz") / "rules"
    shutil.copytree(RULES, target)
    return target


@st.composite
def edits(draw: st.DrawFn) -> tuple[str, list[tuple[float, int, str]]]:
    """A file, and places (as shares of its length) where so many characters become something else."""
    place = st.floats(0, 1)
    edit = st.tuples(place, st.integers(0, 12), st.sampled_from([*SNIPPETS, ""]))
    return draw(st.sampled_from(FILES)), draw(st.lists(edit, min_size=1, max_size=4))


@given(edits())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_broken_files_make_diagnostics_only(
    copy: Path, edit: tuple[str, list[tuple[float, int, str]]]
) -> None:
    """No edit of a rule file makes compiler or lints raise, and every diagnostic points into its file."""
    name, changes = edit
    original = (RULES / name).read_text(encoding="utf-8")
    text = original
    for share, length, snippet in changes:
        at = int(share * len(text))
        text = text[:at] + snippet + text[at + length :]
    (copy / name).write_text(text, encoding="utf-8")
    source = load_source(copy / name.split("/")[0])
    diagnostics = verify_source(source)
    (copy / name).write_text(original, encoding="utf-8")
    for diagnostic in diagnostics:
        if diagnostic.line and diagnostic.file in source.by_path:
            file = source.by_path[diagnostic.file]
            assert diagnostic.line <= len(file.line_starts)
            assert 1 <= diagnostic.column <= len(file.line(diagnostic.line)) + 3
    for report in (
        render_text(diagnostics, source.by_path),
        render_json(diagnostics),
        render_github(diagnostics),
    ):
        assert isinstance(report, str)


SCOPE = Scope(Catalogue(STANDARD_FACTS), triggers=("came_lately",), channels=("pos",))
WORDS = [
    "customer.",
    "customer.n_visits",
    "customer.needs",
    "customer.complaint_open",
    "customer.last_purchase",
    "context.channel",
    "trigger.came_lately",
    "history.contacts",
    "entry.outcome",
    "count(",
    "last(",
    "has(",
    "days_since(",
    ".size()",
    "&&",
    "||",
    "!",
    "==",
    "<",
    "in",
    "+",
    "-",
    "*",
    "/",
    "%",
    "?",
    ":",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    "1",
    "0",
    "2.5",
    "9223372036854775808",
    "1e400",
    "'a'",
    '"',
    "'pos'",
    "true",
    "null",
]
CAFE = Path(__file__).parents[1] / "golden" / "lint" / "base"
PLACES = ["strategy.yaml", "facts.yaml", "segments.yaml", "stages.yaml", "policies.yaml", "experiments.yaml"]
PLACES += ["triggers/visits.yaml", "actions/menu.yaml", "tables/t.yaml", "tests/t_test.yaml"]


def _checked(directory: Path) -> str:
    source = load_source(directory)
    return render_text(verify_source(source), source.by_path)


@pytest.fixture(scope="module")
def cafe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small rulebook to break."""
    target = tmp_path_factory.mktemp("fuzz") / "cafe"
    shutil.copytree(CAFE, target)
    for folder in ("tables", "tests"):
        (target / folder).mkdir()
    return target


def _with(directory: Path, name: str, content: bytes) -> str:
    """What is said while a file has other content."""
    path = directory / name
    before = path.read_bytes() if path.exists() else None
    path.write_bytes(content)
    try:
        return _checked(directory)
    finally:
        path.unlink()
        if before is not None:
            path.write_bytes(before)


@given(st.sampled_from(PLACES), st.binary(max_size=200))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_bytes_make_diagnostics_only(cafe: Path, name: str, content: bytes) -> None:
    """A file of any kind may hold any bytes: what is said is a report that can be printed."""
    assert all(c.isprintable() or c in "\n\t" for c in _with(cafe, name, content))


NAMES = ["id", "when", "en", "x"]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["customer.coffees > 1", "second_cup", "came_lately", "-", "30d", "2025-01-01"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "when", "en", "x"]), inner)
    ),
    max_leaves=6,
)
KEYS = ["id", "when", "rows", "columns", "tests", "triggers", "tables", "segments", "actions", "channels"]
KEYS += ["standard", "values", "facts", "goals", "effect", "treatments", "relevance", "expect", "request"]


@given(st.sampled_from(PLACES), st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_values_of_wrong_shape_make_diagnostics_only(cafe: Path, name: str, data: st.DataObject) -> None:
    """Whatever shape stands where another is expected, the report says so and nothing is raised."""
    path = cafe / name
    document = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    for _ in range(data.draw(st.integers(1, 3))):
        document = _changed(document, data)
    assert isinstance(_with(cafe, name, json.dumps(document).encode()), str)


def _changed(node: object, data: st.DataObject) -> object:
    """The same tree with one part replaced, or a key added."""
    if isinstance(node, dict) and node and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(node)))
        return {**node, key: _changed(node[key], data)}
    if isinstance(node, dict) and data.draw(st.booleans()):
        return {**node, data.draw(st.sampled_from(KEYS)): data.draw(VALUES)}
    if isinstance(node, list) and node and data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(node) - 1))
        return [*node[:place], _changed(node[place], data), *node[place + 1 :]]
    return data.draw(VALUES)


@given(st.text(max_size=60) | st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join))
@settings(max_examples=100, deadline=None)
def test_any_expression_is_typed_or_refused(source: str) -> None:
    """The expression parser and checker raise nothing but their own error, inside the text."""
    try:
        start, end = 0, len(compile_expression(source, SCOPE).source)
    except ExpressionError as error:
        start, end = error.start, error.end
    assert 0 <= start <= end <= len(source)
