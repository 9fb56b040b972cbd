"""Lifetime value as domain.md §4 writes it, in mpmath, one customer at a time."""

import math

import mpmath as mp

DIGITS = 40


def alive_probability(x, t_x, T, r, alpha, a, b):
    """The published ratio, with x = 0 always alive."""
    with mp.workdps(DIGITS):
        x, t_x, T, r, alpha, a, b = (mp.mpf(float(v)) for v in (x, t_x, T, r, alpha, a, b))
        if x == 0:
            return mp.mpf(1)
        return 1 / (1 + a / (b + x - 1) * ((alpha + T) / (alpha + t_x)) ** (r + x))


def _published(x, t, start, r, a, b):
    """Equation (10) of Fader, Hardie & Lee (2005), without P(alive); start = α+T."""
    # Removable singularities are stepped aside from by far less than the digits asked for.
    step = mp.mpf(10) ** (-mp.mp.dps // 3)
    if a == 1 or a + b + x - 1 == 0:
        a = a + step
    c = a + b + x - 1
    z = t / (start + t)
    return c / (a - 1) * (1 - (start / (start + t)) ** (r + x) * mp.hyp2f1(r + x, b + x, c, z))


def expected_if_alive(x, t, T, r, alpha, a, b):
    """Expected purchases in t weeks of an alive customer: digits are added until two runs agree."""
    numbers = [float(v) for v in (x, t, r, a, b)]
    if t == 0:
        return mp.mpf(0)
    previous = None
    for digits in (120, 240, 480, 960):
        with mp.workdps(digits):
            x, t, r, a, b = (mp.mpf(v) for v in numbers)
            value = _published(x, t, mp.mpf(float(alpha)) + mp.mpf(float(T)), r, a, b)
            if previous and abs(value - previous) <= mp.mpf(10) ** -25 * abs(value):
                return value
            previous = value
    raise ArithmeticError("no agreement")


def expected_by_integral(x, t, T, r, alpha, a, b):
    """The same expectation as a mean over the dropout probability, by mpmath's quadrature."""
    with mp.workdps(30):
        x, t, T, r, alpha, a, b = (mp.mpf(float(v)) for v in (x, t, T, r, alpha, a, b))
        tau = t / (alpha + T)

        def integrand(p):
            return p ** (a - 2) * (1 - p) ** (b + x - 1) * (1 - (1 + p * tau) ** -(r + x))

        return mp.quad(integrand, [0, 0.01, 0.1, 0.5, 0.9, 1]) / mp.beta(a, b + x)


def expected_purchases(x, t_x, T, t, r, alpha, a, b):
    """E[Y(t)]."""
    return expected_if_alive(x, t, T, r, alpha, a, b) * alive_probability(x, t_x, T, r, alpha, a, b)


def expected_spend(x, zbar, p, q, v):
    """E[M | x, zbar]."""
    with mp.workdps(DIGITS):
        x, p, q, v = (mp.mpf(float(n)) for n in (x, p, q, v))
        if x == 0:
            return p * v / (q - 1)
        return p * (v + x * mp.mpf(float(zbar))) / (p * x + q - 1)


def discounted_purchases(x, t_x, T, bgnbd, d, step_weeks, steps):
    """Σ (E[Y(kΔ)] − E[Y((k−1)Δ)]) / (1+d_Δ)^k."""
    with mp.workdps(DIGITS):
        step_discount = (1 + mp.mpf(d)) ** (mp.mpf(step_weeks) / 52) - 1
        total, before = mp.mpf(0), mp.mpf(0)
        for k in range(1, steps + 1):
            now = expected_purchases(x, t_x, T, k * step_weeks, *bgnbd)
            total += (now - before) / (1 + step_discount) ** k
            before = now
        return total


def lifetime_value(x, t_x, T, zbar, margin, bgnbd, gamma_gamma, d, step_weeks, steps):
    """Margin × E[M] × discounted purchases."""
    purchases = discounted_purchases(x, t_x, T, bgnbd, d, step_weeks, steps)
    return mp.mpf(margin) * expected_spend(x, zbar, *gamma_gamma) * purchases


def contract_multiplier(r, d, years, g=0.0):
    """Σ_{i=1}^N (1+g)^{i−1} r^i/(1+d)^i, term by term, for whole years; None where it diverges."""
    with mp.workdps(DIGITS):
        r, d, g = mp.mpf(r), mp.mpf(d), mp.mpf(g)
        if g != 0 and r * (1 + g) >= 1 + d:
            return None
        return mp.fsum((1 + g) ** (i - 1) * (r / (1 + d)) ** i for i in range(1, years + 1))


def contract_ltv_growth(m, r, d, g, years=20_000):
    """Margins growing by g, summed until they no longer matter."""
    with mp.workdps(DIGITS):
        rho = mp.mpf(r) * (1 + mp.mpf(g)) / (1 + mp.mpf(d))
        return mp.mpf(m) / (1 + mp.mpf(g)) * mp.fsum(rho**i for i in range(1, years + 1))


def berger_nasr_ltv(contribution, promotion, r, d, years):
    """Case 1, both sums term by term."""
    with mp.workdps(DIGITS):
        r, growth = mp.mpf(r), 1 + mp.mpf(d)
        margins = mp.fsum(contribution * r**i / growth**i for i in range(years + 1))
        costs = mp.fsum(promotion * r ** (i - 1) / growth ** (i - mp.mpf(1) / 2) for i in range(1, years + 1))
        return margins - costs


def price_premium(revenue, alive, multiplier, level, share, from_level):
    """What someone so high on the ladder pays above others while a customer; None = not known."""
    if None in (revenue, alive, share):
        return None
    if level < from_level or revenue < 0:
        return 0.0
    return float(mp.mpf(share) * mp.mpf(revenue) * mp.mpf(alive) * mp.mpf(multiplier))


def word_of_mouth_ltv(ltv, positive, negative, worth, weight):
    """LTV plus the clamped worth of what the customer says."""
    if math.isnan(ltv):
        return math.nan
    if math.isnan(positive) or math.isnan(negative):
        return ltv
    added = weight * (positive * worth - negative * 5 * worth)
    return ltv + sorted([-abs(ltv), added, abs(ltv)])[1]


def investment_ceiling(value, spent, share):
    """What the share of the value leaves after what was spent."""
    if math.isnan(value) or math.isnan(spent):
        return math.nan
    return max(0.0, share * value - spent)


def bgnbd_log_likelihood(theta, x, t_x, T):
    """The published likelihood with its four gamma functions of b, in many digits."""
    with mp.workdps(80):
        r, alpha, a, b = (mp.mpf(float(v)) for v in theta)
        total = mp.mpf(0)
        for x_i, t_i, T_i in zip(x, t_x, T, strict=True):
            n, t, end = int(x_i), mp.mpf(float(t_i)), mp.mpf(float(T_i))
            ways = mp.loggamma(r + n) - mp.loggamma(r) + r * mp.log(alpha)
            still = mp.beta(a, b + n) / mp.beta(a, b) * (alpha + end) ** -(r + n)
            left = mp.beta(a + 1, b + n - 1) / mp.beta(a, b) * (alpha + t) ** -(r + n) if n > 0 else 0
            total += ways + mp.log(still + left)
        return total


def four_gammas_log_likelihood(theta, x, t_x, T):
    """The same formula in floating point, as it is usually programmed."""
    r, alpha, a, b = theta
    total = 0.0
    for n, t, end in zip(x, t_x, T, strict=True):
        ways = math.lgamma(r + n) - math.lgamma(r) + r * math.log(alpha)
        dropout = math.lgamma(a + b) + math.lgamma(b + n) - math.lgamma(b) - math.lgamma(a + b + n)
        still = (alpha + end) ** -(r + n)
        left = a / (b + n - 1) * (alpha + t) ** -(r + n) if n > 0 else 0.0
        total += ways + dropout + math.log(still + left)
    return total


def gamma_gamma_log_likelihood(theta, x, zbar):
    """The published Gamma-Gamma likelihood (Fader & Hardie 2013, equation 1a)."""
    with mp.workdps(60):
        p, q, v = (mp.mpf(float(n)) for n in theta)
        total = mp.mpf(0)
        for x_i, zbar_i in zip(x, zbar, strict=True):
            n, z = mp.mpf(float(x_i)), mp.mpf(float(zbar_i))
            total += mp.loggamma(p * n + q) - mp.loggamma(p * n) - mp.loggamma(q)
            total += q * mp.log(v) + (p * n - 1) * mp.log(z) + p * n * mp.log(n)
            total -= (p * n + q) * mp.log(v + n * z)
        return total


def retention_at(renewals, alpha, beta):
    """S(t+1)/S(t), S(t) = B(α, β+t)/B(α, β)."""
    with mp.workdps(DIGITS):
        alpha, beta = mp.mpf(float(alpha)), mp.mpf(float(beta))
        return mp.beta(alpha, beta + renewals + 1) / mp.beta(alpha, beta + renewals)


def renewal_multiplier(renewals, alpha, beta, d, years, g=0.0):
    """Σ S(t+k)/S(t)·(1+g)^{k−1}/(1+d)^k over N years, the last in part if N is no whole number."""
    with mp.workdps(DIGITS):
        alpha, beta = mp.mpf(float(alpha)), mp.mpf(float(beta))

        def survival(t):
            return mp.beta(alpha, beta + t) / mp.beta(alpha, beta)

        terms = [
            survival(renewals + k) / survival(renewals) * (1 + mp.mpf(g)) ** (k - 1) / (1 + mp.mpf(d)) ** k
            for k in range(1, math.floor(years) + 2)
        ]
        return mp.fsum(terms[:-1]) + (mp.mpf(years) - math.floor(years)) * terms[-1]


def retention_log_likelihood(theta, survivors):
    """One cohort as published: Σ lost·ln P(T=t) + left·ln S(T), from the survivors at each time."""
    with mp.workdps(DIGITS):
        alpha, beta = (mp.mpf(float(v)) for v in theta)

        def survival(t):
            return mp.beta(alpha, beta + t) / mp.beta(alpha, beta)

        total = survivors[-1] * mp.log(survival(len(survivors) - 1))
        for t in range(1, len(survivors)):
            total += (survivors[t - 1] - survivors[t]) * mp.log(survival(t - 1) - survival(t))
        return total
