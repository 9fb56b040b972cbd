"""The strategy as compiled: what stands above all rules, and how value is counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from nextbest.model import F64


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
