"""What a lint finds, and what it may look at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from nextbest.facts import STAGE_NAMES
from nextbest.rulebook.compile.parts import Parts
from nextbest.rulebook.compile.report import At
from nextbest.rulebook.diagnostics import Diagnostic, Severity
from nextbest.rulebook.documents.actions import ActionEntry
from nextbest.rulebook.expressions.folding import call, conjunction, constant, negation
from nextbest.rulebook.expressions.typed import Expr, Form, TypedExpression
from nextbest.rulebook.expressions.types import BOOL, STRING, list_type
from nextbest.rulebook.lint.domains import domains
from nextbest.rulebook.lint.outcomes import Reasoner
from nextbest.rulebook.lint.trials import Assumptions
from nextbest.rulebook.nodes import Scalar
from nextbest.rulebook.offsets import span_in_file
from nextbest.rulebook.source import PathLike


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is allowed but probably a mistake."""

    at: At
    message: str
    """Lower-case fragment with the author's words in backticks."""
    hint: str
    span: tuple[int, int] | None = None
    """Characters of the text at that place; None = all of it."""
    key: bool = False
    """Point at the key rather than at its value."""

    def diagnostic(self, code: str) -> Diagnostic:
        """The finding as a warning at its place."""
        file = self.at.file
        return file.diagnostic(self._place(), code, self.message, self.hint, severity=Severity.WARNING)

    def _place(self) -> tuple[int, int]:
        file, path = self.at.file, self.at.path
        node = file.node(path)
        if self.span is not None and isinstance(node, Scalar):
            return span_in_file(file.text, node, *self.span)
        return file.key_span(path) if self.key else file.value_span(path)


@dataclass(frozen=True)
class Subject:
    """A rulebook without errors, as lints look at it."""

    parts: Parts

    @cached_property
    def reasoner(self) -> Reasoner:
        """Says what conditions can come to."""
        return Reasoner(self.parts.rulebook.catalogue)

    @cached_property
    def with_all_known(self) -> Reasoner:
        """The same for customers of whom everything is known."""
        return Reasoner(self.parts.rulebook.catalogue, Assumptions(all_known=True))

    @cached_property
    def _without_bounds(self) -> Reasoner:
        return Reasoner(self.parts.rulebook.catalogue, Assumptions(unbounded=True))

    def bounds_behind(self, expr: Expr) -> str:
        """The bounds of facts on which it rests that some answers never come; empty if it does not."""
        if self._without_bounds.outcomes(expr) == self.reasoner.outcomes(expr):
            return ""
        return domains(expr, self.parts.rulebook.catalogue)

    @cached_property
    def _typed(self) -> dict[tuple[str, PathLike], TypedExpression]:
        return {(use.at.file.path, use.at.path): use.typed for use in self.parts.uses}

    def expression(self, at: At) -> TypedExpression | None:
        """The checked expression that stands at a place."""
        return self._typed.get((at.file.path, at.path))

    def actions(self) -> Iterator[tuple[int, ActionEntry, At]]:
        """(index in the rulebook, entry, place) of every action."""
        for index, placed in enumerate(self.parts.actions):
            yield index, placed.entry, placed.at

    @cached_property
    def conditions_of_segments(self) -> dict[str, TypedExpression]:
        """Condition of each segment by id."""
        read = self.parts.segments
        if read is None:
            return dict(self.parts.choices.segments)
        found = (
            (segment.id, self.expression(read.at / "segments" / i / "when"))
            for i, segment in enumerate(read.document.segments)
        )
        return {name: typed for name, typed in found if typed is not None} | dict(self.parts.choices.segments)

    @cached_property
    def conditions_of_triggers(self) -> dict[str, TypedExpression]:
        """Condition of each trigger that is an expression, by id."""
        found = ((entry.id, self.expression(at / "when")) for entry, at in self.parts.triggers)
        return {name: typed for name, typed in found if typed is not None}

    def audience(self, action: int) -> list[Expr]:
        """Stages, segments and condition of an action, all of which must hold; constants left out."""
        placed = self.parts.actions[action]
        when = self.expression(placed.at / "when")
        segments = [self.conditions_of_segments[name].root for name in placed.entry.segments]
        parts = [self.in_stages(placed.entry.stages or STAGE_NAMES)]
        parts += [negation(conjunction(tuple(map(negation, segments)), 0, 0))] if segments else []
        parts += [
            typed.root for typed in (when, self.parts.choices.gates.get(placed.entry.id)) if typed is not None
        ]
        return [part for part in parts if part.value is not True]

    def grounds(self, action: int) -> list[Expr]:
        """Every condition and strength by which an action is chosen for a customer."""
        placed = self.parts.actions[action]
        places = [placed.at / "when", *(placed.at / "relevance" / kind for kind in placed.entry.relevance)]
        typed = [self.expression(place) for place in places]
        typed += [self.conditions_of_segments[name] for name in placed.entry.segments]
        typed += [self.parts.choices.gates.get(placed.entry.id)]
        return [expression.root for expression in typed if expression is not None]

    def in_stages(self, stages: Sequence[str]) -> Expr:
        """The condition that a customer's stage is one of those named."""
        symbol = self.parts.scope.customer["stage"]
        if set(stages) >= set(STAGE_NAMES):
            return constant(value=True, kind=BOOL, start=0, end=0)
        load = Expr(Form.LOAD, symbol.type, 0, 0, symbol=symbol)
        return call("in_list", (load, constant(tuple(stages), list_type(STRING), 0, 0)), BOOL, 0, 0)


def noted(subject: Subject, code: str) -> Iterator[Finding]:
    """Findings of what the expression checker noted under a code."""
    for use in subject.parts.uses:
        for note in use.typed.notes:
            if note.code.replace("_", "-") == code:
                yield Finding(use.at, note.message, note.hint, (note.start, note.end))
