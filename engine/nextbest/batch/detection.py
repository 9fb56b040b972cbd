"""What a new snapshot says of behaviour: series moved, changes found, triggers fired with their evidence.

Run by whoever writes a snapshot, on the stored row and the new one, and written with it in one step; a
decision only reads the facts that say when a trigger fired (design, decision 6).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from nextbest.assembly import Model
from nextbest.behaviour.changes import CHANGES, change_tables, changes, number_changes
from nextbest.behaviour.detectors import Evidence, fire, silent_drops
from nextbest.behaviour.overdue import OVERDUE_BELOW, count_at_least_rows, count_at_most_rows
from nextbest.behaviour.series import PeriodTaken, SeriesAdvance, SeriesState
from nextbest.facts import Catalogue, FactType, Figure
from nextbest.figures import figures_of, flag_fact
from nextbest.model import F64, I64, U8, Rows
from nextbest.parameters import DetectorParameter, default_detector_parameters
from nextbest.rulebook.rulebook import Rulebook, Trigger
from nextbest.rulebook.watching import Series, Watch

_EVIDENCE: Mapping[str, Evidence] = {
    "observed": Evidence.OBSERVED,
    "expected": Evidence.EXPECTED,
    "z": Evidence.Z,
    "robust_z": Evidence.ROBUST_Z,
}
PURCHASE_COUNTS = ("fewer_purchases", "more_purchases")
"""Detectors that compare purchases between two snapshots with the customer's own rhythm."""


@dataclass(frozen=True, slots=True)
class PeriodFound:
    """What one completed period of a series said of n customers."""

    series: str
    end: F64
    """(n,) NaN = this customer had none to take."""
    alarm: I64
    """(n,) -1 a drop, 1 a rise, 0 none."""
    evidence: F64
    """(n, evidence) of `detectors.Evidence`."""
    fired: Mapping[str, U8]
    """(n,) 1 where it fired, by trigger."""


@dataclass(slots=True)
class Detection:
    """What n new snapshots say of behaviour."""

    facts: dict[str, F64] = field(default_factory=dict[str, F64])
    """(n,) values to write into the new rows, NaN = missing: the state of series, and of each trigger when
    it fired and its evidence."""
    fired: dict[str, U8] = field(default_factory=dict[str, U8])
    """(n,) 1 where a trigger fired."""
    periods: list[PeriodFound] = field(default_factory=list[PeriodFound])
    """Every period taken, series by series, the oldest first."""


def detect(model: Model, old: Rows, new: Rows, now: F64) -> Detection:
    """Compare n new snapshots with the stored ones: move series by every completed period, fire triggers.

    The same snapshot again changes nothing, and one that is older than the stored one fires nothing.

    Args:
        model: Rulebook and artifacts; without a lifetime-value fit no count of purchases is judged.
        old: rows as stored; all missing where there is none, which fires no change.
        new: rows as they are to be written, stage state included. Of series they hold only what the
            writer says.
        now: (n,) epoch seconds.

    Source: domain model, section 7. Oracle: `tests.naive.behaviour.detect`.
    """
    found = _Finder(model, old, new, now)
    for series in model.rulebook.series:
        found.take(series)
    found.compare()
    return found.detection


def detect_in_series(model: Model, series: Series, old: Rows, new: Rows, now: F64) -> Detection:
    """Move one series by every completed period and fire its triggers, and nothing else; as `detect` does.

    Args:
        model: Rulebook and artifacts.
        series: one of the rulebook's.
        old: rows as stored.
        new: what is said of the series, and up to which time periods are complete.
        now: (n,) epoch seconds.
    """
    found = _Finder(model, old, new, now)
    found.take(series)
    return found.detection


def is_watching(rulebook: Rulebook) -> bool:
    """Whether writers of snapshots have anything to detect or keep: then they must know the stored rows."""
    return bool(rulebook.series) or any(trigger.fired_at for trigger in rulebook.triggers)


