"""How calls ended since the process started.

Counted on the server, because a load generator that posts frames takes gRPC's errors for successes.
"""

from collections import Counter

CALLS: Counter[tuple[str, str]] = Counter()
"""Ended calls by method and gRPC status."""
FALLBACKS: Counter[str] = Counter()
"""Fallback decisions by reason; their calls count as OK."""

LOGGED: Counter[str] = Counter()
"""Decisions by what became of them in the decision log, see `server.decision_log.Fate`."""


def calls_by_method() -> dict[str, dict[str, int]]:
    """`CALLS` as a log line shows them."""
    calls: dict[str, dict[str, int]] = {}
    for (method, status), count in sorted(CALLS.items()):
        calls.setdefault(method, {})[status] = count
    return calls
