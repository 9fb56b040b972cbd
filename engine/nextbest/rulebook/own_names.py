"""What a rulebook calls its things, read leniently: editors need the names while rules are half written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from nextbest.facts import Fact, FactType, Figure, figure_fact
from nextbest.rulebook.compile.facts import compile_catalogue, compile_context, compile_event_kinds
from nextbest.rulebook.compile.reading import Read, read_document
from nextbest.rulebook.compile.report import Report
from nextbest.rulebook.documents.facts import FactsFile
from nextbest.rulebook.nodes import Value
from nextbest.rulebook.source import RulebookSource

Names = Mapping[str, str]
"""Name to what it means, empty where nothing is said."""


@dataclass(frozen=True, slots=True)
class OwnNames:
    """The names of one rulebook, by what they name."""

    facts: tuple[Fact, ...]
    context: tuple[Fact, ...]
    names: Mapping[str, Names]
    """By kind: fact, number, timestamp, figure, key, event, issue, group, role, promise, segment, trigger,
    pattern, action, answer, channel, placement, treatment, consent, topic, product_set."""

    def of(self, kind: str) -> Names:
        """The names of a kind; empty when there are none."""
        return self.names.get(kind, {})

    def in_expressions(self) -> list[str]:
        """Everything an expression may read."""
        customer = [f"customer.{name}" for name in [*self.of("fact"), *self.of("figure")]]
        context = [f"context.{name}" for name in self.of("key")]
        return [*customer, *context, *(f"trigger.{name}" for name in self.of("trigger"))]


def own_names(source: RulebookSource) -> OwnNames:
    """The names that a rulebook declares, of every file that can be read."""
    facts = _facts_file(source)
    report = Report()
    catalogue = () if facts is None else compile_catalogue(facts, report).facts
    context = () if facts is None else compile_context(facts, report)
    names: dict[str, Names] = {
        "fact": {fact.name: fact.description for fact in catalogue},
        "number": _typed(catalogue, FactType.INT, FactType.DOUBLE),
        "timestamp": _typed(catalogue, FactType.TIMESTAMP),
        "figure": {name: f"{_unit(name)}computed for every decision" for name in _figures()},
        "key": {fact.name: fact.description for fact in context},
        "event": {} if facts is None else dict.fromkeys(compile_event_kinds(facts, report), ""),
        "issue": _declared(source, "strategy", "priorities", "issue"),
        "group": _declared(source, "strategy", "groups"),
        "product_set": _keys(source, "policies", "product_sets"),
        "role": _declared(source, "strategy", "roles"),
        "promise": _keys(source, "strategy", "promises"),
        "segment": {**_declared(source, "segments", "segments"), **_table_segments(source)},
        "trigger": _declared(source, "triggers", "triggers"),
        "pattern": _declared(source, "triggers", "patterns"),
        "action": _declared(source, "actions", "actions", text="reason"),
        "consent": _members(catalogue, "consent"),
        "topic": _members(catalogue, "blocked_topics"),
    }
    names["answer"] = {**names["action"], "do_nothing": "no action at all"}
    return OwnNames(catalogue, context, names | _channels(source))


def _facts_file(source: RulebookSource) -> Read[FactsFile] | None:
    files = source.of_kind("facts")
    return read_document(files[0], FactsFile, Report()) if files else None


def _typed(facts: tuple[Fact, ...], *types: FactType) -> Names:
    return {fact.name: fact.description for fact in facts if fact.type in types}


def _members(facts: tuple[Fact, ...], name: str) -> Names:
    return {member: "" for fact in facts if fact.name == name for member in fact.values}


def _figures() -> list[str]:
    return [figure.name.lower() for figure in Figure]


def _unit(name: str) -> str:
    unit = figure_fact(Figure[name.upper()]).unit
    return f"{unit}, " if unit else ""


def _entries(source: RulebookSource, kind: str, key: str) -> Iterator[dict[str, Value]]:
    for file in source.of_kind(kind):
        entries = file.value.get(key) if isinstance(file.value, dict) else None
        if isinstance(entries, list):
            yield from (entry for entry in entries if isinstance(entry, dict))


def _declared(
    source: RulebookSource, kind: str, key: str, name: str = "id", *, text: str = "text"
) -> dict[str, str]:
    found = {entry.get(name): _text(entry.get(text)) for entry in _entries(source, kind, key)}
    return {key: words for key, words in found.items() if isinstance(key, str)}


def _text(value: Value) -> str:
    if isinstance(value, dict):
        value = next(iter(value.values()), "")
    return value if isinstance(value, str) else ""


def _keys(source: RulebookSource, kind: str, key: str) -> dict[str, str]:
    for file in source.of_kind(kind):
        entries = file.value.get(key) if isinstance(file.value, dict) else None
        if isinstance(entries, dict):
            return {name: _text(value) for name, value in entries.items()}
    return {}


def _table_segments(source: RulebookSource) -> dict[str, str]:
    rows = (row for table in _entries(source, "tables", "tables") for row in _dicts(table.get("rows")))
    return {name: "" for row in rows for name in _words(row.get("segments"))}


def _dicts(value: Value) -> list[dict[str, Value]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _words(value: Value) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _channels(source: RulebookSource) -> dict[str, Names]:
    """Channels and placements as declared; without any, those that actions use, which may grow freely."""
    channels = dict.fromkeys(_keys(source, "policies", "channels"), "")
    if not channels:
        return {}
    policies = cast("dict[str, Value]", source.of_kind("policies")[0].value)
    entries = cast("dict[str, Value]", policies["channels"])
    treatments = dict(channels)
    placements: dict[str, str] = {}
    for channel, entry in entries.items():
        for placement in _words(entry.get("placements") if isinstance(entry, dict) else None):
            placements[placement] = ""
            treatments[f"{channel}/{placement}"] = ""
    return {"channel": channels, "placement": placements, "treatment": treatments}
