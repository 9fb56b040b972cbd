"""Score a population, from a file or from Redis, into Parquet: with all cores, going on where a run stopped.

A batch is read, decided by one of several threads (kernels let go of the interpreter) and written as a part
by the same thread. Each batch is decided for itself, so the answer is the same with any number of threads,
and whether or not the run was interrupted.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, cast

import numpy as np
import polars as pl

from nextbest.assembly import Model
from nextbest.batch.answer_columns import schema_of
from nextbest.batch.operations import customer_ids, read_batch, translation
from nextbest.batch.part_files import Document, PartFiles
from nextbest.batch.row_files import FileRows, RowStream
from nextbest.batch.scoring import Customers, Scoring, score_customers
from nextbest.batch.tally import Tally
from nextbest.data.history_files import HistoryFile
from nextbest.data.loader import Progress
from nextbest.data.rejects import RejectFile, rejects_path
from nextbest.data.store import Store
from nextbest.data.table_files import BATCH_ROWS, RowFault
from nextbest.id_check import id_checks_of
from nextbest.model import F64, CellEvidence, DecisionState, Histories
from nextbest.rings import HistoryCodec
from nextbest.rows import RowCodec

FORMAT: Final = 1
"""Of what lies in an interrupted run's directory, and of the columns."""
PART_CUSTOMERS: Final = BATCH_ROWS
"""Customers of a part."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some customers to decide for, as read from the source."""

    customers: Customers
    faults: list[RowFault]
    """Rows of the file that were left out on the way."""
    fraction: float
    """How much of the source has been read, 0 to 1."""
    unreadable: int = 0
    """Stored snapshots that were left out on the way."""
    last: str = ""
    """The last stored customer who was looked at."""


class Source(Protocol):
    """Where customers come from."""

    identity: Document
    """Tells this source from another, so that a run goes on with its own only."""

    def chunks(self, done: int, last: str) -> AsyncGenerator[Chunk]:
        """Customers after so many parts that are done, and after the last in them; in the same batches."""
        ...


class FileSource:
    """Snapshots of a file; their histories of another, or of Redis, or none."""

    def __init__(
        self,
        path: Path,
        model: Model,
        *,
        now: float,
        histories: HistoryFile | None = None,
        store: Store | None = None,
    ) -> None:
        """Look at the file's columns.

        Args:
            path: Parquet or CSV, as `nextbest load` takes it.
            model: whose catalogue names the facts.
            now: time of rows that have none, epoch seconds.
            histories: of everybody; None = those in `store`.
            store: None = nothing has happened with anybody.

        Raises:
            InvalidInput: the file cannot be read, or a column is missing or no fact.
        """
        catalogue = model.rulebook.catalogue
        self._stream = RowStream(path, RowCodec(catalogue), [f.name for f in catalogue.facts], as_of=now)
        self._model, self._file, self._store = model, histories, store
        self.identity: Document = {"file": file_identity(path), "history": identity_of(histories)}

    async def chunks(self, done: int, last: str) -> AsyncGenerator[Chunk]:  # noqa: ARG002  (files count)
        """The batches of the file; what is done is read again, to know a customer's second row."""
        codec = None
        if self._file is None and self._store is not None:
            codec = HistoryCodec(await translation(self._store.names, self._model.rulebook))
        for place, batch in enumerate(self._stream.batches()):
            if place >= done:
                customers = Customers(
                    batch.customer_ids, batch.checks, batch.rows, await self._histories(batch, codec)
                )
                yield Chunk(customers, batch.faults, batch.fraction)

    async def _histories(self, batch: FileRows, codec: HistoryCodec | None) -> Histories:
        if self._file is not None:
            return self._file.of(batch.checks)
        if self._store is None or not len(batch.checks):
            return Histories.empty(len(batch.checks))
        read = await self._store.histories.read_many(batch.customer_ids.to_list(), codec)
        return read.histories


class StoreSource:
    """Every customer with a snapshot in Redis, in order of id."""

    def __init__(self, store: Store, model: Model, *, histories: HistoryFile | None = None) -> None:
        """Args: the store; the model; everybody's histories, None = those in the store."""
        self._store, self._model, self._file = store, model, histories
        self.identity: Document = {"file": None, "history": identity_of(histories)}

    async def chunks(self, done: int, last: str) -> AsyncGenerator[Chunk]:  # noqa: ARG002  (ids tell)
        """Customers after the last one that is done; one who is new before that one is left out."""
        codec = HistoryCodec(await translation(self._store.names, self._model.rulebook))
        every = await customer_ids(self._store)
        rest = every.filter(every > last)
        before = len(every) - len(rest)
        for start in range(0, len(rest), PART_CUSTOMERS):
            asked = rest.slice(start, PART_CUSTOMERS)
            batch = await read_batch(self._store, asked.to_list())
            checks = id_checks_of([customer.encode() for customer in batch.customer_ids])
            if self._file is not None:
                histories = self._file.of(checks)
            else:
                read = await self._store.histories.read_many(batch.customer_ids, codec)
                histories = read.histories
            ids = pl.Series(batch.customer_ids, dtype=pl.String)
            share = (before + start + len(asked)) / len(every)
            yield Chunk(Customers(ids, checks, batch.rows, histories), [], share, batch.unreadable, asked[-1])


def file_identity(path: Path) -> Document:
    """Tells a file from another, and from itself after a change."""
    found = path.stat()
    return {"path": str(path.resolve()), "bytes": found.st_size, "changed_ns": found.st_mtime_ns}


