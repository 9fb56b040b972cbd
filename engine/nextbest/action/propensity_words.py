"""Where a propensity comes from, in words for staff: what was captured at which level, or who says so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nextbest.action.wording import template
from nextbest.facts_of import shown
from nextbest.model import F64, Term
from nextbest.rulebook.actions import PropensityKind
from nextbest.rulebook.rulebook import Rulebook


@dataclass(frozen=True, slots=True)
class PropensityLevel:
    """What was captured at one level that a propensity rests on."""

    kind: str
    """`action`, `stage` or `peer_cell`."""
    name: str
    """The action's id, the stage, or the cell as `fact=member` of each dimension."""
    successes: float
    trials: float
    propensity: float
    """What was captured here blended with the level above; NaN where the propensity is no posterior."""


_PRIOR: Mapping[str, str] = {
    "en": "{p}: what the rule file expects ({prior}), nothing is captured yet",
    "da": "{p}: som regelfilen forventer ({prior}), intet er registreret endnu",
}
_LEARNT: Mapping[str, str] = {
    "en": "{p}: {levels}; the rule file expects {prior}",
    "da": "{p}: {levels}; regelfilen forventer {prior}",
}
_LEVEL: Mapping[str, str] = {
    "en": "{successes} of {trials} accepted in {name}",
    "da": "{successes} af {trials} accepteret i {name}",
}
_EVERYWHERE: Mapping[str, str] = {"en": "all stages", "da": "alle stadier"}
_EXPRESSION: Mapping[str, str] = {
    "en": "{p}: an expression of the rule file",
    "da": "{p}: et udtryk i regelfilen",
}
_MODEL: Mapping[str, str] = {"en": "{p}: fitted model {model}", "da": "{p}: tilpasset model {model}"}
_OBSERVED: Mapping[str, str] = {
    "en": "{said}; observed: {levels}",
    "da": "{said}; observeret: {levels}",
}
_DRAWN: Mapping[str, str] = {
    "en": "{said}; scored with {drawn}, drawn in order to learn",
    "da": "{said}; vurderet med {drawn}, trukket for at lære",
}


def propensity_sentence(
    rulebook: Rulebook, action: int, terms: F64, levels: Sequence[PropensityLevel], language: str
) -> str:
    """Say where an action's propensity comes from.

    Args:
        rulebook: that decided.
        action: index.
        terms: (Term,) of its score.
        levels: from the action down to the customer's peer cell.
        language: English stands in for those without words.
    """
    tables, p = rulebook.action_tables, shown(float(terms[Term.MEAN_PROPENSITY]))
    told = "; ".join(_level(level, language) for level in levels if level.trials > 0)
    match PropensityKind(int(tables.propensity_kind[action])):
        case PropensityKind.POSTERIOR:
            prior = float(tables.prior_successes[action] + tables.prior_failures[action])
            expected = shown(float(tables.prior_successes[action]) / prior if prior > 0 else 0.0)
            said = template(_LEARNT if told else _PRIOR, language).format(p=p, levels=told, prior=expected)
        case PropensityKind.EXPRESSION:
            said = _monitored(template(_EXPRESSION, language).format(p=p), told, language)
        case PropensityKind.MODEL:
            model = rulebook.actions[action].propensity_model
            said = _monitored(template(_MODEL, language).format(p=p, model=model), told, language)
    drawn = float(terms[Term.PROPENSITY])
    if drawn == float(terms[Term.MEAN_PROPENSITY]):
        return said
    return template(_DRAWN, language).format(said=said, drawn=shown(drawn))


def _monitored(said: str, told: str, language: str) -> str:
    """With what was captured, where that is watched and changes nothing."""
    return template(_OBSERVED, language).format(said=said, levels=told) if told else said


def _level(level: PropensityLevel, language: str) -> str:
    name = template(_EVERYWHERE, language) if level.kind == "action" else level.name
    return template(_LEVEL, language).format(
        successes=shown(level.successes), trials=shown(level.trials), name=name
    )
