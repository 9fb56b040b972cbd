"""A whole rulebook in words: all that its files say, and what that compiles to where it differs."""

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from nextbest.facts import STAGE_NAMES, Fact
from nextbest.rulebook.action_in_words import action_in_words, segment_sources
from nextbest.rulebook.actions import EVIDENCE_WEIGHTS, Evidence
from nextbest.rulebook.compile.parts import Parts
from nextbest.rulebook.documents.patterns import CountEntry, PatternEntry, StepEntry
from nextbest.rulebook.documents.stages import DESCRIPTIONS
from nextbest.rulebook.documents.tables import RowEntry, TableEntry
from nextbest.rulebook.in_words import in_words
from nextbest.rulebook.rulebook import Channel, Rulebook, Trigger
from nextbest.rulebook.told import duration_in_words, expression_in_words, told

Lines: TypeAlias = dict[str, list[str]]
"""What is said of a thing, by what it is about."""

_DETECTED: Mapping[str, str] = {
    "drop": "its level fell",
    "rise": "its level rose",
    "silent_drop": "its level fell without a complaint",
    "dip": "one period was far below what is usual",
    "spike": "one period was far above what is usual",
    "fewer_purchases": "fewer purchases than the customer's rhythm",
    "more_purchases": "more purchases than the customer's rhythm",
}


def rulebook_in_words(parts: Parts) -> Iterator[tuple[str, Lines]]:
    """(kind and name, what it says) of everything in a rulebook, strategy first."""
    book = parts.rulebook
    yield f"strategy {book.id}", _strategy(parts)
    yield "facts", _facts(parts)
    yield "stages", {"thresholds": list(_thresholds(book))}
    yield "policies", _policies(parts)
    for channel in book.channels:
        yield f"channel {channel.id}", _channel(parts, channel)
    for segment, source in segment_sources(parts).items():
        yield f"segment {segment}", _segment(parts, segment, source)
    for trigger, (entry, _) in zip(book.triggers, parts.triggers, strict=True):
        yield f"trigger {trigger.id}", _trigger(trigger) | told(entry, book.languages[0], without=_TRIGGER)
    for entry, _ in parts.patterns:
        yield f"pattern {entry.id}", {"events": list(_pattern(entry))}
    for table in parts.choices.tables:
        yield f"table {table.entry.id}", _table(table.entry, book.languages[0])
    for index, placed in enumerate(parts.actions):
        yield f"action {placed.entry.id}", action_in_words(parts, placed.entry, index)
    for read in parts.experiments:
        if read.document.hold_out is not None:
            yield "hold-out", told(read.document.hold_out, book.languages[0])
        for experiment in read.document.experiments:
            yield f"experiment {experiment.id}", told(experiment, book.languages[0], without=("id",))


def _strategy(parts: Parts) -> Lines:
    book, strategy = parts.rulebook, parts.rulebook.strategy
    stages = [
        f"{name}: the customer's gain weighs {strategy.customer_weight[i]:g}, potential is the peers'"
        f" {strategy.stretch[i]:g} quantile, contact pressure at most {strategy.pressure_cap[i]:g}"
        for i, name in enumerate(STAGE_NAMES)
    ]
    stages.append(
        f"any but forgive_me where the profit potential is reached, so that the goal is to keep: the"
        f" customer's gain weighs {strategy.reached_weight:g}"
    )
    return told(parts.strategy.document, book.languages[0], without=("id", "stages")) | {"stages": stages}


def _facts(parts: Parts) -> Lines:
    book, document = parts.rulebook, parts.facts.document
    retired = {name: f", not filled since {day.isoformat()}" for name, day in document.retired.items()}
    lines: Lines = {
        "customer": [_fact(fact) + retired.get(fact.name, "") for fact in book.catalogue.facts],
        "context": [_fact(fact) for fact in book.context_facts],
        "events": list(book.event_kinds),
    }
    lines |= told(document, book.languages[0], without=_FACTS)
    return {about: texts for about, texts in lines.items() if texts}


_FACTS = ("standard", "values", "quality", "facts", "retired", "context", "events")
"""Keys of facts.yaml that are said as the catalogue they compile to."""


def _fact(fact: Fact) -> str:
    said = [f"{fact.name}: {fact.type.value}", fact.unit, fact.description, f"of {fact.group.value}"]
    said += [f"from {fact.source.value}", f"one of {', '.join(fact.values)}" * bool(fact.values)]
    said.append("" if fact.minimum is None else f"at least {fact.minimum:g}")
    said.append("" if fact.maximum is None else f"at most {fact.maximum:g}")
    said.append(f"observed at {fact.observed_at}" * bool(fact.observed_at))
    if fact.quality_weight:
        fresh = "" if fact.fresh_days is None else f", fresh for {duration_in_words(86400 * fact.fresh_days)}"
        said.append(f"weighs {fact.quality_weight:g} in data quality{fresh}")
    return ", ".join(part for part in said if part)


def _thresholds(book: Rulebook) -> Iterator[str]:
    for parameter, description in DESCRIPTIONS.items():
        name = parameter.name.lower()
        yield f"{name} {book.stages.numbers[name]:g}: {description}"


def _policies(parts: Parts) -> Lines:
    given = parts.policies.document.relevance if parts.policies else {}
    weights = {kind.name.lower(): EVIDENCE_WEIGHTS[kind] for kind in Evidence} | dict(given)
    rest = (
        told(parts.policies.document, parts.rulebook.languages[0], without=("channels", "relevance"))
        if parts.policies
        else {}
    )
    return {"evidence": [f"{kind} weighs {weight:g}" for kind, weight in weights.items()]} | rest


