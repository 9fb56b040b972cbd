"""The state of a population: position grid, peer cells, shares of effort, segments.

A group of fewer than ten customers has no figure: NaN here, null in JSON, `few` on screen.

Source: domain model, sections 3, 10 and 12.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np

from nextbest.assembly import PROFIT, VALUE, FittedGrid
from nextbest.batch.assumed_margin import AssumedMargin
from nextbest.batch.ladder import Step, hidden_cells, steps_of, too_small
from nextbest.batch.portraits import Portraits
from nextbest.batch.served import Served
from nextbest.behaviour.quality import attitude_coverage
from nextbest.facts import STAGE_NAMES, Figure
from nextbest.model import F64, I32, I64, U64, Bools, Stage
from nextbest.potential.position import QUINTILES, TASKS, Band, ltv_bounds, position
from nextbest.potential.shares import WALLET_TAU, estimated_share_of_wallet, share_of_market
from nextbest.potential.tables import MEDIAN, PRIVACY_FLOOR
from nextbest.potential.value import mutual_segments
from nextbest.rulebook.rulebook import Rulebook

REVENUE: Final = "revenue_net"
CLASSES: Final = ("acquire", "retain", "repair")
"""Classes of effort, in the order of `Strategy.budget_split`."""
CLASS_OF_STAGE: Final = {Stage.KNOW_ME: 0, Stage.HEAR_ME: 1, Stage.GROW_ME: 1, Stage.FORGIVE_ME: 2}
LEVELS: Final = ("low", "middle", "high")
"""Terciles of customer value and of company profit."""
EVERYBODY: Final = "all customers"
NOT_A_FORECAST: Final = (
    "Potential is a benchmark: what similar customers reach, not a forecast of what these will do."
)
_COLUMNS = QUINTILES + 1


@dataclass(frozen=True, slots=True)
class Positions:
    """Ladder band × LTV quintile; the sixth column holds customers without an LTV. NaN = fewer than ten."""

    count: I64
    """(4, 6) customers."""
    ltv_bounds: F64
    """(4,) bounds of the quintiles, money."""
    potential: F64
    """(2, 4, 6) mean potential value and profit a customer, money a year."""
    gap: F64
    """(2, 4, 6) sum of the value gaps and of the profit gaps, money a year."""
    actual: F64
    """(2, 4, 6) mean actual value and profit a customer, money a year."""

    @property
    def hidden(self) -> Bools:
        """(4, 6) cells that are not shown."""
        return hidden_cells(self.count)


@dataclass(frozen=True, slots=True)
class Effort:
    """How effort is shared over acquire, retain and repair; shares sum to 1."""

    target: F64
    """(3,) as the strategy has it."""
    customers: F64
    """(3,) of the customers."""
    cost: F64
    """(3,) of the expected cost of the first recommendations; NaN when nothing is recommended at a cost."""
    money: float
    """That cost in all."""


@dataclass(frozen=True, slots=True)
class SegmentFigures:
    """One segment; None = fewer than ten customers."""

    id: str
    customers: int | None
    attitude: float | None
    """Share with any attitude known."""
    growing: int | None
    """Customers in stage Grow me for whom an action reached arbitration."""
    benefit: float | None
    """Sum of their best action's expected mutual benefit B, money."""
    cost: float | None
    """Sum of its expected cost, money."""

    @property
    def integrate(self) -> bool | None:
        """True: effort costs more than it is worth, so make it easy instead; None = cannot tell."""
        return None if self.benefit is None or self.cost is None else self.cost > self.benefit


@dataclass(frozen=True, slots=True)
class Shares:
    """How much of the market, of the wallet and of life; NaN = not known."""

    market: float
    """SOM: revenue over the market's size."""
    wallet_known: float
    """SOW: mean of what customers said."""
    wallet_known_customers: int
    wallet_estimated: float
    """SOW: mean of revenue over the peers' 90 % quantile, at most 1. For display only."""
    life: float
    """SOL: mean share of the nine areas of life."""


