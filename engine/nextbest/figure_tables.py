"""What the figures of a customer are computed with: a model's parameters in the form one kernel takes."""

from enum import IntEnum
from typing import NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt

from nextbest.assembly import Model, Peers
from nextbest.behaviour.index import COMPONENTS
from nextbest.behaviour.quality import QualityTables
from nextbest.facts import Catalogue
from nextbest.model import F64, I32, I64
from nextbest.potential.ltv import LtvColumn, ltv_horizons
from nextbest.potential.value import ProfitTerm, ValueInput, ValueTerm


class FactColumn(IntEnum):
    """Places in `FigureTables.facts`."""

    EXPOSURE_SHARE = 0
    LAST_PURCHASE = 1
    POSITIVE_MENTIONS = 2
    NEGATIVE_MENTIONS = 3
    SPENT_ON_CUSTOMER = 4


class Flag(IntEnum):
    """Rows of `FigureTables.flags`."""

    COMPLAINT_OPEN = 0
    LOCK_IN = 1


class FigureNumber(IntEnum):
    """Places in `FigureTables.numbers`; NaN where nothing is fitted."""

    DEFAULT_MARGIN = 0
    CREDIBILITY_YEARS = 1
    GAP_CAP = 2
    GAP_FLOOR = 3
    REFERRAL_WORTH = 4
    REFERRAL_WEIGHT = 5
    CEILING_SHARE = 6
    YEARLY_DISCOUNT = 7
    HORIZON_YEARS = 8
    FREQUENCY_BOUND = 9
    FITTED_AT = 10


class PeerTables(NamedTuple):
    """The peer grid; every array is empty without one."""

    columns: I64
    """Columns of the peer dimensions, -1 = missing."""
    pointers: I32
    """With the next two `CellTree.children()`."""
    codes: I32
    cells: I32
    tau_of_stage: I64
    """(stages,) places of each stage's stretch quantile."""
    quantiles: F64
    """(O, C, T, 4) `PotentialTables.quantiles`."""
    means: F64
    """(O, C) `PotentialTables.backed_off_mean`."""
    sizes: I64
    """(O, C) `PotentialTables.n`."""


class FigureTables(NamedTuple):
    """A model as `fill_figures` takes it. Parts that are not fitted are empty; the types never change."""

    facts: I64
    """(FactColumn,) columns, -1 = not in the catalogue."""
    flags: I64
    """(Flag, 4) known word, known bit, word and shift of a bool fact; -1 = not in the catalogue."""
    numbers: F64
    """(FigureNumber,)."""
    ltv: F64
    """(10,) as `LtvParameters.to_array` gives them; empty = not fitted."""
    ltv_columns: I64
    """Columns of `assembly.LTV_FACTS`."""
    horizons: F64
    """(m,) what `ltv_horizons` gives for the parameters."""
    horizon_weights: F64
    """(m,)."""
    places: I64
    """(2,) of one year among the horizons, and of .5 among the grid's quantiles."""
    loyalty_columns: I64
    stage_parameters: F64
    quality: QualityTables
    value_columns: I64
    """Columns of `valuation.VALUE_FACTS`."""
    activities: I64
    activity_costs: F64
    benefits: I64
    benefit_worths: F64
    rates: F64
    """(ValueRate,)."""
    peers: PeerTables


def figure_tables(model: Model) -> FigureTables:
    """Lay out a model for the figures' kernel."""
    rulebook, worth = model.rulebook, model.worth
    column = rulebook.catalogue.column
    horizons, weights, year = _horizons(model.ltv_parameters)
    return FigureTables(
        facts=_whole([column(fact.name.lower()) for fact in FactColumn]),
        flags=_frozen(np.array([_place(rulebook.catalogue, f.name.lower()) for f in Flag], np.int64)),
        numbers=_frozen(_numbers(model)),
        ltv=_frozen(np.empty(0) if model.ltv_parameters is None else model.ltv_parameters),
        ltv_columns=_frozen(model.ltv_columns),
        horizons=_frozen(horizons),
        horizon_weights=_frozen(weights),
        places=_whole([year, 0 if model.peers is None else model.peers.median]),
        loyalty_columns=_frozen(model.loyalty_columns),
        stage_parameters=_frozen(rulebook.stages.array),
        quality=model.quality,
        value_columns=_frozen(worth.columns),
        activities=_frozen(worth.activities),
        activity_costs=_frozen(worth.activity_costs),
        benefits=_frozen(worth.benefits),
        benefit_worths=_frozen(worth.benefit_worths),
        rates=_frozen(worth.rates),
        peers=_peer_tables(model.peers),
    )


