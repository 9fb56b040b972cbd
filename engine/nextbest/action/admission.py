"""Which of 64 customers each action is open to: gates as words, one bit a customer.

A decision asks which actions pass, not which gate stopped the others, and most are stopped by gates that
ask little of the action itself. So what such a gate finds is a word for 64 customers, made once a block by
the functions that `gates` calls too, and an action's words are put together by `and`. What is left is scored
one by one. An explanation walks the gates one by one instead; tests hold both against each other.

INVARIANT: a customer's bit is set for a treatment exactly if all gates of `tracing.consider` pass that
are not asked again in `arbitration.score_open`.
"""

from typing import NamedTuple

import numpy as np

from nextbest.action.block import Lane, Word, row_of
from nextbest.action.gates import disturbs, is_little_known, is_sell_held, pauses, pressure_gate
from nextbest.action.tables import Batch, Code, Number, Policy, Tables, TreatmentCode
from nextbest.facts import Figure
from nextbest.kernels import lean_kernel, lowest_bit
from nextbest.model import U64, Direction, Stage


class Bounds(NamedTuple):
    """What holds of a whole block, so that customers need not be asked one by one."""

    earliest: float
    latest: float
    """Of `now`."""
    oldest: float
    """Age of the oldest snapshot, days."""
    authority: int
    """The least."""


_ONE, _ZERO, _ALL = np.uint64(1), np.uint64(0), np.uint64(0xFFFFFFFFFFFFFFFF)
_OUTBOUND, _KNOW = int(Direction.OUTBOUND), int(Stage.KNOW_ME)
_N_STAGES = len(Stage)
_STAGE, _AGE = int(Figure.STAGE), int(Figure.SNAPSHOT_AGE_DAYS)
_NOW, _OWN_AGE, _OWN_AUTHORITY = row_of(Lane.NOW), row_of(Lane.AGE), row_of(Lane.AUTHORITY)
_INBOUND_WORD, _AWAKE, _KNOWN_WORD, _SOLD, _NOT_NEW, _CALM = (
    int(Word.INBOUND),
    int(Word.AWAKE),
    int(Word.WELL_KNOWN),
    int(Word.MAY_BE_SOLD_TO),
    int(Word.NOT_NEW),
    int(Word.CALM),
)
_ANYWHERE = int(Word.ANYWHERE)
_CONSENT, _TOPIC, _PLACEMENT, _CHANNEL = (
    int(Word.CONSENT),
    int(Word.TOPIC),
    int(Word.PLACEMENT),
    int(Word.CHANNEL),
)
_STAGES, _SEGMENTS, _CONDITION, _TOPICS = (
    int(Code.STAGES),
    int(Code.SEGMENTS),
    int(Code.CONDITION),
    int(Code.TOPICS),
)
_FIRST_TRIGGER, _LAST_TRIGGER = int(Code.FIRST_TRIGGER), int(Code.LAST_TRIGGER)
_FIRST_POLICY, _LAST_POLICY = int(Code.FIRST_POLICY), int(Code.LAST_POLICY)
_SELLS, _CARES, _AUTHORITY, _MANDATORY = (
    int(Code.SELLS),
    int(Code.CARES),
    int(Code.AUTHORITY),
    int(Code.MANDATORY),
)
_VALID_FROM, _VALID_UNTIL, _MAX_AGE = (
    int(Number.VALID_FROM),
    int(Number.VALID_UNTIL),
    int(Number.MAX_SNAPSHOT_AGE),
)
_WORTH, _LOYAL_WORTH = int(Number.REWARD_WORTH), int(Number.LOYAL_REWARD_WORTH)
_T_CHANNEL, _T_PLACEMENT, _T_CONSENT = (
    int(TreatmentCode.CHANNEL),
    int(TreatmentCode.PLACEMENT),
    int(TreatmentCode.CONSENT),
)
_SHARED = int(Policy.SHARED)


@lean_kernel
def _spread(words: U64, first: int, members: np.uint64, bit: np.uint64) -> None:
    """Set a customer's bit in the word of each member of a set."""
    while members != _ZERO:
        words[first + lowest_bit(members)] |= bit
        members &= members - _ONE


@lean_kernel
def _fill_customer(tables: Tables, batch: Batch, i: int, words: U64) -> None:
    """Set one customer's bits; `fill_situation` has been called."""
    bit, stage = _ONE << np.uint64(i & 63), np.int64(batch.figures[i, _STAGE])
    words[1 << stage] |= bit
    words[_NOT_NEW] |= bit if stage != _KNOW else _ZERO
    outbound, channel = batch.requests[i, 1] == _OUTBOUND, batch.requests[i, 0]
    words[_INBOUND_WORD] |= _ZERO if outbound else bit
    _spread(words, _CONSENT, batch.masks[i, 0], bit)
    _spread(words, _TOPIC, batch.masks[i, 1], bit)
    wanted = np.uint64(batch.requests[i, 2])
    words[_ANYWHERE] |= bit if wanted == _ZERO else _ZERO
    _spread(words, _PLACEMENT, wanted, bit)
    words[_KNOWN_WORD] |= _ZERO if is_little_known(tables, batch, i) else bit
    words[_SOLD] |= _ZERO if is_sell_held(tables, batch, i) else bit
    if not 0 <= channel < len(tables.channels):
        return
    words[_CHANNEL + channel] |= bit
    words[_AWAKE] |= _ZERO if disturbs(tables, batch, i, channel) else bit
    words[_CALM] |= bit if pressure_gate(tables, batch, i, channel)[0] == 0 else _ZERO
    for k in range(len(tables.shared_policies)):
        # a shared policy asks the same of every action, so it is asked for none
        if not pauses(tables, batch, i, -1, tables.shared_policies[k]):
            words[_CHANNEL + len(tables.channels) + k] |= bit


