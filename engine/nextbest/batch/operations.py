"""What operators run over a whole population: fit, advance stages, and assemble what is in use."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import polars as pl

from nextbest.assembly import Artifacts, Model, assemble
from nextbest.batch.contracts import Contracts
from nextbest.batch.endless_contracts import EndlessContracts
from nextbest.batch.fitting import Progress, fit_purchases
from nextbest.batch.purchase_histories import PurchaseReader, Purchases
from nextbest.batch.writing import changing, evaluated
from nextbest.data.artifacts import ArtifactFiles, ModelVersion
from nextbest.data.registry import NameRegistries
from nextbest.data.snapshots import WriteStatus
from nextbest.data.store import Store
from nextbest.errors import ArtifactError, FitError
from nextbest.fitted import LTV, pack_ltv, pack_propensity, read_artifacts
from nextbest.id_check import id_checks_of
from nextbest.learning.propensity import PropensityModel
from nextbest.model import F64, Rows
from nextbest.potential.ltv_parameters import LtvParameters
from nextbest.rings import CodeTranslation
from nextbest.rows import RowProblem
from nextbest.rulebook.rulebook import Rulebook

BATCH_CUSTOMERS = 4096
"""Customers read at a time: some 3 MB of rows."""


@dataclass(frozen=True, slots=True)
class PopulationBatch:
    """Some customers whose snapshots could be read."""

    customer_ids: list[str]
    rows: Rows
    unreadable: int
    """Customers of this batch that were left out because their row cannot be read."""
    gone: int = 0
    """Customers of this batch who were erased, or whose snapshot expired, since the ids were listed."""


def no_progress(_customers: int) -> None:
    """Say nothing."""


async def customer_ids(store: Store) -> pl.Series:
    """Ids of all customers with a snapshot, once each and in order.

    Redis scans in an order of its own and may name a customer twice; sums of floats depend on the
    order, so only a fixed one gives the same fit, and the same digest, for the same data.

    Cost: 16 bytes a customer with an id of up to 12 bytes, twice that while sorting.
    """
    found = [pl.Series(some, dtype=pl.String) async for some in store.snapshots.scan()]
    return pl.concat([pl.Series([], dtype=pl.String), *found]).unique().sort()


async def population(store: Store, ids: pl.Series | None = None) -> AsyncGenerator[PopulationBatch]:
    """Walk over every customer with a snapshot, once each and in order of id.

    Args:
        store: where the snapshots are.
        ids: some customers instead of all, in their order.
    """
    wanted = await customer_ids(store) if ids is None else ids
    for start in range(0, len(wanted), BATCH_CUSTOMERS):
        yield await read_batch(store, wanted.slice(start, BATCH_CUSTOMERS).to_list())


async def read_batch(store: Store, customer_ids: list[str]) -> PopulationBatch:
    """Some customers' snapshots; who has none, or one that cannot be read, is left out and counted."""
    decoded = await store.snapshots.get_many(customer_ids)
    readable = decoded.problems == RowProblem.NONE
    if readable.all():
        return PopulationBatch(customer_ids, decoded.rows, 0)
    kept, gone = np.flatnonzero(readable), int((decoded.problems == RowProblem.ABSENT).sum())
    return PopulationBatch(
        [customer_ids[i] for i in kept],
        _picked(decoded.rows, kept),
        len(readable) - len(kept) - gone,
        gone,
    )


