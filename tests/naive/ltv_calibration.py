"""P(X(t) = x) of BG/NBD, from gamma and beta functions at 40 digits: no recurrence."""

from mpmath import mp


def negative_binomial(j, t, r, alpha):
    """Probability of j purchases in t weeks by customers who never leave."""
    return (
        mp.gamma(r + j)
        / (mp.gamma(r) * mp.factorial(j))
        * (alpha / (alpha + t)) ** r
        * (t / (alpha + t)) ** j
    )


def frequency_probability(x, t, r, alpha, a, b):
    """Either all x purchases left the customer alive and no more came, or the x-th was the last.

    In the second case at least x purchases would have come by t had the customer never left.
    """
    with mp.workdps(40):
        t, r, alpha, a, b = (mp.mpf(v) for v in (t, r, alpha, a, b))
        total = mp.beta(a, b + x) / mp.beta(a, b) * negative_binomial(x, t, r, alpha)
        if x > 0:
            at_least = 1 - sum(negative_binomial(j, t, r, alpha) for j in range(x))
            total += mp.beta(a + 1, b + x - 1) / mp.beta(a, b) * at_least
        return float(total)


def frequency_class(x, width, classes):
    """0; then classes of `width`; the last is open."""
    k = 0
    while k < classes - 1 and x > k * width:
        k += 1
    return k
