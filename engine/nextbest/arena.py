"""Many arrays in one: a model's tables as a kernel takes them.

A compiled kernel pays about 0.1 µs for every array that it is given, and the tables of a model are a
hundred arrays that never change: handing them over one by one costs a single customer more than deciding.
"""

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import numba
import numpy as np
import numpy.typing as npt

from nextbest.model import F64, I32, I64

Scalar = TypeVar("Scalar", bound=np.generic)


class Arena(NamedTuple):
    """Arrays laid end to end in eight-byte words."""

    words: I64
    """The arrays' memory."""
    places: I64
    """(arrays, 6) first word, word after the last, and up to four sizes."""


def pack(arrays: Iterable[npt.NDArray[np.generic]]) -> Arena:
    """Lay arrays of 64-bit or 32-bit numbers end to end; the order is that of their numbers for kernels."""
    parts: list[bytes] = []
    places: list[list[int]] = []
    end = 0
    for array in arrays:
        content = np.ascontiguousarray(array).tobytes()
        parts.append(content.ljust(-(-len(content) // 8) * 8, b"\0"))
        first, end = end, end + len(parts[-1]) // 8
        places.append([first, end, *array.shape, *([0] * (4 - array.ndim))])
    # from bytes, hence read-only
    words = np.frombuffer(b"".join(parts), np.int64)
    return Arena(words, np.frombuffer(np.array(places, np.int64).tobytes(), np.int64).reshape(-1, 6))


def fixed(array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """The array as contiguous and read-only memory, whoever made it.

    numba compiles a kernel anew for every mixture of read-only and writable arrays, which takes half a
    minute, and the first request with another mixture would wait for it.
    """
    flags = array.flags
    if flags.writeable or not flags.c_contiguous:
        array = np.ascontiguousarray(array).view()
        array.setflags(write=False)
    return array


_inlined = numba.njit(inline="always", error_model="numpy")
"""Into the caller's own code: a lean kernel may not return an array."""


@_inlined
def whole1(arena: Arena, k: int) -> I64:
    """Array k as (a,) whole numbers."""
    return arena.words[arena.places[k, 0] : arena.places[k, 1]]


@_inlined
def whole2(arena: Arena, k: int) -> I64:
    """Array k as (a, b) whole numbers."""
    part = arena.words[arena.places[k, 0] : arena.places[k, 1]]
    return part.reshape(arena.places[k, 2], arena.places[k, 3])


@_inlined
def short1(arena: Arena, k: int) -> I32:
    """Array k as (a,) 32-bit whole numbers."""
    part = arena.words[arena.places[k, 0] : arena.places[k, 1]]
    return part.view(np.int32)[: arena.places[k, 2]]


@_inlined
def real1(arena: Arena, k: int) -> F64:
    """Array k as (a,) numbers."""
    return arena.words[arena.places[k, 0] : arena.places[k, 1]].view(np.float64)


@_inlined
def real2(arena: Arena, k: int) -> F64:
    """Array k as (a, b) numbers."""
    part = arena.words[arena.places[k, 0] : arena.places[k, 1]].view(np.float64)
    return part.reshape(arena.places[k, 2], arena.places[k, 3])


@_inlined
def real3(arena: Arena, k: int) -> F64:
    """Array k as (a, b, c) numbers."""
    part = arena.words[arena.places[k, 0] : arena.places[k, 1]].view(np.float64)
    return part.reshape(arena.places[k, 2], arena.places[k, 3], arena.places[k, 4])


@_inlined
def real4(arena: Arena, k: int) -> F64:
    """Array k as (a, b, c, d) numbers."""
    part = arena.words[arena.places[k, 0] : arena.places[k, 1]].view(np.float64)
    return part.reshape(arena.places[k, 2], arena.places[k, 3], arena.places[k, 4], arena.places[k, 5])
