"""The hour of the day where a customer is, resolved outside the kernels from the pinned tzdata."""

import datetime as dt
from functools import lru_cache

import numpy as np

from nextbest.model import F64, Contexts, Rows
from nextbest.rulebook.rulebook import Rulebook
from nextbest.rulebook.zones import zone_named

_SLOT_S = 900
"""Offsets change on quarter hours only, so one look-up serves all times within one."""


def local_hours(rulebook: Rulebook, rows: Rows, contexts: Contexts, now: F64) -> F64:
    """Local hour of the day in [0, 24), NaN where no gate will ask.

    Quiet hours bind outbound contact only, so without them, or without an outbound request,
    nothing is looked up. A customer whose zone is not known lives in the strategy's.
    """
    outbound = np.flatnonzero(contexts.direction)  # inbound is 0
    if not len(outbound) or np.isnan(rulebook.channel_tables.quiet_from).all():
        return _not_asked(len(rows))
    hours = np.full(len(rows), np.nan)
    column = rulebook.catalogue.column("time_zone")
    for i in outbound:
        zone = _zone(rulebook, float(rows.numbers[i, column]) if column >= 0 else np.nan)
        time = float(now[i])
        hours[i] = (time + _offset_s(zone, int(time // _SLOT_S))) % 86400.0 / 3600.0
    return hours


@lru_cache(maxsize=4)
def _not_asked(n: int) -> F64:
    hours = np.full(n, np.nan)
    hours.setflags(write=False)
    return hours


def _zone(rulebook: Rulebook, code: float) -> str:
    zones = rulebook.catalogue["time_zone"].values if "time_zone" in rulebook.catalogue else ()
    if 0 <= code < len(zones) and zone_named(zones[int(code)]) is not None:
        return zones[int(code)]
    return rulebook.strategy.time_zone


@lru_cache(maxsize=4096)
def _offset_s(zone: str, slot: int) -> float:
    moment = dt.datetime.fromtimestamp(slot * _SLOT_S, zone_named(zone) or dt.UTC)
    offset = moment.utcoffset()
    return 0.0 if offset is None else offset.total_seconds()
