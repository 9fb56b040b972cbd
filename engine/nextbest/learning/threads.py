"""One thread for linear algebra on small matrices."""

from contextlib import AbstractContextManager
from typing import cast

from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]  # has none


def one_thread() -> AbstractContextManager[object]:
    """Keep BLAS and OpenMP to one thread within the block.

    On fits this small, threads only wait for each other (three times slower on two busy cores), and
    one thread sums in one order, so results repeat bit for bit.
    """
    return cast("AbstractContextManager[object]", threadpool_limits(1))
