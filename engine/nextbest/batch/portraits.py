"""What the reports need to know of every customer, read batch by batch."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from nextbest.assembly import Model
from nextbest.batch.fitting import Progress
from nextbest.batch.operations import PopulationBatch, no_progress, population, translation
from nextbest.batch.recommendations import (
    Recommended,
    Scenario,
    best_effort,
    contexts_of,
    expected_cost,
    first_recommendations,
)
from nextbest.behaviour.quality import attitude_known
from nextbest.data.learnt_state import load_state
from nextbest.data.store import Store
from nextbest.decide import history_columns
from nextbest.facts import Figure
from nextbest.figures import figures_of, valued_of
from nextbest.model import F64, I32, I64, U8, U64, Bools, Histories, Ring, Rows, Stage
from nextbest.potential.shares import share_of_life
from nextbest.potential.value import ValueFlag
from nextbest.rings import HistoryCodec, entries_at
from nextbest.rulebook.matching import holds, inputs_of, match, no_suppression
from nextbest.valuation import take_columns

AREAS_FACT: Final = "life_areas"
"""The set fact that names the areas of life a customer used in 12 months; its members are the nine areas."""
EFFORT_ROWS: Final = 512
"""Customers whose every action is looked at together."""
KEPT: Final = (
    Figure.LEVEL,
    Figure.LTV,
    Figure.ACTUAL_VALUE,
    Figure.POTENTIAL_VALUE,
    Figure.VALUE_GAP,
    Figure.ACTUAL_PROFIT,
    Figure.POTENTIAL_PROFIT,
    Figure.PROFIT_GAP,
)
"""Figures that are kept of each customer."""


@dataclass(frozen=True, slots=True, eq=False)
class Portraits:
    """n customers; about 130 bytes each, and 8 for each activity."""

    figures: F64
    """(n, len(KEPT)), NaN = missing."""
    stage: I64
    """(n,) of `Stage`."""
    cells: I32
    """(n,) peer cells; 0 without a grid."""
    segments: U64
    """(n,) bit set of the rulebook's segments a customer is in."""
    attitude: U8
    """(n,) 1 where any attitude is known."""
    shares: F64
    """(n, 3) revenue, known share of wallet and share of life; NaN = missing."""
    action: I32
    """(n,) first recommendation, -1 = doing nothing is best."""
    cost: F64
    """(n,) its expected cost, money; 0 for doing nothing."""
    effort: F64
    """(n, 2) benefit and expected cost of the best action in stage Grow me, NaN = none, or another stage."""

    margin_assumed: U8
    """(n,) 1 where the strategy's default margin stands in for one that is not known."""
    served: F64
    """(n, activities) cost to serve by activity, money a year; what is not counted costs 0."""

    def figure(self, figure: Figure) -> F64:
        """(n,) one of `KEPT`."""
        return np.ascontiguousarray(self.figures[:, KEPT.index(figure)])

    def __len__(self) -> int:
        return len(self.stage)

    @classmethod
    def merge(cls, parts: list[Self]) -> Self:
        """Lay parts end to end."""
        names = cls.__slots__
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True, slots=True)
class Known:
    """Some customers with all that decisions read of them."""

    batch: PopulationBatch
    histories: Histories
    now: F64
    """(n,) epoch seconds."""


async def known_customers(store: Store, model: Model, now: float) -> AsyncGenerator[Known]:
    """Walk over all customers with their histories, in order of id."""
    codec = HistoryCodec(await translation(store.names, model.rulebook))
    async for batch in population(store):
        if batch.customer_ids:
            read = await store.histories.read_many(batch.customer_ids, codec)
            yield Known(batch, read.histories, np.full(len(batch.rows), now))


