"""A customer's figures → the contract: each with the parts that it is the sum of and what was assumed."""

from collections.abc import Iterator
from enum import IntEnum

import numpy as np

from loyalty.nextbest.v1 import common_pb2, customer_pb2
from nextbest.action.weights import weight_name, weight_named
from nextbest.assembly import PEER_SET, Model
from nextbest.behaviour.quality import fact_states, facts_to_collect, has_attitude
from nextbest.facts import FIGURE_VALUES, Figure
from nextbest.figures import Valued
from nextbest.model import DAY_S, F64, Rows
from nextbest.potential.peers import PeerFigure, peer_offers
from nextbest.potential.value import ProfitTerm, ValueFlag, ValueTerm
from nextbest.valuation import VALUE_FACTS

_FIELDS = [(figure, figure.name.lower()) for figure in Figure if figure not in FIGURE_VALUES]
_WHOLE = {Figure.LEVEL, Figure.PEER_CELL_SIZE}
_FLAGS = {Figure.VALUE_REACHED, Figure.PROFIT_REACHED, Figure.FALSE_LOYALTY, Figure.ACTION_LOYAL}
MOST_OFFERS = 5
"""Things that peers have, shown of a customer."""
_NEVER_DEFAULTED = {"revenue_net", "cogs", "margin_rate"}
"""Missing revenue stays missing; cost of goods and margin rate stand in for each other."""
_ASSUMED = ("spent_on_customer", "exposure_share")
"""Unknown, nothing was spent, and the whole window was seen."""


def customer_figures(
    model: Model, figures: F64, rows: Rows, valued: Valued, row: int
) -> customer_pb2.CustomerFigures:
    """The figures of one of n customers; what is missing stays unset.

    Args:
        model: what they were computed with.
        figures: (n, Figure).
        rows: the snapshots.
        valued: actual value and profit of the same customers.
        row: which of them.
    """
    message = customer_pb2.CustomerFigures()
    mine = figures[row]
    for figure, field in _FIELDS:
        value = float(mine[figure])
        if not np.isnan(value):
            setattr(message, field, _typed(figure, value))
    if not np.isnan(mine[Figure.STAGE]):
        stage = int(mine[Figure.STAGE])
        message.stage = common_pb2.Stage.ValueType(stage + 1)
        if message.HasField("potential_profit") or message.HasField("potential_value"):
            message.potential_quantile = float(model.rulebook.strategy.stretch[stage])
        message.customer_weight_of = weight_name(mine)
        message.customer_weight = weight_named(model.rulebook.strategy, message.customer_weight_of)
    if not np.isnan(mine[Figure.FORGIVE_MODE]):
        message.forgive_mode = customer_pb2.ForgiveMode.ValueType(int(mine[Figure.FORGIVE_MODE]) + 1)
    if not np.isnan(mine[Figure.FORGIVE_CAUSE]):
        message.forgive_cause = customer_pb2.ForgiveCause.ValueType(int(mine[Figure.FORGIVE_CAUSE]) + 1)
    if model.peers is not None and valued.cells is not None:
        message.peer_cell = _path(model, int(valued.cells[row]))
    message.drivers.extend(_drivers("actual_profit", ProfitTerm, valued.worth.profit_terms[row]))
    message.drivers.extend(_drivers("actual_value", ValueTerm, valued.worth.value_terms[row]))
    message.drivers.extend(_lifetime_drivers(mine))
    message.drivers.sort(key=lambda driver: -abs(driver.amount))
    message.attitude_known = has_attitude(rows, row, model.attitude)
    message.lacking_facts.extend(_lacking(model, figures, rows, row))
    if valued.cells is not None:
        message.peer_offers.extend(_offers(model, rows, int(valued.cells[row]), row))
    message.defaulted.extend(_defaulted(model, rows.numbers[row], int(valued.worth.flags[row])))
    return message


