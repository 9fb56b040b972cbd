"""The one place that says how kernels are compiled."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile `function` with the project's policy: cached, GIL released, IEEE 754 kept.

    `fastmath` stays off because NaN means missing; `error_model="numpy"` gives inf and NaN
    for a division by zero instead of an exception, which a kernel must never raise.
    Kernels are serial: `parallel=True` under concurrent threads aborts (numba #9288).
    """
    return cast("F", numba.njit(cache=True, nogil=True, fastmath=False, error_model="numpy")(function))
