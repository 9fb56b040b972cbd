"""Value types that pass between the parts: batches of rows, histories and contexts; closed lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag, StrEnum
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from nextbest.values import value_type

F64: TypeAlias = npt.NDArray[np.float64]
I64: TypeAlias = npt.NDArray[np.int64]
I32: TypeAlias = npt.NDArray[np.int32]
U64: TypeAlias = npt.NDArray[np.uint64]
U32: TypeAlias = npt.NDArray[np.uint32]
U16: TypeAlias = npt.NDArray[np.uint16]
U8: TypeAlias = npt.NDArray[np.uint8]
Bools: TypeAlias = npt.NDArray[np.bool_]

DAY_S = 86400.0
"""Seconds in a day; all times are epoch seconds UTC."""


class Stage(IntEnum):
    """Loyalty stages; codes are those of `facts.STAGE_NAMES`."""

    KNOW_ME = 0
    HEAR_ME = 1
    GROW_ME = 2
    FORGIVE_ME = 3


class Direction(IntEnum):
    """Who starts the contact: the customer (inbound) or the company (outbound)."""

    INBOUND = 0
    OUTBOUND = 1


class PurchasePhase(IntEnum):
    """When in the purchase the customer is identified."""

    UNSPECIFIED = 0
    BEFORE_VISIT = 1
    BROWSING = 2
    BEFORE_PAYMENT = 3
    AT_PAYMENT = 4
    AFTER_PURCHASE = 5


class DesiredAction(StrEnum):
    """What an action wants to bring about (domain model, section 12)."""

    UP_SELL = "up_sell"
    CROSS_SELL = "cross_sell"
    COMMUNICATION = "communication"
    INFORMATION = "information"
    SERVICE = "service"
    DISTRIBUTION = "distribution"
    INTERACTION = "interaction"
    TRANSACTION = "transaction"
    COLLECT_INFORMATION = "collect_information"
    LISTEN = "listen"
    CO_CREATE = "co_create"
    REPAIR = "repair"
    DO_NOTHING = "do_nothing"


class EntryKind(IntEnum):
    """What a history entry records."""

    CONTACT = 1
    OUTCOME = 2
    EVENT = 3


class Outcome(IntEnum):
    """What came of a contact; 0 on entries that are no outcome."""

    NONE = 0
    PRESENTED = 1
    CLICKED = 2
    ACCEPTED = 3
    REJECTED = 4
    IGNORED = 5
    PROBLEM_SOLVED = 6
    COMPLAINED = 7
    OPTED_OUT = 8
    NOT_PRESENTED = 9


class EntryFlag(IntFlag):
    """Marks on a history entry."""

    OVERRIDE = 1
    """Staff chose otherwise than the ranking; kept out of propensities."""


class Gate(IntEnum):
    """What an action must pass, in this order; an action is stopped by the first it fails."""

    TREATMENT = 1
    CONSENT = 2
    BLOCKED_TOPIC = 3
    AUTHORITY = 4
    VALIDITY = 5
    STAGE_SEGMENT = 6
    TRIGGER = 7
    CONDITION = 8
    SNAPSHOT_AGE = 9
    DATA_QUALITY = 10
    SELL_HOLD = 11
    MUTUAL = 12
    RELEVANCE = 13
    CONTACT_POLICY = 14
    PRESSURE = 15
    FAIRNESS = 16
    CAPS = 17
    STAGE_BUDGET = 18
    INVESTMENT_CEILING = 19
    EXPERIMENT = 20
    ARBITRATION = 21


class Reason(IntEnum):
    """Why an action was or was not chosen."""

    CHOSEN = 1
    MANDATORY = 2
    NO_TREATMENT = 3
    CONSENT_MISSING = 4
    TOPIC_BLOCKED = 5
    AUTHORITY_LACKING = 6
    NOT_YET_VALID = 7
    NO_LONGER_VALID = 8
    QUIET_HOURS = 9
    STAGE_MISMATCH = 10
    SEGMENT_MISMATCH = 11
    TRIGGER_NOT_FIRED = 12
    TRIGGER_UNKNOWN = 13
    TRIGGER_COOLING_DOWN = 14
    CONDITION_FALSE = 15
    CONDITION_UNKNOWN = 16
    SNAPSHOT_TOO_OLD = 17
    DATA_QUALITY_LOW = 18
    SELL_HOLD = 19
    NO_VALUE_FOR_CUSTOMER = 20
    NOT_RELEVANT = 21
    CONTACT_POLICY_PAUSED = 22
    CONTACT_POLICY_UNKNOWN = 23
    PRESSURE_TOO_HIGH = 24
    LOCATION_CAP_REACHED = 25
    UNFAIR_TO_LOYAL = 26
    CAP_REACHED = 27
    BUDGET_EXHAUSTED = 28
    ABOVE_INVESTMENT_CEILING = 29
    HELD_OUT = 30
    WORSE_THAN_DO_NOTHING = 31
    BEATEN_IN_GROUP = 32
    BEATEN_IN_RANK = 33
    DUPLICATE_PLACEMENT = 34
    PROPENSITY_UNKNOWN = 35
    STILL_LEARNING = 36


GATE_OF: Mapping[Reason, Gate] = {
    Reason.NO_TREATMENT: Gate.TREATMENT,
    Reason.CONSENT_MISSING: Gate.CONSENT,
    Reason.TOPIC_BLOCKED: Gate.BLOCKED_TOPIC,
    Reason.AUTHORITY_LACKING: Gate.AUTHORITY,
    Reason.NOT_YET_VALID: Gate.VALIDITY,
    Reason.NO_LONGER_VALID: Gate.VALIDITY,
    Reason.QUIET_HOURS: Gate.VALIDITY,
    Reason.STAGE_MISMATCH: Gate.STAGE_SEGMENT,
    Reason.SEGMENT_MISMATCH: Gate.STAGE_SEGMENT,
    Reason.TRIGGER_NOT_FIRED: Gate.TRIGGER,
    Reason.TRIGGER_UNKNOWN: Gate.TRIGGER,
    Reason.TRIGGER_COOLING_DOWN: Gate.TRIGGER,
    Reason.CONDITION_FALSE: Gate.CONDITION,
    Reason.CONDITION_UNKNOWN: Gate.CONDITION,
    Reason.SNAPSHOT_TOO_OLD: Gate.SNAPSHOT_AGE,
    Reason.DATA_QUALITY_LOW: Gate.DATA_QUALITY,
    Reason.SELL_HOLD: Gate.SELL_HOLD,
    Reason.NO_VALUE_FOR_CUSTOMER: Gate.MUTUAL,
    Reason.NOT_RELEVANT: Gate.RELEVANCE,
    Reason.CONTACT_POLICY_PAUSED: Gate.CONTACT_POLICY,
    Reason.CONTACT_POLICY_UNKNOWN: Gate.CONTACT_POLICY,
    Reason.PRESSURE_TOO_HIGH: Gate.PRESSURE,
    Reason.LOCATION_CAP_REACHED: Gate.PRESSURE,
    Reason.UNFAIR_TO_LOYAL: Gate.FAIRNESS,
    Reason.CAP_REACHED: Gate.CAPS,
    Reason.BUDGET_EXHAUSTED: Gate.STAGE_BUDGET,
    Reason.ABOVE_INVESTMENT_CEILING: Gate.INVESTMENT_CEILING,
    Reason.HELD_OUT: Gate.EXPERIMENT,
    Reason.CHOSEN: Gate.ARBITRATION,
    Reason.MANDATORY: Gate.ARBITRATION,
    Reason.WORSE_THAN_DO_NOTHING: Gate.ARBITRATION,
    Reason.BEATEN_IN_GROUP: Gate.ARBITRATION,
    Reason.BEATEN_IN_RANK: Gate.ARBITRATION,
    Reason.DUPLICATE_PLACEMENT: Gate.ARBITRATION,
    Reason.PROPENSITY_UNKNOWN: Gate.MUTUAL,
    Reason.STILL_LEARNING: Gate.EXPERIMENT,
}
"""The gate each reason belongs to."""


class Degraded(IntEnum):
    """Why a fallback decision was given instead of a ranking."""

    CUSTOMER_UNKNOWN = 1
    SNAPSHOT_STORE_UNAVAILABLE = 2
    SNAPSHOT_UNREADABLE = 3
    DEADLINE = 4
    RULEBOOK_MISSING = 5


NO_CODE = 0xFFFFFFFF
"""A history entry's action, treatment or trigger when there is none."""
NO_NAME = 0xFF
"""A history entry's channel or placement when there is none."""

