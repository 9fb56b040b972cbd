"""Eight bytes that tell one customer id from another: BLAKE2b-64, one at a time or a column at once."""

import hashlib

import numpy as np

from nextbest.kernels import kernel
from nextbest.model import I64, U8, U64

MAX_ID_BYTES = 64
"""Longest customer id; one BLAKE2b block holds twice as much."""
MAX_HASHED_BYTES = 128
"""Longest text that `blake2b_64` takes: one block."""

_IV = np.array(
    [
        0x6A09E667F3BCC908,
        0xBB67AE8584CAA73B,
        0x3C6EF372FE94F82B,
        0xA54FF53A5F1D36F1,
        0x510E527FADE682D1,
        0x9B05688C2B3E6C1F,
        0x1F83D9ABFB41BD6B,
        0x5BE0CD19137E2179,
    ],
    np.uint64,
)
_SIGMA = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
    ],
    np.uint8,
)
_PARAMETERS = np.uint64(0x01010008)
"""Parameter block: digest of 8 bytes, no key, fan-out and depth 1 (RFC 7693, section 2.5)."""


def id_check(customer_id: bytes) -> int:
    """The check of one customer id, as rows and rings carry it."""
    return int.from_bytes(hashlib.blake2b(customer_id, digest_size=8).digest(), "little")


def id_checks(text: U8, starts: I64) -> U64:
    """The checks of n customer ids laid end to end.

    Args:
        text: (bytes,) the ids as UTF-8.
        starts: (n + 1,) id i is text[starts[i]:starts[i + 1]].

    Returns:
        (n,) equal to `id_check` of each; 0 where an id is longer than `MAX_HASHED_BYTES`.

    Cost: half of a call of hashlib each.
    Oracle: hashlib itself, through `id_check`.
    """
    out = np.empty(len(starts) - 1, np.uint64)
    blake2b_64_column(text, starts, out)
    return out


def id_checks_of(customer_ids: list[bytes]) -> U64:
    """The checks of a list of customer ids, (n,)."""
    lengths = np.fromiter(map(len, customer_ids), np.int64, len(customer_ids))
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    return id_checks(np.frombuffer(b"".join(customer_ids), np.uint8), starts)


@kernel
def _rotate(x: np.uint64, by: int) -> np.uint64:
    return (x >> np.uint64(by)) | (x << np.uint64(64 - by))


@kernel
def _mix(v: U64, a: int, b: int, c: int, d: int, m: U64, s: U8, pair: int) -> None:
    v[a] += v[b] + m[s[pair]]
    v[d] = _rotate(v[d] ^ v[a], 32)
    v[c] += v[d]
    v[b] = _rotate(v[b] ^ v[c], 24)
    v[a] += v[b] + m[s[pair + 1]]
    v[d] = _rotate(v[d] ^ v[a], 16)
    v[c] += v[d]
    v[b] = _rotate(v[b] ^ v[c], 63)


@kernel
def blake2b_64(text: U8, start: int, length: int, m: U64, v: U64) -> np.uint64:
    """BLAKE2b with 8 bytes of digest over at most one block (RFC 7693); `m`, `v` are (16,) scratch."""
    for i in range(16):
        word = np.uint64(0)
        for j in range(8):
            k = 8 * i + j
            if k < length:
                word |= np.uint64(text[start + k]) << np.uint64(8 * j)
        m[i] = word
    for i in range(8):
        v[i] = _IV[i]
        v[8 + i] = _IV[i]
    v[0] ^= _PARAMETERS
    v[12] ^= np.uint64(length)
    v[14] = ~v[14]
    for r in range(12):
        s = _SIGMA[r % 10]
        for i in range(4):
            _mix(v, i, 4 + i, 8 + i, 12 + i, m, s, 2 * i)
        for i in range(4):
            _mix(v, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, m, s, 8 + 2 * i)
    return _IV[0] ^ _PARAMETERS ^ v[0] ^ v[8]


@kernel
def blake2b_64_column(text: U8, starts: I64, out: U64) -> None:
    """`blake2b_64` of each text; 0 for one that needs more than a block."""
    m = np.empty(16, np.uint64)
    v = np.empty(16, np.uint64)
    for i in range(len(out)):
        length = starts[i + 1] - starts[i]
        out[i] = np.uint64(0) if length > 128 else blake2b_64(text, starts[i], length, m, v)
