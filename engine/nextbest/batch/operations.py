"""What operators run over a whole population: fit, advance stages, and assemble what is in use."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from nextbest.assembly import Artifacts, Model, assemble
from nextbest.batch.fitting import GridFit, Progress, fit_ltv_parameters, fit_peer_grid
from nextbest.batch.stages import advanced_stages
from nextbest.behaviour.stage import STAGE_STATE_FACTS
from nextbest.data.registry import NameRegistries
from nextbest.data.snapshots import WriteStatus
from nextbest.data.store import Store
from nextbest.errors import FitError
from nextbest.fitted import pack_grid, pack_ltv, pack_propensity, read_artifacts
from nextbest.learning.propensity import PropensityModel
from nextbest.model import Rows
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


def no_progress(_customers: int) -> None:
    """Say nothing."""


async def population(store: Store) -> AsyncGenerator[PopulationBatch]:
    """Walk over every customer with a snapshot, once each and in order of id.

    Redis scans in an order of its own and may name a customer twice; sums of floats depend on the
    order, so only a fixed one gives the same fit, and the same digest, for the same data.
    """
    found = {customer_id async for some in store.snapshots.scan() for customer_id in some}
    customer_ids = sorted(found)
    for start in range(0, len(customer_ids), BATCH_CUSTOMERS):
        yield await _batch(store, customer_ids[start : start + BATCH_CUSTOMERS])


async def _batch(store: Store, customer_ids: list[str]) -> PopulationBatch:
    decoded = await store.snapshots.get_many(customer_ids)
    readable = decoded.problems == RowProblem.NONE
    if readable.all():
        return PopulationBatch(customer_ids, decoded.rows, 0)
    kept = np.flatnonzero(readable)
    return PopulationBatch(
        [customer_ids[i] for i in kept], _picked(decoded.rows, kept), int(len(readable) - len(kept))
    )


def _picked(rows: Rows, index: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Rows:
    return Rows(rows.as_of[index], rows.numbers[index], rows.words[index], rows.known[index])


async def fit_ltv(
    store: Store, rulebook: Rulebook, *, now: float, progress: Progress = no_progress
) -> LtvParameters:
    """Fit lifetime value on all snapshots and put it into use.

    Raises:
        InvalidInput, FitError: what is in use stays in use.
    """
    batches = [batch.rows async for batch in population(store)]
    parameters = fit_ltv_parameters(rulebook, batches, progress)
    digest = await store.artifacts.put(pack_ltv(parameters), now=now)
    await store.artifacts.activate({"ltv": digest}, now=now)
    return parameters


async def fit_grid(
    store: Store,
    rulebook: Rulebook,
    *,
    now: float,
    progress: Progress = no_progress,
    m: float | None = None,
) -> GridFit:
    """Fit the peer grid on all snapshots and put it into use.

    Raises:
        FitError: what is in use stays in use.
    """
    batches = [batch.rows async for batch in population(store)]
    found = fit_peer_grid(rulebook, batches, progress, m=m)
    content = pack_grid(found.fitted, rulebook.catalogue.fingerprint)
    digest = await store.artifacts.put(content, now=now)
    await store.artifacts.activate({"grid": digest}, now=now)
    return found


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


async def data_time(store: Store) -> float:
    """The time of the newest data: when the grid in use was fitted, else the newest snapshot.

    Raises:
        FitError: there are no data.
    """
    artifacts = await load_artifacts(store)
    if artifacts.grid is not None:
        return artifacts.grid.fitted_at
    latest = [float(batch.rows.as_of.max()) async for batch in population(store) if len(batch.rows)]
    if not latest:
        raise FitError("there are no snapshots to take the time from")
    return max(latest)


async def advance_all_stages(
    store: Store, model: Model, *, now: float, progress: Progress = no_progress
) -> Mapping[str, int]:
    """Advance every customer's stage state, as after a fit or a rulebook change.

    Returns:
        Count of customers by what became of their row: `written`, `unchanged`, and other `WriteStatus`.
    """
    counts: dict[str, int] = {}
    async for batch in population(store):
        state = advanced_stages(model, batch.rows, np.full(len(batch.rows), now))
        columns = {
            name: state[:, place]
            for place, name in enumerate(STAGE_STATE_FACTS)
            if name in model.rulebook.catalogue
        }
        status = await store.snapshots.write_numbers(batch.customer_ids, columns)
        for value, count in zip(*np.unique(status, return_counts=True), strict=True):
            name = WriteStatus(int(value)).name.lower()
            counts[name] = counts.get(name, 0) + int(count)
        progress(len(batch.rows))
    return counts


async def translation(names: NameRegistries, rulebook: Rulebook) -> CodeTranslation:
    """From registry codes in stored histories to this rulebook's indices; registers its names."""
    wanted: Mapping[str, Mapping[str, int]] = {
        "action": rulebook.action_index,
        "treatment": rulebook.treatment_index,
        "trigger": rulebook.trigger_index,
        "event": {name: i for i, name in enumerate(rulebook.event_kinds)},
        "channel": rulebook.channel_index,
        "placement": rulebook.placement_index,
    }
    for kind, index in wanted.items():
        await names.codes(kind, index)
    await names.refresh()
    return CodeTranslation.between(names.names, wanted)
