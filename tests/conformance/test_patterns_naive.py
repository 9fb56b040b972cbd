"""The library, through compiler, supervisor and worker, against the naive matcher on random windows.

10,000 windows; NEXTBEST_PATTERN_WINDOWS=100000 asks for more.
"""

import os
from pathlib import Path

import pytest
from tests.builders.patterns import RandomPatterns, patterns_of
from tests.naive.patterns import latest_match

from nextbest.behaviour.patterns import PatternSupervisor, compile_patterns
from nextbest.behaviour.patterns.events import microseconds

WINDOWS = int(os.environ.get("NEXTBEST_PATTERN_WINDOWS", "10000"))
WINDOWS_A_RULEBOOK = 200
PATTERNS = 16


@pytest.mark.parametrize("part", range(5))
def test_matches_are_those_of_the_naive_matcher(part: int, tmp_path: Path) -> None:
    """Every pattern fires when the naive matcher says, by the same events, and no other fires."""
    fired = compared = 0
    for rulebook in range(part, max(5, WINDOWS // WINDOWS_A_RULEBOOK), 5):
        random = RandomPatterns(rulebook)
        entries = random.entries(PATTERNS)
        windows = [random.window(f"c{i}") for i in range(min(WINDOWS_A_RULEBOOK, WINDOWS // 5))]
        with PatternSupervisor(compile_patterns(patterns_of(tmp_path, entries))) as supervisor:
            results = list(supervisor.match(window for window, _ in windows))
            assert supervisor.restarts == 0
        for (window, happened), result in zip(windows, results, strict=True):
            now, since = microseconds(window.now), window.since * 1e6
            expected = {
                entry["id"]: (match[0] / 1e6, match[1])
                for entry in entries
                if (match := latest_match(entry, happened, now, since))
            }
            found = {m.pattern: (m.fired_at, tuple(e.event for e in m.evidence)) for m in result.matches}
            assert found == expected, (rulebook, window)
            assert not result.truncated
            fired += len(found)
            compared += len(entries)
    assert compared // 50 < fired < compared // 2, "the windows say little"
