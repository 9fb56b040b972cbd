"""A folder a rulebook with tests; expected.txt is all that `nextbest rules test` says of them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nextbest.author_tests import render_report, run_tests
from nextbest.rulebook.source import load_source

CASES = Path(__file__).parent / "author_tests"


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir() if path.is_dir()))
def test_report_is_as_expected(case: str, golden: Callable[[Path, str], None]) -> None:
    """The whole report of a rulebook's tests is what the case says: each failure with its place and cause."""
    source = load_source(CASES / case / "rules")
    report = run_tests(source)
    assert report.passed is (case == "no_tests")
    golden(CASES / case / "expected.txt", render_report(report, source))
