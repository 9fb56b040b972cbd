"""Arenas: what is packed is what kernels read."""

import numpy as np
import pytest

from nextbest.arena import pack, real1, real2, real4, short1, whole1, whole2
from nextbest.kernels import kernel

RANDOM = np.random.default_rng(3)
ARRAYS = (
    RANDOM.integers(-9, 9, 5),
    RANDOM.integers(-9, 9, (3, 2)),
    RANDOM.integers(-9, 9, 3).astype(np.int32),
    RANDOM.random(4),
    np.empty((0, 2)),
    RANDOM.random((2, 3)),
    RANDOM.random((2, 1, 3, 2)),
    np.empty(0, np.int32),
)


@kernel
def read(arena):
    """Copy every array out of the arena."""
    flat = whole1(arena, 0).copy(), whole2(arena, 1).copy(), short1(arena, 2).copy(), real1(arena, 3).copy()
    deep = real2(arena, 4).copy(), real2(arena, 5).copy(), real4(arena, 6).copy(), short1(arena, 7).copy()
    return flat, deep


@pytest.mark.parametrize("order", ["C", "F"])
def test_kernels_read_what_was_packed(order):
    """Every array comes out as it was, an odd number of 32-bit ones and empty ones too."""
    flat, deep = read(pack([np.asarray(array, order=order) for array in ARRAYS]))
    for packed, found in zip(ARRAYS, flat + deep, strict=True):
        assert np.array_equal(packed, found)
        assert packed.dtype == found.dtype


def test_arenas_are_read_only():
    """Nobody changes a model that others decide with."""
    arena = pack(ARRAYS)
    assert not arena.words.flags.writeable
    assert not arena.places.flags.writeable
