"""Author's tests of the shipped rulebooks pass, and the command tells a pipeline how they went."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from nextbest.author_tests import render_report, run_tests
from nextbest.cli.rules import app
from nextbest.rulebook.compile import compile_rulebook
from nextbest.rulebook.source import load_source
from nextbest.rulebook.starting import start_rulebook
from nextbest.rulebook.verify import verify_rulebook

ROOT = Path(__file__).parents[2]
RULES = ROOT / "rules"
SHIPPED = sorted(path.parent.name for path in RULES.glob("*/strategy.yaml"))
FAILING = ROOT / "tests" / "golden" / "author_tests" / "failing" / "rules"


def command(*arguments: str):
    """Run `nextbest rules test`."""
    return CliRunner().invoke(app, ["test", *arguments])


@pytest.mark.parametrize("rulebook", SHIPPED)
def test_shipped_rulebooks_answer_as_their_authors_expect(rulebook: str) -> None:
    """Every shipped rulebook has tests, and passes them."""
    source = load_source(RULES / rulebook)
    report = run_tests(source)
    assert report.passed, render_report(report, source)
    assert len(report.results) >= 5


@pytest.mark.parametrize("rulebook", SHIPPED)
def test_shipped_rulebooks_are_clean(rulebook: str) -> None:
    """Neither error nor warning, in two languages, with something for customers in every stage."""
    assert verify_rulebook(RULES / rulebook) == []
    found = compile_rulebook(RULES / rulebook)
    assert found.languages == ("en", "da")
    assert int(np.bitwise_or.reduce(found.action_tables.stages)) == 0b1111


def test_telecom_tests_reach_everything() -> None:
    """Every action is in some answer; every condition, row and segment is seen to hold and not to hold."""
    coverage = run_tests(load_source(RULES / "telecom")).coverage
    assert coverage is not None
    assert coverage.never_offered == []
    assert (coverage.never_true, coverage.always_true) == ([], [])


def test_coverage_counts_what_was_tried() -> None:
    """An action counts if it was in an answer; a condition, if it held for one case and not for another."""
    coverage = run_tests(load_source(FAILING)).coverage
    assert coverage is not None
    assert set(coverage.offered) == {"second_cup", "slice", "whole_cake"}
    assert coverage.never_offered == []
    names = [seen.name for seen in coverage.conditions]
    assert "trigger `came_lately`" in names
    assert "segment `busy`" in names
    assert "row 3 of table `cake`" in names
    assert coverage.both_ways == len(names)


def test_tests_that_fail_give_exit_code_1() -> None:
    """A failure is shown with its place, and the command fails."""
    result = command(str(FAILING))
    assert result.exit_code == 1
    assert "tests/counter_test.yaml:13:22: error: in `Wrong order`" in result.output
    assert "7 tests: 1 passed, 6 failed" in result.output


def test_outcome_as_json() -> None:
    """Tools read which tests passed, every failure, and the coverage."""
    report = json.loads(command(str(FAILING), "--format", "json").output)
    assert not report["passed"]
    assert [test["passed"] for test in report["tests"]] == [True, *[False] * 6]
    assert {d["code"] for d in report["diagnostics"]} == {"test-failed"}
    assert report["coverage"]["never_offered"] == []


def test_outcome_as_annotations() -> None:
    """GitHub shows each failure beside its line."""
    lines = command(str(FAILING), "--format", "github").output.splitlines()
    assert len(lines) == 11
    assert lines[0].startswith(
        f"::error file={FAILING}/tests/counter_test.yaml,title=test-failed,line=13,col=22"
    )


def test_no_tests_are_no_failure() -> None:
    """A rulebook without tests is told how to begin."""
    result = command(str(FAILING.parents[1] / "no_tests" / "rules"))
    assert (result.exit_code, result.output) == (0, "no tests: write `tests/<name>_test.yaml`\n")


def test_order_of_tests_changes_nothing(tmp_path: Path) -> None:
    """Each test is decided by itself: alone it gives what it gives among others."""
    import shutil

    import yaml

    shutil.copytree(FAILING, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "tests" / "counter_test.yaml"
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    document["background"]["now"] = "2025-06-01T12:00:00Z"
    together = run_tests(load_source(FAILING)).results
    for i, test in enumerate(document["tests"]):
        file.write_text(yaml.safe_dump(document | {"tests": [test]}), encoding="utf-8")
        (alone,) = run_tests(load_source(tmp_path)).results
        assert [d.message for d in alone.failures] == [d.message for d in together[i].failures]


FRESH_COMPLAINT = """\
tests:
  - name: A serious complaint is answered by an apology
    now: 2026-06-02T10:00:00Z
    customer: {complaint_open: true, complaint_severity: 3, complaint_at: 1d ago, household: single}
    request: {channel: pos, role: till}
    expect: {answer: sorry}
"""


def test_a_fresh_rulebook_apologises(tmp_path: Path) -> None:
    """Who begins a rulebook answers an open complaint with the template's apology, with nothing changed."""
    book = tmp_path / "shop"
    start_rulebook(book, "minimal")
    (book / "tests").mkdir()
    (book / "tests" / "complaint_test.yaml").write_text(FRESH_COMPLAINT, encoding="utf-8")
    source = load_source(book)
    report = run_tests(source)
    assert report.passed, render_report(report, source)


def test_an_unknown_reason_is_told_its_nearest(tmp_path: Path) -> None:
    """A misspelt reason gets the name it is near to, and one that is near to nothing the list of all."""
    book = tmp_path / "shop"
    start_rulebook(book, "minimal")
    (book / "tests").mkdir()
    for reason, hint in (("condition_fals", "did you mean `condition_false`?"), ("xyz", "`stage_mismatch`")):
        text = FRESH_COMPLAINT.replace("{answer: sorry}", f"{{excludes: {{coffee_card: {reason}}}}}")
        (book / "tests" / "complaint_test.yaml").write_text(text, encoding="utf-8")
        source = load_source(book)
        shown = render_report(run_tests(source), source)
        assert f"unknown reason `{reason}`" in shown
        assert hint in shown


def test_a_name_is_given_to_one_test(tmp_path: Path) -> None:
    """Two tests of one name are an error, as a report could not tell them apart."""
    book = tmp_path / "shop"
    start_rulebook(book, "minimal")
    (book / "tests").mkdir()
    for name in ("a", "b"):
        (book / "tests" / f"{name}_test.yaml").write_text(FRESH_COMPLAINT, encoding="utf-8")
    source = load_source(book)
    shown = render_report(run_tests(source), source)
    assert "test `A serious complaint is answered by an apology` is declared twice [duplicate-id]" in shown