def stored_facts(rulebook: Rulebook) -> tuple[str, ...]:
    """Facts that say when triggers fired, and why; they stay until a writer says otherwise."""
    named = [name for t in rulebook.triggers if t.fired_at for name in (t.fired_at, *t.evidence.values())]
    return tuple(dict.fromkeys(named))


def series_facts_of(rulebook: Rulebook) -> tuple[str, ...]:
    """Facts that hold the state of series: whoever merges facts passes on only those that are named."""
    return tuple(name for series in rulebook.series for name in series.facts)


class _Finder:
    """One comparison of old and new rows."""

    def __init__(self, model: Model, old: Rows, new: Rows, now: F64) -> None:
        self._model, self._old, self._new, self._now = model, old, new, now
        self._catalogue = model.rulebook.catalogue
        self.detection = Detection()
        for name in stored_facts(model.rulebook):
            given, stored = self._number(new, name), self._number(old, name)
            self.detection.facts[name] = np.where(np.isnan(given), stored, given)

    def take(self, series: Series) -> None:
        """Move a series by every completed period."""
        old, new = self._old, self._new
        advance = SeriesAdvance(
            series, self._state(series, old), old.as_of, self._state(series, new), new.as_of
        )
        triggers = [t for t in self._model.rulebook.triggers if t.series == series.id]
        for taken in advance.periods():
            fired = {trigger.id: self._judge(trigger, series, taken) for trigger in triggers}
            self.detection.periods.append(
                PeriodFound(series.id, taken.end, taken.alarm, taken.evidence, fired)
            )
        *names, until = series.facts
        for place, name in enumerate(names):
            self.detection.facts[name] = np.ascontiguousarray(advance.state[:, place])
        self.detection.facts[until] = advance.until

    def compare(self) -> None:
        """Fire what is found by comparing the two snapshots."""
        for trigger in self._model.rulebook.triggers:
            if trigger.watch is not None:
                self._compare(trigger, trigger.watch)
            elif trigger.detects in PURCHASE_COUNTS:
                self._count_purchases(trigger)

    def _judge(self, trigger: Trigger, series: Series, taken: PeriodTaken) -> U8:
        event = _series_event(trigger.detects, series, taken)
        if trigger.detects == "silent_drop":
            event = self._silent(event)
        evidence = {kind: taken.evidence[:, column] for kind, column in _EVIDENCE.items()}
        return self._fire(trigger, event, taken.end, evidence)

    def _compare(self, trigger: Trigger, watch: Watch) -> None:
        values = self._watched(watch)
        if values is None:
            facts = _facts_of(watch, self._catalogue)
            event = changes(self._old, self._new, change_tables(self._catalogue, facts)).max(axis=1)
            evidence = dict[str, F64]()
        else:
            old, new = values
            event = number_changes(old, new, CHANGES.index(watch.change), watch.by, watch.by_share)
            evidence = {"before": old, "after": new}
            if watch.to:
                event = np.where(np.isin(new, watch.to), event, 0.0)
        if watch.silent:
            event = self._silent(event)
        # Without a time of its own a change is of now: somebody has just written it.
        moved = self._new.as_of > self._old.as_of
        at = np.where(moved, np.fmin(self._new.as_of, self._now), self._now)
        # INVARIANT: a first snapshot (no time before) and an older one (a clock put back) change nothing.
        event = np.where(self._new.as_of >= self._old.as_of, event, 0.0)
        self._fire(trigger, event, at, evidence)

    def _watched(self, watch: Watch) -> tuple[F64, F64] | None:
        """Old and new value of what is watched; None for a set or a whole group."""
        name = watch.name
        if not name:
            return None
        if name not in self._catalogue:
            old, new = self._figures
            figure = Figure[name.upper()]
            return np.ascontiguousarray(old[:, figure]), np.ascontiguousarray(new[:, figure])
        match self._catalogue[name].type:
            case FactType.SET:
                return None
            case FactType.BOOL:
                old, new = (flag_fact(self._catalogue, rows, name) for rows in (self._old, self._new))
            case _:
                old, new = self._number(self._old, name), self._number(self._new, name)
        return old, new

    def _count_purchases(self, trigger: Trigger) -> None:
        """Judge the purchases since the stored snapshot's last one by the customer's own rhythm."""
        ltv = self._model.artifacts.ltv
        if ltv is None:
            return
        r, alpha = ltv.bgnbd.r, ltv.bgnbd.alpha
        x, t_x = self._number(self._old, "repeat_purchases"), self._number(self._old, "recency_weeks")
        count = self._number(self._new, "repeat_purchases") - x
        window = self._number(self._new, "observed_weeks") - t_x
        tail = count_at_most_rows if trigger.detects == "fewer_purchases" else count_at_least_rows
        chance = tail(x, t_x, count, window, r, alpha)
        event = np.where((self._new.as_of > self._old.as_of) & (chance < OVERDUE_BELOW), 1.0, 0.0)
        expected = (r + x) / (alpha + t_x) * window
        evidence = {"observed": count, "expected": expected, "probability": chance}
        self._fire(trigger, event, np.fmin(self._new.as_of, self._now), evidence)

    def _fire(self, trigger: Trigger, event: F64, at: F64, evidence: Mapping[str, F64]) -> U8:
        """Fire a trigger unless it cools down, and keep when and why."""
        facts = self.detection.facts
        fires, facts[trigger.fired_at] = fire(event, facts[trigger.fired_at], at, trigger.cool_down_days)
        for kind, name in trigger.evidence.items():
            if kind in evidence:
                facts[name] = np.where(fires == 1, evidence[kind], facts[name])
        before = self.detection.fired.get(trigger.id)
        self.detection.fired[trigger.id] = fires if before is None else before | fires
        return fires

    def _silent(self, event: F64) -> F64:
        """The events of those who have not complained."""
        complaint_open = flag_fact(self._catalogue, self._new, "complaint_open")
        complaint_at = self._number(self._new, "complaint_at")
        parameters = default_detector_parameters()
        return silent_drops(event, complaint_open, complaint_at, self._new.as_of, parameters).astype(
            np.float64
        )

    def _state(self, series: Series, rows: Rows) -> SeriesState:
        *names, until = series.facts
        baseline = np.stack([self._number(rows, name) for name in names], axis=1)
        return SeriesState(baseline, self._number(rows, until))

    def _number(self, rows: Rows, name: str) -> F64:
        """(n,) a number of each row; NaN where the catalogue has none of that name."""
        column = self._catalogue.column(name)
        return np.full(len(rows), np.nan) if column < 0 else rows.numbers[:, column].copy()

    @cached_property
    def _figures(self) -> tuple[F64, F64]:
        """Figures of each snapshot at its own time."""
        old, new = (figures_of(self._model, rows, rows.as_of) for rows in (self._old, self._new))
        return old, new


def _series_event(detects: str, series: Series, taken: PeriodTaken) -> F64:
    """(n,) 1 where a period holds what a trigger waits for."""
    far = series.parameters[DetectorParameter.OUTLIER_Z]
    match detects:
        case "rise":
            found = taken.alarm == 1
        case "dip":
            found = taken.evidence[:, Evidence.ROBUST_Z] < -far
        case "spike":
            found = taken.evidence[:, Evidence.ROBUST_Z] > far
        case _:
            found = taken.alarm == -1
    return found.astype(np.float64)


def _facts_of(watch: Watch, catalogue: Catalogue) -> list[str]:
    """The set that is watched, or all facts of a box but those that writers of snapshots keep themselves."""
    if watch.name:
        return [watch.name]
    return [
        fact.name for fact in catalogue.facts if fact.group is watch.group and fact.name not in watch.kept
    ]


def no_rows(like: Rows) -> Rows:
    """As many rows in which all is missing, for customers of whom nothing is stored yet."""
    return Rows(
        np.full(len(like), np.nan),
        np.full(like.numbers.shape, np.nan),
        np.zeros(like.words.shape, np.uint64),
        np.zeros(like.known.shape, np.uint64),
    )
