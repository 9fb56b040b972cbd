"""Take a file of completed periods into a series of the customers it names."""

import csv
import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nextbest.assembly import Model
from nextbest.batch.detection import Detection, detect_in_series
from nextbest.batch.writing import changing, with_numbers
from nextbest.behaviour.detectors import BaselineInput, Evidence
from nextbest.data.casting import cast_numbers, text_of
from nextbest.data.rejects import RejectFile, rejects_path
from nextbest.data.row_columns import ID_COLUMN, checks_of, faults_of, id_misfits
from nextbest.data.seen_ids import SeenIds
from nextbest.data.snapshots import WriteStatus
from nextbest.data.store import Store
from nextbest.data.table_files import RowFault, TableBatch, TableFile
from nextbest.errors import InvalidInput, Violation
from nextbest.fact_values import Misfit
from nextbest.facts import Fact
from nextbest.model import F64, I64, Rows
from nextbest.rulebook.rulebook import Rulebook
from nextbest.rulebook.suggest import did_you_mean
from nextbest.rulebook.watching import Series

VALUE_COLUMN = "value"


@dataclass(slots=True)
class DetectionReport:
    """What became of a file's rows."""

    advanced: int = 0
    taken_before: int = 0
    """Customers whose period was taken already, or of whom nothing is known yet."""
    drops: int = 0
    rises: int = 0
    fired: Counter[str] = field(default_factory=Counter[str])
    """Customers by detector trigger."""
    rejected: int = 0
    rejects: Path | None = None
    evidence: Path | None = None
    """The numbers behind every change found; None if there was none."""


async def advance_behaviour(
    store: Store, model: Model, series: str, path: Path, *, now: float, evidence: Path
) -> DetectionReport:
    """Take a completed period of a series for every customer in a file, fire triggers, write their evidence.

    Columns: customer_id and value, of the latest period that is complete at `now`; an empty value is a
    period that is not known, or zero where the series says so. Of whom the period was taken already
    nothing changes, so an interrupted run is simply run again.

    Args:
        store: the snapshots.
        model: its rulebook has the series and the detectors.
        series: id of the series.
        path: Parquet or CSV.
        now: epoch seconds.
        evidence: CSV to write, one row for a change that was found.

    Raises:
        InvalidInput: the file cannot be read, or the rulebook has no such series.
        StoreUnavailable: Redis does not answer; run it again.
    """
    followed = _series(model.rulebook, series)
    table = TableFile(path)
    missing = [name for name in (ID_COLUMN, VALUE_COLUMN) if name not in table.columns]
    if missing:
        raise InvalidInput([Violation("columns", f"`{name}` is missing") for name in missing])
    report, seen = DetectionReport(), SeenIds()
    with RejectFile(rejects_path(path)) as rejects, _EvidenceFile(evidence) as found:
        for batch in table.batches([ID_COLUMN, VALUE_COLUMN]):
            rejects.add(batch.faults)
            if len(batch.frame):
                taking = _Taking(model, followed, now)
                rejects.add(await _advance(store, taking, batch, seen, report))
                found.add(taking.found.values())
        report.evidence = found.path if found.rows else None
    report.rejected, report.rejects = rejects.rows, rejects.path if rejects.rows else None
    return report


def _series(rulebook: Rulebook, name: str) -> Series:
    declared = {series.id: series for series in rulebook.series}
    if name not in declared:
        hint = did_you_mean(name, declared) or "declare it under `series` in facts.yaml"
        raise InvalidInput([Violation("series", f"`{name}` is no series of the rulebook: {hint}")])
    return declared[name]


@dataclass(frozen=True, slots=True)
class _Found:
    """A change of one customer's series."""

    customer_id: str
    end: float
    alarm: int
    triggers: list[str]
    evidence: list[float]


