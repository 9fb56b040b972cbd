"""Random numbers that depend on nothing but what they are for: replay and order cannot change them.

Every draw has a stream of its own, named by the decision's seed, a key (such as an action's) and a purpose.
One customer or a million, in any order: the same name gives the same numbers.

Source: Steele, Lea & Flood (OOPSLA 2014) for the mixing; Marsaglia & Tsang (ACM TOMS 26(3), 2000) for gamma.
Oracle: tests/naive/draws.py, and scipy's distributions.
"""

import hashlib
import math
from collections.abc import Iterable
from enum import IntEnum

import numpy as np

from nextbest.kernels import kernel, lean_kernel
from nextbest.model import F64, U64


class Purpose(IntEnum):
    """What a number is drawn for: draws for one thing tell nothing of those for another."""

    EXPLORE = 1
    """Whether a decision explores at all."""
    LOT = 2
    """Which action an exploring decision shows."""
    REACH = 3
    """Whether an action that is still immature may be shown."""
    PROPENSITY = 4
    """A plausible propensity (Thompson)."""


_PROPENSITY = int(Purpose.PROPENSITY)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S11 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(11)
_ULP = 1.0 / 9007199254740992.0


@lean_kernel
def mix(z: np.uint64) -> np.uint64:
    """Spread 64 bits so that each depends on all (scalar kernel)."""
    z = (z ^ (z >> _S30)) * _FIRST
    z = (z ^ (z >> _S27)) * _SECOND
    return np.uint64(z ^ (z >> _S31))


@lean_kernel
def stream(seed: np.uint64, key: np.uint64, purpose: int) -> np.uint64:
    """Name the numbers drawn for a purpose: where a stream begins (scalar kernel)."""
    return mix(mix(mix(seed + _GOLDEN) ^ key) + _GOLDEN * np.uint64(purpose))


@lean_kernel
def uniform(state: np.uint64) -> float:
    """The number in (0, 1) at a place of a stream; 0 and 1 never come (scalar kernel)."""
    return (np.float64(mix(state) >> _S11) + 0.5) * _ULP


@lean_kernel
def log_gamma_draw(shape: float, state: np.uint64) -> tuple[float, np.uint64]:
    """The logarithm of a gamma variate of a shape > 0, and where the stream goes on (scalar kernel).

    The logarithm, because a shape below a hundredth gives variates that no float holds.
    """
    log_boost = 0.0
    if shape < 1.0:
        state = np.uint64(state + _GOLDEN)
        log_boost = math.log(uniform(state)) / shape
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        state = np.uint64(state + _GOLDEN)
        radius = math.sqrt(-2.0 * math.log(uniform(state)))
        state = np.uint64(state + _GOLDEN)
        x = radius * math.cos(2.0 * math.pi * uniform(state))
        state = np.uint64(state + _GOLDEN)
        v = (1.0 + c * x) ** 3
        if v > 0.0 and math.log(uniform(state)) < 0.5 * x * x + d - d * v + d * math.log(v):
            return math.log(d * v) + log_boost, state


@lean_kernel
def beta_draw(mean: float, strength: float, state: np.uint64) -> float:
    """A variate of Beta(mean·strength, (1 − mean)·strength) (scalar kernel).

    Args:
        mean: in [0, 1]; 0 and 1 are certain.
        strength: a + b > 0; inf = certain.
        state: begin of the stream.
    """
    if not 0.0 < mean < 1.0 or not 0.0 < strength < math.inf:
        return mean
    a, state = log_gamma_draw(mean * strength, state)
    b, state = log_gamma_draw((1.0 - mean) * strength, state)
    if a >= b:
        return 1.0 / (1.0 + math.exp(b - a))
    e = math.exp(a - b)
    return e / (1.0 + e)


@kernel
def uniforms(seeds: U64, key: np.uint64, purpose: int) -> F64:
    """(n,) the number that each of n decisions draws for a purpose and a key."""
    found = np.empty(len(seeds))
    for i in range(len(seeds)):
        found[i] = uniform(stream(seeds[i], key, purpose))
    return found


@kernel
def beta_draws(seeds: U64, key: np.uint64, mean: float, strength: float) -> F64:
    """(n,) the propensity that each of n decisions draws for an action's key."""
    found = np.empty(len(seeds))
    for i in range(len(seeds)):
        found[i] = beta_draw(mean, strength, stream(seeds[i], key, _PROPENSITY))
    return found


def key_of(name: str) -> int:
    """The key of an action's draws: its id's, so that other actions and their order do not matter."""
    digest = hashlib.blake2b(name.encode(), digest_size=8, person=b"nextbest-draw").digest()
    return int.from_bytes(digest, "little") >> 1


def seeds_of(decision_ids: Iterable[bytes], salt: str) -> U64:
    """(n,) the seed of each decision: a hash of its id and the experiment's salt.

    Another salt draws anew for the same decisions, so that one experiment tells nothing of the next.
    """
    key = hashlib.blake2b(salt.encode(), digest_size=16).digest()
    digests = [hashlib.blake2b(i, digest_size=8, key=key).digest() for i in decision_ids]
    return np.frombuffer(b"".join(digests), "<u8")
