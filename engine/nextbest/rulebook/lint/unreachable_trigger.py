"""Triggers that call for nothing."""

from collections.abc import Iterator

from nextbest.rulebook.lint.finding import Finding, Subject
from nextbest.rulebook.program import EntryField

CODE: str = "unreachable-trigger"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield triggers that nothing reads, and those that cannot fire for an action that waits for them."""
    used = _used(subject)
    for entry, at in subject.parts.triggers:
        if entry.id not in used:
            hint = "name it under `triggers` of an action, or leave it out"
            yield Finding(at / "id", f"nothing happens when `{entry.id}` fires", hint)
    for index, entry, at in subject.actions():
        audience = subject.audience(index)
        if not subject.reasoner.can_hold(*audience):
            continue
        for i, name in enumerate(entry.triggers):
            trigger = subject.conditions_of_triggers.get(name)
            if trigger is None or not subject.reasoner.can_hold(trigger.root):
                continue
            if not subject.reasoner.can_hold(*audience, trigger.root):
                hint = "its stages, segments and `when` exclude what the trigger asks for"
                message = f"`{name}` never fires for a customer of `{entry.id}`"
                yield Finding(at / "triggers" / i, message, hint)


def _used(subject: Subject) -> set[str]:
    used = {name for _, entry, _ in subject.actions() for name in entry.triggers}
    ids = [entry.id for entry, _ in subject.parts.triggers]
    for use in subject.parts.uses:
        used.update(name.removeprefix("trigger.") for name in use.typed.names if name.startswith("trigger."))
        windows = (e.window for e in use.typed.root.walk() if e.window is not None)
        filters = (f for window in windows for f in window.filters if f[0] is EntryField.TRIGGER)
        used.update(ids[code] for _, codes in filters for code in codes)
    return used
