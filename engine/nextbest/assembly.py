"""The model that decisions are made with: a rulebook and its artifacts, assembled once, immutable."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from nextbest.action.tables import Tables, pack_rulebook
from nextbest.artifact import model_digest
from nextbest.behaviour.index import loyalty_columns
from nextbest.behaviour.quality import AttitudeTables, QualityTables, attitude_tables, quality_tables
from nextbest.errors import ArtifactError
from nextbest.facts import Catalogue
from nextbest.learning.propensity import PropensityModel
from nextbest.learning.until_fitted import served_rulebook, unfitted_models
from nextbest.model import F64, I64
from nextbest.potential.grid import PeerGrid
from nextbest.potential.ltv_parameters import LtvParameters
from nextbest.potential.peer_windows import asks_peers
from nextbest.potential.peers import PeerRates
from nextbest.potential.retention import RetentionModel
from nextbest.potential.tables import MEDIAN, PotentialTables
from nextbest.rulebook.growth import diverging_retention
from nextbest.rulebook.rulebook import Rulebook
from nextbest.valuation import WorthTables, worth_tables

VALUE, PROFIT = 0, 1
"""Places of the outcomes in the peer grid."""
OUTCOMES = ("actual_value", "actual_profit")
"""Outcomes that decisions read; a grid may hold more after them, such as revenue for share of wallet."""
PEER_SET = "owned_categories"
"""The set fact whose members peers are counted by."""
LTV_FACTS = (
    "repeat_purchases",
    "recency_weeks",
    "observed_weeks",
    "mean_repeat_value",
    "margin_rate",
    "contract_state",
    "contract_margin",
    "contract_retention",
)
"""Standard facts that lifetime value reads."""


@dataclass(frozen=True, slots=True)
class FittedGrid:
    """A peer grid and when its customers were counted."""

    grid: PeerGrid
    fitted_at: float
    """Latest as_of among the snapshots counted, epoch seconds: later ones are not in the fit."""
    rates: PeerRates | None = None
    """Who owns what in each cell; None where the catalogue has no owned categories."""
    catalogue_fingerprint: int | None = None
    """The catalogue it was fitted on; None = not recorded."""
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Members of each dimension that is an enum, in the order of the grid's codes."""
    accepted_leaks: tuple[str, ...] = ()
    """What was accepted at the fit although it makes gaps vanish, in words."""


@dataclass(frozen=True, slots=True)
class Artifacts:
    """What was fitted from data; all optional, so that a service can start before the first fit."""

    ltv: LtvParameters | None = None
    grid: FittedGrid | None = None
    retention: RetentionModel | None = None
    propensity: Mapping[str, PropensityModel] = field(default_factory=dict[str, PropensityModel])
    digests: Mapping[str, str] = field(default_factory=dict[str, str])
    """Digest of each artifact by `ltv`, `retention`, `grid` and `propensity/<id>`."""


@dataclass(frozen=True, slots=True)
class Peers:
    """The peer grid as decisions read it."""

    tables: PotentialTables
    columns: I64
    """Columns of the peer dimensions, -1 = missing."""
    tau_of_stage: I64
    """(stages,) places of each stage's stretch quantile."""
    median: int
    fitted_at: float
    rates: F64 | None
    """(C, J, 4) by `PeerFigure` for the J members of the rulebook's owned categories, NaN = unknown; None
    where no expression asks what peers have, or the grid does not know."""
    offers: F64 | None = None
    """The same for explanations, whether or not an expression asks."""


@dataclass(frozen=True, slots=True)
class Propensities:
    """A fitted model and where its facts lie."""

    model: PropensityModel
    columns: I64


@dataclass(frozen=True, eq=False)
class Model:
    """A rulebook with its artifacts, in the form kernels read. Equal digests decide equally."""

    rulebook: Rulebook
    """As compiled, but that actions whose model is not fitted have their prior."""
    artifacts: Artifacts
    digest: str
    """Identity of everything that shapes a decision besides row, history, context, state and time."""
    tables: Tables
    worth: WorthTables
    ltv_columns: I64
    """Columns of `LTV_FACTS`."""
    loyalty_columns: I64
    quality: QualityTables
    attitude: AttitudeTables
    peers: Peers | None
    propensities: tuple[Propensities, ...]
    """In the order of `Rulebook.propensity_models`."""
    ltv_parameters: F64 | None
    unfitted: tuple[str, ...] = ()
    """Propensity models that the rule files name and that priors stand in for."""


def assemble(rulebook: Rulebook, artifacts: Artifacts) -> Model:
    """Put a rulebook and its artifacts together.

    Raises:
        ArtifactError: an artifact does not fit the rulebook, or one it names is missing and the rules
            say nothing for the time until it is fitted.
    """
    compiled, rulebook = rulebook, served_rulebook(rulebook, artifacts.propensity)
    require_growth_that_ends(rulebook, artifacts)
    return Model(
        rulebook=rulebook,
        artifacts=artifacts,
        digest=model_digest(rulebook.digest, artifacts.digests),
        tables=pack_rulebook(rulebook),
        worth=worth_tables(rulebook),
        ltv_columns=np.array([rulebook.catalogue.column(f) for f in LTV_FACTS], np.int64),
        loyalty_columns=loyalty_columns(rulebook.catalogue),
        quality=quality_tables(rulebook.catalogue),
        attitude=attitude_tables(rulebook.catalogue),
        peers=None if artifacts.grid is None else _peers(rulebook, artifacts.grid),
        propensities=tuple(_propensity(rulebook, artifacts, name) for name in rulebook.propensity_models),
        ltv_parameters=None if artifacts.ltv is None else artifacts.ltv.to_array(),
        unfitted=unfitted_models(compiled, artifacts.propensity),
    )