@dataclass(frozen=True, slots=True)
class PeerCell:
    """A cell of the peer grid with ten customers or more."""

    path: tuple[str, ...]
    """Members of the dimensions, coarsest first; empty = everybody."""
    n: tuple[int, int]
    """Customers with a known value and with a known profit."""
    median: tuple[float, float]
    """Value and profit that half of the peers reach, money a year."""
    potential: tuple[float, float]
    """Value and profit at the stretch quantile of Hear me."""


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything that `nextbest grid show` shows."""

    currency: str
    customers: int
    tau: float
    """Stretch quantile of the peer cells' potential: that of Hear me."""
    scenario: str
    positions: Positions
    ladder: tuple[Step, ...]
    """The eight steps, lowest first."""
    effort: Effort
    mutual: F64
    """(3, 3) customers by tercile of value and of profit, NaN = fewer than ten."""
    without_segment: int
    """Customers whose value or profit is not known."""
    segments: tuple[SegmentFigures, ...]
    shares: Shares
    objective: str
    """Which of the shares the strategy is to win."""
    caveats: tuple[str, ...]
    """What the strategy says of the figures: what is assumed, made up or missing."""
    served: Served
    leaks: tuple[str, ...]
    """What was accepted at the fit although it makes gaps vanish."""
    cells: tuple[PeerCell, ...]
    """By size, the largest first."""
    small_cells: int
    """Cells of fewer than ten customers: these have their parent's figures."""
    margin: AssumedMargin


def overview(
    people: Portraits, fitted: FittedGrid, rulebook: Rulebook, *, scenario: str, market: float = math.nan
) -> Overview:
    """Sum up a population.

    Args:
        people: all customers.
        fitted: the peer grid in use.
        rulebook: names, targets and segments.
        scenario: what the recommendations suppose, in words.
        market: size of the market in money a year; NaN = not known.
    """
    tau = float(rulebook.strategy.stretch[Stage.HEAR_ME])
    bounds = fitted.grid.thirds()[[VALUE, PROFIT]]
    value, profit = people.figure(Figure.ACTUAL_VALUE), people.figure(Figure.ACTUAL_PROFIT)
    mutual = mutual_segments(value, profit, bounds)
    counts = np.bincount(mutual[mutual >= 0], minlength=9).reshape(3, 3)
    cells = peer_cells(fitted, tau)
    return Overview(
        currency=rulebook.currency,
        customers=len(people),
        tau=tau,
        scenario=scenario,
        positions=positions_of(people),
        ladder=steps_of(people.figure(Figure.LEVEL)),
        effort=effort_of(people, rulebook.strategy.budget_split),
        mutual=np.where(too_small(counts), np.nan, counts.astype(np.float64)),
        without_segment=int((mutual < 0).sum()),
        segments=segments_of(people, [segment.id for segment in rulebook.segments]),
        shares=shares_of(people, fitted, market),
        objective=rulebook.strategy.objective,
        caveats=rulebook.strategy.caveats,
        served=served_of(people, [name for name, _ in rulebook.value.activities]),
        leaks=fitted.accepted_leaks,
        cells=cells,
        small_cells=len(fitted.grid.tree.parent) - len(cells),
        margin=AssumedMargin(
            int(people.margin_assumed.sum()), len(people), rulebook.value.default_margin_rate
        ),
    )


def served_of(people: Portraits, activities: Sequence[str]) -> Served:
    """Cost to serve by stage and activity (domain model, section 11)."""
    customers = np.bincount(people.stage, minlength=len(Stage))
    cost = np.zeros((len(Stage), len(activities)))
    np.add.at(cost, people.stage, people.served)
    return Served(tuple(activities), customers, np.where(too_small(customers)[:, None], np.nan, cost))


def shown(values: F64 | I64, customers: I64) -> F64:
    """The values, NaN where they are of one to nine customers."""
    return np.where((customers > 0) & (customers < PRIVACY_FLOOR), np.nan, values.astype(np.float64))


def positions_of(people: Portraits) -> Positions:
    """Place every customer on the position grid."""
    ltv = people.figure(Figure.LTV)
    bounds = ltv_bounds([ltv])
    places = position(people.figure(Figure.LEVEL), ltv, bounds)
    pairs = (
        (Figure.POTENTIAL_VALUE, Figure.VALUE_GAP, Figure.ACTUAL_VALUE),
        (Figure.POTENTIAL_PROFIT, Figure.PROFIT_GAP, Figure.ACTUAL_PROFIT),
    )
    shape = (len(Band), _COLUMNS)
    potential, gap, actual = (np.empty((2, *shape)) for _ in range(3))
    for side, (reachable, open_gap, own) in enumerate(pairs):
        potential[side] = _mean(places, people.figure(reachable))
        gap[side] = _sum(places, people.figure(open_gap))
        actual[side] = _mean(places, people.figure(own))
    count = np.bincount(places, minlength=len(Band) * _COLUMNS).reshape(shape)
    return Positions(count, bounds, potential, gap, actual)