class _Taking:
    """Takes one period of some customers, as often as their rows must be read."""

    def __init__(self, model: Model, series: Series, now: float) -> None:
        self.model, self.series, self._now = model, series, now
        self.values: dict[str, float] = {}
        self.found: dict[str, _Found] = {}
        self.advanced: set[str] = set()

    def change(self, customer_ids: Sequence[str], rows: Rows) -> Mapping[str, F64]:
        """Facts that change as the period is taken."""
        *state, _ = self.series.facts
        said = dict.fromkeys(self.series.facts, np.full(len(rows), np.nan))
        said[state[BaselineInput.PERIOD_1]] = np.array([self.values[i] for i in customer_ids])
        told = with_numbers(rows, self.model.rulebook.catalogue, said)
        now = np.full(len(rows), self._now)
        new = Rows(now, told.numbers, told.words, told.known)
        detection = detect_in_series(self.model, self.series, rows, new, now)
        self._keep(customer_ids, detection)
        return detection.facts

    def _keep(self, customer_ids: Sequence[str], detection: Detection) -> None:
        """What was found; what an earlier try found of the same customers is forgotten."""
        for customer_id in customer_ids:
            self.advanced.discard(customer_id)
            self.found.pop(customer_id, None)
        for period in detection.periods:
            self.advanced.update(customer_ids[i] for i in np.flatnonzero(np.isfinite(period.end)).tolist())
            fired = sum((fires != 0 for fires in period.fired.values()), start=period.alarm != 0)
            for place in np.flatnonzero(fired).tolist():
                customer_id = customer_ids[place]
                names = [name for name, fires in period.fired.items() if fires[place]]
                evidence = period.evidence[place].tolist()
                end, alarm = float(period.end[place]), int(period.alarm[place])
                self.found[customer_id] = _Found(customer_id, end, alarm, names, evidence)


async def _advance(
    store: Store, taking: _Taking, batch: TableBatch, seen: SeenIds, report: DetectionReport
) -> list[RowFault]:
    fact = taking.model.rulebook.catalogue[taking.series.facts[BaselineInput.PERIOD_1]]
    ids, values, kept, faults = _checked(batch, fact, seen)
    taking.values.update(zip(ids, values.tolist(), strict=True))
    advance = changing(store.snapshots.codec, taking.change)
    status = await store.snapshots.exchange_rows(ids, advance)
    unread = np.flatnonzero(~np.isin(status, (WriteStatus.WRITTEN, WriteStatus.UNCHANGED))).tolist()
    for place in unread:
        problem = WriteStatus(int(status[place])).name.lower().replace("_", " ")
        faults.append(RowFault(int(kept[place]), ID_COLUMN, f"`{ids[place]}`: its snapshot is {problem}"))
    taking.advanced.difference_update(ids[place] for place in unread)
    report.advanced += len(taking.advanced)
    report.taken_before += len(ids) - len(unread) - len(taking.advanced)
    report.drops += sum(found.alarm < 0 for found in taking.found.values())
    report.rises += sum(found.alarm > 0 for found in taking.found.values())
    report.fired.update(name for found in taking.found.values() for name in found.triggers)
    return faults


def _checked(batch: TableBatch, fact: Fact, seen: SeenIds) -> tuple[list[str], F64, I64, list[RowFault]]:
    """Ids, values and row numbers of the good rows; what is wrong with the others."""
    ids = text_of(batch.frame[ID_COLUMN])
    cast_values = cast_numbers(fact, batch.frame[VALUE_COLUMN])
    infinite = np.flatnonzero(np.isinf(cast_values.values))
    misfits = [*id_misfits(ids), Misfit(VALUE_COLUMN, infinite, lambda _: "is not a finite number")]
    misfits += [Misfit(VALUE_COLUMN, misfit.rows, misfit.describe) for misfit in cast_values.misfits]
    good = np.ones(len(ids), np.bool_)
    for misfit in misfits:
        good[misfit.rows] = False
    places = np.flatnonzero(good)
    repeated = seen.repeated(checks_of(ids.gather(places.tolist())))
    again = places[repeated]
    misfits.append(Misfit(ID_COLUMN, again, lambda row: f"`{ids[row]}` has a row before this one"))
    fresh = places[~repeated]
    faults = list(faults_of(misfits, batch.row_numbers))
    return ids.gather(fresh.tolist()).to_list(), cast_values.values[fresh], batch.row_numbers[fresh], faults


class _EvidenceFile:
    """A CSV file of changes that comes into being with the first one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._open = ExitStack()
        self._write: Callable[[Iterable[object]], object] | None = None

    def __enter__(self) -> "_EvidenceFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def add(self, changes: Iterable[_Found]) -> None:
        """Write the changes found in a batch."""
        for found in changes:
            write = self._write = self._write or self._begun()
            change = {-1: "drop", 1: "rise"}.get(found.alarm, "")
            end = dt.datetime.fromtimestamp(found.end, dt.UTC).isoformat()
            write([found.customer_id, end, change, "|".join(found.triggers), *found.evidence])
            self.rows += 1

    def _begun(self) -> Callable[[Iterable[object]], object]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self._open.enter_context(self.path.open("w", encoding="utf-8", newline=""))
        write = csv.writer(file).writerow
        write([ID_COLUMN, "period_end", "change", "triggers", *(kind.name.lower() for kind in Evidence)])
        return write


def fired_lines(fired: Mapping[str, int]) -> list[str]:
    """How many customers each detector trigger fired for, for people."""
    return [f"{name}: {count}" for name, count in sorted(fired.items())]
