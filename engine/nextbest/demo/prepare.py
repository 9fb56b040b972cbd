"""From the panel to a store that a service can answer from, by the steps that any deployment takes.

Files are written and loaded as a user's would be, models are fitted on what is stored, stages are
advanced. The same data give the same bytes at every step, so a second run changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from nextbest.batch.grid_fit import GridFit
from nextbest.batch.grid_runs import fit_grid
from nextbest.batch.operations import (
    advance_all_stages,
    data_time,
    fit_ltv,
    load_model,
    loading_model,
    use_propensity,
)
from nextbest.batch.writing import watching
from nextbest.data.history_loader import HistoryReport, load_history
from nextbest.data.loader import LoadReport, load_file
from nextbest.data.store import Store
from nextbest.demo.campaigns import campaign_models, campaign_rows
from nextbest.demo.history import PanelHistory
from nextbest.demo.panel import day_start, week_start
from nextbest.demo.snapshots import write_history, write_snapshots
from nextbest.demo.steps import Steps
from nextbest.errors import InvalidInput, Violation
from nextbest.potential.ltv_parameters import LtvParameters
from nextbest.rulebook.rulebook import Rulebook

AS_OF: date = week_start(27)
"""First day after week 26: snapshots, grid and models know nothing of it or later."""


@dataclass(frozen=True, slots=True)
class Fits:
    """What was fitted and put into use."""

    ltv: LtvParameters
    grid: GridFit
    propensity: Mapping[str, str]
    """Digest by model id."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What preparing found and changed."""

    snapshots: LoadReport
    history: HistoryReport
    fits: Fits
    models_changed: int
    """Artifacts in use now that were not before."""
    stages: Mapping[str, int]
    """Customers by what became of their stage state."""
    model_digest: str
    time: float
    """Epoch seconds of the data: latest as_of."""

    @property
    def customers(self) -> int:
        """Snapshots that the files hold."""
        return self.snapshots.loaded + self.snapshots.unchanged

    @property
    def changes(self) -> int:
        """Everything that is different from before; 0 on a second run."""
        written = self.stages.get("written", 0)
        return self.snapshots.loaded + self.history.recorded + self.models_changed + written

    def to_dict(self) -> dict[str, object]:
        """What was prepared, for JSON."""
        ltv, grid = self.fits.ltv, self.fits.grid
        return {
            "as_of": AS_OF.isoformat(),
            "customers": self.customers,
            "snapshots": {"loaded": self.snapshots.loaded, "unchanged": self.snapshots.unchanged},
            "history": {"recorded": self.history.recorded, "unchanged": self.history.unchanged},
            "ltv": {"buyers": ltv.n, "log_likelihood": ltv.log_likelihood, "warnings": list(ltv.warnings)},
            "grid": {
                "customers": grid.customers,
                "cells": len(grid.fitted.grid.tree.parent),
                "dimensions": list(grid.fitted.grid.dimensions),
                "m": grid.fitted.grid.m,
            },
            "propensity_models": sorted(self.fits.propensity),
            "stages": dict(self.stages),
            "model_digest": self.model_digest,
            "changes": self.changes,
        }


async def prepare(
    store: Store, rulebook: Rulebook, history: PanelHistory, directory: Path, steps: Steps
) -> Prepared:
    """Load the panel as of `AS_OF`, fit everything and advance stages.

    Args:
        store: where to.
        rulebook: what the snapshots' facts, the fits and the stages are defined by.
        history: the panel.
        directory: where the files are written that are then loaded.
        steps: told what is being done.

    Raises:
        InvalidInput: rows were rejected: the panel and the rulebook's facts do not fit together.
        FitError, StoreUnavailable: what is in use stays in use.
    """
    with steps.step("load snapshots and contacts") as say:
        loaded, recorded = await _load(store, rulebook, history, directory)
        say(f"{loaded.loaded} loaded, {loaded.unchanged} unchanged; {recorded.recorded} contacts recorded")
    before = set((await store.artifacts.active()).digests.values())
    now = float(day_start(AS_OF).timestamp())
    with steps.step("fit lifetime value, peer grid and campaign response") as say:
        fits = await _fit(store, rulebook, history, now)
        say(f"{fits.ltv.n} buyers, {fits.grid.customers} peers, {len(fits.propensity)} campaign types")
    with steps.step("advance loyalty stages") as say:
        model = await load_model(store, rulebook)
        stages = await advance_all_stages(store, model, now=now)
        say(", ".join(f"{count} {what}" for what, count in sorted(stages.items())))
    after = set((await store.artifacts.active()).digests.values())
    return Prepared(loaded, recorded, fits, len(after - before), stages, model.digest, await data_time(store))


async def _load(
    store: Store, rulebook: Rulebook, history: PanelHistory, directory: Path
) -> tuple[LoadReport, HistoryReport]:
    snapshots, contacts = _write_files(history, directory)
    watched = watching(await loading_model(store, rulebook), now=float(day_start(AS_OF).timestamp()))
    loaded = await load_file(snapshots, store.snapshots, watching=watched)
    recorded = await load_history(contacts, store.histories, store.names)
    for report, path in ((loaded, snapshots), (recorded, contacts)):
        if report.rejected:
            problem = f"{report.rejected} rows do not fit the rulebook, see `{report.rejects}`"
            raise InvalidInput([Violation(path.name, problem)])
    return loaded, recorded


def _write_files(history: PanelHistory, directory: Path) -> tuple[Path, Path]:
    directory.mkdir(parents=True, exist_ok=True)
    snapshots, contacts = directory / "snapshots.parquet", directory / "contacts.parquet"
    write_snapshots(snapshots, history, as_of=AS_OF)
    write_history(contacts, history, until=AS_OF)
    return snapshots, contacts


async def _fit(store: Store, rulebook: Rulebook, history: PanelHistory, now: float) -> Fits:
    ltv = await fit_ltv(store, rulebook, now=now)
    grid = (await fit_grid(store, rulebook, now=now)).fit
    models = campaign_models(campaign_rows(history, until=AS_OF), AS_OF)
    digests = {name: await use_propensity(store, model, now=now) for name, model in models.items()}
    return Fits(ltv, grid, digests)
