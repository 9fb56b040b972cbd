"""All households at once: where they stand, and which three are shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nextbest.assembly import Model
from nextbest.batch.operations import population
from nextbest.data.store import Store
from nextbest.facts import STAGE_NAMES, Figure
from nextbest.figures import bool_fact, figures_of
from nextbest.model import F64, Bools, Stage
from nextbest.potential.position import QUINTILES, TASKS, Band, PositionGrid, ltv_bounds, position

DO_NOTHING = "do_nothing"
WEEKLY = 1.0
"""Visits a week from which on a household counts as a regular."""


@dataclass(frozen=True, slots=True)
class Households:
    """Every household with a snapshot, in order of id."""

    customer_ids: Sequence[str]
    figures: F64
    """(n, Figure), NaN = missing."""
    visits_per_week: F64
    """(n,)."""
    complaint_open: F64
    """(n,) 1, 0 or NaN = unknown."""

    def figure(self, figure: Figure) -> F64:
        """(n,) one figure."""
        return self.figures[:, figure]

    @property
    def gap(self) -> F64:
        """(n,) value gap and profit gap together, money a year; a missing one counts 0."""
        gaps = np.column_stack([self.figure(Figure.VALUE_GAP), self.figure(Figure.PROFIT_GAP)])
        return np.nansum(gaps, axis=1)

    def in_stage(self, stage: Stage) -> Bools:
        """(n,) households of a stage."""
        return self.figure(Figure.STAGE) == stage


async def read_households(store: Store, model: Model, now: float) -> Households:
    """Compute every household's figures from what is stored."""
    column = model.rulebook.catalogue.column("visits_per_week")
    customer_ids: list[str] = []
    figures, visits, complaints = [np.empty((0, len(Figure)))], [np.empty(0)], [np.empty(0)]
    async for batch in population(store):
        customer_ids += batch.customer_ids
        figures.append(figures_of(model, batch.rows, np.full(len(batch.rows), now)))
        visits.append(batch.rows.numbers[:, column].copy())
        complaints.append(bool_fact(model, batch.rows, "complaint_open"))
    return Households(
        customer_ids, np.concatenate(figures), np.concatenate(visits), np.concatenate(complaints)
    )


@dataclass(frozen=True, slots=True)
class Positions:
    """Ladder band × LTV quintile, with both sides' value and gap."""

    bounds: F64
    """(4,) bounds of the LTV quintiles, money."""
    customer: PositionGrid
    """What households get a year, and what they could."""
    company: PositionGrid
    """What the company gets a year, and what it could."""

    @property
    def households(self) -> int:
        """All of them."""
        return int(self.customer.count.sum())

    def to_dict(self) -> dict[str, object]:
        """The figures for JSON, cells without households left out."""
        return {
            "ltv_quintile_bounds": self.bounds.tolist(),
            "households": self.households,
            "cells": [
                self._cell(band, column)
                for band in Band
                for column in range(QUINTILES + 1)
                if self.customer.count[band, column]
            ],
        }

    def _cell(self, band: Band, column: int) -> dict[str, object]:
        return {
            "band": band.name.lower(),
            "task": TASKS[band],
            "ltv_quintile": column + 1 if column < QUINTILES else None,
            "households": int(self.customer.count[band, column]),
            "customer_value": float(self.customer.value[band, column]),
            "customer_value_gap": float(self.customer.gap[band, column]),
            "profit": float(self.company.value[band, column]),
            "profit_gap": float(self.company.gap[band, column]),
        }


def positions(households: Households) -> Positions:
    """Place every household on the position grid."""
    ltv = np.ascontiguousarray(households.figure(Figure.LTV))
    bounds = ltv_bounds([ltv])
    places = position(np.ascontiguousarray(households.figure(Figure.LEVEL)), ltv, bounds)

    def grid(value: Figure, gap: Figure) -> PositionGrid:
        columns = (np.ascontiguousarray(households.figure(f)) for f in (value, gap))
        return PositionGrid.of(places, *columns)

    return Positions(
        bounds,
        grid(Figure.ACTUAL_VALUE, Figure.VALUE_GAP),
        grid(Figure.ACTUAL_PROFIT, Figure.PROFIT_GAP),
    )


def stage_sizes(households: Households) -> dict[str, int]:
    """Households by stage."""
    return {name: int(households.in_stage(Stage(i)).sum()) for i, name in enumerate(STAGE_NAMES)}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A household to show, and the rule that chose it."""

    customer_id: str
    rule: str
    intent: str
    """Why it calls; empty = nobody has said."""


def choose_contrasts(households: Households, first: Mapping[str, Sequence[str]]) -> list[Chosen]:
    """Choose three households that differ, by rules that look at no name.

    Args:
        households: all of them.
        first: first answer for every household, by situation.

    Returns:
        Fewer than three where nobody fits a rule. A tie goes to the lower id.
    """
    ltv = np.nan_to_num(households.figure(Figure.LTV))
    answers = [set(found) for found in zip(*first.values(), strict=True)]
    differ = np.array([len(found) == len(first) and DO_NOTHING not in found for found in answers])
    content = np.array([found == {DO_NOTHING} for found in answers])
    regular = households.visits_per_week >= WEEKLY
    picks = (
        (
            households.in_stage(Stage.HEAR_ME) & regular & differ,
            households.gap,
            "Hear me, comes weekly, till and agent have different things to say: largest gaps",
            "question",
        ),
        (
            households.in_stage(Stage.FORGIVE_ME) & (households.complaint_open == 1.0),
            households.gap,
            "Forgive me, with an open complaint: largest gaps",
            "complaint",
        ),
        (
            households.in_stage(Stage.GROW_ME) & content,
            ltv,
            "Grow me, and doing nothing wins everywhere: highest lifetime value",
            "",
        ),
    )
    chosen = ((_best(households, mask, by), rule, intent) for mask, by, rule, intent in picks)
    return [Chosen(customer_id, rule, intent) for customer_id, rule, intent in chosen if customer_id]


def _best(households: Households, mask: Bools, by: F64) -> str:
    if not mask.any():
        return ""
    return households.customer_ids[int(np.argmax(np.where(mask, by, -np.inf)))]
