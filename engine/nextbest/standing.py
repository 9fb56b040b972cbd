"""What stands behind one customer's figures: who the peers are, and which signed parts the totals have."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nextbest.assembly import Model
from nextbest.facts import Figure
from nextbest.model import F64, Rows
from nextbest.potential.value import ProfitTerm, ValueFlag, ValueTerm
from nextbest.valuation import take_columns, valuation

NEGLIGIBLE = 0.005
"""Amounts below half a cent are no drivers."""


@dataclass(frozen=True, slots=True)
class Driver:
    """One signed part of a total."""

    figure: str
    """`actual_value` or `actual_profit`."""
    name: str
    amount: float
    """Money a year."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Who a customer is compared with, and what the customer's figures are made of."""

    peer_cell: str
    """Path from the root, such as `two_adults/high_income`; empty = all customers."""
    potential_quantile: float | None
    """τ of the customer's stage; None without a peer grid."""
    drivers: tuple[Driver, ...]
    """Signed parts, the largest first; those of a figure sum to it."""
    defaulted: tuple[str, ...]
    """What was assumed because it was missing."""


def standing(model: Model, rows: Rows, figures: F64, row: int) -> Standing:
    """Describe one customer of a batch.

    Args:
        model: Rulebook and artifacts.
        rows: Snapshots.
        figures: (n, Figure) of these snapshots.
        row: The customer's place.
    """
    one = Rows(
        rows.as_of[row : row + 1],
        rows.numbers[row : row + 1],
        rows.words[row : row + 1],
        rows.known[row : row + 1],
    )
    worth = valuation(model.worth, one)
    return Standing(
        peer_cell=_peer_cell(model, one),
        potential_quantile=_quantile(model, figures[row]),
        drivers=tuple(sorted(_drivers(figures[row], worth.value_terms, worth.profit_terms), key=_size)),
        defaulted=tuple(f.name.lower() for f in ValueFlag if f.name and int(worth.flags[0]) & f),
    )


def _quantile(model: Model, figures: F64) -> float | None:
    if model.peers is None:
        return None
    return float(model.rulebook.strategy.stretch[int(figures[Figure.STAGE])])


def _peer_cell(model: Model, one: Rows) -> str:
    if model.peers is None:
        return ""
    names: list[str] = []
    codes = take_columns(one.numbers, model.peers.columns)
    cell = int(model.peers.tables.locate(codes)[0])
    path = model.peers.tables.tree.paths[cell]
    for place, dimension in enumerate(model.rulebook.strategy.peer_dimensions):
        code = int(path[place])
        if code < 0:
            break
        names.append(model.rulebook.catalogue[dimension].values[code])
    return "/".join(names)


def _drivers(figures: F64, value_terms: F64, profit_terms: F64) -> Iterator[Driver]:
    """The parts of both totals; what a short history borrows from its peers is the rest."""
    for figure, total, kinds, terms in (
        ("actual_value", figures[Figure.ACTUAL_VALUE], ValueTerm, value_terms[0]),
        ("actual_profit", figures[Figure.ACTUAL_PROFIT], ProfitTerm, profit_terms[0]),
    ):
        if np.isnan(total):
            continue
        for kind in kinds:
            amount = float(terms[kind])
            if kind.name == "PEERS":
                amount = float(total - terms[: int(kind)].sum())
            if abs(amount) >= NEGLIGIBLE:
                yield Driver(figure, kind.name.lower(), amount)


def _size(driver: Driver) -> float:
    return -abs(driver.amount)
