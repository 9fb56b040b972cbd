"""segments.yaml and triggers/*.yaml → segments and triggers."""

from collections.abc import Iterable

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
    report: Report,
) -> tuple[Trigger, ...]:
    """Triggers in the order given. One found off the request path holds for a while after it fired."""
    return tuple(
        _trigger(entry, i, at, expressions, catalogue, languages, report)
        for i, (entry, at) in enumerate(placed)
    )


def _trigger(
    entry: SnapshotTrigger | StoredTrigger,
    index: int,
    at: At,
    expressions: Expressions,
    catalogue: Catalogue,
    languages: Languages,
    report: Report,
) -> Trigger:
    languages.resolve(entry.text, at / "text", report)
    check_quotes(entry.text, at / "text", report, catalogue, shows_figures=True)
    if isinstance(entry, SnapshotTrigger):
        source, place = entry.when, at / "when"
    else:
        source, place = _stored_source(entry, at, catalogue, report), at / "fired_at"
    condition = expressions.trigger(source, index, place)
    return Trigger(entry.id, entry.kind, condition, entry.cool_down / DAY_S, source)


def _stored_source(entry: StoredTrigger, at: At, catalogue: Catalogue, report: Report) -> str:
    """The expression that reads the stored time; never true after reporting that there is no such fact."""
    name = entry.fired_at
    if name not in catalogue or catalogue[name].type is not FactType.TIMESTAMP:
        known = [fact.name for fact in catalogue.facts if fact.type is FactType.TIMESTAMP]
        report.unknown(at / "fired_at", "timestamp fact", name, known)
        return "false"
    return f"days_since(customer.{name}) < {entry.hold / DAY_S!r}"
