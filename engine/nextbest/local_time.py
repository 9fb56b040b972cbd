"""The hour of the day where a customer is, resolved outside the kernels from the pinned tzdata."""

import datetime as dt
from functools import lru_cache

import numpy as np

from nextbest.arena import fixed
from nextbest.kernels import kernel, lean_kernel
from nextbest.model import F64, I32, I64, Contexts, Rows
from nextbest.rulebook.rulebook import Rulebook
from nextbest.rulebook.zones import zone_named

_SLOT_S = 900
"""Offsets change on quarter hours only, so one look-up serves all times within one."""


def local_hours(rulebook: Rulebook, rows: Rows, contexts: Contexts, now: F64) -> F64:
    """Local hour of the day in [0, 24), NaN where no gate will ask.

    Quiet hours bind outbound contact only, so without them, or without an outbound request,
    nothing is looked up. A customer whose zone is not known lives in the strategy's.
    """
    if not rulebook.has_quiet_hours or not len(rows):
        return _not_asked(len(rows))
    if len(rows) == 1:
        asked = contexts.direction[0] != 0  # inbound is 0
        return np.array([_hour_of_one(rulebook, rows, float(now[0]))]) if asked else _not_asked(1)
    zones = np.empty(len(rows), np.int64)
    counts = np.zeros(len(_zones(rulebook)) + 1, np.int64)
    fill_zones(fixed(rows.numbers), rulebook.catalogue.column("time_zone"), zones, counts)
    hours, (offsets, own) = np.empty(len(rows)), _offsets_s(rulebook, zones, counts, now)
    fill_hours(fixed(contexts.direction), fixed(now), fixed(offsets), fixed(own), hours)
    return hours


@kernel
def fill_zones(numbers: F64, column: int, zones: I64, counts: I64) -> None:
    """Write each customer's zone + 1 into `zones`, 0 = not known, and how many live in each into `counts`."""
    for i in range(len(zones)):
        code = numbers[i, column] if column >= 0 else -1.0
        zones[i] = np.int64(code) + 1 if 0.0 <= code < len(counts) - 1 else 0
        counts[zones[i]] += 1


@lean_kernel
def fill_hours(direction: I32, now: F64, offsets: F64, own: I64, hours: F64) -> None:
    """Write the local hours of the day of n customers, NaN for those who started the contact.

    Args:
        direction: (n,).
        now: (n,) epoch seconds.
        offsets: Offsets from UTC, seconds.
        own: (n,) which offset is whose.
        hours: (n,) filled.
    """
    for i in range(len(hours)):
        hour = second_of_day(now[i] + offsets[own[i]]) / 3600.0
        hours[i] = hour if direction[i] != 0 else np.nan


@lean_kernel
def second_of_day(local: float) -> float:
    """`local % 86400.0` bit for bit while |local| < 2⁵³: the remainder itself takes ten times as long.

    The quotient may be rounded up to a whole day, which the negative rest tells; all else is exact (scalar
    kernel).
    """
    rest = local - np.floor(local / 86400.0) * 86400.0
    return rest + 86400.0 if rest < 0.0 else rest


def _hour_of_one(rulebook: Rulebook, rows: Rows, now: float) -> float:
    """The hour of one customer, for whom arrays would take longer than looking it up."""
    column = rulebook.catalogue.column("time_zone")
    code = float(rows.numbers[0, column]) if column >= 0 else -1.0
    known = 0 <= code < len(_zones(rulebook))
    zone = _zone(rulebook, int(code) if known else -1)
    return (now + _offset_s(zone, int(now // _SLOT_S))) % 86400.0 / 3600.0


def _offsets_s(rulebook: Rulebook, zones: I64, counts: I64, now: F64) -> tuple[F64, I64]:
    """Offsets from UTC, seconds, and which is whose; a zone and a slot are looked up once for all in them."""
    slot = int(now.min() // _SLOT_S)
    if slot == now.max() // _SLOT_S:
        offsets = np.zeros(len(counts))
        for zone in np.flatnonzero(counts).tolist():
            offsets[zone] = _offset_s(_zone(rulebook, zone - 1), slot)
        return offsets, zones
    keys, own = np.unique((now // _SLOT_S).astype(np.int64) * len(counts) + zones, return_inverse=True)
    pairs = [divmod(key, len(counts)) for key in keys.tolist()]
    return np.array([_offset_s(_zone(rulebook, code - 1), slot) for slot, code in pairs]), own


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
