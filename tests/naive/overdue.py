"""Overdue as domain.md §7 writes it, in mpmath; counts by adding up probabilities."""

import mpmath as mp


def _numbers(*values):
    return [mp.mpf(float(v)) for v in values]


def gap_survival(x, t_x, gap, r, alpha):
    """((α+t_x)/(α+t_x+g))^(r+x)."""
    with mp.workdps(40):
        x, t_x, gap, r, alpha = _numbers(x, t_x, gap, r, alpha)
        return ((alpha + t_x) / (alpha + t_x + gap)) ** (r + x)


def gap_quantile(x, t_x, q, r, alpha):
    """(α+t_x)((1−q)^(−1/(r+x)) − 1)."""
    with mp.workdps(400):  # so that the smallest q does not cancel
        x, t_x, q, r, alpha = _numbers(x, t_x, q, r, alpha)
        return (alpha + t_x) * ((1 - q) ** (-1 / (r + x)) - 1)


def _probabilities(x, t_x, window, r, alpha):
    """P(N = 0), P(N = 1), … of a Poisson count whose rate is Gamma(r+x, α+t_x)."""
    shape, hit = r + x, window / (alpha + t_x + window)
    probability = (1 - hit) ** shape
    n = 0
    while True:
        yield probability
        probability = probability * (shape + n) / (n + 1) * hit
        n += 1


def count_at_most(x, t_x, count, window, r, alpha):
    """P(N = 0) + … + P(N = count)."""
    with mp.workdps(60):
        x, t_x, window, r, alpha = _numbers(x, t_x, window, r, alpha)
        series = _probabilities(x, t_x, window, r, alpha)
        return mp.fsum(next(series) for _ in range(int(count) + 1))


def count_at_least(x, t_x, count, window, r, alpha):
    """What is left of 1 after P(N = 0), …, P(N = count − 1); 400 digits, so nothing cancels."""
    with mp.workdps(400):
        x, t_x, window, r, alpha = _numbers(x, t_x, window, r, alpha)
        series = _probabilities(x, t_x, window, r, alpha)
        return 1 - mp.fsum(next(series) for _ in range(int(count)))
