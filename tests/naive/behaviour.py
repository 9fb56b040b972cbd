"""One customer through one snapshot after the other, by domain.md §7: dictionaries, None = missing.

Nothing is stored but what was seen: each period ever taken, and the snapshot before. Baselines are made anew
from all periods every time.
"""

import math

from tests.naive import changes as changed
from tests.naive import detectors, overdue

DAY_S = 86400.0
FORGOTTEN = 104


def known(value):
    """None for what is missing or infinite."""
    return value if value is not None and math.isfinite(value) else None


class Customer:
    """What writers know of one customer.

    `series`: dicts of id, period, starts, gaps, variance_floor, mad_floor. `triggers`: dicts as in the rule
    files, durations in days. `groups`: name of a group to its facts.
    """

    def __init__(self, series, triggers, groups, *, r=None, alpha=None):
        self.series, self.triggers, self.groups = series, triggers, groups
        self.r, self.alpha = r, alpha
        self.periods = {each["id"]: [] for each in series}
        self.until = {each["id"]: None for each in series}
        self.kept = {}
        self.facts, self.as_of, self.figures = None, None, {}

    def put(self, as_of, facts, now, figures=None):
        """Take a snapshot: facts that writers keep go into `kept`; the triggers that fired, once each."""
        fired = set()
        for each in self.series:
            fired |= self._take(each, as_of, facts)
        for trigger in self.triggers:
            if trigger["kind"] == "change":
                fired |= self._compare(trigger, as_of, facts, figures or {}, now)
            elif trigger["detects"] in ("fewer_purchases", "more_purchases"):
                fired |= self._count(trigger, as_of, facts, now)
        self.facts, self.as_of, self.figures = facts, as_of, figures or {}
        return fired

    def state(self, each):
        """Facts of the state of a series."""
        values = [y for _, y in self.periods[each["id"]]]
        if self.until[each["id"]] is None:
            return {}
        _, state = detectors.advance_state(
            values, v_floor=each["variance_floor"], mad_floor=each["mad_floor"]
        )
        last = [*reversed(values), *[None] * 12][:12]
        found = {"mean": state["mean"], "variance": state["variance"], "up": state["up"]}
        found |= {"down": state["down"], "n": state["n"], "until": self.until[each["id"]]}
        return found | {f"period_{i}": y for i, y in enumerate(last, start=1)}

    def _take(self, each, as_of, facts):
        length, name = each["period"], each["id"]
        end = each["starts"] + math.floor((as_of - each["starts"]) / length) * length
        told = [known(facts.get(f"{name}:{i}")) for i in range(1, 13)]
        until = self.until[name]
        if until is None or (end - until) / length > FORGOTTEN:
            if until is None and not any(y is not None for y in told):
                return set()
            self.periods[name], until, is_new = [], end - 12 * length, True
        else:
            is_new = False
        fired = set()
        while until + length <= end:
            until += length
            back = round((end - until) / length)
            y = told[back] if back < 12 else None
            begun = not is_new or any(v is not None for _, v in self.periods[name])
            if y is None and each["gaps"] == "zero" and begun:
                y = 0.0
            fired |= self._judge(each, until, y, facts, as_of)
            self.periods[name].append((until, y))
            self.until[name] = until
        return fired

    def _judge(self, each, end, y, facts, as_of):
        floors = {"v_floor": each["variance_floor"], "mad_floor": each["mad_floor"]}
        before = [v for _, v in self.periods[each["id"]]]
        _, state = detectors.advance_state(before, **floors)
        z, robust, alarm = detectors.advance_state([*before, y], **floors)[0][-1]
        evidence = {
            "observed": y,
            "expected": None if z is None else state["mean"],
            "z": z,
            "robust_z": robust,
        }
        events = {
            "drop": alarm == -1,
            "rise": alarm == 1,
            "silent_drop": self._silent(alarm == -1, facts, as_of),
            "dip": robust is not None and robust < -3,
            "spike": robust is not None and robust > 3,
        }
        fired = set()
        for trigger in self.triggers:
            if trigger["kind"] == "detector" and trigger.get("series") == each["id"]:
                fired |= self._fire(trigger, events[trigger["detects"]], end, evidence)
        return fired

    def _compare(self, trigger, as_of, facts, figures, now):
        if self.as_of is None or as_of < self.as_of:
            return set()
        name, evidence = trigger.get("watch"), {}
        if name is None:
            event = bool(changed.changes(self.groups[trigger["group"]], self.facts, facts))
        elif isinstance(facts.get(name, self.facts.get(name)), frozenset):
            event = self.facts.get(name) != facts.get(name)
        else:
            old, new = (self.figures, figures) if name in figures else (self.facts, facts)
            old, new = old.get(name), new.get(name)
            kind = trigger.get("change", "changed")
            event = changed.number_change(
                old, new, kind, by=trigger.get("by", 0.0), by_share=trigger.get("by_share", 0.0)
            )
            event = event and ("to" not in trigger or new in trigger["to"])
            evidence = {"before": old, "after": new}
        if trigger.get("silent"):
            event = self._silent(event, facts, as_of)
        return self._fire(trigger, event, min(as_of, now) if as_of > self.as_of else now, evidence)

    def _count(self, trigger, as_of, facts, now):
        if self.r is None or self.as_of is None or as_of <= self.as_of:
            return set()
        x, t_x = self.facts.get("repeat_purchases"), self.facts.get("recency_weeks")
        later, observed = facts.get("repeat_purchases"), facts.get("observed_weeks")
        if None in (x, t_x, later, observed) or later < x or observed < t_x:
            return set()
        count, window = later - x, observed - t_x
        tail = overdue.count_at_most if trigger["detects"] == "fewer_purchases" else overdue.count_at_least
        chance = float(tail(x, t_x, count, window, self.r, self.alpha))
        expected = (self.r + x) / (self.alpha + t_x) * window
        evidence = {"observed": count, "expected": expected, "probability": chance}
        return self._fire(trigger, chance < 0.05, min(as_of, now), evidence)

    def _silent(self, event, facts, as_of):
        return detectors.silent_drop(
            drop=bool(event),
            complaint_open=facts.get("complaint_open"),
            complaint_at=facts.get("complaint_at"),
            now=as_of,
        )

    def _fire(self, trigger, event, at, evidence):
        stored = self.kept.get(trigger["fired_at"])
        cool_down = trigger.get("cool_down", 0.0)
        if not detectors.fires(event=bool(event), fired_at=stored, now=at, cool_down_days=cool_down):
            return set()
        self.kept[trigger["fired_at"]] = at
        self.kept |= {name: evidence[kind] for kind, name in trigger.get("evidence", {}).items()}
        return {trigger["id"]}