async def read_portraits(
    store: Store, model: Model, over: Scenario, *, now: float, progress: Progress = no_progress
) -> Portraits:
    """Compute what the reports need of every customer; nothing is written.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    parts: list[Portraits] = [_nobody(len(model.worth.activities))]
    over = replace(over, learnt=await load_state(store, model))
    async for known in known_customers(store, model, now):
        parts.append(portraits_of(model, known.batch.rows, known.histories, known.now, over))
        progress(len(known.batch.rows))
    return Portraits.merge(parts)


def portraits_of(model: Model, rows: Rows, histories: Histories, now: F64, over: Scenario) -> Portraits:
    """What the reports need of n customers."""
    catalogue, n = model.rulebook.catalogue, len(rows)
    figures, valued = figures_of(model, rows, now), valued_of(model, rows)
    stage = figures[:, Figure.STAGE].astype(np.int64)
    first = first_recommendations(model, rows, histories, now, over)
    names = np.array([catalogue.column("revenue_net"), catalogue.column("share_of_wallet")], np.int64)
    cells = np.zeros(n, np.int32)
    if model.peers is not None:
        cells = model.peers.tables.locate(take_columns(rows.numbers, model.peers.columns))
    return Portraits(
        figures=figures[:, list(KEPT)],
        stage=stage,
        cells=cells,
        segments=_segments(model, rows, histories, figures, now, over),
        attitude=attitude_known(rows.numbers, rows.words, rows.known, model.attitude),
        shares=np.column_stack([take_columns(rows.numbers, names), _life(model, rows)]),
        action=first.action,
        cost=_cost(first),
        effort=_effort(model, rows, histories, now, over, stage == Stage.GROW_ME),
        margin_assumed=((valued.worth.flags & ValueFlag.MARGIN_DEFAULTED) != 0).astype(np.uint8),
        served=np.nan_to_num(take_columns(rows.numbers, model.worth.activities)) * model.worth.activity_costs,
    )


def _nobody(activities: int) -> Portraits:
    none = np.empty(0)
    return Portraits(
        np.empty((0, len(KEPT))),
        none.astype(np.int64),
        none.astype(np.int32),
        none.astype(np.uint64),
        none.astype(np.uint8),
        np.empty((0, 3)),
        none.astype(np.int32),
        none,
        np.empty((0, 2)),
        none.astype(np.uint8),
        np.empty((0, activities)),
    )


def _cost(first: Recommended) -> F64:
    return np.where(first.action >= 0, expected_cost(first.terms), 0.0)


def _segments(model: Model, rows: Rows, histories: Histories, figures: F64, now: F64, over: Scenario) -> U64:
    """(n,) segments as bits, in the scenario's first situation."""
    rulebook, n = model.rulebook, len(rows)
    bits = np.zeros(n, np.uint64)
    if not rulebook.segments:
        return bits
    channel, direction = over.situations[0]
    contexts = contexts_of(rulebook, n, channel, direction, over.role)
    history = history_columns(model, rows, histories, now)
    quiet = no_suppression(len(rulebook.triggers), n)
    found = match(
        rulebook.program, inputs_of(rows, figures, contexts, now, history=history, suppressed=quiet)
    )
    for place, segment in enumerate(rulebook.segments):
        bits |= holds(found.true, segment.condition, n).astype(np.uint64) << np.uint64(place)
    return bits


def _life(model: Model, rows: Rows) -> F64:
    """(n,) share of life; NaN where the catalogue does not say which areas were used."""
    place = model.rulebook.catalogue.bits.get(AREAS_FACT)
    if place is None:
        return np.full(len(rows), np.nan)
    known: Bools = (rows.known[:, place.known_word] >> np.uint64(place.known_bit)) & np.uint64(1) == 1
    return share_of_life(rows.words[:, place.word].copy(), known)


def _effort(model: Model, rows: Rows, histories: Histories, now: F64, over: Scenario, wanted: Bools) -> F64:
    """(n, 2) of the wanted customers, some hundred at a time."""
    effort = np.full((len(rows), 2), np.nan)
    places = np.flatnonzero(wanted)
    for start in range(0, len(places), EFFORT_ROWS):
        some = places[start : start + EFFORT_ROWS]
        effort[some] = best_effort(
            model, picked(rows, some), picked_histories(histories, some), now[some], over
        )
    return effort


def picked(rows: Rows, index: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Rows:
    """Some customers' snapshots."""
    chosen = Rows(rows.as_of[index], rows.numbers[index], rows.words[index], rows.known[index])
    for array in (chosen.as_of, chosen.numbers, chosen.words, chosen.known):
        array.setflags(write=False)
    return chosen


def picked_histories(histories: Histories, index: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Histories:
    """Some customers' histories."""
    return Histories(_picked_ring(histories.contacts, index), _picked_ring(histories.events, index))


def _picked_ring(ring: Ring, index: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Ring:
    first, count = ring.starts[index], ring.starts[index + 1] - ring.starts[index]
    starts: I64 = np.concatenate([np.zeros(1, np.int64), np.cumsum(count)])
    found = entries_at(ring.entries, np.arange(int(starts[-1])) + np.repeat(first - starts[:-1], count))
    truncated = ring.truncated_before[index]
    for array in (found, starts, truncated):
        array.setflags(write=False)
    return Ring(found, starts, truncated)
