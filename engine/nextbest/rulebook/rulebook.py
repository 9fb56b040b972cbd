"""The compiled rulebook: immutable, all numbers in arrays, all words in tuples."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property

import numpy as np

from nextbest.facts import Catalogue, Fact
from nextbest.model import F64, I32, I64, U8, U64, DesiredAction
from nextbest.rulebook.patterns import Pattern
from nextbest.rulebook.periods import Period
from nextbest.rulebook.program import Program
from nextbest.rulebook.watching import Series, Watch

Texts = Mapping[str, str]
"""A text by BCP 47 language; always has the rulebook's default language."""


def text_in(texts: Texts, language: str) -> str:
    """The text in the language, or in the first language it has; empty if there is none."""
    return texts.get(language) or next(iter(texts.values()), "")


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


class Arbitration(IntEnum):
    """How survivors are scored."""

    MUTUAL = 0
    CLASSIC = 1


class Exploration(IntEnum):
    """How a rulebook tries what it does not know yet."""

    NONE = 0
    EPSILON = 1
    """A share of decisions shows a survivor drawn at random first."""
    THOMPSON = 2
    """Scores are made with propensities drawn from their posteriors."""


class PolicyScope(IntEnum):
    """Over what a contact policy counts."""

    ACTION = 0
    GROUP = 1
    CHANNEL = 2
    ALL = 3


@dataclass(frozen=True, slots=True)
class Channel:
    """A way to reach the customer."""

    id: str
    inbound_threshold: float
    """Least relevance when the customer starts the contact."""
    outbound_threshold: float
    """Least relevance when the company does."""
    pressure_weight: float
    """w_ch of an outbound contact; an inbound one weighs 0."""
    quiet_hours: tuple[float, float] | None
    """Local hours (from, until) without outbound contact; may wrap midnight."""
    location_bound: bool
    """A location push: at most one in 7 days."""
    max_text_length: int | None


@dataclass(frozen=True, slots=True)
class Role:
    """Who asks on the customer's behalf, and how far they may go."""

    id: str
    authority: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A named predicate over customers; segments may overlap."""

    id: str
    condition: int
    """Index of a condition output of the program."""
    source: str = ""
    """The expression as written, for explanations; empty for one that no row of a table gives."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """An event in a customer's behaviour that calls for an action."""

    id: str
    kind: str
    """`snapshot`, `detector`, `pattern` or `change`."""
    condition: int
    """Index of a condition output of the program."""
    cool_down_days: float
    """After a contact caused by the trigger it does not fire again for so long; 0 = at once."""
    source: str
    """The expression as written, for explanations."""
    fired_at: str = ""
    """Fact that says when it fired last; empty for a snapshot trigger."""
    pattern: str = ""
    """Event pattern that fires it; empty if none does."""
    detects: str = ""
    """Change of behaviour that fires it, such as `drop`; empty if it is no detector."""
    series: str = ""
    """Id of the series in which it is found; empty if it is in none."""
    watch: Watch | None = None
    """Change from one snapshot to the next that fires it; None if none does."""
    evidence: Mapping[str, str] = field(default_factory=dict[str, str])
    """Kind of evidence, such as `observed` or `z`, to the fact that holds it."""
    text: Texts = field(default_factory=dict[str, str])
    """The trigger in words, for staff; may quote facts and figures."""


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


@dataclass(frozen=True, slots=True)
class ChannelTables:
    """What kernels read of C channels, each (C,) or (C, 2) by `Direction`."""

    threshold: F64
    """(C, 2) least relevance inbound, outbound."""
    weight: F64
    """(C, 2) contact weight w_ch; inbound 0."""
    location_bound: U8
    quiet_from: F64
    """(C,) local hour, NaN = no quiet hours."""
    quiet_until: F64