def _picked(rows: Rows, index: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Rows:
    return Rows(rows.as_of[index], rows.numbers[index], rows.words[index], rows.known[index])


async def fit_ltv(
    store: Store, rulebook: Rulebook, *, now: float, progress: Progress = no_progress
) -> LtvParameters:
    """Fit lifetime value of buyers on all snapshots and put it into use.

    Raises:
        InvalidInput, FitError: what is in use stays in use.
    """
    found, _ = await read_purchases(store, rulebook, progress)
    parameters = fit_purchases(rulebook, found.purchases)
    await put_into_use(store, {LTV: pack_ltv(parameters)}, now=now)
    return parameters


async def read_purchases(
    store: Store, rulebook: Rulebook, progress: Progress = no_progress
) -> tuple[Purchases, Contracts]:
    """Read every buyer's purchase history, and count the contracts.

    Cost: 16 bytes a customer for ids of up to 12 bytes, twice that while sorting; and `BUYER_BYTES`.

    Raises:
        InvalidInput: impossible purchase histories, by customer.
    """
    reader, contracts = PurchaseReader(rulebook.catalogue), Contracts(rulebook)
    async for batch in population(store):
        checks = id_checks_of([customer.encode() for customer in batch.customer_ids])
        reader.add(batch.customer_ids, checks, batch.rows)
        contracts.add(batch.customer_ids, batch.rows)
        progress(len(batch.rows))
    return reader.finish(), contracts


async def put_into_use(
    store: Store, contents: Mapping[str, bytes], *, now: float, files: ArtifactFiles | None = None
) -> ModelVersion:
    """Store artifacts as files, if wanted, and in Redis, then put all of them into use in one step.

    Args:
        store: where to.
        contents: role to artifact.
        now: epoch seconds.
        files: where the artifacts are also kept as files.

    Raises:
        StoreUnavailable: Redis does not answer; what is in use stays in use, or all have changed.
    """
    for content in contents.values():
        if files is not None:
            files.put(content)
    digests = {role: await store.artifacts.put(content, now=now) for role, content in contents.items()}
    return await store.artifacts.activate(digests, now=now)


async def use_propensity(store: Store, model: PropensityModel, *, now: float) -> str:
    """Store a fitted propensity model and put it into use; returns its digest."""
    digest = await store.artifacts.put(pack_propensity(model), now=now)
    await store.artifacts.activate({f"propensity/{model.id}": digest}, now=now)
    return digest


async def load_artifacts(store: Store) -> Artifacts:
    """Read the artifacts in use.

    Raises:
        ArtifactError: one is gone or damaged.
        StoreUnavailable: Redis does not answer.
    """
    version = await store.artifacts.active()
    contents: list[bytes] = []
    for digest in version.digests.values():
        await store.artifacts.get(digest)
        reply = await store.connection.execute("GET", store.keys.artifact(digest))
        contents.append(cast("bytes", reply))
    return read_artifacts(contents)


async def load_model(store: Store, rulebook: Rulebook) -> Model:
    """Assemble a rulebook with the artifacts in use.

    Raises:
        ArtifactError: an artifact does not fit the rulebook, or one it names is missing.
        StoreUnavailable: Redis does not answer.
    """
    return assemble(rulebook, await load_artifacts(store))


async def loading_model(store: Store, rulebook: Rulebook) -> Model:
    """Assemble a rulebook for a loader, without artifacts if they do not fit: those need what is loaded.

    Raises:
        ArtifactError: the rulebook names a model that is not fitted, without a prior until then.
        StoreUnavailable: Redis does not answer.
    """
    try:
        return await load_model(store, rulebook)
    except ArtifactError:
        return assemble(rulebook, Artifacts())


async def data_time(store: Store) -> float:
    """The time of the newest data: when the grid in use was fitted, else the newest snapshot.

    Raises:
        FitError: there are no data.
    """
    artifacts = await load_artifacts(store)
    return await newest_snapshot(store) if artifacts.grid is None else artifacts.grid.fitted_at


async def newest_snapshot(store: Store) -> float:
    """The time of the newest snapshot; reads them all.

    Raises:
        FitError: there are none.
    """
    latest = [float(batch.rows.as_of.max()) async for batch in population(store) if len(batch.rows)]
    if not latest:
        raise FitError("there are no snapshots to take the time from")
    return max(latest)


async def advance_all_stages(
    store: Store,
    model: Model,
    *,
    now: float,
    endless: EndlessContracts | None = None,
    progress: Progress = no_progress,
) -> Mapping[str, int]:
    """Advance every customer's stage state, as after a fit or a rulebook change; a change may fire triggers.

    Args:
        store: the snapshots.
        model: rulebook and artifacts.
        now: epoch seconds.
        endless: counts the contracts that have no lifetime value, while their snapshots are read.
        progress: told how many customers are done.

    Returns:
        Count of customers by what became of their row: `written`, `unchanged`, and other `WriteStatus`.
    """
    counts: dict[str, int] = {}

    def change(_ids: Sequence[str], rows: Rows) -> Mapping[str, F64]:
        return evaluated(model, rows, rows, np.full(len(rows), now))

    async for batch in population(store):
        advance = changing(store.snapshots.codec, change)
        status = await store.snapshots.exchange_rows(batch.customer_ids, advance)
        for value, count in zip(*np.unique(status, return_counts=True), strict=True):
            name = WriteStatus(int(value)).name.lower()
            counts[name] = counts.get(name, 0) + int(count)
        if endless is not None:
            endless.add(batch.customer_ids, batch.rows)
        progress(len(batch.rows))
    return counts


async def translation(names: NameRegistries, rulebook: Rulebook) -> CodeTranslation:
    """From registry codes in stored histories to this rulebook's indices; registers its names."""
    for kind, index in names_of(rulebook).items():
        await names.codes(kind, index)
    return await known_translation(names, rulebook)


async def known_translation(names: NameRegistries, rulebook: Rulebook) -> CodeTranslation:
    """As `translation`, without registering what is not registered: for a look at the past."""
    await names.refresh()
    return CodeTranslation.between(names.names, names_of(rulebook))


def names_of(rulebook: Rulebook) -> Mapping[str, Mapping[str, int]]:
    """What a history may name, by kind, with the rulebook's index of each."""
    return {
        "action": rulebook.action_index,
        "treatment": rulebook.treatment_index,
        "trigger": rulebook.trigger_index,
        "event": {name: i for i, name in enumerate(rulebook.event_kinds)},
        "channel": rulebook.channel_index,
        "placement": rulebook.placement_index,
    }
