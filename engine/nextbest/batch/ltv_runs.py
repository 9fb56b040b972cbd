"""Fit lifetime value, check it, keep the check beside the artifact, and put the artifact into use."""

import csv
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from nextbest.artifact import digest_of
from nextbest.batch.calibration import Check, check_fit
from nextbest.batch.contracts import CONTRACT_FACTS, Contracts
from nextbest.batch.endless_contracts import ENDLESS_FACTS
from nextbest.batch.fitting import Progress, fit_purchases
from nextbest.batch.operations import no_progress, put_into_use, read_purchases
from nextbest.batch.purchase_histories import BUYER_BYTES, HISTORY_FACTS, PurchaseReader, Purchases
from nextbest.batch.room import MB, require_room
from nextbest.batch.row_files import RowFile, batch_bytes
from nextbest.data.artifacts import ArtifactFiles
from nextbest.data.store import Store
from nextbest.errors import FitError
from nextbest.fitted import LTV, RETENTION, pack_ltv, pack_retention
from nextbest.potential.ltv_calibration import class_names
from nextbest.potential.ltv_parameters import LtvParameters
from nextbest.potential.retention import RetentionModel
from nextbest.rows import RowCodec
from nextbest.rulebook.rulebook import Rulebook

SEASON = "BG/NBD and Gamma-Gamma know no season: a fit on a holiday quarter expects a holiday quarter"
_CONSTANT_MB = 180
"""Of a fit of a file: libraries' threads, the optimiser, and the picture; measured."""
_BYTES_A_ROW = 20
"""To know a customer's second row."""
SHORT_DIGEST = 12
"""Characters of the artifact's digest in the names of the files that belong to it."""


@dataclass(frozen=True, slots=True)
class BuyersFit:
    """What was fitted on customers without a contract."""

    parameters: LtvParameters
    check: Check
    digest: str
    """Of the artifact, which is in use now."""

    @property
    def stem(self) -> str:
        """First part of the names of the plot and its data."""
        return f"ltv-{self.digest[:SHORT_DIGEST]}-calibration"

    @property
    def warnings(self) -> Sequence[str]:
        """All that a reader must know before trusting the fit."""
        return [*self.parameters.warnings, *self.check.warnings, SEASON]


@dataclass(frozen=True, slots=True)
class LtvRun:
    """What became of a fit: of buyers, of contracts, or of both."""

    buyers: BuyersFit | None
    """None where nobody buys without a contract."""
    contracts: RetentionModel | None
    """None where there are no contracts, or too few."""
    digests: Mapping[str, str]
    """Artifacts in use now by role."""
    directory: Path
    """Where the artifacts, the plot and its data lie."""
    notes: Sequence[str] = ()
    """Why contracts have no retention of their own, and which were not counted."""
    rejected: int = 0
    """Rows of a file that were left out."""
    rejects: Path | None = None
    """Where those rows are listed."""

    @property
    def warnings(self) -> Sequence[str]:
        """All that a reader must know before trusting the fit."""
        parts = [part.warnings for part in (self.buyers, self.contracts) if part is not None]
        return [*(warning for part in parts for warning in part), *self.notes]


async def fit_and_check_ltv(
    store: Store,
    rulebook: Rulebook,
    *,
    now: float,
    directory: Path,
    later: Purchases | None = None,
    progress: Progress = no_progress,
) -> LtvRun:
    """Fit lifetime value on all snapshots, write artifacts, plot and data, and put the artifacts into use.

    Buyers by BG/NBD and Gamma-Gamma, contracts by retention. Everything is written before anything is put
    into use.

    Args:
        store: the snapshots.
        rulebook: horizon, discount rate and default margin.
        now: epoch seconds.
        directory: where to write.
        later: later snapshots of the same customers, to check against; see `calibration.read_later`.
        progress: told how many customers are read.

    Raises:
        InvalidInput, FitError: nothing is written, and what is in use stays in use.
        StoreUnavailable: Redis does not answer.
    """
    found, contracts = await read_purchases(store, rulebook, progress)
    return await _fitted(store, rulebook, found, contracts, now=now, directory=directory, later=later)


async def fit_ltv_of_file(
    store: Store,
    rulebook: Rulebook,
    path: Path,
    *,
    now: float,
    directory: Path,
    as_of: float | None = None,
    later: Purchases | None = None,
    progress: Callable[[float, int], None] = lambda _share, _rows: None,
) -> LtvRun:
    """The same on a Parquet or CSV file of snapshots, of any size.

    The file streams through; only the facts that are fitted are read. Bad rows, and second rows of a
    customer, are left out and listed in `<file>.rejects.csv`.

    Memory: `BUYER_BYTES` a buyer and 20 bytes a row beside a constant: `memory_of_file`.

    Raises:
        NoRoom: the process may not take that memory; nothing was begun.
        InvalidInput, FitError: nothing is written, and what is in use stays in use.
        StoreUnavailable: Redis does not answer.
    """
    codec, reader = RowCodec(rulebook.catalogue), PurchaseReader(rulebook.catalogue)
    contracts, facts = Contracts(rulebook), {*HISTORY_FACTS, *CONTRACT_FACTS, *ENDLESS_FACTS}
    with RowFile(path, codec, facts, as_of=as_of) as file:
        require_room("`fit ltv`", memory_of_file(codec, file.row_count))
        rows = 0
        for batch in file.batches():
            customers = batch.customer_ids.to_list()
            reader.add(customers, batch.checks, batch.rows)
            contracts.add(customers, batch.rows)
            rows += len(customers)
            progress(batch.fraction, rows)
    found = reader.finish()
    run = await _fitted(store, rulebook, found, contracts, now=now, directory=directory, later=later)
    return replace(run, rejected=file.rejected, rejects=file.rejects)


