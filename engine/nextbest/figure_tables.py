"""What the figures of a customer are computed with: a model's parameters in the form one kernel takes."""

import math
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from nextbest.arena import Arena, pack, real1, real2, real4, short1, whole1, whole2
from nextbest.assembly import Model, Peers
from nextbest.behaviour.forgive import ForgiveInput
from nextbest.behaviour.index import COMPONENTS
from nextbest.behaviour.quality import QualityTables
from nextbest.facts import Catalogue
from nextbest.kernels import lean_kernel
from nextbest.model import F64, I32, I64
from nextbest.potential.lifetime_table import LifetimeTable, lifetime_table
from nextbest.potential.ltv import WEEKS_A_YEAR, LtvColumn, ltv_horizons
from nextbest.potential.value import ProfitTerm, ValueInput, ValueTerm
from nextbest.rulebook.strategy import FORGIVE_TERMS, Strategy, Term


class FactColumn(IntEnum):
    """Places in `FigureTables.facts`."""

    EXPOSURE_SHARE = 0
    LAST_PURCHASE = 1
    POSITIVE_MENTIONS = 2
    NEGATIVE_MENTIONS = 3
    SPENT_ON_CUSTOMER = 4
    JOINED = 5
    FIRST_PURCHASE = 6


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
    TABLE_FIRST = 11
    """`LifetimeTable.first`."""
    CHURN_ALPHA = 12
    """Of contracts by tenure, with the next; NaN = not fitted."""
    CHURN_BETA = 13
    CONTRACT_RETENTION = 14
    """Of a contract whose own is unknown."""
    CONTRACT_GROWTH = 15
    """Of a contract's margin, a year."""
    PREMIUM_SHARE = 16
    """Of revenue, that loyal customers pay above others; NaN = none is assumed."""
    PREMIUM_LEVEL = 17


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
    lifetimes: F64
    """(x, segments, nodes, 2) `LifetimeTable.coefficients`."""
    places: I64
    """(2,) of one year among the horizons, and of .5 among the grid's quantiles."""
    loyalty_columns: I64
    stage_parameters: F64
    forgive_facts: I64
    """(ForgiveInput,) columns of the facts that the choice of the Forgive mode reads, -1 = none."""
    forgive_terms: F64
    """(ForgiveInput, TermPart)."""
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
    table = _table(model.ltv_parameters)
    terms = [_term_of(rulebook.strategy, entry) for entry in ForgiveInput]
    return FigureTables(
        facts=_whole([column(fact.name.lower()) for fact in FactColumn]),
        flags=np.array([_place(rulebook.catalogue, f.name.lower()) for f in Flag], np.int64),
        numbers=_numbers(model, table.first),
        ltv=np.empty(0) if model.ltv_parameters is None else model.ltv_parameters,
        ltv_columns=model.ltv_columns,
        horizons=horizons,
        horizon_weights=weights,
        lifetimes=table.coefficients,
        places=_whole([year, 0 if model.peers is None else model.peers.median]),
        loyalty_columns=model.loyalty_columns,
        stage_parameters=rulebook.stages.array,
        forgive_facts=_whole([column(term.fact) for term in terms]),
        forgive_terms=np.array([(t.times, t.plus, t.otherwise, t.low, t.high) for t in terms]),
        quality=model.quality,
        value_columns=worth.columns,
        activities=worth.activities,
        activity_costs=worth.activity_costs,
        benefits=worth.benefits,
        benefit_worths=worth.benefit_worths,
        rates=worth.rates,
        peers=_peer_tables(model.peers),
    )


def pack_figures(tables: FigureTables) -> Arena:
    """The tables in one array, in the order in which `unpack_figures` reads them."""
    *before, peers = tables
    flat = [part for field in before for part in (field if isinstance(field, QualityTables) else (field,))]
    return pack([*flat, *peers])


