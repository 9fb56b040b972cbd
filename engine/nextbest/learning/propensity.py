"""Propensity models: logistic regression over named facts, held as plain arrays and scored by a kernel.

A model knows no catalogue and no campaign: facts are resolved to columns when it is put to use, and a
fact that is the same for everyone, such as the campaign's type, is bound to its value beforehand.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp, isfinite, log1p
from typing import cast

import numpy as np

from nextbest.errors import ArtifactError
from nextbest.kernels import kernel
from nextbest.model import F64, I64

LOG_UNIT, MEAN, SCALE, COEFFICIENT, FILL, MISSING_COEFFICIENT = range(6)
"""Columns of a model's table, one row a fact."""
TABLE_COLUMNS = ("log_unit", "mean", "scale", "coefficient", "fill", "missing_coefficient")
"""Their names, as they appear in an artifact."""
INTERCEPT, SLOPE, OFFSET = range(3)
"""Places in a model's constants."""
CONSTANTS = ("intercept", "calibration_slope", "calibration_offset")
"""Their names, as they appear in an artifact."""
LIMIT = 10.0
"""Standard deviations beyond which a fact counts no more: one absurd value must not decide alone."""
FORMAT = 1
"""Version of the artifact's fields."""


@kernel
def standardise(value: float, fact: F64) -> float:
    """Put one known value on the scale that its coefficient belongs to.

    Args:
        value: the fact in its own unit; not NaN, ±inf allowed.
        fact: (6,) row of a model's table. A positive log unit u means that a value enters as
            sign(v)·log(1 + |v|/u): money and counts are skew.

    Returns:
        Standard deviations from the mean, within ±`LIMIT`.

    Oracle: tests.naive.propensity.standardise
    """
    unit = fact[LOG_UNIT]
    if unit > 0.0:
        value = log1p(value / unit) if value >= 0.0 else -log1p(-value / unit)
    z = (value - fact[MEAN]) / fact[SCALE]
    return min(max(z, -LIMIT), LIMIT)


@kernel
def log_odds(row: F64, columns: I64, table: F64) -> float:
    """Sum what the facts add to one customer's log-odds, without intercept and calibration.

    Args:
        row: (c,) numbers of a snapshot, NaN = missing.
        columns: (k,) column of each fact, -1 = not in the catalogue, which is missing too.
        table: (k, 6) of a model.

    Oracle: tests.naive.propensity.log_odds
    """
    total = 0.0
    for k in range(len(columns)):
        fact = table[k]
        value = float(row[columns[k]]) if columns[k] >= 0 else np.nan
        if np.isnan(value):
            total += fact[MISSING_COEFFICIENT]
            value = float(fact[FILL])
        total += fact[COEFFICIENT] * standardise(value, fact)
    return total


@kernel
def calibrated(facts: float, constants: F64) -> float:
    """Turn a sum of log-odds into a probability in [0, 1], Platt's calibration applied.

    Oracle: tests.naive.propensity.calibrated
    """
    z = constants[SLOPE] * (constants[INTERCEPT] + facts) + constants[OFFSET]
    if z >= 0.0:
        return 1.0 / (1.0 + exp(-z))
    e = exp(z)
    return e / (1.0 + e)


@kernel
def propensity(row: F64, columns: I64, table: F64, constants: F64) -> float:
    """Score one customer; see `score_propensity`."""
    return calibrated(log_odds(row, columns, table), constants)


@kernel
def score_propensity(numbers: F64, columns: I64, table: F64, constants: F64) -> F64:
    """Give every customer's probability to accept.

    Args:
        numbers: (n, c) numbers of snapshots, NaN = missing.
        columns: (k,) column of each of the model's facts, -1 = absent.
        table: (k, 6) of the model.
        constants: (3,) of the model.

    Returns:
        (n,) probabilities; never NaN.

    Source: domain.md §9 (p); logistic regression, Platt (1999).
    Oracle: tests.naive.propensity.score
    """
    scores = np.empty(len(numbers))
    for i in range(len(numbers)):
        scores[i] = propensity(numbers[i], columns, table, constants)
    return scores


