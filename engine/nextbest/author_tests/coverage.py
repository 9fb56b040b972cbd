"""What of a rulebook its tests have tried: actions that were offered, conditions that held and did not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nextbest.author_tests.running import Run
from nextbest.model import Bools
from nextbest.rulebook.builder import ProgramBuilder
from nextbest.rulebook.compile.decision_tables import row_conditions
from nextbest.rulebook.compile.parts import Parts
from nextbest.rulebook.matching import holds, inputs_of, match, no_suppression
from nextbest.rulebook.program import Matches, Program
from nextbest.rulebook.windows import fill_windows


@dataclass(frozen=True, slots=True)
class ConditionSeen:
    """A condition, and whether some case made it true, and another did not."""

    name: str
    """Such as trigger `overdue`."""
    true: bool
    not_true: bool


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was tried."""

    offered: Sequence[str]
    """Actions that were in some answer."""
    never_offered: Sequence[str]
    conditions: Sequence[ConditionSeen]

    @property
    def never_true(self) -> list[str]:
        """Conditions that no case made true."""
        return [seen.name for seen in self.conditions if not seen.true]

    @property
    def always_true(self) -> list[str]:
        """Conditions that every case made true."""
        return [seen.name for seen in self.conditions if seen.true and not seen.not_true]

    @property
    def both_ways(self) -> int:
        """Count of conditions that were true for one case and not for another."""
        return sum(seen.true and seen.not_true for seen in self.conditions)


def coverage_of(run: Run, parts: Parts) -> Coverage:
    """What the cases of a run have tried."""
    answered = {action for case in range(len(run.cases)) for action in run.answer(case)}
    ids = [action.id for action in run.model.rulebook.actions]
    return Coverage(
        offered=[name for name in ids if name in answered],
        never_offered=[name for name in ids if name not in answered],
        conditions=[*_declared(run), *_rows(run, parts)],
    )


def _declared(run: Run) -> Iterator[ConditionSeen]:
    """Triggers, segments and conditions of actions."""
    rulebook = run.model.rulebook
    matches, n = _matches(run, rulebook.program), len(run.cases)
    named = [(f"trigger `{trigger.id}`", trigger.condition) for trigger in rulebook.triggers]
    named += [(f"segment `{segment.id}`", segment.condition) for segment in rulebook.segments]
    conditions = rulebook.action_tables.condition.tolist()
    named += [
        (f"condition of `{action.id}`", condition)
        for action, condition in zip(rulebook.actions, conditions, strict=True)
        if condition >= 0
    ]
    for name, condition in named:
        yield _seen(name, holds(matches.true, condition, n))


def _rows(run: Run, parts: Parts) -> Iterator[ConditionSeen]:
    """Rows of decision tables, each by itself, in a program of their own."""
    builder = ProgramBuilder()
    typed = {(use.at.file.path, use.at.path): use.typed for use in parts.uses}
    for index, (_, at) in enumerate(parts.triggers):
        places = [at / "when", at / "fired_at"]
        found = next(typed[p.file.path, p.path] for p in places if (p.file.path, p.path) in typed)
        builder.add_condition(found, trigger=index)
    rows = [
        (f"row {number} of table `{table.entry.id}`", builder.add_condition(condition))
        for table in parts.choices.tables
        for number, condition in enumerate(row_conditions(table), start=1)
    ]
    if not rows:
        return
    matches = _matches(run, builder.build())
    for name, condition in rows:
        yield _seen(name, holds(matches.true, condition, len(run.cases)))


def _seen(name: str, true: Bools) -> ConditionSeen:
    return ConditionSeen(name, bool(true.any()), not bool(true.all()))


def _matches(run: Run, program: Program) -> Matches:
    n, figures = len(run.cases), np.ascontiguousarray(run.decisions.figures)
    history = fill_windows(program, run.histories, run.now)
    suppressed = no_suppression(len(run.model.rulebook.triggers), n)
    inputs = inputs_of(run.rows, figures, run.contexts, run.now, history=history, suppressed=suppressed)
    return match(program, inputs)
