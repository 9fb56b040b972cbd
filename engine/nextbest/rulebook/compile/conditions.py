"""segments.yaml and triggers/*.yaml → segments and triggers."""

from collections.abc import Collection, Iterable
from dataclasses import replace

from nextbest.facts import Catalogue, FactType
from nextbest.model import DAY_S
from nextbest.rulebook.compile.expressions import Expressions
from nextbest.rulebook.compile.reading import Read
from nextbest.rulebook.compile.report import At, Report
from nextbest.rulebook.compile.texts import Languages, check_quotes
from nextbest.rulebook.documents.conditions import (
    SegmentsFile,
    SnapshotTrigger,
    StoredTrigger,
    TriggersFile,
)
from nextbest.rulebook.rulebook import Segment, Trigger

PlacedTrigger = tuple[SnapshotTrigger | StoredTrigger, At]


def compile_segments(
    read: Read[SegmentsFile] | None, expressions: Expressions, languages: Languages, report: Report
) -> tuple[Segment, ...]:
    """Segments in the order of the file."""
    segments: dict[str, Segment] = {}
    for i, entry in enumerate(read.document.segments if read else ()):
        assert read is not None
        at = read.at / "segments" / i
        if entry.id in segments:
            report.error(at / "id", "duplicate-id", f"segment `{entry.id}` is declared twice")
        languages.resolve(entry.text, at / "text", report)
        segments.setdefault(entry.id, Segment(entry.id, expressions.condition(entry.when, at / "when")))
    return tuple(segments.values())


def ordered_triggers(reads: Iterable[Read[TriggersFile]], report: Report) -> list[PlacedTrigger]:
    """All triggers by id, each once, so that the order of files does not matter."""
    triggers: dict[str, PlacedTrigger] = {}
    for read in reads:
        for i, entry in enumerate(read.document.triggers):
            at = read.at / "triggers" / i
            if entry.id in triggers:
                first = triggers[entry.id][1].file.path
                report.error(
                    at / "id",
                    "duplicate-id",
                    f"trigger `{entry.id}` is declared twice",
                    f"first in `{first}`",
                )
            triggers.setdefault(entry.id, (entry, at))
    return [triggers[name] for name in sorted(triggers)]


def compile_triggers(
    placed: Iterable[PlacedTrigger],
    expressions: Expressions,
    catalogue: Catalogue,
    languages: Languages,
    patterns: Collection[str],
    report: Report,
) -> tuple[Trigger, ...]:
    """Triggers in the order given. One found off the request path holds for a while after it fired.

    Args:
        placed: entries and where they stand, each id once.
        expressions: takes their conditions.
        catalogue: has the facts that say when stored triggers fired.
        languages: of texts.
        patterns: ids of event patterns that are declared, right or wrong.
        report: receives the problems.
    """
    return tuple(
        _trigger(entry, i, at, expressions, catalogue, languages, patterns, report)
        for i, (entry, at) in enumerate(placed)
    )


def _trigger(
    entry: SnapshotTrigger | StoredTrigger,
    index: int,
    at: At,
    expressions: Expressions,
    catalogue: Catalogue,
    languages: Languages,
    patterns: Collection[str],
    report: Report,
) -> Trigger:
    languages.resolve(entry.text, at / "text", report)
    check_quotes(entry.text, at / "text", report, catalogue, shows_figures=True)
    if isinstance(entry, SnapshotTrigger):
        source, place = entry.when, at / "when"
    else:
        source, place = _stored_source(entry, at, catalogue, report), at / "fired_at"
    condition = expressions.trigger(source, index, place)
    trigger = Trigger(entry.id, entry.kind, condition, entry.cool_down / DAY_S, source)
    if isinstance(entry, SnapshotTrigger):
        return trigger
    return replace(
        trigger,
        fired_at=entry.fired_at,
        pattern=_pattern(entry, at, patterns, report),
        detects=_detects(entry, at, report),
    )


def _pattern(entry: StoredTrigger, at: At, patterns: Collection[str], report: Report) -> str:
    """Id of the pattern that fires a trigger; empty for a detector."""
    if entry.kind == "pattern":
        name = entry.pattern or entry.id
        if name not in patterns:
            report.unknown(at / ("pattern" if entry.pattern else "id"), "pattern", name, patterns)
        return name
    if entry.pattern is not None:
        hint = "write `kind: pattern`"
        report.key_error(at / "pattern", "pattern-form", "a detector is fired by no pattern", hint)
    return ""


def _detects(entry: StoredTrigger, at: At, report: Report) -> str:
    """The change that fires a trigger; empty for a pattern."""
    if entry.kind == "detector":
        return entry.detects or "drop"
    if entry.detects is not None:
        message, hint = "a pattern is fired by events, not by a change", "write `kind: detector`"
        report.key_error(at / "detects", "pattern-form", message, hint)
    return ""


def _stored_source(entry: StoredTrigger, at: At, catalogue: Catalogue, report: Report) -> str:
    """The expression that reads the stored time; never true after reporting that there is no such fact."""
    name = entry.fired_at
    if name not in catalogue or catalogue[name].type is not FactType.TIMESTAMP:
        known = [fact.name for fact in catalogue.facts if fact.type is FactType.TIMESTAMP]
        report.unknown(at / "fired_at", "timestamp fact", name, known)
        return "false"
    return f"days_since(customer.{name}) < {entry.hold / DAY_S!r}"
