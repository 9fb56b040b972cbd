"""`nextbest rules show`: what rules compile to, in words."""

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import numpy as np
import typer

from nextbest.errors import InvalidInput, RulebookCompileError, Violation
from nextbest.facts import STAGE_NAMES
from nextbest.model import Outcome
from nextbest.rulebook.compile import examine_source
from nextbest.rulebook.compile.parts import Parts
from nextbest.rulebook.diagnostics import errors_in, render_text
from nextbest.rulebook.documents.actions import ActionEntry, FittedModel, Prior
from nextbest.rulebook.in_words import in_words
from nextbest.rulebook.rulebook import PolicyScope, Rulebook
from nextbest.rulebook.source import load_source
from nextbest.rulebook.suggest import did_you_mean

Lines: TypeAlias = dict[str, list[str]]
"""What is said of a rule, by what it is about."""


def show(
    directory: Annotated[Path, typer.Argument(help="Directory of the rulebook.")],
    rule: Annotated[
        str | None, typer.Argument(help="Id of an action, trigger or segment; none = all of them.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As data.")] = False,
) -> None:
    """Say in words what a rule compiles to: for whom, when, behind which gates, worth what."""
    parts = _parts(directory)
    rules = {name: lines for name, lines in _rules(parts) if rule in (None, name.partition(" ")[2])}
    if rule is not None and not rules:
        known = [name.partition(" ")[2] for name, _ in _rules(parts)]
        hint = did_you_mean(rule, known)
        raise InvalidInput([Violation("rule", f"`{rule}` is not in the rulebook" + f": {hint}" * bool(hint))])
    if as_json:
        typer.echo(json.dumps(rules, ensure_ascii=False, indent=2))
    else:
        typer.echo("\n\n".join(_rendered(name, lines) for name, lines in rules.items()))


def _parts(directory: Path) -> Parts:
    source = load_source(directory)
    parts, diagnostics = examine_source(source)
    if parts is None or errors_in(diagnostics):
        raise RulebookCompileError(diagnostics, render_text(diagnostics, source.by_path))
    return parts


def _rendered(name: str, lines: Lines) -> str:
    said = (f"  {about + ':':<12} {text}" for about, texts in lines.items() for text in texts)
    return "\n".join([name, *said])


def _rules(parts: Parts) -> Iterator[tuple[str, Lines]]:
    book = parts.rulebook
    for index, placed in enumerate(parts.actions):
        yield f"action {placed.entry.id}", _action(parts, placed.entry, index)
    for trigger in book.triggers:
        rest = trigger.cool_down_days
        lines = {"fires": [f"{in_words(trigger.source)}  [{trigger.source}]"]}
        yield f"trigger {trigger.id}", lines | ({"rests": [f"{rest:g} days after a contact"]} if rest else {})
    for segment, source in _segment_sources(parts).items():
        yield f"segment {segment}", {"holds": [f"{in_words(source)}  [{source}]"]}


def _segment_sources(parts: Parts) -> Mapping[str, str]:
    entries = parts.segments.document.segments if parts.segments else ()
    decided = {name: typed.source for name, typed in parts.choices.segments.items()}
    return {entry.id: entry.when for entry in entries} | decided


def _action(parts: Parts, entry: ActionEntry, index: int) -> Lines:
    lines = {
        "aim": [_aim(parts.rulebook, index)],
        "for": _audience(parts, index),
        "fires when": _triggers(parts.rulebook, index),
        "condition": _condition(parts, entry),
        "gates": list(_gates(parts.rulebook, index)),
        "effect": [_effect(parts.rulebook, index)],
        "cost": [_cost(parts.rulebook, index)],
        "propensity": [_propensity(entry)],
        "relevance": [f"{kind}: {in_words(source)}" for kind, source in entry.relevance.items()],
        "says": list(_treatments(parts.rulebook, index)),
    }
    return {about: texts for about, texts in lines.items() if texts}


def _aim(book: Rulebook, index: int) -> str:
    action, tables = book.actions[index], book.action_tables
    group = f", group {action.group} (one of it at a time)" if action.group else ""
    first = ", comes first whatever it scores" if tables.mandatory[index] else ""
    aim = f"{action.desired_action.value}, issue {action.issue or 'none'}"
    return f"{aim}{group}, lever {tables.lever[index]:g}{first}"


def _audience(parts: Parts, index: int) -> list[str]:
    book, sources = parts.rulebook, _segment_sources(parts)
    stages = [name for i, name in enumerate(STAGE_NAMES) if int(book.action_tables.stages[index]) >> i & 1]
    wanted = int(book.action_tables.segments[index])
    segments = [s.id for i, s in enumerate(book.segments) if wanted >> i & 1]
    everyone = len(stages) == len(STAGE_NAMES)
    lines = ["customers in any stage" if everyone else f"customers in {' or '.join(stages)}"]
    return lines + [f"segment {name}: {in_words(sources[name])}" for name in segments]


