"""Gathers the conditions and values of a rulebook into one program."""

from nextbest.rulebook.assembly import assemble
from nextbest.rulebook.expressions.typed import TypedExpression
from nextbest.rulebook.lowering import Lowering
from nextbest.rulebook.program import Program
from nextbest.rulebook.tables import Tables


class ProgramBuilder:
    """Collects outputs; whatever two of them have in common is stored and computed once.

    Triggers come before the expressions that read them.
    """

    def __init__(self) -> None:
        self._tables = Tables()
        self._triggers: dict[int, int] = {}
        self._lowering = Lowering(self._tables, self._triggers)
        self._conditions: list[int] = []
        self._values: list[int] = []

    def add_condition(self, expression: TypedExpression, *, trigger: int | None = None) -> int:
        """Add a condition and return the index of its output.

        Args:
            expression: a checked bool.
            trigger: index of the trigger that the condition defines; `trigger.<id>` in expressions
                added later reads it, false during its cool-down. The output itself ignores the cool-down.

        Raises:
            ExpressionError: a function of strings has too many combinations to be tabulated.
        """
        plane = self._lowering.plane(expression.root)
        if trigger is not None:
            self._triggers[trigger] = plane
        self._conditions.append(plane)
        return len(self._conditions) - 1

    def add_value(self, expression: TypedExpression) -> int:
        """Add a checked number (or bool, as 0 and 1) and return the index of its output.

        Raises:
            ExpressionError: a function of strings has too many combinations to be tabulated.
        """
        self._values.append(self._lowering.number(expression.root))
        return len(self._values) - 1

    def build(self) -> Program:
        """The program of everything added so far."""
        return assemble(self._tables, self._conditions, self._values)