HISTORY_ENTRY = np.dtype(
    [
        ("time", "<f8"),
        ("kind", "u1"),
        ("channel", "u1"),
        ("direction", "u1"),
        ("placement", "u1"),
        ("outcome", "u1"),
        ("flags", "u1"),
        ("reserved", "<u2"),
        ("action", "<u4"),
        ("treatment", "<u4"),
        ("trigger", "<u4"),
        ("event_kind", "<u4"),
        ("amount", "<f8"),
        ("cost", "<f8"),
        ("decision_id", "V16"),
        ("idempotency_key", "<u8"),
    ]
)
"""One entry of a ring, 72 bytes. `time` is event time; `amount` and `cost` are money, NaN = not given;
`action`, `treatment`, `trigger`, `event_kind`, `channel` and `placement` are registry codes as stored,
and rulebook indices once a store has translated them for `decide`."""


@value_type
class Rows:
    """Snapshots of n customers under one catalogue; every array is read-only and contiguous by row."""

    as_of: F64
    """(n,) epoch seconds."""
    numbers: F64
    """(n, catalogue.n_numbers), NaN = missing."""
    words: U64
    """(n, catalogue.n_words) bools and sets."""
    known: U64
    """(n, catalogue.n_known_words); a cleared bit = missing."""

    def __len__(self) -> int:
        return len(self.as_of)


