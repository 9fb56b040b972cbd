"""Every given figure is asserted somewhere: a vector that no test reads proves nothing."""

import json
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
VECTORS = json.loads((TESTS / "vectors.json").read_text(encoding="utf-8"))
NAMES = [vector["name"] for vector in VECTORS]


@pytest.fixture(scope="module")
def texts():
    """All modules of the tests, but this."""
    return [p.read_text(encoding="utf-8") for p in TESTS.rglob("*.py") if p != Path(__file__)]


@pytest.fixture(scope="module")
def quoted(texts):
    """All words in quotes in the tests, but here."""
    return {word for text in texts for word in re.findall(r'"([A-Za-z0-9_]+)"', text)}


NOT_BUILT = {"ab_test", "budget_dual_step", "follow_up", "off_policy"}
"""Of budgets, experiments and follow-up, which nothing computes yet."""


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NOT_BUILT])
def test_every_vector_is_read(quoted, name):
    """A test names the vector."""
    assert name in quoted


UNREAD = {
    "grid_back_off": {"root", "n_min", "exact values, no sketch"},
    "cusum": {"alarm_at counts from", "note"},
    "pressure": {"next"},
    "bgnbd_fit_cdnow": {"note", "tolerance"},
    "ltv_52_weeks": {"customer"},
}
"""Words about a vector, and what its test writes out: the root 100, 200 … 2000, an e-mail, a customer."""


def keys_of(vector):
    """Names of what goes in and of what comes out."""
    return {key for part in ("in", "out") if isinstance(vector[part], dict) for key in vector[part]}


@pytest.mark.parametrize("vector", VECTORS, ids=NAMES)
def test_every_key_of_a_vector_is_read(texts, vector):
    """Each input and each figure is named in a module that reads the vector, or is walked through there."""
    name = vector["name"]
    if name in NOT_BUILT:
        return
    readers = [text for text in texts if f'"{name}"' in text and "vectors.json" in text]
    walked = set(vector["out"]) if any('["out"].items()' in text for text in readers) else set()
    unread = {key for key in keys_of(vector) - walked if not any(f'"{key}"' in text for text in readers)}
    assert unread == UNREAD.get(name, set())


def test_what_is_not_built_is_read_by_nobody(quoted):
    """A vector leaves the list as soon as a test reads it."""
    assert set(NAMES) >= NOT_BUILT
    assert quoted.isdisjoint(NOT_BUILT)
