"""Take a file of completed periods into the behaviour detectors of the customers it names."""

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np

from nextbest.batch.detection import Detection, advanced_behaviour
from nextbest.behaviour.detectors import BASELINE_FACTS, Evidence
from nextbest.data.casting import cast_numbers, text_of
from nextbest.data.rejects import RejectFile, rejects_path
from nextbest.data.row_columns import ID_COLUMN, checks_of, faults_of, id_misfits
from nextbest.data.seen_ids import SeenIds
from nextbest.data.snapshots import WriteStatus
from nextbest.data.store import Store
from nextbest.data.table_files import RowFault, TableBatch, TableFile
from nextbest.errors import InvalidInput, Violation
from nextbest.fact_values import Misfit
from nextbest.model import F64, I64, Rows
from nextbest.rows import RowProblem
from nextbest.rulebook.rulebook import Rulebook

VALUE_COLUMN = "value"
KEPT_S = 31 * 86400
"""How long a file is remembered, so that it is not taken twice."""


@dataclass(slots=True)
class DetectionReport:
    """What became of a file's rows."""

    advanced: int = 0
    drops: int = 0
    rises: int = 0
    fired: Counter[str] = field(default_factory=Counter[str])
    """Customers by detector trigger."""
    rejected: int = 0
    rejects: Path | None = None
    evidence: Path | None = None
    """The numbers behind every alarm; None if there was none."""


async def advance_behaviour(
    store: Store, rulebook: Rulebook, path: Path, *, now: float, evidence: Path
) -> DetectionReport:
    """Move detectors by one completed period a customer, fire triggers, write their evidence.

    Columns: customer_id and value, the spend of the period just completed; an empty value is a period
    that is not known. A file is taken once: what was interrupted goes on where it stopped, but for the
    customers under way then.

    Args:
        store: the snapshots.
        rulebook: its catalogue has the baseline, its detector triggers are fired.
        path: Parquet or CSV.
        now: epoch seconds.
        evidence: CSV to write, one row an alarm.

    Raises:
        InvalidInput: the file cannot be read, was taken before, or the catalogue has no baseline.
        StoreUnavailable: Redis does not answer; run it again.
    """
    _require_baseline(rulebook)
    table = TableFile(path)
    missing = [name for name in (ID_COLUMN, VALUE_COLUMN) if name not in table.columns]
    if missing:
        raise InvalidInput([Violation("columns", f"`{name}` is missing") for name in missing])
    key = store.keys.periods_taken(_digest(path))
    done = int(cast("bytes | None", await store.connection.execute("GET", key)) or 0)
    report, seen, rows = DetectionReport(), SeenIds(), 0
    with RejectFile(rejects_path(path)) as rejects, _EvidenceFile(evidence) as alarms:
        for batch in table.batches([ID_COLUMN, VALUE_COLUMN]):
            rows += len(batch.row_numbers) + len({fault.row for fault in batch.faults})
            if rows <= done:
                continue
            rejects.add(batch.faults)
            if len(batch.frame):
                rejects.add(await _advance(store, rulebook, batch, seen, now, report, alarms))
            await store.connection.execute("SET", key, rows, "EX", KEPT_S)
        report.evidence = alarms.path if alarms.rows else None
    if rows and rows <= done:
        raise InvalidInput([Violation("file", f"`{path}` was taken already: a period counts once")])
    report.rejected, report.rejects = rejects.rows, rejects.path if rejects.rows else None
    return report


def _require_baseline(rulebook: Rulebook) -> None:
    absent = [name for name in BASELINE_FACTS if name not in rulebook.catalogue]
    if absent:
        reason = "is not in the catalogue: the detector needs it"
        raise InvalidInput([Violation("facts", f"`{name}` {reason}") for name in absent])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _advance(
    store: Store,
    rulebook: Rulebook,
    batch: TableBatch,
    seen: SeenIds,
    now: float,
    report: DetectionReport,
    alarms: "_EvidenceFile",
) -> list[RowFault]:
    ids, values, kept, faults = _checked(batch, rulebook, seen)
    if not ids:
        return faults
    decoded = await store.snapshots.get_many(ids)
    readable = decoded.problems == RowProblem.NONE
    for place in np.flatnonzero(~readable).tolist():
        problem = RowProblem(int(decoded.problems[place])).name.lower().replace("_", " ")
        faults.append(RowFault(int(kept[place]), ID_COLUMN, f"`{ids[place]}`: its snapshot is {problem}"))
    chosen = np.flatnonzero(readable)
    known = [ids[place] for place in chosen]
    r = decoded.rows
    rows = Rows(r.as_of[chosen], r.numbers[chosen], r.words[chosen], r.known[chosen])
    found = advanced_behaviour(rulebook, rows, values[chosen], np.full(len(known), now))
    status = await store.snapshots.write_numbers(known, found.facts)
    report.advanced += int(np.isin(status, (WriteStatus.WRITTEN, WriteStatus.UNCHANGED)).sum())
    report.drops += int((found.alarm == -1).sum())
    report.rises += int((found.alarm == 1).sum())
    report.fired.update({name: int(fires.sum()) for name, fires in found.fired.items()})
    alarms.add(known, found)
    return faults


def _checked(
    batch: TableBatch, rulebook: Rulebook, seen: SeenIds
) -> tuple[list[str], F64, I64, list[RowFault]]:
    """Ids, values and row numbers of the good rows; what is wrong with the others."""
    ids = text_of(batch.frame[ID_COLUMN])
    fact = rulebook.catalogue["period_1"]
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
    """A CSV file of alarms that comes into being with the first one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._open = ExitStack()
        self._write: Callable[[Iterable[object]], object] | None = None

    def __enter__(self) -> "_EvidenceFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def add(self, ids: list[str], found: Detection) -> None:
        """Write the customers of a batch whose detector gave an alarm."""
        for place in np.flatnonzero(found.alarm).tolist():
            write = self._write = self._write or self._begun()
            fired = "|".join(name for name, fires in found.fired.items() if fires[place])
            change = "drop" if found.alarm[place] < 0 else "rise"
            write([ids[place], change, fired, *map(float, found.evidence[place])])
            self.rows += 1

    def _begun(self) -> Callable[[Iterable[object]], object]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self._open.enter_context(self.path.open("w", encoding="utf-8", newline=""))
        write = csv.writer(file).writerow
        write([ID_COLUMN, "change", "triggers", *(kind.name.lower() for kind in Evidence)])
        return write


def fired_lines(fired: Mapping[str, int]) -> list[str]:
    """How many customers each detector trigger fired for, for people."""
    return [f"{name}: {count}" for name, count in sorted(fired.items())]
