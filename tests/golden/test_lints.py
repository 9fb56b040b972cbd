"""A folder a lint: its files over those of `base/`, which is clean; expected.txt is the whole report."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nextbest.rulebook.diagnostics import render_text
from nextbest.rulebook.lint import LINTS
from nextbest.rulebook.source import load_source
from nextbest.rulebook.verify import verify_source

CASES = Path(__file__).parent / "lint"
NAMES = sorted(path.name for path in CASES.iterdir() if path.name != "base")


def report(directory: Path, name: str) -> str:
    """What is said of a case."""
    shutil.copytree(CASES / "base", directory, dirs_exist_ok=True)
    if (CASES / name / "rules").is_dir():
        shutil.copytree(CASES / name / "rules", directory, dirs_exist_ok=True)
    source = load_source(directory)
    return render_text(verify_source(source), source.by_path)


@pytest.mark.parametrize("name", NAMES)
def test_report_is_as_expected(name: str, tmp_path: Path, golden: Callable[[Path, str], None]) -> None:
    """The whole rendered report of a case is what its folder says, and speaks of what it is named for."""
    text = report(tmp_path, name)
    assert f"[{name}]" in text
    golden(CASES / name / "expected.txt", text)


def test_base_is_clean(tmp_path: Path) -> None:
    """No lint has anything to say about the files that the cases start from."""
    assert report(tmp_path, "base") == ""


def test_every_lint_has_a_case() -> None:
    """A lint comes with a folder of its own."""
    assert {lint.CODE for lint in LINTS} <= set(NAMES)
