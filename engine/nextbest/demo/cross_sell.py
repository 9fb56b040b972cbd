"""How well what peers have says what a household will buy for the first time.

Peers are counted on purchases before a day; a household is right about when it buys a category later that
it had not bought before. Categories are ranked by how many of all have them (popularity), by how many of
the peer cell have them (penetration), by what the households most alike own (user kNN), and by the cell's
lift. Lift explains, it does not rank: what is rare everywhere has the highest lift and is bought by few.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import polars as pl

from nextbest.demo.history import PanelHistory
from nextbest.demo.households import FACT_VALUES, household_facts
from nextbest.demo.panel import Panel, find_panel
from nextbest.model import F64, I32, Bools
from nextbest.potential.cells import grow, peer_codes
from nextbest.potential.peers import PeerFigure, PeerRates

DIMENSIONS: Final = ("behaviour_cluster", "peer_segment", "household", "channel_mix")
"""Peer dimensions of the grocery rulebook."""
MOST: Final = 64
"""Product categories looked at, those bought by the most households before the day."""
OFFERED: Final = 5
NEIGHBOURS: Final = 200
"""Households most alike that user kNN asks."""


@dataclass(frozen=True, slots=True)
class CrossSell:
    """Mean share of a household's new categories that are among the five ranked first."""

    households: int
    """Those that bought before and after, and something new."""
    popularity: float
    penetration: float
    neighbours: float
    """Ranked by what the households most alike own, see `neighbours`."""
    lift: float


def product_categories() -> pl.DataFrame:
    """product_id and its category, of some three hundred."""
    products = pl.scan_parquet(find_panel() / "products.parquet")
    return products.select("product_id", category="product_category").drop_nulls().collect()


def cross_sell(panel: Panel, history: PanelHistory, categories: pl.DataFrame, as_of: date) -> CrossSell:
    """Rank categories on what lies before a day, and judge by what came from that day on.

    Args:
        panel: the lines.
        history: the same condensed, for the peer dimensions.
        categories: from `product_categories`.
        as_of: the day.
    """
    facts = household_facts(history, as_of)
    bought = _bought(panel, categories)
    past, future = bought.filter(pl.col("day") < as_of), bought.filter(pl.col("day") >= as_of)
    names = _most_bought(past)
    households = facts["household_id"].to_list()
    before, after = _owned(past, households, names), _owned(future, households, names)
    rates, cells = peer_rates(facts, before, names)
    figures = rates.figures()
    judged = _any(before) & _any(after)
    return CrossSell(
        households=int((judged & _any(after & ~before)).sum()),
        popularity=recall(before, after, np.broadcast_to(before.mean(axis=0), before.shape), judged),
        penetration=recall(before, after, figures[cells, :, PeerFigure.PENETRATION], judged),
        neighbours=recall(before, after, neighbours(before), judged),
        lift=recall(before, after, np.nan_to_num(figures[cells, :, PeerFigure.LIFT]), judged),
    )


def peer_rates(facts: pl.DataFrame, owned: Bools, names: list[str]) -> tuple[PeerRates, I32]:
    """Who owns what in each peer cell, and the households' cells."""
    codes = np.column_stack([_codes(facts[name], FACT_VALUES[name]) for name in DIMENSIONS])
    tree, cells = grow(peer_codes(codes), np.ones(len(facts), np.bool_))
    bits = np.left_shift(owned.astype(np.uint64), np.arange(len(names), dtype=np.uint64))
    words = np.bitwise_or.reduce(bits, axis=1)
    return PeerRates.build(cells, words, _any(owned), parent=tree.parent, categories=names), cells


def neighbours(owned: Bools, *, k: int = NEIGHBOURS) -> F64:
    """User kNN: how many of the k households most alike own each category, weighted by likeness.

    Likeness is the cosine between what two households own. The catalogue's peers need no comparison of
    every household with every other, so this is a yardstick and serves no decision.

    Args:
        owned: (n, J), n > 1.
        k: households to ask; at most n - 1 are.

    Returns:
        (n, J) higher = owned by more of them.

    Cost: memory n² × 8 bytes.
    Oracle: tests/naive/cross_sell.py `neighbours`.
    """
    counts = owned.astype(np.float64)
    length = np.sqrt(counts.sum(axis=1, keepdims=True))
    unit = np.divide(counts, length, out=np.zeros_like(counts), where=length > 0)
    alike = unit @ unit.T
    np.fill_diagonal(alike, -np.inf)
    # Nearly equal likenesses are equal: products of floats must not break ties.
    nearest = np.argsort(-np.round(alike, 12), axis=1, kind="stable")[:, : min(k, len(counts) - 1)]
    weight = np.take_along_axis(alike, nearest, axis=1)
    return np.stack([some @ counts[who] for some, who in zip(weight, nearest, strict=True)])


def recall(before: Bools, after: Bools, score: F64, judged: Bools, *, offered: int = OFFERED) -> float:
    """Mean over households of the share of their new categories among those ranked first; NaN for nobody.

    Args:
        before: (n, J) owned when the ranking was made.
        after: (n, J) bought later.
        score: (n, J) higher = ranked earlier; ties go to the earlier category.
        judged: (n,) households to look at; those with nothing new are passed over.
        offered: categories ranked first.

    Oracle: tests/naive/cross_sell.py `recall`.
    """
    new = after & ~before
    first = np.argsort(-np.where(before, -np.inf, score), axis=1, kind="stable")[:, :offered]
    wanted = new.sum(axis=1)
    used = judged & (wanted > 0)
    found = np.take_along_axis(new, first, axis=1).sum(axis=1)
    return float((found[used] / wanted[used]).mean()) if used.any() else float("nan")


def _any(owned: Bools) -> Bools:
    """(n,) whether any category is owned."""
    return np.asarray(owned.any(axis=1), np.bool_)


def _bought(panel: Panel, categories: pl.DataFrame) -> pl.DataFrame:
    lines = panel.lines.filter(pl.col("sales_value") > 0).select("household_id", "day", "product_id")
    return lines.join(categories.lazy(), on="product_id").select("household_id", "day", "category").collect()


def _most_bought(past: pl.DataFrame) -> list[str]:
    buyers = past.group_by("category").agg(pl.col("household_id").n_unique())
    ordered = buyers.sort(["household_id", "category"], descending=[True, False])
    return ordered["category"].to_list()[:MOST]


def _owned(bought: pl.DataFrame, households: list[int], names: list[str]) -> Bools:
    """(households, categories) whether bought."""
    owned = np.zeros((len(households), len(names)), np.bool_)
    rows = {household: i for i, household in enumerate(households)}
    columns = {name: j for j, name in enumerate(names)}
    pairs = bought.select("household_id", "category").unique()
    for household, name in pairs.iter_rows():
        if household in rows and name in columns:
            owned[rows[household], columns[name]] = True
    return owned


def _codes(column: pl.Series, members: tuple[str, ...]) -> F64:
    codes: dict[str, int] = {name: code for code, name in enumerate(members)}
    found = column.replace_strict(codes, default=None, return_dtype=pl.Float64)
    return found.fill_null(float("nan")).to_numpy()
