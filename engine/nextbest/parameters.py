"""The constants of domain sections 6 and 7, by name: rule files set them, kernels read one array.

The numbers of section 6 stand in no code: a rulebook's `stages.yaml` has them, and the package's own holds
for what it leaves out. A leaf below the rulebook, so that the compiler can check them without the kernels.
"""

import enum
import math
from collections.abc import Iterable, Mapping
from enum import IntEnum
from importlib import resources
from itertools import pairwise
from typing import Self

import numpy as np
import yaml

from nextbest.model import F64

DEFAULT_MODEL = "templates/minimal/stages.yaml"
"""The stage model in numbers, a rule file of the package: what new rulebooks begin with."""


def _default_model() -> Mapping[str, float]:
    text = (resources.files("nextbest") / DEFAULT_MODEL).read_text(encoding="utf-8")
    return {name: float(value) for name, value in yaml.safe_load(text).items()}


_DEFAULTS = _default_model()


class StageParameter(IntEnum):
    """Every constant of index, ladder and stage (domain model, section 6), numbered as declared."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[int]) -> int:
        del name, start, last_values
        return count

    @property
    def default(self) -> float:
        """What `DEFAULT_MODEL` says, for rulebooks that say nothing."""
        return _DEFAULTS[self.name.lower()]

    RELATION_WEIGHT = enum.auto()
    """Weight of a relation NPS given just now; it halves every ..."""
    RELATION_HALF_LIFE_DAYS = enum.auto()
    RELATION_NEUTRAL = enum.auto()
    """The NPS that counts 0 ..."""
    RELATION_SPAN = enum.auto()
    """... and how far from it ±1 is reached."""
    SATISFACTION_WEIGHT = enum.auto()
    SATISFACTION_NEUTRAL = enum.auto()
    SATISFACTION_SPAN = enum.auto()
    WALLET_WEIGHT = enum.auto()
    ADVOCACY_WEIGHT = enum.auto()
    NEGATIVE_MENTION_FACTOR = enum.auto()
    """Positive mentions that one negative outweighs, here and in damage control."""
    ADVOCACY_SPAN = enum.auto()
    ALIVE_WEIGHT = enum.auto()
    TENURE_WEIGHT = enum.auto()
    TENURE_SPAN_YEARS = enum.auto()
    COMPLAINT_WEIGHT = enum.auto()
    COMPLAINT_WORST_SEVERITY = enum.auto()
    COMPLAINT_CLOSED_FACTOR = enum.auto()
    """What is left of a complaint that is not open; its effect halves every ..."""
    COMPLAINT_HALF_LIFE_DAYS = enum.auto()
    LEAST_DIVISOR = enum.auto()
    """The index divides by at least this, so that few answers do not make extremes."""
    LEAST_WEIGHT = enum.auto()
    """Below this sum of weights the index is missing."""
    WIN_BACK_FROM = enum.auto()
    """Least index of ladder level -2; below it is -3, and so on up the ladder."""
    ACTIVATION_FROM = enum.auto()
    NEW_FROM = enum.auto()
    DEVELOPMENT_FROM = enum.auto()
    KEEP_FROM = enum.auto()
    AMBASSADOR_FROM = enum.auto()
    EVANGELIST_FROM = enum.auto()
    FORGIVE_SEVERITY = enum.auto()
    """An open complaint at least so severe is a case for Forgive me ..."""
    FORGIVE_NPS = enum.auto()
    """... or a relation NPS at most so high ..."""
    FORGIVE_NPS_DAYS = enum.auto()
    """... and younger than this ..."""
    FORGIVE_ALIVE = enum.auto()
    """... or a buyer whose P(alive) is below this ..."""
    FORGIVE_LEVEL = enum.auto()
    """... or a ladder level at most so high."""
    KNOW_TENURE_DAYS = enum.auto()
    KNOW_COMPLETENESS = enum.auto()
    GROW_INDEX = enum.auto()
    GROW_WALLET = enum.auto()
    GROW_ALIVE = enum.auto()
    FALSE_WALLET = enum.auto()
    FALSE_FREQUENCY_QUANTILE = enum.auto()
    """The top quartile of frequency starts here."""
    FALSE_SATISFACTION = enum.auto()
    FALSE_DISCOUNT_SHARE = enum.auto()
    ACTION_WALLET = enum.auto()
    ACTION_INDEX = enum.auto()
    UP_DAYS = enum.auto()
    """Two qualifying evaluations at least so far apart lift a customer one stage."""
    KEEP_GROW_INDEX = enum.auto()
    FORGIVEN_NPS = enum.auto()


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
