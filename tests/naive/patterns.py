"""Event patterns straight from docs/patterns.md: every combination of events is tried, in plain Python.

Works on the YAML documents themselves, with its own reader of conditions. Exponential: small windows only.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}


class Happened(NamedTuple):
    """An event: key, kind, microseconds, attributes."""

    key: str
    kind: str
    time: int
    attributes: Mapping[str, Any]


@cache
def span(text: str) -> int:
    """A duration in microseconds."""
    number, unit = re.fullmatch(r"([0-9.]+)([a-z]+)", text).groups()
    return round(float(number) * UNITS[unit] * 1_000_000)


def kind_of(value: Any) -> str:
    """What kind of value it is; empty if it is not there."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "" if math.isnan(value) else "number"
    return "word" if isinstance(value, str) else ""


def compares(left: Any, sign: str, right: Any) -> bool:
    """Whether a comparison holds."""
    if not kind_of(left) or not kind_of(right):
        return False
    equal = kind_of(left) == kind_of(right) and left == right
    if sign in ("==", "!="):
        return equal if sign == "==" else not equal
    if kind_of(left) != "number" or kind_of(right) != "number":
        return False
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[sign]


def value_of(side: str, own: Happened, own_name: str | None, named: Mapping[str, Happened]) -> Any:
    """A constant, an attribute of the event itself, or one of a named event."""
    if side.startswith(("'", '"')):
        return side[1:-1]
    if side in ("true", "false"):
        return side == "true"
    if re.fullmatch(r"-?[0-9]+", side):
        return int(side)
    if re.fullmatch(r"-?[0-9.]+([eE][-+]?[0-9]+)?", side):
        return float(side)
    if "." not in side:
        return own.attributes.get(side)
    event, attribute = side.split(".")
    return (own if event == own_name else named[event]).attributes.get(attribute)


@cache
def comparisons(where: str) -> list[tuple[str, str, str]]:
    """The comparisons of a condition: left side, sign, right side."""
    form = r"\s*(.+?)\s*(==|!=|<=|>=|<|>)\s*(.+?)\s*"
    return [re.fullmatch(form, comparison).groups() for comparison in where.split("&&")]


def passes(test: Mapping[str, Any], event: Happened, named: Mapping[str, Happened]) -> bool:
    """Whether an event is of the kind and passes every comparison of `where`."""
    if event.kind != test["event"]:
        return False
    for left, sign, right in comparisons(test["where"]) if "where" in test else ():
        sides = [value_of(side, event, test.get("as"), named) for side in (left, right)]
        if not compares(sides[0], sign, sides[1]):
            return False
    return True


def sequences(
    entry: Mapping[str, Any], events: Sequence[Happened], found: tuple[int, ...]
) -> Iterator[tuple]:
    """Every way to go on with a sequence of which some events have been found, by index."""
    steps = entry["sequence"]
    if len(found) == len(steps):
        yield found
        return
    step = steps[len(found)]
    named = {before["as"]: events[i] for before, i in zip(steps, found, strict=False) if "as" in before}
    for i, event in enumerate(events):
        if found:
            since_last, since_first = event.time - events[found[-1]].time, event.time - events[found[0]].time
            if since_last <= 0 or ("within" in step and since_last >= span(step["within"])):
                continue
            if "within" in entry and since_first >= span(entry["within"]):
                continue
        if passes(step, event, named):
            yield from sequences(entry, events, (*found, i))


def counts(test: Mapping[str, Any], events: Sequence[Happened]) -> Iterator[tuple[int, ...]]:
    """Every run of as many equal events as are asked for, close enough together."""
    equals: dict[tuple, list[int]] = {}
    for i, event in enumerate(events):
        common = [event.attributes.get(name) for name in test.get("same", ())]
        if passes(test, event, {}) and all(kind_of(value) for value in common):
            equals.setdefault(tuple((kind_of(v), v) for v in common), []).append(i)
    for alike in equals.values():
        for last in range(test["at_least"], len(alike) + 1):
            run = alike[last - test["at_least"] : last]
            if events[run[-1]].time - events[run[0]].time < span(test["within"]):
                yield tuple(run)


def stays_away(entry: Mapping[str, Any], events: Sequence[Happened], match: tuple[int, ...]) -> bool:
    """Whether nothing that must not follow a match follows it."""
    if "then_no" not in entry:
        return True
    test, last = entry["then_no"], events[match[-1]]
    named = {}
    if "count" in entry:
        named = {entry["count"].get("as"): last}
    else:
        named = {s["as"]: events[i] for s, i in zip(entry["sequence"], match, strict=True) if "as" in s}
    return not any(
        passes(test, event, named) and last.time < event.time < last.time + span(test["within"])
        for event in events
    )


def latest_match(
    entry: Mapping[str, Any], events: Sequence[Happened], now: int, since: float
) -> tuple[int, tuple[str, ...]] | None:
    """When a pattern fired last in (since, now], and the keys of the events; None if it did not.

    Args:
        entry: the pattern as the YAML file states it.
        events: of one customer, in any order, each key once.
        now: microseconds.
        since: microseconds, may be -inf.
    """
    known = sorted((event for event in events if event.time <= now), key=lambda event: event.time)
    wait = span(entry["then_no"]["within"]) if "then_no" in entry else 0
    found = counts(entry["count"], known) if "count" in entry else sequences(entry, known, ())
    fired = [
        match
        for match in found
        if since < known[match[-1]].time + wait <= now and stays_away(entry, known, match)
    ]
    if not fired:
        return None
    latest = max(fired, key=lambda match: match[::-1])
    return known[latest[-1]].time + wait, tuple(known[i].key for i in latest)
