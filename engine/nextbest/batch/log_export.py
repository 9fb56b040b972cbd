"""The decision log as a Parquet file: some thousand in memory at a time, going on where it stopped."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import polars as pl

from loyalty.nextbest.v1 import common_pb2, decision_pb2
from nextbest.batch.part_files import Document, PartFiles
from nextbest.data.decision_log import DecisionLogStore, LogEnd, LogEntry, LogPart
from nextbest.decision_record import DecisionRecord
from nextbest.facts import Figure

FORMAT: Final = 1
"""Of what lies in an interrupted export's directory, and of the columns."""
ROWS_PER_GROUP = 4096
_TIME = pl.Datetime("us", "UTC")
_TEXTS, _NUMBERS = pl.List(pl.String()), pl.List(pl.Float64())

COLUMNS: tuple[tuple[str, pl.DataType, str], ...] = (
    ("decision_id", pl.String(), "32 hexadecimal digits"),
    ("logged_at", _TIME, "when Redis kept it"),
    ("made_at", _TIME, "when it was decided by the service's clock"),
    ("evaluation_time", _TIME, "the time that was decided for"),
    (
        "customer_id",
        pl.String(),
        "whom it was about: erase it from the file, too, when the customer is erased",
    ),
    ("request_id", pl.String(), "the caller's; empty = none"),
    ("channel", pl.String(), ""),
    ("direction", pl.String(), "inbound or outbound"),
    ("placements", _TEXTS, "asked for, in order; empty = any"),
    ("caller_role", pl.String(), "empty = none given"),
    ("purchase_phase", pl.String(), "empty = not given"),
    ("rulebook_revision", pl.String(), ""),
    ("model_digest", pl.String(), "what decided: `nextbest replay` needs it to be kept"),
    ("build", pl.String(), "version of the service and type of processor"),
    ("fallback", pl.String(), "why it is a fallback decision; null = it was decided on data"),
    ("snapshot_as_of", _TIME, "of the snapshot decided on; null = there was none"),
    ("inline_snapshot", pl.Boolean(), "the snapshot came with the request"),
    ("masked", _TEXTS, "facts and context keys left out; then it cannot be replayed"),
    ("actions", _TEXTS, "ranked, doing nothing left out; empty = doing nothing"),
    ("treatments", _TEXTS, "of the ranked actions"),
    ("shown_at", _TEXTS, "placements of the ranked actions; empty = none"),
    ("scores", _NUMBERS, "of the ranked actions"),
    ("propensities", _NUMBERS, "of the ranked actions; NaN = unknown"),
    (
        "selection_probabilities",
        _NUMBERS,
        "of being first, by action in order of id, then doing nothing; NaN = no candidate; empty = no chance",
    ),
    *(
        (f"figure_{figure.name.lower()}", pl.Float64(), "null = missing, or a fallback decision")
        for figure in Figure
    ),
    ("record", pl.Binary(), "the logged decision as docs/formats.md describes it"),
)
"""Name, type and meaning of every column."""

SCHEMA = pl.Schema([(name, kind) for name, kind, _ in COLUMNS])


@dataclass(slots=True)
class ExportReport:
    """What came of an export."""

    written: int = 0
    """Decisions in the file."""
    gone: int = 0
    """Entries of the log whose decision was erased, has expired, or was made anew and stands further on."""
    missing: int = 0
    """Entries that made way for newer ones before they were read."""
    resumed: int = 0
    """Decisions that an interrupted export had written."""
    last: LogEnd | None = None
    """The last entry that was looked at."""

    def add(self, part: LogPart) -> None:
        """Count some entries."""
        if self.last is not None:
            self.missing += part.first.number - self.last.number - 1
        self.written += len(part.entries)
        self.gone += part.looked_at - len(part.entries)
        self.last = part.last

    def document(self) -> Document:
        """The same for the next run to go on with."""
        return {name: getattr(self, name) for name in ("written", "gone", "missing", "last")}


