"""What the action kernels read: the rulebook and one batch of requests, packed into few arrays.

Every array argument of a compiled kernel costs a fraction of a microsecond to unpack, so all
whole numbers of an action lie in one matrix and all other numbers in a second; the enums
below name their columns.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nextbest.action.validity import validity_by_zone
from nextbest.arena import Arena, real1, real2, whole1, whole2
from nextbest.kernels import lean_kernel
from nextbest.model import F64, I32, I64, U8, U16, U64, Stage
from nextbest.rulebook.actions import ActionTables, PolicyScope
from nextbest.rulebook.rulebook import Rulebook
from nextbest.rulebook.strategy import Strategy


class Code(IntEnum):
    """Columns of `Tables.codes`. Bit sets are stored bit for bit in the signed word."""

    STAGES = 0
    SEGMENTS = 1
    FIRST_TRIGGER = 2
    LAST_TRIGGER = 3
    CONDITION = 4
    SELLS = 5
    CARES = 6
    MANDATORY = 7
    AUTHORITY = 8
    TOPICS = 9
    SHORT_HORIZON = 10
    PROPENSITY_KIND = 11
    PROPENSITY_INDEX = 12
    FIRST_EVIDENCE = 13
    LAST_EVIDENCE = 14
    CREATES_NEED = 15
    INSIDE_OUT = 16
    FIRST_CONTEXT = 17
    LAST_CONTEXT = 18
    GROUP = 19
    PRIORITY = 20
    ID_ORDER = 21
    FIRST_POLICY = 22
    LAST_POLICY = 23
    FIRST_CAP = 24
    LAST_CAP = 25
    FIRST_TREATMENT = 26
    LAST_TREATMENT = 27
    USES_UPLIFT = 28
    REPAIRS = 29


class Number(IntEnum):
    """Columns of `Tables.numbers`."""

    VALID_FROM = 0
    """The latest of all time zones; those of each are in `Tables.validity`."""
    VALID_UNTIL = 1
    """The earliest of all time zones."""
    MAX_SNAPSHOT_AGE = 2
    CUSTOMER_GAP_SHARE = 3
    PROFIT_GAP_SHARE = 4
    RECURRING = 5
    YEARLY_GAIN = 6
    ONCE_GAIN = 7
    LTV_GAIN = 8
    CONTACT_COST = 9
    ACCEPTED_COST = 10
    MINUTES = 11
    BASE_PROPENSITY = 12
    LEVER = 13
    REWARD_WORTH = 14
    LOYAL_REWARD_WORTH = 15
    """Best reward of the same benefit group that is open to Grow me; inf = not compared."""
    CLASSIC_VALUE = 16


class Policy(IntEnum):
    """Columns of `Tables.policies`."""

    SCOPE = 0
    OUTCOMES = 1
    AT_LEAST = 2
    CHANNEL = 3
    SHARED = 4
    """Place in `Tables.shared_policies` of a policy that asks the same of every action; -1 = not shared."""
    PERIOD = 5
    """Calendar period in which it counts, until whose end it pauses; -1 = its window rolls."""


class Cap(IntEnum):
    """Columns of `Tables.caps`."""

    COUNT = 0
    PERIOD = 1
    """Calendar period in which it counts; -1 = its window rolls."""


class TreatmentCode(IntEnum):
    """Columns of `Tables.treatments`."""

    CHANNEL = 0
    PLACEMENT = 1
    CONSENT = 2


class ChannelNumber(IntEnum):
    """Columns of `Tables.channels`."""

    INBOUND_THRESHOLD = 0
    OUTBOUND_THRESHOLD = 1
    OUTBOUND_WEIGHT = 2
    LOCATION_BOUND = 3
    QUIET_FROM = 4
    QUIET_UNTIL = 5


class Setting(IntEnum):
    """Places in `Tables.settings`."""

    DATA_QUALITY_FLOOR = 0
    SELL_HOLD_SCORE = 1
    SELL_HOLD_DAYS = 2
    VALUE_OF_TIME = 3
    CLASSIC = 4


class Place(IntEnum):
    """Places in `Tables.places`: where a row keeps what gates read of it, -1 = nowhere."""

    CONSENT_WORD = 0
    CONSENT_KNOWN_WORD = 1
    CONSENT_KNOWN_BIT = 2
    BLOCKED_WORD = 3
    BLOCKED_KNOWN_WORD = 4
    BLOCKED_KNOWN_BIT = 5
    TOUCHPOINT_SCORE = 6
    TOUCHPOINT_AT = 7
    TIME_ZONE = 8


class Tables(NamedTuple):
    """The rulebook as the action kernels take it; built once per rulebook."""

    codes: I64
    """(A, Code)."""
    numbers: F64
    """(A, Number)."""
    triggers: I64
    """Flat, from FIRST_TRIGGER to LAST_TRIGGER of an action."""
    evidence: I64
    """(E, 3) condition output, value output, declared."""
    evidence_weights: F64
    contexts: I64
    """Flat condition outputs, from FIRST_CONTEXT to LAST_CONTEXT."""
    context_weights: F64
    policies: I64
    """(P, Policy)."""
    policy_seconds: F64
    """(P, 2) within, pause."""
    caps: I64
    """(K, Cap)."""
    cap_seconds: F64
    treatments: I64
    """(T, TreatmentCode)."""
    channels: F64
    """(C, ChannelNumber)."""
    segments: I64
    """(S,) condition output of each segment."""
    trigger_conditions: I64
    """(R,) condition output of each trigger."""
    trigger_cool_down: F64
    """(R,) seconds."""
    stages: F64
    """(stages + 1, 2) customer weight λ, pressure cap; the last row for whom the potential is reached."""
    settings: F64
    """(Setting,)."""
    places: I64
    """(Place,)."""
    roles: I64
    """(roles + 1,) authority of each role, then the least one, for callers without a role."""
    shared_policies: I64
    """One policy each of those that do not ask which action it is: scopes channel and all."""
    validity: F64
    """(zones + 1 or 1, 2·A) from and until when each action is valid, see `validity.validity_by_zone`."""


@lean_kernel
def unpack_tables(arena: Arena) -> Tables:
    """The tables in an arena that was packed of them, field for field."""
    return Tables(
        codes=whole2(arena, 0),
        numbers=real2(arena, 1),
        triggers=whole1(arena, 2),
        evidence=whole2(arena, 3),
        evidence_weights=real1(arena, 4),
        contexts=whole1(arena, 5),
        context_weights=real1(arena, 6),
        policies=whole2(arena, 7),
        policy_seconds=real2(arena, 8),
        caps=whole2(arena, 9),
        cap_seconds=real1(arena, 10),
        treatments=whole2(arena, 11),
        channels=real2(arena, 12),
        segments=whole1(arena, 13),
        trigger_conditions=whole1(arena, 14),
        trigger_cool_down=real1(arena, 15),
        stages=real2(arena, 16),
        settings=real1(arena, 17),
        places=whole1(arena, 18),
        roles=whole1(arena, 19),
        shared_policies=whole1(arena, 20),
        validity=real2(arena, 21),
    )


class Raw(NamedTuple):
    """n rows and situations as they come, see `model.Rows` and `model.Contexts`."""

    numbers: F64
    words: U64
    known: U64
    channel: I32
    direction: I32
    placements: U64
    preference: I32
    role: I32
    hours: F64
    """(n,) local hour of the day, NaN = nothing asks for it."""


class Batch(NamedTuple):
    """n requests as the action kernels take them. 64 customers share a word of each plane."""

    masks: U64
    """(n, 2) consents given, topics blocked; unknown sets are empty. Filled with `facts`, `requests`
    and `pressure` by `situation`."""
    facts: F64
    """(n, 3) touchpoint score, its age in days, local hour of the day; NaN = missing."""
    figures: F64
    """(n, Figure)."""
    true: U64
    """(blocks, conditions) known true."""
    false: U64
    """(blocks, conditions) known false."""
    values: F64
    """(n, value outputs), NaN = unknown."""
    models: F64
    """(n, fitted propensity models)."""
    requests: I64
    """(n, 5) channel, direction, placements as a bit set, authority of the caller, and which row of
    `Tables.validity` is the customer's."""
    now: F64
    """(n,) epoch seconds."""
    periods: F64
    """(n, 2·periods) the last moment before each calendar period and its end, see `rulebook.periods`."""
    starts: I64
    """(n + 1,) rows of the contact entries below."""
    entry_numbers: F64
    """(m, 9) contact entries seen as eight-byte floats: 0 time, 4 amount, 5 cost."""
    entry_codes: npt.NDArray[np.uint32]
    """(m, 18) the same entries seen as words: 4 action, 5 treatment, 6 trigger."""
    entry_bytes: U8
    """(m, 72) the same entries seen as bytes: 8 kind, 9 channel, 10 direction, 12 outcome, 13 flags."""
    truncated: F64
    """(n,) entries before this time may be lost."""
    pressure: F64
    """(n, 3) contact pressure P_eff, time of the latest location-bound contact, pressure factor q."""
    cooling: U64
    """(triggers, blocks) 1 = the trigger is in its cool-down for the customer."""
    places: I64
    """(n,) row of the posteriors of each customer's peer cell; −1−row if it is that of a cell above."""
    seeds: U64
    """(n,) for what is drawn at random."""
    seen: U16
    """(A + groups + 1, lanes) scratch of 64 customers at a time: what the history holds of each action, of
    each group and of anything, see `contact.fill_seen`; customer i has lane i % 64."""
    words: U64
    """(`block.n_words`,) scratch: what holds of the 64 customers of a block, a bit each."""
    lanes: F64
    """(`block.n_rows` · LANES,) scratch: what scores read of the customers of a block, see `block.Lane`."""


