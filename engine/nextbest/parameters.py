"""The constants of domain sections 6 and 7, by name: rule files set them, kernels read one array.

A leaf below the rulebook, so that the compiler can check `stages.yaml` without the kernels.
"""

import math
from collections.abc import Iterable, Mapping
from enum import IntEnum
from itertools import pairwise
from typing import Self

import numpy as np

from nextbest.model import F64


class Parameter(IntEnum):
    """A constant's place in its array; written `NAME = default`, numbered as declared."""

    default: float
    """What holds when the rule files say nothing."""

    def __new__(cls, default: float) -> Self:
        """Number the member in order of declaration, and keep its default."""
        code = len(cls.__members__)
        member = int.__new__(cls, code)
        member._value_ = code
        member.default = default
        return member


class StageParameter(Parameter):
    """Every constant of index, ladder and stage (domain model, section 6)."""

    RELATION_WEIGHT = 0.35
    """Weight of a relation NPS given just now; it halves every ..."""
    RELATION_HALF_LIFE_DAYS = 180.0
    RELATION_NEUTRAL = 7.0
    """The NPS that counts 0 ..."""
    RELATION_SPAN = 3.0
    """... and how far from it ±1 is reached."""
    SATISFACTION_WEIGHT = 0.20
    SATISFACTION_NEUTRAL = 60.0
    SATISFACTION_SPAN = 40.0
    WALLET_WEIGHT = 0.15
    ADVOCACY_WEIGHT = 0.10
    NEGATIVE_MENTION_FACTOR = 5.0
    """Positive mentions that one negative outweighs, here and in damage control."""
    ADVOCACY_SPAN = 5.0
    ALIVE_WEIGHT = 0.10
    TENURE_WEIGHT = 0.05
    TENURE_SPAN_YEARS = 3.0
    COMPLAINT_WEIGHT = 0.05
    COMPLAINT_WORST_SEVERITY = 3.0
    COMPLAINT_CLOSED_FACTOR = 0.4
    """What is left of a complaint that is not open; its effect halves every ..."""
    COMPLAINT_HALF_LIFE_DAYS = 90.0
    LEAST_DIVISOR = 0.6
    """The index divides by at least this, so that few answers do not make extremes."""
    LEAST_WEIGHT = 0.3
    """Below this sum of weights the index is missing."""
    WIN_BACK_FROM = -0.6
    """Least index of ladder level -2; below it is -3, and so on up the ladder."""
    ACTIVATION_FROM = -0.3
    NEW_FROM = -0.1
    DEVELOPMENT_FROM = 0.2
    KEEP_FROM = 0.4
    AMBASSADOR_FROM = 0.6
    EVANGELIST_FROM = 0.8
    FORGIVE_SEVERITY = 2.0
    """An open complaint at least so severe is a case for Forgive me ..."""
    FORGIVE_NPS = 3.0
    """... or a relation NPS at most so high ..."""
    FORGIVE_NPS_DAYS = 180.0
    """... and younger than this ..."""
    FORGIVE_ALIVE = 0.2
    """... or a buyer whose P(alive) is below this ..."""
    FORGIVE_LEVEL = -2.0
    """... or a ladder level at most so high."""
    KNOW_TENURE_DAYS = 90.0
    KNOW_COMPLETENESS = 0.5
    GROW_INDEX = 0.5
    GROW_WALLET = 0.6
    GROW_ALIVE = 0.8
    FALSE_WALLET = 0.6
    FALSE_FREQUENCY_QUANTILE = 0.75
    """The top quartile of frequency starts here."""
    FALSE_SATISFACTION = 50.0
    FALSE_DISCOUNT_SHARE = 0.5
    ACTION_WALLET = 0.95
    ACTION_INDEX = 0.5
    UP_DAYS = 30.0
    """Two qualifying evaluations at least so far apart lift a customer one stage."""
    KEEP_GROW_INDEX = 0.45
    FORGIVEN_NPS = 7.0


