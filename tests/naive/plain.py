"""A rulebook, a customer and a request in plain Python: what the decision oracles read.

Words instead of codes, sets instead of bits, None instead of NaN. A condition or an expression is any
hashable key; `Answers` says what it comes to for one customer.
"""

import datetime as dt
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

STAGES = ("know_me", "hear_me", "grow_me", "forgive_me")
SELLS = {"up_sell", "cross_sell"}
CARES = {"service", "information", "repair", "listen", "collect_information"}
DECLARED = {"explicit_request", "declared_preference"}
"""Evidence that the customer gave in so many words; it outranks what is inferred."""
HOUR_S = 3600.0
DAY_S = 86400.0


@dataclass(frozen=True)
class Entry:
    """Something that happened between company and customer."""

    time: float
    kind: str
    """`contact`, `outcome` or `event`."""
    channel: str | None = None
    direction: str = "outbound"
    outcome: str | None = None
    action: str | None = None
    trigger: str | None = None
    event: str | None = None
    """What happened, of a business event."""


@dataclass(frozen=True)
class History:
    """Contacts and outcomes; one at `truncated_before` and any before it may be lost."""

    entries: tuple[Entry, ...] = ()
    truncated_before: float = -math.inf


@dataclass(frozen=True)
class Channel:
    """A way to reach the customer."""

    inbound_threshold: float
    outbound_threshold: float
    weight: float
    location_bound: bool = False
    quiet_hours: tuple[float, float] | None = None


@dataclass(frozen=True)
class Treatment:
    """An action in one channel and placement (None = any)."""

    id: str
    channel: str
    placement: str | None = None
    consent: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Limit:
    """Pause after outcomes."""

    outcomes: frozenset[str]
    at_least: int
    within_s: float
    pause_s: float
    scope: str = "action"
    channel: str | None = None
    period: tuple[str, str] | None = None
    """Calendar and time zone; then neither within nor pause count."""


@dataclass(frozen=True)
class Cap:
    """At most so many contacts within a window."""

    at_most: int
    within_s: float
    period: tuple[str, str] | None = None


@dataclass(frozen=True)
class Evidence:
    """Something that speaks for the customer having asked: a condition, or a strength."""

    kind: str
    weight: float
    key: Hashable


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something that can be done; defaults are those of the rule files."""

    id: str
    desired_action: str
    treatments: tuple[Treatment, ...]
    group: str | None = None
    benefit_group: str | None = None
    stages: frozenset[str] = frozenset(STAGES)
    segments: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    when: Hashable | None = None
    topics: frozenset[str] = frozenset()
    mandatory: bool = False
    authority: int = 0
    valid: tuple[dt.date | None, dt.date | None] = (None, None)
    """First and last day, where the customer is."""
    max_snapshot_age_days: float = math.inf
    customer_gap: float = 0.0
    profit_gap: float = 0.0
    recurring: float | None = None
    ltv: float = 0.0
    yearly: float = 0.0
    once: float = 0.0
    minutes: float = 0.0
    short: bool = False
    contact_cost: float = 0.0
    accepted_cost: float = 0.0
    prior: tuple[float, float] | None = None
    propensity: Hashable | None = None
    """An expression or a model; None = the posterior over `prior`."""
    base: float | None = None
    """p₀ of uplift; None = the whole propensity counts."""
    evidence: tuple[Evidence, ...] = ()
    creates_need: bool = False
    inside_out: bool = False
    context: tuple[tuple[Hashable, float], ...] = ()
    lever: float = 1.0
    """L, with the weights of issue and group in it."""
    priority: int = 0
    value: float = 1.0
    reward_worth: float = 0.0
    limits: tuple[Limit, ...] = ()
    caps: tuple[Cap, ...] = ()


@dataclass(frozen=True)
class Trigger:
    """A condition with a cool-down."""

    key: Hashable
    cool_down_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Learning:
    """How propensities learn and decisions explore."""

    parent_weight: float = 30.0
    mature_at: float = 0.0
    least_reach: float = 0.02
    method: str = "none"
    share: float = 0.05


@dataclass(frozen=True, kw_only=True)
class Rulebook:
    """What stands above the actions, and the actions."""

    actions: tuple[Action, ...]
    channels: dict[str, Channel]
    triggers: dict[str, Trigger] = field(default_factory=dict)
    segments: dict[str, Hashable] = field(default_factory=dict)
    tables: dict[str, dict] = field(default_factory=dict)
    """Decision tables by id, as their files have them."""
    roles: dict[str, int] = field(default_factory=lambda: {"anyone": 0})
    customer_weight: tuple[float, ...] = (0.5, 0.6, 0.7, 0.7)
    reached_weight: float = 0.7
    """λ where the profit potential is reached."""
    pressure_cap: tuple[float, ...] = (4.0, 6.0, 8.0, 3.0)
    data_quality_floor: float = 0.4
    time_zone: str = "UTC"
    sell_hold_score: float = 6.0
    sell_hold_s: float = 14 * DAY_S
    value_of_time: float = 0.0
    classic: bool = False
    learning: Learning = Learning()

    def group_of(self, action_id: str | None) -> str | None:
        """Group of the action with this id; None = no such action, or no group."""
        return next((a.group for a in self.actions if a.id == action_id), None)


@dataclass(frozen=True, kw_only=True)
class Customer:
    """Facts that gates read and figures that scores read; None = missing."""

    figures: dict[str, float | None]
    as_of: float
    consent: frozenset[str] | None = None
    blocked_topics: frozenset[str] | None = None
    touchpoint_score: float | None = None
    touchpoint_at: float | None = None
    time_zone: str | None = None
    history: History = History()


@dataclass(frozen=True, kw_only=True)
class Request:
    """The situation."""

    channel: str | None
    direction: str
    now: float
    placements: tuple[str, ...] = ()
    """Each can show one action; in order of preference."""
    role: str | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """State: successes and failures by (action, stage), prices by stage, price of contact."""

    outcomes: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    prices: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    contact_price: float = 0.0


@dataclass(frozen=True)
class Answers:
    """What conditions and expressions come to for this customer in this situation."""

    value: Callable[[Hashable], bool | float | None]
    """True, False or a number; None = unknown."""

    def holds(self, key):
        """Whether the condition is TRUE: unknown is not."""
        return self.value(key) is True