def pack_rulebook(rulebook: Rulebook) -> Tables:
    """Pack a rulebook's tables for the kernels."""
    tables, strategy = rulebook.action_tables, rulebook.strategy
    settings = np.zeros(len(Setting))
    settings[Setting.DATA_QUALITY_FLOOR] = strategy.data_quality_floor
    settings[Setting.SELL_HOLD_SCORE] = strategy.sell_hold_score
    settings[Setting.SELL_HOLD_DAYS] = strategy.sell_hold_days
    settings[Setting.VALUE_OF_TIME] = rulebook.value.value_of_time
    settings[Setting.CLASSIC] = float(strategy.arbitration)
    shared, representatives = _shared_policies(tables)
    validity = validity_by_zone(rulebook)
    return Tables(
        codes=_codes(rulebook),
        numbers=_numbers(tables, validity),
        triggers=tables.trigger_index.astype(np.int64),
        evidence=_whole(tables.evidence_condition, tables.evidence_value, tables.declared),
        evidence_weights=tables.evidence_weight,
        contexts=tables.context_condition.astype(np.int64),
        context_weights=tables.context_weight,
        policies=_whole(
            tables.policy_scope,
            tables.policy_outcomes.view(np.int64),
            tables.policy_at_least,
            tables.policy_channel,
            shared,
            tables.policy_period,
        ),
        policy_seconds=_floats(tables.policy_within_s, tables.policy_pause_s),
        caps=_whole(tables.cap_count, tables.cap_period),
        cap_seconds=tables.cap_within_s,
        treatments=_whole(
            tables.treatment_channel, tables.treatment_placement, tables.treatment_consent.view(np.int64)
        ),
        channels=_channels(rulebook),
        segments=np.array([s.condition for s in rulebook.segments], np.int64),
        trigger_conditions=np.array([t.condition for t in rulebook.triggers], np.int64),
        trigger_cool_down=np.array([t.cool_down_days for t in rulebook.triggers]) * 86400.0,
        stages=_stages(strategy),
        settings=settings,
        places=_places(rulebook),
        roles=_roles(rulebook),
        shared_policies=representatives,
        validity=validity,
    )


