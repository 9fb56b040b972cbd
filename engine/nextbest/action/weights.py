"""Which of the strategy's weights a customer's gain is weighed by, said for people; kernels ask `score`."""

from nextbest.facts import STAGE_NAMES, Figure
from nextbest.model import F64, Stage
from nextbest.rulebook.strategy import Strategy

REACHED = "reached"
"""Where the profit potential is reached: the goal is to keep."""
WEIGHT_NAMES = (*STAGE_NAMES, REACHED)
"""Keys of `stages` in strategy.yaml, by the rows of the action kernels' `Tables.stages`."""


def weight_name(figures: F64) -> str:
    """Name the weight of one customer, by the (Figure,) figures of a decision.

    Oracle: the kernel, tests/unit/test_score.py.
    """
    stage = int(figures[Figure.STAGE])
    keeping = figures[Figure.PROFIT_REACHED] == 1.0 and stage != Stage.FORGIVE_ME
    return REACHED if keeping else STAGE_NAMES[stage]


def weight_named(strategy: Strategy, name: str) -> float:
    """Give λ by its name."""
    row = WEIGHT_NAMES.index(name)
    return strategy.reached_weight if row == len(Stage) else float(strategy.customer_weight[row])
