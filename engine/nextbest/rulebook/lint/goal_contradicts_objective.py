"""A strategy that measures something else than what it is out for."""

from collections.abc import Iterator, Mapping

from nextbest.rulebook.lint.finding import Finding, Subject

CODE: str = "goal-contradicts-objective"
MEASURES: Mapping[str, tuple[str, ...]] = {
    "share_of_market": ("share_of_market", "revenue", "profit"),
    "share_of_wallet": ("share_of_wallet", "gap_closed", "churn", "retention"),
    "share_of_life": ("share_of_life", "lifetime_value", "retention", "churn", "recommendations"),
}
"""What tells of each objective: revenue and campaigns, churn and growth, retention and lifetime value.

Churn and retention are complements, so either tells of both.
"""


def check(subject: Subject) -> Iterator[Finding]:
    """Yield an objective, chosen or by default, of which no goal measures anything."""
    read = subject.parts.strategy
    document, at = read.document, read.at
    telling = MEASURES[document.objective]
    if any(goal.measure in telling for goal in document.goals):
        return
    chosen = "objective" in document.model_fields_set
    where = at / "objective" if chosen else at / "goals"
    known = ", ".join(f"`{name}`" for name in telling)
    message = f"no goal measures anything of the objective, `{document.objective}`"
    hint = f"measure one of {known}, or choose the objective that the goals are about"
    yield Finding(where, message, hint, key=not chosen)
