"""The order of survivors, and the best few of them with at most one of a group."""

from nextbest.action.tables import Code, Tables
from nextbest.kernels import lean_kernel
from nextbest.model import F64, I32, Reason, Term

_GROUP, _PRIORITY, _ID_ORDER = int(Code.GROUP), int(Code.PRIORITY), int(Code.ID_ORDER)
_SCORE = int(Term.SCORE)
_CHOSEN, _MANDATORY = int(Reason.CHOSEN), int(Reason.MANDATORY)


@lean_kernel
def is_better(tables: Tables, reason: I32, terms: F64, a: int, b: int) -> bool:
    """Order of answers: mandatory, score descending, priority descending, id."""
    mandatory_a, mandatory_b = reason[a] == _MANDATORY, reason[b] == _MANDATORY
    if mandatory_a != mandatory_b:
        return mandatory_a
    if terms[a, _SCORE] != terms[b, _SCORE]:
        return terms[a, _SCORE] > terms[b, _SCORE]
    if tables.codes[a, _PRIORITY] != tables.codes[b, _PRIORITY]:
        return tables.codes[a, _PRIORITY] > tables.codes[b, _PRIORITY]
    return tables.codes[a, _ID_ORDER] < tables.codes[b, _ID_ORDER]


@lean_kernel
def insert_ranked(tables: Tables, reason: I32, terms: F64, action: int, ranked: I32, count: int) -> int:
    """Insert a survivor into `ranked` (k,), best first, at most one of a group.

    `ranked` always holds the best k among the best of each group seen so far: a better one of a
    group already listed takes that one's place, so nothing dropped earlier could have stayed.

    Returns:
        The new count.
    """
    group = tables.codes[action, _GROUP]
    if group >= 0:
        for place in range(count):
            if tables.codes[ranked[place], _GROUP] == group:
                if not is_better(tables, reason, terms, action, ranked[place]):
                    return count
                for later in range(place, count - 1):
                    ranked[later] = ranked[later + 1]
                count -= 1
                break
    place = count
    while place > 0 and is_better(tables, reason, terms, action, ranked[place - 1]):
        place -= 1
    if place >= len(ranked):
        return count
    count = min(count + 1, len(ranked))
    for later in range(count - 1, place, -1):
        ranked[later] = ranked[later - 1]
    ranked[place] = action
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
        survived = reason[other] == _CHOSEN or reason[other] == _MANDATORY
        same = tables.codes[other, _GROUP] == tables.codes[action, _GROUP]
        if survived and same and is_better(tables, reason, terms, other, best):
            best = other
    return best if tables.codes[action, _GROUP] >= 0 else action