def _peers(rulebook: Rulebook, fitted: FittedGrid) -> Peers:
    strategy, grid = rulebook.strategy, fitted.grid
    if grid.dimensions != strategy.peer_dimensions:
        raise ArtifactError(
            f"the grid was fitted on dimensions {list(grid.dimensions)},"
            f" the strategy names {list(strategy.peer_dimensions)}: run `nextbest fit grid`"
        )
    if grid.outcomes[: len(OUTCOMES)] != OUTCOMES:
        raise ArtifactError(f"the grid holds outcomes {list(grid.outcomes)}, not {list(OUTCOMES)}")
    require_same_codes(fitted, rulebook.catalogue)
    tables = grid.tables(strategy.stretch.tolist())
    offers = None if fitted.rates is None else _rates(fitted.rates, rulebook.catalogue)
    return Peers(
        tables=tables,
        columns=np.array([rulebook.catalogue.column(d) for d in grid.dimensions], np.int64),
        tau_of_stage=np.array([tables.tau_index(tau) for tau in strategy.stretch.tolist()], np.int64),
        median=tables.tau_index(MEDIAN),
        fitted_at=fitted.fitted_at,
        rates=offers if asks_peers(rulebook.program) else None,
        offers=offers,
    )


def yearly_discount(rulebook: Rulebook, artifacts: Artifacts) -> float:
    """Of lifetime value: as it was fitted, else the strategy's."""
    return rulebook.strategy.ltv_discount_rate if artifacts.ltv is None else artifacts.ltv.yearly_discount


def require_growth_that_ends(rulebook: Rulebook, artifacts: Artifacts) -> None:
    """Refuse a growth of contracts with which the fitted retention makes a contract worth endlessly much.

    Retention by tenure rises to 1, so no growth at or above the discount is below it for everybody.

    Raises:
        ArtifactError: r(1+g) ≥ 1+d for contracts of some tenure, or for all.
    """
    fitted, growth = artifacts.retention, rulebook.strategy.contract_growth
    discount = yearly_discount(rulebook, artifacts)
    if fitted is None or growth <= 0.0 or growth < discount:
        return
    bound = diverging_retention(discount, growth)
    if fitted.alpha is not None and fitted.beta is not None:
        # (β+t)/(α+β+t) ≥ bound, at the first whole t; at a bound of 1 only in the limit.
        renewals = math.inf if bound >= 1.0 else bound * fitted.alpha / (1.0 - bound) - fitted.beta
        whose = f"that of contracts renewed {math.ceil(max(0.0, renewals))} times" if renewals < 1e6 else "it"
        what = f"retention by tenure rises to 1, and {whose} reaches {bound:.3f}"
    elif fitted.rate >= bound:
        what = f"the fitted retention {fitted.rate:.3f} is not below {bound:.3f}"
    else:
        return
    raise ArtifactError(
        f"`lifetime.contract_growth` {growth:g} makes contracts worth endlessly much at a discount of"
        f" {discount:g}: {what}; lower it below the discount rate in strategy.yaml"
    )


def require_same_codes(fitted: FittedGrid, catalogue: Catalogue) -> None:
    """Refuse a grid whose codes mean something else in this catalogue.

    A catalogue only grows, so a later one reads the grid of an earlier one: members keep their codes.

    Raises:
        ArtifactError: the grid was fitted on another catalogue, in which a dimension has other members.
    """
    made_for = fitted.catalogue_fingerprint
    if made_for is None or made_for == catalogue.fingerprint:
        return
    for dimension in fitted.grid.dimensions:
        known = catalogue[dimension].values if dimension in catalogue else ()
        members = fitted.members.get(dimension)
        if members is None or known[: len(members)] != members:
            raise ArtifactError(
                f"the grid was fitted on another catalogue (`{made_for:016x}`), in which `{dimension}`"
                " has other members: run `nextbest fit grid`"
            )


def _rates(rates: PeerRates, catalogue: Catalogue) -> F64:
    """Figures in the order of the catalogue's members; those that the fit did not know are NaN."""
    members = catalogue[PEER_SET].values if PEER_SET in catalogue else ()
    figures = rates.figures()
    found = np.full((figures.shape[0], len(members), figures.shape[2]), np.nan)
    for place, member in enumerate(members):
        if member in rates.categories:
            found[:, place] = figures[:, rates.categories.index(member)]
    return found


def _propensity(rulebook: Rulebook, artifacts: Artifacts, name: str) -> Propensities:
    model = artifacts.propensity[name]
    return Propensities(model, model.columns(rulebook.catalogue.columns))