@value_type
class Ring:
    """Histories of n customers laid end to end, oldest first; i has entries[starts[i]:starts[i + 1]]."""

    entries: npt.NDArray[np.void]
    """(total,) of `HISTORY_ENTRY`, codes translated to rulebook indices."""
    starts: I64
    """(n + 1,)."""
    truncated_before: F64
    """(n,) epoch seconds; entries at or before it may be lost, -inf = complete."""


@value_type
class Histories:
    """What happened between the company and n customers."""

    contacts: Ring
    """Contacts and their outcomes."""
    events: Ring
    """Business events."""

    @classmethod
    def empty(cls, n: int) -> "Histories":
        """Complete histories in which nothing has happened."""
        ring = Ring(np.empty(0, HISTORY_ENTRY), np.zeros(n + 1, np.int64), np.full(n, -np.inf))
        return cls(ring, ring)


@value_type
class Contexts:
    """The situations of n requests, as codes of the rulebook's own lists; -1 = not given."""

    channel: I32
    """(n,) index into the rulebook's channels."""
    direction: I32
    """(n,) of `Direction`."""
    placements: U64
    """(n,) bit set over the rulebook's placements that are asked for; 0 = none is named, any will do."""
    preference: I32
    """(n, most) the same as indices in order of preference, -1 beyond those of a request."""
    phase: I32
    """(n,) of `PurchasePhase`."""
    role: I32
    """(n,) index into the rulebook's roles."""
    numbers: F64
    """(n, k) declared context keys: numbers, enum codes, bools as 0/1, NaN = missing."""

    def __len__(self) -> int:
        return len(self.channel)


class PlacementsAsked(NamedTuple):
    """Placements that n requests ask for, as `Contexts` holds them."""

    members: U64
    """(n,) bit sets."""
    order: I32
    """(n, most) indices, -1 beyond those of a request."""


def placements_asked(each: Sequence[Sequence[int]]) -> PlacementsAsked:
    """Lay the placements of n requests side by side.

    Args:
        each: indices into the rulebook's placements, all different, in order of preference; none = any.
    """
    most = max(map(len, each), default=0)
    members = [sum(1 << place for place in some) for some in each]
    order = [[*some, *[-1] * (most - len(some))] for some in each]
    return PlacementsAsked(np.array(members, np.uint64), np.array(order, np.int32).reshape(len(each), most))