def _shared_policies(tables: ActionTables) -> tuple[I64, I64]:
    """Which shared policy each policy is, -1 = none, and one row of each: actions repeat them."""
    shared = np.full(len(tables.policy_scope), -1, np.int64)
    rows: dict[tuple[float, ...], int] = {}
    first: list[int] = []
    columns = (
        tables.policy_scope,
        tables.policy_outcomes,
        tables.policy_at_least,
        tables.policy_channel,
        tables.policy_within_s,
        tables.policy_pause_s,
        tables.policy_period,
    )
    for policy, scope in enumerate(tables.policy_scope):
        if scope in (PolicyScope.CHANNEL, PolicyScope.ALL):
            key = tuple(float(column[policy]) for column in columns)
            if key not in rows:
                first.append(policy)
            shared[policy] = rows.setdefault(key, len(rows))
    return shared, np.array(first, np.int64)


def _stages(strategy: Strategy) -> F64:
    """One row a stage, and one for whom the potential is reached: only the weight is another then."""
    reached = [[strategy.reached_weight, np.nan]]
    return np.vstack([_floats(strategy.customer_weight, strategy.pressure_cap), reached])


def _places(rulebook: Rulebook) -> I64:
    catalogue = rulebook.catalogue
    places = np.full(len(Place), -1, np.int64)
    for first, name in ((Place.CONSENT_WORD, "consent"), (Place.BLOCKED_WORD, "blocked_topics")):
        bits = catalogue.bits.get(name)
        if bits is not None:
            places[first : first + 3] = bits.word, bits.known_word, bits.known_bit
    if "touchpoint_score" in catalogue and "touchpoint_score_at" in catalogue:
        places[Place.TOUCHPOINT_SCORE] = catalogue.column("touchpoint_score")
        places[Place.TOUCHPOINT_AT] = catalogue.column("touchpoint_score_at")
    places[Place.TIME_ZONE] = catalogue.column("time_zone")
    return places


