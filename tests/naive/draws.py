"""Random numbers by plain Python integers: what the kernels must draw bit for bit."""

import math

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(z):
    """Finalise as splitmix64 does."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def stream(seed, key, purpose):
    """Begin a stream."""
    return mix((mix(mix((seed + GOLDEN) & MASK) ^ key) + GOLDEN * purpose) & MASK)


def uniform(state):
    """53 bits in the middle of their interval."""
    return ((mix(state) >> 11) + 0.5) / 2**53


def numbers(state):
    """Yield the numbers of a stream after its beginning."""
    while True:
        state = (state + GOLDEN) & MASK
        yield uniform(state)


def log_gamma(shape, source):
    """Marsaglia and Tsang's method; shapes below 1 by the boost G(a) = G(a+1)·U^(1/a)."""
    boost = 0.0
    if shape < 1:
        boost = math.log(next(source)) / shape
        shape += 1
    d = shape - 1 / 3
    c = 1 / math.sqrt(9 * d)
    while True:
        radius = math.sqrt(-2 * math.log(next(source)))
        x = radius * math.cos(2 * math.pi * next(source))
        u = next(source)
        v = 1 + c * x
        if v > 0 and math.log(u) < 0.5 * x * x + d - d * v**3 + d * math.log(v**3):
            return math.log(d * v**3) + boost


def beta(mean, strength, state):
    """Draw a propensity."""
    if not 0 < mean < 1:
        return mean
    source = numbers(state)
    a = log_gamma(mean * strength, source)
    b = log_gamma((1 - mean) * strength, source)
    odds = math.exp(-abs(a - b))
    return 1 / (1 + odds) if a >= b else odds / (1 + odds)