def _typed(figure: Figure, value: float) -> float | int | bool:
    if figure in _FLAGS:
        return value != 0.0
    return int(value) if figure in _WHOLE else value


def _drivers(figure: str, terms: type[IntEnum], amounts: F64) -> Iterator[customer_pb2.ValueDriver]:
    """The parts of one figure; what is 0 or unknown drives nothing."""
    for term in terms:
        amount = float(amounts[term])
        if amount and not np.isnan(amount):
            yield customer_pb2.ValueDriver(figure=figure, name=term.name.lower(), amount=amount)


def _lifetime_drivers(figures: F64) -> Iterator[customer_pb2.ValueDriver]:
    """The parts of lifetime value with referrals: what is bought, what is paid above others, what is said."""
    premium = float(np.nan_to_num(figures[Figure.PRICE_PREMIUM]))
    parts = {
        "purchases": float(figures[Figure.LTV]) - premium,
        "price_premium": premium,
        "word_of_mouth": float(figures[Figure.LTV_WITH_REFERRALS]) - float(figures[Figure.LTV]),
    }
    for name, amount in parts.items():
        if amount and not np.isnan(amount):
            yield customer_pb2.ValueDriver(figure="ltv_with_referrals", name=name, amount=amount)


def _lacking(model: Model, figures: F64, rows: Rows, row: int) -> tuple[str, ...]:
    """Required facts that are missing or stale now, the weightiest first."""
    part = slice(row, row + 1)
    now = rows.as_of[part] + figures[part, Figure.SNAPSHOT_AGE_DAYS] * DAY_S
    states = fact_states(rows.numbers[part], rows.known[part], rows.as_of[part], now, model.quality)
    return facts_to_collect(model.rulebook.catalogue, states[0])


def _offers(model: Model, rows: Rows, cell: int, row: int) -> Iterator[customer_pb2.PeerOffer]:
    """What peers own and this customer is known not to."""
    catalogue, offers = model.rulebook.catalogue, None if model.peers is None else model.peers.offers
    place = catalogue.bits.get(PEER_SET)
    if offers is None or place is None:
        return
    known = (rows.known[row : row + 1, place.known_word] >> np.uint64(place.known_bit)) & np.uint64(1) == 1
    owned = rows.words[row : row + 1, place.word].copy()
    found = peer_offers(offers, np.array([cell], np.int32), owned, known, MOST_OFFERS)[0]
    for category in (int(member) for member in found if member >= 0):
        figures = offers[cell, category]
        yield customer_pb2.PeerOffer(
            category=catalogue[PEER_SET].values[category],
            penetration=float(figures[PeerFigure.PENETRATION]),
            lower_bound=float(figures[PeerFigure.LOW]),
            lift=float(figures[PeerFigure.LIFT]),
        )


def _path(model: Model, cell: int) -> str:
    """Names of the cell's peer dimensions from the root on; empty for the root itself."""
    peers, catalogue = model.peers, model.rulebook.catalogue
    if peers is None:
        return ""
    names: list[str] = []
    codes: list[int] = peers.tables.tree.paths[cell].tolist()
    for dimension, code in zip(model.rulebook.strategy.peer_dimensions, codes, strict=True):
        if code < 0:
            break
        values = catalogue[dimension].values
        names.append(values[code] if code < len(values) else str(code))
    return "/".join(names)


def _defaulted(model: Model, numbers: F64, flags: int) -> Iterator[str]:
    """Facts of the rulebook that were missing and for which the model's default was used."""
    value, columns = model.rulebook.value, model.rulebook.catalogue.columns
    if flags & ValueFlag.MARGIN_DEFAULTED:
        yield "margin_rate"
    counted = [name for name, _ in (*value.activities, *value.benefits)]
    for name in dict.fromkeys((*VALUE_FACTS, *counted, *_ASSUMED)):
        if name in columns and name not in _NEVER_DEFAULTED and np.isnan(numbers[columns[name]]):
            yield name