def identity_of(histories: HistoryFile | None) -> Document | None:
    """Tells the file of histories; None = there is none."""
    return None if histories is None else file_identity(histories.path)


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that decides, but for the customers."""

    model: Model
    state: DecisionState
    scoring: Scoring
    now: float
    """Epoch seconds."""

    def document(self) -> dict[str, object]:
        """What an interrupted run must have been begun with to be gone on with."""
        return {
            "format": FORMAT,
            "model": self.model.digest,
            "state": _plain(self.state),
            "now": self.now,
            "scoring": asdict(self.scoring),
        }

    def about(self) -> dict[str, str]:
        """What is kept with every Parquet file."""
        about = {
            "rulebook": self.model.rulebook.revision,
            "model_digest": self.model.digest,
            "currency": self.model.rulebook.currency,
            "evaluation_time": self.now,
            "scoring": asdict(self.scoring),
        }
        return {"nextbest": json.dumps(about)}

    def taken_up(self, before: Document | None, *, same_time: bool) -> "Run":
        """With what an interrupted run had learnt, and with its time if asked for, as if it had gone on."""
        if before is None:
            return self
        state = _rebuilt(self.state, cast("Document", before["state"]))
        now = cast("float", before["now"]) if same_time else self.now
        return replace(self, state=state, now=now)


State = TypeVar("State", DecisionState, CellEvidence)


def _plain(state: DecisionState | CellEvidence) -> dict[str, object]:
    """What is learnt as plain JSON, which holds every number exactly."""
    values = {f.name: getattr(state, f.name) for f in fields(state)}
    return {
        name: _plain(value) if isinstance(value, CellEvidence) else np.asarray(value).tolist()
        for name, value in values.items()
    }


def _rebuilt(like: State, document: Document) -> State:
    """What `_plain` was given; `like` says of which types it is."""
    made: dict[str, Any] = {}
    for part in fields(like):
        old, kept = getattr(like, part.name), document[part.name]
        if isinstance(old, CellEvidence):
            made[part.name] = _rebuilt(old, cast("Document", kept))
        elif isinstance(old, np.ndarray):
            known = cast("F64", old)
            made[part.name] = np.array(kept, known.dtype).reshape(-1, *known.shape[1:])
        else:
            made[part.name] = kept
    return replace(like, **made)


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """What came of a run."""

    tally: Tally
    out: Path
    resumed: int
    """Customers whom an interrupted run had decided for."""
    unreadable: int
    """Stored snapshots that could not be read."""
    rejected: int
    """Rows of the file that were left out."""
    rejects: Path | None
    """Where those rows are listed; None if there are none."""


class _Sums:
    """Adds up the documents of parts, in their order."""

    def __init__(self, actions: int, rejects: RejectFile) -> None:
        self.tally = Tally.nobody(actions)
        self.unreadable = 0
        self.last = ""
        self._rejects = rejects

    def add(self, document: Document) -> None:
        self.tally = self.tally.plus(Tally.read(cast("Document", document["tally"])))
        self.unreadable += cast("int", document["unreadable"])
        self.last = cast("str", document["last"])
        faults = cast("list[tuple[int, str, str]]", document["faults"])
        self._rejects.add(RowFault(*fault) for fault in faults)


async def score(
    run: Run, source: Source, parts: PartFiles, *, threads: int, progress: Progress | None = None
) -> ScoreReport:
    """Decide for everybody in the source; `parts.out` appears when all are done.

    Args:
        run: model, state, what is asked and when.
        source: the customers.
        parts: where to write; an interrupted run of the same is gone on with.
        threads: that decide at once.
        progress: told after every part.

    Memory: `threads` + 2 batches of `PART_CUSTOMERS`, and 8 bytes a row of a file.

    Raises:
        InvalidInput: the file is damaged from here on, or an interrupted run was of something else.
        StoreUnavailable: Redis does not answer; run it again, and it goes on where it stopped.
    """
    parts.begin({**run.document(), **source.identity})
    with RejectFile(rejects_path(parts.out)) as rejects, ThreadPoolExecutor(threads, "score") as pool:
        sums = _Sums(len(run.model.rulebook.actions), rejects)
        for document in parts.documents():
            sums.add(document)
        resumed, place = int(sums.tally.customers), parts.done
        waiting = deque[tuple[asyncio.Future[Document], float]]()

        async def settle(most: int) -> None:
            while len(waiting) > most:
                document, fraction = waiting.popleft()
                sums.add(await document)
                if progress:
                    progress(fraction, int(sums.tally.customers))

        loop = asyncio.get_running_loop()
        async for chunk in source.chunks(parts.done, sums.last):
            waiting.append((loop.run_in_executor(pool, _part, run, chunk, parts, place), chunk.fraction))
            place += 1
            await settle(threads)
        await settle(0)
        parts.finish(place, _nobody(run), run.about())
    return ScoreReport(
        sums.tally,
        parts.out,
        resumed,
        sums.unreadable,
        rejects.rows,
        rejects.path if rejects.rows else None,
    )


def _part(run: Run, chunk: Chunk, parts: PartFiles, place: int) -> Document:
    """Decide for some customers and write the answer."""
    customers = chunk.customers
    scored = score_customers(run.model, run.state, run.scoring, customers, np.full(len(customers), run.now))
    document: Document = {
        "tally": scored.tally.document(),
        "unreadable": chunk.unreadable,
        "last": chunk.last,
        "faults": [(fault.row, fault.column, fault.reason) for fault in chunk.faults],
    }
    parts.write(place, scored.frame, run.about(), document)
    return document


def _nobody(run: Run) -> pl.DataFrame:
    """An answer without customers."""
    return pl.DataFrame(schema=schema_of(figures=run.scoring.figures, reasons=run.scoring.reasons))