def _triggers(book: Rulebook, index: int) -> list[str]:
    triggers = [book.triggers[t] for t in book.action_tables.triggers_of(index)]
    return [f"{trigger.id}: {in_words(trigger.source)}" for trigger in triggers]


def _condition(parts: Parts, entry: ActionEntry) -> list[str]:
    gate = parts.choices.gates.get(entry.id)
    sources = [*filter(None, [entry.when]), *([] if gate is None else [gate.source])]
    return [f"{in_words(source)}  [{source}]" for source in sources]


def _gates(book: Rulebook, index: int) -> Iterator[str]:
    tables = book.action_tables
    if tables.authority[index]:
        yield f"authority of the caller at least {tables.authority[index]}"
    start, end = float(tables.valid_from[index]), float(tables.valid_until[index])
    if np.isfinite(start):
        yield f"from {_time(start)}"
    if np.isfinite(end):
        yield f"before {_time(end)}"
    if np.isfinite(tables.max_snapshot_age_days[index]):
        yield f"snapshot at most {tables.max_snapshot_age_days[index]:g} days old"
    if not tables.cares[index]:
        yield f"data quality at least {book.strategy.data_quality_floor:g}"
    if tables.sells[index]:
        yield (
            f"no touchpoint scored {book.strategy.sell_hold_score:g} or less"
            f" in {book.strategy.sell_hold_days:g} days"
        )
    for i in range(int(tables.cap_starts[index]), int(tables.cap_starts[index + 1])):
        yield f"at most {tables.cap_count[i]} contacts in {_days(tables.cap_within_s[i])}"
    for i in range(int(tables.policy_starts[index]), int(tables.policy_starts[index + 1])):
        outcomes = [o.name.lower() for o in Outcome if int(tables.policy_outcomes[i]) >> o & 1]
        scope = PolicyScope(int(tables.policy_scope[i])).name.lower()
        yield (
            f"pauses {_days(tables.policy_pause_s[i])} after {tables.policy_at_least[i]}"
            f" {' or '.join(outcomes)} in {_days(tables.policy_within_s[i])} (counted over: {scope})"
        )


def _time(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="minutes")


def _days(seconds: float) -> str:
    return f"{seconds / 86400:g} days"


def _effect(book: Rulebook, index: int) -> str:
    tables, money = book.action_tables, book.currency
    closed = (float(tables.customer_gap_share[index]), float(tables.profit_gap_share[index]))
    parts = [f"closes {closed[0]:.4g} of the customer's and {closed[1]:.4g} of our gap"]
    if tables.recurring[index] > 0:
        parts.append(f"{tables.recurring[index]:.4g} of the gain recurs")
    numbers: Sequence[tuple[str, float]] = (
        (f"{money} a year to the customer", float(tables.yearly_gain[index])),
        (f"{money} once to the customer", float(tables.once_gain[index])),
        (f"{money} of lifetime value", float(tables.ltv_gain[index])),
        ("minutes of the customer's time", float(tables.minutes[index])),
    )
    return ", ".join([*parts, *(f"{number:g} {words}" for words, number in numbers if number)])


def _cost(book: Rulebook, index: int) -> str:
    tables, money = book.action_tables, book.currency
    contact, accepted = tables.contact_cost[index], tables.accepted_cost[index]
    return f"{contact:g} {money} a contact, {accepted:g} {money} more if accepted"


def _propensity(entry: ActionEntry) -> str:
    base = f", counted above {entry.uplift.base:g} who do it anyway" if entry.uplift else ""
    return _chance(entry.propensity) + base


def _chance(propensity: Prior | FittedModel | str) -> str:
    match propensity:
        case Prior():
            total = propensity.successes + propensity.failures
            mean = propensity.successes / total
            return f"{mean:.3g} at first, as if {propensity.successes:g} of {total:g} had accepted; learns"
        case FittedModel():
            until = propensity.until_fitted
            return f"fitted model {propensity.model}" + (f"; until then {_chance(until)}" if until else "")
        case str():
            return in_words(propensity)


def _treatments(book: Rulebook, index: int) -> Iterator[str]:
    for place in book.action_tables.treatments_of(index):
        treatment = book.treatments[place]
        where = treatment.id.removeprefix(f"{book.actions[index].id}/")
        consent = int(book.action_tables.treatment_consent[place])
        members = book.catalogue["consent"].values if consent and "consent" in book.catalogue else ()
        needed = [name for i, name in enumerate(members) if consent >> i & 1]
        agreed = f" (outbound needs consent {', '.join(needed)})" if needed else ""
        yield f"{where}: {treatment.say[book.languages[0]]}{agreed}"
