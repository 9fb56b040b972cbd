"""The order of survivors, and the best few of them with at most one of a group."""

from nextbest.action.tables import Code, Tables
from nextbest.kernels import lean_kernel
from nextbest.model import F64, I32, Reason, Term

_GROUP, _PRIORITY, _ID_ORDER = int(Code.GROUP), int(Code.PRIORITY), int(Code.ID_ORDER)
_SCORE = int(Term.SCORE)
_MANDATORY = int(Code.MANDATORY)
_CHOSEN, _TAKEN_ANYHOW = int(Reason.CHOSEN), int(Reason.MANDATORY)


@lean_kernel
def outranks(tables: Tables, a: int, score_a: float, b: int, score_b: float) -> bool:
    """Order of survivors: mandatory, score descending, priority descending, id."""
    mandatory_a, mandatory_b = tables.codes[a, _MANDATORY], tables.codes[b, _MANDATORY]
    if mandatory_a != mandatory_b:
        return bool(mandatory_a > mandatory_b)
    if score_a != score_b:
        return score_a > score_b
    if tables.codes[a, _PRIORITY] != tables.codes[b, _PRIORITY]:
        return bool(tables.codes[a, _PRIORITY] > tables.codes[b, _PRIORITY])
    return bool(tables.codes[a, _ID_ORDER] < tables.codes[b, _ID_ORDER])


@lean_kernel
def _give_way(tables: Tables, action: int, score: float, ranked: I32, scores: F64, count: int) -> int:
    """Take the answer of the action's group out, if there is one; gives the new count.

    −1 if that answer is the better one and stays.
    """
    group = tables.codes[action, _GROUP]
    for place in range(count if group >= 0 else 0):
        if tables.codes[ranked[place], _GROUP] == group:
            if not outranks(tables, action, score, ranked[place], scores[place]):
                return -1
            for later in range(place, count - 1):
                ranked[later], scores[later] = ranked[later + 1], scores[later + 1]
            return count - 1
    return count


@lean_kernel
def insert_scored(tables: Tables, action: int, score: float, ranked: I32, scores: F64, count: int) -> int:
    """Insert a survivor into `ranked` (k,) and its score into `scores`, best first, one of a group.

    `ranked` always holds the best k among the best of each group seen so far: a better one of a
    group already listed takes that one's place, so nothing dropped earlier could have stayed.

    Returns:
        The new count.
    """
    kept = _give_way(tables, action, score, ranked, scores, count)
    if kept < 0:
        return count
    place = kept
    while place > 0 and outranks(tables, action, score, ranked[place - 1], scores[place - 1]):
        place -= 1
    if place >= len(ranked):
        return kept
    count = min(kept + 1, len(ranked))
    for later in range(count - 1, place, -1):
        ranked[later], scores[later] = ranked[later - 1], scores[later - 1]
    ranked[place], scores[place] = action, score
    return count


@lean_kernel
def best_of_group(tables: Tables, reason: I32, terms: F64, action: int) -> int:
    """The best survivor of an action's group; the action itself where it has none or is the best.

    Args:
        tables: The packed rulebook.
        reason: (A,) trace of one customer, before it is settled.
        terms: (A, Term) trace of one customer.
        action: A survivor.
    """
    best = action
    for other in range(len(reason)):
        survived = reason[other] == _CHOSEN or reason[other] == _TAKEN_ANYHOW
        same = tables.codes[other, _GROUP] == tables.codes[action, _GROUP]
        if survived and same and outranks(tables, other, terms[other, _SCORE], best, terms[best, _SCORE]):
            best = other
    return best if tables.codes[action, _GROUP] >= 0 else action
