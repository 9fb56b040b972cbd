"""Did you mean …? The known name nearest to an unknown one."""

from collections.abc import Iterable
from difflib import get_close_matches

MAX_NAMES = 2000
"""Beyond this many candidates no suggestion is sought: it would cost more than it helps."""
MAX_LENGTH = 80


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known name, or lists the few there are; empty if nothing is near.

    Args:
        name: what was written.
        known: what could have been written.
    """
    names = sorted(set(known))
    if not names or len(names) > MAX_NAMES or len(name) > MAX_LENGTH:
        return ""
    folded = {known_name.casefold(): known_name for known_name in names}
    near = get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{folded[near[0]]}`?"
    return f"known: {', '.join(f'`{n}`' for n in names)}" if len(names) <= 8 else ""
