"""What an action compiles to, in words: for whom, when, behind which gates, worth what."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from nextbest.facts import STAGE_NAMES
from nextbest.model import Outcome
from nextbest.rulebook.actions import Offer, PolicyScope
from nextbest.rulebook.compile.parts import Parts
from nextbest.rulebook.documents.actions import ActionEntry, FittedModel, Prior
from nextbest.rulebook.in_words import in_words
from nextbest.rulebook.rulebook import Rulebook
from nextbest.rulebook.told import duration_in_words, expression_in_words, told

SAID = (
    "id",
    "desired_action",
    "issue",
    "group",
    "lever",
    "mandatory",
    "stages",
    "segments",
    "triggers",
    "when",
    "authority",
    "valid",
    "max_snapshot_age",
    "limits",
    "caps",
    "effect",
    "cost",
    "propensity",
    "uplift",
    "relevance",
    "context",
    "treatments",
)
"""Keys of an action that are said as what they compile to; the others as they are given."""


def segment_sources(parts: Parts) -> Mapping[str, str]:
    """The condition of each segment, of those that tables declare too."""
    entries = parts.segments.document.segments if parts.segments else ()
    decided = {name: typed.source for name, typed in parts.choices.segments.items()}
    return {entry.id: entry.when for entry in entries} | decided


def action_in_words(parts: Parts, entry: ActionEntry, index: int) -> dict[str, list[str]]:
    """What one action compiles to, by what it is about."""
    lines = {
        "aim": [_aim(parts.rulebook, index)],
        "for": _audience(parts, index),
        "fires when": _triggers(parts.rulebook, index),
        "condition": _condition(parts, entry),
        "gates": list(_gates(parts.rulebook, index)),
        "effect": [_effect(parts.rulebook, index)],
        "cost": [_cost(parts.rulebook, index)],
        "propensity": [_propensity(entry)],
        "relevance": [f"{kind}: {expression_in_words(source)}" for kind, source in entry.relevance.items()],
        "weighs": list(_weights(parts, entry)),
        "says": list(_treatments(parts.rulebook, index)),
    }
    rest = told(entry, parts.rulebook.languages[0], without=SAID)
    return {about: texts for about, texts in (lines | rest).items() if texts}


def _weights(parts: Parts, entry: ActionEntry) -> Iterator[str]:
    """Situations that weigh, the rows of tables with a lever among them."""
    for context in entry.context:
        yield f"{context.weight:+g} % while {expression_in_words(context.when)}"
    for typed, weight in parts.choices.levers.get(entry.id, ()):
        yield f"{weight:+g} % while {expression_in_words(typed.source)}"


def _aim(book: Rulebook, index: int) -> str:
    action, tables = book.actions[index], book.action_tables
    group = f", group {action.group} (one of it at a time)" if action.group else ""
    first = ", comes first whatever it scores" if tables.mandatory[index] else ""
    aim = f"{action.desired_action.value}, issue {action.issue or 'none'}"
    return f"{aim}{group}, lever {tables.lever[index]:g}{first}"


def _audience(parts: Parts, index: int) -> list[str]:
    book, sources = parts.rulebook, segment_sources(parts)
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
    return [expression_in_words(source) for source in sources]


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
        window = _window(book, int(tables.cap_period[i]), float(tables.cap_within_s[i]))
        yield f"at most {tables.cap_count[i]} contacts in {window}"
    for i in range(int(tables.policy_starts[index]), int(tables.policy_starts[index + 1])):
        outcomes = [o.name.lower() for o in Outcome if int(tables.policy_outcomes[i]) >> o & 1]
        scope = PolicyScope(int(tables.policy_scope[i])).name.lower()
        period = int(tables.policy_period[i])
        pause = duration_in_words(tables.policy_pause_s[i]) if period < 0 else "until it ends"
        yield (
            f"pauses {pause} after {tables.policy_at_least[i]} {' or '.join(outcomes)}"
            f" in {_window(book, period, float(tables.policy_within_s[i]))} (counted over: {scope})"
        )


def _window(book: Rulebook, period: int, within_s: float) -> str:
    """A window as people say it."""
    if period < 0:
        return duration_in_words(within_s)
    return f"the calendar {book.periods[period].calendar} ({book.periods[period].time_zone})"


def _time(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="minutes")


def _effect(book: Rulebook, index: int) -> str:
    tables, money = book.action_tables, book.currency
    closed = (float(tables.customer_gap_share[index]), float(tables.profit_gap_share[index]))
    horizon = ["the years to come do not count"] if tables.short_horizon[index] else []
    parts = [f"closes {closed[0]:.4g} of the customer's and {closed[1]:.4g} of our gap"]
    if tables.recurring[index] > 0:
        parts.append(f"{tables.recurring[index]:.4g} of the gain recurs")
    numbers: Sequence[tuple[str, float]] = (
        (f"{money} a year to the customer", float(tables.yearly_gain[index])),
        (f"{money} once to the customer", float(tables.once_gain[index])),
        (f"{money} of lifetime value", float(tables.ltv_gain[index])),
        ("minutes of the customer's time", float(tables.minutes[index])),
    )
    return ", ".join([*parts, *(f"{number:g} {words}" for words, number in numbers if number), *horizon])


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
            seen = f"{propensity.successes:g} had accepted and {propensity.failures:g} had not"
            return f"{mean:.3g} at first, as if {seen}; learns"
        case FittedModel():
            until = propensity.until_fitted
            return f"fitted model {propensity.model}" + (f"; until then {_chance(until)}" if until else "")
        case str():
            return expression_in_words(propensity)


def _treatments(book: Rulebook, index: int) -> Iterator[str]:
    for place in book.action_tables.treatments_of(index):
        treatment = book.treatments[place]
        where = treatment.id.removeprefix(f"{book.actions[index].id}/")
        consent = int(book.action_tables.treatment_consent[place])
        members = book.catalogue["consent"].values if consent and "consent" in book.catalogue else ()
        needed = [name for i, name in enumerate(members) if consent >> i & 1]
        staff = treatment.staff.get(book.languages[0], "")
        agreed = f" (outbound needs consent {', '.join(needed)})" if needed else ""
        yield f"{where}: {treatment.say[book.languages[0]]}{agreed}"
        if staff:
            yield f"{where}, to staff: {staff}"
        if treatment.offer:
            yield f"{where}, offer: {_offer(treatment.offer)}"


def _offer(offer: Offer) -> str:
    about = f" on {offer.products}" if offer.products else ""
    code = f", code {offer.code}" if offer.code else ""
    return f"{offer.type} {offer.value:g}{about}{code}"
