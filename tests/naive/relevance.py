"""Would the customer have asked for this? Domain.md section 8, line by line."""

import math
from fractions import Fraction

REJECTED_FACTOR = 0.25
CREATED_NEED_FACTOR = 0.7
STOCK_PUSH_CAP = 0.3


def strength(value):
    """Give e of one piece of evidence: True = 1, False = 0, unknown = 0, a number kept within 0 and 1."""
    if value is None or math.isnan(value):
        return 0.0
    return min(1.0, max(0.0, float(value)))


def ask_likelihood(evidence):
    """ρ = 1 − Π(1 − w e) over (weight, value), exact but for the last rounding."""
    silent = Fraction(1)
    for weight, value in evidence:
        silent *= 1 - Fraction(weight) * Fraction(strength(value))
    return float(1 - silent)


def relevance(likelihood, *, blocked=False, rejected=False, creates=False, pushes=False, declared=False):
    """ρ after what speaks against it, in the order of the text."""
    if blocked:
        return 0.0
    if rejected:
        likelihood *= REJECTED_FACTOR
    if creates:
        likelihood *= CREATED_NEED_FACTOR
    if pushes and not declared:
        likelihood = min(likelihood, STOCK_PUSH_CAP)
    return likelihood
