"""Every folder of golden/rulebook is a rulebook; expected.txt is all that the compiler says about it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nextbest.rulebook.compile import check_source
from nextbest.rulebook.diagnostics import render_text
from nextbest.rulebook.source import load_source

CASES = Path(__file__).parent / "rulebook"


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir() if path.is_dir()))
def test_report_is_as_expected(case: str, golden: Callable[[Path, str], None]) -> None:
    """The whole rendered report of a rulebook is what the case says, place, caret and hint included."""
    source = load_source(CASES / case / "rules")
    report = render_text(check_source(source), source.by_path)
    golden(CASES / case / "expected.txt", report.replace(str(CASES), ""))
