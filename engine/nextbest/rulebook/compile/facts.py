"""facts.yaml → the fact catalogue and the context facts."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from nextbest.facts import MAX_SET_MEMBERS, Catalogue, Fact, FactGroup, FactType, Figure
from nextbest.model import DAY_S
from nextbest.rulebook.compile.reading import Read
from nextbest.rulebook.compile.report import At, Report, with_article
from nextbest.rulebook.compile.series import add_series_facts
from nextbest.rulebook.documents.facts import ContextEntry, FactEntry, FactsFile
from nextbest.rulebook.suggest import nearest
from nextbest.standard_facts import STANDARD_FACTS

_STANDARD: Mapping[str, Fact] = {fact.name: fact for fact in STANDARD_FACTS}
_FIGURES = frozenset(figure.name.lower() for figure in Figure)
_WITH_VALUES = (FactType.ENUM, FactType.SET)
_NUMBERS = (FactType.INT, FactType.DOUBLE)
_BUILT_IN_CONTEXT = frozenset({"channel", "direction", "phase", "role", "placement"})


def compile_catalogue(read: Read[FactsFile], report: Report) -> Catalogue:
    """The catalogue: selected standard facts in their order, the rulebook's own, and those of series."""
    facts = {fact.name: fact for fact in _standard(read, report)}
    for i, entry in enumerate(read.document.facts):
        fact = _own(entry, read.at / "facts" / i, facts, report)
        if fact is not None:
            facts[fact.name] = fact
    add_series_facts(read, facts, report)
    _open_values(read, facts, report)
    _quality(read, facts, report)
    for name in read.document.retired:
        if name not in facts:
            report.unknown_key(read.at / "retired" / name, "fact", name, facts)
    _check_companions(read, facts, report)
    return Catalogue(tuple(facts.values()))


def compile_context(read: Read[FactsFile], report: Report) -> tuple[Fact, ...]:
    """Facts that requests give, in the order of their columns."""
    facts: dict[str, Fact] = {}
    for i, entry in enumerate(read.document.context):
        at = read.at / "context" / i
        if entry.name in facts:
            report.error(at / "name", "duplicate-id", f"context key `{entry.name}` is declared twice")
        elif entry.name in _BUILT_IN_CONTEXT:
            report.error(
                at / "name", "reserved-name", f"`context.{entry.name}` is always there", "leave it out"
            )
        elif _values_fit(entry, at, report):
            facts[entry.name] = _fact(entry, FactGroup.RELATION)
    return tuple(facts.values())


def compile_event_kinds(read: Read[FactsFile], report: Report) -> tuple[str, ...]:
    """Kinds of business event that history windows may count, in the order of the file."""
    for i, name in enumerate(read.document.events):
        if name in read.document.events[:i]:
            report.error(read.at / "events" / i, "duplicate-id", f"event `{name}` is declared twice")
    return tuple(dict.fromkeys(read.document.events))


def _standard(read: Read[FactsFile], report: Report) -> Iterable[Fact]:
    chosen = read.document.standard
    if chosen == "all":
        return STANDARD_FACTS
    for i, name in enumerate(chosen):
        if name not in _STANDARD:
            report.unknown(read.at / "standard" / i, "standard fact", name, _STANDARD)
            report.broken.update(nearest(name, _STANDARD))
    return [fact for fact in STANDARD_FACTS if fact.name in chosen]


def _own(entry: FactEntry, at: At, known: Mapping[str, Fact], report: Report) -> Fact | None:
    if entry.name in _STANDARD:
        hint = "list it under `standard`; its open values go under `values`"
        report.error(at / "name", "reserved-name", f"`{entry.name}` is a standard fact", hint)
    elif entry.name in _FIGURES:
        report.error(at / "name", "reserved-name", f"`{entry.name}` is computed", "choose another name")
    elif entry.name in known:
        report.error(at / "name", "duplicate-id", f"fact `{entry.name}` is declared twice")
    elif _values_fit(entry, at, report) and _bounds_fit(entry, at, report):
        return replace(
            _fact(entry, entry.group),
            source=entry.source,
            observed_at=entry.observed_at or "",
            minimum=entry.minimum,
            maximum=entry.maximum,
        )
    report.broken.add(entry.name)
    return None


