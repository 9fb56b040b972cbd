"""The gates that ask what an action is worth to each of 64 customers, and what their history says of it."""

import numpy as np

from nextbest.action.block import Lane, Word, row_of
from nextbest.action.contact import SEEN_CONTACT
from nextbest.action.exploration import reach_gate
from nextbest.action.gates import cap_gate, pauses
from nextbest.action.tables import Batch, Cap, Code, Number, Policy, Setting, Tables
from nextbest.action.terms import Terms
from nextbest.facts import Figure
from nextbest.kernels import lean_kernel, lowest_bit
from nextbest.model import Stage
from nextbest.rulebook.actions import PolicyScope

_ONE, _ZERO = np.uint64(1), np.uint64(0)
_INBOUND, _STAGE_WORDS = int(Word.INBOUND), int(Word.STAGES)
_NOW = row_of(Lane.NOW)
_TRUNCATED = row_of(Lane.TRUNCATED)
_GAP = row_of(Lane.VALUE_GAP)
_CEILING = row_of(Lane.CEILING)
_THRESHOLD = row_of(Lane.THRESHOLD)
_P = row_of(Lane.PROPENSITY)
_RHO = row_of(Lane.RELEVANCE)
_STAGE = int(Figure.STAGE)
_FORGIVE = 1 << int(Stage.FORGIVE_ME)
_MANDATORY, _REPAIRS, _GROUP = int(Code.MANDATORY), int(Code.REPAIRS), int(Code.GROUP)
_FIRST_POLICY, _LAST_POLICY = int(Code.FIRST_POLICY), int(Code.LAST_POLICY)
_FIRST_CAP, _LAST_CAP = int(Code.FIRST_CAP), int(Code.LAST_CAP)
_F_C, _YEARLY, _ONCE, _MINUTES = (
    int(Number.CUSTOMER_GAP_SHARE),
    int(Number.YEARLY_GAIN),
    int(Number.ONCE_GAIN),
    int(Number.MINUTES),
)
_CONTACT_COST, _ACCEPTED_COST = int(Number.CONTACT_COST), int(Number.ACCEPTED_COST)
_VALUE_OF_TIME = int(Setting.VALUE_OF_TIME)
_OUTCOMES, _SCOPE, _SHARED = int(Policy.OUTCOMES), int(Policy.SCOPE), int(Policy.SHARED)
_POLICY_PERIOD = int(Policy.PERIOD)
_CAP_COUNT, _CAP_PERIOD = int(Cap.COUNT), int(Cap.PERIOD)
_ACTION_SCOPE = int(PolicyScope.ACTION)


@lean_kernel
def worth_it(tables: Tables, batch: Batch, n: int, action: int) -> np.uint64:
    """Customers of a block whom the mutual gate and, unless it is mandatory, relevance let through."""
    numbers, lanes = tables.numbers[action], batch.lanes
    effort = numbers[_MINUTES] * tables.settings[_VALUE_OF_TIME]
    share, yearly, once = numbers[_F_C], numbers[_YEARLY], numbers[_ONCE]
    mandatory = tables.codes[action, _MANDATORY] == 1
    word = _ZERO
    for i in range(np.uint64(n)):
        worth = lanes[_P + i] * (share * lanes[_GAP + i] + yearly + once) - effort  # NaN where p is
        passes = worth >= 0.0 and (mandatory or lanes[_RHO + i] >= lanes[_THRESHOLD + i])
        word |= _ONE << i if passes else _ZERO
    return word


@lean_kernel
def affordable(tables: Tables, batch: Batch, n: int, action: int) -> np.uint64:
    """Customers of a block whose investment ceiling the expected cost does not exceed."""
    contact, accepted = tables.numbers[action, _CONTACT_COST], tables.numbers[action, _ACCEPTED_COST]
    lanes, word = batch.lanes, _ZERO
    for i in range(np.uint64(n)):
        word |= _ZERO if contact + lanes[_P + i] * accepted > lanes[_CEILING + i] else _ONE << i
    if tables.codes[action, _REPAIRS] == 1:
        word |= batch.words[_STAGE_WORDS + _FORGIVE]
    return word


