"""Did you mean …? The known name nearest to an unknown one."""

from collections.abc import Iterable
from difflib import get_close_matches

MAX_NAMES = 2000
"""Beyond this many candidates no suggestion is sought: it would cost more than it helps."""
MAX_LENGTH = 80
FEW = 8
"""Up to so many names are listed when none is near."""


MEANT = {
    "refused": "rejected",
    "declined": "rejected",
    "denied": "rejected",
    "shown": "presented",
    "opened": "clicked",
    "solved": "problem_solved",
    "unsubscribed": "opted_out",
    "probability": "propensity",
    "likelihood": "propensity",
    "chance": "propensity",
    "survey": "listen",
    "condition": "when",
    "if": "when",
    "where": "when",
}
"""Words that are near to nothing, or to the wrong thing, by their letters, and what is meant by them."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known name, or lists the few there are; empty if nothing is near.

    Args:
        name: what was written.
        known: what could have been written.
    """
    names = sorted(set(known))
    near = nearest(name, names)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"known: {', '.join(f'`{n}`' for n in names)}" if 0 < len(names) <= FEW else ""


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """The known name nearest to what was written, if there is one near, as a list of at most one."""
    folded = {known_name.casefold(): known_name for known_name in known}
    if len(folded) > MAX_NAMES or len(name) > MAX_LENGTH:
        return []
    if (meant := MEANT.get(name.casefold())) in folded:
        return [folded[meant]]
    end = _shared_end([name.casefold(), *folded])
    stems = {known_name.removesuffix(end): folded[known_name] for known_name in folded}
    return [stems[m] for m in get_close_matches(name.casefold().removesuffix(end), stems, n=1, cutoff=0.6)]


def _shared_end(names: list[str]) -> str:
    """What all names end in, as `_me` of the stages: it says nothing about which of them is meant."""
    first = names[0]
    ends = (first[i:] for i in range(len(first)))
    shared = next((end for end in ends if all(name.endswith(end) for name in names)), "")
    return shared[shared.find("_") :] if "_" in shared and len(names) > 2 else ""
