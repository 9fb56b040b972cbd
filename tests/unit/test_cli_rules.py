"""`nextbest rules check`: every format, and exit codes that a pipeline can rely on."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nextbest.cli.rules import app

LINTS = Path(__file__).parents[1] / "golden" / "lint"


@pytest.fixture
def rules(tmp_path: Path):
    """Runs `check` on the clean rulebook of the golden lints, with a case laid over it."""

    def run(case: str, *options: str):
        shutil.copytree(LINTS / "base", tmp_path, dirs_exist_ok=True)
        if case:
            shutil.copytree(LINTS / case / "rules", tmp_path, dirs_exist_ok=True)
        return CliRunner().invoke(app, ["check", str(tmp_path), *options])

    return run


def test_clean_rulebook_passes(rules) -> None:
    """Nothing to say is said in words, as JSON, and not at all to GitHub."""
    assert (rules("").output, rules("").exit_code) == ("no problems\n", 0)
    assert json.loads(rules("", "--format", "json").output) == {"errors": 0, "warnings": 0, "diagnostics": []}
    assert rules("", "--format", "github").output.strip() == ""


def test_warnings_do_not_fail(rules) -> None:
    """A lint is shown with its code, and the rulebook still passes."""
    result = rules("unkept-promise")
    assert "[unkept-promise]" in result.output
    assert result.exit_code == 0


def test_strict_fails_on_warnings(rules) -> None:
    """A team may hold itself to no warnings."""
    assert rules("unkept-promise", "--strict").exit_code == 1
    assert rules("", "--strict").exit_code == 0


def test_errors_fail(rules) -> None:
    """An error gives exit code 1, and lints are silent about what is broken."""
    result = rules("unknown-promise", "--format", "json")
    assert result.exit_code == 1
    assert [d["code"] for d in json.loads(result.stdout)["diagnostics"]] == ["unknown-promise"]
    assert result.stderr == "1 error in 1 file\n"
    text = rules("unknown-promise")
    assert (text.output.count("1 error in 1 file"), text.exit_code) == (1, 1)


def test_github_annotations_name_file_and_line(rules, tmp_path: Path) -> None:
    """Paths begin where the rulebook lies, so that annotations stand beside the lines."""
    output = rules("never-true", "--format", "github").output
    assert f"\n::warning file={tmp_path}/segments.yaml,title=never-true,line=3,col=11" in f"\n{output}"