def _grouped(places: I32, values: F64) -> tuple[F64, I64]:
    """(4, 6) sums of the known values and how many they are."""
    known = ~np.isnan(values)
    size, shape = len(Band) * _COLUMNS, (len(Band), _COLUMNS)
    sums = np.bincount(places[known], values[known], minlength=size).reshape(shape).astype(np.float64)
    return sums, np.bincount(places[known], minlength=size).reshape(shape)


def _sum(places: I32, values: F64) -> F64:
    return shown(*_grouped(places, values))


def _mean(places: I32, values: F64) -> F64:
    sums, n = _grouped(places, values)
    return shown(np.divide(sums, n, out=np.full(n.shape, np.nan), where=n > 0), n)


def effort_of(people: Portraits, target: F64) -> Effort:
    """How effort is shared: by customers, and by expected cost of what is recommended to them first."""
    of_stage = np.array([CLASS_OF_STAGE[stage] for stage in Stage], np.int64)
    place = of_stage[people.stage]
    customers = np.bincount(place, minlength=len(CLASSES))
    money = np.bincount(place, people.cost, minlength=len(CLASSES)).astype(np.float64)
    return Effort(
        target=target,
        customers=_shares(customers.astype(np.float64)),
        cost=_shares(money),
        money=float(money.sum()),
    )


def _shares(amounts: F64) -> F64:
    total = float(amounts.sum())
    return amounts / total if total > 0 else np.full(amounts.shape, np.nan)


def segments_of(people: Portraits, names: Sequence[str]) -> tuple[SegmentFigures, ...]:
    """Attitude coverage and the balance of Grow me, for everybody and for each segment."""
    bits: U64 = (people.segments << np.uint64(1)) | np.uint64(1) if len(names) < 64 else people.segments
    all_names = (EVERYBODY, *names) if len(names) < 64 else tuple(names)
    coverage = attitude_coverage(people.attitude, bits, len(all_names))
    return tuple(
        _segment(people, name, (bits >> np.uint64(place)) & np.uint64(1) == 1, float(coverage.share[place]))
        for place, name in enumerate(all_names)
    )


def _segment(people: Portraits, name: str, inside: Bools, attitude: float) -> SegmentFigures:
    if (customers := int(inside.sum())) < PRIVACY_FLOOR:
        return SegmentFigures(name, 0 if not customers else None, None, None, None, None)
    judged = inside & ~np.isnan(people.effort[:, 0])
    growing = int(judged.sum())
    if growing < PRIVACY_FLOOR:
        return SegmentFigures(name, customers, attitude, 0 if not growing else None, None, None)
    benefit, cost = (float(people.effort[judged, k].sum()) for k in range(2))
    return SegmentFigures(name, customers, attitude, growing, benefit, cost)


def shares_of(people: Portraits, fitted: FittedGrid, market: float) -> Shares:
    """SOM, SOW and SOL."""
    revenue, wallet, life = (np.ascontiguousarray(column) for column in people.shares.T)
    estimated = np.full(len(people), np.nan)
    if REVENUE in fitted.grid.outcomes and len(people):
        tables = fitted.grid.tables([WALLET_TAU])
        reached = tables.quantiles[fitted.grid.outcomes.index(REVENUE), :, tables.tau_index(WALLET_TAU), 0]
        estimated = estimated_share_of_wallet(revenue, reached[people.cells])
    known = int((~np.isnan(wallet)).sum())
    return Shares(
        market=share_of_market(float(np.nansum(revenue)), market),
        wallet_known=_mean_of(wallet),
        wallet_known_customers=known,
        wallet_estimated=_mean_of(estimated),
        life=_mean_of(life),
    )


