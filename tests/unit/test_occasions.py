"""Triggers that fired, in words: their text, the numbers behind them, the day."""

import numpy as np
import pytest
from tests.builders.detecting import rulebook_of
from tests.unit.behaviour_rows import rows_of

from nextbest.action.occasions import evidence_words, occasion
from nextbest.facts import Figure
from nextbest.facts_of import FactsOf

DAY = 1_700_438_400.0  # 2023-11-20
TRIGGERS = [
    {"id": "fell", "kind": "detector", "fired_at": "fell_at", "hold": "14d",
     "evidence": {"observed": "seen", "expected": "usual", "z": "how_far", "robust_z": "how_far_robustly"},
     "text": {"en": "Buys less than {customer.usual}", "da": "Køber mindre end {customer.usual}"}},
    {"id": "less", "kind": "change", "watch": "satisfaction", "change": "fell", "fired_at": "rose_at",
     "hold": "14d", "evidence": {"before": "was", "after": "is_now"}},
    {"id": "rare", "kind": "detector", "detects": "fewer_purchases", "fired_at": "silent_at", "hold": "14d",
     "evidence": {"probability": "how_likely"}},
    {"id": "plain", "when": "true"},
]  # fmt: skip


@pytest.fixture(scope="module")
def rulebook(tmp_path_factory):
    """A trigger of each kind of evidence."""
    return rulebook_of(tmp_path_factory.mktemp("rules"), TRIGGERS)


def told(rulebook, names, facts, language="en"):
    """The words for these triggers."""
    rows = rows_of([facts], catalogue=rulebook.catalogue)
    read = FactsOf(rulebook.catalogue, rows, np.full((1, len(Figure)), np.nan), 0)
    return occasion([t for t in rulebook.triggers if t.id in names], read, language)


SEEN = {"fell_at": DAY, "seen": 12.0, "usual": 95.0, "how_far": -3.1}


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", "because of fell: Buys less than 95 (12 where 95 is usual, z -3.1, found on 2023-11-20)"),
        ("da", "på grund af fell: Køber mindre end 95 (12 mod sædvanligt 95, z -3.1, fundet 2023-11-20)"),
    ],
)
def test_a_detector_tells_its_numbers(rulebook, language, expected):
    """What was seen, what is usual and how far off that is, in the reader's language; gaps are left out."""
    assert told(rulebook, {"fell"}, SEEN, language) == expected


def test_a_change_tells_old_and_new(rulebook):
    """A change says from what to what, and a count how likely it was."""
    facts = {"rose_at": DAY, "was": 80.0, "is_now": 60.0, "silent_at": DAY, "how_likely": 0.0123}
    assert told(rulebook, {"less", "rare"}, facts) == (
        "because of less (from 80 to 60, found on 2023-11-20); rare (probability 0.0123, found on 2023-11-20)"
    )


def test_a_snapshot_trigger_has_no_numbers_of_its_own(rulebook):
    """What holds at the moment is told by its name; nothing fired is told by nothing."""
    (plain,) = (t for t in rulebook.triggers if t.id == "plain")
    assert evidence_words(plain, None, "en") == ""
    assert told(rulebook, {"plain"}, {}) == "because of plain"
    assert told(rulebook, set(), {}) == ""
