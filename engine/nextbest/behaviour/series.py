"""Series of periods: every period that is complete is taken once, whoever writes the snapshot, and when.

A snapshot says what the latest periods held (`period_1` is the one completed last), the stored row what
was made of those before. What lies between is taken in order, so that one snapshot after three weeks
moves a detector as three snapshots do.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from nextbest.behaviour.detectors import (
    BaselineInput,
    BaselineUpdate,
    advance_baselines,
    fresh_states,
)
from nextbest.model import F64, I64, Bools
from nextbest.rulebook.watching import Series
from nextbest.standard_facts import PERIODS

FORGOTTEN_PERIODS = 104
"""After a longer gap than this nothing is known of what is usual: the detector starts afresh."""
_RING = slice(int(BaselineInput.PERIOD_1), int(BaselineInput.PERIOD_1) + PERIODS)


class SeriesState(NamedTuple):
    """A series of n customers as their rows hold it."""

    baseline: F64
    """(n, state) in the order of `detectors.BASELINE_FACTS`, NaN = missing."""
    until: F64
    """(n,) end of the latest period taken, epoch seconds; NaN = none was."""


class PeriodTaken(NamedTuple):
    """One completed period of those customers for whom it was new."""

    end: F64
    """(n,) epoch seconds; NaN = this customer had none to take."""
    alarm: I64
    """(n,) -1 a drop, 1 a rise, 0 none."""
    evidence: F64
    """(n, evidence) of `detectors.Evidence`; NaN where there was none to take, or the detector is off."""


class SeriesAdvance:
    """Takes the completed periods of n customers into the state of a series."""

    def __init__(
        self, series: Series, old: SeriesState, old_time: F64, given: SeriesState, time: F64
    ) -> None:
        """Nothing is taken before `periods` is gone through.

        Args:
            series: what a period is, and its floors.
            old: as stored; all missing where there is no row.
            old_time: (n,) of the stored snapshot.
            given: what the new snapshot says of the series. Its periods end at its `until`, or else at
                the latest that is complete. Its baseline counts if it goes further than the stored one.
            time: (n,) up to which periods are complete.
        """
        self._series, self._ring = series, given.baseline[:, _RING]
        self._end = series.completed_until(time)
        self._ring_end = np.where(np.isnan(given.until), self._end, np.fmin(given.until, self._end))
        known, stated = _goes_until(old, series.completed_until(old_time)), _goes_until(given, self._ring_end)
        further = np.isfinite(stated) & (_has_baseline(given)) & (np.isnan(known) | (stated > known))
        self.state: F64 = np.where(further[:, np.newaxis], given.baseline, old.baseline)
        """(n, state) so far."""
        self.until: F64 = np.where(further, stated, known)
        """(n,) end of the latest period in it."""
        gap = np.floor((self._end - self.until) / series.period_s + 1e-6)
        told = np.isfinite(self._ring).any(axis=1)
        self._is_new: Bools = (np.isnan(self.until) & told) | (gap > FORGOTTEN_PERIODS)
        self._steps = np.where(self._is_new, float(PERIODS), np.where(gap > 0, gap, 0.0))

    def periods(self) -> Iterator[PeriodTaken]:
        """Take one period after the other, the oldest first."""
        self.state = np.where(self._is_new[:, np.newaxis], fresh_states(len(self.state)), self.state)
        # What was before the first known period of somebody new is no zero.
        has_begun = ~self._is_new
        for back in range(int(self._steps.max(initial=0.0)) - 1, -1, -1):
            due = self._steps > back
            end = np.where(due, self._end - back * self._series.period_s, np.nan)
            y = self._told_of(end)
            has_begun |= np.isfinite(y)
            if self._series.counts_zero:
                y = np.where(np.isfinite(y) | ~has_begun, y, 0.0)
            update = advance_baselines(self.state, y, self._series.parameters)
            self.state = np.where(due[:, np.newaxis], update.state, self.state)
            self.until = np.where(due, end, self.until)
            yield _taken(due, end, update)

    def _told_of(self, end: F64) -> F64:
        """(n,) what the snapshot says of the period that ended then."""
        place = np.rint((self._ring_end - end) / self._series.period_s)
        told = (place >= 0) & (place < PERIODS)
        column = np.where(told, place, 0.0).astype(np.int64)
        values = np.take_along_axis(self._ring, column[:, np.newaxis], axis=1)[:, 0]
        return np.where(told, values, np.nan)


def _taken(due: Bools, end: F64, update: BaselineUpdate) -> PeriodTaken:
    evidence = np.where(due[:, np.newaxis], update.evidence, np.nan)
    return PeriodTaken(end, np.where(due, update.alarm, 0), evidence)


def _has_baseline(state: SeriesState) -> Bools:
    return state.baseline[:, BaselineInput.BASELINE_N] >= 1.0


def _goes_until(state: SeriesState, completed: F64) -> F64:
    """Until when a state goes; a baseline that does not say so goes as far as periods are complete."""
    return np.where(np.isfinite(state.until), state.until, np.where(_has_baseline(state), completed, np.nan))
