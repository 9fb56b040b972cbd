"""How often the detectors cry wolf: their alarms on noise that does not change."""

import math
from dataclasses import dataclass

import numpy as np

from nextbest.behaviour.detectors import fresh_states, scan_series
from nextbest.model import F64

_Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class FalseAlarmRate:
    """Alarms per watched period on stationary noise, with a 95 % interval over series."""

    alarms: int
    watched_periods: int
    """Periods in which the detector was on; it is off while it learns."""
    rate: float
    """Alarms per watched period, NaN when none was watched."""
    low: float
    high: float

    @property
    def periods_between(self) -> float:
        """Mean watched periods from one false alarm to the next; inf without any."""
        return 1.0 / self.rate if self.rate > 0 else math.inf

    def __str__(self) -> str:
        share = f"{self.rate:.4f} [{self.low:.4f}, {self.high:.4f}]"
        spacing = f"one in {self.periods_between:.1f} periods"
        return f"{share} false alarms a watched period, {spacing} ({self.watched_periods} watched)"


def false_alarm_rate(
    parameters: F64,
    *,
    n_series: int = 2000,
    n_periods: int = 104,
    mean: float = 100.0,
    deviation: float = 20.0,
    seed: int = 20170101,
) -> FalseAlarmRate:
    """Measure the detector on independent normal noise; the same seed gives the same figure.

    Args:
        parameters: (detector parameters,).
        n_series: customers simulated.
        n_periods: periods of each.
        mean: level of the noise, which never changes.
        deviation: its standard deviation.
        seed: of the noise.
    """
    noise = np.random.default_rng(seed).normal(mean, deviation, (n_series, n_periods))
    scan = scan_series(noise, fresh_states(n_series), parameters)
    return rate_over_series(np.count_nonzero(scan.alarm, axis=1), np.count_nonzero(~np.isnan(scan.z), axis=1))


def rate_over_series(alarms: np.ndarray, watched: np.ndarray) -> FalseAlarmRate:
    """Pool alarms over series; periods of one series hang together, so the series is the unit.

    Args:
        alarms: (series,) alarms in each.
        watched: (series,) periods in which its detector was on.
    """
    total, periods = int(alarms.sum()), int(watched.sum())
    if periods == 0:
        return FalseAlarmRate(0, 0, math.nan, math.nan, math.nan)
    rate = total / periods
    # Ratio estimator with series as clusters: Cochran, Sampling Techniques (1977), section 6.3.
    residual = alarms - rate * watched
    error = math.sqrt(float((residual**2).sum())) / periods
    return FalseAlarmRate(total, periods, rate, max(0.0, rate - _Z95 * error), rate + _Z95 * error)
