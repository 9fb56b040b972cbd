"""The texts of actions and where they stand."""

from collections.abc import Iterator

from nextbest.rulebook.compile.report import At
from nextbest.rulebook.lint.finding import Subject


def texts_of_actions(subject: Subject) -> Iterator[tuple[str, At]]:
    """Every text of every action, in every language, for customers and for staff."""
    for _, entry, at in subject.actions():
        yield from _by_language(entry.reason, at / "reason")
        for key, treatment in entry.treatments.items():
            place = at / "treatments" / key
            yield from _by_language(treatment.say, place / "say")
            yield from _by_language(treatment.staff, place / "staff")


def _by_language(value: "str | dict[str, str] | None", at: At) -> Iterator[tuple[str, At]]:
    if isinstance(value, dict):
        yield from ((text, at / language) for language, text in value.items())
    elif value is not None:
        yield value, at
