"""docs/failures.md names the tests that show what it says."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_named_exists():
    """Whatever the page cites as a proof is a test of that name, or a file of tests."""
    named = set(re.findall(r"\btest_\w+", (ROOT / "docs" / "failures.md").read_text()))
    files = list((ROOT / "tests").rglob("test_*.py"))
    there = {file.stem for file in files}
    for file in files:
        there |= set(re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE))
    assert named - there == set()
    assert len(named) > 40
