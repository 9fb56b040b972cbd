"""Every given figure is asserted somewhere: a vector that no test reads proves nothing."""

import json
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
NAMES = [vector["name"] for vector in json.loads((TESTS / "vectors.json").read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def quoted():
    """All words in quotes in the tests, but here."""
    texts = (p.read_text(encoding="utf-8") for p in TESTS.rglob("*.py") if p != Path(__file__))
    return {word for text in texts for word in re.findall(r'"([A-Za-z0-9_]+)"', text)}


NOT_BUILT = {"ab_test", "budget_dual_step", "follow_up", "off_policy"}
"""Of budgets, experiments and follow-up, which nothing computes yet."""


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NOT_BUILT])
def test_every_vector_is_read(quoted, name):
    """A test names the vector."""
    assert name in quoted


def test_what_is_not_built_is_read_by_nobody(quoted):
    """A vector leaves the list as soon as a test reads it."""
    assert set(NAMES) >= NOT_BUILT
    assert quoted.isdisjoint(NOT_BUILT)