class DetectorParameter(Parameter):
    """Every constant of the behaviour detectors (domain model, section 7), per series."""

    EWMA_RATE = 0.2
    RELATIVE_DEVIATION_FLOOR = 0.05
    """The standard deviation is at least this share of the mean ..."""
    VARIANCE_FLOOR = 1.0
    """... and the variance at least this, in squared units of the series."""
    CUSUM_SLACK = 0.5
    CUSUM_LIMIT = 4.0
    Z_CLIP = 4.0
    OUTLIER_Z = 3.0
    """A period further off than this does not move the baseline."""
    LEARNING_PERIODS = 6.0
    """Periods from which a baseline is learnt at the start and after an alarm."""
    MAD_SCALE = 1.4826
    RELATIVE_MAD_FLOOR = 0.05
    MAD_FLOOR = 1.0
    """Absolute floor of the median absolute deviation, in units of the series."""
    SILENT_DAYS = 90.0
    """A drop is silent when no complaint came in the last so many days."""


STAGE_PARAMETERS: tuple[tuple[str, float], ...] = tuple((p.name.lower(), p.default) for p in StageParameter)
"""Name and default of each constant of section 6, in the order of the kernels' array."""
DETECTOR_PARAMETERS: tuple[tuple[str, float], ...] = tuple(
    (p.name.lower(), p.default) for p in DetectorParameter
)
"""Name and default of each constant of section 7, in the order of the kernels' array."""

_LADDER = (
    StageParameter.WIN_BACK_FROM,
    StageParameter.ACTIVATION_FROM,
    StageParameter.NEW_FROM,
    StageParameter.DEVELOPMENT_FROM,
    StageParameter.KEEP_FROM,
    StageParameter.AMBASSADOR_FROM,
    StageParameter.EVANGELIST_FROM,
)
_POSITIVE = ("_half_life_days", "_span", "_span_years", "_worst_severity", "least_divisor")
_NOT_NEGATIVE = ("_weight", "_factor", "_days")
_SHARES = ("_quantile", "_wallet", "_completeness", "_alive", "_share")


def default_stage_parameters() -> F64:
    """Section 6 as published, for rulebooks that change nothing."""
    return np.array([default for _, default in STAGE_PARAMETERS])


def default_detector_parameters() -> F64:
    """Section 7 as published, with floors of one unit of the series."""
    return np.array([default for _, default in DETECTOR_PARAMETERS])


def detector_parameters(*, variance_floor: float, mad_floor: float) -> F64:
    """Section 7 for a series with absolute floors of its own.

    Args:
        variance_floor: in squared units of the series.
        mad_floor: in its units.
    """
    parameters = default_detector_parameters()
    parameters[DetectorParameter.VARIANCE_FLOOR] = variance_floor
    parameters[DetectorParameter.MAD_FLOOR] = mad_floor
    parameters.setflags(write=False)
    return parameters


def stage_parameter_problems(numbers: Mapping[str, float]) -> list[tuple[str, str]]:
    """What is wrong with the constants a rulebook sets, as (name, problem); empty if they are sound.

    Args:
        numbers: constants by name; those left out keep their default.
    """
    known = dict(STAGE_PARAMETERS)
    unknown = [(name, f"`{name}` is no stage parameter") for name in numbers if name not in known]
    given = {name: value for name, value in numbers.items() if name in known}
    ranges = [(name, problem) for name, value in given.items() if (problem := _range_problem(name, value))]
    return unknown + ranges + list(_order_problems(known | given))


def _range_problem(name: str, value: float) -> str:
    if not math.isfinite(value):
        return f"`{value}` is not a finite number"
    if name.endswith(_POSITIVE) and value <= 0:
        return f"`{value}` must be above 0"
    if name.endswith(_NOT_NEGATIVE) and value < 0:
        return f"`{value}` must not be below 0"
    if name.endswith(_SHARES) and not 0 <= value <= 1:
        return f"`{value}` must be between 0 and 1"
    return ""


def _order_problems(numbers: Mapping[str, float]) -> Iterable[tuple[str, str]]:
    names = [bound.name.lower() for bound in _LADDER]
    for lower, upper in pairwise(names):
        if not numbers[lower] < numbers[upper]:
            yield upper, f"`{numbers[upper]}` must be above `{lower}`, which is {numbers[lower]}"
    if numbers["keep_grow_index"] > numbers["grow_index"]:
        yield "keep_grow_index", f"`{numbers['keep_grow_index']}` must not be above `grow_index`"
