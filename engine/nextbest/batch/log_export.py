"""The decision log as a Parquet file: some hundred decisions in memory at a time."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from loyalty.nextbest.v1 import common_pb2, decision_pb2
from nextbest.batch.arrow_batches import ParquetOut
from nextbest.data.decision_log import LogEntry
from nextbest.decision_record import DecisionRecord
from nextbest.facts import Figure

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


async def export_log(
    batches: AsyncIterator[list[LogEntry]], out: Path, progress: Callable[[int], None]
) -> int:
    """Write logged decisions to a file; it is there when all of it is.

    Args:
        batches: from `DecisionLogStore.scan`.
        out: the file; one that is there is replaced.
        progress: takes the number of decisions written since the last call.

    Returns:
        How many decisions were written.
    """
    partial, written = out.with_name(out.name + ".part"), 0
    try:
        with ParquetOut(partial, SCHEMA, {}) as writer:
            waiting: list[LogEntry] = []
            async for batch in batches:
                waiting += batch
                if len(waiting) >= ROWS_PER_GROUP:
                    writer.add(_frame(waiting))
                    written, waiting = written + len(waiting), []
                progress(len(batch))
            writer.add(_frame(waiting))
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return written + len(waiting)


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
