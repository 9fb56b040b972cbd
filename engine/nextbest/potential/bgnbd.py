"""BG/NBD: whether a customer is still one, and how often they will buy until a horizon.

Source: domain model, section 4; Fader, Hardie & Lee, Marketing Science 24(2), 2005. The model
knows no seasonality: a figure of December is no forecast for January.

Given that a customer is alive at T, the expected number of purchases in the next t weeks is a
mean over the dropout probability p ~ Beta(a, b+x):

    e(τ) = E_p[(1 - (1 + pτ)^-s) / p],   s = r+x,   τ = t/(α+T),   z = τ/(1+τ).

Three sums give it, each where it is exact and short:

* *wide* (spec): C·F − (1−z)^ε·Σ with C = a+b+x−1, A = a+b−1−r, ε = a−1, the Euler transform
  of the published ₂F₁, F = −expm1(ε·log1p(−z))/ε. It subtracts, and loses a factor C/s when b is large.
* *narrow*: the same subtraction made inside each term, Σ β_n·G_n·z^n with G_n > 0. Nothing
  cancels however large b is, but it needs more terms when x is large.
* *quadrature*: the mean over p by the trapezoidal rule in logit(p), exponentially convergent
  with ~200 nodes for any τ. For z so near 1 that a series would need tens of thousands of
  terms, and for a+b ≪ r, where the terms of both series alternate.
"""

import math

import numpy as np

from nextbest.kernels import kernel, lean_kernel
from nextbest.model import F64

MAX_TERMS = 20_000
"""Terms of a series before the quadrature, whose cost is bounded, takes over."""
NARROW_RATIO = 8.0
"""Above C/s = 8 the wide sum would lose a digit, so the narrow one is used."""
ALTERNATING_BELOW = -8.0
"""Below A = a+b−1−r = −8 a series alternates by more than 2^8 before it settles."""
ROUNDING = 2.0**-53
"""A series ends when what is left of it is below this share of its sum."""
LONGEST = 1e100
"""Horizons beyond this many (α+T) overflow: the answer is NaN."""


@lean_kernel
def is_rfm(x: float, t_x: float, T: float) -> bool:
    """Whether (x, t_x, T) is a possible history: finite, 0 ≤ t_x ≤ T, and x = 0 ⇔ t_x = 0."""
    return 0.0 <= x < math.inf and 0.0 <= t_x <= T < math.inf and (x == 0.0) == (t_x == 0.0)


@lean_kernel
def alive_probability(x: float, t_x: float, T: float, r: float, alpha: float, a: float, b: float) -> float:
    """P(alive at T), for a possible history.

    Oracle: `tests.naive.ltv.alive_probability`.
    """
    if x == 0.0:
        return 1.0
    log_odds_dead = math.log(a / (b + x - 1.0)) + (r + x) * math.log1p((T - t_x) / (alpha + t_x))
    return 1.0 / (1.0 + math.exp(log_odds_dead))


@kernel
def _left_power(epsilon: float, tau: float) -> tuple[float, float]:
    """(1−z)^ε, and F = (1 − (1−z)^ε)/ε continued through ε = 0."""
    # log is half the price of log1p, and as exact where its argument is not near 1.
    log_left = -math.log1p(tau) if tau < 0.5 else -math.log(1.0 + tau)
    if epsilon == 0.0:
        return 1.0, -log_left
    power = math.expm1(epsilon * log_left)
    # 1 + power is exact to a rounding unless most of it cancels; it saves an exponential.
    return 1.0 + power if power > -0.5 else math.exp(epsilon * log_left), -power / epsilon


@kernel
def _ratio(n: float, x: float, r: float, a: float, b: float) -> float:
    """Of the wide sum's coefficient n+2 to its coefficient n+1."""
    return (a + b - r + n) * (a + n) / ((a + b + x + n) * (n + 2.0))


@kernel
def _wide(x: float, tau: float, r: float, a: float, b: float) -> float:
    """C·F − (1−z)^ε·Σ; NaN when the terms run out.

    C times the sum is accumulated, so C = 0 (x = 0, a+b = 1) needs no case of its own. Four
    terms a pass let the divisions overlap: 2 ns a term instead of 2.5.
    """
    z = tau / (1.0 + tau)
    tolerance = ROUNDING * (1.0 - z)
    term = z * (a + b - 1.0 - r)
    total = term
    for n in range(0, MAX_TERMS, 4):
        first = z * _ratio(n, x, r, a, b)
        second = first * (z * _ratio(n + 1.0, x, r, a, b))
        third = z * _ratio(n + 2.0, x, r, a, b)
        fourth = third * (z * _ratio(n + 3.0, x, r, a, b))
        total += term * ((first + second) + second * (third + fourth))
        term *= second * fourth
        if abs(term) <= tolerance * abs(total):
            scale, closed = _left_power(a - 1.0, tau)
            return (a + b + x - 1.0) * closed - scale * total
    return math.nan


