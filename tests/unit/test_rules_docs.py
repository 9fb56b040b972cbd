"""docs/rules.md tells the truth: its files compile, its wrong file gives the report it shows."""

import re
from pathlib import Path

import pytest

from nextbest.author_tests import render_report, run_tests
from nextbest.rulebook.diagnostics import render_text
from nextbest.rulebook.reference import render_reference, write_reference
from nextbest.rulebook.source import load_source
from nextbest.rulebook.verify import verify_source

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "rules.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```yaml\n# (\S+)( \(wrong\))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
REPORT = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def write_blocks(directory: Path, *, wrong: bool) -> None:
    """Write the guide's files, with or without the wrong one."""
    for name, mark, text in BLOCK.findall(GUIDE):
        if wrong or not mark:
            path = directory / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"# {name}\n{text}", encoding="utf-8")


def report(directory: Path) -> str:
    """What is said of a directory."""
    source = load_source(directory)
    return render_text(verify_source(source), source.by_path)


def test_rulebook_of_the_guide_compiles(tmp_path: Path) -> None:
    """The files shown in the guide are a rulebook without errors or warnings."""
    write_blocks(tmp_path, wrong=False)
    assert len(list(tmp_path.rglob("*.yaml"))) == 7
    assert report(tmp_path) == ""


def test_tests_of_the_guide_pass(tmp_path: Path) -> None:
    """The tests shown in the guide are run, and hold."""
    write_blocks(tmp_path, wrong=False)
    source = load_source(tmp_path)
    report = run_tests(source)
    assert report.passed, render_report(report, source)
    assert len(report.results) == 3


def test_report_of_the_guide_is_real(tmp_path: Path) -> None:
    """The report shown for the wrong file is the one that is given."""
    write_blocks(tmp_path, wrong=True)
    assert report(tmp_path) == REPORT.search(GUIDE)[1]  # type: ignore[index]


def test_reference_is_up_to_date() -> None:
    """A change of the models is committed with its reference: run `python -m nextbest.rulebook.reference`."""
    assert (DOCS / "rules-reference.md").read_text(encoding="utf-8") == render_reference()


def test_reference_lists_every_kind_of_key(tmp_path: Path) -> None:
    """Keys of nested entries are listed with their path, required ones marked."""
    write_reference(tmp_path / "reference.md")
    text = (tmp_path / "reference.md").read_text(encoding="utf-8")
    assert "| `actions[].treatments.<name>.offer.type`\\* |" in text
    assert "| `goals[].id`\\* | id |" in text


@pytest.mark.parametrize("path", ["actions[].limits[].pause", "stages.know_me.stretch", "hold_out.share"])
def test_reference_reaches_deep(path: str) -> None:
    """The reference goes as deep as the files do."""
    assert f"| `{path}`" in render_reference()
