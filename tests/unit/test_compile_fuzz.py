"""Broken rule files: whatever is done to them, the compiler answers with diagnostics."""

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nextbest.rulebook.diagnostics import render_github, render_json, render_text
from nextbest.rulebook.source import load_source
from nextbest.rulebook.verify import verify_source

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
