"""When actions are valid: by dates, and a day begins at another moment in each time zone."""

import datetime as dt
import math

import numpy as np

from nextbest.model import F64
from nextbest.rulebook.rulebook import Rulebook
from nextbest.rulebook.zones import zone_named


def validity_by_zone(rulebook: Rulebook) -> F64:
    """(zones + 1, 2·A) epoch seconds from and until which each action is valid, -inf and inf = no bound.

    Row 0 is the strategy's time zone, of whoever's own is not known; row z + 1 that of value z of the fact
    `time_zone`. One row is all there is where no action has dates, or nobody's zone is known.
    """
    tables = rulebook.action_tables
    bounds = np.stack([tables.valid_from, tables.valid_until], axis=1).ravel()
    own = zone_named(rulebook.strategy.time_zone) or dt.UTC
    if not np.isfinite(bounds).any():
        return bounds[np.newaxis]
    zones = [own, *(zone_named(name) or own for name in _zone_names(rulebook))]
    days = [dt.datetime.fromtimestamp(t, own).date() if math.isfinite(t) else None for t in bounds.tolist()]
    return np.array(
        [
            [_midnight(day, zone) if day else bound for day, bound in zip(days, bounds.tolist(), strict=True)]
            for zone in zones
        ]
    )


def _zone_names(rulebook: Rulebook) -> tuple[str, ...]:
    return rulebook.catalogue["time_zone"].values if "time_zone" in rulebook.catalogue else ()


def _midnight(day: dt.date, zone: dt.tzinfo) -> float:
    """Where clocks skip midnight, the moment they do."""
    return dt.datetime.combine(day, dt.time(), zone).timestamp()
