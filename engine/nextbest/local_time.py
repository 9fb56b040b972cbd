"""The hour of the day where a customer is, resolved outside the kernels from the pinned tzdata."""

import datetime as dt
from functools import lru_cache

import numpy as np

from nextbest.model import F64, I64, Contexts, Rows
from nextbest.rulebook.rulebook import Rulebook
from nextbest.rulebook.zones import zone_named

_SLOT_S = 900
"""Offsets change on quarter hours only, so one look-up serves all times within one."""


def local_hours(rulebook: Rulebook, rows: Rows, contexts: Contexts, now: F64) -> F64:
    """Local hour of the day in [0, 24), NaN where no gate will ask.

    Quiet hours bind outbound contact only, so without them, or without an outbound request,
    nothing is looked up. A customer whose zone is not known lives in the strategy's.
    """
    if not rulebook.has_quiet_hours:
        return _not_asked(len(rows))
    if len(rows) == 1:
        asked = contexts.direction[0] != 0  # inbound is 0
        return np.array([_hour_of_one(rulebook, rows, float(now[0]))]) if asked else _not_asked(1)
    outbound = np.flatnonzero(contexts.direction)
    hours = np.full(len(rows), np.nan)
    offsets = _offsets_s(rulebook, _zone_codes(rulebook, rows, outbound), now[outbound])
    hours[outbound] = second_of_day(now[outbound] + offsets) / 3600.0
    return hours


def second_of_day(local: F64) -> F64:
    """`local % 86400.0` bit for bit while |local| < 2⁵³: numpy's takes ten times as long.

    The quotient may be rounded up to a whole day, which the negative rest tells; all else is exact.
    """
    rest = local - np.floor(local / 86400.0) * 86400.0
    return np.where(rest < 0.0, rest + 86400.0, rest)


def _hour_of_one(rulebook: Rulebook, rows: Rows, now: float) -> float:
    """The hour of one customer, for whom arrays would take longer than looking it up."""
    column = rulebook.catalogue.column("time_zone")
    code = float(rows.numbers[0, column]) if column >= 0 else -1.0
    known = 0 <= code < len(_zones(rulebook))
    zone = _zone(rulebook, int(code) if known else -1)
    return (now + _offset_s(zone, int(now // _SLOT_S))) % 86400.0 / 3600.0


def _zone_codes(rulebook: Rulebook, rows: Rows, outbound: I64) -> F64:
    """Codes of the customers' zones, -1 = not known."""
    column, zones = rulebook.catalogue.column("time_zone"), _zones(rulebook)
    if column < 0:
        return np.full(len(outbound), -1.0)
    codes = rows.numbers[outbound, column]
    return np.where((codes >= 0) & (codes < len(zones)), np.floor(codes), -1.0)


def _offsets_s(rulebook: Rulebook, codes: F64, now: F64) -> F64:
    """(n,) offsets from UTC, seconds; a zone and a slot are looked up once for all who share them."""
    ways, zones = len(_zones(rulebook)) + 1, codes.astype(np.int64) + 1
    if len(now) and now.min() // _SLOT_S == now.max() // _SLOT_S:
        return _offsets_in_slot(rulebook, zones, int(now[0] // _SLOT_S))[zones]
    keys, own = np.unique((now // _SLOT_S).astype(np.int64) * ways + zones, return_inverse=True)
    pairs = [divmod(key, ways) for key in keys.tolist()]
    return np.array([_offset_s(_zone(rulebook, code - 1), slot) for slot, code in pairs])[own]


def _offsets_in_slot(rulebook: Rulebook, zones: I64, slot: int) -> F64:
    """Offsets of one slot by zone + 1, right for those of `zones`: a population mostly shares the slot."""
    counts = np.bincount(zones)
    offsets = np.zeros(len(counts))
    for zone in np.flatnonzero(counts).tolist():
        offsets[zone] = _offset_s(_zone(rulebook, zone - 1), slot)
    return offsets


@lru_cache(maxsize=4)
def _not_asked(n: int) -> F64:
    hours = np.full(n, np.nan)
    hours.setflags(write=False)
    return hours


def _zones(rulebook: Rulebook) -> tuple[str, ...]:
    return rulebook.catalogue["time_zone"].values if "time_zone" in rulebook.catalogue else ()


def _zone(rulebook: Rulebook, code: int) -> str:
    zones = _zones(rulebook)
    if code >= 0 and zone_named(zones[code]) is not None:
        return zones[code]
    return rulebook.strategy.time_zone


@lru_cache(maxsize=4096)
def _offset_s(zone: str, slot: int) -> float:
    moment = dt.datetime.fromtimestamp(slot * _SLOT_S, zone_named(zone) or dt.UTC)
    offset = moment.utcoffset()
    return 0.0 if offset is None else offset.total_seconds()