@dataclass(frozen=True, slots=True, eq=False)
class CellEvidence:
    """Captured outcomes below the peer grid's root: an entry for each action, stage and cell with some."""

    action: I32
    """(k,)."""
    stage: I32
    """(k,)."""
    cell: I32
    """(k,) number of the cell in the model's tree."""
    counts: F64
    """(k, 2) successes and failures of customers in the very cell."""

    @classmethod
    def none(cls) -> "CellEvidence":
        """Nothing captured."""
        nothing = np.empty(0, np.int32)
        return cls(nothing, nothing, nothing, np.empty((0, 2)))


@dataclass(frozen=True, slots=True, eq=False)
class DecisionState:
    """What is learnt between decisions; the part that candidates read is logged for replay."""

    posteriors: F64
    """(actions, stages, 2) successes and failures of all customers since the prior of the rule file."""
    stage_prices: F64
    """(stages,) shadow price π of each stage's budget."""
    contact_price: float
    """μ_w, money per unit of contact weight."""
    cells: CellEvidence = field(default_factory=CellEvidence.none)
    """The part of `posteriors` that was captured from customers below the peer grid's root."""

    @classmethod
    def initial(cls, n_actions: int) -> "DecisionState":
        """Nothing learnt, nothing spent."""
        return cls(np.zeros((n_actions, len(Stage), 2)), np.zeros(len(Stage)), 0.0)


class Term(IntEnum):
    """Columns of a score's breakdown (domain model, section 9)."""

    PROPENSITY = 0
    BASE_PROPENSITY = 1
    CUSTOMER_GAIN = 2
    PROFIT_GAIN = 3
    CUSTOMER_WEIGHT = 4
    MULTIPLIER = 5
    RELEVANCE = 6
    CONTEXT_WEIGHT = 7
    LEVER = 8
    PRESSURE_FACTOR = 9
    BENEFIT = 10
    CONTACT_COST = 11
    ACCEPTED_COST = 12
    SHADOW_PRICE = 13
    CONTACT_PRICE = 14
    SCORE = 15
    MEAN_PROPENSITY = 16
    """What gates read; `PROPENSITY` is the draw that the score was made with, if the rulebook explores."""


@value_type
class Decisions:
    """Ranked answers for n requests; unused result places hold -1."""

    figures: F64
    """(n, figures) of `facts.Figure`, NaN = missing."""
    action: I32
    """(n, k) index into the rulebook's actions, in rank order."""
    treatment: I32
    """(n, k) index into the rulebook's treatments."""
    placement: I32
    """(n, k) which of the placements asked for shows it; -1 where none was named."""
    terms: F64
    """(n, k, terms) of `Term`."""
    count: I32
    """(n,) results before do-nothing; 0 = do nothing won."""
    fired: U64
    """(triggers, blocks) bit i % 64 of block i // 64: the trigger has fired and does not cool down."""

    def has_fired(self, trigger: int, row: int) -> bool:
        """Whether a trigger has fired for a customer, and was not acted on within its cool-down."""
        return bool(int(self.fired[trigger, row >> 6]) >> (row & 63) & 1)


@value_type
class Trace:
    """Why each action ended where it did, for every one of n × actions."""

    reason: I32
    """(n, actions) of `Reason`."""
    actual: F64
    """(n, actions) value the stopping gate saw, NaN = unknown or not a number."""
    required: F64
    """(n, actions) value it asked for."""
    opens: F64
    """(n, actions) epoch seconds at which that gate opens if only time passes; inf = never, NaN = time is
    not what it lacks."""
    segments: U64
    """(n,) bit set over the rulebook's segments: those that the customer is in."""
    treatment: I32
    """(n, actions) best treatment of the action, -1 = none."""
    placement: I32
    """(n, actions) which of the placements asked for shows it, or would with room for its rank; -1 = none."""
    open: U64
    """(n, actions) bit set: those of the placements asked for that a scored action could be shown in."""
    terms: F64
    """(n, actions, terms) where the action reached arbitration, else NaN."""
