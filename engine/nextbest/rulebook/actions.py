"""Actions as compiled: names and texts in tuples, numbers in tables that kernels read."""

from dataclasses import dataclass
from enum import IntEnum

from nextbest.model import F64, I32, I64, U8, U64, DesiredAction
from nextbest.rulebook.texts import Texts


class Evidence(IntEnum):
    """Kinds of evidence that the customer would have asked for an action (domain model, section 8)."""

    EXPLICIT_REQUEST = 0
    DECLARED_PREFERENCE = 1
    OPEN_NEED = 2
    INBOUND_TOPIC = 3
    PEERS_UPTAKE = 4
    OWN_INTEREST = 5
    SEASON = 6


EVIDENCE_WEIGHTS = (1.0, 0.8, 0.6, 0.5, 0.35, 0.35, 0.15)
"""Default weight of each kind of evidence, in code order."""


class PropensityKind(IntEnum):
    """Where an action's propensity comes from."""

    POSTERIOR = 0
    """Beta posterior over the prior of the rule file."""
    EXPRESSION = 1
    """A value output of the program."""
    MODEL = 2
    """A fitted propensity model."""


class PolicyScope(IntEnum):
    """Over what a contact policy counts."""

    ACTION = 0
    GROUP = 1
    CHANNEL = 2
    ALL = 3


@dataclass(frozen=True, slots=True)
class Offer:
    """A typed payload that a till can act on."""

    type: str
    """One of percent_off, amount_off, points, gift, service, information, survey."""
    value: float
    products: str
    code: str


@dataclass(frozen=True, slots=True)
class Reward:
    """What the customer gets for accepting; its worth is in `ActionTables.reward_worth`."""

    type: str
    """`monetary` or `emotional`."""
    timing: str
    """`immediate` or `saved`."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """An action as it is carried out in one channel and placement."""

    id: str
    """`action/channel[/placement]`."""
    action: int
    channel: int
    placement: int
    """Index into the rulebook's placements, -1 = fits any."""
    say: Texts
    """For the customer; shows no internals."""
    staff: Texts
    """For staff; may quote facts as `{customer.<fact>}`."""
    offer: Offer | None


@dataclass(frozen=True, slots=True)
class Action:
    """Names and texts of an action; its numbers are in `ActionTables` at the same index."""

    id: str
    desired_action: DesiredAction
    issue: str
    group: str
    reason: Texts
    """Customer-safe sentence: why this is for you."""
    condition_source: str
    """The `when` expression as written, empty if none."""
    propensity_source: str
    """The propensity's expression as written, empty unless it is one."""
    propensity_model: str
    """Id of the fitted model, empty unless the propensity is a model's."""
    tags: tuple[str, ...]
    owner: str
    promises: tuple[str, ...]
    reward: Reward | None


@dataclass(frozen=True, slots=True)
class ActionTables:
    """What kernels read of A actions and T treatments. CSR pairs are (A + 1,) starts and flat values."""

    stages: U8
    """(A,) bit set of `Stage` the action is for."""
    segments: U64
    """(A,) bit set of segments, any of which must hold; 0 = all customers."""
    trigger_starts: I64
    trigger_index: I32
    """Triggers any of which must have fired; none listed = none needed."""
    condition: I32
    """(A,) condition output of `when`, -1 = always."""
    sells: U8
    """(A,) 1 for up-sell and cross-sell: stopped by a sell-hold."""
    cares: U8
    """(A,) 1 for service, information, repair, listen, collect_information: pass a low data quality."""
    mandatory: U8
    authority: I32
    """(A,) least authority of the caller's role."""
    valid_from: F64
    """(A,) epoch seconds in the strategy's time zone, -inf = always was; `action.validity` has the others."""
    valid_until: F64
    """(A,) epoch seconds, exclusive, inf = for ever."""
    topics: U64
    """(A,) bit set over fact `blocked_topics`: any of them blocked stops the action."""
    max_snapshot_age_days: F64
    customer_gap_share: F64
    """(A,) f_C."""
    profit_gap_share: F64
    """(A,) f_P."""
    recurring: F64
    """(A,) ψ, share of the gain that recurs; NaN where ΔLTV is declared instead."""
    yearly_gain: F64
    """(A,) g_year, money per year to the customer, less any price paid."""
    once_gain: F64
    """(A,) g_once, money."""
    ltv_gain: F64
    """(A,) ΔLTV, money; 0 where ψ is declared."""
    short_horizon: U8
    """(A,) 1: M = 1 and ΔLTV = 0."""
    contact_cost: F64
    accepted_cost: F64
    minutes: F64
    """(A,) the customer's own time, minutes."""
    propensity_kind: U8
    """(A,) of `PropensityKind`."""
    propensity_index: I32
    """(A,) value output of the program, or index into `Rulebook.propensity_models`; -1 for a posterior."""
    prior_successes: F64
    prior_failures: F64
    base_propensity: F64
    """(A,) p₀ for uplift, 0 where the full propensity counts."""
    uses_uplift: U8
    evidence_starts: I64
    evidence_weight: F64
    evidence_condition: I32
    """Condition output, or -1 when the evidence is a number."""
    evidence_value: I32
    """Value output in [0, 1], or -1 when the evidence is a condition."""
    declared: U8
    """Per evidence: 1 if it is the customer's own declaration, which lifts the stock-push cap."""
    creates_need: U8
    inside_out: U8
    """(A,) 1 for stock push."""
    context_starts: I64
    context_condition: I32
    context_weight: F64
    """Per cent each matching condition adds to W = 1 + Σ/100."""
    lever: F64
    """(A,) L = 1 + (issue + group + action weight)/100, clipped to [.5, 2] unless classic."""
    group: I32
    """(A,) at most one action of a group is returned; -1 = none."""
    benefit_group: I32
    """(A,) actions compared by the fairness gate, -1 = none."""
    reward_worth: F64
    """(A,) worth of the reward to the customer, money."""
    priority: I32
    classic_value: F64
    """(A,) V of classic arbitration."""
    id_order: I32
    """(A,) rank of the action's id in alphabetical order, the last tie-break."""
    policy_starts: I64
    policy_scope: U8
    policy_outcomes: U64
    """Bit set over `Outcome`."""
    policy_at_least: I32
    policy_within_s: F64
    """Of a calendar period: how long it can be."""
    policy_pause_s: F64
    """0 of a calendar period, which pauses until it ends."""
    policy_period: I32
    """Index into `Rulebook.periods`, -1 = a window that rolls."""
    policy_channel: I32
    """Channel index for a channel scope, -1 = the treatment's own."""
    cap_starts: I64
    cap_count: I32
    """At most so many contacts of this action per customer ..."""
    cap_within_s: F64
    """... within this window."""
    cap_period: I32
    """Index into `Rulebook.periods`, -1 = a window that rolls."""
    treatment_starts: I64
    """(A + 1,) treatments of action a are treatment_starts[a]:treatment_starts[a + 1]."""
    treatment_channel: I32
    treatment_placement: I32
    treatment_consent: U64
    """(T,) bit set over fact `consent`, all needed for an outbound contact; 0 = none."""

    def triggers_of(self, action: int) -> list[int]:
        """Indices of the triggers any of which must have fired for an action."""
        return self.trigger_index[self.trigger_starts[action] : self.trigger_starts[action + 1]].tolist()

    def treatments_of(self, action: int) -> range:
        """Indices of an action's treatments."""
        return range(int(self.treatment_starts[action]), int(self.treatment_starts[action + 1]))
