"""What a lifetime value fit leaves behind: plain, immutable, and all that an artifact must hold."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np

from nextbest.errors import ArtifactError
from nextbest.model import F64

STEP_WEEKS = 4.0
"""Default Δ, weeks between two discounting steps."""
STEPS = 39
"""Default K, steps to the horizon: 39 × 4 weeks are three years."""
YEARLY_DISCOUNT = 0.10
"""Default d."""


def _require_positive(model: str, values: Mapping[str, float]) -> None:
    for name, value in values.items():
        if not 0.0 < value < math.inf:
            raise ValueError(f"{model} parameter {name} must be positive and finite, not `{value}`")


@dataclass(frozen=True, slots=True)
class BgNbd:
    """Purchases and dropout (Fader, Hardie & Lee 2005), time in weeks."""

    r: float
    """Shape of the purchase rate over customers."""
    alpha: float
    """Scale of the purchase rate, weeks."""
    a: float
    """Dropout after a purchase ~ Beta(a, b)."""
    b: float

    def __post_init__(self) -> None:
        _require_positive("BG/NBD", asdict(self))

    def to_array(self) -> F64:
        """r, α, a, b as kernels read them: (4,)."""
        return np.array([self.r, self.alpha, self.a, self.b])


@dataclass(frozen=True, slots=True)
class GammaGamma:
    """Value of a purchase (Fader & Hardie 2013), money."""

    p: float
    """Shape of a purchase's value around the customer's mean."""
    q: float
    """Shape of the means' spread; q ≤ 1 means an infinite mean over customers."""
    v: float
    """Scale of the means' spread, money."""

    def __post_init__(self) -> None:
        _require_positive("Gamma-Gamma", asdict(self))

    def to_array(self) -> F64:
        """p, q, v as kernels read them: (3,)."""
        return np.array([self.p, self.q, self.v])


@dataclass(frozen=True, slots=True)
class LtvParameters:
    """Everything lifetime value needs, and what must be known to trust it."""

    bgnbd: BgNbd
    gamma_gamma: GammaGamma
    margin: float
    """Share of revenue that is margin, where a customer's own is unknown."""
    yearly_discount: float
    """d, at least 0."""
    step_weeks: float
    """Δ, weeks."""
    steps: int
    """K; the horizon is K·Δ weeks."""
    standard_errors: Mapping[str, float | None]
    """By parameter name (r, alpha, a, b, p, q, v); None where the fit cannot tell."""
    log_likelihood: float
    """ln L of BG/NBD, without the penalty."""
    gamma_gamma_log_likelihood: float
    """ln L of Gamma-Gamma."""
    penalised: bool
    """The BG/NBD fit without penalty ran to a bound or was not identified."""
    n: int
    """Customers in the fit."""
    n_repeat: int
    """Of these with a repeat purchase of known positive value: what Gamma-Gamma was fitted on."""
    frequency_top_quartile: float
    """75 % quantile of x/T in the fit, purchases a week; for false loyalty."""
    warnings: Sequence[str]
    """What a reader must know before trusting the figures."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.margin <= 1.0:
            raise ValueError(f"margin must be a share in [0, 1], not `{self.margin}`")
        if not 0.0 <= self.yearly_discount < math.inf:
            raise ValueError(f"yearly discount must be at least 0, not `{self.yearly_discount}`")
        if not (0.0 < self.step_weeks < math.inf and self.steps >= 1):
            raise ValueError(
                f"the horizon must be at least one step, not `{self.steps}` × `{self.step_weeks}`"
            )

    @property
    def horizon_years(self) -> float:
        """Years that the lifetime value covers; contract customers are valued over the same."""
        return self.steps * self.step_weeks / 52.0

    def to_array(self) -> F64:
        """r, α, a, b, p, q, v, d, Δ, K as `ltv_rows` reads them: (10,)."""
        tail = np.array([self.yearly_discount, self.step_weeks, float(self.steps)])
        return np.concatenate([self.bgnbd.to_array(), self.gamma_gamma.to_array(), tail])

    def to_dict(self) -> dict[str, object]:
        """JSON-able values only; `from_dict` gives an equal object back."""
        content: dict[str, object] = asdict(self)
        content["standard_errors"] = dict(self.standard_errors)
        content["warnings"] = list(self.warnings)
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, object]) -> "LtvParameters":
        """Read what `to_dict` wrote.

        Raises:
            ArtifactError: a field is missing, unknown, or out of its range.

        """
        try:
            values = dict(content)
            bgnbd = BgNbd(**cast("dict[str, float]", values.pop("bgnbd")))
            gamma_gamma = GammaGamma(**cast("dict[str, float]", values.pop("gamma_gamma")))
            values["standard_errors"] = dict(cast("Mapping[str, float | None]", values["standard_errors"]))
            values["warnings"] = tuple(cast("Sequence[str]", values["warnings"]))
            return cls(bgnbd=bgnbd, gamma_gamma=gamma_gamma, **values)  # pyright: ignore[reportArgumentType]  (from JSON)
        except KeyError as error:
            raise ArtifactError(f"LTV parameters lack the field `{error.args[0]}`") from error
        except (TypeError, ValueError) as error:
            raise ArtifactError(f"LTV parameters cannot be read: {error}") from error
