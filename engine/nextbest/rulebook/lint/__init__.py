"""Lints: what is allowed in a rulebook but probably a mistake. One file each, all of one shape."""

from collections.abc import Iterator
from typing import Protocol

from nextbest.rulebook.compile.parts import Parts
from nextbest.rulebook.diagnostics import Diagnostic
from nextbest.rulebook.lint import (
    always_fails,
    always_true,
    campaign_in_disguise,
    expired_fact,
    goal_contradicts_objective,
    idle_table_row,
    mandatory_for_all,
    never_true,
    no_mutual_value,
    shadowed_action,
    silence_in_forgive,
    stage_without_action,
    stale_fact,
    stray_quote,
    table_gap,
    tiny_discount,
    unfair_to_loyal,
    unfinished_text,
    unit_mismatch,
    unkept_promise,
    unreachable_action,
    unreachable_trigger,
    unused_product_set,
    unused_segment,
)
from nextbest.rulebook.lint.finding import Finding, Subject


class Lint(Protocol):
    """What a module of this package offers."""

    CODE: str

    def check(self, subject: Subject) -> Iterator[Finding]:
        """Yield everything of its kind."""
        ...


LINTS: tuple[Lint, ...] = (
    always_fails,
    always_true,
    campaign_in_disguise,
    expired_fact,
    goal_contradicts_objective,
    idle_table_row,
    mandatory_for_all,
    never_true,
    no_mutual_value,
    shadowed_action,
    silence_in_forgive,
    stage_without_action,
    stale_fact,
    stray_quote,
    table_gap,
    tiny_discount,
    unfair_to_loyal,
    unfinished_text,
    unit_mismatch,
    unkept_promise,
    unreachable_action,
    unreachable_trigger,
    unused_product_set,
    unused_segment,
)
"""All lints, by code."""


def lint(parts: Parts) -> list[Diagnostic]:
    """Everything the lints find in a rulebook without errors."""
    subject = Subject(parts)
    return [finding.diagnostic(rule.CODE) for rule in LINTS for finding in rule.check(subject)]
