"""Facts that are not filled any more, where something still relies on them."""

from collections.abc import Iterator

from nextbest.rulebook.lint.finding import Finding, Subject

CODE: str = "expired-fact"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield expressions, required facts, costs and peer dimensions that read a retired fact."""
    retired = subject.parts.facts.document.retired
    if not retired:
        return
    for use in subject.parts.uses:
        for part in use.typed.root.walk():
            name = "" if part.symbol is None else part.symbol.name.removeprefix("customer.")
            if name in retired:
                yield _finding(subject, Finding(use.at, name, "", (part.start, part.end)))
    for finding in _listed(subject):
        if finding.message in retired:
            yield _finding(subject, finding)


def _listed(subject: Subject) -> Iterator[Finding]:
    """Facts that are named outside expressions; the message is the name."""
    facts, strategy = subject.parts.facts, subject.parts.strategy
    for name in facts.document.quality:
        yield Finding(facts.at / "quality" / name, name, "", key=True)
    value = strategy.document.value
    for key, counted in (("activities", value.activities), ("benefits", value.benefits)):
        for name in counted:
            yield Finding(strategy.at / "value" / key / name, name, "", key=True)
    for i, name in enumerate(strategy.document.potential.peer_dimensions):
        yield Finding(strategy.at / "potential" / "peer_dimensions" / i, name, "")


def _finding(subject: Subject, named: Finding) -> Finding:
    day = subject.parts.facts.document.retired[named.message]
    message = f"`{named.message}` has not been filled since {day}"
    return Finding(named.at, message, "ask for another fact, or leave it out", named.span, named.key)
