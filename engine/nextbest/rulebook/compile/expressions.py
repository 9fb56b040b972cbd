"""Expressions → outputs of the program, with errors at their place in the file."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from nextbest.rulebook.builder import ProgramBuilder
from nextbest.rulebook.compile.report import At, Report
from nextbest.rulebook.documents.common import per_cent_hint
from nextbest.rulebook.expressions import (
    ExpressionError,
    Scope,
    TypedExpression,
    compile_condition,
    compile_expression,
    compile_number,
)
from nextbest.rulebook.expressions.types import Kind
from nextbest.rulebook.program import Program

NONE = -1
"""No output: the expression is absent, or was reported."""
_WORD = re.compile(r"\w+")
_UNKNOWN = re.compile(r"unknown (fact|context key|trigger) ")

Check = Callable[[str, Scope], TypedExpression]


@dataclass(frozen=True, slots=True)
class Use:
    """An expression and a place that uses it."""

    typed: TypedExpression
    at: At


class Expressions:
    """Compiles a rulebook's expressions one by one into one program; equal ones share an output.

    Triggers come first, in the order of the scope; the others may read them, they not each other.
    """

    def __init__(self, scope: Scope, report: Report) -> None:
        self._scope = scope
        self._scope_of_triggers = replace(scope, triggers=())
        self._report = report
        self._builder = ProgramBuilder()
        self._outputs: dict[tuple[Check, str], int] = {}
        self._typed: dict[tuple[Check, str], TypedExpression] = {}
        self.uses: list[Use] = []
        """Every expression that could be checked, at every place that uses it."""

    def trigger(self, source: str, index: int, at: At) -> int:
        """Condition output of a trigger; one that was reported is never true."""
        checked = self._check(compile_condition, source, at, self._scope_of_triggers)
        if checked is None:
            checked = compile_condition("false", self._scope)
        return self._builder.add_condition(checked, trigger=index)

    def condition(self, source: str, at: At) -> int:
        """Condition output of an expression that is true or false."""
        return self._output(compile_condition, source, at)

    def share(self, source: str, at: At) -> int:
        """Value output of an expression that is a number from 0 to 1; one that never is, is reported."""
        output = self._output(compile_number, source, at)
        typed = self._typed.get((compile_number, source))
        if typed is not None:
            self._check_share(typed, at)
        return output

    def _check_share(self, typed: TypedExpression, at: At) -> None:
        number = typed.constant
        if not isinstance(number, int | float) or 0 <= number <= 1:
            return
        self._report.error(
            at, "invalid-value", f"expected 0 to 1, and this is always `{number:g}`", per_cent_hint(number)
        )

    def evidence(self, source: str, at: At) -> tuple[int, int]:
        """(condition output, value output) of an expression that is either; one of them is `NONE`."""
        if (compile_condition, source) in self._outputs:
            return self.condition(source, at), NONE
        if (compile_number, source) in self._outputs:
            return NONE, self.share(source, at)
        checked = self._check(compile_expression, source, at, self._scope)
        if checked is None:
            return NONE, NONE
        if checked.type.kind is Kind.BOOL:
            return self._add(compile_condition, checked, at), NONE
        if checked.type.is_number:
            self._check_share(checked, at)
            return NONE, self._add(compile_number, checked, at)
        hint = "give a condition, or a strength from 0 to 1"
        self._report.error(at, "expression", f"evidence cannot be of type {checked.type}", hint)
        return NONE, NONE

    def expression(self, source: str, at: At) -> TypedExpression | None:
        """An expression of any type, checked but not computed by itself; None after reporting it."""
        return self._check(compile_expression, source, at, self._scope)

    def checked_condition(self, source: str, at: At) -> TypedExpression | None:
        """A condition, checked but not computed by itself; None after reporting it."""
        return self._check(compile_condition, source, at, self._scope)

    def generated(self, source: str, at: At) -> TypedExpression | None:
        """A condition that no author wrote, made of parts that were checked."""
        try:
            return compile_condition(source, self._scope)
        except ExpressionError as error:
            self._report.error(at, "expression", error.message, error.hint)
            return None

    def composed(self, typed: TypedExpression, at: At) -> int:
        """Condition output of conditions that were put together."""
        try:
            return self._builder.add_condition(typed)
        except ExpressionError as error:
            self._report.error(at, "expression", error.message, error.hint)
            return NONE

    def program(self) -> Program:
        """All outputs so far as tables."""
        return self._builder.build()

    def _output(self, check: Check, source: str, at: At) -> int:
        known = self._outputs.get((check, source))
        if known is not None:
            self.uses.append(Use(self._typed[check, source], at))
            return known
        checked = self._check(check, source, at, self._scope)
        return NONE if checked is None else self._add(check, checked, at)

    def _add(self, check: Check, checked: TypedExpression, at: At) -> int:
        add = self._builder.add_condition if check is compile_condition else self._builder.add_value
        try:
            output = add(checked)
        except ExpressionError as error:
            self._report_error(error, checked.source, at)
            return NONE
        self._outputs[check, checked.source] = output
        self._typed[check, checked.source] = checked
        return output

    def _check(self, check: Check, source: str, at: At, scope: Scope) -> TypedExpression | None:
        try:
            checked = check(source, scope)
        except ExpressionError as error:
            self._report_error(error, source, at)
            return None
        self.uses.append(Use(checked, at))
        return checked

    def _report_error(self, error: ExpressionError, source: str, at: At) -> None:
        """Report it, unless it may come from a name whose own declaration was reported."""
        named = _UNKNOWN.match(error.message)
        noun = named[1] if named else ""
        if all(self._report.is_sure(noun, word) for word in _WORD.findall(source)):
            self._report.within(at, (error.start, error.end), "expression", error.message, error.hint)
