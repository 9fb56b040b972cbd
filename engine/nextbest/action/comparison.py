"""Which term of its score an action lost by: to the action that beat it, or to doing nothing."""

from typing import Literal, TypeAlias

import numpy as np

from nextbest.action.score import mutual_score
from nextbest.model import F64, Term
from nextbest.rulebook.rulebook import Rulebook
from nextbest.rulebook.strategy import Arbitration

Decisive: TypeAlias = Term | Literal["business_value"]
"""What a score is lost by: a term, or in classic arbitration V, which is the action's own and no term."""

_SHARED = (
    Term.CUSTOMER_GAIN,
    Term.PROFIT_GAIN,
    Term.RELEVANCE,
    Term.CONTEXT_WEIGHT,
    Term.LEVER,
    Term.PRESSURE_FACTOR,
    Term.CONTACT_COST,
    Term.ACCEPTED_COST,
    Term.CONTACT_PRICE,
)
_FACTORS = (Term.RELEVANCE, Term.CONTEXT_WEIGHT, Term.LEVER, Term.PRESSURE_FACTOR)
_COSTS = (Term.CONTACT_COST, Term.ACCEPTED_COST, Term.CONTACT_PRICE)
_CLASSIC = (Term.PROPENSITY, Term.CONTEXT_WEIGHT, Term.LEVER)


def business_value(rulebook: Rulebook, action: int) -> float | None:
    """V of an action in classic arbitration; None where the score is no classic priority."""
    if rulebook.strategy.arbitration is not Arbitration.CLASSIC:
        return None
    return float(rulebook.action_tables.classic_value[action])


def decisive_term(loser: F64, winner: F64 | None, *, classic: bool) -> Decisive | None:
    """The term with which the loser's score would rise furthest, were it the winner's.

    Args:
        loser: (Term,) of the action that lost.
        winner: (Term,) of the one that beat it; None = doing nothing, which has no costs, no losses and
            nothing that dampens it.
        classic: The scores are classic priorities.

    Returns:
        None where no single term would raise it.
    """
    if classic:
        return None if winner is None else _largest_ratio(loser, winner)
    own = float(loser[Term.SCORE])
    rise = {term: _score_with(loser, term, value) - own for term, value in _offers(loser, winner)}
    best = max(rise, key=lambda term: rise[term])
    return best if rise[best] > 0.0 else None


def _offers(loser: F64, winner: F64 | None) -> list[tuple[Term, float]]:
    if winner is not None:
        uplift = loser[Term.BASE_PROPENSITY] + winner[Term.PROPENSITY] - winner[Term.BASE_PROPENSITY]
        return [(Term.PROPENSITY, float(uplift)), *((term, float(winner[term])) for term in _SHARED)]
    gains = [(t, max(float(loser[t]), 0.0)) for t in (Term.CUSTOMER_GAIN, Term.PROFIT_GAIN)]
    factors = [(t, max(float(loser[t]), 1.0)) for t in _FACTORS]
    return [*gains, *factors, *((t, 0.0) for t in _COSTS)]


def _score_with(terms: F64, term: Term, value: float) -> float:
    changed = terms.copy()
    changed[term] = value
    if term is Term.PROPENSITY and terms[term] > 0.0:
        changed[Term.ACCEPTED_COST] = terms[Term.ACCEPTED_COST] / terms[term] * value
    return float(mutual_score(changed))


def _largest_ratio(loser: F64, winner: F64) -> Decisive | None:
    leads: dict[Decisive, float] = {t: _ratio(float(winner[t]), float(loser[t])) for t in _CLASSIC}
    leads["business_value"] = _ratio(_classic_value(winner), _classic_value(loser))
    best = max(leads, key=lambda factor: leads[factor])
    return best if leads[best] > 1.0 else None


def _classic_value(terms: F64) -> float:
    others = float(np.prod([terms[term] for term in _CLASSIC]))
    return float(terms[Term.SCORE]) / others if others > 0.0 else 0.0


def _ratio(better: float, worse: float) -> float:
    return better / worse if worse > 0.0 else float("inf") if better > 0.0 else 1.0