@dataclass(frozen=True, slots=True)
class ValueModel:
    """How value and profit are computed (domain model, section 2). Money in the rulebook's currency."""

    activities: tuple[tuple[str, float], ...]
    """(fact that counts the activity, cost of one)."""
    benefits: tuple[tuple[str, float], ...]
    """(fact that counts the emotional benefit, worth of one to the customer)."""
    point_face: float
    redemption_probability: float
    quality_rate: float
    """κ_q."""
    value_of_time: float
    """Money per minute of the customer's time."""
    complaint_cost: float
    """Money per complaint, to the customer."""
    default_margin_rate: float
    credibility_years: float
    """k of the credibility formula."""


@dataclass(frozen=True, slots=True)
class StageModel:
    """Index, ladder and stage thresholds (domain model, section 6), as written in stages.yaml."""

    numbers: Mapping[str, float]
    """Every threshold by name, in the order of `behaviour.index.STAGE_PARAMETERS`."""
    array: F64
    """The same numbers as the kernels take them."""


FORGIVE_TERMS = (
    "back_probability",
    "back_cost",
    "back_reward",
    "reach",
    "harm_avoided",
    "damage_cost",
)
"""Inputs of the Forgive mode that rulebooks set."""


@dataclass(frozen=True, slots=True)
class Term:
    """A number that follows a fact: times·fact + plus."""

    fact: str = ""
    """Empty = none: the number is `otherwise` for everybody."""
    times: float = 0.0
    plus: float = 0.0
    otherwise: float = float("nan")
    """Where the fact is unknown; NaN = unknown."""
    low: float = 0.0
    high: float = float("inf")


@dataclass(frozen=True, slots=True)
class Learning:
    """How propensities learn from captured outcomes, and how decisions explore."""

    parent_weight: float
    """m: trials that a level's mean counts for in the level below it."""
    trials: int
    """Bit set over `Outcome`: what says that an action was tried."""
    successes: int
    """Bit set over `Outcome`: what says that it was accepted."""
    failures: int
    """Bit set over `Outcome`: what says that it was not, and takes an earlier success back."""
    mature_at: float
    """Trials from which an action is shown without reserve; 0 = from the beginning."""
    least_reach: float
    """Share of outbound decisions that may show an action without a trial."""
    exploration: Exploration
    share: float
    """ε: share of decisions that explore."""
    salt: str
    """Part of every seed; another one draws anew."""

    @property
    def draws(self) -> bool:
        """Whether anything is left to chance."""
        return self.exploration is not Exploration.NONE or self.mature_at > 0.0


@dataclass(frozen=True, slots=True)
class RewardShare:
    """A least share of the rewards that customers of a stage get first."""

    stage: int
    type: str
    timing: str
    """Empty = either."""
    at_least: float
    """Share of all rewards recommended to the stage, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """What stands above all rules: goals, priorities, roles, promises, weights and budgets."""

    goals: tuple[str, ...]
    priorities: tuple[str, ...]
    promises: Mapping[str, str]
    reason_codes: tuple[str, ...]
    """What captured outcomes may give as their reason."""
    archetype: str
    arbitration: Arbitration
    customer_weight: F64
    """(stages,) λ."""
    reached_weight: float
    """λ where the profit potential is reached and the stage is not Forgive me."""
    stretch: F64
    """(stages,) τ."""
    pressure_cap: F64
    """(stages,) cap on P_eff."""
    budget_split: F64
    """(3,) acquire, retain, repair; sums to 1."""
    gap_cap: float
    """κ: a gap is at most κ times the cell's median."""
    gap_floor: float
    data_quality_floor: float
    sell_hold_score: float
    """A touchpoint score at or below it holds up- and cross-sell ..."""
    sell_hold_days: float
    """... for so many days."""
    ceiling_share: float
    """Share of LTV* that may be invested in a customer per 12 months."""
    time_zone: str
    """IANA zone of customers whose own is unknown."""
    referral_weight: float
    """λ_ref."""
    referral_worth: float
    """v_ref."""
    premium_share: float
    """π: of revenue, what loyal customers pay above others; NaN = none is assumed."""
    premium_level: float
    """First step of the ladder that pays it."""
    objective: str
    """`share_of_market`, `share_of_wallet` or `share_of_life`."""
    market_size: float
    """Money a year, NaN = not given."""
    caveats: tuple[str, ...]
    """What readers of figures must know of them."""
    forgive: tuple[Term, ...]
    """What the choice of the Forgive mode reads of the rulebook, in the order of `FORGIVE_TERMS`."""
    peer_dimensions: tuple[str, ...]
    """Facts, in order; a cell's parent drops the last."""
    ltv_step_weeks: int
    ltv_steps: int
    ltv_discount_rate: float
    contract_growth: float
    """g: of a contract's margin, a year."""
    learning: Learning
    reward_shares: tuple[RewardShare, ...]
    """What `nextbest report mix` holds the recommendations against."""


