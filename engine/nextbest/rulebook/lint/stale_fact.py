"""Conditions on facts that grow old, without a word on their age."""

from collections.abc import Iterable, Iterator

from nextbest.rulebook.compile.report import At
from nextbest.rulebook.expressions.typed import Form, TypedExpression
from nextbest.rulebook.lint.finding import Finding, Subject

CODE: str = "stale-fact"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield conditions that read a fact with a shelf life, but not when it was observed."""
    for name, typed in subject.conditions_of_triggers.items():
        at = next(at for entry, at in subject.parts.triggers if entry.id == name)
        yield from _stale(subject, typed, at / "when", [typed])
    for _, entry, at in subject.actions():
        typed = subject.expression(at / "when")
        if typed is not None:
            triggers = (subject.conditions_of_triggers.get(name) for name in entry.triggers)
            yield from _stale(subject, typed, at / "when", [typed, *filter(None, triggers)])


def _stale(
    subject: Subject, typed: TypedExpression, at: At, grounds: Iterable[TypedExpression]
) -> Iterator[Finding]:
    catalogue = subject.parts.rulebook.catalogue
    asked = {name for ground in grounds for name in ground.names}
    for part in typed.root.walk():
        name = "" if part.symbol is None else part.symbol.name.removeprefix("customer.")
        if part.form is not Form.LOAD or name not in catalogue:
            continue
        fact = catalogue[name]
        if fact.fresh_days is not None and f"customer.{fact.observed_at}" not in asked:
            days = f"{fact.fresh_days:g}"
            message = f"`{name}` is fresh for {days} days, but nothing here asks how old it is"
            hint = f"add `within(customer.{fact.observed_at}, {days})`"
            yield Finding(at, message, hint, (part.start, part.end))
