"""All that can be said of a rulebook without deciding: errors, then lints, and names in author's tests."""

from pathlib import Path

from nextbest.rulebook.cases import read_cases
from nextbest.rulebook.compile import examine_source
from nextbest.rulebook.compile.parts import Parts
from nextbest.rulebook.diagnostics import Diagnostic, errors_in, in_order
from nextbest.rulebook.lint import lint
from nextbest.rulebook.source import RulebookSource, load_source


def verify_rulebook(directory: Path) -> list[Diagnostic]:
    """Everything that is wrong or doubtful in a rulebook directory, in file order."""
    return verify_source(load_source(directory))


def verify_source(source: RulebookSource) -> list[Diagnostic]:
    """Everything that is wrong or doubtful in a rulebook that was read.

    Lints and author's tests are looked at in rulebooks without errors only: what an error leaves out would
    mislead them.
    """
    return verified_parts(source)[1]


def verified_parts(source: RulebookSource) -> tuple[Parts | None, list[Diagnostic]]:
    """The rulebook with what it was made of, None if it has errors; and what `verify_source` says."""
    parts, diagnostics = examine_source(source)
    if parts is None or errors_in(diagnostics):
        return None, diagnostics
    return parts, in_order([*diagnostics, *lint(parts), *read_cases(parts)[1]])
