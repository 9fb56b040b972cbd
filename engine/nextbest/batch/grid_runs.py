"""Fit the peer grid from Redis, going on where an interrupted run stopped, or from a file of any size.

An interruption loses at most `SAVE_EVERY` customers' work: counts add up exactly in any order, so what
was counted is kept, with the last id that is in it. Going on lists the ids anew and leaves out those up
to the mark, which holds also after a restart of Redis, when a SCAN cursor would mean nothing.
"""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from nextbest.assembly import FittedGrid
from nextbest.batch.fitting import Progress
from nextbest.batch.grid_fit import GridCounter, GridFit, facts_counted
from nextbest.batch.operations import customer_ids, load_artifacts, no_progress, population, put_into_use
from nextbest.batch.room import MB, require_room
from nextbest.batch.row_files import RowFile, batch_bytes
from nextbest.data.artifacts import ArtifactFiles
from nextbest.data.store import Store
from nextbest.errors import ArtifactError, FitError
from nextbest.fitted import GRID, pack_grid
from nextbest.id_check import id_checks_of
from nextbest.potential.ltv_parameters import LtvParameters
from nextbest.rows import RowCodec
from nextbest.rulebook.rulebook import Rulebook

SAVE_EVERY: Final = 100_000
"""Customers between two savings of what was counted."""
KEPT_S: Final = 86_400
"""So long an interrupted fit can be gone on with."""
_CONSTANT_MB: Final = 140
"""Of a fit of a file: libraries' threads, counts of some hundred cells, and the sample; measured."""
_BYTES_A_ROW: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class GridOptions:
    """How to fit the grid."""

    m: float | None = None
    """Weight of a cell's parent in customers; None = chosen by held-out pinball loss."""
    accepted_leaks: Collection[str] = ()
    """Dimensions that may follow an outcome all the same."""
    restart: bool = False
    """Count from the beginning, whatever an interrupted run had counted."""
    files: ArtifactFiles | None = None
    """Where the artifact is also kept as a file."""
    save_every: int = SAVE_EVERY
    """Customers between two savings of what was counted."""


@dataclass(frozen=True, slots=True)
class Told:
    """Whom a run tells how far it is."""

    progress: Progress = no_progress
    """Called with the number of customers done since the last call."""
    expect: Callable[[int], None] = field(default=no_progress)
    """Called once with the number of customers there are."""


@dataclass(frozen=True, slots=True)
class GridRun:
    """What became of a fit."""

    fit: GridFit
    digest: str
    """Of the artifact, which is in use now."""
    seen: int
    """Customers looked at."""
    unreadable: int = 0
    """Customers left out because their row cannot be read."""
    gone: int = 0
    """Customers who were there when the ids were listed, and not when they were read."""
    resumed: int = 0
    """Customers that an interrupted run had looked at already."""
    rejected: int = 0
    """Rows of a file that were left out."""
    rejects: Path | None = None
    """Where those rows are listed."""


async def fit_grid(
    store: Store,
    rulebook: Rulebook,
    *,
    now: float,
    options: GridOptions | None = None,
    told: Told | None = None,
) -> GridRun:
    """Fit the peer grid on all snapshots and put it into use.

    Memory: 16 bytes a customer for the ids (twice that while they are sorted) and what the counts need,
    which depends on cells, not on customers.

    Raises:
        FitError: nobody to count, or a dimension follows an outcome; what is in use stays in use.
        StoreUnavailable: Redis does not answer; run it again, and it goes on where it stopped.
    """
    options, told = options or GridOptions(), told or Told()
    counter, last = await _resumed(store, rulebook) if not options.restart else (GridCounter(rulebook), "")
    resumed, unreadable, gone, saved = counter.seen, 0, 0, counter.seen
    ids = await customer_ids(store)
    told.expect(len(ids))
    rest = ids.filter(ids > last)
    told.progress(len(ids) - len(rest))
    async for batch in population(store, rest):
        counter.add(batch.rows, id_checks_of([customer.encode() for customer in batch.customer_ids]))
        told.progress(len(batch.rows) + batch.unreadable + batch.gone)
        unreadable += batch.unreadable
        gone += batch.gone
        if counter.seen - saved >= options.save_every and batch.customer_ids:
            saved = counter.seen
            await _save(store, counter, rulebook, batch.customer_ids[-1])
    # whatever comes of it, all were counted: the next fit begins anew
    await store.connection.execute("DEL", store.keys.fit_progress)
    fit = counter.finish(m=options.m, ltv=await _ltv_in_use(store), accepted_leaks=options.accepted_leaks)
    digest = await _use(store, fit.fitted, rulebook, now, options.files)
    return GridRun(fit, digest, counter.seen, unreadable=unreadable, gone=gone, resumed=resumed)