@kernel
def _narrow(x: float, tau: float, r: float, a: float, b: float) -> float:
    """(1−z)^ε·Σ β_n·G_n·z^n with β_n = (a)_{n−1}/n!; NaN when the terms run out.

    G_n = C·(1 − (A)_n/(C)_n) obeys G_1 = s, G_{n+1} = (G_n·(A+n) + C·s)/(C+n): all positive.
    """
    s = r + x
    z = tau / (1.0 + tau)
    tolerance = ROUNDING * (1.0 - z)
    source = (a + b + x - 1.0) * s
    power = z
    share = s
    total = power * share
    for n in range(MAX_TERMS):
        share = (share * (a + b - r + n) + source) / (a + b + x + n)
        power *= z * (a + n) / (n + 2.0)
        term = power * share
        total += term
        if term <= tolerance * total:
            return _left_power(a - 1.0, tau)[0] * total
    return math.nan


@kernel
def _node(u: float, a: float, b: float, top: float, s: float, tau: float) -> tuple[float, float]:
    """Weight of p = 1/(1+e^-u) relative to the mode's, and weight × (1 − (1+pτ)^-s)/p."""
    correction = math.log1p(math.exp(-abs(u)))
    log_p = min(u, 0.0) - correction
    weight = math.exp(a * log_p - b * (max(u, 0.0) + correction) - top)
    p = math.exp(log_p)
    return weight, weight * -math.expm1(-s * math.log1p(p * tau)) / p


@kernel
def _quadrature(x: float, tau: float, r: float, a: float, b: float) -> float:
    """The mean over p by the trapezoidal rule in u = logit(p), normalised by its own weights.

    The integrand is analytic in |Im u| < π whatever τ is, so the error falls as e^(−2π²/h).
    Both ends become geometric series and are summed in closed form, so that small a or b
    costs no more nodes.
    """
    s = r + x
    b = b + x
    spread = 0.5 * math.sqrt(1.0 / a + 1.0 / b)
    h = spread / math.sqrt(1.0 + (spread / 0.3) ** 2)
    top = -a * math.log1p(b / a) - b * math.log1p(a / b)
    first = -math.log(tau * (s + 1.0) + b + 1.0) - 39.0
    last = 45.0
    mode = math.log(a / b)
    weights, total = _node(mode, a, b, top, s, tau)
    weight = weights
    u = mode - h
    while u > first and weight > 1e-20 * weights:
        weight, value = _node(u, a, b, top, s, tau)
        weights += weight
        total += value
        u -= h
    if u <= first:
        weight = math.exp(a * u - top) / -math.expm1(-a * h)
        weights += weight
        total += weight * s * tau
    weight = weights
    u = mode + h
    while u < last and weight > 1e-20 * weights:
        weight, value = _node(u, a, b, top, s, tau)
        weights += weight
        total += value
        u += h
    if u >= last:
        weight = math.exp(-b * u - top) / -math.expm1(-b * h)
        weights += weight
        total += weight * -math.expm1(-s * math.log1p(tau))
    return total / weights


@kernel
def expected_if_alive(x: float, tau: float, r: float, a: float, b: float) -> float:
    """Expected purchases in the next t = τ·(α+T) weeks of a customer who is alive at T.

    Oracle: `tests.naive.ltv.expected_if_alive` (80 digits).
    """
    if not 0.0 <= tau < LONGEST:
        return math.nan
    if tau == 0.0:
        return 0.0
    expected = math.nan
    # A series whose terms fall as z^n needs about 18 + 36τ of them.
    if 36.0 * tau < MAX_TERMS and a + b - 1.0 - r >= ALTERNATING_BELOW:
        if a + b + x - 1.0 > NARROW_RATIO * (r + x):
            expected = _narrow(x, tau, r, a, b)
        else:
            expected = _wide(x, tau, r, a, b)
    if math.isnan(expected):
        expected = _quadrature(x, tau, r, a, b)
    return expected


@kernel
def expected_purchases(
    x: float, t_x: float, T: float, t: float, r: float, alpha: float, a: float, b: float
) -> float:
    """E[Y(t)]: purchases in the t weeks after T; NaN for an impossible or unknown history.

    Oracle: `tests.naive.ltv.expected_purchases`.
    """
    if not is_rfm(x, t_x, T):
        return math.nan
    return expected_if_alive(x, t / (alpha + T), r, a, b) * alive_probability(x, t_x, T, r, alpha, a, b)


@kernel
def alive_rows(x: F64, t_x: F64, T: F64, bgnbd: F64) -> F64:
    """P(alive) of n customers.

    Args:
        x: (n,) repeat buying occasions.
        t_x: (n,) weeks from the first to the last purchase.
        T: (n,) weeks from the first purchase to now.
        bgnbd: (4,) r, α, a, b.

    Returns:
        (n,) probability, NaN where the history is unknown or impossible.

    """
    alive = np.full(len(x), np.nan)
    for i in range(len(x)):
        if is_rfm(x[i], t_x[i], T[i]):
            alive[i] = alive_probability(x[i], t_x[i], T[i], bgnbd[0], bgnbd[1], bgnbd[2], bgnbd[3])
    return alive


