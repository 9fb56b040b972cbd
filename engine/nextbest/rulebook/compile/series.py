"""facts.yaml, `series` → series, and the facts that hold their state."""

from datetime import UTC, datetime, time

from nextbest.facts import Fact
from nextbest.parameters import detector_parameters
from nextbest.rulebook.compile.reading import Read
from nextbest.rulebook.compile.report import Report
from nextbest.rulebook.documents.facts import FactsFile, SeriesEntry
from nextbest.rulebook.watching import Series
from nextbest.standard_facts import LONGEST_SERIES_ID, series_facts, series_names

_SHORTEST_S = 3600.0


def add_series_facts(read: Read[FactsFile], facts: dict[str, Fact], report: Report) -> None:
    """Add the facts of each series' state to a catalogue that lacks them."""
    own = {entry.name for entry in read.document.facts}
    for i, entry in enumerate(read.document.series):
        if len(entry.id) > LONGEST_SERIES_ID:
            continue  # reported with the series
        for fact in series_facts(entry.id, unit=entry.unit):
            if fact.name in own:
                message = f"`{fact.name}` is a fact of its own and of series `{entry.id}`"
                report.error(read.at / "series" / i / "id", "duplicate-id", message, "rename one of them")
            facts.setdefault(fact.name, fact)


def compile_series(read: Read[FactsFile], report: Report) -> tuple[Series, ...]:
    """The series in the order of the file, each once."""
    found: dict[str, Series] = {}
    for i, entry in enumerate(read.document.series):
        at = read.at / "series" / i
        if entry.id in found:
            report.error(at / "id", "duplicate-id", f"series `{entry.id}` is declared twice")
        if len(entry.id) > LONGEST_SERIES_ID:
            message = f"the id of a series has at most {LONGEST_SERIES_ID} characters"
            report.error(at / "id", "invalid-value", message)
        if entry.period < _SHORTEST_S:
            message, hint = "a period is at least an hour", "write such as `7d`"
            report.key_error(at / "period", "invalid-value", message, hint)
        found.setdefault(entry.id, _series(entry))
    return tuple(found.values())


def _series(entry: SeriesEntry) -> Series:
    return Series(
        id=entry.id,
        period_s=entry.period,
        starts=datetime.combine(entry.starts, time(), UTC).timestamp(),
        counts_zero=entry.gaps == "zero",
        parameters=detector_parameters(variance_floor=entry.variance_floor, mad_floor=entry.mad_floor),
        facts=series_names(entry.id),
    )