def memory_of_file(codec: RowCodec, rows: int) -> int:
    """Bytes that a fit on so many rows takes beyond what the process has taken; 0 rows = not known."""
    return (_CONSTANT_MB + (BUYER_BYTES + _BYTES_A_ROW) * rows // MB) * MB + batch_bytes(codec)


async def _fitted(
    store: Store,
    rulebook: Rulebook,
    found: Purchases,
    contracts: Contracts,
    *,
    now: float,
    directory: Path,
    later: Purchases | None,
) -> LtvRun:
    retention, notes = _retention(contracts)
    contents = {} if retention is None else {RETENTION: pack_retention(retention)}
    buyers = None
    if retention is None or len(found):
        parameters = fit_purchases(rulebook, found.purchases)
        contents[LTV] = pack_ltv(parameters)
        buyers = BuyersFit(parameters, check_fit(parameters, found, later), digest_of(contents[LTV]))
        write_check(buyers, directory)
    version = await put_into_use(store, contents, now=now, files=ArtifactFiles(directory))
    digests = {role: version.digests[role] for role in contents}
    return LtvRun(buyers, retention, digests, directory, notes)


def _retention(contracts: Contracts) -> tuple[RetentionModel | None, list[str]]:
    """Retention of the contracts, if there are enough, and what is to be said of them."""
    contracts.require_possible()
    undated = f"`{contracts.undated}` contracts without dates are not counted" if contracts.undated else ""
    notes = [note for note in (undated, contracts.endless.note) if note]
    if not contracts.counted:
        return None, notes
    try:
        return contracts.fit(), notes
    except FitError as error:
        return None, [*notes, f"contracts keep their own retention: {error}"]


def write_check(run: BuyersFit, directory: Path) -> None:
    """Write the calibration as a plot (PNG) and as data (JSON, CSV), or nothing.

    Raises:
        OSError: it cannot be written.
    """
    base = directory / run.stem
    directory.mkdir(parents=True, exist_ok=True)
    try:
        _write_check(run, base)
    except OSError:
        for ending in (".png", ".json", ".csv"):
            base.with_suffix(ending).unlink(missing_ok=True)
        raise


def _write_check(run: BuyersFit, base: Path) -> None:
    from nextbest.batch.pictures import draw_calibration  # noqa: PLC0415  (matplotlib costs every start 0.5 s)

    title = f"lifetime value {run.digest[:SHORT_DIGEST]}: {run.parameters.n} buyers"
    draw_calibration(base.with_suffix(".png"), run.check, title)
    base.with_suffix(".json").write_text(json.dumps(document(run), indent=1) + "\n", encoding="utf-8")
    with base.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(_table(run.check))


def document(run: BuyersFit) -> dict[str, object]:
    """The calibration as plain JSON; null = nobody, or not defined."""
    seen, held = run.check.in_sample, run.check.held_out
    return {
        "artifact": run.digest,
        "parameters": run.parameters.to_dict(),
        "in_sample": {
            "by_repeat_purchases": {"class": class_names(seen.width)}
            | _columns(
                customers=seen.customers.tolist(),
                expected_customers=seen.expected_customers.tolist(),
                spend=seen.spend.tolist(),
                expected_spend=seen.expected_spend.tolist(),
            ),
            "by_weeks_observed": _columns(
                weeks=seen.weeks.tolist(),
                purchases=seen.purchases.tolist(),
                expected_purchases=seen.expected_purchases.tolist(),
            ),
        },
        "held_out": None
        if held is None
        else {
            "by_repeat_purchases_at_fit": {"class": class_names(held.width)}
            | _columns(
                customers=held.customers.tolist(),
                purchases=held.purchases.tolist(),
                expected_purchases=held.expected.tolist(),
            ),
            "purchases": held.total,
            "expected_purchases": held.expected_total,
            "mean_absolute_error": _plain(held.mean_absolute_error),
            "correlation": _plain(held.correlation),
            "weeks": held.weeks,
            "unmatched_buyers": run.check.unmatched,
            "contradicting_buyers": run.check.contradicting,
        },
        "warnings": list(run.warnings),
    }


def _columns(**columns: Sequence[float]) -> dict[str, list[float | None]]:
    return {name: [_plain(value) for value in column] for name, column in columns.items()}


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def _table(check: Check) -> Iterable[Sequence[object]]:
    """Long form: what is compared, class, customers, observed, expected."""
    yield "comparison", "class", "customers", "observed", "expected"
    seen, held = check.in_sample, check.held_out
    names = class_names(seen.width)
    counts = cast("list[int]", seen.customers.tolist())
    for k, count in enumerate(counts):
        yield "customers by repeat purchases", names[k], count, count, seen.expected_customers[k]
    for k in range(1, len(counts)):
        text = "value of a purchase by repeat purchases"
        yield text, names[k], counts[k], seen.spend[k], seen.expected_spend[k]
    for k, weeks in enumerate(seen.weeks.tolist()):
        yield "purchases by weeks observed", weeks, "", seen.purchases[k], seen.expected_purchases[k]
    if held is not None:
        text = "held-out purchases by repeat purchases at the fit"
        for k, name in enumerate(class_names(held.width)):
            yield text, name, held.customers[k], held.purchases[k], held.expected[k]
