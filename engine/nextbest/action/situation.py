"""What the gates read of one customer and request, taken from rows and contexts as they come."""

import numpy as np

from nextbest.action.contact import contact_pressure, fill_seen
from nextbest.action.tables import Batch, Place, Raw, Tables
from nextbest.facts import Figure
from nextbest.kernels import lean_kernel
from nextbest.model import DAY_S, Direction

_CONSENT, _BLOCKED = int(Place.CONSENT_WORD), int(Place.BLOCKED_WORD)
_TIME_ZONE = int(Place.TIME_ZONE)
_STAGE, _OUTBOUND = int(Figure.STAGE), int(Direction.OUTBOUND)
_TOUCHPOINT_SCORE, _TOUCHPOINT_AT = int(Place.TOUCHPOINT_SCORE), int(Place.TOUCHPOINT_AT)


@lean_kernel
def known_set(tables: Tables, raw: Raw, customer: int, first: int) -> np.uint64:
    """A set's members as bits, none where it is unknown; `first` is its place in `Tables.places`."""
    word = tables.places[first]
    if word < 0:
        return np.uint64(0)
    bit = raw.known[customer, tables.places[first + 1]] >> np.uint64(tables.places[first + 2])
    return raw.words[customer, word] if bit & np.uint64(1) != np.uint64(0) else np.uint64(0)


@lean_kernel
def pressure_factor(tables: Tables, batch: Batch, customer: int) -> float:
    """Pressure factor √(1 − P_eff/cap) of an outbound contact, 1 when the customer starts it."""
    if batch.requests[customer, 1] != _OUTBOUND:
        return 1.0
    cap = tables.stages[np.int64(batch.figures[customer, _STAGE]), 1]
    return float(np.sqrt(max(1.0 - batch.pressure[customer, 0] / cap, 0.0))) if cap > 0.0 else 0.0


@lean_kernel
def fill_past(tables: Tables, batch: Batch, customer: int) -> None:
    """Write what a customer's history says: `pressure`, and the lane of `seen`, which is empty."""
    first, last, now = batch.starts[customer], batch.starts[customer + 1], batch.now[customer]
    pressure, located = contact_pressure(
        batch.entry_numbers, batch.entry_bytes, first, last, now, tables.channels
    )
    batch.pressure[customer, 0] = pressure
    batch.pressure[customer, 1] = located
    fill_seen(tables, batch, customer)


@lean_kernel
def _zone_row(tables: Tables, raw: Raw, customer: int) -> int:
    """The customer's row of `Tables.validity`: 0 where the zone is not known or makes no difference."""
    column = tables.places[_TIME_ZONE]
    code = raw.numbers[customer, column] if column >= 0 else -1.0
    return int(code) + 1 if 0.0 <= code < len(tables.validity) - 1 else 0


@lean_kernel
def fill_situation(tables: Tables, raw: Raw, batch: Batch, customer: int) -> None:
    """Write a customer's `masks`, `facts`, `requests` and pressure factor; `fill_past` has been called."""
    batch.masks[customer, 0] = known_set(tables, raw, customer, _CONSENT)
    batch.masks[customer, 1] = known_set(tables, raw, customer, _BLOCKED)
    now, score, at = batch.now[customer], tables.places[_TOUCHPOINT_SCORE], tables.places[_TOUCHPOINT_AT]
    batch.facts[customer, 0] = raw.numbers[customer, score] if score >= 0 else np.nan
    batch.facts[customer, 1] = (now - raw.numbers[customer, at]) / DAY_S if at >= 0 else np.nan
    batch.facts[customer, 2] = raw.hours[customer]
    batch.requests[customer, 0] = raw.channel[customer]
    batch.requests[customer, 1] = raw.direction[customer]
    batch.requests[customer, 2] = np.int64(raw.placements[customer])
    batch.requests[customer, 3] = tables.roles[raw.role[customer]]
    batch.requests[customer, 4] = _zone_row(tables, raw, customer)
    batch.pressure[customer, 2] = pressure_factor(tables, batch, customer)
