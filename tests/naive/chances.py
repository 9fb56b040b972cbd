"""Probabilities of the highest score by scipy: quantiles of each against the distributions of the others."""

import numpy as np
from scipy import special

NODES = 20_000
"""Equally likely propensities that stand for a drawn one."""
ERROR = 1 / NODES
"""Of one probability: an integrand that rises with a score's quantile, summed at midpoints, is off by at most
half of a node's share for each of the two sides of the kink."""


def scores(line, p):
    """Scores by propensity, below and from the kink on."""
    low, low_slope, high, high_slope, kink = line
    return np.where(p < kink, low + low_slope * p, high + high_slope * p)


def share_up_to(mean, strength, line, s):
    """Probability that the score is at most s: where the line is crossed on either side of the kink."""
    a, b, kink = mean * strength, (1 - mean) * strength, line[4]

    def below(p):
        return special.betainc(a, b, np.clip(p, 0.0, 1.0))

    found = np.zeros_like(s)
    for intercept, slope, start, end in ((*line[:2], 0.0, kink), (*line[2:4], kink, 1.0)):
        if slope == 0.0:
            found += np.where(intercept <= s, below(end) - below(start), 0.0)
            continue
        crossing = np.clip((s - intercept) / slope, start, end)
        found += below(crossing) - below(start) if slope > 0 else below(end) - below(crossing)
    return found


def chances(mean, strength, lines, score, reach, standing):
    """Probability of each candidate to be first; infinite strength = the score is fixed."""
    k, found = len(mean), np.zeros(len(mean))
    levels = (np.arange(NODES) + 0.5) / NODES
    for a in range(k):
        if np.isfinite(strength[a]):
            p = special.betaincinv(mean[a] * strength[a], (1 - mean[a]) * strength[a], levels)
            own = scores(lines[a], p)
        else:
            own = np.array([score[a]])
        product = np.where(own > 0.0, reach[a], 0.0)
        for b in set(range(k)) - {a}:
            if np.isfinite(strength[b]):
                within = share_up_to(mean[b], strength[b], lines[b], own)
            else:
                loses = (score[b] < own) | ((score[b] == own) & (standing[b] < standing[a]))
                within = (loses | ~(score[b] > 0.0)).astype(float)
            product = product * (1.0 - reach[b] * (1.0 - within))
        found[a] = product.mean()
    return found
