"""segments.yaml and triggers/*.yaml → segments and triggers."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeAlias

from nextbest.model import DAY_S
from nextbest.rulebook.compile.expressions import Expressions
from nextbest.rulebook.compile.reading import Read
from nextbest.rulebook.compile.report import At, Report
from nextbest.rulebook.compile.stored_triggers import Watched, evidence_of, stored_source, what_fires
from nextbest.rulebook.compile.texts import Languages, check_quotes
from nextbest.rulebook.documents.conditions import (
    ChangeTrigger,
    SegmentsFile,
    SnapshotTrigger,
    StoredTrigger,
    TriggersFile,
)
from nextbest.rulebook.rulebook import Segment, Trigger

AnyTrigger: TypeAlias = SnapshotTrigger | StoredTrigger | ChangeTrigger
PlacedTrigger: TypeAlias = tuple[AnyTrigger, At]


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
        segments.setdefault(
            entry.id, Segment(entry.id, expressions.condition(entry.when, at / "when"), entry.when)
        )
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
    watched: Watched,
    languages: Languages,
    report: Report,
) -> tuple[Trigger, ...]:
    """Triggers in the order given. One found off the request path holds for a while after it fired.

    Args:
        placed: entries and where they stand, each id once.
        expressions: takes their conditions.
        watched: what stored triggers may be fired by; its catalogue has the facts that say when.
        languages: of texts.
        report: receives the problems.
    """
    placed = list(placed)
    _check_shared(placed, report)
    return tuple(
        _trigger(entry, i, at, expressions, watched, languages, report)
        for i, (entry, at) in enumerate(placed)
    )


def _trigger(
    entry: AnyTrigger,
    index: int,
    at: At,
    expressions: Expressions,
    watched: Watched,
    languages: Languages,
    report: Report,
) -> Trigger:
    text = languages.resolve(entry.text, at / "text", report)
    check_quotes(entry.text, at / "text", report, watched.catalogue, shows_figures=True)
    if isinstance(entry, SnapshotTrigger):
        source, place = entry.when, at / "when"
    else:
        source, place = stored_source(entry, at, watched.catalogue, report), at / "fired_at"
    condition = expressions.trigger(source, index, place)
    trigger = Trigger(entry.id, entry.kind, condition, entry.cool_down / DAY_S, source, text=text)
    if isinstance(entry, SnapshotTrigger):
        return trigger
    found = what_fires(entry, at, watched, report)
    return replace(
        trigger,
        fired_at=entry.fired_at,
        pattern=found.pattern,
        detects=found.detects,
        series=found.series,
        watch=found.watch,
        evidence=evidence_of(entry, found, at, watched.catalogue, report),
    )


def _check_shared(placed: Iterable[PlacedTrigger], report: Report) -> None:
    """Report facts in which two triggers would keep when, or why, they fired."""
    taken: dict[str, str] = {}
    for entry, at in placed:
        if isinstance(entry, SnapshotTrigger):
            continue
        places = [(entry.fired_at, at / "fired_at")]
        places += [(name, at / "evidence" / kind) for kind, name in entry.evidence if name is not None]
        for name, place in places:
            if name in taken:
                message = f"`{name}` is kept by trigger `{taken[name]}` already"
                report.error(place, "duplicate-id", message, "give each trigger facts of its own")
            taken.setdefault(name, entry.id)
