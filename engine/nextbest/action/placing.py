"""One action a placement: who gets which of the placements that a request asks for.

In order of rank, each action takes the placement that the request prefers among those still free; where
none of its treatments fits a free one, the next action may take what is left. At most one of a group is
shown. All of it is done as if every result were wanted, and then cut: how many are wanted changes none of
those before.

A plain decision only needs the first few and picks one after the other; `tracing` walks down all survivors.

Oracle: tests/naive/decide.py, `placed`.
"""

import numpy as np

from nextbest.action.admission import reachable
from nextbest.action.ranking import outranks
from nextbest.action.tables import Batch, Code, Raw, Tables, TreatmentCode
from nextbest.kernels import lean_kernel
from nextbest.model import F64, I32, U64, Reason

_GROUP, _MANDATORY = int(Code.GROUP), int(Code.MANDATORY)
_FIRST_TREATMENT, _LAST_TREATMENT = int(Code.FIRST_TREATMENT), int(Code.LAST_TREATMENT)
_PLACEMENT = int(TreatmentCode.PLACEMENT)
_IN_GROUP, _DUPLICATE = int(Reason.BEATEN_IN_GROUP), int(Reason.DUPLICATE_PLACEMENT)
_ONE, _ZERO = np.uint64(1), np.uint64(0)


@lean_kernel
def asks(batch: Batch, customer: int) -> bool:
    """Whether the request names placements; `fill_situation` has been called."""
    return bool(batch.requests[customer, 2] != 0)


@lean_kernel
def fits_placement(tables: Tables, treatment: int, placement: int) -> bool:
    """Whether a treatment can be shown in a placement; one without a placement fits any, -1 is none."""
    own = tables.treatments[treatment, _PLACEMENT]
    return bool(placement < 0 or own < 0 or own == placement)


@lean_kernel
def places_of(tables: Tables, batch: Batch, customer: int, treatment: int) -> np.uint64:
    """Which of the placements asked for a treatment that fits the request can be shown in."""
    own = tables.treatments[treatment, _PLACEMENT]
    return _ONE << np.uint64(own) if own >= 0 else np.uint64(batch.requests[customer, 2])


@lean_kernel
def first_free(preference: I32, places: np.uint64, taken: np.uint64) -> int:
    """The preferred one of some placements that are not taken, -1 = none; `preference` is the request's."""
    for place in preference:
        if place >= 0 and (places & ~taken) >> np.uint64(place) & _ONE != _ZERO:
            return int(place)
    return -1


@lean_kernel
def _places(tables: Tables, batch: Batch, customer: int, action: int) -> np.uint64:
    """Which of the placements asked for an action that survived can be shown in."""
    found, lane = _ZERO, np.uint64(customer & 63)
    for treatment in range(tables.codes[action, _FIRST_TREATMENT], tables.codes[action, _LAST_TREATMENT]):
        if reachable(tables, batch.words, treatment) >> lane & _ONE != _ZERO:
            found |= places_of(tables, batch, customer, treatment)
    return found


@lean_kernel
def _precedes(tables: Tables, pick: int, a: int, score_a: float, b: int, score_b: float) -> bool:
    """Order of survivors, but that a drawn one (-1 = none) comes before all that are not mandatory."""
    if a == pick or b == pick:
        other = b if a == pick else a
        return bool((tables.codes[other, _MANDATORY] == 1) == (b == pick))
    return outranks(tables, a, score_a, b, score_b)


@lean_kernel
def _shows_group(tables: Tables, action: int, shown: I32, count: int) -> bool:
    """Whether one of the first `count` actions shown is of an action's group."""
    group = tables.codes[action, _GROUP]
    found = False
    for place in range(count if group >= 0 else 0):
        found = found or tables.codes[shown[place], _GROUP] == group
    return found


@lean_kernel
def place_best(
    tables: Tables,
    raw: Raw,
    batch: Batch,
    customer: int,
    pick: int,
    pool: I32,
    scores: F64,
    n: int,
    ranked: I32,
    placement: I32,
) -> int:
    """Fill a customer's answers from the n survivors in `pool`, in any order; gives their number.

    Whoever finds no placement now, or is of a group that is shown, never will: it is struck out of the pool.

    Args:
        tables: The packed rulebook.
        raw: The requests as they came.
        batch: The requests; `words` are those of the customer's block.
        customer: Whose answers.
        pick: A survivor that was drawn to come first, -1 = none.
        pool: (A,) survivors; changed.
        scores: (A,) theirs.
        n: How many they are.
        ranked: (k,) filled with actions in order of rank.
        placement: (k,) filled with their placements.
    """
    taken, count = _ZERO, 0
    while count < len(ranked):
        best = -1
        for j in range(n):
            a = pool[j]
            if a < 0 or (best >= 0 and not _precedes(tables, pick, a, scores[j], pool[best], scores[best])):
                continue
            free = _places(tables, batch, customer, a) & ~taken
            if free == _ZERO or _shows_group(tables, a, ranked, count):
                pool[j] = -1
            else:
                best = j
        if best < 0:
            break
        chosen = pool[best]
        place = first_free(raw.preference[customer], _places(tables, batch, customer, chosen), taken)
        ranked[count], placement[count], pool[best] = chosen, place, -1
        taken |= _ONE << np.uint64(place)
        count += 1
    return count


@lean_kernel
def insert_survivor(tables: Tables, action: int, score: float, order: I32, scores: F64, n: int) -> int:
    """Insert a survivor into the order of all n so far, groups or not; gives the new number."""
    place = n
    while place > 0 and outranks(tables, action, score, order[place - 1], scores[place - 1]):
        order[place], scores[place] = order[place - 1], scores[place - 1]
        place -= 1
    order[place], scores[place] = action, score
    return n + 1


@lean_kernel
def lead(tables: Tables, order: I32, pick: int) -> None:
    """Put a drawn survivor before all of an order that are not mandatory."""
    at = 0
    while order[at] != pick:
        at += 1
    while at > 0 and tables.codes[order[at - 1], _MANDATORY] == 0:
        order[at] = order[at - 1]
        at -= 1
    order[at] = pick


@lean_kernel
def walk_placements(
    tables: Tables,
    preference: I32,
    order: I32,
    n: int,
    places: U64,
    reason: I32,
    placement: I32,
    shown: I32,
) -> int:
    """Go down n survivors in order of rank and give each a placement; gives how many found one.

    Args:
        tables: The packed rulebook.
        preference: (m,) the request's placements.
        order: (A,) survivors.
        n: How many they are.
        places: (A,) by action: where it can be shown.
        reason: (A,) by action: changed where it is not shown.
        placement: (A,) by action: filled where it is shown.
        shown: (A,) filled with those that found one, in order of rank.
    """
    taken, count = _ZERO, 0
    for i in range(n):
        a = order[i]
        place = first_free(preference, np.uint64(places[a]), taken)
        if _shows_group(tables, a, shown, count):
            reason[a] = _IN_GROUP
        elif place < 0:
            reason[a] = _DUPLICATE
        else:
            taken |= _ONE << np.uint64(place)
            placement[a], shown[count] = place, a
            count += 1
    return count
