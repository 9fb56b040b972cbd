"""The log-likelihoods of BG/NBD and Gamma-Gamma, with their gradients.

Source: domain model, section 4. BG/NBD has the term Σ_{j<x} log1p(a/(b+j)) where the literature
writes four lnΓ(b…): those cancel, and on real retail data an optimiser follows the rounding
noise to b ≈ 3e16 and reports an impossible ln L.
"""

import math
from collections.abc import Iterator
from typing import Final, cast

import numpy as np
from scipy import special  # pyright: ignore[reportMissingTypeStubs]  # has none

from nextbest.model import F64, I64

BLOCK: Final = 65_536
"""Customers whose terms are in memory at once."""


def bgnbd_log_likelihood(theta: F64, x: I64, t_x: F64, T: F64) -> tuple[float, F64]:
    """The BG/NBD log-likelihood and its gradient.

    Args:
        theta: (4,) r, α, a, b.
        x: (n,) repeat buying occasions.
        t_x: (n,) weeks from the first to the last purchase.
        T: (n,) weeks from the first purchase to now.

    Returns:
        ln L and (4,) its derivatives by r, α, a, b.

    Oracle: `tests.naive.ltv.bgnbd_log_likelihood`.

    """
    r, alpha, a, b = theta.tolist()
    j = np.arange(x.max(initial=0), dtype=np.float64)
    # Customers with x > j: each sum over j < x is then one dot product over j.
    at_least = (len(x) - np.cumsum(np.bincount(x, minlength=len(j) + 1)))[: len(j)]
    still, by_r, by_alpha, left, by_b = sum(
        (_bgnbd_block(theta, x[block], t_x[block], T[block]) for block in _blocks(len(x))), np.zeros(5)
    ).tolist()
    value = (
        float(at_least @ np.log(r + j))
        + len(x) * r * math.log(alpha)
        - float(at_least @ np.log1p(a / (b + j)))
        + still
    )
    gradient = np.array(
        [
            at_least @ (1.0 / (r + j)) + len(x) * math.log(alpha) - by_r,
            len(x) * r / alpha - by_alpha,
            left / a - at_least @ (1.0 / (a + b + j)),
            at_least @ (a / ((b + j) * (a + b + j))) - by_b,
        ]
    )
    return value, gradient


def _bgnbd_block(theta: F64, x: I64, t_x: F64, T: F64) -> F64:
    """(5,) sums over some customers: their part of ln L, and what its derivatives by r, α, a and b need."""
    r, alpha, a, b = theta.tolist()
    repeat = x > 0
    shape = r + x
    log_still, log_left = np.log(alpha + T), np.log(alpha + t_x)
    dropout = np.where(repeat, b + x - 1.0, 1.0)
    with np.errstate(divide="ignore"):
        left = np.where(repeat, math.log(a) - np.log(dropout) - shape * log_left, -np.inf)
    still = -shape * log_still
    either = np.logaddexp(still, left)
    w_still, w_left = np.exp(still - either), np.exp(left - either)
    return np.array(
        [
            either.sum(),
            w_still @ log_still + w_left @ log_left,
            (shape * (w_still / (alpha + T) + w_left / (alpha + t_x))).sum(),
            w_left.sum(),
            (w_left / dropout).sum(),
        ]
    )


def gamma_gamma_log_likelihood(theta: F64, x: F64, zbar: F64) -> tuple[float, F64]:
    """The Gamma-Gamma log-likelihood and its gradient, for customers with x > 0 and zbar > 0.

    Args:
        theta: (3,) p, q, v.
        x: (n,) repeat buying occasions.
        zbar: (n,) mean value of the repeat purchases, money.

    Returns:
        ln L and (3,) its derivatives by p, q, v.

    Oracle: `tests.naive.ltv.gamma_gamma_log_likelihood`.

    """
    sums = sum((_gamma_gamma_block(theta, x[block], zbar[block]) for block in _blocks(len(x))), np.zeros(4))
    return float(sums[0]), sums[1:]


def _gamma_gamma_block(theta: F64, x: F64, zbar: F64) -> F64:
    """(4,) ln L of some customers and its derivatives by p, q and v."""
    p, q, v = theta.tolist()
    px, total = p * x, x * zbar
    # ln(v^q · total^px / (v+total)^(px+q)), as two shares so that nothing large cancels.
    log_share, log_rest = -np.log1p(v / total), -np.log1p(total / v)
    digamma_sum = _digamma(px + q)
    return np.array(
        [
            (px * log_share + q * log_rest - np.log(zbar) - _betaln(px, q)).sum(),
            (x * (log_share + digamma_sum - _digamma(px))).sum(),
            (log_rest + digamma_sum - _digamma(np.array([q]))).sum(),
            ((q * total / v - px) / (v + total)).sum(),
        ]
    )


def _blocks(n: int) -> Iterator[slice]:
    """All of n customers, some at a time: what is computed of them takes 100 bytes each."""
    return (slice(start, start + BLOCK) for start in range(0, n, BLOCK))


def _betaln(a: F64, b: float) -> F64:
    return cast("F64", special.betaln(a, b))


def _digamma(a: F64) -> F64:
    return cast("F64", special.digamma(a))  # pyright: ignore[reportUnknownMemberType]  (scipy is untyped)
