"""Calendar periods by looking: back and forth from a moment until the local date names another period."""

import datetime as dt
from zoneinfo import ZoneInfo


def name_of(calendar, now, zone):
    """What the period that holds the moment is called, such as (2024, 2)."""
    local = dt.datetime.fromtimestamp(now, ZoneInfo(zone))
    return {
        "day": local.date(),
        "week": local.isocalendar()[:2],
        "month": (local.year, local.month),
        "quarter": (local.year, (local.month - 1) // 3),
        "year": local.year,
    }[calendar]


def bounds(calendar, now, zone):
    """The period's first second, and the first second after it."""
    own = name_of(calendar, now, zone)

    def edge(step):
        inside, outside = int(now // 1), int(now // 1) + step
        while name_of(calendar, outside, zone) == own:
            inside, outside = outside, outside + step
        while abs(outside - inside) > 1:
            middle = (inside + outside) // 2
            if name_of(calendar, middle, zone) == own:
                inside = middle
            else:
                outside = middle
        return inside, outside

    return edge(-6 * 3600)[0], edge(6 * 3600)[1]