@lean_kernel
def unpack_figures(arena: Arena) -> FigureTables:
    """The tables that `pack_figures` packed."""
    return FigureTables(
        facts=whole1(arena, 0),
        flags=whole2(arena, 1),
        numbers=real1(arena, 2),
        ltv=real1(arena, 3),
        ltv_columns=whole1(arena, 4),
        horizons=real1(arena, 5),
        horizon_weights=real1(arena, 6),
        lifetimes=real4(arena, 7),
        places=whole1(arena, 8),
        loyalty_columns=whole1(arena, 9),
        stage_parameters=real1(arena, 10),
        forgive_facts=whole1(arena, 11),
        forgive_terms=real2(arena, 12),
        quality=QualityTables(
            column=whole1(arena, 13),
            known_word=whole1(arena, 14),
            known_bit=whole1(arena, 15),
            observed_column=whole1(arena, 16),
            fresh_days=real1(arena, 17),
            weight=real1(arena, 18),
        ),
        value_columns=whole1(arena, 19),
        activities=whole1(arena, 20),
        activity_costs=real1(arena, 21),
        benefits=whole1(arena, 22),
        benefit_worths=real1(arena, 23),
        rates=real1(arena, 24),
        peers=PeerTables(
            columns=whole1(arena, 25),
            pointers=short1(arena, 26),
            codes=short1(arena, 27),
            cells=short1(arena, 28),
            tau_of_stage=whole1(arena, 29),
            quantiles=real4(arena, 30),
            means=real2(arena, 31),
            sizes=whole2(arena, 32),
        ),
    )


def new_scratch(tables: FigureTables) -> tuple[F64, F64]:
    """Memory that one pass works in, (4, horizons) and (7, widest row)."""
    width = max(_WIDEST, len(tables.activities), len(tables.benefits))
    return np.empty((4, len(tables.horizons))), np.empty((7, width))


_WIDEST = max(map(len, (LtvColumn, ValueInput, ProfitTerm, ValueTerm, COMPONENTS, ForgiveInput)))


def _term_of(strategy: Strategy, entry: ForgiveInput) -> Term:
    """How one input of the Forgive mode is read; lifetime value and v_ref are filled in by the kernel."""
    name = entry.name.lower()
    return strategy.forgive[FORGIVE_TERMS.index(name)] if name in FORGIVE_TERMS else Term()


def _table(parameters: F64 | None) -> LifetimeTable:
    if parameters is None:
        return LifetimeTable(math.nan, np.empty((0, 0, 0, 0)))
    return lifetime_table(parameters)


def _numbers(model: Model, table_first: float) -> F64:
    strategy, value = model.rulebook.strategy, model.rulebook.value
    numbers = np.full(len(FigureNumber), np.nan)
    numbers[FigureNumber.DEFAULT_MARGIN] = value.default_margin_rate
    numbers[FigureNumber.CREDIBILITY_YEARS] = value.credibility_years
    numbers[FigureNumber.GAP_CAP] = strategy.gap_cap
    numbers[FigureNumber.GAP_FLOOR] = strategy.gap_floor
    numbers[FigureNumber.REFERRAL_WORTH] = strategy.referral_worth
    numbers[FigureNumber.REFERRAL_WEIGHT] = strategy.referral_weight
    numbers[FigureNumber.CEILING_SHARE] = strategy.ceiling_share
    numbers[FigureNumber.CONTRACT_GROWTH] = strategy.contract_growth
    numbers[FigureNumber.PREMIUM_SHARE] = strategy.premium_share
    numbers[FigureNumber.PREMIUM_LEVEL] = strategy.premium_level
    numbers[FigureNumber.YEARLY_DISCOUNT] = strategy.ltv_discount_rate
    numbers[FigureNumber.HORIZON_YEARS] = strategy.ltv_steps * strategy.ltv_step_weeks / WEEKS_A_YEAR
    if model.artifacts.ltv is not None:
        numbers[FigureNumber.YEARLY_DISCOUNT] = model.artifacts.ltv.yearly_discount
        numbers[FigureNumber.HORIZON_YEARS] = model.artifacts.ltv.horizon_years
        numbers[FigureNumber.FREQUENCY_BOUND] = model.artifacts.ltv.frequency_top_quartile
    retention = model.artifacts.retention
    if retention is not None:
        numbers[FigureNumber.CONTRACT_RETENTION] = retention.rate
        if retention.alpha is not None and retention.beta is not None:
            numbers[FigureNumber.CHURN_ALPHA] = retention.alpha
            numbers[FigureNumber.CHURN_BETA] = retention.beta
    numbers[FigureNumber.TABLE_FIRST] = table_first
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
        codes, nothing = np.empty(0, np.int32), _whole([])
        none, sizes = np.empty((0, 0)), np.empty((0, 0), np.int64)
        quantiles = np.empty((0, 0, 0, 4))
        return PeerTables(nothing, codes, codes, codes, nothing, quantiles, none, sizes)
    tables = peers.tables
    pointers, codes, cells = tables.children
    return PeerTables(
        peers.columns,
        pointers,
        codes,
        cells,
        peers.tau_of_stage,
        tables.quantiles,
        tables.backed_off_mean,
        tables.n,
    )


def _whole(values: list[int]) -> I64:
    return np.array(values, np.int64)
