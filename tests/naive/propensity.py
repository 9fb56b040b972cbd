"""Slow, obvious logistic regression scoring, from the definition; beside `nextbest.learning.propensity`."""

import math

LIMIT = 10.0


def standardise(value, log_unit, mean, scale):
    """Standard deviations from the mean, no more than ten of them."""
    if log_unit > 0:
        value = math.copysign(math.log1p(abs(value) / log_unit), value)
    return max(-LIMIT, min(LIMIT, (value - mean) / scale))


def log_odds(row, columns, facts):
    """Sum of coefficient × standardised fact; a missing one is filled, and adds its own coefficient."""
    terms = []
    for column, (log_unit, mean, scale, coefficient, fill, missing) in zip(columns, facts, strict=True):
        value = None if column < 0 or math.isnan(row[column]) else row[column]
        if value is None:
            terms += [missing, coefficient * standardise(fill, log_unit, mean, scale)]
        else:
            terms.append(coefficient * standardise(value, log_unit, mean, scale))
    return math.fsum(terms)


def calibrated(facts, intercept, slope, offset):
    """Logistic function of the calibrated log-odds, by the tangent form."""
    return 0.5 * (1.0 + math.tanh(0.5 * (slope * (intercept + facts) + offset)))


def score(rows, columns, facts, constants):
    """Probability of each row."""
    return [calibrated(log_odds(row, columns, facts), *constants) for row in rows]
