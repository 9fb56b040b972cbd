"""The mix of what a population is recommended first: actions, parameters of effort, and rewards.

Each customer counts once. The strategy may ask for least shares of kinds of reward by stage; what falls
short of them is named.

Source: domain model, section 12.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from nextbest.assembly import Model
from nextbest.batch.fitting import Progress
from nextbest.batch.operations import no_progress
from nextbest.batch.portraits import known_customers
from nextbest.batch.recommendations import Scenario, first_recommendations
from nextbest.data.store import Store
from nextbest.facts import STAGE_NAMES, Figure
from nextbest.figures import figures_of
from nextbest.model import F64, I32, I64, DesiredAction
from nextbest.rulebook.balance import PARAMETER_OF, PARAMETERS, REWARD_KINDS, reward_kind
from nextbest.rulebook.rulebook import Rulebook
from nextbest.rulebook.strategy import RewardShare


@dataclass(frozen=True, slots=True)
class RewardCheck:
    """A least share of the strategy beside the share that came out."""

    stage: str
    kind: str
    """`monetary` or `emotional`, with the timing if the strategy names one."""
    at_least: float
    share: float | None
    """None = nobody in the stage is recommended a reward."""

    @property
    def is_met(self) -> bool | None:
        """Whether the share reaches what is asked; None where there is nothing to share."""
        return None if self.share is None else self.share >= self.at_least - 1e-12


@dataclass(frozen=True, slots=True)
class MixReport:
    """What a population is recommended first, counted."""

    scenario: str
    customers: int
    idle: int
    """Customers for whom doing nothing is best."""
    desired: Mapping[str, int]
    parameters: Mapping[str, int]
    rewards: Mapping[str, Mapping[str, int]]
    """By stage and kind of reward."""
    checks: tuple[RewardCheck, ...]

    def document(self) -> Mapping[str, object]:
        """As plain JSON."""
        return asdict(self)


class Mix:
    """Counts recommendations batch by batch."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._rulebook = rulebook
        self._count = np.zeros((len(STAGE_NAMES), len(rulebook.actions)), np.int64)
        self._customers = 0

    def add(self, stage: F64, action: I32) -> None:
        """Add n customers: (n,) stage, (n,) action recommended first, -1 = none."""
        self._customers += len(stage)
        some = action >= 0
        np.add.at(self._count, (stage[some].astype(np.int64), action[some]), 1)

    def report(self, scenario: str) -> MixReport:
        """What came of it."""
        rulebook, by_action = self._rulebook, self._count.sum(axis=0)
        desired = {str(d): 0 for d in DesiredAction if d is not DesiredAction.DO_NOTHING}
        parameters = dict.fromkeys(PARAMETERS, 0)
        for action, count in zip(rulebook.actions, by_action.tolist(), strict=True):
            desired[str(action.desired_action)] += count
            parameters[PARAMETER_OF[DesiredAction(action.desired_action)]] += count
        rewards = {name: self._rewards(self._count[stage]) for stage, name in enumerate(STAGE_NAMES)}
        return MixReport(
            scenario=scenario,
            customers=self._customers,
            idle=self._customers - int(by_action.sum()),
            desired=desired,
            parameters=parameters,
            rewards=rewards,
            checks=tuple(
                _check(wanted, rewards[STAGE_NAMES[wanted.stage]])
                for wanted in rulebook.strategy.reward_shares
            ),
        )

    def _rewards(self, counts: I64) -> Mapping[str, int]:
        """How often each kind of reward is recommended to a stage."""
        found = dict.fromkeys(REWARD_KINDS, 0)
        for action, count in zip(self._rulebook.actions, counts.tolist(), strict=True):
            if action.reward:
                found[reward_kind(action.reward)] += count
        return found


def _check(wanted: RewardShare, found: Mapping[str, int]) -> RewardCheck:
    kind = f"{wanted.timing} {wanted.type}".strip()
    total = sum(found.values())
    some = sum(count for name, count in found.items() if name.endswith(kind))
    return RewardCheck(STAGE_NAMES[wanted.stage], kind, wanted.at_least, some / total if total else None)


async def mix_of(
    store: Store, model: Model, over: Scenario, *, now: float, progress: Progress = no_progress
) -> MixReport:
    """Count what all stored customers are recommended first; nothing is written.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    mix = Mix(model.rulebook)
    async for known in known_customers(store, model, now):
        rows = known.batch.rows
        first = first_recommendations(model, rows, known.histories, known.now, over)
        mix.add(figures_of(model, rows, known.now)[:, Figure.STAGE], first.action)
        progress(len(rows))
    return mix.report(over.text)
