"""docs/lints tells the truth: a page a lint, with a report that the golden case really gives."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from nextbest.rulebook.lint import LINTS

ROOT = Path(__file__).parents[3]
PAGES = ROOT / "docs" / "lints"
CASES = ROOT / "tests" / "golden" / "lint"
CODES = sorted(path.stem for path in PAGES.glob("*.md") if path.name != "README.md")
REPORT = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_case_has_a_page() -> None:
    """What has a golden folder is explained, and every lint has one."""
    assert set(CODES) == {path.name for path in CASES.iterdir()} - {"base"}
    assert {lint.CODE for lint in LINTS} <= set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_report_of_the_page_is_real(code: str) -> None:
    """The report that a page shows stands in what its case expects."""
    text = (PAGES / f"{code}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {code}\n")
    assert "**Mend it:**" in text
    (report,) = REPORT.findall(text)
    assert report in (CASES / code / "expected.txt").read_text(encoding="utf-8")


def test_index_is_up_to_date() -> None:
    """A change of a page is committed with the index: run `python tools/lint_index.py`."""
    command = [sys.executable, str(ROOT / "tools" / "lint_index.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0