def _mean_of(values: F64) -> float:
    """Mean of what is known; NaN for fewer than ten."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) >= PRIVACY_FLOOR else math.nan


def peer_cells(fitted: FittedGrid, tau: float) -> tuple[PeerCell, ...]:
    """The cells whose figures may be shown, the largest first."""
    tables = fitted.grid.tables([tau])
    at, median = tables.tau_index(tau), tables.tau_index(MEDIAN)
    visible = np.flatnonzero(tables.visible[VALUE] & tables.visible[PROFIT])
    order = visible[np.argsort(-tables.n[PROFIT, visible], kind="stable")]
    quantiles = tables.quantiles
    return tuple(
        PeerCell(
            _named(fitted.grid.tree.paths[cell], fitted),
            (int(tables.n[VALUE, cell]), int(tables.n[PROFIT, cell])),
            (float(quantiles[VALUE, cell, median, 0]), float(quantiles[PROFIT, cell, median, 0])),
            (float(quantiles[VALUE, cell, at, 0]), float(quantiles[PROFIT, cell, at, 0])),
        )
        for cell in order.tolist()
    )


def _named(path: I32, fitted: FittedGrid) -> tuple[str, ...]:
    """A cell's path in words."""
    names = list[str]()
    codes = cast("list[int]", path.tolist())
    for dimension, code in zip(fitted.grid.dimensions, codes, strict=True):
        if code >= 0:
            members = fitted.members.get(dimension) or ()
            names.append(members[code] if code < len(members) else str(code))
    return tuple(names)


def document(found: Overview) -> Mapping[str, object]:
    """The overview as plain JSON; null = fewer than ten customers, or not known."""
    grid = found.positions
    return {
        "note": NOT_A_FORECAST,
        "caveats": list(found.caveats),
        "assumed_margin": found.margin.document(),
        "currency": found.currency,
        "customers": found.customers,
        "stretch_quantile": found.tau,
        "scenario": found.scenario,
        "position_grid": {
            "bands": [band.name.lower() for band in Band],
            "tasks": list(TASKS),
            "ltv_quintile_bounds": plain(grid.ltv_bounds),
            "customers": plain(np.where(grid.hidden, np.nan, grid.count.astype(np.float64))),
            "mean_potential_value": plain(np.where(grid.hidden, np.nan, grid.potential[VALUE])),
            "mean_potential_profit": plain(np.where(grid.hidden, np.nan, grid.potential[PROFIT])),
            "mean_actual_value": plain(np.where(grid.hidden, np.nan, grid.actual[VALUE])),
            "mean_actual_profit": plain(np.where(grid.hidden, np.nan, grid.actual[PROFIT])),
            "value_gap": plain(np.where(grid.hidden, np.nan, grid.gap[VALUE])),
            "profit_gap": plain(np.where(grid.hidden, np.nan, grid.gap[PROFIT])),
        },
        "ladder": [step.document() for step in found.ladder],
        "effort": {
            "classes": list(CLASSES),
            "target": plain(found.effort.target),
            "by_customers": plain(found.effort.customers),
            "by_expected_cost": plain(found.effort.cost),
            "expected_cost": found.effort.money,
        },
        "mutual_value_segments": {
            "rows": [f"{level} customer value" for level in LEVELS],
            "columns": [f"{level} company profit" for level in LEVELS],
            "customers": plain(found.mutual),
            "without_figures": found.without_segment,
        },
        "segments": [
            {
                "id": segment.id,
                "customers": segment.customers,
                "attitude_coverage": segment.attitude,
                "grow_me_customers": segment.growing,
                "benefit": segment.benefit,
                "cost": segment.cost,
                "integrate": segment.integrate,
            }
            for segment in found.segments
        ],
        "shares": {
            "market": plain(np.float64(found.shares.market)),
            "wallet_known": plain(np.float64(found.shares.wallet_known)),
            "wallet_known_customers": found.shares.wallet_known_customers,
            "wallet_estimated": plain(np.float64(found.shares.wallet_estimated)),
            "life": plain(np.float64(found.shares.life)),
        },
        "objective": found.objective,
        "cost_to_serve": {
            "activities": list(found.served.activities),
            "by_stage": {name: plain(found.served.cost[k]) for k, name in enumerate(STAGE_NAMES)},
            **found.served.document(),
        },
        "accepted_leaks": list(found.leaks),
        "peer_cells": {"shown": len(found.cells), "too_small": found.small_cells},
    }


def plain(values: F64 | np.float64) -> object:
    """Nested lists of numbers; what is NaN is None."""
    array = np.asarray(values)
    if array.ndim == 0:
        return None if np.isnan(array) else float(array)
    return [plain(array[place]) for place in range(len(array))]