def new_scratch(tables: FigureTables) -> tuple[F64, F64]:
    """Memory that one pass works in, (4, horizons) and (7, widest row)."""
    width = max(_WIDEST, len(tables.activities), len(tables.benefits))
    return np.empty((4, len(tables.horizons))), np.empty((7, width))


_WIDEST = max(map(len, (LtvColumn, ValueInput, ProfitTerm, ValueTerm, COMPONENTS)))


def _numbers(model: Model) -> F64:
    strategy, value = model.rulebook.strategy, model.rulebook.value
    numbers = np.full(len(FigureNumber), np.nan)
    numbers[FigureNumber.DEFAULT_MARGIN] = value.default_margin_rate
    numbers[FigureNumber.CREDIBILITY_YEARS] = value.credibility_years
    numbers[FigureNumber.GAP_CAP] = strategy.gap_cap
    numbers[FigureNumber.GAP_FLOOR] = strategy.gap_floor
    numbers[FigureNumber.REFERRAL_WORTH] = strategy.referral_worth
    numbers[FigureNumber.REFERRAL_WEIGHT] = strategy.referral_weight
    numbers[FigureNumber.CEILING_SHARE] = strategy.ceiling_share
    if model.artifacts.ltv is not None:
        numbers[FigureNumber.YEARLY_DISCOUNT] = model.artifacts.ltv.yearly_discount
        numbers[FigureNumber.HORIZON_YEARS] = model.artifacts.ltv.horizon_years
        numbers[FigureNumber.FREQUENCY_BOUND] = model.artifacts.ltv.frequency_top_quartile
    if model.peers is not None:
        numbers[FigureNumber.FITTED_AT] = model.peers.fitted_at
    return numbers


def _horizons(parameters: F64 | None) -> tuple[F64, F64, int]:
    if parameters is None:
        return np.empty(0), np.empty(0), 0
    return ltv_horizons(parameters[7], parameters[8], int(parameters[9]))


def _place(catalogue: Catalogue, name: str) -> tuple[int, int, int, int]:
    place = catalogue.bits.get(name)
    if place is None:
        return (-1, 0, 0, 0)
    return (place.known_word, place.known_bit, place.word, place.shift)


def _peer_tables(peers: Peers | None) -> PeerTables:
    if peers is None:
        codes, nothing = _frozen(np.empty(0, np.int32)), _whole([])
        none, sizes = np.empty((0, 0)), np.empty((0, 0), np.int64)
        quantiles = _frozen(np.empty((0, 0, 0, 4)))
        return PeerTables(nothing, codes, codes, codes, nothing, quantiles, _frozen(none), _frozen(sizes))
    tables = peers.tables
    pointers, codes, cells = map(_frozen, tables.children)
    return PeerTables(
        _frozen(peers.columns),
        pointers,
        codes,
        cells,
        _frozen(peers.tau_of_stage),
        _frozen(tables.quantiles),
        _frozen(tables.backed_off_mean),
        _frozen(tables.n),
    )


_Array = TypeVar("_Array", bound=npt.NDArray[np.generic])


def _frozen(array: _Array) -> _Array:
    """The array in one layout and read-only, so that the kernel is compiled for one type."""
    frozen = np.ascontiguousarray(array).view()
    frozen.setflags(write=False)
    return cast("_Array", frozen)


def _whole(values: list[int]) -> I64:
    return _frozen(np.array(values, np.int64))
