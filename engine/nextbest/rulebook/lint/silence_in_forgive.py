"""A broken trust that nobody is sure to answer."""

from collections.abc import Iterator

from nextbest.facts import STAGE_NAMES
from nextbest.model import DesiredAction
from nextbest.rulebook.compile.report import At
from nextbest.rulebook.documents.actions import ActionEntry
from nextbest.rulebook.lint.finding import Finding, Subject

CODE: str = "silence-in-forgive"
FORGIVE = STAGE_NAMES[3]
ANSWERS = frozenset({DesiredAction.REPAIR, DesiredAction.LISTEN, DesiredAction.COMMUNICATION})
"""What an apology or a closing message can be."""


def check(subject: Subject) -> Iterator[Finding]:
    """Yield a rulebook that acts in Forgive me without a mandatory apology or closing message."""
    acting = [(entry, at) for _, entry, at in subject.actions() if FORGIVE in (entry.stages or STAGE_NAMES)]
    if acting and not any(_answers(entry) for entry, _ in acting):
        first = min((at.file for _, at in acting), key=lambda file: file.path)
        message = f"no mandatory apology or closing message is for customers in `{FORGIVE}`"
        hint = "add one with `mandatory: true`: it is never silence, even where nothing else pays"
        yield Finding(At(first, ("actions",)), message, hint, key=True)


def _answers(entry: ActionEntry) -> bool:
    return entry.mandatory and entry.desired_action in ANSWERS