def _channel(parts: Parts, channel: Channel) -> Lines:
    entries = parts.policies.document.channels if parts.policies else {}
    entry, tables = entries.get(channel.id), parts.rulebook.channel_tables
    index = parts.rulebook.channel_index[channel.id]
    inbound, outbound = tables.threshold[index].tolist()
    said = [f"relevance at least {inbound:g} when the customer starts, {outbound:g} when we do"]
    said.append(f"an outbound contact weighs {channel.pressure_weight:g}")
    if channel.quiet_hours is not None:
        start, end = channel.quiet_hours
        said.append(f"quiet from {start:g} to {end:g} o'clock where the customer is")
    if channel.location_bound:
        said.append("bound to a place: at most once in 7 days")
    if channel.max_text_length is not None:
        said.append(f"texts of at most {channel.max_text_length} characters")
    if entry is not None and entry.consent is not None:
        said.append(f"outbound needs consent {', '.join(entry.consent) or 'of no kind'}")
    if entry is not None and entry.placements:
        said.append(f"placements {', '.join(entry.placements)}")
    return {"rules": said}


def _segment(parts: Parts, name: str, source: str) -> Lines:
    entries = parts.segments.document.segments if parts.segments else ()
    rest = [told(e, parts.rulebook.languages[0], without=("id", "when")) for e in entries if e.id == name]
    return {"holds": [expression_in_words(source)]} | (rest[0] if rest else {})


_TRIGGER = ("id", "kind", "when", "cool_down", "fired_at", "hold", "pattern", "detects")
"""Keys of a trigger that are said as what they compile to."""


def _trigger(trigger: Trigger) -> Lines:
    lines: Lines = {"fires": [expression_in_words(trigger.source)]}
    if trigger.pattern:
        lines["found by"] = [f"pattern {trigger.pattern}, off the request path"]
    if trigger.detects:
        found = _DETECTED.get(trigger.detects, trigger.detects)
        lines["found by"] = [f"a detector, off the request path: {found}"]
    if trigger.kind == "change":
        lines["found by"] = ["a change between two snapshots, when the later is written"]
    if trigger.cool_down_days:
        lines["rests"] = [f"{duration_in_words(86400 * trigger.cool_down_days)} after a contact"]
    return lines


def _pattern(entry: PatternEntry) -> Iterator[str]:
    for i, step in enumerate(entry.sequence or ()):
        yield f"{'then ' * bool(i)}{_event(step)}{_within(step.within, ' of the one before')}"
    if entry.count is not None:
        same = f", alike in {', '.join(entry.count.same)}" * bool(entry.count.same)
        yield f"at least {entry.count.at_least} × {_event(entry.count)}{same}{_within(entry.count.within)}"
    if entry.within is not None:
        yield f"all of it within {duration_in_words(entry.within)}"
    if entry.then_no is not None:
        where = f" where {entry.then_no.where}" if entry.then_no.where else ""
        yield f"and no {entry.then_no.event}{where} for {duration_in_words(entry.then_no.within)}"


def _event(entry: StepEntry | CountEntry) -> str:
    name = f", called {entry.name}" if entry.name else ""
    return f"{entry.event}{name}" + (f" where {entry.where}" if entry.where else "")


def _within(seconds: float | None, of: str = "") -> str:
    return "" if seconds is None else f", within {duration_in_words(seconds)}{of}"


_HITS: Mapping[str, str] = {
    "unique": "at most one row holds",
    "first": "the first row that holds counts",
    "collect": "every row that holds counts",
}


def _table(table: TableEntry, language: str) -> Lines:
    rest = told(table, language, without=("id", "hit", "otherwise", "columns", "rows"))
    otherwise = "otherwise nothing" if table.otherwise == "nothing" else ""
    lines: Lines = {"hit": [", ".join(filter(None, [_HITS[table.hit], otherwise]))]}
    rows = [f"{i}. {_row(table, row)}" for i, row in enumerate(table.rows, 1)]
    return rest | lines | {"columns": [expression_in_words(c) for c in table.columns], "rows": rows}


def _row(table: TableEntry, row: RowEntry) -> str:
    cells = (_cell(in_words(c), cell) for c, cell in zip(table.columns, row.when, strict=True))
    asked = " and ".join(filter(None, cells)) or "anything"
    chosen = [f"offer {name}" for name in row.actions] + [f"segment {name}" for name in row.segments]
    chosen += [f"{name} {weight:+g} %" for name, weight in row.levers.items()]
    return f"{asked}: {', '.join(chosen) or 'deliberately nothing'}"


_RANGE = re.compile(r"([\[(]?)\s*(.+?)\s*\.\.\s*(.+?)\s*([\])]?)")
_SIGNS: Mapping[str, str] = {
    ">=": "is at least",
    "<=": "is at most",
    "!=": "is not",
    "==": "is",
    ">": "is above",
    "<": "is below",
}


def _cell(column: str, cell: str) -> str:
    """A cell with its column, in words; empty for a cell that asks nothing."""
    text = cell.strip()
    if text == "-":
        return ""
    span = _RANGE.fullmatch(text)
    if span is not None and "," not in text:
        low = "above" if span[1] == "(" else "from"
        return f"{column} is {low} {span[2]} to {'below ' * (span[4] == ')')}{span[3]}"
    for sign, words in _SIGNS.items():
        if text.startswith(sign):
            return f"{column} {words} {text.removeprefix(sign).strip()}"
    return f"{column} is {text.replace(', ', ' or ')}"
