"""What a rulebook's actions are for: counts that show where it leans, and what nobody thought of.

Source: domain model, section 12.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, get_args

from nextbest.facts import STAGE_NAMES
from nextbest.model import DesiredAction
from nextbest.rulebook.actions import Action, Reward
from nextbest.rulebook.documents.actions import Capability
from nextbest.rulebook.rulebook import Rulebook

PARAMETERS: Final[tuple[str, ...]] = (
    "information",
    "communication",
    "distribution",
    "service",
    "transaction",
)
"""The five parameters of a company's effort."""

PARAMETER_OF: Final[Mapping[DesiredAction, str]] = {
    DesiredAction.UP_SELL: "transaction",
    DesiredAction.CROSS_SELL: "transaction",
    DesiredAction.TRANSACTION: "transaction",
    DesiredAction.COMMUNICATION: "communication",
    DesiredAction.INTERACTION: "communication",
    DesiredAction.LISTEN: "communication",
    DesiredAction.COLLECT_INFORMATION: "communication",
    DesiredAction.CO_CREATE: "communication",
    DesiredAction.INFORMATION: "information",
    DesiredAction.SERVICE: "service",
    DesiredAction.REPAIR: "service",
    DesiredAction.DISTRIBUTION: "distribution",
}
"""The parameter each desired action is counted under."""

REWARD_KINDS: Final[tuple[str, ...]] = tuple(
    f"{timing} {kind}" for kind in ("monetary", "emotional") for timing in ("immediate", "saved")
)
"""The four kinds of reward."""


def reward_kind(reward: Reward) -> str:
    """The name of a reward's kind, one of `REWARD_KINDS`."""
    return f"{reward.timing} {reward.type}"


@dataclass(frozen=True, slots=True)
class Balance:
    """Counts of actions; every closed list is named in full, so that a zero shows."""

    actions: int
    desired: Mapping[str, int]
    """By desired action."""
    parameters: Mapping[str, int]
    """By `PARAMETERS`."""
    capabilities: Mapping[str, int]
    """By capability tag; an action may have several or none."""
    rewards: Mapping[str, Mapping[str, int]]
    """By stage and `REWARD_KINDS`: actions open to the stage that give the reward."""

    @property
    def idle_parameters(self) -> tuple[str, ...]:
        """Parameters that no action works with."""
        return tuple(name for name, count in self.parameters.items() if count == 0)


def balance_of(rulebook: Rulebook) -> Balance:
    """Count a rulebook's actions."""
    actions = rulebook.actions
    desired = [DesiredAction(action.desired_action) for action in actions]
    return Balance(
        actions=len(actions),
        desired=_counts(desired, (d for d in DesiredAction if d is not DesiredAction.DO_NOTHING)),
        parameters=_counts((PARAMETER_OF[d] for d in desired), PARAMETERS),
        capabilities=_counts((tag for action in actions for tag in action.tags), get_args(Capability)),
        rewards={
            stage: _counts(_rewards(rulebook, place), REWARD_KINDS) for place, stage in enumerate(STAGE_NAMES)
        },
    )


def _rewards(rulebook: Rulebook, stage: int) -> Iterable[str]:
    """Kinds of the rewards open to a stage."""
    open_to = rulebook.action_tables.stages
    rewarded: Iterable[tuple[int, Action]] = enumerate(rulebook.actions)
    return (reward_kind(a.reward) for i, a in rewarded if a.reward and int(open_to[i]) >> stage & 1)


def _counts(found: Iterable[str], names: Iterable[str]) -> Mapping[str, int]:
    """How often each name is found, also those that are not."""
    counted = Counter(str(name) for name in found)
    return {str(name): counted[str(name)] for name in names}