@lean_kernel
def _lost_since(batch: Batch, n: int, seconds: float) -> np.uint64:
    """Customers whose history may have lost an entry in the last so many seconds, if we start the contact."""
    lanes, word = batch.lanes, _ZERO
    for i in range(np.uint64(n)):
        word |= _ONE << i if lanes[_TRUNCATED + i] > lanes[_NOW + i] - seconds else _ZERO
    return word & ~batch.words[_INBOUND]


@lean_kernel
def _lost_in(batch: Batch, first: int, n: int, period: int, seconds: float) -> np.uint64:
    """`_lost_since` of a window that rolls, or else of a calendar period."""
    if period < 0:
        return _lost_since(batch, n, seconds)
    lanes, word = batch.lanes, _ZERO
    for i in range(np.uint64(n)):
        opens = batch.periods[first + np.int64(i), 2 * period]
        word |= _ONE << i if lanes[_TRUNCATED + i] > opens else _ZERO
    return word & ~batch.words[_INBOUND]


@lean_kernel
def _marked(batch: Batch, n: int, row: int, marks: int) -> np.uint64:
    """Customers whose history holds one of these marks of an action or group."""
    seen, word = batch.seen[row], _ZERO
    for i in range(np.uint64(n)):
        word |= _ONE << i if seen[i] & marks != 0 else _ZERO
    return word


@lean_kernel
def paused(
    tables: Tables, batch: Batch, first: int, n: int, action: int, policy: int, word: np.uint64
) -> np.uint64:
    """Those of `word` whom a policy of scope action or group stops.

    Where nothing was seen that it counts, only what was lost can; the others are asked one by one.
    """
    period, pause = tables.policies[policy, _POLICY_PERIOD], tables.policy_seconds[policy, 1]
    stopped, touched = _lost_in(batch, first, n, period, pause), _ZERO
    outcomes, group = tables.policies[policy, _OUTCOMES], tables.codes[action, _GROUP]
    if tables.policies[policy, _SCOPE] == _ACTION_SCOPE:
        touched = _marked(batch, n, action, outcomes)
    elif group >= 0:
        touched = _marked(batch, n, len(tables.codes) + group, outcomes)
    stopped &= ~touched
    touched &= word
    while touched != _ZERO:
        lane = lowest_bit(touched)
        if pauses(tables, batch, first + lane, action, policy):
            stopped |= _ONE << np.uint64(lane)
        touched &= touched - _ONE
    return stopped


@lean_kernel
def capped(tables: Tables, batch: Batch, first: int, n: int, action: int, word: np.uint64) -> np.uint64:
    """Those of `word` for whom a cap of the action is reached, or may be."""
    stopped = _ZERO
    touched = _marked(batch, n, action, SEEN_CONTACT)
    for cap in range(tables.codes[action, _FIRST_CAP], tables.codes[action, _LAST_CAP]):
        period, within = tables.caps[cap, _CAP_PERIOD], tables.cap_seconds[cap]
        stopped |= ~touched & _lost_in(batch, first, n, period, within)
        stopped |= ~touched if tables.caps[cap, _CAP_COUNT] <= 0 else _ZERO
    touched &= word
    while touched != _ZERO:
        lane = lowest_bit(touched)
        if cap_gate(tables, batch, first + lane, action)[0] != 0:
            stopped |= _ONE << np.uint64(lane)
        touched &= touched - _ONE
    return stopped


@lean_kernel
def unreached(batch: Batch, terms: Terms, first: int, action: int, word: np.uint64) -> np.uint64:
    """Those of `word` whom an action that is still immature does not reach."""
    stopped = _ZERO
    if terms.reach[action] >= 1.0:
        return stopped
    while word != _ZERO:
        lane = lowest_bit(word)
        if reach_gate(batch, terms, first + lane, action)[0] != 0:
            stopped |= _ONE << np.uint64(lane)
        word &= word - _ONE
    return stopped


@lean_kernel
def stopped_by_history(
    tables: Tables, batch: Batch, first: int, n: int, action: int, word: np.uint64
) -> np.uint64:
    """Those of `word` whom the action's own policies or its caps stop."""
    stopped = _ZERO
    for k in range(tables.codes[action, _FIRST_POLICY], tables.codes[action, _LAST_POLICY]):
        if tables.policies[k, _SHARED] < 0:
            stopped |= paused(tables, batch, first, n, action, k, word)
    if tables.codes[action, _FIRST_CAP] < tables.codes[action, _LAST_CAP]:
        stopped |= capped(tables, batch, first, n, action, word)
    return stopped