def _fact(entry: FactEntry | ContextEntry, group: FactGroup) -> Fact:
    return Fact(
        name=entry.name,
        type=FactType(entry.type),
        group=group,
        unit=entry.unit,
        values=tuple(entry.values or ()),
        description=entry.description,
    )


def _values_fit(entry: FactEntry | ContextEntry, at: At, report: Report) -> bool:
    listed = FactType(entry.type) in _WITH_VALUES
    if listed and entry.values is None:
        report.error(at, "missing-key", f"`{entry.name}` is {with_article(entry.type)} and needs `values`")
    elif not listed and entry.values is not None:
        report.key_error(
            at / "values", "invalid-value", f"`{entry.name}` is {with_article(entry.type)} and has no values"
        )
    else:
        return entry.values is None or _members_fit(entry.values, entry.type, at / "values", report)
    return False


def _members_fit(values: list[str], kind: str, at: At, report: Report) -> bool:
    repeated = [i for i, value in enumerate(values) if value in values[:i]] if len(values) < 1000 else []
    for i in repeated:
        report.error(at / i, "duplicate-value", f"value `{values[i]}` is listed twice")
    if kind == FactType.SET and len(values) > MAX_SET_MEMBERS:
        message = f"a set has at most {MAX_SET_MEMBERS} members, not {len(values)}"
        report.error(at / MAX_SET_MEMBERS, "invalid-value", message, "split it into two sets")
        return False
    return not repeated and len(set(values)) == len(values)


def _bounds_fit(entry: FactEntry, at: At, report: Report) -> bool:
    low, high = entry.minimum, entry.maximum
    if (low is not None or high is not None or entry.unit) and FactType(entry.type) not in _NUMBERS:
        key = "minimum" if low is not None else "maximum" if high is not None else "unit"
        report.key_error(
            at / key, "invalid-value", f"`{entry.name}` is {with_article(entry.type)} and has no `{key}`"
        )
        return False
    if low is not None and high is not None and low > high:
        report.error(at / "minimum", "invalid-value", f"`{low:g}` is above the maximum `{high:g}`")
        return False
    return True


def _open_values(read: Read[FactsFile], facts: dict[str, Fact], report: Report) -> None:
    for name, values in read.document.values.items():
        at, fact = read.at / "values" / name, facts.get(name)
        if fact is None:
            report.unknown_key(at, "fact", name, facts)
        elif fact.type not in _WITH_VALUES:
            report.key_error(at, "invalid-value", f"`{name}` is {with_article(fact.type)} and has no values")
        elif fact.values:
            report.key_error(at, "invalid-value", f"the values of `{name}` are fixed", "leave them out")
        elif _members_fit(values, fact.type, at, report):
            facts[name] = replace(fact, values=tuple(values))
        else:
            report.broken.add(name)


def _quality(read: Read[FactsFile], facts: dict[str, Fact], report: Report) -> None:
    for name, quality in read.document.quality.items():
        at, fact = read.at / "quality" / name, facts.get(name)
        if fact is None:
            report.unknown_key(at, "fact", name, facts)
            continue
        if quality.fresh is not None and not fact.observed_at:
            message = f"nobody knows when `{name}` was observed"
            report.error(
                at / "fresh", "invalid-value", message, "give the fact an `observed_at`, or leave `fresh` out"
            )
        fresh_days = None if quality.fresh is None else quality.fresh / DAY_S
        facts[name] = replace(fact, quality_weight=quality.weight, fresh_days=fresh_days)


def _check_companions(read: Read[FactsFile], facts: Mapping[str, Fact], report: Report) -> None:
    own = {entry.name: i for i, entry in reversed(list(enumerate(read.document.facts)))}
    for fact in facts.values():
        companion = facts.get(fact.observed_at)
        if not fact.observed_at or (companion is not None and companion.type is FactType.TIMESTAMP):
            continue
        if fact.name in own:
            at = read.at / "facts" / own[fact.name] / "observed_at"
            known = [f.name for f in facts.values() if f.type is FactType.TIMESTAMP]
            report.unknown(at, "timestamp fact", fact.observed_at, known)
        else:
            message = f"`{fact.name}` needs `{fact.observed_at}`"
            report.error(read.at / "standard", "missing-companion", message, f"add `{fact.observed_at}`")