@dataclass(frozen=True, slots=True)
class PropensityModel:
    """A fitted, calibrated logistic regression; immutable, and independent of any catalogue."""

    id: str
    """Name by which rule files refer to it."""
    facts: tuple[str, ...]
    """Names of the k facts it reads."""
    table: F64
    """(k, 6), columns as `TABLE_COLUMNS`. Fill, in the fact's unit, stands in for a missing value."""
    constants: F64
    """(3,) as `CONSTANTS`."""
    trained_on: Mapping[str, object] = field(default_factory=dict[str, object])
    """What it was fitted on, for people to read: rows, positives, groups, dates, warnings."""

    def __post_init__(self) -> None:
        problems = _problems(self)
        if problems:
            raise ArtifactError(f"propensity model `{self.id}`: {'; '.join(problems)}")
        self.table.setflags(write=False)
        self.constants.setflags(write=False)

    def columns(self, columns: Mapping[str, int]) -> I64:
        """Resolve the model's facts to the columns of a catalogue.

        Raises:
            ArtifactError: the catalogue lacks a fact, or does not store it as a number.
        """
        absent = [f"`{name}`" for name in self.facts if columns.get(name, -1) < 0]
        if absent:
            raise ArtifactError(
                f"propensity model `{self.id}` reads {', '.join(absent)}: no numbers of the catalogue"
            )
        return np.array([columns[name] for name in self.facts], np.int64)

    def bind(self, model_id: str, values: Mapping[str, float]) -> "PropensityModel":
        """Fix facts at values that hold for every customer, such as the campaign's type.

        Returns:
            A model that reads the remaining facts and gives the same probabilities.

        Raises:
            ArtifactError: the model has no such fact.
        """
        unknown = [f"`{name}`" for name in values if name not in self.facts]
        if unknown:
            raise ArtifactError(f"propensity model `{self.id}` has no fact {', '.join(unknown)}")
        bound = np.array([name in values for name in self.facts], np.bool_)
        row = np.array([values.get(name, np.nan) for name in self.facts])[bound]
        constants = self.constants.copy()
        constants[INTERCEPT] += log_odds(row, np.arange(len(row)), self.table[bound])
        return replace(
            self,
            id=model_id,
            facts=tuple(name for name in self.facts if name not in values),
            table=self.table[~bound],
            constants=constants,
            trained_on={**self.trained_on, "bound": dict(values)},
        )

    def score(self, numbers: F64) -> F64:
        """Score (n, k) values that lie in the order of `facts`; NaN = missing."""
        return score_propensity(numbers, np.arange(len(self.facts)), self.table, self.constants)

    def to_dict(self) -> dict[str, object]:
        """The model as plain data, every number exact when written as JSON."""
        facts = [
            {"name": name, **dict(zip(TABLE_COLUMNS, map(float, row), strict=True))}
            for name, row in zip(self.facts, self.table, strict=True)
        ]
        return {
            "format": FORMAT,
            "id": self.id,
            "facts": facts,
            **dict(zip(CONSTANTS, map(float, self.constants), strict=True)),
            "trained_on": dict(self.trained_on),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, object]) -> "PropensityModel":
        """Read what `to_dict` wrote.

        Raises:
            ArtifactError: another format, a field that is absent or of the wrong type, or figures
                that make no model.
        """
        if document.get("format") != FORMAT:
            raise ArtifactError(f"a propensity model of format `{document.get('format')}` is not {FORMAT}")
        try:
            facts = cast("Sequence[Mapping[str, object]]", document["facts"])
            rows = [[_number(fact[column]) for column in TABLE_COLUMNS] for fact in facts]
            return cls(
                id=str(document["id"]),
                facts=tuple(str(fact["name"]) for fact in facts),
                table=np.array(rows, np.float64).reshape(len(rows), len(TABLE_COLUMNS)),
                constants=np.array([_number(document[name]) for name in CONSTANTS]),
                trained_on=cast("Mapping[str, object]", document.get("trained_on", {})),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"a propensity model is damaged: {error!r}") from error

    def to_json(self) -> str:
        """The artifact's text: keys sorted, so that equal models have equal digests."""
        return json.dumps(self.to_dict(), sort_keys=True, allow_nan=False)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"`{value}` is no number")
    return float(value)


def _problems(model: PropensityModel) -> list[str]:
    problems: list[str] = []
    if model.table.shape != (len(model.facts), len(TABLE_COLUMNS)) or model.constants.shape != (
        len(CONSTANTS),
    ):
        return ["its arrays do not fit its facts"]
    if len(set(model.facts)) != len(model.facts):
        problems.append("it names a fact twice")
    if not np.isfinite(model.table).all() or not all(map(isfinite, model.constants)):
        problems.append("a figure is not finite")
    if (model.table[:, SCALE] <= 0).any():
        problems.append("a scale is not above 0")
    if model.constants[SLOPE] < 0:
        problems.append("its calibration reverses the ranking")
    return problems
