"""Who is assigned to what in an experiment: by a hash of the customer's id, never drawn and never stored.

Source: domain model, section 11; the algorithm of GrowthBook's SDKs. Oracle: tests/oracles/bucketing.json
and tests/naive/bucketing.py. Nothing decides by it yet: experiments are a later step.
"""

from collections.abc import Sequence

import numpy as np

from nextbest.kernels import kernel
from nextbest.model import F64, U8

_OFFSET, _PRIME = np.uint32(0x811C9DC5), np.uint32(0x01000193)
_SUM_TOLERANCE = 0.01


@kernel
def fnv1a(octets: U8) -> np.int64:
    """32-bit FNV-1a of some bytes, start 0x811c9dc5."""
    found = _OFFSET
    for octet in octets:
        found = np.uint32(np.uint32(found ^ np.uint32(octet)) * _PRIME)
    return np.int64(found)


def bucket(seed: str, value: str, version: int = 2) -> float:
    """Where a value falls in [0, 1).

    Args:
        seed: of the experiment.
        value: who is assigned, such as a customer id.
        version: 2 in ten-thousandths, free of the bias between experiments that 1, in thousandths, has.

    Returns:
        The bucket; NaN for a version that does not exist.
    """
    if version == 2:
        return (_hash(str(_hash(seed + value))) % 10_000) / 10_000
    return (_hash(value + seed) % 1000) / 1000 if version == 1 else np.nan


def bucket_ranges(count: int, coverage: float = 1.0, weights: Sequence[float] | None = None) -> F64:
    """Range of buckets of each of `count` variations, (count, 2): from, and up to but not with.

    Args:
        count: of variations; none below 1.
        coverage: share of all who take part, clamped to [0, 1].
        weights: of the variations; equal where none are given, their number is another, or their sum is
            not within .99 and 1.01.
    """
    n = max(count, 0)
    given = np.full(n, 1.0 / max(n, 1)) if weights is None or len(weights) != n else np.array(weights, float)
    if n and not abs(float(given.sum()) - 1.0) <= _SUM_TOLERANCE:
        given = np.full(n, 1.0 / n)
    first = np.concatenate([np.zeros(1), np.cumsum(given)])[:n]
    return np.column_stack([first, first + min(max(coverage, 0.0), 1.0) * given])


def variation(where: float, ranges: F64) -> int:
    """The first range that holds a bucket; -1 = none, as for NaN."""
    holding = np.flatnonzero((ranges[:, 0] <= where) & (where < ranges[:, 1]))
    return int(holding[0]) if len(holding) else -1


def in_namespace(value: str, name: str, low: float, high: float) -> bool:
    """Whether a value falls into [low, high) of a namespace, whose experiments exclude one another."""
    return low <= (_hash(f"{value}__{name}") % 1000) / 1000 < high


def _hash(text: str) -> int:
    return int(fnv1a(np.frombuffer(text.encode(), np.uint8)))
