"""History windows, one customer and one entry at a time, written from the domain model and design (5)."""

import math

from nextbest.rulebook.program import EntryField, Ring, WindowKind

NAMES = {
    EntryField.KIND: "kind",
    EntryField.CHANNEL: "channel",
    EntryField.DIRECTION: "direction",
    EntryField.PLACEMENT: "placement",
    EntryField.OUTCOME: "outcome",
    EntryField.ACTION: "action",
    EntryField.TREATMENT: "treatment",
    EntryField.TRIGGER: "trigger",
    EntryField.EVENT_KIND: "event_kind",
    EntryField.AMOUNT: "amount",
    EntryField.COST: "cost",
}


def window(spec, histories, customer: int, now: float) -> float:
    """What a window column holds for one customer; NaN = UNKNOWN or none."""
    if spec.kind is WindowKind.PEERS_HAVE:
        return math.nan
    ring = histories.contacts if spec.ring is Ring.CONTACTS else histories.events
    since = now - spec.seconds
    if ring.truncated_before[customer] > since:
        return math.nan
    entries = ring.entries[ring.starts[customer] : ring.starts[customer + 1]]
    inside = [e for e in entries if since < e["time"] <= now]
    for field, codes in spec.filters:
        inside = [e for e in inside if int(e[NAMES[field]]) in codes]
    if spec.kind is WindowKind.COUNT:
        return float(len(inside))
    if spec.kind is WindowKind.LAST:
        return max((float(e["time"]) for e in inside), default=math.nan)
    amounts = [float(e[NAMES[spec.summed]]) for e in inside]
    return sum(a for a in amounts if not math.isnan(a))