async def export_log(
    store: DecisionLogStore,
    parts: PartFiles,
    *,
    since: float | None,
    until: float | None,
    progress: Callable[[int], None],
) -> ExportReport:
    """Write logged decisions up to now to a file; an interrupted export goes on behind its last part.

    Args:
        store: the log.
        parts: where to write; the file is there when all of it is.
        since: epoch seconds by Redis' clock; None = from the beginning.
        until: None = to what was the end when the export began.
        progress: takes the number of entries read since the last call.

    Raises:
        InvalidInput: an interrupted export was of another time.
        DecisionUnreadable: a record is damaged.
        StoreUnavailable: Redis does not answer; run it again, and it goes on where it stopped.
    """
    end = await store.end() if parts.run is None else LogEnd(*cast("tuple[str, int]", parts.run["end"]))
    end = end or LogEnd("0-0", 0)
    parts.begin({"export": FORMAT, "since": since, "until": until, "end": [*end]})
    report = _resumed(parts)
    progress(report.written + report.gone)
    place, waiting, first = parts.done, list[LogEntry](), _bound(since, "-")
    if report.last is not None:
        first = f"({report.last.id}"
    async for part in store.parts(first, end.id if until is None else f"({_bound(until, '+')}-0"):
        report.add(part)
        waiting += part.entries
        progress(part.looked_at)
        if len(waiting) >= ROWS_PER_GROUP:
            parts.write(place, _frame(waiting), {}, report.document())
            place, waiting = place + 1, []
    if until is None and report.last is not None:
        report.missing += end.number - report.last.number
    if waiting:
        parts.write(place, _frame(waiting), {}, report.document())
        place += 1
    parts.finish(place, pl.DataFrame(schema=SCHEMA), {})
    return report


def _resumed(parts: PartFiles) -> ExportReport:
    """What an interrupted export had counted with its last part."""
    report = ExportReport()
    for document in parts.documents():
        values = {name: cast("int", document[name]) for name in ("written", "gone", "missing")}
        last = LogEnd(*cast("tuple[str, int]", document["last"]))
        report = ExportReport(**values, resumed=values["written"], last=last)
    return report


def _bound(time: float | None, otherwise: str) -> str:
    """A time as an id of the stream."""
    return otherwise if time is None else str(max(round(time * 1000), 0))


def _frame(entries: Sequence[LogEntry]) -> pl.DataFrame:
    return pl.DataFrame([_row(entry) for entry in entries], SCHEMA, orient="row")


def _row(entry: LogEntry) -> dict[str, object]:
    record = entry.record
    request = decision_pb2.DecideRequest.FromString(record.request)
    answer = decision_pb2.DecideResponse.FromString(record.answer)
    ranked = answer.results[:-1]
    return {
        "decision_id": record.decision_id.hex(),
        "logged_at": _microseconds(entry.logged_at),
        "made_at": _microseconds(record.made_at),
        "evaluation_time": _microseconds(record.now),
        "customer_id": record.customer_id,
        "request_id": request.request_id,
        "channel": request.channel,
        "direction": _word("DIRECTION_", common_pb2.Direction.Name(request.direction)),
        "placements": list(request.placements),
        "caller_role": request.caller_role,
        "purchase_phase": _word("PURCHASE_PHASE_", common_pb2.PurchasePhase.Name(request.purchase_phase)),
        "rulebook_revision": record.revision,
        "model_digest": record.model_digest,
        "build": record.build,
        "fallback": None if record.degraded is None else record.degraded.name.lower(),
        "snapshot_as_of": _as_of(answer),
        "inline_snapshot": record.inline,
        "masked": list(record.masked),
        "actions": [result.action for result in ranked],
        "treatments": [result.treatment.treatment_id for result in ranked],
        "shown_at": [result.treatment.placement for result in ranked],
        "scores": [result.score for result in ranked],
        "propensities": [r.propensity if r.HasField("propensity") else np.nan for r in ranked],
        "selection_probabilities": record.selection_probabilities.tolist(),
        **_figures(record),
        "record": record.to_bytes(),
    }


def _figures(record: DecisionRecord) -> dict[str, float | None]:
    """A record of another build may hold fewer figures, or more."""
    values = record.figure_values.tolist()
    known = {f: values[f] for f in Figure if f < len(values) and not np.isnan(values[f])}
    return {f"figure_{figure.name.lower()}": known.get(figure) for figure in Figure}


def _as_of(answer: decision_pb2.DecideResponse) -> int | None:
    if not answer.HasField("snapshot_as_of"):
        return None
    return answer.snapshot_as_of.ToMicroseconds()


def _word(prefix: str, name: str) -> str:
    """An enum's value in lower case; empty for the one that says nothing."""
    word = name.removeprefix(prefix).lower()
    return "" if word == "unspecified" else word


def _microseconds(time: float) -> int:
    return round(time * 1e6)
