"""Triggers that are found off the request path: what fires them, and the facts that say when and why."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from nextbest.facts import Catalogue, Fact, FactType, Figure, figure_fact
from nextbest.model import DAY_S
from nextbest.rulebook.compile.report import At, Report
from nextbest.rulebook.documents.conditions import ChangeTrigger, StoredTrigger
from nextbest.rulebook.watching import Series, Watch

_FIGURES: Mapping[str, Figure] = {figure.name.lower(): figure for figure in Figure}
_NUMBERS = (FactType.INT, FactType.DOUBLE)
_ORDERED = (*_NUMBERS, FactType.TIMESTAMP, FactType.BOOL)
_IN_SERIES = ("observed", "expected", "z", "robust_z")
_OF_COUNTS = ("observed", "expected", "probability")
_COUNTS = ("fewer_purchases", "more_purchases")


@dataclass(frozen=True, slots=True)
class Watched:
    """What triggers may be fired by, and where that is stored."""

    catalogue: Catalogue
    series: tuple[Series, ...]
    patterns: Collection[str]
    """Ids of event patterns that are declared, right or wrong."""
    kept: frozenset[str]
    """Facts that writers of snapshots keep themselves."""


@dataclass(frozen=True, slots=True)
class Found:
    """How a stored trigger is fired."""

    pattern: str = ""
    detects: str = ""
    series: str = ""
    watch: Watch | None = None


def kept_facts(entries: Iterable[StoredTrigger | ChangeTrigger], series: Iterable[Series]) -> frozenset[str]:
    """Facts that writers keep: the state of series, and when and why triggers fired."""
    kept = {name for each in series for name in each.facts}
    for entry in entries:
        kept |= {entry.fired_at, *_given(entry).values()}
    return frozenset(kept)


def stored_source(entry: StoredTrigger | ChangeTrigger, at: At, catalogue: Catalogue, report: Report) -> str:
    """The expression that reads the stored time: what never fired is false, not unknown.

    Never true after reporting that there is no such fact.
    """
    name = entry.fired_at
    if name not in catalogue or catalogue[name].type is not FactType.TIMESTAMP:
        known = [fact.name for fact in catalogue.facts if fact.type is FactType.TIMESTAMP]
        report.unknown(at / "fired_at", "timestamp fact", name, known)
        return "false"
    return f"has(customer.{name}) && within(customer.{name}, {entry.hold / DAY_S!r})"


def what_fires(entry: StoredTrigger | ChangeTrigger, at: At, watched: Watched, report: Report) -> Found:
    """What fires a stored trigger."""
    if isinstance(entry, ChangeTrigger):
        return Found(watch=_watch(entry, at, watched, report))
    if entry.kind == "pattern":
        return Found(pattern=_pattern(entry, at, watched.patterns, report))
    if entry.pattern is not None:
        hint = "write `kind: pattern`"
        report.key_error(at / "pattern", "pattern-form", "a detector is fired by no pattern", hint)
    detects = entry.detects or "drop"
    return Found(detects=detects, series=_series(entry, detects, at, watched, report))


def evidence_of(
    entry: StoredTrigger | ChangeTrigger, found: Found, at: At, catalogue: Catalogue, report: Report
) -> Mapping[str, str]:
    """Kind of evidence to the fact that keeps it."""
    given = _given(entry)
    for kind, name in given.items():
        place = at / "evidence" / kind
        if name not in catalogue:
            known = [fact.name for fact in catalogue.facts if fact.type in _NUMBERS]
            report.unknown(place, "fact", name, known)
        elif problem := _unfit(kind, catalogue[name], found, catalogue):
            report.error(place, "invalid-value", problem)
    return given


def _given(entry: StoredTrigger | ChangeTrigger) -> Mapping[str, str]:
    return {kind: name for kind, name in entry.evidence if name is not None}


def _unfit(kind: str, fact: Fact, found: Found, catalogue: Catalogue) -> str:
    """Why a fact cannot keep a kind of evidence; empty if it can."""
    if found.watch is not None:
        watched = _named(found.watch.name, catalogue)
        if watched is None or watched.type in (FactType.SET, FactType.BOOL):
            return f"there is no `{kind}` to keep of what is watched"
        numbers = fact.type in _NUMBERS and watched.type in _NUMBERS
        if numbers or (fact.type, fact.values) == (watched.type, watched.values):
            return ""
        return f"`{fact.name}` cannot hold what `{watched.name}` holds: give it the same type and values"
    kinds = _OF_COUNTS if found.detects in _COUNTS else _IN_SERIES if found.detects else ()
    if kind not in kinds:
        return f"`{found.detects or 'pattern'}` has no `{kind}`"
    return "" if fact.type in _NUMBERS else f"`{fact.name}` is no number"


def _pattern(entry: StoredTrigger, at: At, patterns: Collection[str], report: Report) -> str:
    """Id of the pattern that fires a trigger."""
    name = entry.pattern or entry.id
    if name not in patterns:
        report.unknown(at / ("pattern" if entry.pattern else "id"), "pattern", name, patterns)
    if entry.detects is not None:
        message, hint = "a pattern is fired by events, not by a change", "write `kind: detector`"
        report.key_error(at / "detects", "pattern-form", message, hint)
    if entry.series is not None:
        message = "a pattern is fired by events, not by a series"
        report.key_error(at / "series", "pattern-form", message, "write `kind: detector`")
    return name


def _series(entry: StoredTrigger, detects: str, at: At, watched: Watched, report: Report) -> str:
    """Id of the series in which a detector looks; empty when it looks in none."""
    ids = [series.id for series in watched.series]
    if detects in _COUNTS:
        if entry.series is not None:
            message = f"`{detects}` compares two snapshots and looks at no series"
            report.key_error(at / "series", "invalid-value", message)
        return ""
    if entry.series is not None:
        if entry.series not in ids:
            report.unknown(at / "series", "series", entry.series, ids)
        return entry.series
    if len(ids) != 1 and report.is_sure("series", ""):
        few = "there is no series to look at" if not ids else "there are several series to look at"
        hint = "declare one under `series` in facts.yaml" if not ids else "name one of them with `series`"
        report.error(at / "id", "missing-key", few, hint)
    return ids[0] if ids else ""


def _named(name: str, catalogue: Catalogue) -> Fact | None:
    if name in catalogue:
        return catalogue[name]
    return figure_fact(_FIGURES[name]) if name in _FIGURES else None


def _watch(entry: ChangeTrigger, at: At, watched: Watched, report: Report) -> Watch | None:
    if (entry.watch is None) == (entry.group is None):
        message, hint = "a change is that of one fact or of a group", "give `watch` or `group`, not both"
        report.error(at / "id", "missing-key", message, hint)
        return None
    fact = _named(entry.watch, watched.catalogue) if entry.watch else None
    if entry.watch and fact is None:
        known = [*(each.name for each in watched.catalogue.facts), *_FIGURES]
        report.unknown(at / "watch", "fact", entry.watch, known)
        return None
    _check_change(entry, fact, at, report)
    return Watch(
        name=entry.watch or "",
        group=entry.group,
        kept=watched.kept,
        change=entry.change,
        by=entry.by,
        by_share=entry.by_share,
        to=_codes(entry, fact, at, report),
        silent=entry.silent,
    )


def _check_change(entry: ChangeTrigger, fact: Fact | None, at: At, report: Report) -> None:
    """Report a change that what is watched cannot make."""
    what = f"`{fact.name}`" if fact else "a group"
    kind = fact.type if fact else FactType.SET
    if entry.change != "changed" and kind is FactType.SET:
        message = f"{what} only changes, it has no `{entry.change}`"
        report.error(at / "change", "invalid-value", message, "leave `change` out")
    elif entry.change in ("rose", "fell") and kind not in _ORDERED:
        message, hint = f"{what} has no order to rise or fall in", "name the values under `to`"
        report.error(at / "change", "invalid-value", message, hint)
    for key, amount in (("by", entry.by), ("by_share", entry.by_share)):
        if amount and kind not in _NUMBERS:
            report.key_error(at / key, "invalid-value", f"{what} is no number and changes by no amount")
        elif amount and entry.change in ("appeared", "vanished"):
            report.key_error(at / key, "invalid-value", f"what has {entry.change} changed by no amount")


def _codes(entry: ChangeTrigger, fact: Fact | None, at: At, report: Report) -> tuple[int, ...]:
    """Codes of the values that a change must lead to."""
    codes: list[int] = []
    for i, value in enumerate(entry.to):
        if fact is not None and fact.type is FactType.BOOL and isinstance(value, bool):
            codes.append(int(value))
        elif fact is None or fact.type is not FactType.ENUM:
            message = f"`{value}` is no value of what is watched"
            report.error(at / "to" / i, "invalid-value", message, "only enums and bools change to a value")
        elif value in fact.values:
            codes.append(fact.values.index(str(value)))
        else:
            report.unknown(at / "to" / i, "value", str(value), fact.values)
    return tuple(codes)
