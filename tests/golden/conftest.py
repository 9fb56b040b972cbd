"""Golden cases are folders; `pytest tests/golden --update-golden` rewrites what they expect."""

from collections.abc import Callable
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flag that rewrites expectations."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the expected texts")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a text with a file, or rewrite the file when asked to."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--update-golden", default=False):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), (
            f"rewrite {path} with --update-golden if this is right"
        )

    return compare
