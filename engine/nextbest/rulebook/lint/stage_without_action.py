"""Stages in which nothing can be done for a customer."""

from collections.abc import Iterator

from nextbest.facts import STAGE_NAMES
from nextbest.rulebook.compile.report import At
from nextbest.rulebook.lint.finding import Finding, Subject

CODE: str = "stage-without-action"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield the stages that no action is for, at the first list of actions."""
    covered = {stage for _, entry, _ in subject.actions() for stage in entry.stages or STAGE_NAMES}
    missing = [f"`{stage}`" for stage in STAGE_NAMES if stage not in covered]
    if missing and subject.parts.actions:
        first = min((at.file for _, _, at in subject.actions()), key=lambda file: file.path)
        message = f"no action is for customers in {', '.join(missing)}"
        hint = "every stage needs its own efforts: add an action"
        yield Finding(At(first, ("actions",)), message, hint, key=True)
