"""Every figure of a customer that decisions, explanations and reports read, from one snapshot.

Order (design, decision 1): lifetime value and P(alive) → index, level and stage → τ → potential and
gaps → investment ceiling. Nothing here is fitted or looked up outside the arguments.
"""

from dataclasses import dataclass
from functools import lru_cache
from threading import get_ident

import numpy as np

from nextbest.arena import Arena
from nextbest.assembly import PROFIT, VALUE, Model
from nextbest.behaviour.stage import LoyaltyFigures, loyalty_figures
from nextbest.facts import Catalogue, Figure
from nextbest.figure_kernel import fill_figures
from nextbest.figure_tables import figure_tables, new_scratch, pack_figures
from nextbest.model import F64, I32, Rows
from nextbest.potential.value import credit_terms, value_for_money
from nextbest.valuation import Valuation, take_columns, valuation


@dataclass(frozen=True, slots=True)
class Valued:
    """What n customers are worth in a year, and whom they are compared with."""

    worth: Valuation
    """Of a short history after it has borrowed from its peers: its terms sum to the actual figures."""
    value_for_money: F64
    """(n,) NaN = missing."""
    cells: I32 | None
    """(n,) peer cells; None without a grid."""


def figures_of(model: Model, rows: Rows, now: F64) -> F64:
    """Compute every figure.

    Args:
        model: Rulebook and artifacts.
        rows: n snapshots.
        now: (n,) epoch seconds.

    Returns:
        (n, Figure), NaN = missing.

    Cost: about 0.3 µs a customer; 4 µs for one alone. The first call for a fit makes its table, 30 to 120 ms.
    """
    arena, series, scratch = _tables(model, get_ident())
    figures = np.empty((len(rows), _FIGURES))
    fill_figures(arena, rows.numbers, rows.words, rows.known, rows.as_of, now, series, scratch, figures)
    return figures


_FIGURES = len(Figure)


@lru_cache(maxsize=64)
def _tables(model: Model, _thread: int) -> tuple[Arena, F64, F64]:
    """The model for the kernel, and memory to work in, which no other thread may use."""
    tables = figure_tables(model)
    return (pack_figures(tables), *new_scratch(tables))


def valued_of(model: Model, rows: Rows) -> Valued:
    """Actual value and profit with their components, and peer cells.

    A short history borrows from its peers once there is a grid. Value for money is read before that:
    what was paid and what was got must be of the same time.

    Source: domain model, section 2.
    """
    worth = valuation(model.worth, rows)
    money = value_for_money(np.ascontiguousarray(worth.revenue), worth.value)
    if model.peers is None:
        return Valued(worth, money, None)
    cells = model.peers.tables.locate(take_columns(rows.numbers, model.peers.columns))
    if (worth.exposure < 1.0).any():
        mean, years = model.peers.tables.backed_off_mean, model.rulebook.value.credibility_years
        credit_terms(worth.value_terms, worth.exposure, mean[VALUE, cells], years, worth.flags)
        credit_terms(worth.profit_terms, worth.exposure, mean[PROFIT, cells], years, worth.flags)
    return Valued(worth, money, cells)


def loyalty_at(model: Model, rows: Rows, alive: F64, completeness: F64, now: F64) -> LoyaltyFigures:
    """Index, level, raw stage and flags; also what `advance_stages` takes."""
    bound = np.nan if model.artifacts.ltv is None else model.artifacts.ltv.frequency_top_quartile
    return loyalty_figures(
        rows.numbers,
        model.loyalty_columns,
        bool_fact(model, rows, "complaint_open"),
        bool_fact(model, rows, "lock_in"),
        alive,
        completeness,
        now,
        float(bound),
        model.rulebook.stages.array,
    )


def bool_fact(model: Model, rows: Rows, name: str) -> F64:
    """(n,) a bool fact as 1, 0 or NaN = unknown."""
    return flag_fact(model.rulebook.catalogue, rows, name)


def flag_fact(catalogue: Catalogue, rows: Rows, name: str) -> F64:
    """(n,) a bool fact of a catalogue as 1, 0 or NaN = unknown."""
    place = catalogue.bits.get(name)
    if place is None:
        return np.full(len(rows), np.nan)
    known = (rows.known[:, place.known_word] >> np.uint64(place.known_bit)) & np.uint64(1)
    flag = (rows.words[:, place.word] >> np.uint64(place.shift)) & np.uint64(1)
    return np.where(known == 1, flag.astype(np.float64), np.nan)


def alive_of(model: Model, rows: Rows) -> F64:
    """(n,) P(alive), NaN where it is unknown; without a lifetime-value fit it is for all."""
    return figures_of(model, rows, rows.as_of)[:, Figure.ALIVE].copy()
