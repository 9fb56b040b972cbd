"""Why an action is due now: the triggers that fired for it, in words, with the numbers behind them.

For staff and logs; nothing here may be shown to customers.
"""

from collections.abc import Mapping

from nextbest.action.wording import template
from nextbest.facts_of import MISSING, FactsOf
from nextbest.rulebook.rulebook import Trigger
from nextbest.rulebook.texts import text_in

_EVIDENCE: tuple[tuple[tuple[str, ...], Mapping[str, str]], ...] = (
    (("before", "after"), {"en": "from {before} to {after}", "da": "fra {before} til {after}"}),
    (
        ("observed", "expected"),
        {"en": "{observed} where {expected} is usual", "da": "{observed} mod sædvanligt {expected}"},
    ),
    (("z",), {"en": "z {z}", "da": "z {z}"}),
    (("robust_z",), {"en": "robust z {robust_z}", "da": "robust z {robust_z}"}),
    (("probability",), {"en": "probability {probability}", "da": "sandsynlighed {probability}"}),
)
"""Kinds of evidence that are told together, and how; those of which nothing is known are left out."""
_FOUND_ON = {"en": "found on {day}", "da": "fundet {day}"}
_BECAUSE = {"en": "because of {triggers}", "da": "på grund af {triggers}"}


def occasion(triggers: list[Trigger], facts: FactsOf, language: str) -> str:
    """The triggers that fired, each with its text and its evidence; empty if there are none."""
    if not triggers:
        return ""
    told = "; ".join(_told(trigger, facts, language) for trigger in triggers)
    return template(_BECAUSE, language).format(triggers=told)


def _told(trigger: Trigger, facts: FactsOf, language: str) -> str:
    words = facts.fill(text_in(trigger.text, language), language)
    numbers = evidence_words(trigger, facts, language)
    return f"{trigger.id}" + (f": {words}" if words else "") + (f" ({numbers})" if numbers else "")


def evidence_words(trigger: Trigger, facts: FactsOf, language: str) -> str:
    """When a stored trigger fired and the numbers behind it; empty for one that reads the snapshot."""
    if not trigger.fired_at:
        return ""
    parts: list[str] = []
    for kinds, words in _EVIDENCE:
        values = {kind: facts.text(trigger.evidence[kind]) for kind in kinds if kind in trigger.evidence}
        if values and any(value != MISSING for value in values.values()):
            parts.append(template(words, language).format(**dict.fromkeys(kinds, MISSING) | values))
    parts.append(template(_FOUND_ON, language).format(day=facts.text(trigger.fired_at)))
    return ", ".join(parts)