@dataclass(frozen=True)
class Rulebook:
    """A rulebook as the engine runs it. Equal digests decide equally."""

    id: str
    digest: str
    """Hex of a hash over every file's path and content that the compiler read."""
    currency: str
    """ISO 4217."""
    languages: tuple[str, ...]
    """The first is the default."""
    catalogue: Catalogue
    context_facts: tuple[Fact, ...]
    """Declared `context.<key>`; columns of `Contexts.numbers` in this order."""
    event_kinds: tuple[str, ...]
    """Kinds of business event that history windows filter by, in code order."""
    strategy: Strategy
    value: ValueModel
    stages: StageModel
    channels: tuple[Channel, ...]
    placements: tuple[str, ...]
    roles: tuple[Role, ...]
    segments: tuple[Segment, ...]
    triggers: tuple[Trigger, ...]
    actions: tuple[Action, ...]
    treatments: tuple[Treatment, ...]
    propensity_models: tuple[str, ...]
    """Ids of the fitted models that actions name."""
    action_tables: ActionTables
    channel_tables: ChannelTables
    program: Program
    patterns: tuple[Pattern, ...] = ()
    """Event patterns that fire triggers, by id; found off the request path."""
    series: tuple[Series, ...] = ()
    """Series that writers of snapshots follow, in the order of the file."""
    periods: tuple[Period, ...] = ()
    """Parts of the calendar in which limits and caps count."""
    packed: bytes = field(default=b"", repr=False)
    """The files it was compiled from, see `rulebook.source.packed_files`; kept beside logged decisions."""

    @property
    def revision(self) -> str:
        """Short name for logs and answers: id and the digest's first twelve digits."""
        return f"{self.id}@{self.digest[:12]}"

    @cached_property
    def has_quiet_hours(self) -> bool:
        """Whether a channel has hours without outbound contact."""
        return not bool(np.isnan(self.channel_tables.quiet_from).all())

    @cached_property
    def channel_index(self) -> Mapping[str, int]:
        """Index of each channel by id."""
        return {channel.id: i for i, channel in enumerate(self.channels)}

    @cached_property
    def placement_index(self) -> Mapping[str, int]:
        """Index of each placement by name."""
        return {name: i for i, name in enumerate(self.placements)}

    @cached_property
    def role_index(self) -> Mapping[str, int]:
        """Index of each role by id."""
        return {role.id: i for i, role in enumerate(self.roles)}

    @cached_property
    def action_index(self) -> Mapping[str, int]:
        """Index of each action by id."""
        return {action.id: i for i, action in enumerate(self.actions)}

    @cached_property
    def trigger_index(self) -> Mapping[str, int]:
        """Index of each trigger by id."""
        return {trigger.id: i for i, trigger in enumerate(self.triggers)}

    @cached_property
    def treatment_index(self) -> Mapping[str, int]:
        """Index of each treatment by id."""
        return {treatment.id: i for i, treatment in enumerate(self.treatments)}