async def fit_grid_of_file(
    store: Store,
    rulebook: Rulebook,
    path: Path,
    *,
    now: float,
    as_of: float | None = None,
    options: GridOptions | None = None,
    progress: Callable[[float, int], None] = lambda _share, _rows: None,
) -> GridRun:
    """Fit the peer grid on a Parquet or CSV file of snapshots, and put it into use.

    The file streams through; only the facts that are counted are read. Bad rows, and second rows of a
    customer, are left out and listed in `<file>.rejects.csv`.

    Memory: 20 bytes a row, of which 8 are kept, to know a customer's second row (the rest while these are
    merged), and a constant for libraries, counts, sample and a batch, which depends on the catalogue:
    `memory_of_file`. However large the file or its row groups are, no more of it is in memory.

    Raises:
        NoRoom: the process may not take that memory; nothing was begun.
        InvalidInput: the file cannot be read, or a column is missing or no fact.
        FitError: nobody to count, or a dimension follows an outcome; what is in use stays in use.
        StoreUnavailable: Redis does not answer.
    """
    options = options or GridOptions()
    counter = GridCounter(rulebook)
    codec = RowCodec(rulebook.catalogue)
    with RowFile(path, codec, facts_counted(rulebook), as_of=as_of) as file:
        require_room("`fit grid`", memory_of_file(codec, file.row_count))
        for batch in file.batches():
            counter.add(batch.rows, batch.checks)
            progress(batch.fraction, counter.seen)
    if counter.customers == 0 and file.rejects is not None:
        raise FitError(f"no row can be counted: {file.rejected} are bad, listed with why in {file.rejects}")
    fit = counter.finish(m=options.m, ltv=await _ltv_in_use(store), accepted_leaks=options.accepted_leaks)
    digest = await _use(store, fit.fitted, rulebook, now, options.files)
    return GridRun(fit, digest, counter.seen, rejected=file.rejected, rejects=file.rejects)


def memory_of_file(codec: RowCodec, rows: int) -> int:
    """Bytes that a fit on so many rows takes beyond what the process has taken; 0 rows = not known."""
    return (_CONSTANT_MB + _BYTES_A_ROW * rows // MB) * MB + batch_bytes(codec)


async def _use(
    store: Store, fitted: FittedGrid, rulebook: Rulebook, now: float, files: ArtifactFiles | None
) -> str:
    content = pack_grid(fitted, rulebook.catalogue.fingerprint)
    return (await put_into_use(store, {GRID: content}, now=now, files=files)).digests[GRID]


async def _ltv_in_use(store: Store) -> LtvParameters | None:
    """Lifetime value's parameters, so that a dimension that follows it is found; None if it is not fitted."""
    with suppress(ArtifactError):
        return (await load_artifacts(store)).ltv
    return None


async def _save(store: Store, counter: GridCounter, rulebook: Rulebook, last: str) -> None:
    mark = {"rulebook": rulebook.digest, "last": last}
    await store.connection.execute("SET", store.keys.fit_progress, counter.to_bytes(mark), "EX", KEPT_S)


async def _resumed(store: Store, rulebook: Rulebook) -> tuple[GridCounter, str]:
    """What an interrupted run of the same rulebook had counted, and the last id in it."""
    data = cast("bytes | None", await store.connection.execute("GET", store.keys.fit_progress))
    if data is not None:
        with suppress(ArtifactError, FitError):
            counter, mark = GridCounter.from_bytes(rulebook, data)
            if mark.get("rulebook") == rulebook.digest:
                return counter, str(mark["last"])
    return GridCounter(rulebook), ""
