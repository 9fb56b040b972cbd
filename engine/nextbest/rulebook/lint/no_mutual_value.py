"""Actions by which only one side can gain."""

from collections.abc import Iterator

from nextbest.rulebook.compile.actions import CARING
from nextbest.rulebook.documents.actions import ActionEntry
from nextbest.rulebook.lint.finding import Finding, Subject

CODE: str = "no-mutual-value"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield actions in which there is nothing for the customer, or nothing for us."""
    value_of_time = subject.parts.rulebook.value.value_of_time
    for _, entry, at in subject.actions():
        effort = entry.effect.minutes * value_of_time
        best = 0.0 if entry.effect.customer_gap == 0.0 else float("inf")
        gain = best + entry.effect.yearly + _once(entry)
        if gain < effort:
            hint = "nobody will be offered it: `effect` must be worth the customer's time and price"
            yield Finding(at / "id", f"the customer can only lose by `{entry.id}`", hint)
        elif gain == 0.0:
            hint = "what is in it for them? add `customer_gap`, `yearly`, `once` or a `reward`"
            yield Finding(at / "id", f"the customer gains nothing by `{entry.id}`", hint)
        elif _gains_us_nothing(entry):
            hint = "what is in it for us? add `profit_gap` or `ltv` to `effect`"
            yield Finding(at / "id", f"we gain nothing by `{entry.id}`", hint)


def _once(entry: ActionEntry) -> float:
    if entry.effect.once is not None:
        return entry.effect.once
    return entry.reward.worth if entry.reward else 0.0


def _gains_us_nothing(entry: ActionEntry) -> bool:
    """Caring for customers need not pay by itself; selling to them must."""
    cares = entry.desired_action in CARING or entry.mandatory
    return not cares and entry.effect.profit_gap == 0.0 and (entry.effect.ltv or 0.0) <= 0.0
