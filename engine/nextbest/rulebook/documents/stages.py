"""stages.yaml: the thresholds of loyalty index, ladder and stages (domain model, section 6)."""

from typing import Any

from pydantic import Field, create_model

from nextbest.parameters import StageParameter
from nextbest.rulebook.documents.common import Document

DESCRIPTIONS: dict[StageParameter, str] = {
    StageParameter.RELATION_WEIGHT: "Weight of a relation NPS given just now.",
    StageParameter.RELATION_HALF_LIFE_DAYS: "Days in which that weight halves.",
    StageParameter.RELATION_NEUTRAL: "Relation NPS that counts 0.",
    StageParameter.RELATION_SPAN: "How far from the neutral NPS ±1 is reached.",
    StageParameter.SATISFACTION_WEIGHT: "Weight of the satisfaction index.",
    StageParameter.SATISFACTION_NEUTRAL: "Satisfaction that counts 0.",
    StageParameter.SATISFACTION_SPAN: "How far from the neutral satisfaction ±1 is reached.",
    StageParameter.WALLET_WEIGHT: "Weight of the share of wallet.",
    StageParameter.ADVOCACY_WEIGHT: "Weight of positive and negative mentions.",
    StageParameter.NEGATIVE_MENTION_FACTOR: "Positive mentions that one negative outweighs.",
    StageParameter.ADVOCACY_SPAN: "Net mentions at which advocacy nears its bound.",
    StageParameter.ALIVE_WEIGHT: "Weight of the probability that the customer still buys.",
    StageParameter.TENURE_WEIGHT: "Weight of tenure.",
    StageParameter.TENURE_SPAN_YEARS: "Years over which tenure gains its weight.",
    StageParameter.COMPLAINT_WEIGHT: "Weight of a complaint.",
    StageParameter.COMPLAINT_WORST_SEVERITY: "Severity of the gravest complaint.",
    StageParameter.COMPLAINT_CLOSED_FACTOR: "What is left of a complaint that is closed.",
    StageParameter.COMPLAINT_HALF_LIFE_DAYS: "Days in which a complaint's effect halves.",
    StageParameter.LEAST_DIVISOR: "The index divides by at least this sum of weights.",
    StageParameter.LEAST_WEIGHT: "Below this sum of weights the index is missing.",
    StageParameter.WIN_BACK_FROM: "Least index of ladder level −2, win-back.",
    StageParameter.ACTIVATION_FROM: "Least index of ladder level −1, activation.",
    StageParameter.NEW_FROM: "Least index of ladder level 0, new or existing.",
    StageParameter.DEVELOPMENT_FROM: "Least index of ladder level 1, development.",
    StageParameter.KEEP_FROM: "Least index of ladder level 2, keep.",
    StageParameter.AMBASSADOR_FROM: "Least index of ladder level 3, ambassador.",
    StageParameter.EVANGELIST_FROM: "Least index of ladder level 4, evangelist.",
    StageParameter.FORGIVE_SEVERITY: "An open complaint at least so severe is a case for Forgive me.",
    StageParameter.FORGIVE_NPS: "So is a relation NPS at most so high ...",
    StageParameter.FORGIVE_NPS_DAYS: "... and younger than so many days.",
    StageParameter.FORGIVE_ALIVE: "So is a buyer who is less likely than this to buy again.",
    StageParameter.FORGIVE_LEVEL: "So is a ladder level at most so high.",
    StageParameter.KNOW_TENURE_DAYS: "Customers for fewer days are in Know me.",
    StageParameter.KNOW_COMPLETENESS: "So are those of whom less than this share of required facts is known.",
    StageParameter.GROW_INDEX: "Grow me needs an index at least so high ...",
    StageParameter.GROW_WALLET: "... a share of wallet at least so high ...",
    StageParameter.GROW_ALIVE: "... and at least this probability of buying again.",
    StageParameter.FALSE_WALLET: "False loyalty: share of wallet at least so high ...",
    StageParameter.FALSE_FREQUENCY_QUANTILE: "... or frequency above this quantile ...",
    StageParameter.FALSE_SATISFACTION: "... and satisfaction below this ...",
    StageParameter.FALSE_DISCOUNT_SHARE: "... or at least this share bought on discount.",
    StageParameter.ACTION_WALLET: "Action loyal: share of wallet at least so high ...",
    StageParameter.ACTION_INDEX: "... and index at least so high.",
    StageParameter.UP_DAYS: "Days between two qualifying evaluations that lift a customer one stage.",
    StageParameter.KEEP_GROW_INDEX: "Index below which a customer leaves Grow me.",
    StageParameter.FORGIVEN_NPS: "Relation NPS that ends Forgive me.",
}
"""What each constant means, for the schema and the reference."""


def _fields() -> dict[str, Any]:
    return {
        parameter.name.lower(): (float, Field(default=parameter.default, description=description))
        for parameter, description in DESCRIPTIONS.items()
    }


class StageConstants(Document):
    """Base of the constants; its subclass holds one field per `StageParameter`."""

    def numbers(self) -> dict[str, float]:
        """The constants by name, in the order of the kernels' array."""
        return {
            parameter.name.lower(): float(getattr(self, parameter.name.lower()))
            for parameter in StageParameter
        }


StagesFile: type[StageConstants] = create_model(
    "StagesFile",
    __base__=StageConstants,
    __doc__="Thresholds of loyalty index, ladder and stages; what is left out keeps the model's default.",
    **_fields(),
)
"""All of stages.yaml; every key is optional."""