@lean_kernel
def fill_words(tables: Tables, batch: Batch, first: int, last: int, words: U64) -> Bounds:
    """Write what holds of customers `first` to `last`, a block, into `words`; for places see `Word`."""
    words[:] = _ZERO
    earliest, latest, oldest = np.inf, -np.inf, -np.inf
    authority = batch.requests[first, 3]
    for i in range(first, last):
        _fill_customer(tables, batch, i, words)
        earliest, latest = min(earliest, batch.now[i]), max(latest, batch.now[i])
        authority = min(authority, batch.requests[i, 3])
        oldest = np.fmax(oldest, batch.figures[i, _AGE])  # an age that is missing is not too old
    for stages in range(1, 1 << _N_STAGES):
        # of the words by set of stages those of one stage are there; each further set is two smaller ones
        lowest = stages & -stages
        words[stages] = words[lowest] | words[stages - lowest]
    return Bounds(earliest, latest, oldest, authority)


@lean_kernel
def _any_segment(tables: Tables, batch: Batch, block: int, action: int) -> np.uint64:
    """Customers in one of the action's segments; all if it lists none."""
    wanted = np.uint64(tables.codes[action, _SEGMENTS])
    if wanted == _ZERO:
        return _ALL
    found = _ZERO
    while wanted != _ZERO:
        found |= batch.true[block, tables.segments[lowest_bit(wanted)]]
        wanted &= wanted - _ONE
    return found


@lean_kernel
def _any_trigger(tables: Tables, batch: Batch, block: int, action: int) -> np.uint64:
    """Customers for whom one of the action's triggers has fired; all if it lists none."""
    first, last = tables.codes[action, _FIRST_TRIGGER], tables.codes[action, _LAST_TRIGGER]
    if first == last:
        return _ALL
    found = _ZERO
    for k in range(first, last):
        trigger = tables.triggers[k]
        found |= batch.true[block, tables.trigger_conditions[trigger]] & ~batch.cooling[trigger, block]
    return found


@lean_kernel
def _admitted(tables: Tables, batch: Batch, bounds: Bounds, first: int, n: int, action: int) -> np.uint64:
    """Customers whom authority, validity and age of the snapshot admit; mostly all of them are."""
    authority, oldest = float(tables.codes[action, _AUTHORITY]), tables.numbers[action, _MAX_AGE]
    start, end = tables.numbers[action, _VALID_FROM], tables.numbers[action, _VALID_UNTIL]
    whole = start <= bounds.earliest and bounds.latest < end
    if whole and bounds.authority >= authority and not bounds.oldest > oldest:
        return _ALL
    lanes, found = batch.lanes, _ZERO
    for i in range(np.uint64(n)):
        now, zone = lanes[_NOW + i], batch.requests[first + np.int64(i), 4]
        start, end = tables.validity[zone, 2 * action], tables.validity[zone, 2 * action + 1]
        admits = start <= now < end and lanes[_OWN_AUTHORITY + i] >= authority
        found |= _ONE << i if admits and not lanes[_OWN_AGE + i] > oldest else _ZERO
    return found


@lean_kernel
def open_customers(
    tables: Tables, batch: Batch, bounds: Bounds, first: int, last: int, action: int
) -> np.uint64:
    """Customers of a block for whom no gate stops the action whatever its treatment."""
    words, codes, block = batch.words, tables.codes, first >> 6
    word = words[codes[action, _STAGES] & 15] & words[_AWAKE]
    condition = codes[action, _CONDITION]
    if condition >= 0:
        word &= batch.true[block, condition]
    if codes[action, _CARES] == 0:
        word &= words[_KNOWN_WORD]
    if codes[action, _SELLS] == 1:
        word &= words[_SOLD]
    if codes[action, _MANDATORY] == 0:
        word &= words[_CALM]
    if tables.numbers[action, _WORTH] > tables.numbers[action, _LOYAL_WORTH]:
        word &= words[_NOT_NEW]
    topics = np.uint64(codes[action, _TOPICS])
    while topics != _ZERO:
        word &= ~words[_TOPIC + lowest_bit(topics)]
        topics &= topics - _ONE
    for k in range(codes[action, _FIRST_POLICY], codes[action, _LAST_POLICY]):
        shared = tables.policies[k, _SHARED]
        if shared >= 0:
            word &= words[_CHANNEL + len(tables.channels) + shared]
    if word == _ZERO:
        return word
    word &= _any_segment(tables, batch, block, action) & _any_trigger(tables, batch, block, action)
    return word & _admitted(tables, batch, bounds, first, last - first, action) if word != _ZERO else word


@lean_kernel
def reachable(tables: Tables, words: U64, treatment: int) -> np.uint64:
    """Customers whom a treatment fits, with their consent where it needs any."""
    word = words[_CHANNEL + tables.treatments[treatment, _T_CHANNEL]]
    placement = tables.treatments[treatment, _T_PLACEMENT]
    if placement >= 0:
        word &= words[_PLACEMENT + placement] | words[_ANYWHERE]
    consents, given = np.uint64(tables.treatments[treatment, _T_CONSENT]), _ALL
    while consents != _ZERO:
        given &= words[_CONSENT + lowest_bit(consents)]
        consents &= consents - _ONE
    return word & (given | words[_INBOUND_WORD])
