"""What a condition can come to: true, false or unknown, tried on values that stand for all others.

Sound, not complete: an answer that is ruled out cannot occur; one that is left may still be impossible.
A condition is tried exactly while few facts meet in it. Where many do, its parts are taken as if they had
nothing to do with each other, which can only add answers.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from math import prod

from nextbest.facts import Catalogue
from nextbest.rulebook.expressions.folding import conjunction, negation
from nextbest.rulebook.expressions.typed import Expr, Form
from nextbest.rulebook.lint.trials import Assumptions, Key, Outcomes, Trial, Truth

MAX_TRIES = 1024
"""Combinations of values that a condition is tried on."""
MAX_STEPS = 300_000
"""Parts of the condition times combinations: what a very long condition may cost."""
EVERYTHING: Outcomes = frozenset((True, False, None))


class Reasoner:
    """Says what conditions over a catalogue can come to."""

    def __init__(self, catalogue: Catalogue, assumptions: Assumptions | None = None) -> None:
        self._catalogue = catalogue
        self._assumptions = assumptions or Assumptions()
        self._found: dict[int, tuple[Expr, Outcomes]] = {}
        """By identity of the expression, which is kept so that no other can take it over."""

    def can_hold(self, *conditions: Expr) -> bool:
        """False if the conditions cannot all be true of one customer at once."""
        if not conditions:
            return True
        joined = conjunction(conditions, conditions[0].start, conditions[0].end)
        return joined.value is not False and True in self.outcomes(joined)

    def outcomes(self, expr: Expr) -> Outcomes:
        """The answers that a condition may give; those left out it never gives."""
        known = self._found.get(id(expr))
        if known is None:
            known = self._found[id(expr)] = expr, self._outcomes(expr)
        return known[1]

    def _outcomes(self, expr: Expr) -> Outcomes:
        if expr.form is Form.NOT:
            return frozenset(None if t is None else not t for t in self.outcomes(expr.arguments[0]))
        if expr.form is Form.AND:
            return _all_of(self._outcomes_of_group(group) for group in self._groups(expr.arguments))
        tried = self._tried(expr)
        if tried is not None:
            return tried
        return self._chosen(expr) if expr.form is Form.CHOOSE else EVERYTHING

    def idle_parts(self, expr: Expr) -> Iterator[tuple[Expr, Outcomes]]:
        """Parts that make no difference: of an `&&` what is never false, of an `||` what is never true."""
        if expr.form is Form.AND:
            for part in expr.arguments:
                found = self.outcomes(part)
                yield from self.idle_parts(part) if False in found else ((part, found),)
        elif expr.form is Form.NOT and expr.arguments[0].form is Form.AND:
            for part in map(negation, expr.arguments[0].arguments):
                found = self.outcomes(part)
                yield from self.idle_parts(part) if True in found else ((part, found),)

    def _outcomes_of_group(self, group: Sequence[Expr]) -> Outcomes:
        if len(group) == 1 and group[0].form in (Form.NOT, Form.AND, Form.CHOOSE):
            tried = self._tried(group[0])
            return self.outcomes(group[0]) if tried is None else tried
        tried = self._tried(conjunction(tuple(group), group[0].start, group[-1].end))
        return _all_of(map(self.outcomes, group)) if tried is None else tried

    def _groups(self, operands: Iterable[Expr]) -> list[list[Expr]]:
        """Operands that have facts in common, together."""
        groups: list[tuple[set[Key], list[Expr]]] = []
        for operand in operands:
            keys, members = self._keys(operand), [operand]
            apart: list[tuple[set[Key], list[Expr]]] = []
            for group in groups:
                if group[0].isdisjoint(keys):
                    apart.append(group)
                else:
                    keys, members = keys | group[0], [*group[1], *members]
            groups = [*apart, (keys, members)]
        return [members for _, members in groups]

    def _keys(self, expr: Expr) -> set[Key]:
        trial = self._trial()
        trial.build(expr)
        return trial.keys()

    def _trial(self) -> Trial:
        return Trial(self._catalogue, self._assumptions)

    def _tried(self, expr: Expr) -> Outcomes | None:
        """The exact answers over all combinations of values; None if there are too many."""
        trial = self._trial()
        test = trial.build(expr)
        samples = trial.samples()
        tries = prod(len(values) for values in samples)
        if tries > MAX_TRIES or tries * sum(1 for _ in expr.walk()) > MAX_STEPS:
            return None
        combinations = (dict(zip(trial.order(), values, strict=True)) for values in product(*samples))
        return frozenset(test(values) for values in combinations if trial.is_possible(values))

    def _chosen(self, expr: Expr) -> Outcomes:
        condition, one, other = map(self.outcomes, expr.arguments)
        reached = [part for truth, part in ((True, one), (False, other)) if truth in condition]
        return frozenset[Truth]().union(condition & {None}, *reached)


def _all_of(parts: Iterable[Outcomes]) -> Outcomes:
    """Answers of an `&&` whose operands have nothing to do with each other."""
    listed = list(parts)
    possible = {
        True: all(True in part for part in listed),
        False: any(False in part for part in listed),
        None: any(None in part for part in listed) and all(part & {True, None} for part in listed),
    }
    return frozenset(truth for truth, holds in possible.items() if holds)