def _roles(rulebook: Rulebook) -> I64:
    authorities = [role.authority for role in rulebook.roles]
    return np.array([*authorities, min(authorities, default=0)], np.int64)


def _whole(*columns: npt.NDArray[np.generic]) -> I64:
    return np.ascontiguousarray(np.column_stack([c.astype(np.int64) for c in columns]))


def _floats(*columns: npt.NDArray[np.generic]) -> F64:
    return np.ascontiguousarray(np.column_stack([c.astype(np.float64) for c in columns]))


def _codes(rulebook: Rulebook) -> I64:
    tables = rulebook.action_tables
    codes = np.zeros((len(rulebook.actions), len(Code)), np.int64)
    plain = {
        Code.STAGES: tables.stages,
        Code.SEGMENTS: tables.segments.view(np.int64),
        Code.CONDITION: tables.condition,
        Code.SELLS: tables.sells,
        Code.CARES: tables.cares,
        Code.MANDATORY: tables.mandatory,
        Code.AUTHORITY: tables.authority,
        Code.TOPICS: tables.topics.view(np.int64),
        Code.SHORT_HORIZON: tables.short_horizon,
        Code.PROPENSITY_KIND: tables.propensity_kind,
        Code.PROPENSITY_INDEX: tables.propensity_index,
        Code.CREATES_NEED: tables.creates_need,
        Code.INSIDE_OUT: tables.inside_out,
        Code.GROUP: tables.group,
        Code.PRIORITY: tables.priority,
        Code.ID_ORDER: tables.id_order,
        Code.USES_UPLIFT: tables.uses_uplift,
        Code.REPAIRS: np.array([a.desired_action == "repair" for a in rulebook.actions], np.int64),
    }
    for column, array in plain.items():
        codes[:, column] = array
    for first, starts in (
        (Code.FIRST_TRIGGER, tables.trigger_starts),
        (Code.FIRST_EVIDENCE, tables.evidence_starts),
        (Code.FIRST_CONTEXT, tables.context_starts),
        (Code.FIRST_POLICY, tables.policy_starts),
        (Code.FIRST_CAP, tables.cap_starts),
        (Code.FIRST_TREATMENT, tables.treatment_starts),
    ):
        codes[:, first], codes[:, first + 1] = starts[:-1], starts[1:]
    return codes


def _numbers(tables: ActionTables, validity: F64) -> F64:
    numbers = np.empty((len(tables.stages), len(Number)))
    plain = {
        Number.VALID_FROM: validity[:, ::2].max(axis=0),
        Number.VALID_UNTIL: validity[:, 1::2].min(axis=0),
        Number.MAX_SNAPSHOT_AGE: tables.max_snapshot_age_days,
        Number.CUSTOMER_GAP_SHARE: tables.customer_gap_share,
        Number.PROFIT_GAP_SHARE: tables.profit_gap_share,
        Number.RECURRING: np.nan_to_num(tables.recurring),
        Number.YEARLY_GAIN: tables.yearly_gain,
        Number.ONCE_GAIN: tables.once_gain,
        Number.LTV_GAIN: tables.ltv_gain,
        Number.CONTACT_COST: tables.contact_cost,
        Number.ACCEPTED_COST: tables.accepted_cost,
        Number.MINUTES: tables.minutes,
        Number.BASE_PROPENSITY: tables.base_propensity,
        Number.LEVER: tables.lever,
        Number.REWARD_WORTH: tables.reward_worth,
        Number.LOYAL_REWARD_WORTH: _loyal_reward_worth(tables),
        Number.CLASSIC_VALUE: tables.classic_value,
    }
    for column, array in plain.items():
        numbers[:, column] = array
    return numbers


def _loyal_reward_worth(tables: ActionTables) -> F64:
    """Best reward open to Grow me within each action's benefit group (domain model, section 12)."""
    open_to_grow = (tables.stages & (1 << Stage.GROW_ME)) != 0
    worth = np.full(len(tables.stages), np.inf)
    for group in np.unique(tables.benefit_group[tables.benefit_group >= 0]):
        members = tables.benefit_group == group
        worth[members] = np.max(tables.reward_worth[members & open_to_grow], initial=0.0)
    return worth


def _channels(rulebook: Rulebook) -> F64:
    tables = rulebook.channel_tables
    return _floats(
        tables.threshold[:, 0],
        tables.threshold[:, 1],
        tables.weight[:, 1],
        tables.location_bound,
        tables.quiet_from,
        tables.quiet_until,
    )