@kernel
def expected_purchases_rows(x: F64, t_x: F64, T: F64, t: float, bgnbd: F64) -> F64:
    """E[Y(t)] of n customers; arguments and missing as in `alive_rows`, t in weeks.

    Cost: 100 ns a customer at τ ≈ 1, rising with τ.
    """
    r, alpha, a, b = bgnbd[0], bgnbd[1], bgnbd[2], bgnbd[3]
    expected = np.empty(len(x))
    for i in range(len(x)):
        expected[i] = expected_purchases(x[i], t_x[i], T[i], t, r, alpha, a, b)
    return expected


@kernel
def _next_term(
    n: float, factor: float, beta: float, x: float, r: float, a: float, b: float, source: float
) -> tuple[float, float]:
    """Step from one coefficient factor·beta to the next; `source` is 0 for the wide sum."""
    if source == 0.0:
        return factor * _ratio(n, x, r, a, b), 1.0
    return (factor * (a + b - r + n) + source) / (a + b + x + n), beta * (a + n) / (n + 2.0)


@kernel
def _sum_series(x: float, r: float, a: float, b: float, z: F64, powers: F64, sums: F64) -> int:
    """Run one series for ascending z at once; return how many of the first z converged.

    The coefficients do not depend on z, so each is made once and added to every lane that
    still needs it: the inner loop is a vector operation, four terms a pass (half the time of
    one). A lane with a smaller z converges no later, so lanes retire from the front. `sums`
    gets Σ c_n·z^n of `_wide` or `_narrow`.
    """
    s = r + x
    narrow = a + b + x - 1.0 > NARROW_RATIO * s
    source = (a + b + x - 1.0) * s if narrow else 0.0
    factor, beta = s if narrow else a + b - 1.0 - r, 1.0
    for k in range(len(z)):
        powers[k] = z[k]
        sums[k] = z[k] * factor
    # Unsigned, or numba guards every index against wrapping and LLVM gives up on vectors (2.2 ×).
    done, lanes = np.uint64(0), np.uint64(len(z))
    for n in range(0, MAX_TERMS, 4):
        factor, beta = _next_term(n, factor, beta, x, r, a, b, source)
        c1 = factor * beta
        factor, beta = _next_term(n + 1.0, factor, beta, x, r, a, b, source)
        c2 = factor * beta
        factor, beta = _next_term(n + 2.0, factor, beta, x, r, a, b, source)
        c3 = factor * beta
        factor, beta = _next_term(n + 3.0, factor, beta, x, r, a, b, source)
        c4 = factor * beta
        for k in range(done, lanes):
            square = z[k] * z[k]
            sums[k] += powers[k] * (z[k] * (c1 + c2 * z[k]) + square * z[k] * (c3 + c4 * z[k]))
            powers[k] *= square * square
        while done < lanes and abs(c4 * powers[done]) <= ROUNDING * (1.0 - z[done]) * abs(sums[done]):
            done += np.uint64(1)
        if done == lanes:
            break
    return int(done)


@kernel
def expected_at(
    x: float, start: float, horizons: F64, r: float, a: float, b: float, expected: F64, scratch: F64
) -> None:
    """Fill `expected` with the purchases of an alive customer until each of m horizons.

    Same sums as `expected_if_alive`, with the coefficients shared by all horizons.

    Args:
        x: repeat buying occasions.
        start: α+T, weeks.
        horizons: (m,) weeks from now, positive and ascending.
        r: shape of the purchase rate over customers.
        a: of the dropout's Beta(a, b).
        b: of the same.
        expected: (m,) is written.
        scratch: (3, m) is written.

    Cost: 1.3 µs for 39 horizons up to three years at T = 30.
    Oracle: `tests.naive.ltv.expected_if_alive`.

    """
    C = a + b + x - 1.0
    narrow = NARROW_RATIO * (r + x) < C
    z, powers, sums = scratch[0], scratch[1], scratch[2]
    short = 0
    for k in range(len(horizons)):
        tau = horizons[k] / start
        z[k] = tau / (1.0 + tau)
        short += 36.0 * tau < MAX_TERMS
    if a + b - 1.0 - r < ALTERNATING_BELOW:
        short = 0
    short = _sum_series(x, r, a, b, z[:short], powers[:short], sums[:short])
    for k in range(len(horizons)):
        tau = horizons[k] / start
        if k >= short:
            expected[k] = _quadrature(x, tau, r, a, b) if tau < LONGEST else math.nan
            continue
        scale, closed = _left_power(a - 1.0, tau)
        expected[k] = scale * sums[k] if narrow else C * closed - scale * sums[k]
