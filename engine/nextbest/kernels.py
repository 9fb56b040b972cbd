"""The one place that says how kernels are compiled."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from nextbest.kernel_cache import stamp_with_callees

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile `function` with the project's policy: cached, GIL released, IEEE 754 kept.

    `fastmath` stays off because NaN means missing; `error_model="numpy"` gives inf and NaN
    for a division by zero instead of an exception, which a kernel must never raise.
    Kernels are serial: `parallel=True` under concurrent threads aborts (numba #9288).
    """
    dispatcher = numba.njit(cache=True, nogil=True, fastmath=False, error_model="numpy")(function)
    stamp_with_callees(dispatcher)
    return cast("F", dispatcher)


def lean_kernel(function: F) -> F:
    """Compile a kernel that allocates nothing and returns no array: without reference counts, inlined.

    An array costs two atomic operations for each call that takes it, and the action kernels take three
    dozen in every call: counting references was 40 times the work itself (measured: 390 µs a customer
    of 200 actions with it, 9 µs without). The arrays are only borrowed, so the caller must hold them;
    an allocation is a compile error, a returned array would be freed too early.

    `_nrt` is how numba's own overloads switch its runtime off; numba is pinned in constraints.txt.
    """
    njit = cast("Callable[..., Callable[[F], F]]", numba.njit)  # its stub knows no `_nrt`
    options = {"cache": True, "nogil": True, "fastmath": False, "error_model": "numpy"}
    dispatcher = njit(**options, forceinline=True, _nrt=False)(function)
    stamp_with_callees(dispatcher)
    return dispatcher


def _trailing_zeros(_typing: object, _word: object) -> tuple[object, Callable[..., object]]:
    """Count trailing zeros: one instruction, for which numba has no function."""

    def generate(context: Any, builder: Any, _signature: object, arguments: list[object]) -> object:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, 0))

    return types.int64(types.uint64), generate


_count_trailing_zeros = cast("Callable[[np.uint64], int]", intrinsic(_trailing_zeros))


@lean_kernel
def lowest_bit(word: np.uint64) -> int:
    """Place of the lowest set bit of a word that is not 0."""
    return _count_trailing_zeros(word)
